//! [`Deadline`] and [`CancelToken`]: the only clock and the only stop.
//!
//! Every step on the network already has a time limit of its own (see [`Timeouts`](crate::net::Timeouts)).
//! A `Deadline` bounds a whole call, whatever it does, and carries the switch that stops it early:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! use std::time::Duration;
//! use exomail::{CancelToken, Deadline, ErrorKind};
//!
//! let stop = CancelToken::new();
//! let deadline = Deadline::after(Duration::from_secs(5)).with_cancel(&stop);
//! stop.cancel();
//! let error = deadline.limit("send", async { Ok(()) }).await.unwrap_err();
//! assert_eq!(error.kind(), ErrorKind::Cancelled);
//! # }
//! ```
//!
//! A call that is cut this way, or whose future is dropped, leaves its session *spent*: the connection is closed and
//! the next call on it says so. Nothing half-read is ever taken for the answer to a later command.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, ErrorKind, Result};

/// A switch that any thread may throw at any moment to stop the calls that were given it. Clones share the switch.
#[derive(Clone, Debug, Default)]
pub struct CancelToken(CancellationToken);

impl CancelToken {
    /// A switch that has not been thrown.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops every call that was given this token, now and later. Can't be undone.
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// Whether [`cancel`](Self::cancel) was called.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits until the token is cancelled.
    pub async fn cancelled(&self) {
        self.0.cancelled().await;
    }
}

/// A point in time after which a call is given up, and optionally a [`CancelToken`] that stops it before.
#[derive(Clone, Debug, Default)]
pub struct Deadline {
    at: Option<Instant>,
    cancel: Option<CancelToken>,
}

impl Deadline {
    /// No limit beyond those of each step.
    pub fn none() -> Self {
        Self::default()
    }

    /// A deadline this far from now. A duration past what the clock can express means no limit.
    pub fn after(duration: Duration) -> Self {
        Self {
            at: Instant::now().checked_add(duration),
            cancel: None,
        }
    }

    /// Adds a switch that stops the call early.
    #[must_use]
    pub fn with_cancel(mut self, token: &CancelToken) -> Self {
        self.cancel = Some(token.clone());
        self
    }

    /// What is left, or `None` where there is no limit. Zero when the deadline has passed.
    pub fn remaining(&self) -> Option<Duration> {
        self.at.map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Runs `future` within this deadline.
    ///
    /// # Errors
    /// [`ErrorKind::TimedOut`] or [`ErrorKind::Cancelled`] with `operation` named, or the future's own error.
    pub async fn limit<T>(
        &self,
        operation: &'static str,
        future: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let timer = async {
            match self.at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let stop = async {
            match &self.cancel {
                Some(token) => token.cancelled().await,
                None => std::future::pending().await,
            }
        };
        // Biased: a token that is already cancelled, or a deadline that has already passed, wins over a future that
        // happens to be ready, so that the outcome does not depend on chance.
        tokio::select! {
            biased;
            () = stop => Err(Error::new(ErrorKind::Cancelled, operation, "cancelled by the caller")),
            () = timer => Err(Error::new(ErrorKind::TimedOut, operation, "the deadline of the call has passed")),
            result = future => result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_silent_future_times_out() {
        let deadline = Deadline::after(Duration::from_secs(3));
        let started = Instant::now();
        let error = deadline
            .limit("fetch", std::future::pending::<Result<()>>())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(error.operation(), "fetch");
        assert_eq!(started.elapsed(), Duration::from_secs(3));
        assert_eq!(deadline.remaining(), Some(Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn another_task_can_cancel() {
        let token = CancelToken::new();
        let remote = token.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            remote.cancel();
        });
        let deadline = Deadline::none().with_cancel(&token);
        let error = deadline
            .limit("send", std::future::pending::<Result<()>>())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
        assert!(token.is_cancelled());
    }

    #[tokio::test]
    async fn the_longest_duration_is_no_limit() {
        assert!(Deadline::after(Duration::MAX).remaining().is_none());
        assert!(
            Deadline::after(Duration::MAX)
                .limit("x", async { Ok(7) })
                .await
                .is_ok()
        );
    }
}
