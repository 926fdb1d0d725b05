//! Mail on its way into folders: everything that adds, copies or removes messages, and keeps the limits.

use std::collections::BTreeSet;

use bytes::Bytes;
use jiff::Timestamp;

use super::folder::{Appended, Flags, Folder};
use super::mailbox::{MAX_FOLDERS, MAX_MESSAGES, Mailbox, same_name};
use super::tenant::Tenant;

/// How many mails to outside domains are remembered.
const MAX_OUTSIDE: usize = 10_000;

/// Why a message or a folder was not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// No mailbox of this address.
    #[error("no such mailbox")]
    NoMailbox,
    /// No folder of this name.
    #[error("no such folder")]
    NoFolder,
    /// The quota of the mailbox, or the memory of the sandbox, is used up.
    #[error("mailbox full")]
    Full,
    /// A folder of this name is there already.
    #[error("folder exists")]
    FolderExists,
    /// INBOX and the folders of a new mailbox cannot be deleted or renamed.
    #[error("folder is needed")]
    FolderNeeded,
}

/// A mail that left the tenant.
#[derive(Clone)]
pub struct OutsideMail {
    /// Envelope sender.
    pub from: String,
    /// Envelope recipients outside of the tenant's domains.
    pub to: Vec<String>,
    /// The message, with the Received header that submission put on it.
    pub raw: Bytes,
}

impl std::fmt::Debug for OutsideMail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OutsideMail")
            .field("from", &self.from)
            .field("to", &self.to)
            .field("octets", &self.raw.len())
            .finish_non_exhaustive()
    }
}

impl Tenant {
    /// Stores a message. Tells those who idle on the mailbox.
    ///
    /// # Errors
    /// No such mailbox or folder, or no room.
    pub fn append(
        &mut self,
        mailbox: &str,
        folder: &str,
        flags: Flags,
        internal_date: Timestamp,
        raw: Bytes,
    ) -> Result<Appended, StoreError> {
        let free = self.max_octets.saturating_sub(self.octets());
        let mailbox = self.mailbox_at_mut(mailbox).ok_or(StoreError::NoMailbox)?;
        mailbox.room(raw.len(), 1, free)?;
        let octets = raw.len();
        let appended =
            mailbox
                .folder_mut(folder)
                .ok_or(StoreError::NoFolder)?
                .push(flags, internal_date, raw);
        mailbox.octets += octets;
        mailbox.changed();
        Ok(appended)
    }

    /// Copies messages of one folder to another, flags and dates included; UIDs that are not there are left out.
    /// Gives (old UID, new UID) in ascending order, and the target's UIDVALIDITY. All or nothing.
    ///
    /// # Errors
    /// No such mailbox or folder, or no room.
    pub fn copy(
        &mut self,
        mailbox: &str,
        from: &str,
        uids: &[u32],
        to: &str,
    ) -> Result<(u32, Vec<(u32, u32)>), StoreError> {
        let free = self.max_octets.saturating_sub(self.octets());
        let mailbox = self.mailbox_at_mut(mailbox).ok_or(StoreError::NoMailbox)?;
        let source = mailbox.folder(from).ok_or(StoreError::NoFolder)?;
        let wanted: BTreeSet<u32> = uids.iter().copied().collect();
        let copies: Vec<_> = source
            .messages
            .iter()
            .filter(|m| wanted.contains(&m.uid))
            .cloned()
            .collect();
        let octets: usize = copies.iter().map(|message| message.raw.len()).sum();
        if mailbox.folder(to).is_none() {
            return Err(StoreError::NoFolder);
        }
        mailbox.room(octets, copies.len(), free)?;
        let target = mailbox.folder_mut(to).ok_or(StoreError::NoFolder)?;
        let pairs = copies
            .into_iter()
            .map(|message| {
                let appended = target.push(message.flags, message.internal_date, message.raw);
                (message.uid, appended.uid)
            })
            .collect();
        let uid_validity = target.uid_validity;
        mailbox.octets += octets;
        mailbox.changed();
        Ok((uid_validity, pairs))
    }

    /// Removes messages for good; gives the UIDs that were there.
    ///
    /// # Errors
    /// No such mailbox or folder.
    pub fn remove_messages(
        &mut self,
        mailbox: &str,
        folder: &str,
        uids: &[u32],
    ) -> Result<Vec<u32>, StoreError> {
        let mailbox = self.mailbox_at_mut(mailbox).ok_or(StoreError::NoMailbox)?;
        let wanted: BTreeSet<u32> = uids.iter().copied().collect();
        let folder = mailbox.folder_mut(folder).ok_or(StoreError::NoFolder)?;
        let mut gone = Vec::new();
        let mut octets = 0;
        folder.messages.retain(|message| {
            let remove = wanted.contains(&message.uid);
            if remove {
                gone.push(message.uid);
                octets += message.raw.len();
            }
            !remove
        });
        mailbox.octets = mailbox.octets.saturating_sub(octets);
        if !gone.is_empty() {
            mailbox.changed();
        }
        Ok(gone)
    }

    /// Moves messages: copies and removes in one step. Moving works in a full mailbox too.
    ///
    /// # Errors
    /// No such mailbox or folder.
    pub fn move_messages(
        &mut self,
        mailbox: &str,
        from: &str,
        uids: &[u32],
        to: &str,
    ) -> Result<(u32, Vec<(u32, u32)>), StoreError> {
        let mailbox = self.mailbox_at_mut(mailbox).ok_or(StoreError::NoMailbox)?;
        if mailbox.folder(to).is_none() {
            return Err(StoreError::NoFolder);
        }
        let wanted: BTreeSet<u32> = uids.iter().copied().collect();
        let source = mailbox.folder_mut(from).ok_or(StoreError::NoFolder)?;
        let (moved, kept) = std::mem::take(&mut source.messages)
            .into_iter()
            .partition(|message| wanted.contains(&message.uid));
        source.messages = kept;
        let moved: Vec<super::folder::Stored> = moved;
        let target = mailbox.folder_mut(to).ok_or(StoreError::NoFolder)?;
        let pairs = moved
            .into_iter()
            .map(|message| {
                let appended = target.push(message.flags, message.internal_date, message.raw);
                (message.uid, appended.uid)
            })
            .collect();
        let uid_validity = target.uid_validity;
        mailbox.changed();
        Ok((uid_validity, pairs))
    }

    /// Changes the flags of messages: `change` gets the old ones and gives the new ones. UIDs that are not there are
    /// left out; gives (UID, new flags) of the others.
    ///
    /// # Errors
    /// No such mailbox or folder.
    pub fn change_flags(
        &mut self,
        mailbox: &str,
        folder: &str,
        uids: &[u32],
        change: impl Fn(Flags) -> Flags,
    ) -> Result<Vec<(u32, Flags)>, StoreError> {
        let mailbox = self.mailbox_at_mut(mailbox).ok_or(StoreError::NoMailbox)?;
        let folder = mailbox.folder_mut(folder).ok_or(StoreError::NoFolder)?;
        let mut changed = false;
        let mut result = Vec::new();
        for &uid in uids {
            if let Some(message) = folder.message_mut(uid) {
                let flags = change(message.flags);
                changed |= flags != message.flags;
                message.flags = flags;
                result.push((uid, flags));
            }
        }
        if changed {
            mailbox.changed();
        }
        Ok(result)
    }

    /// Makes a folder.
    ///
    /// # Errors
    /// There already, no such mailbox, or too many folders.
    pub fn create_folder(&mut self, mailbox: &str, name: &str) -> Result<(), StoreError> {
        let mailbox = self.mailbox_at_mut(mailbox).ok_or(StoreError::NoMailbox)?;
        if mailbox.folder(name).is_some() {
            return Err(StoreError::FolderExists);
        }
        if mailbox.folders.len() >= MAX_FOLDERS {
            return Err(StoreError::Full);
        }
        let uid_validity = mailbox.take_uid_validity();
        mailbox.folders.push(Folder::new(name, None, uid_validity));
        mailbox.changed();
        Ok(())
    }

    /// Deletes a folder and the messages in it, not the folders below it.
    ///
    /// # Errors
    /// Not there, or one that a mailbox must have.
    pub fn delete_folder(&mut self, mailbox: &str, name: &str) -> Result<(), StoreError> {
        let mailbox = self.mailbox_at_mut(mailbox).ok_or(StoreError::NoMailbox)?;
        let index = mailbox
            .folders
            .iter()
            .position(|f| same_name(&f.name, name))
            .ok_or(StoreError::NoFolder)?;
        if mailbox.is_needed(index) {
            return Err(StoreError::FolderNeeded);
        }
        let folder = mailbox.folders.remove(index);
        let octets: usize = folder.messages.iter().map(|message| message.raw.len()).sum();
        mailbox.octets = mailbox.octets.saturating_sub(octets);
        mailbox.changed();
        Ok(())
    }

    /// Renames a folder, and those below it.
    ///
    /// # Errors
    /// Not there, the new name is taken, or one that a mailbox must have.
    pub fn rename_folder(&mut self, mailbox: &str, from: &str, to: &str) -> Result<(), StoreError> {
        let mailbox = self.mailbox_at_mut(mailbox).ok_or(StoreError::NoMailbox)?;
        let index = mailbox
            .folders
            .iter()
            .position(|f| same_name(&f.name, from))
            .ok_or(StoreError::NoFolder)?;
        if mailbox.is_needed(index) {
            return Err(StoreError::FolderNeeded);
        }
        if mailbox.folder(to).is_some() {
            return Err(StoreError::FolderExists);
        }
        let below = format!("{from}/");
        for folder in &mut mailbox.folders {
            if folder.name == from {
                folder.name = to.to_owned();
            } else if let Some(rest) = folder.name.strip_prefix(&below) {
                folder.name = format!("{to}/{rest}");
            }
        }
        mailbox.changed();
        Ok(())
    }

    /// Keeps a mail for outside domains, where tests can read it. The oldest go first when there are too many.
    pub(crate) fn keep_outside(&mut self, mail: OutsideMail) -> Result<(), StoreError> {
        if self.max_octets.saturating_sub(self.octets()) < mail.raw.len() {
            return Err(StoreError::Full);
        }
        self.outside.push_back(mail);
        if self.outside.len() > MAX_OUTSIDE {
            self.outside.pop_front();
        }
        Ok(())
    }

    /// Octets of all mail that is kept in memory.
    pub fn octets(&self) -> usize {
        self.mailboxes.iter().map(|mailbox| mailbox.octets).sum::<usize>()
            + self.outside.iter().map(|mail| mail.raw.len()).sum::<usize>()
    }

    /// Whether a message of this size finds room in a mailbox.
    pub(crate) fn has_room(&self, mailbox: &str, octets: usize) -> bool {
        let free = self.max_octets.saturating_sub(self.octets());
        self.mailbox_at(mailbox)
            .is_some_and(|mailbox| mailbox.room(octets, 1, free).is_ok())
    }
}

impl Mailbox {
    fn room(&self, octets: usize, messages: usize, free: usize) -> Result<(), StoreError> {
        let fits = octets <= free
            && self.octets.saturating_add(octets) <= self.quota
            && self.message_count().saturating_add(messages) <= MAX_MESSAGES;
        if fits { Ok(()) } else { Err(StoreError::Full) }
    }

    /// INBOX and the other folders that come with a mailbox stand first in the list.
    fn is_needed(&self, index: usize) -> bool {
        index < super::mailbox::FOLDERS.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOE: &str = "joe@contoso.example";

    fn tenant() -> Tenant {
        let mut tenant = Tenant::new("contoso.example", 100);
        tenant.add_mailbox(JOE).unwrap();
        for text in ["one", "two", "three"] {
            tenant
                .append(
                    JOE,
                    "inbox",
                    Flags::NONE,
                    Timestamp::UNIX_EPOCH,
                    Bytes::from_static(text.as_bytes()),
                )
                .unwrap();
        }
        tenant
    }

    fn texts(tenant: &Tenant, folder: &str) -> Vec<String> {
        let messages = tenant.folder(JOE, folder).unwrap().messages();
        messages
            .iter()
            .map(|m| format!("{} {}", m.uid, String::from_utf8_lossy(&m.raw)))
            .collect()
    }

    #[test]
    fn copying_moving_and_removing_keep_account() {
        let mut tenant = tenant();
        let (uid_validity, pairs) = tenant.copy(JOE, "INBOX", &[3, 1, 99], "Drafts").unwrap();
        assert_eq!(pairs, [(1, 1), (3, 2)]);
        assert_eq!(uid_validity, tenant.folder(JOE, "Drafts").unwrap().uid_validity());
        assert_eq!(tenant.octets(), 11 + 8);
        let (_, pairs) = tenant.move_messages(JOE, "INBOX", &[2], "Drafts").unwrap();
        assert_eq!(pairs, [(2, 3)]);
        assert_eq!(texts(&tenant, "INBOX"), ["1 one", "3 three"]);
        assert_eq!(texts(&tenant, "Drafts"), ["1 one", "2 three", "3 two"]);
        assert_eq!(tenant.remove_messages(JOE, "INBOX", &[1, 2, 3]).unwrap(), [1, 3]);
        assert_eq!(tenant.octets(), 8 + 3);
        assert_eq!(
            tenant
                .append(JOE, "INBOX", Flags::SEEN, Timestamp::UNIX_EPOCH, Bytes::new())
                .unwrap()
                .uid,
            4
        );
        assert_eq!(
            tenant.copy(JOE, "INBOX", &[4], "Nowhere").unwrap_err(),
            StoreError::NoFolder
        );
    }

    #[test]
    fn what_does_not_fit_is_not_stored() {
        let mut tenant = tenant();
        let big = Bytes::from(vec![b'x'; 90]);
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(
            tenant
                .append(JOE, "INBOX", Flags::NONE, now, big.clone())
                .unwrap_err(),
            StoreError::Full
        );
        tenant.set_quota(JOE, 12).unwrap();
        assert_eq!(
            tenant.copy(JOE, "INBOX", &[1, 2, 3], "Drafts").unwrap_err(),
            StoreError::Full
        );
        assert!(texts(&tenant, "Drafts").is_empty());
        assert!(tenant.move_messages(JOE, "INBOX", &[1], "Drafts").is_ok());
        let mail = OutsideMail {
            from: String::new(),
            to: Vec::new(),
            raw: big,
        };
        assert_eq!(tenant.keep_outside(mail).unwrap_err(), StoreError::Full);
    }

    #[test]
    fn folders_are_made_renamed_with_those_below_and_deleted() {
        let mut tenant = tenant();
        for name in ["A", "A/B", "AB"] {
            tenant.create_folder(JOE, name).unwrap();
        }
        assert_eq!(
            tenant.create_folder(JOE, "Inbox").unwrap_err(),
            StoreError::FolderExists
        );
        tenant.rename_folder(JOE, "A", "C").unwrap();
        let mut names = tenant
            .mailbox(JOE)
            .unwrap()
            .folders()
            .iter()
            .map(Folder::name)
            .rev();
        assert_eq!(
            [names.next(), names.next(), names.next()],
            [Some("AB"), Some("C/B"), Some("C")]
        );
        drop(names);
        assert_eq!(
            tenant.rename_folder(JOE, "Sent Items", "D").unwrap_err(),
            StoreError::FolderNeeded
        );
        assert_eq!(
            tenant.delete_folder(JOE, "INBOX").unwrap_err(),
            StoreError::FolderNeeded
        );
        tenant.move_messages(JOE, "INBOX", &[1], "C").unwrap();
        tenant.delete_folder(JOE, "C").unwrap();
        assert_eq!(tenant.octets(), 8);
    }

    #[test]
    fn changes_wake_those_who_wait() {
        let mut tenant = tenant();
        let mut watch = tenant.mailbox(JOE).unwrap().watch();
        assert!(!watch.has_changed().unwrap());
        tenant
            .change_flags(JOE, "INBOX", &[1], |flags| flags | Flags::SEEN)
            .unwrap();
        assert!(watch.has_changed().unwrap());
        watch.mark_unchanged();
        tenant
            .change_flags(JOE, "INBOX", &[1, 9], |flags| flags | Flags::SEEN)
            .unwrap();
        assert!(!watch.has_changed().unwrap(), "nothing was changed");
        tenant.remove_mailbox(JOE).unwrap();
        assert!(watch.has_changed().is_err(), "the mailbox is gone");
    }
}
