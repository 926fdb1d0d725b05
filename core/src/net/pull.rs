//! [`Pull`]: what a job of an actor sends piece by piece, pulled by the caller.

use std::fmt;

use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use crate::error::Result;

/// A job under way and the events that it sends.
pub(crate) struct Pull<'a, T> {
    /// `None` once it has ended.
    job: Option<BoxFuture<'a, Result<()>>>,
    events: mpsc::Receiver<T>,
    verdict: Result<()>,
}

impl<'a, T> Pull<'a, T> {
    /// `job` sends to the other end of `events` and drops it when it ends. It begins with the first [`Pull::next`].
    pub(crate) fn new(job: impl Future<Output = Result<()>> + Send + 'a, events: mpsc::Receiver<T>) -> Self {
        Self {
            job: Some(Box::pin(job)),
            events,
            verdict: Ok(()),
        }
    }

    /// The next event; `None` when the job has ended and everything was told. Dropping the future loses nothing.
    ///
    /// # Errors
    /// The job's, behind the events that came before it.
    pub(crate) async fn next(&mut self) -> Result<Option<T>> {
        loop {
            let Some(job) = &mut self.job else {
                return match self.events.recv().await {
                    Some(event) => Ok(Some(event)),
                    None => std::mem::replace(&mut self.verdict, Ok(())).map(|()| None),
                };
            };
            // The job must be polled: it is what asks the session to begin.
            tokio::select! {
                biased;
                verdict = job => {
                    self.job = None;
                    self.verdict = verdict;
                }
                Some(event) = self.events.recv() => return Ok(Some(event)),
            }
        }
    }
}

impl<T> fmt::Debug for Pull<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pull")
            .field("done", &self.job.is_none())
            .finish_non_exhaustive()
    }
}
