//! The end of an answer: what stands behind the tag.

use super::arguments::Bad;
use crate::state::StoreError;

/// A status and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: Status,
    pub(crate) text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Ok,
    No,
    Bad,
}

/// A command that the session's state does not allow, or a change in a folder that was opened with EXAMINE.
pub(crate) const INVALID_STATE: &str = "Command received in Invalid state.";
/// Something of the server's own is in the way.
pub(crate) const UNAVAILABLE: &str = "Server Unavailable. 15";
/// Messages of the set were removed by another session.
pub(crate) const GONE: &str = "Some of the requested messages no longer exist.";
/// A message number is beyond the last message.
pub(crate) const INVALID_SET: &str = "The specified message set is invalid.";

impl Reply {
    pub(crate) fn ok(text: impl Into<String>) -> Self {
        Self {
            status: Status::Ok,
            text: text.into(),
        }
    }

    pub(crate) fn no(text: impl Into<String>) -> Self {
        Self {
            status: Status::No,
            text: text.into(),
        }
    }

    pub(crate) fn bad(text: impl Into<String>) -> Self {
        Self {
            status: Status::Bad,
            text: text.into(),
        }
    }

    /// `FETCH completed.`; Exchange says the same for the UID form.
    pub(crate) fn completed(verb: &str) -> Self {
        Self::ok(format!("{verb} completed."))
    }

    /// `completed`, unless messages were gone.
    pub(crate) fn completed_unless(verb: &str, gone: bool) -> Self {
        if gone {
            Self::no(GONE)
        } else {
            Self::completed(verb)
        }
    }

    /// The state refused to store or to change something. `name` is the folder that was spoken of.
    pub(crate) fn refused(error: StoreError, name: &str) -> Self {
        Self::no(match error {
            StoreError::NoFolder => format!("{} doesn't exist.", super::mutf7::encode(name)),
            StoreError::FolderExists => format!("{} already exists.", super::mutf7::encode(name)),
            StoreError::FolderNeeded => format!("{} cannot be changed.", super::mutf7::encode(name)),
            StoreError::Full => "The mailbox is full.".to_owned(),
            StoreError::NoMailbox => UNAVAILABLE.to_owned(),
        })
    }

    /// The line to send.
    pub(crate) fn line(&self, tag: &str) -> String {
        let status = match self.status {
            Status::Ok => "OK",
            Status::No => "NO",
            Status::Bad => "BAD",
        };
        format!("{tag} {status} {}", self.text)
    }
}

impl From<Bad> for Reply {
    fn from(bad: Bad) -> Self {
        match bad {
            Bad::Command => Self::bad("Command Error. 10"),
            Bad::EmptyList => Self::bad("Command Argument Error. 11"),
            Bad::Argument => Self::bad("Command Argument Error. 12"),
            Bad::Charset => Self::no("[BADCHARSET (US-ASCII)] The specified charset is not supported."),
        }
    }
}
