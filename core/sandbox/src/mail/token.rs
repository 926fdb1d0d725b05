//! An access token as the mail servers read it: signature, dates, audience, tenant.

use jiff::Timestamp;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Validation};
use serde::{Deserialize, Serialize};

use crate::keys;
use crate::state::Tenant;

/// What the mail rule needs of a token's claims.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessClaims {
    /// For whom the token is.
    pub aud: String,
    /// The tenant that issued it, as a URL.
    #[serde(default)]
    pub iss: String,
    /// Object id of the enterprise application.
    #[serde(default)]
    pub oid: String,
    /// Client id.
    #[serde(default)]
    pub appid: String,
    /// Tenant id.
    #[serde(default)]
    pub tid: String,
    /// Application permissions; absent when none was consented to.
    #[serde(default)]
    pub roles: Vec<String>,
}

/// Why a token is not accepted. Exchange's clients see the same refusal for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenFault {
    /// Not a JWT of Entra's form, or a claim is missing.
    Malformed,
    /// The signature does not fit the key.
    BadSignature,
    /// `exp` is past.
    Expired,
    /// `nbf` is still to come.
    NotYetValid,
    /// `aud` is not Exchange.
    WrongAudience,
    /// `tid` or `iss` is not this tenant.
    WrongTenant,
}

/// The claims with the dates, in seconds since 1970.
#[derive(Deserialize)]
struct Dated {
    #[serde(flatten)]
    claims: AccessClaims,
    exp: i64,
    nbf: Option<i64>,
}

/// Verifies the signature and the dates. The dates have no leeway: a test that mints an expired token means it.
pub(crate) async fn verify(token: &str, now: Timestamp) -> Result<AccessClaims, TokenFault> {
    let key = keys::signing_key().await.map_err(|_| TokenFault::BadSignature)?;
    let key = key.get().map_err(|_| TokenFault::BadSignature)?;
    let mut validation = Validation::new(Algorithm::RS256);
    // The time that counts is the sandbox's, not the system's.
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.set_required_spec_claims(&["exp"]);
    let dated = jsonwebtoken::decode::<Dated>(token, key.decoding(), &validation)
        .map_err(|error| match error.kind() {
            ErrorKind::InvalidSignature => TokenFault::BadSignature,
            _ => TokenFault::Malformed,
        })?
        .claims;
    let now = now.as_second();
    if dated.exp <= now {
        Err(TokenFault::Expired)
    } else if dated.nbf.is_some_and(|nbf| nbf > now) {
        Err(TokenFault::NotYetValid)
    } else {
        Ok(dated.claims)
    }
}

/// Checks what depends on the tenant: audience and issuer.
pub(crate) fn check_tenant(tenant: &Tenant, claims: &AccessClaims) -> Result<(), TokenFault> {
    if !tenant
        .exchange_audiences
        .contains(claims.aud.trim_end_matches('/'))
    {
        return Err(TokenFault::WrongAudience);
    }
    if claims.tid != tenant.id || claims.iss != format!("https://sts.windows.net/{}/", tenant.id) {
        return Err(TokenFault::WrongTenant);
    }
    Ok(())
}
