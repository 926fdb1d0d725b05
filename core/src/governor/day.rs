//! [`Day`]: the recipients of the last 24 hours.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::error::{Error, ErrorKind, Layer, Result, Retry, Step};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Recipients of the same minute are counted together, so that a day is no more than 1441 numbers.
const GRAIN: Duration = Duration::from_secs(60);

/// Counts recipients in a sliding day.
#[derive(Debug)]
pub(super) struct Day {
    limit: u32,
    counts: Mutex<VecDeque<(Instant, u32)>>,
}

/// Recipients that are counted before their mail is sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    at: Instant,
    recipients: u32,
}

impl Day {
    pub(super) fn new(limit: u32) -> Self {
        Self {
            limit: limit.max(1),
            counts: Mutex::default(),
        }
    }

    /// Counts the recipients of a mail that is about to be sent.
    ///
    /// # Errors
    /// [`ErrorKind::QuotaExceeded`] when that is more than the day has left; the retry class says when it has enough.
    pub(super) fn count(&self, recipients: usize) -> Result<Counted> {
        let wanted = u32::try_from(recipients).unwrap_or(u32::MAX);
        let now = Instant::now();
        let mut counts = self.counts(now);
        let used = total(&counts);
        // No limit is no limit, though the numbers end there.
        if used.saturating_add(wanted) > self.limit {
            return Err(self.refusal(&counts, now, used, wanted));
        }
        match counts.back_mut() {
            Some((at, count)) if now.duration_since(*at) < GRAIN => {
                *count = count.saturating_add(wanted);
                Ok(Counted {
                    at: *at,
                    recipients: wanted,
                })
            }
            _ => {
                counts.push_back((now, wanted));
                Ok(Counted {
                    at: now,
                    recipients: wanted,
                })
            }
        }
    }

    /// Gives back those of the recipients that got nothing for certain.
    pub(super) fn settle(&self, counted: Counted, reached: usize) {
        let reached = u32::try_from(reached).unwrap_or(u32::MAX);
        let mut counts = self.counts(Instant::now());
        if let Some((_, count)) = counts.iter_mut().find(|(at, _)| *at == counted.at) {
            *count = count.saturating_sub(counted.recipients.saturating_sub(reached));
        }
    }

    /// How many recipients the last 24 hours have had.
    pub(super) fn used(&self) -> u32 {
        total(&self.counts(Instant::now()))
    }

    fn refusal(&self, counts: &VecDeque<(Instant, u32)>, now: Instant, used: u32, wanted: u32) -> Error {
        let detail = format!(
            "{used} of the mailbox's {} recipients of 24 hours are used up, and this mail has {wanted}",
            self.limit
        );
        let error = Error::new(ErrorKind::QuotaExceeded, "send", detail)
            .with_layer(Layer::Smtp)
            .with_step(Step::Client)
            .with_hint("nothing was sent; send it later, or spread the mail over several mailboxes");
        // Those of a grain are over when the last of them is.
        let mut left = used;
        let free = counts.iter().find_map(|(at, count)| {
            left = left.saturating_sub(*count);
            (left.saturating_add(wanted) <= self.limit).then_some(*at + DAY + GRAIN)
        });
        match free {
            Some(at) => error.with_retry(Retry::After(at.saturating_duration_since(now))),
            None => error,
        }
    }

    fn counts(&self, now: Instant) -> MutexGuard<'_, VecDeque<(Instant, u32)>> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        while counts.front().is_some_and(|(at, _)| *at + DAY + GRAIN <= now) {
            counts.pop_front();
        }
        counts
    }
}

fn total(counts: &VecDeque<(Instant, u32)>) -> u32 {
    counts
        .iter()
        .fold(0, |sum, (_, count)| sum.saturating_add(*count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_day_slides_and_says_when_it_has_room() {
        let day = Day::new(100);
        day.count(60).unwrap();
        tokio::time::sleep(Duration::from_secs(3600)).await;
        let second = day.count(40).unwrap();
        let error = day.count(1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::QuotaExceeded);
        assert_eq!(
            error.retry(),
            Retry::After(DAY + GRAIN - Duration::from_secs(3600))
        );
        // More than fits in a whole day never fits.
        assert_eq!(day.count(101).unwrap_err().retry(), Retry::Never);
        // What the server refused is free again.
        day.settle(second, 10);
        assert_eq!(day.used(), 70);
        day.count(30).unwrap();
        let Retry::After(pause) = day.count(1).unwrap_err().retry() else {
            panic!("a pause was expected");
        };
        tokio::time::sleep(pause).await;
        day.count(60).unwrap();
        assert!(day.count(1).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_day_stays_small() {
        let day = Day::new(u32::MAX);
        for _ in 0..50_000 {
            day.count(1).unwrap();
            tokio::time::advance(Duration::from_secs(7)).await;
        }
        assert!(day.counts.lock().unwrap().len() <= 1442);
        assert!((12_000..13_000).contains(&day.used()), "{}", day.used());
    }
}
