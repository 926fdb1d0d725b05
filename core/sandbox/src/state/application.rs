//! Applications, their credentials, and their shadows in Entra and in Exchange.

use std::collections::BTreeSet;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{Timestamp, ToSpan as _};
use rand::Rng as _;
use serde_json::{Map, Value};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use x509_parser::prelude::{FromDer as _, Pem, X509Certificate};

use super::tenant::StateError;

/// What an administrator notes down after the registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Application (client) id.
    pub client_id: String,
    /// Object id of the app registration: not the one that Exchange wants.
    pub application_object_id: String,
    /// Object id of the enterprise application (the service principal): the one that Exchange wants.
    pub enterprise_object_id: String,
}

/// A client secret as the portal shows it, once.
#[derive(Clone)]
pub struct NewSecret {
    /// The "Secret ID".
    pub key_id: String,
    /// The "Value": the secret itself.
    pub value: String,
}

impl fmt::Debug for NewSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewSecret")
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}

/// An app registration.
#[derive(Debug, Clone)]
pub struct Application {
    pub(crate) object_id: String,
    pub(crate) client_id: String,
    pub(crate) display_name: String,
    pub(crate) secrets: Vec<ClientSecret>,
    pub(crate) certificates: Vec<AppCertificate>,
    /// Stored as Graph was given them; nothing here reads them.
    pub(crate) federated: Vec<Map<String, Value>>,
    /// The other properties that Graph was given, such as `requiredResourceAccess` and `tags`.
    pub(crate) properties: Map<String, Value>,
    pub(crate) created: Timestamp,
}

impl Application {
    /// One without credentials, and without an enterprise application.
    pub(crate) fn new(display_name: &str, now: Timestamp) -> Self {
        Self {
            object_id: Uuid::new_v4().to_string(),
            client_id: Uuid::new_v4().to_string(),
            display_name: display_name.to_owned(),
            secrets: Vec::new(),
            certificates: Vec::new(),
            federated: Vec::new(),
            properties: Map::new(),
            created: now,
        }
    }
}

/// A client secret that an application may sign in with.
#[derive(Clone)]
pub struct ClientSecret {
    pub(crate) display_name: Option<String>,
    pub(crate) key_id: String,
    pub(crate) value: String,
    pub(crate) end: Timestamp,
    pub(crate) start: Timestamp,
}

impl ClientSecret {
    /// A new one in Entra's form (40 characters, `~` among them), good for 2 years.
    pub(crate) fn generate(now: Timestamp) -> Self {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~-";
        let mut rng = rand::rng();
        let mut letters = |count: usize| -> String {
            (0..count)
                .filter_map(|_| ALPHABET.get(rng.random_range(0..ALPHABET.len())))
                .map(|b| char::from(*b))
                .collect()
        };
        let value = format!("{}8Q~{}", letters(3), letters(34));
        Self {
            display_name: None,
            key_id: Uuid::new_v4().to_string(),
            value,
            end: now.saturating_add((730 * 24).hours()).unwrap_or(Timestamp::MAX),
            start: now,
        }
    }
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSecret")
            .field("key_id", &self.key_id)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

/// A certificate that an application may sign assertions with. Only its public part is here.
#[derive(Debug, Clone)]
pub struct AppCertificate {
    pub(crate) display_name: Option<String>,
    pub(crate) der: Vec<u8>,
    pub(crate) key_id: String,
    /// base64url of the SHA-1 of the DER form, as in `x5t`.
    pub(crate) x5t: String,
    /// base64url of the SHA-256 of the DER form, as in `x5t#S256`.
    pub(crate) x5t_s256: String,
    /// SHA-1 thumbprint in upper-case hexadecimal, as Entra prints it.
    pub(crate) thumbprint: String,
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
    /// `RSAPublicKey` in DER; `None` for a key that is not RSA, which Entra stores and then refuses.
    pub(crate) rsa: Option<Vec<u8>>,
}

impl AppCertificate {
    /// Reads the first certificate of a PEM text.
    pub(crate) fn from_pem(pem: &[u8]) -> Result<Self, StateError> {
        let bad = |text: String| StateError::BadCertificate(text);
        let block = Pem::iter_from_buffer(pem)
            .filter_map(Result::ok)
            .find(|block| block.label == "CERTIFICATE")
            .ok_or_else(|| bad("no CERTIFICATE block".to_owned()))?;
        Self::from_der(&block.contents)
    }

    /// Reads a certificate's DER form.
    pub(crate) fn from_der(der: &[u8]) -> Result<Self, StateError> {
        let bad = |text: String| StateError::BadCertificate(text);
        let (_, certificate) = X509Certificate::from_der(der).map_err(|e| bad(e.to_string()))?;
        let stamp = |seconds| Timestamp::from_second(seconds).map_err(|e| bad(e.to_string()));
        let validity = certificate.validity();
        let spki = certificate.public_key();
        let is_rsa = spki.algorithm.algorithm.to_id_string() == "1.2.840.113549.1.1.1";
        let sha1 = <Sha1 as sha1::Digest>::digest(der);
        Ok(Self {
            display_name: None,
            der: der.to_vec(),
            key_id: Uuid::new_v4().to_string(),
            x5t: URL_SAFE_NO_PAD.encode(sha1),
            x5t_s256: URL_SAFE_NO_PAD.encode(Sha256::digest(der)),
            thumbprint: sha1.iter().map(|byte| format!("{byte:02X}")).collect(),
            start: stamp(validity.not_before.timestamp())?,
            end: stamp(validity.not_after.timestamp())?,
            rsa: is_rsa.then(|| spki.subject_public_key.data.to_vec()),
        })
    }
}

/// An enterprise application: the application's shadow in Entra's directory.
#[derive(Debug, Clone)]
pub struct ServicePrincipal {
    pub(crate) object_id: String,
    pub(crate) client_id: String,
    pub(crate) enabled: bool,
    /// Application roles of Exchange Online with admin consent.
    pub(crate) roles: BTreeSet<String>,
    /// Application roles of Microsoft Graph with admin consent. They open no mail protocol.
    pub(crate) graph_roles: BTreeSet<String>,
    pub(crate) created: Timestamp,
}

impl ServicePrincipal {
    /// An enabled one, without permissions.
    pub(crate) fn new(client_id: &str, now: Timestamp) -> Self {
        Self {
            object_id: Uuid::new_v4().to_string(),
            client_id: client_id.to_owned(),
            enabled: true,
            roles: BTreeSet::new(),
            graph_roles: BTreeSet::new(),
            created: now,
        }
    }
}

/// The application's shadow in Exchange, as `New-ServicePrincipal` makes it. Nobody checks that the object id
/// belongs to the client id: a wrong one is stored and never matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExchangeServicePrincipal {
    /// What was given as `-AppId`.
    pub client_id: String,
    /// What was given as `-ObjectId`.
    pub object_id: String,
    /// Made by Exchange.
    pub sid: String,
    /// What was given as `-DisplayName`.
    pub display_name: String,
}

/// Which mailboxes a management role assignment reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RoleScope {
    /// All of the organisation.
    Organization,
    /// Those with these primary addresses.
    Mailboxes(BTreeSet<String>),
}

/// RBAC for Applications: `New-ManagementRoleAssignment -Role … -App … -CustomResourceScope …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagementRoleAssignment {
    /// What was given as `-Name`, or made of the role and a number.
    pub name: String,
    /// Such as `Application SMTP.SendAsApp`.
    pub role: String,
    /// Object id of the Exchange service principal.
    pub object_id: String,
    /// Which mailboxes.
    pub scope: RoleScope,
    /// What was given as `-CustomResourceScope`.
    pub scope_name: Option<String>,
}
