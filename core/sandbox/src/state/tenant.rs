//! The tenant and what an administrator does in it.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use jiff::{Timestamp, ToSpan as _};
use uuid::Uuid;

use super::application::{
    AppCertificate, Application, ClientSecret, ExchangeServicePrincipal, ManagementRoleAssignment, NewSecret,
    Registration, ServicePrincipal,
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

    pub(super) fn propagate(&mut self, change: impl FnOnce(&mut Self) + Send + 'static) {
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
}
