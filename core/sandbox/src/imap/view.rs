//! A session's view of the selected folder: which messages it has been told of, under which numbers.
//!
//! Other sessions change the folder at any time. Message numbers may only change when the client is told
//! (RFC 3501 §7.4.1), so they are counted in this view and not in the folder.

use super::output::Output;
use super::sequence::SequenceSet;
use crate::state::{Flags, Folder};

/// A message as the client knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) uid: u32,
    /// The flags that it was last told.
    pub(crate) flags: Flags,
    pub(crate) recent: bool,
}

/// The selected folder, as this session has seen it.
#[derive(Debug)]
pub(crate) struct View {
    /// Finds the folder again when it was renamed: no two folders of a mailbox share it.
    pub(crate) uid_validity: u32,
    pub(crate) read_only: bool,
    known: Vec<Known>,
}

/// A message that a command names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) sequence: u32,
    pub(crate) known: Known,
}

impl View {
    /// Opens a folder. In read-write mode its new messages are `\Recent` for this session and for no other.
    pub(crate) fn open(folder: &mut Folder, read_only: bool) -> Self {
        let mut view = Self {
            uid_validity: folder.uid_validity(),
            read_only,
            known: Vec::new(),
        };
        view.take_new(folder);
        view
    }

    fn take_new(&mut self, folder: &mut Folder) -> bool {
        let after = self.known.last().map_or(0, |known| known.uid);
        let start = folder.messages().partition_point(|message| message.uid <= after);
        let first_recent = folder.first_recent;
        let new = folder.messages().get(start..).unwrap_or_default();
        let any = !new.is_empty();
        self.known.extend(new.iter().map(|message| Known {
            uid: message.uid,
            flags: message.flags,
            recent: message.uid >= first_recent,
        }));
        if !self.read_only {
            folder.first_recent = folder.uid_next();
        }
        any
    }

    /// Tells the client what has changed. `numbers_may_change` is false behind FETCH, STORE and SEARCH.
    pub(crate) fn sync(&mut self, folder: &mut Folder, numbers_may_change: bool, output: &mut Output) {
        let mut sequence = 0_u32;
        let messages = folder.messages();
        let mut index = 0;
        self.known.retain_mut(|known| {
            while messages.get(index).is_some_and(|message| message.uid < known.uid) {
                index += 1;
            }
            match messages.get(index) {
                Some(message) if message.uid == known.uid => {
                    sequence += 1;
                    if message.flags != known.flags {
                        known.flags = message.flags;
                        output.line(format!("* {sequence} FETCH (FLAGS ({}))", known.flag_names()));
                    }
                    true
                }
                _ if numbers_may_change => {
                    output.line(format!("* {} EXPUNGE", sequence + 1));
                    false
                }
                _ => {
                    sequence += 1;
                    true
                }
            }
        });
        if self.take_new(folder) {
            output.line(format!("* {} EXISTS", self.exists()));
            output.line(format!("* {} RECENT", self.recent()));
        }
    }

    pub(crate) fn exists(&self) -> u32 {
        u32::try_from(self.known.len()).unwrap_or(u32::MAX)
    }

    pub(crate) fn recent(&self) -> usize {
        self.known.iter().filter(|known| known.recent).count()
    }

    /// The number of the first message that is not `\Seen`.
    pub(crate) fn first_unseen(&self) -> Option<usize> {
        self.known
            .iter()
            .position(|known| !known.flags.contains(Flags::SEEN))
            .map(|index| index + 1)
    }

    pub(crate) fn largest_uid(&self) -> u32 {
        self.known.last().map_or(0, |known| known.uid)
    }

    /// All messages with their numbers.
    pub(crate) fn all(&self) -> impl Iterator<Item = Target> {
        (1_u32..).zip(self.known.iter()).map(|(sequence, known)| Target {
            sequence,
            known: *known,
        })
    }

    /// The messages of a set. UIDs that are not there are passed over; a message number that is not there makes the
    /// whole set invalid (`None`).
    pub(crate) fn targets(&self, set: &SequenceSet, by_uid: bool) -> Option<Vec<Target>> {
        if by_uid {
            let ranges = set.resolve(self.largest_uid());
            return Some(
                self.all()
                    .filter(|target| ranges.contains(target.known.uid))
                    .collect(),
            );
        }
        let ranges = set.resolve(self.exists());
        if ranges.largest() > self.exists() || self.known.is_empty() {
            return None;
        }
        Some(
            self.all()
                .filter(|target| ranges.contains(target.sequence))
                .collect(),
        )
    }

    /// Notes that the client is being told these flags.
    pub(crate) fn told(&mut self, sequence: u32, flags: Flags) -> Option<Known> {
        let index = usize::try_from(sequence).ok()?.checked_sub(1)?;
        let known = self.known.get_mut(index)?;
        known.flags = flags;
        Some(*known)
    }
}

impl Known {
    /// The flags as FETCH shows them.
    pub(crate) fn flag_names(&self) -> String {
        match (self.recent, self.flags == Flags::NONE) {
            (false, _) => self.flags.to_string(),
            (true, true) => "\\Recent".to_owned(),
            (true, false) => format!("{} \\Recent", self.flags),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use jiff::Timestamp;

    use super::super::arguments::{Arguments, Segment};
    use super::*;

    fn folder(messages: usize) -> Folder {
        let mut folder = Folder::new("INBOX", None, 14);
        for _ in 0..messages {
            folder.push(Flags::NONE, Timestamp::UNIX_EPOCH, Bytes::new());
        }
        folder
    }

    fn sync(view: &mut View, folder: &mut Folder, numbers_may_change: bool) -> String {
        let mut output = Output::default();
        view.sync(folder, numbers_may_change, &mut output);
        output.into_text().replace("\r\n", ";")
    }

    fn remove(folder: &mut Folder, uids: &[u32]) {
        folder.messages.retain(|message| !uids.contains(&message.uid));
    }

    fn set(text: &str) -> SequenceSet {
        SequenceSet::parse(&mut Arguments::new(&[Segment {
            line: text.as_bytes().to_vec(),
            literal: None,
        }]))
        .unwrap()
    }

    #[test]
    fn numbers_stay_until_the_client_is_told() {
        let mut folder = folder(5);
        let mut view = View::open(&mut folder, false);
        remove(&mut folder, &[2, 4]);
        folder.push(Flags::SEEN, Timestamp::UNIX_EPOCH, Bytes::new());
        assert_eq!(sync(&mut view, &mut folder, false), "* 6 EXISTS;* 6 RECENT;");
        let uids = |view: &View, text| -> Vec<u32> {
            view.targets(&set(text), false)
                .unwrap()
                .iter()
                .map(|target| target.known.uid)
                .collect()
        };
        assert_eq!(uids(&view, "3:4,6"), [3, 4, 6]);
        assert_eq!(sync(&mut view, &mut folder, true), "* 2 EXPUNGE;* 3 EXPUNGE;");
        assert_eq!(uids(&view, "2:*"), [3, 5, 6]);
        assert_eq!(sync(&mut view, &mut folder, true), "");
    }

    #[test]
    fn flags_changed_elsewhere_are_told_once() {
        let mut folder = folder(2);
        let mut view = View::open(&mut folder, true);
        folder.message_mut(2).unwrap().flags = Flags::SEEN | Flags::DRAFT;
        assert_eq!(
            sync(&mut view, &mut folder, false),
            "* 2 FETCH (FLAGS (\\Seen \\Draft \\Recent));"
        );
        assert_eq!(sync(&mut view, &mut folder, true), "");
        assert_eq!(view.first_unseen(), Some(1));
    }

    #[test]
    fn recent_goes_to_one_writing_session() {
        let mut folder = folder(2);
        assert_eq!(View::open(&mut folder, true).recent(), 2);
        assert_eq!(View::open(&mut folder, false).recent(), 2);
        assert_eq!(View::open(&mut folder, false).recent(), 0);
        folder.push(Flags::NONE, Timestamp::UNIX_EPOCH, Bytes::new());
        assert_eq!(View::open(&mut folder, true).recent(), 1);
    }

    #[test]
    fn sets_are_taken_by_number_or_uid() {
        let mut folder = folder(3);
        remove(&mut folder, &[1]);
        let view = View::open(&mut folder, false);
        assert!(view.targets(&set("1:3"), false).is_none());
        assert_eq!(view.targets(&set("*"), false).unwrap().len(), 1);
        assert_eq!(view.targets(&set("1:2,9"), true).unwrap().len(), 1);
        assert_eq!(view.targets(&set("99:*"), true).unwrap()[0].known.uid, 3);
        remove(&mut folder, &[2, 3]);
        let view = View::open(&mut folder, false);
        assert!(view.targets(&set("1:*"), false).is_none());
        assert_eq!(view.targets(&set("1:*"), true), Some(Vec::new()));
    }
}
