//! [`Selected`]: the folder that is open (RFC 3501 §6.3.1).

use serde::Serialize;

use super::flag::Flag;
use super::response::Untagged;
use super::status::{Code, StatusLine};
use super::uid::Uid;

/// How a folder is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Access {
    /// SELECT.
    #[default]
    ReadWrite,
    /// EXAMINE: nothing can be changed, not even by mistake.
    ReadOnly,
}

impl Access {
    pub(crate) fn command(self) -> &'static str {
        match self {
            Access::ReadWrite => "SELECT",
            Access::ReadOnly => "EXAMINE",
        }
    }
}

/// The open folder, kept up to date by what the server says along with its answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Selected {
    /// The folder's name.
    pub folder: String,
    /// How many messages it holds.
    pub exists: u32,
    /// While it is the same, a UID means the same message. 0 when the server does not say: then UIDs mean nothing
    /// beyond this session.
    pub uid_validity: u32,
    /// The UID that the next message will get, as of opening; `None` when the server does not say.
    pub uid_next: Option<u32>,
    /// The flags in use.
    pub flags: Vec<Flag>,
    /// The flags that can be changed for good.
    pub permanent_flags: Vec<Flag>,
    /// Whether keywords of one's own can be stored. Exchange can't.
    pub keywords_allowed: bool,
    /// Whether nothing can be changed.
    pub read_only: bool,
    /// The server said which flags can be changed; without that, all can (RFC 3501 §7.1).
    #[serde(skip)]
    permanent_told: bool,
    /// How often the server said that the folder holds another number of messages than was known.
    #[serde(skip)]
    arrivals: u32,
    /// The highest UID that a search on this session has found.
    #[serde(skip)]
    found: Option<Uid>,
}

impl Selected {
    pub(crate) fn new(folder: &str, access: Access) -> Self {
        Self {
            folder: folder.to_owned(),
            read_only: access == Access::ReadOnly,
            ..Self::default()
        }
    }

    /// Takes in what the server says without being asked, or while it opens the folder.
    pub(crate) fn observe(&mut self, data: &Untagged) {
        match data {
            Untagged::Exists(count) => {
                if self.exists != *count {
                    self.arrivals = self.arrivals.wrapping_add(1);
                }
                self.exists = *count;
            }
            Untagged::Expunge(_) => self.exists = self.exists.saturating_sub(1),
            Untagged::Flags(flags) => {
                self.flags.clone_from(flags);
                if !self.permanent_told {
                    self.permanent_flags.clone_from(flags);
                }
            }
            Untagged::Status(status) => self.observe_status(status),
            _ => {}
        }
    }

    /// Takes in the code of a status line; on the tagged one it tells the access that was given.
    pub(crate) fn observe_status(&mut self, status: &StatusLine) {
        match &status.code {
            Some(Code::UidNext(uid)) => self.uid_next = Some(*uid),
            Some(Code::UidValidity(validity)) => self.uid_validity = *validity,
            Some(Code::PermanentFlags { flags, keywords }) => {
                self.permanent_flags.clone_from(flags);
                self.keywords_allowed = *keywords;
                self.permanent_told = true;
            }
            Some(Code::ReadOnly) => self.read_only = true,
            Some(Code::ReadWrite) => self.read_only = false,
            _ => {}
        }
    }

    /// A number that changes when messages may have come. Their count does not tell: one may come as another goes.
    pub(crate) fn arrivals(&self) -> u32 {
        self.arrivals
    }

    /// Takes in the highest UID that a search has found.
    pub(crate) fn observe_found(&mut self, newest: Option<Uid>) {
        self.found = self.found.max(newest);
    }

    /// Whether this session certainly knows a message of this UID, if there is one: it was there when the folder was
    /// opened, or has been found since. A message that came later does not exist to the session until the server tells.
    pub(crate) fn knows(&self, uid: Uid) -> bool {
        self.found.is_some_and(|found| uid <= found) || self.uid_next.is_some_and(|next| uid.get() < next)
    }

    /// Whether the flag can be stored for good here.
    pub(crate) fn keeps(&self, flag: &Flag) -> bool {
        let same = |held: &Flag| held.as_str().eq_ignore_ascii_case(flag.as_str());
        !flag.is_keyword()
            || self.keywords_allowed
            || !self.permanent_told
            || self.permanent_flags.iter().any(same)
    }
}
