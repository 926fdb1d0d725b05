//! [`Hold`]: nobody asks while the server wants its pause.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::Rng as _;
use tokio::time::Instant;

/// The first pause where the server did not say how long; each further one doubles it.
const FIRST: Duration = Duration::from_secs(1);
/// The longest.
const LONGEST: Duration = Duration::from_secs(300);

/// A door that is shut for a while after the server asked for a pause.
#[derive(Debug, Default)]
pub(super) struct Hold(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    until: Option<Instant>,
    /// Pauses since something last went well.
    failures: u32,
}

impl Hold {
    /// Waits until the door is open.
    pub(super) async fn pass(&self) {
        loop {
            let until = self.state().until;
            match until {
                Some(until) if until > Instant::now() => tokio::time::sleep_until(until).await,
                _ => return,
            }
        }
    }

    /// How long it stays shut.
    pub(super) fn remaining(&self) -> Duration {
        let until = self.state().until;
        until.map_or(Duration::ZERO, |until| {
            until.saturating_duration_since(Instant::now())
        })
    }

    /// Shuts it for as long as the server asked for, or else for a growing pause, with jitter.
    pub(super) fn shut(&self, asked: Option<Duration>) {
        let now = Instant::now();
        let mut state = self.state();
        let was_shut = state.until.is_some_and(|until| until > now);
        let share = rand::rng().random_range(0.0..=1.0);
        let pause = match asked {
            // Never before the server's time.
            Some(asked) => asked.min(LONGEST) + asked.min(LONGEST).mul_f64(share * 0.1),
            // The others that were under way tell of the same trouble.
            None if was_shut => return,
            None => {
                let full = FIRST.saturating_mul(1 << state.failures.min(16)).min(LONGEST);
                full.mul_f64(0.5 + share / 2.0)
            }
        };
        if !was_shut {
            state.failures = state.failures.saturating_add(1);
        }
        state.until = state.until.max(Some(now + pause));
    }

    /// Something went well.
    pub(super) fn worked(&self) {
        self.state().failures = 0;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_servers_time_is_kept() {
        let (hold, started) = (Hold::default(), Instant::now());
        hold.pass().await;
        assert_eq!(started.elapsed(), Duration::ZERO);
        let asked = Duration::from_millis(92_415);
        hold.shut(Some(asked));
        hold.pass().await;
        assert!(started.elapsed() >= asked && started.elapsed() <= asked.mul_f64(1.11));
        assert_eq!(hold.remaining(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_until_something_works() {
        let hold = Hold::default();
        let mut pauses = Vec::new();
        for _ in 0..12 {
            // Three at once tell of one trouble.
            for _ in 0..3 {
                hold.shut(None);
            }
            pauses.push(hold.remaining());
            hold.pass().await;
        }
        for (n, pause) in pauses.iter().enumerate() {
            let full = FIRST.saturating_mul(1 << n).min(LONGEST);
            assert!((full / 2..=full).contains(pause), "{n}: {pause:?}");
        }
        hold.worked();
        hold.shut(None);
        assert!(hold.remaining() <= FIRST);
    }
}
