//! The sandbox's own time.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

/// The time in a sandbox: it goes with tokio's clock, and can be put forward.
///
/// Whatever the mail servers wait for, and everything that has a date, asks this clock: tokens and their expiry, idle
/// limits, the pace of 30 messages a minute, the delay of permissions, the dates of messages. So a test never sleeps:
/// it puts this clock forward with [`advance`](Self::advance), or runs under tokio's paused clock, which this one
/// follows; nothing in the sandbox waits by other means than tokio's. Clones are the same clock.
#[derive(Debug, Clone)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    start: Instant,
    origin: Timestamp,
    /// How far it was put forward in all.
    ahead: watch::Sender<Duration>,
}

impl Clock {
    /// Shows the time of the system now.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner {
            start: Instant::now(),
            origin: Timestamp::now(),
            ahead: watch::Sender::new(Duration::ZERO),
        }))
    }

    /// The time in the sandbox.
    pub fn now(&self) -> Timestamp {
        // Beyond the year 9999 it stands still.
        self.0
            .origin
            .saturating_add(self.elapsed())
            .unwrap_or(Timestamp::MAX)
    }

    /// Puts the clock forward. Whoever waits for a time that has come by then goes on.
    pub fn advance(&self, by: Duration) {
        self.0
            .ahead
            .send_modify(|ahead| *ahead = ahead.saturating_add(by));
    }

    fn elapsed(&self) -> Duration {
        self.0.start.elapsed().saturating_add(*self.0.ahead.borrow())
    }

    /// Waits for as long.
    pub(crate) async fn sleep(&self, time: Duration) {
        let end = self.elapsed().saturating_add(time);
        let mut ahead = self.0.ahead.subscribe();
        loop {
            // Marked as seen before looking, so that no advance falls in between.
            ahead.borrow_and_update();
            let left = end.saturating_sub(self.elapsed());
            if left.is_zero() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(left) => {}
                // The sender lives as long as this clock.
                _ = ahead.changed() => {}
            }
        }
    }

    /// Waits until this time has come.
    pub(crate) async fn sleep_until(&self, at: Timestamp) {
        // Not long ago is no time to wait for.
        let left = Duration::try_from(at.duration_since(self.now())).unwrap_or_default();
        self.sleep(left).await;
    }

    /// The future's outcome; `None` if it takes longer than that.
    pub(crate) async fn timeout<F: Future>(&self, limit: Duration, future: F) -> Option<F::Output> {
        tokio::select! {
            biased;
            done = future => Some(done),
            () = self.sleep(limit) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test(start_paused = true)]
    async fn it_follows_tokios_paused_clock() {
        let clock = Clock::new();
        let start = clock.now();
        assert_eq!(clock.timeout(HOUR, std::future::pending::<()>()).await, None);
        clock.sleep_until(start + 2 * HOUR).await;
        assert_eq!(clock.now(), start + 2 * HOUR);
        clock.sleep_until(start).await;
        assert_eq!(clock.now(), start + 2 * HOUR);
    }

    #[tokio::test]
    async fn putting_it_forward_wakes_who_waits() {
        let clock = Clock::new();
        let start = clock.now();
        let (slept, ()) = tokio::join!(clock.timeout(48 * HOUR, clock.sleep(24 * HOUR)), async {
            tokio::task::yield_now().await;
            clock.advance(12 * HOUR);
            tokio::task::yield_now().await;
            clock.advance(12 * HOUR);
        });
        assert_eq!(slept, Some(()));
        assert!(clock.now() >= start + 24 * HOUR);
        clock.advance(Duration::MAX);
        assert_eq!(clock.now(), Timestamp::MAX);
    }
}
