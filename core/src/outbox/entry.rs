//! [`Entry`]: a message of the outbox, as callers see it.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::OutboxId;
use crate::error::Error;

/// Where a message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It waits to be sent, for the first time or again.
    Queued,
    /// Its last byte may be on its way to the server.
    Sending,
    /// It may or may not have been sent.
    Unknown,
    /// It can't be sent, to some recipient at least.
    Dead,
    /// All recipients have it.
    Sent,
}

impl State {
    /// In the order in which a message passes them: a look that goes in this order misses none that moves meanwhile.
    pub const ALL: [State; 5] = [
        State::Queued,
        State::Sending,
        State::Unknown,
        State::Dead,
        State::Sent,
    ];

    pub(super) fn folder(self) -> &'static str {
        match self {
            State::Queued => "new",
            State::Sending => "sending",
            State::Unknown => "unknown",
            State::Dead => "dead",
            State::Sent => "sent",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Queued => "queued",
            State::Sending => "sending",
            State::Unknown => "unknown",
            State::Dead => "dead",
            State::Sent => "sent",
        })
    }
}

/// A message of the outbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its name here.
    pub id: OutboxId,
    /// Where it stands.
    pub state: State,
    /// The mailbox that it is sent through.
    pub mailbox: String,
    /// The envelope's sender; `None` is the null reverse-path.
    pub from: Option<String>,
    /// Its recipients.
    pub recipients: Vec<Recipient>,
    /// Its Message-ID without angle brackets.
    pub message_id: String,
    /// Its length in bytes as it was given; 0 once it was sent, when only the record is kept.
    pub size: u64,
    /// When it was added.
    pub queued: Timestamp,
    /// How often it was tried since it was queued, or queued again.
    pub attempts: u32,
    /// Not before; `None` means at once, or never, as the state says.
    pub next_try: Option<Timestamp>,
    /// Why it was not sent the last time.
    pub reason: Option<Reason>,
}

/// One recipient of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Recipient {
    /// The address.
    pub address: String,
    /// Whether it has the message.
    pub state: RecipientState,
    /// The server's words, where it refused the recipient for good.
    pub reply: Option<String>,
}

/// Whether a recipient has the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RecipientState {
    /// Not yet, as far as is known.
    Pending,
    /// The server took the message for it.
    Delivered,
    /// The server refused it for good.
    Refused,
}

/// Why a message was not sent: what is kept of an [`Error`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The stable number of the error's kind.
    pub code: u16,
    /// The kind as one word.
    pub kind: String,
    /// The error in one line, with the server's own words.
    pub text: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Reason {
    pub(super) fn new(error: &Error) -> Self {
        let server = error.server().map(|server| server.text.replace('\n', " / "));
        let text = match server {
            Some(server) => format!("{}: {}: {server}", error.operation(), error.detail()),
            None => format!("{}: {}", error.operation(), error.detail()),
        };
        Self {
            code: error.code(),
            kind: error.kind().name().to_owned(),
            text,
            hint: error.hint().map(str::to_owned),
        }
    }
}

/// A file in the outbox that is no message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Damaged {
    /// Its name in the folder `damaged`.
    pub name: String,
    /// What is wrong with it.
    pub damage: String,
}
