//! A session that has its mailbox open: the commands on folders (RFC 3501 §6.3).
//!
//! Nothing here waits or does I/O: each command runs on the locked tenant and leaves its answer in an [`Output`].

use super::command::StatusItem;
use super::listing::Listing;
use super::output::{Output, mailbox_name};
use super::reply::Reply;
use super::view::View;
use crate::state::{Flags, Folder, StoreError, Tenant};

/// The flags that a folder of Exchange keeps.
const FLAGS: &str = "\\Seen \\Answered \\Flagged \\Deleted \\Draft $MDNSent";

/// Which mailbox is open, and which of its folders is selected.
#[derive(Debug)]
pub(crate) struct Connected {
    pub(crate) mailbox: String,
    pub(crate) view: Option<View>,
}

impl Connected {
    pub(crate) fn new(mailbox: &str) -> Self {
        Self {
            mailbox: mailbox.to_owned(),
            view: None,
        }
    }

    /// The selected folder as it is now; `None` if there is none, or it was deleted or renumbered.
    pub(crate) fn selected<'a>(&self, tenant: &'a mut Tenant) -> Option<&'a mut Folder> {
        let view = self.view.as_ref()?;
        let mailbox = tenant.mailbox_at_mut(&self.mailbox)?;
        mailbox
            .folders
            .iter_mut()
            .find(|folder| folder.uid_validity() == view.uid_validity)
    }

    /// Whether the mailbox, or the selected folder, went away under the session.
    pub(crate) fn is_lost(&self, tenant: &mut Tenant) -> bool {
        tenant.mailbox_at(&self.mailbox).is_none() || (self.view.is_some() && self.selected(tenant).is_none())
    }

    /// Tells the client what others changed in the selected folder.
    pub(crate) fn sync(&mut self, tenant: &mut Tenant, numbers_may_change: bool, output: &mut Output) {
        let Some(mut view) = self.view.take() else { return };
        let validity = view.uid_validity;
        if let Some(mailbox) = tenant.mailbox_at_mut(&self.mailbox)
            && let Some(folder) = mailbox
                .folders
                .iter_mut()
                .find(|folder| folder.uid_validity() == validity)
        {
            view.sync(folder, numbers_may_change, output);
        }
        self.view = Some(view);
    }

    pub(crate) fn select(
        &mut self,
        tenant: &mut Tenant,
        name: &str,
        read_only: bool,
        output: &mut Output,
    ) -> Reply {
        // A SELECT that fails leaves nothing selected (RFC 3501 §6.3.1).
        self.view = None;
        let folder = tenant
            .mailbox_at_mut(&self.mailbox)
            .and_then(|mailbox| mailbox.folder_mut(name));
        let Some(folder) = folder else {
            return Reply::refused(StoreError::NoFolder, name);
        };
        let view = View::open(folder, read_only);
        output.line(format!("* {} EXISTS", view.exists()));
        output.line(format!("* {} RECENT", view.recent()));
        output.line(format!("* FLAGS ({FLAGS})"));
        let permanent = if read_only { "" } else { FLAGS };
        output.line(format!("* OK [PERMANENTFLAGS ({permanent})] Permanent flags"));
        if let Some(unseen) = view.first_unseen() {
            output.line(format!("* OK [UNSEEN {unseen}] Is the first unseen message"));
        }
        output.line(format!(
            "* OK [UIDVALIDITY {}] UIDVALIDITY value",
            folder.uid_validity()
        ));
        output.line(format!(
            "* OK [UIDNEXT {}] The next unique identifier value",
            folder.uid_next()
        ));
        self.view = Some(view);
        Reply::ok(if read_only {
            "[READ-ONLY] EXAMINE completed."
        } else {
            "[READ-WRITE] SELECT completed."
        })
    }

    pub(crate) fn create(&self, tenant: &mut Tenant, name: &str) -> Reply {
        // A delimiter at the end only says that folders below are to come (RFC 3501 §6.3.3).
        let name = name.strip_suffix('/').unwrap_or(name);
        if name.split('/').any(str::is_empty) {
            return Reply::from(super::arguments::Bad::Argument);
        }
        if tenant.folder(&self.mailbox, name).is_some() {
            return Reply::refused(StoreError::FolderExists, name);
        }
        for (end, _) in name.match_indices('/') {
            match tenant.create_folder(&self.mailbox, &name[..end]) {
                Ok(()) | Err(StoreError::FolderExists) => {}
                Err(error) => return Reply::refused(error, name),
            }
        }
        match tenant.create_folder(&self.mailbox, name) {
            Ok(()) => Reply::completed("CREATE"),
            Err(error) => Reply::refused(error, name),
        }
    }

    pub(crate) fn delete(&mut self, tenant: &mut Tenant, name: &str) -> Reply {
        if tenant
            .mailbox_at(&self.mailbox)
            .is_some_and(|mailbox| mailbox.has_children(name))
        {
            return Reply::no(format!("{} has subfolders.", super::mutf7::encode(name)));
        }
        let validity = tenant.folder(&self.mailbox, name).map(Folder::uid_validity);
        match tenant.delete_folder(&self.mailbox, name) {
            Ok(()) => {
                if self.view.as_ref().map(|view| view.uid_validity) == validity {
                    self.view = None;
                }
                Reply::completed("DELETE")
            }
            Err(error) => Reply::refused(error, name),
        }
    }

    pub(crate) fn rename(&self, tenant: &mut Tenant, from: &str, to: &str) -> Reply {
        if to.split('/').any(str::is_empty) || to.starts_with(&format!("{from}/")) {
            return Reply::from(super::arguments::Bad::Argument);
        }
        match tenant.rename_folder(&self.mailbox, from, to) {
            Ok(()) => Reply::completed("RENAME"),
            Err(StoreError::FolderExists) => Reply::refused(StoreError::FolderExists, to),
            Err(error) => Reply::refused(error, from),
        }
    }

    pub(crate) fn subscribe(&self, tenant: &mut Tenant, name: &str, subscribed: bool) -> Reply {
        let verb = if subscribed { "SUBSCRIBE" } else { "UNSUBSCRIBE" };
        let mailbox = tenant.mailbox_at_mut(&self.mailbox);
        if mailbox.is_some_and(|mailbox| mailbox.set_subscribed(name, subscribed)) {
            Reply::completed(verb)
        } else {
            Reply::refused(StoreError::NoFolder, name)
        }
    }

    pub(crate) fn list(&self, tenant: &Tenant, listing: &Listing<'_>, output: &mut Output) -> Reply {
        if let Some(mailbox) = tenant.mailbox_at(&self.mailbox) {
            listing.write(mailbox, output);
        }
        Reply::completed(if listing.subscribed { "LSUB" } else { "LIST" })
    }

    pub(crate) fn status(
        &self,
        tenant: &Tenant,
        name: &str,
        items: &[StatusItem],
        output: &mut Output,
    ) -> Reply {
        let Some(folder) = tenant.folder(&self.mailbox, name) else {
            return Reply::refused(StoreError::NoFolder, name);
        };
        let count = |wanted: &dyn Fn(&crate::state::Stored) -> bool| {
            folder
                .messages()
                .iter()
                .filter(|message| wanted(message))
                .count()
                .to_string()
        };
        let values: Vec<String> = items
            .iter()
            .map(|item| {
                let value = match item {
                    StatusItem::Messages => folder.messages().len().to_string(),
                    StatusItem::Recent => count(&|message| message.uid >= folder.first_recent),
                    StatusItem::UidNext => folder.uid_next().to_string(),
                    StatusItem::UidValidity => folder.uid_validity().to_string(),
                    StatusItem::Unseen => count(&|message| !message.flags.contains(Flags::SEEN)),
                };
                format!("{} {value}", item.name())
            })
            .collect();
        output.line(format!(
            "* STATUS {} ({})",
            mailbox_name(folder.name()),
            values.join(" ")
        ));
        Reply::completed("STATUS")
    }
}
