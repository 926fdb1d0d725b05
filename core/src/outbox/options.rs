//! [`DrainOptions`]: how a worker works, and [`Drained`]: what it did.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::{Damaged, Entry, RetryPolicy};
use crate::deadline::CancelToken;

/// What is done with messages that may or may not have been sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownPolicy {
    /// They stay as they are until the caller decides, by [`Outbox::retry`](super::Outbox::retry) or otherwise.
    #[default]
    Keep,
    /// Each is looked for in the folder for sent items by its Message-ID, over IMAP: found, it counts as sent; else
    /// it is sent again.
    CheckSent {
        /// How long after the interruption it is looked for. The server needs a while to put the copy there; looking
        /// too early would send the message twice. [`SETTLED`](UnknownPolicy::SETTLED) is a good while.
        after: Duration,
    },
}

impl UnknownPolicy {
    /// Two minutes: after that long Exchange has put the copy into the folder, or won't.
    pub const SETTLED: Duration = Duration::from_secs(120);
}

/// Called with everything that happens in the outbox, on the worker's task: it must not block.
pub type Listener = Arc<dyn Fn(&Event) + Send + Sync>;

/// How a worker works. The default suits most.
#[derive(Clone)]
pub struct DrainOptions {
    /// When failed messages are tried again.
    pub retry: RetryPolicy,
    /// What is done with messages of unknown outcome.
    pub unknown: UnknownPolicy,
    /// How many messages may be under way at once, 12 by default; through one mailbox never more than 3.
    pub parallel: usize,
    /// For how long it is remembered what was sent, 30 days by default: that long the same message is not queued again.
    pub keep_sent: Duration,
    /// Ends the worker once the messages under way are settled.
    pub cancel: CancelToken,
    /// Is told everything that happens to a message.
    pub listener: Option<Listener>,
}

impl DrainOptions {
    /// Calls `listener` with everything that happens to a message. It runs on the worker's task: it must not block.
    #[must_use]
    pub fn with_listener(mut self, listener: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.listener = Some(Arc::new(listener));
        self
    }

    pub(super) fn tell(&self, event: &Event) {
        if let Some(listener) = &self.listener {
            listener(event);
        }
    }
}

impl Default for DrainOptions {
    fn default() -> Self {
        Self {
            retry: RetryPolicy::default(),
            unknown: UnknownPolicy::default(),
            parallel: 12,
            keep_sent: Duration::from_secs(30 * 24 * 3600),
            cancel: CancelToken::new(),
            listener: None,
        }
    }
}

impl fmt::Debug for DrainOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DrainOptions")
            .field("retry", &self.retry)
            .field("unknown", &self.unknown)
            .field("parallel", &self.parallel)
            .field("keep_sent", &self.keep_sent)
            .finish_non_exhaustive()
    }
}

/// Something that happened in the outbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Event {
    /// A message was tried or checked: how it stands now.
    Message(Box<Entry>),
    /// A file was set aside because it is no message.
    Damaged(Damaged),
}

/// What a worker did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Drained {
    /// Messages that were sent, or found among the sent items.
    pub sent: u64,
    /// Messages that became dead.
    pub dead: u64,
    /// Messages of unknown outcome that are in the outbox now.
    pub unknown: u64,
    /// Files that were set aside.
    pub damaged: u64,
    /// Messages that wait in the outbox now.
    pub waiting: u64,
}
