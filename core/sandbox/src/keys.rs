//! The key that signs tokens, its JWKS, and tokens made to order.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use rsa::RsaPrivateKey;
use rsa::pkcs1::{EncodeRsaPrivateKey, EncodeRsaPublicKey};
use rsa::traits::PublicKeyParts;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::error::SandboxError;

/// An RSA key that signs access tokens with RS256.
pub(crate) struct SigningKey {
    encoding: EncodingKey,
    decoding: DecodingKey,
    kid: String,
    jwk: Value,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

impl SigningKey {
    fn generate() -> Result<Self, SandboxError> {
        let fail = |error: &dyn std::fmt::Display| SandboxError::Signing(error.to_string());
        let private = RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).map_err(|e| fail(&e))?;
        let public = private.to_public_key();
        let pkcs1 = private.to_pkcs1_der().map_err(|e| fail(&e))?;
        let public_der = public.to_pkcs1_der().map_err(|e| fail(&e))?;
        let n = URL_SAFE_NO_PAD.encode(public.n().to_bytes_be());
        let e = URL_SAFE_NO_PAD.encode(public.e().to_bytes_be());
        let mut kid = URL_SAFE_NO_PAD.encode(Sha256::digest(public_der.as_bytes()));
        kid.truncate(27);
        let jwk = json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid, "x5t": kid, "n": n, "e": e});
        Ok(Self {
            encoding: EncodingKey::from_rsa_der(pkcs1.as_bytes()),
            decoding: DecodingKey::from_rsa_der(public_der.as_bytes()),
            kid,
            jwk,
        })
    }

    /// Signs `claims` as Entra does: RS256, with `kid` and `x5t` in the header.
    pub(crate) fn sign(&self, claims: &Value) -> Result<String, SandboxError> {
        let mut header = Header::new(Algorithm::RS256);
        header.kid = Some(self.kid.clone());
        header.x5t = Some(self.kid.clone());
        jsonwebtoken::encode(&header, claims, &self.encoding)
            .map_err(|error| SandboxError::Signing(error.to_string()))
    }

    pub(crate) fn decoding(&self) -> &DecodingKey {
        &self.decoding
    }

    pub(crate) fn kid(&self) -> &str {
        &self.kid
    }

    /// The key set that `/discovery/v2.0/keys` answers with.
    pub(crate) fn jwks(&self) -> Value {
        json!({"keys": [self.jwk]})
    }
}

type Made = Arc<Result<SigningKey, SandboxError>>;

/// A key that may still be in the making: it takes longer than everything else a start does, so all sandboxes of a
/// process share one, and only who needs it waits for it.
#[derive(Debug)]
struct Slot {
    made: Mutex<Option<Made>>,
    ready: Condvar,
}

impl Slot {
    fn start() -> Arc<Self> {
        let slot = Arc::new(Self {
            made: Mutex::new(None),
            ready: Condvar::new(),
        });
        let worker = slot.clone();
        let spawned = thread::Builder::new()
            .name("exomail-sandbox-key".to_owned())
            .spawn(move || {
                worker.put(SigningKey::generate());
            });
        if let Err(error) = spawned {
            slot.put(Err(SandboxError::Signing(error.to_string())));
        }
        slot
    }

    fn put(&self, key: Result<SigningKey, SandboxError>) {
        *self.made.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(key));
        self.ready.notify_all();
    }

    fn ready(&self) -> Option<Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn wait(&self) -> Made {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(key) = made.as_ref() {
                return key.clone();
            }
            made = self.ready.wait(made).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

static SLOT: OnceLock<Arc<Slot>> = OnceLock::new();
static STRANGER: OnceLock<Arc<Slot>> = OnceLock::new();

/// Begins to make the process's signing key, if nobody has.
pub(crate) fn begin() {
    SLOT.get_or_init(Slot::start);
}

async fn from(cell: &'static OnceLock<Arc<Slot>>) -> Result<KeyHandle, SandboxError> {
    let slot = cell.get_or_init(Slot::start).clone();
    let made = match slot.ready() {
        Some(made) => made,
        None => tokio::task::spawn_blocking(move || slot.wait())
            .await
            .map_err(|error| SandboxError::Signing(error.to_string()))?,
    };
    match made.as_ref() {
        Ok(_) => Ok(KeyHandle(made)),
        Err(error) => Err(SandboxError::Signing(error.to_string())),
    }
}

/// The process's signing key, waiting for it if it is still being made.
pub(crate) async fn signing_key() -> Result<KeyHandle, SandboxError> {
    from(&SLOT).await
}

/// Another key, that nobody trusts but that claims to be the trusted one's: for tokens with a bad signature.
pub(crate) async fn stranger() -> Result<KeyHandle, SandboxError> {
    from(&STRANGER).await
}

/// Shared access to a finished key.
#[derive(Debug, Clone)]
pub(crate) struct KeyHandle(Made);

impl KeyHandle {
    /// The key. Handles are only made of finished keys, so there always is one.
    pub(crate) fn get(&self) -> Result<&SigningKey, SandboxError> {
        self.0
            .as_ref()
            .as_ref()
            .map_err(|error| SandboxError::Signing(error.to_string()))
    }
}

/// How a token made by [`Sandbox::mint_token`](crate::Sandbox::mint_token) differs from the one that the token
/// endpoint would give the application now.
///
/// ```
/// use exomail_sandbox::TokenOverrides;
/// let wrong = TokenOverrides::new().audience("https://graph.microsoft.com").expired();
/// # let _ = wrong;
/// ```
#[derive(Debug, Clone, Default)]
pub struct TokenOverrides {
    pub(crate) claims: BTreeMap<String, Value>,
    pub(crate) bad_signature: bool,
    pub(crate) expired: bool,
    pub(crate) minimum_length: usize,
}

impl TokenOverrides {
    /// No difference.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets one claim; `Value::Null` leaves it out.
    #[must_use]
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    /// Sets `aud`.
    #[must_use]
    pub fn audience(self, audience: &str) -> Self {
        self.claim("aud", audience)
    }

    /// Sets `roles`; an empty list leaves the claim out, as Entra does.
    #[must_use]
    pub fn roles(self, roles: &[&str]) -> Self {
        if roles.is_empty() {
            self.claim("roles", Value::Null)
        } else {
            self.claim("roles", roles.to_vec())
        }
    }

    /// Dates the token 2 hours back, so that it expired about 55 minutes ago.
    #[must_use]
    pub fn expired(mut self) -> Self {
        self.expired = true;
        self
    }

    /// Signs with a key that is not in the JWKS, though the header names the one that is.
    #[must_use]
    pub fn bad_signature(mut self) -> Self {
        self.bad_signature = true;
        self
    }

    /// Pads the token with a claim to at least this many characters.
    #[must_use]
    pub fn minimum_length(mut self, characters: usize) -> Self {
        self.minimum_length = characters;
        self
    }
}

impl SigningKey {
    /// Signs with this key under another key's name.
    pub(crate) fn sign_as(&self, kid: &str, claims: &Value) -> Result<String, SandboxError> {
        let mut header = Header::new(Algorithm::RS256);
        header.kid = Some(kid.to_owned());
        header.x5t = Some(kid.to_owned());
        jsonwebtoken::encode(&header, claims, &self.encoding)
            .map_err(|error| SandboxError::Signing(error.to_string()))
    }
}
