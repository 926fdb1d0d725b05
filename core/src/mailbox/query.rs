//! [`MessageQuery`] and [`MessageRef`]: which messages, and which message.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::error::{Error, ErrorKind, Result};
use crate::imap::{Query, Uid};

/// Which messages of which folder, in which order, how many. By default all of the inbox, oldest first.
///
/// ```
/// use exomail::MessageQuery;
/// use exomail::imap::Query;
///
/// let query = MessageQuery::folder("INBOX").matching(Query::all().unseen()).newest_first().limit(20);
/// ```
#[derive(Clone, Debug)]
pub struct MessageQuery {
    pub(super) folder: String,
    pub(super) filter: Query,
    pub(super) newest_first: bool,
    pub(super) limit: usize,
}

impl MessageQuery {
    /// All messages of a folder.
    pub fn folder(name: impl Into<String>) -> Self {
        Self {
            folder: name.into(),
            filter: Query::all(),
            newest_first: false,
            limit: usize::MAX,
        }
    }

    /// All messages of the inbox.
    pub fn inbox() -> Self {
        Self::folder(INBOX)
    }

    /// The unread messages of the inbox.
    pub fn unseen() -> Self {
        Self::inbox().matching(Query::all().unseen())
    }

    /// Only messages that the server finds for this query.
    #[must_use]
    pub fn matching(mut self, query: Query) -> Self {
        self.filter = query;
        self
    }

    /// Newest first, by arrival in the folder.
    #[must_use]
    pub fn newest_first(mut self) -> Self {
        self.newest_first = true;
        self
    }

    /// No more than this many.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }
}

impl Default for MessageQuery {
    fn default() -> Self {
        Self::inbox()
    }
}

impl From<Query> for MessageQuery {
    fn from(query: Query) -> Self {
        Self::inbox().matching(query)
    }
}

/// The name that means the inbox in every mailbox language (RFC 9051 §5.1).
const INBOX: &str = "INBOX";

/// Whether both names mean the same folder.
pub(super) fn same_folder(one: &str, other: &str) -> bool {
    one == other || (one.eq_ignore_ascii_case(INBOX) && other.eq_ignore_ascii_case(INBOX))
}

/// One message of a mailbox, for as long as the server keeps the folder's UIDVALIDITY (RFC 9051 §2.3.1.1).
///
/// Its text form is that of an IMAP URL (RFC 5092) without the server: `INBOX;UIDVALIDITY=14/;UID=42`.
///
/// ```
/// let id: exomail::MessageRef = "Sent Items;UIDVALIDITY=14/;UID=42".parse()?;
/// assert_eq!((id.folder(), id.uid_validity(), id.uid().get()), ("Sent Items", 14, 42));
/// # Ok::<(), exomail::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct MessageRef {
    folder: String,
    uid_validity: u32,
    uid: Uid,
}

impl MessageRef {
    /// The message with this UID in a folder whose UIDVALIDITY is known.
    pub fn new(folder: impl Into<String>, uid_validity: u32, uid: Uid) -> Self {
        Self {
            folder: folder.into(),
            uid_validity,
            uid,
        }
    }

    /// The folder's name.
    pub fn folder(&self) -> &str {
        &self.folder
    }

    /// The folder's UIDVALIDITY when the message was seen.
    pub fn uid_validity(&self) -> u32 {
        self.uid_validity
    }

    /// The message's UID.
    pub fn uid(&self) -> Uid {
        self.uid
    }
}

impl fmt::Display for MessageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{};UIDVALIDITY={}/;UID={}",
            self.folder,
            self.uid_validity,
            self.uid.get()
        )
    }
}

impl FromStr for MessageRef {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parsed = text.rsplit_once("/;UID=").and_then(|(rest, uid)| {
            let (folder, validity) = rest.rsplit_once(";UIDVALIDITY=")?;
            let uid = Uid::new(uid.parse().ok()?)?;
            (!folder.is_empty()).then_some(Self::new(folder, validity.parse().ok()?, uid))
        });
        parsed.ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidArgument,
                "message",
                format!("{text:?} does not name a message"),
            )
            .with_hint("the form is FOLDER;UIDVALIDITY=n/;UID=n, as lists of messages show it")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_named_and_found_again() {
        for folder in ["INBOX", "Entwürfe/2026", "a;UIDVALIDITY=1/;UID=2"] {
            let id = MessageRef::new(folder, 14, Uid::new(42).unwrap());
            assert_eq!(id.to_string().parse::<MessageRef>().unwrap(), id);
        }
        for text in [
            "",
            "INBOX",
            "42",
            "INBOX;UIDVALIDITY=1/;UID=0",
            ";UIDVALIDITY=1/;UID=1",
            "x;UIDVALIDITY=/;UID=1",
        ] {
            assert_eq!(
                text.parse::<MessageRef>().unwrap_err().kind(),
                ErrorKind::InvalidArgument,
                "{text:?}"
            );
        }
    }
}
