//! [`Certificate`]: a certificate and its RSA key, from PEM or PFX.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::EncodingKey;
use p12_keystore::Pkcs12Archive;
use ring::signature::KeyPair as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind, Result, Step};
use crate::secret::Secret;

/// A larger file is no certificate with its key.
const MAX_FILE: usize = 1 << 20;
/// A certificate whose time begins this much ahead of this machine's clock still passes: clocks differ.
const CLOCK_SKEW: Duration = Duration::from_secs(300);

/// A certificate with its RSA key, which signs the assertion that stands for a client secret.
///
/// The certificate (without the key) must be uploaded to the app in Entra. Clones share the key; it can't be printed.
#[derive(Clone)]
pub struct Certificate {
    inner: Arc<Inner>,
    rs256: bool,
}

struct Inner {
    der: Vec<u8>,
    subject: String,
    not_before: SystemTime,
    not_after: SystemTime,
    key: EncodingKey,
}

impl Certificate {
    /// Reads certificate and private key from one PEM text, in any order. Of several certificates (a chain) the one that
    /// belongs to the key is taken. The key is PKCS#8 or PKCS#1, not encrypted.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] when a part is missing or can't be read, the key is not RSA or shorter than 2048
    /// bits, or none of the certificates belongs to it.
    pub fn from_pem(pem: &[u8]) -> Result<Self> {
        Self::from_pem_pair(pem, pem)
    }

    /// As [`Certificate::from_pem`], with the certificate (or chain) and the key in two texts.
    ///
    /// # Errors
    /// As [`Certificate::from_pem`].
    pub fn from_pem_pair(certificate: &[u8], key: &[u8]) -> Result<Self> {
        if certificate.len() > MAX_FILE || key.len() > MAX_FILE {
            return Err(invalid(
                "the PEM text is too large",
                "give one certificate, its chain and its key",
            ));
        }
        if contains(key, b"ENCRYPTED PRIVATE KEY") || contains(key, b"Proc-Type: 4,ENCRYPTED") {
            return Err(invalid(
                "the private key is encrypted",
                "decrypt it (openssl pkey -in key.pem -out plain.pem), or give a PFX file with its password",
            ));
        }
        let mut certificates = Vec::new();
        for item in CertificateDer::pem_slice_iter(certificate) {
            let der = item.map_err(|error| {
                invalid(
                    "the PEM text holds a certificate that can't be read",
                    "export it again as PEM",
                )
                .with_source(error)
            })?;
            certificates.push(der.to_vec());
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| {
            invalid(
                "the PEM text holds no private key that can be read",
                "give the certificate and its private key: -----BEGIN CERTIFICATE----- and -----BEGIN PRIVATE KEY-----",
            )
            .with_source(error)
        })?;
        let key = match &key {
            PrivateKeyDer::Pkcs8(key) => RsaKey::from_pkcs8(key.secret_pkcs8_der())?,
            PrivateKeyDer::Pkcs1(key) => RsaKey::from_pkcs1(key.secret_pkcs1_der())?,
            _ => return Err(not_rsa()),
        };
        Self::assemble(&certificates, key)
    }

    /// Reads certificate and private key from a PFX file (PKCS#12, `.pfx` or `.p12`).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] when file or password are wrong, and as [`Certificate::from_pem`].
    pub fn from_pfx(pfx: &[u8], password: &Secret) -> Result<Self> {
        if pfx.len() > MAX_FILE {
            return Err(invalid(
                "the PFX file is too large",
                "give one certificate, its chain and its key",
            ));
        }
        let archive = Pkcs12Archive::from_pkcs12(pfx, password.expose()).map_err(|error| {
            invalid(
                "the PFX file can't be opened",
                "check its password, and that it is a PFX (PKCS#12) file and not a PEM text",
            )
            .with_source(error)
        })?;
        let certificates: Vec<Vec<u8>> = archive
            .certs
            .iter()
            .map(|bag| bag.cert.as_der().to_vec())
            .collect();
        let mut last = invalid(
            "the PFX file holds no private key",
            "export it again with its private key",
        );
        // A file may hold other keys besides.
        for bag in &archive.keys {
            match RsaKey::from_pkcs8(bag.key.as_der()).and_then(|key| Self::assemble(&certificates, key)) {
                Ok(certificate) => return Ok(certificate),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Signs with RS256 and names the certificate by `x5t` (SHA-1), for a server that does not take PS256 with
    /// `x5t#S256`. Entra takes both.
    #[must_use]
    pub fn with_rs256(mut self) -> Self {
        self.rs256 = true;
        self
    }

    /// The SHA-1 thumbprint as 40 hexadecimal digits, as the portal shows it.
    pub fn thumbprint(&self) -> String {
        sha1(&self.inner.der)
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02X}"))
            .collect()
    }

    /// The subject, such as `CN=mailer`.
    pub fn subject(&self) -> &str {
        &self.inner.subject
    }

    /// When it expires.
    pub fn not_after(&self) -> SystemTime {
        self.inner.not_after
    }

    /// The certificate in DER form, as it is uploaded to the app.
    pub fn der(&self) -> &[u8] {
        &self.inner.der
    }

    pub(super) fn is_rs256(&self) -> bool {
        self.rs256
    }

    pub(super) fn key(&self) -> &EncodingKey {
        &self.inner.key
    }

    /// base64url of the SHA-1 of the DER form (RFC 7515 §4.1.7).
    pub(super) fn x5t(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(sha1(&self.inner.der))
    }

    /// base64url of the SHA-256 of the DER form (RFC 7515 §4.1.8).
    pub(super) fn x5t_s256(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&self.inner.der))
    }

    /// Refuses a certificate that the token service would refuse for its time.
    pub(super) fn check_time(&self, now: SystemTime) -> Result<()> {
        if now >= self.inner.not_after {
            return Err(Error::new(
                ErrorKind::CredentialExpired,
                "certificate",
                format!("the certificate expired on {}", date(self.inner.not_after)),
            )
            .with_step(Step::CreateCredential)
            .with_hint("make a new certificate and upload it to the app; or correct this machine's clock"));
        }
        if now + CLOCK_SKEW < self.inner.not_before {
            return Err(invalid(
                format!(
                    "the certificate is not valid before {}",
                    date(self.inner.not_before)
                ),
                "correct this machine's clock, or use a certificate that is valid now",
            ));
        }
        Ok(())
    }

    fn assemble(certificates: &[Vec<u8>], key: RsaKey) -> Result<Self> {
        if certificates.is_empty() {
            return Err(invalid(
                "there is a private key but no certificate",
                "give the certificate too: it starts with -----BEGIN CERTIFICATE-----",
            ));
        }
        for der in certificates {
            let (_, certificate) = X509Certificate::from_der(der).map_err(|error| {
                invalid("a certificate can't be read", "export the certificate again").with_source(error)
            })?;
            // For RSA the bit string is the PKCS#1 public key, which is also what ring gives (RFC 3279 §2.3.1).
            if certificate.public_key().subject_public_key.data.as_ref() != key.public.as_slice() {
                continue;
            }
            let validity = certificate.validity();
            let inner = Inner {
                subject: certificate.subject().to_string(),
                not_before: time(validity.not_before.timestamp()),
                not_after: time(validity.not_after.timestamp()),
                key: key.signing,
                der: der.clone(),
            };
            return Ok(Self {
                inner: Arc::new(inner),
                rs256: false,
            });
        }
        Err(invalid(
            "the private key does not belong to the certificate",
            "give the key that the certificate was made with",
        ))
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("thumbprint", &self.thumbprint())
            .field("subject", &self.inner.subject)
            .field("not_after", &date(self.inner.not_after))
            .finish_non_exhaustive()
    }
}

/// An RSA key that ring takes: 2048 bits or more.
struct RsaKey {
    /// The public key in PKCS#1 form.
    public: Vec<u8>,
    signing: EncodingKey,
}

impl RsaKey {
    fn from_pkcs8(der: &[u8]) -> Result<Self> {
        let pair = ring::rsa::KeyPair::from_pkcs8(der).map_err(|error| rejected(&error.to_string()))?;
        // jsonwebtoken takes PKCS#8 only as PEM.
        let base64 = Zeroizing::new(BASE64_STANDARD.encode(der));
        let mut pem = Zeroizing::new(String::with_capacity(base64.len() * 2));
        pem.push_str("-----BEGIN PRIVATE KEY-----\n");
        let mut rest = base64.as_str();
        while !rest.is_empty() {
            let (line, tail) = rest.split_at(rest.len().min(64));
            pem.push_str(line);
            pem.push('\n');
            rest = tail;
        }
        pem.push_str("-----END PRIVATE KEY-----\n");
        // Its errors name no key material, but are kept out all the same.
        let signing = EncodingKey::from_rsa_pem(pem.as_bytes()).map_err(|_| rejected("not PKCS#8"))?;
        Ok(Self {
            public: pair.public_key().as_ref().to_vec(),
            signing,
        })
    }

    fn from_pkcs1(der: &[u8]) -> Result<Self> {
        let pair = ring::rsa::KeyPair::from_der(der).map_err(|error| rejected(&error.to_string()))?;
        Ok(Self {
            public: pair.public_key().as_ref().to_vec(),
            signing: EncodingKey::from_rsa_der(der),
        })
    }
}

fn invalid(detail: impl Into<std::borrow::Cow<'static, str>>, hint: &'static str) -> Error {
    Error::new(ErrorKind::InvalidConfig, "certificate", detail)
        .with_step(Step::CreateCredential)
        .with_hint(hint)
}

fn not_rsa() -> Error {
    invalid(
        "the private key is not RSA",
        "Entra takes RSA only: make a certificate with an RSA key of 2048 bits or more (openssl req -x509 -newkey rsa:2048)",
    )
}

/// ring's reason in words: one of its fixed names, never key material.
fn rejected(reason: &str) -> Error {
    match reason {
        "WrongAlgorithm" => not_rsa(),
        "TooSmall" => invalid(
            "the RSA key is shorter than 2048 bits",
            "make a certificate with an RSA key of 2048 bits or more",
        ),
        _ => invalid(
            format!("the private key can't be used ({reason})"),
            "export the key again as PKCS#8; it must be RSA with 2048 to 4096 bits",
        ),
    }
}

fn sha1(bytes: &[u8]) -> ring::digest::Digest {
    ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, bytes)
}

/// Seconds since 1970 as a time; a time before 1970 is 1970.
fn time(seconds: i64) -> SystemTime {
    let since = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    SystemTime::UNIX_EPOCH
        .checked_add(since)
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

fn date(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map_or_else(|_| "an unknown day".to_owned(), |time| time.to_string())
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(text, part).is_some()
}

#[cfg(test)]
mod tests {
    use p12_keystore::{KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};

    use super::super::testkeys;
    use super::*;

    fn refused(pem: &str) -> Error {
        Certificate::from_pem(pem.as_bytes()).unwrap_err()
    }

    fn pfx(password: &str) -> Vec<u8> {
        let key = PrivateKey::from_der(&testkeys::key_pkcs8_der()).unwrap();
        let leaf = p12_keystore::Certificate::from_der(testkeys::certificate(-60, 86_400).der()).unwrap();
        let mut store = KeyStore::new();
        store.add_entry(
            "mailer",
            KeyStoreEntry::PrivateKeyChain(PrivateKeyChain::new(vec![1], key, [leaf])),
        );
        store.writer(password).write().unwrap()
    }

    #[test]
    fn pem_is_read_in_any_order_and_either_key_form() {
        let leaf = testkeys::certificate(-60, 86_400);
        let other = rcgen::generate_simple_self_signed(["ca.example".to_owned()])
            .unwrap()
            .cert;
        let (key, pkcs1) = (testkeys::key_pem(), testkeys::key_pkcs1_pem());
        for text in [
            format!("{}{key}", leaf.pem()),
            format!("Bag Attributes\n{key}subject=x\n{}", leaf.pem()),
            format!("{pkcs1}{}{}", other.pem(), leaf.pem()),
            format!("{}{key}", leaf.pem()).replace('\n', "\r\n"),
        ] {
            let certificate = Certificate::from_pem(text.as_bytes()).unwrap();
            assert_eq!(certificate.der(), leaf.der().as_ref());
            assert_eq!(certificate.subject(), "CN=mailer");
            assert_eq!(certificate.thumbprint().len(), 40);
            assert!(certificate.not_after() > SystemTime::now());
            certificate.check_time(SystemTime::now()).unwrap();
            assert!(!format!("{certificate:?}").contains("BEGIN"));
        }
        Certificate::from_pem_pair(leaf.pem().as_bytes(), key.as_bytes()).unwrap();
    }

    #[test]
    fn pfx_is_read_with_its_password() {
        let file = pfx("päss");
        let certificate = Certificate::from_pfx(&file, &Secret::new("päss")).unwrap();
        assert_eq!(certificate.subject(), "CN=mailer");
        for (file, password) in [
            (file.as_slice(), "wrong"),
            (&file, ""),
            (&[], ""),
            (b"-----BEGIN", ""),
            (&file[..99], "päss"),
        ] {
            let error = Certificate::from_pfx(file, &Secret::new(password)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig);
            assert!(error.hint().unwrap().contains("password"));
        }
        for end in (0..file.len()).step_by(97) {
            assert!(Certificate::from_pfx(&file[..end], &Secret::new("päss")).is_err());
        }
    }

    #[test]
    fn what_cant_be_right_is_refused_with_a_hint() {
        let leaf = testkeys::certificate(-60, 86_400).pem();
        let ec = rcgen::generate_simple_self_signed(["x".to_owned()]).unwrap();
        let ec_pem = format!("{}{}", ec.cert.pem(), ec.signing_key.serialize_pem());
        let encrypted = testkeys::key_pem().replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        for (text, detail) in [
            (String::new(), "no private key"),
            (leaf.clone(), "no private key"),
            (testkeys::key_pem(), "no certificate"),
            (ec_pem, "not RSA"),
            (format!("{leaf}{encrypted}"), "encrypted"),
            (
                format!("{}{}", ec.cert.pem(), testkeys::key_pem()),
                "does not belong",
            ),
            (
                format!("{leaf}-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
                "can't be used",
            ),
            (
                format!(
                    "{}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                    testkeys::key_pem()
                ),
                "can't be read",
            ),
            ("x".repeat(MAX_FILE + 1), "too large"),
        ] {
            let error = refused(&text);
            assert_eq!(
                (error.kind(), error.step()),
                (ErrorKind::InvalidConfig, Some(Step::CreateCredential))
            );
            assert!(error.detail().contains(detail), "{detail}: {error}");
            assert!(error.hint().is_some());
        }
    }

    #[test]
    fn a_certificate_out_of_its_time_is_refused_before_any_network() {
        let build = |from, to| {
            let pem = format!("{}{}", testkeys::certificate(from, to).pem(), testkeys::key_pem());
            crate::App::builder("contoso.com", "22222222-2222-4222-8222-222222222222")
                .certificate(Certificate::from_pem(pem.as_bytes()).unwrap())
                .build()
        };
        let error = build(-9000, -60).unwrap_err();
        assert_eq!(
            (error.kind(), error.step()),
            (ErrorKind::CredentialExpired, Some(Step::CreateCredential))
        );
        assert_eq!(build(3600, 7200).unwrap_err().kind(), ErrorKind::InvalidConfig);
        build(60, 7200).unwrap();
    }
}
