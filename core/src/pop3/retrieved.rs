//! [`Retrieved`]: many messages, pulled piece by piece.

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::net::Pull;

/// What comes next of the messages asked for, which come in the order of the call: for each one either `Begin`, any
/// number of `Chunk`, `End`, or `Refused`.
#[derive(Debug)]
pub enum RetrievedEvent {
    /// A message begins.
    Begin {
        /// Its number.
        number: u32,
    },
    /// The next bytes of the message that began.
    Chunk(Bytes),
    /// The message is complete.
    End {
        /// Its number.
        number: u32,
        /// How many bytes it had.
        octets: u64,
    },
    /// The server refused this one (deleted, no such number); the others follow.
    Refused {
        /// Its number.
        number: u32,
        /// What the server said.
        error: Error,
    },
}

/// Messages that are arriving; see [`Pop3Session::retr_many`](super::Pop3Session::retr_many).
///
/// Pull it to its end, and the session goes on as usual. Dropped before, it spends the session: what was asked for
/// would still arrive.
#[derive(Debug)]
#[must_use = "nothing is read until `next` is called"]
pub struct Retrieved<'a>(pub(super) Pull<'a, RetrievedEvent>);

impl Retrieved<'_> {
    /// The next event; `None` when every message has come. Dropping the future loses nothing.
    ///
    /// # Errors
    /// Those of the connection; the session is then spent. A refused message is an event, not an error.
    pub async fn next(&mut self) -> Result<Option<RetrievedEvent>> {
        self.0.next().await
    }
}
