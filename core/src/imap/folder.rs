//! [`Folder`] and [`FolderStatus`]: LIST and STATUS (RFC 3501 §7.2.2, §7.2.4).

use bytes::Bytes;
use serde::Serialize;

use super::mailbox_name;
use super::role::Role;

/// A folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Folder {
    /// The whole path, decoded, such as `Inbox/Projects`.
    pub name: String,
    /// What separates the path's levels; `None` where there are none.
    pub delimiter: Option<char>,
    /// What the folder is for, as its attributes or its name tell.
    pub role: Option<Role>,
    /// Whether it can be selected; some are there only to hold others.
    pub selectable: bool,
    /// Whether it holds other folders, where the server says so.
    pub has_children: Option<bool>,
    /// The attributes as sent, such as `\HasNoChildren`.
    pub attributes: Vec<String>,
}

impl Folder {
    pub(crate) fn read(attributes: Vec<String>, delimiter: Option<char>, name: &Bytes) -> Self {
        let mut name = mailbox_name::decode(name);
        if name.eq_ignore_ascii_case("INBOX") {
            "INBOX".clone_into(&mut name);
        }
        let has = |attribute: &str| attributes.iter().any(|held| held.eq_ignore_ascii_case(attribute));
        Self {
            role: attributes
                .iter()
                .find_map(|attribute| Role::of_attribute(attribute)),
            selectable: !has("\\Noselect") && !has("\\NonExistent"),
            has_children: match (
                has("\\HasChildren"),
                has("\\HasNoChildren") || has("\\Noinferiors"),
            ) {
                (true, _) => Some(true),
                (false, true) => Some(false),
                (false, false) => None,
            },
            name,
            delimiter,
            attributes,
        }
    }
}

/// Gives roles by name where no attribute gave them: Exchange sends attributes for some mailboxes only, and names in
/// the mailbox's language.
pub(crate) fn assign_roles(folders: &mut [Folder]) {
    let mut taken: Vec<Role> = folders.iter().filter_map(|folder| folder.role).collect();
    for folder in folders
        .iter_mut()
        .filter(|folder| folder.role.is_none() && folder.selectable)
    {
        if let Some(role) = Role::of_name(&folder.name, folder.delimiter)
            && !taken.contains(&role)
        {
            taken.push(role);
            folder.role = Some(role);
        }
    }
}

/// A folder's counts, without selecting it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FolderStatus {
    /// Messages.
    pub messages: u32,
    /// Messages not marked as read.
    pub unseen: u32,
    /// The UID that the next message will get, or a lower bound of it.
    pub uid_next: u32,
    /// While it is the same, a UID means the same message.
    pub uid_validity: u32,
}

impl FolderStatus {
    pub(crate) const ITEMS: &'static str = "(MESSAGES UNSEEN UIDNEXT UIDVALIDITY)";

    pub(crate) fn read(items: &[(String, u64)]) -> Self {
        let count = |name: &str| {
            let found = items.iter().find(|item| item.0 == name);
            found
                .and_then(|item| u32::try_from(item.1).ok())
                .unwrap_or_default()
        };
        Self {
            messages: count("MESSAGES"),
            unseen: count("UNSEEN"),
            uid_next: count("UIDNEXT"),
            uid_validity: count("UIDVALIDITY"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(attributes: &str, name: &str) -> Folder {
        let attributes = attributes.split_whitespace().map(str::to_owned).collect();
        Folder::read(attributes, Some('/'), &Bytes::copy_from_slice(name.as_bytes()))
    }

    #[test]
    fn exchanges_folders_get_roles_by_name() {
        let mut folders = [
            folder("\\Marked \\HasNoChildren", "Inbox"),
            folder("\\HasNoChildren", "Gesendete Elemente"),
            folder("\\HasNoChildren", "Gel&APY-schte Elemente"),
            folder("\\HasChildren", "Drafts"),
            folder("\\HasNoChildren", "Drafts/Drafts"),
            folder("\\Noselect", "Archive"),
        ];
        assign_roles(&mut folders);
        let roles: Vec<_> = folders.iter().map(|folder| folder.role).collect();
        assert_eq!(
            roles,
            [
                Some(Role::Inbox),
                Some(Role::Sent),
                Some(Role::Trash),
                Some(Role::Drafts),
                None,
                None
            ]
        );
        assert_eq!(folders[0].name, "INBOX");
        assert_eq!(
            (folders[3].has_children, folders[4].has_children),
            (Some(true), Some(false))
        );
        assert!(!folders[5].selectable);
    }

    #[test]
    fn attributes_win_over_names() {
        let mut folders = [
            folder("", "Sent"),
            folder("\\HasNoChildren \\Sent", "Sent Items"),
            folder("\\Trash", "Bin"),
        ];
        assign_roles(&mut folders);
        let roles: Vec<_> = folders.iter().map(|folder| folder.role).collect();
        assert_eq!(roles, [None, Some(Role::Sent), Some(Role::Trash)]);
    }

    #[test]
    fn counts_are_read_whatever_else_is_there() {
        let items = [("MESSAGES", 231), ("SIZE", 8_589_934_592), ("UIDNEXT", 44_292)];
        let items = items.map(|(name, count)| (name.to_owned(), count));
        let status = FolderStatus::read(&items);
        assert_eq!(
            (status.messages, status.uid_next, status.unseen),
            (231, 44_292, 0)
        );
    }
}
