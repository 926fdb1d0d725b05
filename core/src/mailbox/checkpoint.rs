//! [`Checkpoint`]: how far the messages of a folder have been handled.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::query::MessageRef;
use crate::error::{Error, ErrorKind, Result};

/// How far a folder has been handled: every message up to this UID, for as long as the folder's UIDVALIDITY stays the
/// same (RFC 9051 §2.3.1.1). A program stores it once it is done with a message, and hands it to
/// [`Mailbox::watch`](super::Mailbox::watch) when it starts again.
///
/// Its text form is that of a [`MessageRef`]; as JSON it is an object with the fields `folder`, `uid_validity` and
/// `last_uid`.
///
/// ```
/// use exomail::Checkpoint;
///
/// let checkpoint: Checkpoint = "INBOX;UIDVALIDITY=14/;UID=42".parse()?;
/// assert_eq!((checkpoint.folder(), checkpoint.uid_validity(), checkpoint.last_uid()), ("INBOX", 14, 42));
/// assert_eq!(checkpoint.to_string(), "INBOX;UIDVALIDITY=14/;UID=42");
/// # Ok::<(), exomail::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Checkpoint {
    folder: String,
    uid_validity: u32,
    last_uid: u32,
}

impl Checkpoint {
    /// The point at which all messages up to `last_uid` are handled; 0 is none of them.
    pub fn new(folder: impl Into<String>, uid_validity: u32, last_uid: u32) -> Self {
        Self {
            folder: folder.into(),
            uid_validity,
            last_uid,
        }
    }

    /// The point before the first message, whatever the folder's UIDVALIDITY.
    pub fn beginning(folder: impl Into<String>) -> Self {
        Self::new(folder, 0, 0)
    }

    /// The folder's name.
    pub fn folder(&self) -> &str {
        &self.folder
    }

    /// The folder's UIDVALIDITY; 0 where it is not known yet.
    pub fn uid_validity(&self) -> u32 {
        self.uid_validity
    }

    /// The last UID that is handled; 0 where none is.
    pub fn last_uid(&self) -> u32 {
        self.last_uid
    }
}

/// The point at which this message is handled, and all before it.
impl From<&MessageRef> for Checkpoint {
    fn from(id: &MessageRef) -> Self {
        Self::new(id.folder(), id.uid_validity(), id.uid().get())
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            folder,
            uid_validity,
            last_uid,
        } = self;
        write!(f, "{folder};UIDVALIDITY={uid_validity}/;UID={last_uid}")
    }
}

impl FromStr for Checkpoint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parsed = text.rsplit_once("/;UID=").and_then(|(rest, uid)| {
            let (folder, validity) = rest.rsplit_once(";UIDVALIDITY=")?;
            (!folder.is_empty()).then_some(Self::new(folder, number(validity)?, number(uid)?))
        });
        parsed.ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidArgument,
                "checkpoint",
                format!("{text:?} is no checkpoint"),
            )
            .with_hint("the form is FOLDER;UIDVALIDITY=n/;UID=n")
        })
    }
}

/// Digits only: `parse` takes a sign.
fn number(text: &str) -> Option<u32> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::Uid;

    #[test]
    fn a_checkpoint_is_written_and_read_again() {
        for checkpoint in [
            Checkpoint::new("INBOX", 14, 42),
            Checkpoint::new("Entwürfe/2026", u32::MAX, u32::MAX),
            Checkpoint::new("a;UIDVALIDITY=1/;UID=2", 1, 0),
            Checkpoint::beginning("INBOX"),
        ] {
            assert_eq!(checkpoint.to_string().parse::<Checkpoint>().unwrap(), checkpoint);
            let json = serde_json::to_string(&checkpoint).unwrap();
            assert_eq!(serde_json::from_str::<Checkpoint>(&json).unwrap(), checkpoint);
        }
        let id = MessageRef::new("INBOX", 14, Uid::new(42).unwrap());
        assert_eq!(Checkpoint::from(&id).to_string(), id.to_string());
    }

    #[test]
    fn what_is_no_checkpoint_is_refused() {
        for text in [
            "",
            "INBOX",
            "INBOX;UIDVALIDITY=14",
            ";UIDVALIDITY=1/;UID=1",
            "x;UIDVALIDITY=/;UID=1",
            "x;UIDVALIDITY=1/;UID=",
            "x;UIDVALIDITY=+1/;UID=1",
            "x;UIDVALIDITY=1/;UID=4294967296",
        ] {
            assert_eq!(
                text.parse::<Checkpoint>().unwrap_err().kind(),
                ErrorKind::InvalidArgument,
                "{text:?}"
            );
        }
    }
}
