//! A durable queue of outgoing mail: a folder that survives a crash at any moment.
//!
//! A program hands its mail to an [`Outbox`] and may forget it; a worker, in the same program or another one, sends it.
//! What [`add`](Outbox::add) has returned for is on the disk. No mail is lost and none is sent twice: before the last
//! of a message goes out the worker writes down that it does, so a mail that was under way when the process died is
//! sent again where it can't have been delivered, and set apart as [`State::Unknown`] where it may have been. The
//! caller decides on those, or lets the worker look for them in the folder for sent items
//! ([`UnknownPolicy::CheckSent`]).
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use exomail::outbox::{DrainOptions, Outbox};
//! # use exomail::{App, Cloud, Endpoint};
//! # let sandbox = exomail_sandbox::Sandbox::builder()
//! #     .mailbox("joe@contoso.example").mailbox("ann@contoso.example").start().await?;
//! # let cloud = Cloud::custom(sandbox.authority())?
//! #     .with_smtp(Endpoint::start_tls("localhost", sandbox.smtp().1));
//! # let app = App::builder(sandbox.tenant(), sandbox.client_id()).client_secret(sandbox.client_secret())
//! #     .cloud(cloud).extra_ca_pem(sandbox.ca_pem().as_bytes()).build()?;
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("outbox");
//!
//! let joe = app.mailbox("joe@contoso.example")?;
//! let mail = joe.compose().to("ann@contoso.example").subject("Hello").text("Hello, Ann").build()?;
//!
//! let outbox = Outbox::open(path)?;
//! let queued = outbox.add(joe.address(), &mail).await?;
//! assert!(queued.is_new);
//! // Doing it again does nothing: the message is known by its Message-ID.
//! assert!(!outbox.add(joe.address(), &mail).await?.is_new);
//!
//! let drained = outbox.drain(&app, &DrainOptions::default()).await?;
//! assert_eq!((drained.sent, drained.dead), (1, 0));
//! # assert_eq!(sandbox.messages("ann@contoso.example", "INBOX").len(), 1);
//! # Ok(()) }
//! ```
//!
//! # On the disk
//!
//! | folder | holds |
//! |---|---|
//! | `tmp/` | messages that are being added |
//! | `new/` | messages that wait |
//! | `sending/` | messages whose last byte may be on its way |
//! | `unknown/` | messages that may or may not have been sent |
//! | `dead/` | messages that can't be sent, with the reason |
//! | `sent/` | what was sent, without the messages themselves: so that none is queued again |
//! | `damaged/` | files that are no messages, each with a `.reason` |
//!
//! One file is one message: head, the RFC 5322 bytes, and behind them a journal that only grows. Its folder is its
//! state, and a state changes by a rename. Any number of processes may add; one at a time sends (a lock that the
//! operating system gives back when the process ends). The folder must be on a local file system. Messages lie there
//! in the clear, readable by the user alone (mode 0700).

mod add;
mod attempt;
mod clock;
mod entry;
mod file;
mod id;
mod judge;
mod options;
mod sent_items;
mod spool;
mod worker;

use std::path::{Path, PathBuf};

pub use add::{AddOptions, Queued};
pub use entry::{Damaged, Entry, Reason, Recipient, RecipientState, State};
pub use id::OutboxId;
pub use judge::RetryPolicy;
pub use options::{DrainOptions, Drained, Event, Listener, UnknownPolicy};

use crate::app::App;
use crate::error::{Error, ErrorKind, Result};
use crate::message::{OutgoingMessage, RawMessage};
use crate::smtp::Envelope;
use file::Record;
use spool::{Loaded, Spool};
use worker::{Until, Worker};

/// A folder of mail to send. Cheap to clone; see the [module](self) for what it promises.
#[derive(Clone, Debug)]
pub struct Outbox {
    spool: Spool,
}

impl Outbox {
    /// Opens the folder, and makes it where it is missing.
    ///
    /// # Errors
    /// [`ErrorKind::LocalIo`] when it can't be made.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        Ok(Self {
            spool: Spool::open(path.into())?,
        })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.spool.root()
    }

    /// Queues a message, to be sent through `mailbox` (its primary address). It is on the disk when this returns.
    ///
    /// A message whose Message-ID is in the outbox already, in whatever state, is not queued again: what is returned
    /// then tells that state.
    ///
    /// # Errors
    /// [`ErrorKind::LocalIo`] when the disk or an attached file fails; [`ErrorKind::InvalidArgument`] when `mailbox` is
    /// no address.
    pub async fn add(&self, mailbox: &str, message: &OutgoingMessage) -> Result<Queued> {
        let raw = message.clone().into_raw();
        self.add_raw(mailbox, message.envelope(), raw, &AddOptions::default())
            .await
    }

    /// As [`add`](Self::add), for ready bytes, streamed to the disk. A message without a Message-ID gets one, as a line
    /// in front: without one nobody could tell later whether it was sent.
    ///
    /// # Errors
    /// As [`add`](Self::add); [`ErrorKind::InvalidMessage`] when the message is empty.
    pub async fn add_raw(
        &self,
        mailbox: &str,
        envelope: &Envelope,
        message: RawMessage,
        options: &AddOptions,
    ) -> Result<Queued> {
        add::add(&self.spool, mailbox, envelope, message, options).await
    }

    /// The messages in this state, oldest first. Files that are no messages are left out; a worker sets them aside.
    ///
    /// # Errors
    /// [`ErrorKind::LocalIo`] when the folder can't be read.
    pub fn entries(&self, state: State) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for name in self.spool.names(state)? {
            if let Some(id) = name.to_str().and_then(|name| name.parse::<OutboxId>().ok())
                && let Loaded::Message(message) = self.spool.load(state, &id)?
            {
                entries.push(message.entry(state));
            }
        }
        entries.sort_by(|a, b| (a.queued, &a.id).cmp(&(b.queued, &b.id)));
        Ok(entries)
    }

    /// One message, whatever its state.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is none of this id.
    pub fn entry(&self, id: &OutboxId) -> Result<Entry> {
        for state in State::ALL {
            if let Loaded::Message(message) = self.spool.load(state, id)? {
                return Ok(message.entry(state));
            }
        }
        Err(not_there(id))
    }

    /// The files that were set aside because they are no messages.
    ///
    /// # Errors
    /// [`ErrorKind::LocalIo`] when the folder can't be read.
    pub fn damaged(&self) -> Result<Vec<Damaged>> {
        self.spool.damaged()
    }

    /// Queues a dead message again, or one of unknown outcome, which may so be sent twice. Recipients that have
    /// it already do not get it again.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is none of this id; [`ErrorKind::InvalidArgument`] when it waits already, is
    /// being sent or was sent.
    pub fn retry(&self, id: &OutboxId) -> Result<Entry> {
        let entry = self.entry(id)?;
        if !matches!(entry.state, State::Dead | State::Unknown) {
            let detail = format!("message {id} is {}", entry.state);
            return Err(Error::new(ErrorKind::InvalidArgument, "retry", detail)
                .with_hint("only dead messages and those of unknown outcome can be queued again"));
        }
        // In front of the rename: a worker takes the message from then on, and must not see its old verdicts.
        self.spool
            .append(entry.state, id, &Record::requeued(crate::Timestamp::now()))?;
        if !self.spool.shift(id, entry.state, State::Queued)? {
            return Err(not_there(id));
        }
        self.entry(id)
    }

    /// Sends what is queued until nothing is left to send: each message is sent, dead or of unknown outcome. Messages
    /// that the server can't take for now are tried again as [`DrainOptions::retry`] says, which can take days.
    ///
    /// Throwing [`DrainOptions::cancel`] ends it once the messages under way are settled. Dropping the future is safe
    /// too, but leaves those to the next worker.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] when another worker drains this outbox; [`ErrorKind::LocalIo`] when the disk fails. Whatever
    /// a server says is the message's fate and no error here.
    pub async fn drain(&self, app: &App, options: &DrainOptions) -> Result<Drained> {
        Worker::start(&self.spool, app, options, Until::Empty)
            .await?
            .run()
            .await
    }

    /// Tries what is due, each message once, and leaves what has to wait: for a timer that calls again.
    ///
    /// # Errors
    /// As [`drain`](Self::drain).
    pub async fn drain_once(&self, app: &App, options: &DrainOptions) -> Result<Drained> {
        Worker::start(&self.spool, app, options, Until::Tried)
            .await?
            .run()
            .await
    }

    /// Sends what is queued, now and later, until [`DrainOptions::cancel`] is thrown.
    ///
    /// # Errors
    /// As [`drain`](Self::drain).
    pub async fn run(&self, app: &App, options: &DrainOptions) -> Result<Drained> {
        Worker::start(&self.spool, app, options, Until::Cancelled)
            .await?
            .run()
            .await
    }
}

fn not_there(id: &OutboxId) -> Error {
    Error::new(ErrorKind::NotFound, "outbox", format!("there is no message {id}"))
}
