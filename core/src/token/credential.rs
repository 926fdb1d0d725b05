//! [`Credential`]: how the app proves who it is.

use std::fmt;
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};

use super::Certificate;
use crate::error::{Error, ErrorKind, Result, Step};
use crate::secret::Secret;

/// How the app proves who it is: the Value of a client secret, or a certificate with its key.
#[derive(Clone)]
pub enum Credential {
    /// The *Value* of a client secret, not its Secret ID.
    Secret(Secret),
    /// A certificate that is uploaded to the app, with its private key.
    Certificate(Certificate),
}

impl Credential {
    /// Checks what can be checked without any network.
    pub(crate) fn check(&self, now: SystemTime) -> Result<()> {
        match self {
            Credential::Secret(secret) => check_secret(secret.expose()),
            Credential::Certificate(certificate) => certificate.check_time(now),
        }
    }

    /// SHA-256 over the credential: tells two apart without keeping either.
    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        let (kind, bytes) = match self {
            Credential::Secret(secret) => ("secret", secret.expose().as_bytes()),
            Credential::Certificate(certificate) => ("certificate", certificate.der()),
        };
        Sha256::new()
            .chain_update(kind)
            .chain_update([0])
            .chain_update(bytes)
            .finalize()
            .into()
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Credential::Secret(_) => {
                // 32 bits: enough to tell two secrets apart in a log, too few to test guesses against.
                let [a, b, c, d, ..] = self.fingerprint();
                write!(f, "Secret(fingerprint {a:02x}{b:02x}{c:02x}{d:02x})")
            }
            Credential::Certificate(certificate) => certificate.fmt(f),
        }
    }
}

/// Whether the text has the form of a GUID: 8-4-4-4-12 hexadecimal digits.
pub(crate) fn is_guid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn check_secret(secret: &str) -> Result<()> {
    let refuse = |detail: &'static str, hint: &'static str| {
        Err(Error::new(ErrorKind::InvalidConfig, "client secret", detail)
            .with_step(Step::CreateCredential)
            .with_hint(hint))
    };
    if secret.is_empty() {
        return refuse(
            "the client secret is empty",
            "create a client secret in Entra and give its Value, which is shown once",
        );
    }
    if secret.trim() != secret {
        return refuse(
            "the client secret begins or ends with white space",
            "cut off the blank or line end; a file read whole often ends in one",
        );
    }
    if secret.chars().any(char::is_control) {
        return refuse(
            "the client secret holds a control character",
            "copy the Value again, as one line",
        );
    }
    if is_guid(secret) {
        return refuse(
            "the client secret is a GUID",
            "this is the Secret ID, not the Value: create a new client secret and copy its Value, which is shown once",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(secret: &str) -> Result<()> {
        Credential::Secret(secret.into()).check(SystemTime::now())
    }

    #[test]
    fn a_secret_that_cant_be_right_is_refused() {
        for (secret, hint) in [
            ("", "create a client secret"),
            (" 8Q~value", "cut off"),
            ("8Q~value\n", "cut off"),
            ("8Q~\u{a0}value\u{a0}", "cut off"),
            ("8Q~va\nlue", "one line"),
            (
                "1ac2a64a-16aa-433e-be83-c43c36ac1a01",
                "this is the Secret ID, not the Value",
            ),
            (
                "1AC2A64A-16AA-433E-BE83-C43C36AC1A01",
                "this is the Secret ID, not the Value",
            ),
        ] {
            let error = check(secret).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{secret:?}");
            assert_eq!(error.step(), Some(Step::CreateCredential));
            assert!(error.hint().unwrap().contains(hint), "{secret:?}: {error}");
            assert!(secret.is_empty() || !format!("{error:?}").contains(secret));
        }
        check("8Q~value-_.+&= x%").unwrap();
        check("1ac2a64a-16aa-433e-be83-c43c36ac1a0").unwrap();
    }

    #[test]
    fn a_guid_has_its_hyphens_in_place() {
        assert!(is_guid("00000000-0000-0000-0000-000000000000"));
        assert!(!is_guid("00000000000000000000000000000000"));
        assert!(!is_guid("0000000-00000-0000-0000-000000000000"));
        assert!(!is_guid("00000000-0000-0000-0000-00000000000g"));
        assert!(!is_guid("{00000000-0000-0000-0000-0000000000}"));
    }

    #[test]
    fn debug_shows_a_fingerprint_only() {
        let one = Credential::Secret("8Q~value-one".into());
        let two = Credential::Secret("8Q~value-two".into());
        assert_ne!(format!("{one:?}"), format!("{two:?}"));
        assert!(!format!("{one:?}").contains("8Q~"));
    }
}
