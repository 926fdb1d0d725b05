//! [`Clock`]: the time of day, moved on by tokio's clock, so that what is written down and what is waited for agree,
//! and tests can pause both.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

#[derive(Clone, Debug)]
pub(super) struct Clock {
    started: Timestamp,
    at: Instant,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self {
            started: Timestamp::now(),
            at: Instant::now(),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.started
            .checked_add(self.at.elapsed())
            .unwrap_or(Timestamp::MAX)
    }
}

/// How long after `from` `to` is; zero when it is before.
pub(super) fn since(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}
