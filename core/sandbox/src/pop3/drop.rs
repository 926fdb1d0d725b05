//! The maildrop as one session sees it: the Inbox at the time of the sign-in (RFC 1939 §3).

use bytes::Bytes;

use crate::state::{Folder, Tenant};

/// A message of the maildrop.
#[derive(Debug, Clone)]
struct Entry {
    uid: u32,
    raw: Bytes,
    deleted: bool,
}

/// Messages under numbers that do not change while the session lasts, whatever others do to the mailbox.
#[derive(Debug, Default)]
pub(super) struct Maildrop {
    uid_validity: u32,
    entries: Vec<Entry>,
}

impl Maildrop {
    pub(super) fn of(folder: &Folder) -> Self {
        let entries = folder
            .messages()
            .iter()
            .map(|message| Entry {
                uid: message.uid,
                raw: message.raw.clone(),
                deleted: false,
            })
            .collect();
        Self {
            uid_validity: folder.uid_validity(),
            entries,
        }
    }

    /// The message of this number, from 1, unless it is marked as deleted.
    fn entry(&self, number: usize) -> Option<&Entry> {
        self.entries
            .get(number.checked_sub(1)?)
            .filter(|entry| !entry.deleted)
    }

    pub(super) fn raw(&self, number: usize) -> Option<&Bytes> {
        self.entry(number).map(|entry| &entry.raw)
    }

    /// The message's unique id: stable over sessions, and new when the folder's UIDs are.
    pub(super) fn unique_id(&self, number: usize) -> Option<String> {
        self.entry(number)
            .map(|entry| format!("{:08X}{:08X}", self.uid_validity, entry.uid))
    }

    /// Numbers of those that are not marked.
    pub(super) fn numbers(&self) -> impl Iterator<Item = usize> + '_ {
        (1..=self.entries.len()).filter(|&number| self.entry(number).is_some())
    }

    /// How many messages, and their octets.
    pub(super) fn stat(&self) -> (usize, usize) {
        self.numbers()
            .filter_map(|number| self.raw(number))
            .fold((0, 0), |(n, octets), raw| (n + 1, octets + raw.len()))
    }

    /// Marks a message; false if there is none.
    pub(super) fn delete(&mut self, number: usize) -> bool {
        let found = number
            .checked_sub(1)
            .and_then(|index| self.entries.get_mut(index))
            .filter(|entry| !entry.deleted);
        found.map(|entry| entry.deleted = true).is_some()
    }

    /// Takes all marks away.
    pub(super) fn reset(&mut self) {
        self.entries.iter_mut().for_each(|entry| entry.deleted = false);
    }

    /// At QUIT: removes what is marked, unless the folder's UIDs are other messages by now.
    pub(super) fn update(&self, tenant: &mut Tenant, mailbox: &str) {
        let uids: Vec<u32> = self
            .entries
            .iter()
            .filter(|entry| entry.deleted)
            .map(|entry| entry.uid)
            .collect();
        let same = tenant
            .folder(mailbox, "INBOX")
            .is_some_and(|folder| folder.uid_validity() == self.uid_validity);
        if same && !uids.is_empty() {
            // The mailbox is there: it was just looked up under the same lock.
            let _ = tenant.remove_messages(mailbox, "INBOX", &uids);
        }
    }
}

/// The part of a message that TOP shows: the header, the empty line, and the first lines of the body.
pub(super) fn top(raw: &[u8], lines: usize) -> &[u8] {
    let body = if raw.starts_with(b"\r\n") {
        2
    } else {
        memchr::memmem::find(raw, b"\r\n\r\n").map_or(raw.len(), |at| at + 4)
    };
    let rest = raw.get(body..).unwrap_or_default();
    let end = match lines.checked_sub(1) {
        None => 0,
        Some(last) => memchr::memmem::find_iter(rest, b"\r\n")
            .nth(last)
            .map_or(rest.len(), |at| at + 2),
    };
    raw.get(..body + end).unwrap_or(raw)
}

/// Where dots must be doubled: the positions of those that begin a line (RFC 1939 §3).
pub(super) fn leading_dots(raw: &[u8]) -> impl Iterator<Item = usize> + '_ {
    let first = raw.starts_with(b".").then_some(0);
    first
        .into_iter()
        .chain(memchr::memmem::find_iter(raw, b"\r\n.").map(|at| at + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn top_counts_body_lines() {
        let raw = b"A: 1\r\nB: 2\r\n\r\none\r\ntwo\r\nthree";
        assert_eq!(top(raw, 0), b"A: 1\r\nB: 2\r\n\r\n");
        assert_eq!(top(raw, 1), b"A: 1\r\nB: 2\r\n\r\none\r\n");
        assert_eq!(top(raw, 3), raw);
        assert_eq!(top(raw, usize::MAX), raw);
        assert_eq!(top(b"A: 1", 5), b"A: 1");
        assert_eq!(top(b"\r\none\r\ntwo\r\n", 1), b"\r\none\r\n");
    }

    #[test]
    fn dots_at_the_start_of_lines_are_found() {
        assert_eq!(
            leading_dots(b".a\r\n..\r\nb.\n.c\r\n.").collect::<Vec<_>>(),
            [0, 4, 15]
        );
        assert_eq!(leading_dots(b"").count(), 0);
    }
}
