//! [`Watch`]: the new messages of a folder as they come, for weeks.

mod backoff;
mod watcher;

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use self::watcher::Watcher;
use super::Mailbox;
use super::checkpoint::Checkpoint;
use super::query::MessageRef;
use crate::deadline::CancelToken;
use crate::error::{Error, ErrorKind, Layer, Result};
use crate::imap::Summary;

/// Servers may hang up on a client that is silent for 30 minutes (RFC 2177 §3); Exchange does.
const LONGEST_SILENCE: Duration = Duration::from_secs(24 * 60);
const SHORTEST_POLL: Duration = Duration::from_secs(1);

/// What a [`Watch`] tells.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum WatchEvent {
    /// A message that was not told before.
    Message {
        /// The message.
        id: MessageRef,
        /// What a list shows of it. All but the UID is empty where the server has the message and can't show it.
        summary: Box<Summary>,
        /// Store it once the message is handled: then it is not told again.
        checkpoint: Checkpoint,
    },
    /// All that is there has been told; what follows is new. Comes once at the start, then behind each batch of messages.
    CaughtUp {
        /// The point from which to go on. Store the first one, too: what comes while the program is down is then not lost.
        checkpoint: Checkpoint,
    },
    /// The server rebuilt the folder (another UIDVALIDITY): which messages were handled can't be said any more. The watch
    /// goes on as [`Watch::after_reset`] says.
    Reset {
        /// The last point in the folder as it was.
        before: Checkpoint,
        /// The point in the new one from which the watch goes on.
        checkpoint: Checkpoint,
    },
    /// The session ended or could not be opened. The watch comes back by itself.
    Interrupted {
        /// Why.
        error: Error,
        /// How long it waits before it tries (again).
        pause: Duration,
    },
    /// The folder is open again after [`Interrupted`](Self::Interrupted). Nothing was missed.
    Healed {
        /// The point from which it goes on.
        checkpoint: Checkpoint,
    },
}

/// Where a watch goes on in a folder that the server rebuilt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AfterReset {
    /// With its first message: nothing is lost, but messages handled before come again.
    #[default]
    Beginning,
    /// With the next message that arrives.
    Now,
}

/// The messages that arrive in a folder, each told once, over any number of connections. See [`Mailbox::watch`].
///
/// A task of its own keeps a connection of its own. It waits with IDLE, renewed well before servers hang up, and asks
/// every minute where the server has no IDLE or refuses it. When the session ends, for whatever reason, it connects
/// again, with a fresh token where the old one ran out, after growing pauses with jitter, or as long as the server says,
/// and goes on where it stopped.
///
/// Nothing runs before the first event is asked for; dropping the watch ends it. The options count from the start only.
#[derive(Debug)]
pub struct Watch {
    plan: Plan,
    phase: Phase,
}

#[derive(Clone, Debug)]
struct Plan {
    mailbox: Mailbox,
    folder: String,
    since: Option<Checkpoint>,
    after_reset: AfterReset,
    poll: Duration,
    idle: Duration,
    stop: CancelToken,
}

enum Phase {
    New,
    Running {
        events: mpsc::Receiver<WatchEvent>,
        task: JoinHandle<Error>,
    },
    Ended,
}

impl Mailbox {
    /// Watches a folder for new messages: those behind `since`, or without it those that arrive from now on.
    ///
    /// Each message is told once. A program that stores the checkpoint of each message it is done with, and begins with it
    /// when it starts again, loses none, and gets none twice but the one it was at when it was killed.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use exomail::{Checkpoint, WatchEvent};
    /// # use exomail::{App, Cloud, Endpoint};
    /// # let sandbox = exomail_sandbox::Sandbox::start().await?;
    /// # let cloud = Cloud::custom(sandbox.authority())?
    /// #     .with_imap(Endpoint::implicit_tls("localhost", sandbox.imap().1));
    /// # let app = App::builder(sandbox.tenant(), sandbox.client_id()).client_secret(sandbox.client_secret())
    /// #     .cloud(cloud).extra_ca_pem(sandbox.ca_pem().as_bytes()).build()?;
    /// # sandbox.deliver("joe@contoso.example", "Subject: Hello\r\n\r\nx\r\n")?;
    /// # let mut stored = None;
    /// let mailbox = app.mailbox("joe@contoso.example")?;
    /// let mut watch = mailbox.watch("INBOX", Some(Checkpoint::beginning("INBOX")));
    /// loop {
    ///     match watch.next().await? {
    ///         WatchEvent::Message { id, summary, checkpoint } => {
    ///             println!("{}: {}", summary.envelope.subject, mailbox.message(&id).await?.text().unwrap_or_default());
    ///             stored = Some(checkpoint.to_string());
    ///         }
    ///         WatchEvent::Interrupted { error, pause } => eprintln!("{error}; again in {pause:?}"),
    ///         WatchEvent::CaughtUp { .. } => break, // or go on: the next event comes with the next message
    ///         _ => {}
    ///     }
    /// }
    /// # assert!(stored.is_some());
    /// # Ok(()) }
    /// ```
    pub fn watch(&self, folder: impl Into<String>, since: Option<Checkpoint>) -> Watch {
        Watch {
            plan: Plan {
                mailbox: self.clone(),
                folder: folder.into(),
                since,
                after_reset: AfterReset::default(),
                poll: Duration::from_secs(60),
                // More often than it must be: a connection that a firewall forgot is noticed then.
                idle: Duration::from_secs(10 * 60),
                stop: CancelToken::new(),
            },
            phase: Phase::New,
        }
    }
}

impl Watch {
    /// Where to go on when the server rebuilt the folder. Default: with its first message.
    #[must_use]
    pub fn after_reset(mut self, how: AfterReset) -> Self {
        self.plan.after_reset = how;
        self
    }

    /// How often to ask where the server has no IDLE: from a second to 24 minutes. Default: a minute.
    #[must_use]
    pub fn poll_every(mut self, interval: Duration) -> Self {
        self.plan.poll = interval.clamp(SHORTEST_POLL, LONGEST_SILENCE);
        self
    }

    /// How long to wait with one IDLE before asking for a sign of life: from a second to 24 minutes. Default: 10 minutes.
    #[must_use]
    pub fn idle_for(mut self, time: Duration) -> Self {
        self.plan.idle = time.clamp(SHORTEST_POLL, LONGEST_SILENCE);
        self
    }

    /// Ends with [`ErrorKind::Cancelled`] when the token is cancelled.
    #[must_use]
    pub fn stop_with(mut self, token: &CancelToken) -> Self {
        self.plan.stop = token.clone();
        self
    }

    /// What happens next. Dropping the future loses nothing; the next call goes on.
    ///
    /// # Errors
    /// What a new try would not change, and what did not change after some: [`ErrorKind::AuthRejected`],
    /// [`ErrorKind::MailboxUnavailable`], [`ErrorKind::NotFound`] when there is no such folder, those of the app's
    /// credentials; [`ErrorKind::InvalidArgument`] for a checkpoint of another folder; [`ErrorKind::Cancelled`]. The watch
    /// has ended then, and every later call says [`ErrorKind::State`]: make a new one with the last checkpoint.
    pub async fn next(&mut self) -> Result<WatchEvent> {
        std::future::poll_fn(|context| self.poll_event(context)).await
    }

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Result<WatchEvent>> {
        if self.plan.stop.is_cancelled() && !matches!(self.phase, Phase::Ended) {
            self.end();
            return Poll::Ready(Err(cancelled()));
        }
        if matches!(self.phase, Phase::New) {
            self.phase = self.start()?;
        }
        let Phase::Running { events, task } = &mut self.phase else {
            return Poll::Ready(Err(ended("the watch has ended")));
        };
        if let Some(event) = ready!(events.poll_recv(context)) {
            return Poll::Ready(Ok(event));
        }
        let verdict = ready!(Pin::new(task).poll(context));
        self.phase = Phase::Ended;
        Poll::Ready(Err(verdict.unwrap_or_else(|error| {
            ended("the runtime of the watch has ended").with_source(error)
        })))
    }

    fn start(&self) -> Result<Phase> {
        let runtime = Handle::try_current().map_err(|error| {
            ended("there is no tokio runtime")
                .with_hint("call it inside a tokio runtime with time and I/O enabled")
                .with_source(error)
        })?;
        // One: what is not asked for is not fetched either.
        let (sender, events) = mpsc::channel(1);
        let watcher = Watcher::new(self.plan.clone(), sender)?;
        Ok(Phase::Running {
            events,
            task: runtime.spawn(watcher.run()),
        })
    }

    fn end(&mut self) {
        if let Phase::Running { task, .. } = &self.phase {
            task.abort();
        }
        self.phase = Phase::Ended;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end();
    }
}

/// The events; the first error is the last item.
impl Stream for Watch {
    type Item = Result<WatchEvent>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if matches!(self.phase, Phase::Ended) {
            return Poll::Ready(None);
        }
        let event = ready!(self.poll_event(context));
        if event.is_err() {
            self.end();
        }
        Poll::Ready(Some(event))
    }
}

impl fmt::Debug for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::New => "New",
            Phase::Running { .. } => "Running",
            Phase::Ended => "Ended",
        })
    }
}

fn ended(detail: &'static str) -> Error {
    Error::new(ErrorKind::State, "watch", detail).with_layer(Layer::Local)
}

fn cancelled() -> Error {
    Error::new(ErrorKind::Cancelled, "watch", "cancelled by the caller")
}
