//! A mailbox: addresses, permissions, switches, folders.

use std::collections::BTreeSet;

use tokio::sync::watch;

use super::folder::{Folder, SpecialUse};

/// The folders of a new mailbox. Exchange lists those that hold no mail too.
pub(crate) const FOLDERS: [(&str, Option<SpecialUse>); 11] = [
    ("INBOX", None),
    ("Archive", Some(SpecialUse::Archive)),
    ("Calendar", None),
    ("Contacts", None),
    ("Deleted Items", Some(SpecialUse::Trash)),
    ("Drafts", Some(SpecialUse::Drafts)),
    ("Journal", None),
    ("Junk Email", Some(SpecialUse::Junk)),
    ("Notes", None),
    ("Outbox", None),
    ("Sent Items", Some(SpecialUse::Sent)),
];

/// How many messages a mailbox holds at most, over all folders.
pub(crate) const MAX_MESSAGES: usize = 200_000;
/// How many folders a mailbox holds at most.
pub(crate) const MAX_FOLDERS: usize = 1_000;

/// One user's, shared or room mailbox.
#[derive(Debug)]
pub struct Mailbox {
    pub(crate) primary: String,
    pub(crate) aliases: BTreeSet<String>,
    pub(crate) imap_enabled: bool,
    pub(crate) pop_enabled: bool,
    /// `None`: the tenant's switch counts.
    pub(crate) smtp_disabled: Option<bool>,
    /// Object ids of those with FullAccess.
    pub(crate) full_access: BTreeSet<String>,
    /// Object ids of those with SendAs.
    pub(crate) send_as: BTreeSet<String>,
    pub(crate) folders: Vec<Folder>,
    /// Names of the folders that IMAP's LSUB lists.
    subscribed: BTreeSet<String>,
    /// Octets of all messages.
    pub(crate) octets: usize,
    /// Octets that all messages may have.
    pub(crate) quota: usize,
    pub(crate) next_uid_validity: u32,
    /// Goes up with each change to any folder; what IDLE waits for.
    changes: watch::Sender<u64>,
}

impl Mailbox {
    pub(crate) fn new(primary: &str, quota: usize) -> Self {
        let mut mailbox = Self {
            primary: primary.to_ascii_lowercase(),
            aliases: BTreeSet::new(),
            imap_enabled: true,
            pop_enabled: true,
            smtp_disabled: None,
            full_access: BTreeSet::new(),
            send_as: BTreeSet::new(),
            folders: Vec::new(),
            subscribed: FOLDERS.iter().map(|(name, _)| (*name).to_owned()).collect(),
            octets: 0,
            quota,
            next_uid_validity: 14,
            changes: watch::Sender::new(0),
        };
        for (name, special_use) in FOLDERS {
            let uid_validity = mailbox.take_uid_validity();
            mailbox.folders.push(Folder::new(name, special_use, uid_validity));
        }
        mailbox
    }

    pub(crate) fn take_uid_validity(&mut self) -> u32 {
        let value = self.next_uid_validity;
        self.next_uid_validity += 1;
        value
    }

    /// Its primary SMTP address, in lower case.
    pub fn primary(&self) -> &str {
        &self.primary
    }

    /// Whether mail to this address is for this mailbox: the primary one or an alias, case ignored.
    pub fn has_address(&self, address: &str) -> bool {
        let address = address.to_ascii_lowercase();
        self.primary == address || self.aliases.contains(&address)
    }

    /// Its folders.
    pub fn folders(&self) -> &[Folder] {
        &self.folders
    }

    /// The folder of this name. `INBOX` is the same in any case (RFC 9051 §5.1), the others are not.
    pub fn folder(&self, name: &str) -> Option<&Folder> {
        self.folders.iter().find(|folder| same_name(&folder.name, name))
    }

    pub(crate) fn folder_mut(&mut self, name: &str) -> Option<&mut Folder> {
        self.folders
            .iter_mut()
            .find(|folder| same_name(&folder.name, name))
    }

    /// Whether there are folders below this one.
    pub(crate) fn has_children(&self, name: &str) -> bool {
        self.folders.iter().any(|folder| {
            folder
                .name
                .strip_prefix(name)
                .is_some_and(|rest| rest.starts_with('/'))
        })
    }

    /// Whether LSUB lists it.
    pub(crate) fn is_subscribed(&self, name: &str) -> bool {
        self.subscribed.contains(name)
    }

    /// Lists a folder in LSUB, or no longer; `false` if there is no such folder to list.
    pub(crate) fn set_subscribed(&mut self, name: &str, subscribed: bool) -> bool {
        if !subscribed {
            return self.subscribed.remove(name) || self.folder(name).is_some();
        }
        let found = self.folder(name).is_some();
        if found {
            self.subscribed.insert(name.to_owned());
        }
        found
    }

    pub(crate) fn message_count(&self) -> usize {
        self.folders.iter().map(|folder| folder.messages.len()).sum()
    }

    /// Tells everybody who idles that something changed.
    pub(crate) fn changed(&self) {
        self.changes.send_modify(|revision| *revision += 1);
    }

    /// Resolves `changed()` after each change to any folder of this mailbox.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

pub(crate) fn same_name(a: &str, b: &str) -> bool {
    a == b || (a.eq_ignore_ascii_case("INBOX") && b.eq_ignore_ascii_case("INBOX"))
}
