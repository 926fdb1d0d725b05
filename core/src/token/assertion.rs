//! The signed JWT that stands for a client secret (RFC 7523 §2.2).

use std::time::{Duration, SystemTime};

use jsonwebtoken::{Algorithm, Header};
use serde::Serialize;
use uuid::Uuid;

use super::Certificate;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

/// `client_assertion_type` (RFC 7523 §2.2).
pub(super) const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How long an assertion is good for. Microsoft suggests 5 to 10 minutes.
const LIFE: Duration = Duration::from_secs(600);

#[derive(Serialize)]
struct AssertionClaims<'a> {
    aud: &'a str,
    iss: &'a str,
    sub: &'a str,
    jti: String,
    nbf: u64,
    iat: u64,
    exp: u64,
}

/// A fresh assertion for one request; each has its own `jti`, for Entra refuses one that is used again.
pub(super) fn sign(
    certificate: &Certificate,
    client_id: &str,
    token_url: &str,
    now: SystemTime,
) -> Result<Secret> {
    certificate.check_time(now)?;
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut header = Header::new(Algorithm::PS256);
    if certificate.is_rs256() {
        header.alg = Algorithm::RS256;
        header.x5t = Some(certificate.x5t());
    } else {
        header.x5t_s256 = Some(certificate.x5t_s256());
    }
    let claims = AssertionClaims {
        aud: token_url,
        iss: client_id,
        sub: client_id,
        jti: Uuid::new_v4().to_string(),
        nbf: now.as_secs(),
        iat: now.as_secs(),
        exp: (now + LIFE).as_secs(),
    };
    jsonwebtoken::encode(&header, &claims, certificate.key())
        .map(Secret::new)
        .map_err(|error| {
            Error::new(
                ErrorKind::InvalidConfig,
                "certificate",
                "the private key can't sign",
            )
            .with_source(error)
        })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use base64::Engine as _;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;
    use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
    use serde_json::Value;
    use sha2::{Digest as _, Sha256};
    use x509_parser::prelude::{FromDer as _, X509Certificate};

    use super::super::testkeys;
    use super::*;

    const URL: &str = "https://login.microsoftonline.com/contoso.com/oauth2/v2.0/token";
    const CLIENT: &str = "22222222-2222-4222-8222-222222222222";

    /// Checks the signature with the certificate's public key.
    fn verify(certificate: &Certificate, assertion: &Secret) -> HashMap<String, Value> {
        let (_, x509) = X509Certificate::from_der(certificate.der()).unwrap();
        let key = DecodingKey::from_rsa_der(&x509.public_key().subject_public_key.data);
        let mut validation = Validation::new(decode_header(assertion.expose()).unwrap().alg);
        validation.set_audience(&[URL]);
        validation.set_issuer(&[CLIENT]);
        validation.sub = Some(CLIENT.to_owned());
        validation.validate_nbf = true;
        decode(assertion.expose(), &key, &validation).unwrap().claims
    }

    #[test]
    fn header_and_claims_are_what_entra_asks_for() {
        let now = SystemTime::now();
        let certificate = Certificate::from_pem(testkeys::pem().as_bytes()).unwrap();
        let assertion = sign(&certificate, CLIENT, URL, now).unwrap();
        let header = decode_header(assertion.expose()).unwrap();
        assert_eq!(
            (header.alg, header.typ.as_deref()),
            (Algorithm::PS256, Some("JWT"))
        );
        let thumb = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(certificate.der()));
        assert_eq!(
            (header.x5t_s256, header.x5t, header.kid),
            (Some(thumb), None, None)
        );
        let raw = assertion.expose().split('.').next().unwrap();
        let raw = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(raw).unwrap()).unwrap();
        assert!(raw.contains("\"x5t#S256\""), "{raw}");
        let claims = verify(&certificate, &assertion);
        let number = |name: &str| claims[name].as_u64().unwrap();
        assert_eq!(
            number("nbf"),
            now.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
        );
        assert_eq!(number("iat"), number("nbf"));
        assert_eq!(number("exp") - number("nbf"), 600);
        let again = verify(&certificate, &sign(&certificate, CLIENT, URL, now).unwrap());
        assert_ne!(claims["jti"], again["jti"]);
    }

    #[test]
    fn the_older_form_is_an_option() {
        let certificate = Certificate::from_pem(testkeys::pem().as_bytes())
            .unwrap()
            .with_rs256();
        let assertion = sign(&certificate, CLIENT, URL, SystemTime::now()).unwrap();
        let header = decode_header(assertion.expose()).unwrap();
        assert_eq!((header.alg, header.x5t_s256), (Algorithm::RS256, None));
        let sha1 = BASE64_URL_SAFE_NO_PAD.decode(header.x5t.unwrap()).unwrap();
        let hex: String = sha1.iter().map(|byte| format!("{byte:02X}")).collect();
        assert_eq!(hex, certificate.thumbprint());
        verify(&certificate, &assertion);
    }

    #[test]
    fn an_expired_certificate_signs_nothing() {
        let certificate = Certificate::from_pem(testkeys::pem().as_bytes()).unwrap();
        let later = SystemTime::now() + Duration::from_secs(90_000);
        let error = sign(&certificate, CLIENT, URL, later).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CredentialExpired);
    }
}
