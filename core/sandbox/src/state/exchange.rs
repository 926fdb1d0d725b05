//! What an Exchange administrator does in the tenant: service principals, mailboxes, permissions, switches.

use uuid::Uuid;

use super::application::{ExchangeServicePrincipal, ManagementRoleAssignment, RoleScope};
use super::mailbox::Mailbox;
use super::tenant::{StateError, Tenant};

impl Tenant {
    /// `New-ServicePrincipal`. As in Exchange, nothing checks that the object id belongs to the application.
    pub fn new_service_principal(&mut self, client_id: &str, object_id: &str, display_name: &str) -> String {
        let serial = 1_000 + Uuid::new_v4().as_u128() % 4_000_000_000;
        let sid = format!("S-1-5-21-1004336348-1177238915-682003330-{serial}");
        let principal = ExchangeServicePrincipal {
            client_id: client_id.to_owned(),
            object_id: object_id.to_owned(),
            sid: sid.clone(),
            display_name: display_name.to_owned(),
        };
        self.propagate(move |tenant| {
            let principals = &mut tenant.exchange_service_principals;
            principals.retain(|known| !known.object_id.eq_ignore_ascii_case(&principal.object_id));
            principals.push(principal);
        });
        sid
    }

    /// `Remove-ServicePrincipal`, by object id.
    ///
    /// # Errors
    /// No such service principal in Exchange.
    pub fn remove_service_principal(&mut self, object_id: &str) -> Result<(), StateError> {
        let object_id = object_id.to_owned();
        let is_known = |known: &ExchangeServicePrincipal| known.object_id.eq_ignore_ascii_case(&object_id);
        if !self.exchange_service_principals.iter().any(is_known) {
            return Err(StateError::NoExchangeServicePrincipal(object_id));
        }
        self.propagate(move |tenant| {
            tenant
                .exchange_service_principals
                .retain(|known| !known.object_id.eq_ignore_ascii_case(&object_id));
        });
        Ok(())
    }

    /// `Get-ServicePrincipal`: all of them.
    pub fn service_principals(&self) -> &[ExchangeServicePrincipal] {
        &self.exchange_service_principals
    }

    /// `New-ManagementRoleAssignment`, RBAC for Applications.
    pub fn new_management_role_assignment(&mut self, role: &str, app: &str, scope: RoleScope) {
        let object_id = self.object_id_of(app);
        let scope = match scope {
            RoleScope::Mailboxes(list) => {
                RoleScope::Mailboxes(list.iter().map(|address| address.to_ascii_lowercase()).collect())
            }
            other => other,
        };
        self.add_management_role_assignment(ManagementRoleAssignment {
            name: format!("{role}-{}", Uuid::new_v4().simple()),
            role: role.to_owned(),
            object_id,
            scope,
            scope_name: None,
        });
    }

    pub(crate) fn add_management_role_assignment(&mut self, assignment: ManagementRoleAssignment) {
        self.propagate(move |tenant| tenant.management_role_assignments.push(assignment));
    }

    /// `Remove-ManagementRoleAssignment`: all of one application.
    pub fn remove_management_role_assignments(&mut self, app: &str) {
        let object_id = self.object_id_of(app);
        self.propagate(move |tenant| {
            tenant
                .management_role_assignments
                .retain(|known| !known.object_id.eq_ignore_ascii_case(&object_id));
        });
    }

    /// `New-Mailbox`. The domain of the address becomes one of the tenant's.
    ///
    /// # Errors
    /// Not an address, or used by another mailbox.
    pub fn add_mailbox(&mut self, address: &str) -> Result<(), StateError> {
        let domain = self.free_address(address)?;
        self.add_domain(&domain);
        let quota = self.quota;
        self.mailboxes.push(Mailbox::new(address, quota));
        Ok(())
    }

    /// `Remove-Mailbox`, with all mail in it.
    ///
    /// # Errors
    /// No such mailbox.
    pub fn remove_mailbox(&mut self, address: &str) -> Result<(), StateError> {
        let index = self
            .mailboxes
            .iter()
            .position(|mailbox| mailbox.has_address(address))
            .ok_or_else(|| StateError::NoMailbox(address.to_owned()))?;
        // Those who idle on it wake up and find it gone.
        self.mailboxes.remove(index).changed();
        Ok(())
    }

    /// Adds another address to a mailbox.
    ///
    /// # Errors
    /// No such mailbox, not an address, or used already.
    pub fn add_alias(&mut self, mailbox: &str, alias: &str) -> Result<(), StateError> {
        let domain = self.free_address(alias)?;
        self.admin(mailbox)?.aliases.insert(alias.to_ascii_lowercase());
        self.add_domain(&domain);
        Ok(())
    }

    /// `Add-MailboxPermission -AccessRights FullAccess`.
    ///
    /// # Errors
    /// No such mailbox.
    pub fn grant_full_access(&mut self, mailbox: &str, app: &str) -> Result<(), StateError> {
        let object_id = self.object_id_of(app);
        self.propagate_to(mailbox, move |mailbox| mailbox.full_access.insert(object_id))
    }

    /// `Remove-MailboxPermission -AccessRights FullAccess`.
    ///
    /// # Errors
    /// No such mailbox.
    pub fn revoke_full_access(&mut self, mailbox: &str, app: &str) -> Result<(), StateError> {
        let object_id = self.object_id_of(app);
        self.propagate_to(mailbox, move |mailbox| mailbox.full_access.remove(&object_id))
    }

    /// `Add-RecipientPermission -AccessRights SendAs`.
    ///
    /// # Errors
    /// No such mailbox.
    pub fn grant_send_as(&mut self, mailbox: &str, app: &str) -> Result<(), StateError> {
        let object_id = self.object_id_of(app);
        self.propagate_to(mailbox, move |mailbox| mailbox.send_as.insert(object_id))
    }

    /// `Remove-RecipientPermission -AccessRights SendAs`.
    ///
    /// # Errors
    /// No such mailbox.
    pub fn revoke_send_as(&mut self, mailbox: &str, app: &str) -> Result<(), StateError> {
        let object_id = self.object_id_of(app);
        self.propagate_to(mailbox, move |mailbox| mailbox.send_as.remove(&object_id))
    }

    /// `Set-CASMailbox -ImapEnabled`.
    ///
    /// # Errors
    /// No such mailbox.
    pub fn set_imap_enabled(&mut self, mailbox: &str, enabled: bool) -> Result<(), StateError> {
        self.admin(mailbox)?.imap_enabled = enabled;
        Ok(())
    }

    /// `Set-CASMailbox -PopEnabled`.
    ///
    /// # Errors
    /// No such mailbox.
    pub fn set_pop_enabled(&mut self, mailbox: &str, enabled: bool) -> Result<(), StateError> {
        self.admin(mailbox)?.pop_enabled = enabled;
        Ok(())
    }

    /// `Set-CASMailbox -SmtpClientAuthenticationDisabled`; `None` leaves it to the tenant.
    ///
    /// # Errors
    /// No such mailbox.
    pub fn set_smtp_disabled(&mut self, mailbox: &str, disabled: Option<bool>) -> Result<(), StateError> {
        self.admin(mailbox)?.smtp_disabled = disabled;
        Ok(())
    }

    /// `Set-TransportConfig -SmtpClientAuthenticationDisabled`.
    pub fn set_tenant_smtp_disabled(&mut self, disabled: bool) {
        self.smtp_auth_disabled = disabled;
    }

    /// A new tenant is dehydrated: it takes management scopes and role assignments only after
    /// `Enable-OrganizationCustomization`. A sandbox is not, unless told so here.
    pub fn set_dehydrated(&mut self, dehydrated: bool) {
        self.directory.dehydrated = dehydrated;
    }

    /// `Set-Mailbox -ProhibitSendReceiveQuota`, in octets.
    ///
    /// # Errors
    /// No such mailbox.
    pub fn set_quota(&mut self, mailbox: &str, octets: usize) -> Result<(), StateError> {
        self.admin(mailbox)?.quota = octets;
        Ok(())
    }

    /// Gives a folder another UIDVALIDITY and its messages other UIDs, as moving or restoring a mailbox does.
    ///
    /// # Errors
    /// No such mailbox.
    pub fn renumber_folders(&mut self, mailbox: &str) -> Result<(), StateError> {
        let mailbox = self.admin(mailbox)?;
        for index in 0..mailbox.folders.len() {
            let uid_validity = mailbox.take_uid_validity();
            if let Some(folder) = mailbox.folders.get_mut(index) {
                folder.uid_validity = uid_validity;
                folder.uid_next = 1;
                for message in &mut folder.messages {
                    message.uid = folder.uid_next;
                    folder.uid_next += 1;
                }
                folder.first_recent = folder.uid_next;
            }
        }
        mailbox.changed();
        Ok(())
    }

    /// A change to a mailbox that is there now, and at the time when it takes effect.
    fn propagate_to<R>(
        &mut self,
        mailbox: &str,
        change: impl FnOnce(&mut Mailbox) -> R + Send + 'static,
    ) -> Result<(), StateError> {
        let primary = self.admin(mailbox)?.primary.clone();
        self.propagate(move |tenant| {
            if let Ok(mailbox) = tenant.admin(&primary) {
                change(mailbox);
            }
        });
        Ok(())
    }

    fn admin(&mut self, mailbox: &str) -> Result<&mut Mailbox, StateError> {
        self.mailbox_at_mut(mailbox)
            .ok_or_else(|| StateError::NoMailbox(mailbox.to_owned()))
    }

    /// A client id stands for its enterprise application; anything else is an object id already.
    fn object_id_of(&self, app: &str) -> String {
        self.enterprise_object_id(app).unwrap_or(app).to_ascii_lowercase()
    }

    /// Checks an address and gives its domain.
    fn free_address(&self, address: &str) -> Result<String, StateError> {
        let bad = || StateError::BadAddress(address.to_owned());
        let (local, domain) = address.rsplit_once('@').ok_or_else(bad)?;
        let plain = |text: &str| {
            !text.is_empty()
                && !text.contains(|c: char| c.is_whitespace() || c.is_control() || "<>@".contains(c))
        };
        if !plain(local) || !plain(domain) || self.mailbox_at(address).is_some() {
            return Err(bad());
        }
        Ok(domain.to_owned())
    }
}
