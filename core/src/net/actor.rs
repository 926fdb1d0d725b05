//! One task per connection.
//!
//! The task owns the engine (protocol state and [`Wire`](super::Wire)); callers send it jobs and wait for the answer.
//! A caller that goes away in the middle of a job takes the connection with it: the task drops the engine, which
//! closes the socket, and every later call is told that the session is spent. So half an exchange is never left on a
//! connection that is used again, whichever way the caller went: dropped future, cancel token, deadline, panic.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::sync::{mpsc, oneshot};

use crate::error::{Error, ErrorKind, Layer, Result};

const CUT: &str = "a call was cut before the server had answered";
const BROKEN: &str = "the connection broke in an earlier call";

/// The future of one job, borrowing the engine.
pub(crate) type Job<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

type Task<E> = Box<dyn for<'a> FnOnce(&'a mut E) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>> + Send>;

/// A protocol engine: what an actor owns.
pub(crate) trait Engine: Send + 'static {
    /// The protocol, for errors.
    const LAYER: Layer;

    /// Whether the connection is gone or can't be trusted any more.
    fn is_broken(&self) -> bool;
}

/// The callers' end. Dropping it ends the task and closes the connection.
#[derive(Debug)]
pub(crate) struct Actor<E> {
    tasks: mpsc::Sender<Task<E>>,
    /// Why the session is spent, once it is.
    spent: Arc<OnceLock<&'static str>>,
}

/// The caller of a job. When it goes away while the job is under way, the session is spent at once: it must not look
/// usable until the task has noticed.
struct Caller<'a> {
    waits: Arc<AtomicBool>,
    spent: &'a OnceLock<&'static str>,
}

impl Drop for Caller<'_> {
    fn drop(&mut self) {
        if self.waits.load(Ordering::Acquire) {
            let _ = self.spent.set(CUT);
        }
    }
}

impl<E: Engine> Actor<E> {
    /// Starts the task. Must be called within a tokio runtime.
    pub(crate) fn spawn(mut engine: E) -> Self {
        let (tasks, mut inbox) = mpsc::channel::<Task<E>>(1);
        let spent = Arc::new(OnceLock::new());
        let verdict = spent.clone();
        tokio::spawn(async move {
            while let Some(task) = inbox.recv().await {
                let finished = task(&mut engine).await;
                if !finished {
                    let _ = verdict.set(CUT);
                    break;
                }
                if engine.is_broken() {
                    break;
                }
            }
        });
        Self { tasks, spent }
    }

    /// Whether later calls can only fail.
    pub(crate) fn is_spent(&self) -> bool {
        self.spent.get().is_some() || self.tasks.is_closed()
    }

    /// Runs `job` on the engine and waits for its answer. Dropping the returned future spends the session.
    pub(crate) async fn call<T, F>(&self, operation: &'static str, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'a> FnOnce(&'a mut E) -> Job<'a, T> + Send + 'static,
    {
        let waits = Arc::new(AtomicBool::new(false));
        let begun = waits.clone();
        let caller = Caller {
            waits,
            spent: &self.spent,
        };
        let spent = self.spent.clone();
        let (mut reply, answer) = oneshot::channel();
        let task: Task<E> = Box::new(move |engine| {
            Box::pin(async move {
                if reply.is_closed() {
                    // The caller left before the job began: nothing was said, nothing is spoilt.
                    return true;
                }
                begun.store(true, Ordering::Release);
                let result = tokio::select! {
                    biased;
                    result = job(&mut *engine) => result,
                    () = reply.closed() => return false,
                };
                // Before the answer: whoever has that may ask at once, on another thread.
                if engine.is_broken() {
                    let _ = spent.set(BROKEN);
                }
                let _ = reply.send(result);
                true
            })
        });
        if self.tasks.send(task).await.is_err() {
            return Err(self.spent_error(operation));
        }
        let answer = answer.await;
        caller.waits.store(false, Ordering::Release);
        answer.unwrap_or_else(|_| Err(self.spent_error(operation)))
    }

    fn spent_error(&self, operation: &'static str) -> Error {
        let reason = self.spent.get().copied().unwrap_or("the session has ended");
        Error::new(
            ErrorKind::State,
            operation,
            format!("this session can't be used any more: {reason}"),
        )
        .with_layer(E::LAYER)
        .with_hint("open a new session")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[derive(Debug, Default)]
    struct Counter {
        value: u32,
        broken: bool,
    }

    impl Engine for Counter {
        const LAYER: Layer = Layer::Imap;

        fn is_broken(&self) -> bool {
            self.broken
        }
    }

    #[tokio::test]
    async fn jobs_run_in_order_and_answer() {
        let actor = Actor::spawn(Counter::default());
        for expected in 1..=3 {
            let value = actor
                .call("add", |engine| {
                    Box::pin(async move {
                        engine.value += 1;
                        Ok(engine.value)
                    })
                })
                .await;
            assert_eq!(value.unwrap(), expected);
        }
        assert!(!actor.is_spent());
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_goes_away_spends_the_session() {
        let actor = Actor::spawn(Counter::default());
        let slow = actor.call("slow", |_| Box::pin(std::future::pending::<Result<()>>()));
        assert!(tokio::time::timeout(Duration::from_secs(1), slow).await.is_err());
        // At once, though the task has not run since.
        assert!(actor.is_spent());
        let error = actor
            .call("next", |engine| Box::pin(async { Ok(engine.value) }))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::State);
        assert!(error.detail().contains("cut"), "{error}");
        assert!(actor.is_spent());
    }

    #[tokio::test]
    async fn a_caller_that_goes_away_before_its_job_began_spoils_nothing() {
        let actor = Actor::spawn(Counter::default());
        {
            let early = actor.call("early", |_| Box::pin(std::future::pending::<Result<()>>()));
            assert!(futures_util::FutureExt::now_or_never(early).is_none());
        }
        assert!(!actor.is_spent());
        let value = actor
            .call("next", |engine| Box::pin(async { Ok(engine.value) }))
            .await;
        assert_eq!(value.unwrap(), 0);
        assert!(!actor.is_spent());
    }

    #[tokio::test]
    async fn a_broken_engine_answers_once_and_then_is_spent() {
        let actor = Actor::spawn(Counter::default());
        let broke = actor
            .call("break", |engine| {
                Box::pin(async move {
                    engine.broken = true;
                    Err::<(), _>(Error::new(ErrorKind::ConnectionLost, "read", "gone"))
                })
            })
            .await;
        assert_eq!(broke.unwrap_err().kind(), ErrorKind::ConnectionLost);
        let next = actor
            .call("next", |engine| Box::pin(async { Ok(engine.value) }))
            .await;
        assert_eq!(next.unwrap_err().kind(), ErrorKind::State);
    }

    #[tokio::test]
    async fn a_job_that_panics_spends_the_session_and_nothing_else() {
        let actor = Actor::spawn(Counter::default());
        let result = actor
            .call("boom", |_| Box::pin(async { panic!("boom") as Result<()> }))
            .await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::State);
        assert!(actor.is_spent());
    }
}
