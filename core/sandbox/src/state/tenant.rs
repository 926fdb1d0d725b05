//! The tenant and what an administrator does in it.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use jiff::{Timestamp, ToSpan as _};
use uuid::Uuid;

use super::application::{
    AppCertificate, Application, ClientSecret, ExchangeServicePrincipal, ManagementRoleAssignment, NewSecret,
    Registration, RoleScope, ServicePrincipal,
};
use super::delivery::OutsideMail;
use super::directory::Directory;
use super::folder::Folder;
use super::mailbox::Mailbox;
use super::propagation::Propagation;
use super::{EXCHANGE_APP_ID, EXCHANGE_RESOURCE};

/// What an administrator asked for is not there, or is there already.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// No mailbox has this address.
    #[error("no mailbox has the address '{0}'")]
    NoMailbox(String),
    /// No application has this client id.
    #[error("no application has the client id '{0}'")]
    NoApplication(String),
    /// The application has no such secret. It is not repeated here: it may be a value, mistyped.
    #[error("the application has no such secret")]
    NoSecret,
    /// Exchange has no service principal with this object id.
    #[error("Exchange has no service principal with the object id '{0}'")]
    NoExchangeServicePrincipal(String),
    /// The address has no local part or no domain, or is used already.
    #[error("'{0}' is not an address that can be given to a mailbox")]
    BadAddress(String),
    /// The certificate cannot be read.
    #[error("cannot read the certificate: {0}")]
    BadCertificate(String),
}

/// All of one tenant. Get it, locked, from [`Sandbox::state`](crate::Sandbox::state).
///
/// Permissions are given to object ids, as in Exchange. Where a method takes `app`, a client id serves too and
/// stands for its enterprise application.
#[derive(Debug)]
pub struct Tenant {
    pub(crate) id: String,
    pub(crate) domains: Vec<String>,
    pub(crate) smtp_auth_disabled: bool,
    pub(crate) applications: Vec<Application>,
    pub(crate) service_principals: Vec<ServicePrincipal>,
    pub(crate) exchange_service_principals: Vec<ExchangeServicePrincipal>,
    pub(crate) management_role_assignments: Vec<ManagementRoleAssignment>,
    pub(crate) directory: Directory,
    pub(crate) mailboxes: Vec<Mailbox>,
    pub(crate) outside: VecDeque<OutsideMail>,
    /// Resources that tokens are issued for: scope's base → `aud`.
    pub(crate) resources: BTreeSet<String>,
    /// Audiences that the mail servers accept.
    pub(crate) exchange_audiences: BTreeSet<String>,
    /// Octets that all mail may take together.
    pub(crate) max_octets: usize,
    /// Octets that one mailbox may hold.
    pub(crate) quota: usize,
    /// The time as of the last look, and grants that do not count yet.
    pub(crate) propagation: Propagation,
}

impl Tenant {
    pub(crate) fn new(domain: &str, max_octets: usize) -> Self {
        Self {
            id: Uuid::new_v4().to_string(),
            domains: vec![domain.to_ascii_lowercase()],
            smtp_auth_disabled: false,
            applications: Vec::new(),
            service_principals: Vec::new(),
            exchange_service_principals: Vec::new(),
            management_role_assignments: Vec::new(),
            directory: Directory::new(),
            mailboxes: Vec::new(),
            outside: VecDeque::new(),
            resources: [
                EXCHANGE_RESOURCE,
                "https://outlook.office.com",
                "https://graph.microsoft.com",
            ]
            .map(str::to_owned)
            .into(),
            // Live tenants often take outlook.office.com too, though it is not documented (facts §8).
            exchange_audiences: [EXCHANGE_RESOURCE, EXCHANGE_APP_ID, "https://outlook.office.com"]
                .map(str::to_owned)
                .into(),
            max_octets,
            quota: max_octets,
            propagation: Propagation::default(),
        }
    }

    // ---- time ------------------------------------------------------------------------------------------------

    /// The time in the sandbox when the tenant was locked.
    pub fn now(&self) -> Timestamp {
        self.propagation.now()
    }

    /// Tells the tenant the time, and how long changes of permissions take from now on. Those that are due are made.
    pub(crate) fn set_time(&mut self, now: Timestamp, delay: Duration) {
        for change in self.propagation.set_time(now, delay) {
            change(self);
        }
    }

    fn propagate(&mut self, change: impl FnOnce(&mut Self) + Send + 'static) {
        if let Some(change) = self.propagation.hold(Box::new(change)) {
            change(self);
        }
    }

    // ---- reading ---------------------------------------------------------------------------------------------

    /// The tenant's id, a GUID.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its domains; the first is the default one.
    pub fn domains(&self) -> &[String] {
        &self.domains
    }

    /// Whether a path segment of a token request names this tenant: by GUID or by domain.
    pub fn is_named(&self, name: &str) -> bool {
        self.id.eq_ignore_ascii_case(name) || self.has_domain(name)
    }

    /// Whether mail to this domain stays here.
    pub fn has_domain(&self, domain: &str) -> bool {
        self.domains.iter().any(|own| own.eq_ignore_ascii_case(domain))
    }

    /// The mailbox with this **primary** address, case ignored.
    pub fn mailbox(&self, primary: &str) -> Option<&Mailbox> {
        self.mailboxes
            .iter()
            .find(|mailbox| mailbox.primary.eq_ignore_ascii_case(primary))
    }

    /// The mailbox that gets mail for this address: the primary one or an alias.
    pub fn mailbox_at(&self, address: &str) -> Option<&Mailbox> {
        self.mailboxes.iter().find(|mailbox| mailbox.has_address(address))
    }

    pub(crate) fn mailbox_at_mut(&mut self, address: &str) -> Option<&mut Mailbox> {
        self.mailboxes
            .iter_mut()
            .find(|mailbox| mailbox.has_address(address))
    }

    /// All mailboxes.
    pub fn mailboxes(&self) -> &[Mailbox] {
        &self.mailboxes
    }

    /// A folder of a mailbox.
    pub fn folder(&self, mailbox: &str, folder: &str) -> Option<&Folder> {
        self.mailbox_at(mailbox)?.folder(folder)
    }

    /// Mail that left the tenant, oldest first.
    pub fn outside_mail(&self) -> Vec<OutsideMail> {
        self.outside.iter().cloned().collect()
    }

    pub(crate) fn application(&self, client_id: &str) -> Option<&Application> {
        self.applications
            .iter()
            .find(|app| app.client_id.eq_ignore_ascii_case(client_id))
    }

    fn application_mut(&mut self, client_id: &str) -> Result<&mut Application, StateError> {
        self.applications
            .iter_mut()
            .find(|app| app.client_id.eq_ignore_ascii_case(client_id))
            .ok_or_else(|| StateError::NoApplication(client_id.to_owned()))
    }

    pub(crate) fn service_principal(&self, client_id: &str) -> Option<&ServicePrincipal> {
        self.service_principals
            .iter()
            .find(|sp| sp.client_id.eq_ignore_ascii_case(client_id))
    }

    fn service_principal_mut(&mut self, client_id: &str) -> Result<&mut ServicePrincipal, StateError> {
        self.service_principals
            .iter_mut()
            .find(|sp| sp.client_id.eq_ignore_ascii_case(client_id))
            .ok_or_else(|| StateError::NoApplication(client_id.to_owned()))
    }

    /// Object id of the enterprise application: the one that Exchange wants.
    pub fn enterprise_object_id(&self, client_id: &str) -> Option<&str> {
        self.service_principal(client_id).map(|sp| sp.object_id.as_str())
    }

    /// Object id of the app registration: the one that Exchange does **not** want.
    pub fn application_object_id(&self, client_id: &str) -> Option<&str> {
        self.application(client_id).map(|app| app.object_id.as_str())
    }

    // ---- Entra -----------------------------------------------------------------------------------------------

    /// Adds a verified domain.
    pub fn add_domain(&mut self, domain: &str) {
        if !self.has_domain(domain) {
            self.domains.push(domain.to_ascii_lowercase());
        }
    }

    /// Registers an application, single-tenant, with its enterprise application, as the portal does.
    pub fn register_application(&mut self, display_name: &str) -> Registration {
        let now = self.now();
        let application = Application::new(display_name, now);
        let principal = ServicePrincipal::new(&application.client_id, now);
        let registration = Registration {
            client_id: application.client_id.clone(),
            application_object_id: application.object_id.clone(),
            enterprise_object_id: principal.object_id.clone(),
        };
        self.applications.push(application);
        self.service_principals.push(principal);
        registration
    }

    /// Makes a client secret, good for 2 years.
    ///
    /// # Errors
    /// No such application.
    pub fn add_secret(&mut self, client_id: &str) -> Result<NewSecret, StateError> {
        let secret = ClientSecret::generate(self.now());
        let shown = NewSecret {
            key_id: secret.key_id.clone(),
            value: secret.value.clone(),
        };
        self.application_mut(client_id)?.secrets.push(secret);
        Ok(shown)
    }

    /// Lets a secret, named by its Secret ID or its Value, end an hour ago.
    ///
    /// # Errors
    /// No such application or secret.
    pub fn expire_secret(&mut self, client_id: &str, secret: &str) -> Result<(), StateError> {
        let now = self.now();
        let application = self.application_mut(client_id)?;
        let found = application
            .secrets
            .iter_mut()
            .find(|known| known.key_id == secret || known.value == secret)
            .ok_or(StateError::NoSecret)?;
        found.end = now - 1.hour();
        Ok(())
    }

    /// Removes a secret, named by its Secret ID or its Value.
    ///
    /// # Errors
    /// No such application or secret.
    pub fn remove_secret(&mut self, client_id: &str, secret: &str) -> Result<(), StateError> {
        let secrets = &mut self.application_mut(client_id)?.secrets;
        let before = secrets.len();
        secrets.retain(|known| known.key_id != secret && known.value != secret);
        if secrets.len() == before {
            Err(StateError::NoSecret)
        } else {
            Ok(())
        }
    }

    /// Uploads a certificate (PEM, the public part); gives its key id.
    ///
    /// # Errors
    /// No such application, or not a certificate.
    pub fn add_certificate(&mut self, client_id: &str, pem: &[u8]) -> Result<String, StateError> {
        let certificate = AppCertificate::from_pem(pem)?;
        let key_id = certificate.key_id.clone();
        self.application_mut(client_id)?.certificates.push(certificate);
        Ok(key_id)
    }

    /// Removes all certificates of an application.
    ///
    /// # Errors
    /// No such application.
    pub fn remove_certificates(&mut self, client_id: &str) -> Result<(), StateError> {
        self.application_mut(client_id)?.certificates.clear();
        Ok(())
    }

    /// Adds an application permission of Exchange Online and grants admin consent. In the next new token.
    ///
    /// # Errors
    /// No such application.
    pub fn add_role(&mut self, client_id: &str, role: &str) -> Result<(), StateError> {
        let (client_id, role) = (
            self.service_principal_mut(client_id)?.client_id.clone(),
            role.to_owned(),
        );
        self.propagate(move |tenant| {
            if let Ok(principal) = tenant.service_principal_mut(&client_id) {
                principal.roles.insert(role);
            }
        });
        Ok(())
    }

    /// Takes an application permission away. Tokens issued before keep it.
    ///
    /// # Errors
    /// No such application.
    pub fn remove_role(&mut self, client_id: &str, role: &str) -> Result<(), StateError> {
        let (client_id, role) = (
            self.service_principal_mut(client_id)?.client_id.clone(),
            role.to_owned(),
        );
        self.propagate(move |tenant| {
            if let Ok(principal) = tenant.service_principal_mut(&client_id) {
                principal.roles.remove(&role);
            }
        });
        Ok(())
    }

    /// "Enabled for users to sign in" of the enterprise application.
    ///
    /// # Errors
    /// No such application.
    pub fn set_application_enabled(&mut self, client_id: &str, enabled: bool) -> Result<(), StateError> {
        self.service_principal_mut(client_id)?.enabled = enabled;
        Ok(())
    }

    /// Lets tokens be issued for another resource, such as `https://ps.outlook.com`.
    pub fn add_resource(&mut self, resource: &str) {
        self.resources.insert(resource.trim_end_matches('/').to_owned());
    }

    // ---- Exchange --------------------------------------------------------------------------------------------

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
