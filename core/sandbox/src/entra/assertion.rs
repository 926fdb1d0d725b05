//! Certificate credentials: a client's assertion, checked against the certificates of its application.

use std::fmt::Display;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;

use super::fault::Fault;
use crate::state::{AppCertificate, Application, Tenant};
use crate::time;

/// How far the client's clock may be off, in seconds.
const LEEWAY: i64 = 300;

#[derive(Deserialize)]
struct Claims {
    aud: Option<String>,
    iss: Option<String>,
    sub: Option<String>,
    jti: Option<String>,
    nbf: Option<i64>,
    exp: Option<i64>,
}

/// Checks form, key, signature, dates and claims (facts §1.2).
pub(super) fn verify(
    jwt: &str,
    tenant: &Tenant,
    application: &Application,
    authority: &str,
    now: Timestamp,
) -> Result<(), Fault> {
    let client_id = application.client_id.as_str();
    let header = jsonwebtoken::decode_header(jwt).map_err(|_| malformed())?;
    match header.alg {
        Algorithm::RS256 | Algorithm::PS256 => {}
        _ => {
            return Err(signature(
                "Invalid JWT token. Unsupported asymmetric signing algorithm.",
            ));
        }
    }
    let thumbprint = header
        .x5t_s256
        .as_deref()
        .or(header.x5t.as_deref())
        .ok_or_else(malformed)?;
    let certificate = application
        .certificates
        .iter()
        .find(|known| match &header.x5t_s256 {
            Some(given) => known.x5t_s256 == given.trim_end_matches('='),
            None => known.x5t == thumbprint.trim_end_matches('='),
        })
        .ok_or_else(|| {
            signature(&format!(
                "The certificate with identifier used to sign the client assertion is not registered on application. \
                 [Reason - The key was not found., Thumbprint of key used by client: '{}', Please visit the Azure \
                 Portal, Graph Explorer or directly use MS Graph to see configured keys for app Id '{client_id}'.]",
                hexadecimal(thumbprint)
            ))
        })?;
    let rsa = certificate
        .rsa
        .as_deref()
        .ok_or_else(|| signature("Invalid JWT token. Unsupported asymmetric signing algorithm."))?;

    let mut validation = Validation::new(header.alg);
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.set_required_spec_claims::<&str>(&[]);
    let claims = jsonwebtoken::decode::<Claims>(jwt, &DecodingKey::from_rsa_der(rsa), &validation)
        .map_err(|error| match error.kind() {
            jsonwebtoken::errors::ErrorKind::InvalidSignature => signature(&format!(
                "Client assertion contains an invalid signature. [Reason - The key was found, but use of the key to \
                 verify the signature failed., {}]",
                found(certificate, client_id)
            )),
            _ => malformed(),
        })?
        .claims;
    if certificate.end <= now || certificate.start > now {
        return Err(signature(&format!(
            "Client assertion contains an invalid signature. [Reason - The key used is expired., {}]",
            found(certificate, client_id)
        )));
    }
    check(&claims, tenant, client_id, authority, now)
}

fn check(
    claims: &Claims,
    tenant: &Tenant,
    client_id: &str,
    authority: &str,
    now: Timestamp,
) -> Result<(), Fault> {
    let is_client = |claim: &Option<String>| {
        claim
            .as_deref()
            .is_some_and(|id| id.eq_ignore_ascii_case(client_id))
    };
    if !is_client(&claims.iss) || !is_client(&claims.sub) {
        return Err(Fault::new(
            "invalid_client",
            700021,
            "Client assertion application identifier doesn't match 'client_id' parameter. Review the documentation \
             at https://docs.microsoft.com/azure/active-directory/develop/active-directory-certificate-credentials .",
        ));
    }
    if !claims
        .aud
        .as_deref()
        .is_some_and(|aud| is_token_endpoint(aud, tenant, authority))
    {
        return Err(Fault::new(
            "invalid_client",
            700023,
            "Client assertion audience claim does not match Realm issuer. Review the documentation at \
             https://docs.microsoft.com/azure/active-directory/develop/active-directory-certificate-credentials .",
        ));
    }
    if claims.jti.as_deref().is_none_or(str::is_empty) {
        return Err(malformed());
    }
    let exp = claims.exp.ok_or_else(malformed)?;
    let nbf = claims.nbf.unwrap_or(exp);
    let seconds = now.as_second();
    if exp.saturating_add(LEEWAY) <= seconds
        || claims.nbf.is_some_and(|nbf| nbf.saturating_sub(LEEWAY) > seconds)
    {
        let date = |seconds: i64| {
            Timestamp::from_second(seconds)
                .map(time::exchange)
                .unwrap_or_default()
        };
        return Err(Fault::new(
            "invalid_client",
            700024,
            format!(
                "Client assertion is not within its valid time range. Current time: {}, assertion valid from {}, \
                 expiry time of assertion {}. Review the documentation at \
                 https://docs.microsoft.com/azure/active-directory/develop/active-directory-certificate-credentials .",
                time::exchange(now),
                date(nbf),
                date(exp)
            ),
        ));
    }
    Ok(())
}

/// The token endpoint's URL, with or without `/v2.0`, or the authority with the tenant: all are taken in practice.
fn is_token_endpoint(aud: &str, tenant: &Tenant, authority: &str) -> bool {
    // The certificate of the sandbox is for both names.
    let other = authority.replace("//localhost:", "//127.0.0.1:");
    let Some(path) = aud.strip_prefix(authority).or_else(|| aud.strip_prefix(&other)) else {
        return false;
    };
    let mut segments = path.trim_matches('/').splitn(2, '/');
    let name = segments.next().unwrap_or_default();
    tenant.is_named(name)
        && matches!(
            segments.next().unwrap_or_default(),
            "" | "v2.0" | "oauth2/v2.0/token" | "oauth2/token"
        )
}

fn malformed() -> Fault {
    Fault::new("invalid_request", 50027, "JWT token is invalid or malformed.")
}

fn signature(text: &str) -> Fault {
    Fault::new("invalid_client", 700027, text)
}

fn found(certificate: &AppCertificate, client_id: &str) -> impl Display {
    format!(
        "Thumbprint of key used by client: '{}', Found key 'Start={}, End={}', Please visit the Azure Portal, Graph \
         Explorer or directly use MS Graph to see configured keys for app Id '{client_id}'.",
        certificate.thumbprint,
        time::entra_key(certificate.start),
        time::entra_key(certificate.end),
    )
}

/// Entra prints thumbprints in hexadecimal; what is not base64url is not printed.
fn hexadecimal(thumbprint: &str) -> String {
    let bytes = URL_SAFE_NO_PAD
        .decode(thumbprint.trim_end_matches('='))
        .unwrap_or_default();
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}
