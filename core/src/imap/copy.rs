//! [`CopyUid`]: where copied messages went (RFC 4315 §3).

use serde::Serialize;

use super::uid::Uid;

/// Which UIDs the copies have in the folder that they went to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CopyUid {
    /// UIDVALIDITY of the folder that they went to.
    pub uid_validity: u32,
    /// Pairs of old and new UID.
    pub uids: Vec<(Uid, Uid)>,
}

impl CopyUid {
    /// The new UID of a message that was copied.
    pub fn target(&self, source: Uid) -> Option<Uid> {
        self.uids.iter().find(|pair| pair.0 == source).map(|pair| pair.1)
    }

    /// Adds what a further command of the same call told.
    pub(crate) fn merge(into: &mut Option<Self>, more: Self) {
        match into {
            Some(all) if all.uid_validity == more.uid_validity => all.uids.extend(more.uids),
            _ => *into = Some(more),
        }
    }
}
