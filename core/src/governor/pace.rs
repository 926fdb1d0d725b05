//! [`Pace`]: so many mails in any minute, the rest a little later.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

const MINUTE: Duration = Duration::from_secs(60);

/// Lets at most `limit` callers pass in any 60 seconds, in the order they came. A bucket that fills while nothing is
/// sent would let twice as many pass in a minute that begins with a full one, so the last passes are remembered.
#[derive(Debug)]
pub(super) struct Pace {
    limit: usize,
    /// Whoever holds it is the first in line.
    first: Semaphore,
    passed: Mutex<VecDeque<Instant>>,
}

impl Pace {
    pub(super) fn new(limit: u32) -> Self {
        Self {
            limit: limit.max(1) as usize,
            first: Semaphore::new(1),
            passed: Mutex::default(),
        }
    }

    /// Waits until one more may pass. Whoever leaves before has not passed.
    pub(super) async fn pass(&self) {
        let _first = self.first.acquire().await;
        while let Some(at) = self.try_pass(Instant::now()) {
            tokio::time::sleep_until(at).await;
        }
    }

    /// Passes, or tells when that will be possible.
    fn try_pass(&self, now: Instant) -> Option<Instant> {
        let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        while passed.front().is_some_and(|at| *at + MINUTE <= now) {
            passed.pop_front();
        }
        if passed.len() >= self.limit {
            return passed.front().map(|at| *at + MINUTE);
        }
        passed.push_back(now);
        None
    }

    /// Whether nothing passed within the last minute.
    pub(super) fn is_idle(&self) -> bool {
        let passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        passed.back().is_none_or(|at| at.elapsed() >= MINUTE)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn thirty_pass_in_any_minute_and_all_pass_in_the_end() {
        let (pace, started) = (Arc::new(Pace::new(30)), Instant::now());
        let callers: Vec<_> = (0..100)
            .map(|_| {
                let pace = pace.clone();
                tokio::spawn(async move {
                    pace.pass().await;
                    started.elapsed()
                })
            })
            .collect();
        let mut passed = Vec::new();
        for caller in callers {
            passed.push(caller.await.unwrap());
        }
        for window in passed.windows(31) {
            assert!(window[30] - window[0] >= MINUTE, "{window:?}");
        }
        assert_eq!(passed[99].as_secs(), 180);
        tokio::time::sleep(MINUTE).await;
        assert!(pace.is_idle());
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_the_line_takes_no_turn() {
        let (pace, started) = (Pace::new(1), Instant::now());
        pace.pass().await;
        for _ in 0..10 {
            let left = tokio::time::timeout(Duration::from_secs(1), pace.pass()).await;
            assert!(left.is_err());
        }
        pace.pass().await;
        assert_eq!(started.elapsed(), MINUTE);
    }
}
