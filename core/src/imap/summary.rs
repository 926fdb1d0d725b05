//! [`Summary`]: what a list of messages shows of each.

use jiff::Timestamp;
use serde::Serialize;

use super::date::read_date_time;
use super::envelope::Envelope;
use super::flag::Flag;
use super::response::Fetch;
use super::structure::BodyStructure;
use super::uid::Uid;

/// The FETCH items of a summary.
pub(crate) const ITEMS: &str = "(UID FLAGS RFC822.SIZE INTERNALDATE ENVELOPE BODYSTRUCTURE)";

/// A message without its body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The message's UID.
    pub uid: Uid,
    /// Its marks.
    pub flags: Vec<Flag>,
    /// Size in bytes. Exchange estimates it, unless told otherwise by `ImapEnableExactRFC822Size`.
    pub size: u64,
    /// When the server took it in.
    pub internal_date: Option<Timestamp>,
    /// The main headers.
    pub envelope: Envelope,
    /// The parts; `None` when the server sent a structure that can't be understood.
    pub structure: Option<BodyStructure>,
}

impl Summary {
    pub(crate) fn new(uid: Uid) -> Self {
        Self {
            uid,
            flags: Vec::new(),
            size: 0,
            internal_date: None,
            envelope: Envelope::default(),
            structure: None,
        }
    }

    /// Takes over what a FETCH response says. Servers may spread a message over several.
    pub(crate) fn merge(before: Option<Self>, uid: Uid, fetch: &Fetch) -> Self {
        let mut summary = before.unwrap_or_else(|| Self::new(uid));
        if let Some(flags) = &fetch.flags {
            summary.flags.clone_from(flags);
        }
        summary.size = fetch.size.unwrap_or(summary.size);
        if let Some(date) = &fetch.internal_date {
            summary.internal_date = read_date_time(&String::from_utf8_lossy(date));
        }
        if let Some(envelope) = &fetch.envelope {
            summary.envelope = Envelope::read(envelope);
        }
        if let Some(structure) = &fetch.structure {
            summary.structure = BodyStructure::read(structure);
        }
        summary
    }
}
