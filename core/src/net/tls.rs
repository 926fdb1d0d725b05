//! [`Tls`]: one shared rustls configuration for token endpoint, SMTP, IMAP and POP3.

use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::Verifier;

use crate::error::{Error, ErrorKind, Layer, Result};

/// How servers are verified: by the operating system's trust store, and the extra CAs that were given.
///
/// TLS 1.2 and later. There is no way to switch verification off. Cloning shares the configuration; building one
/// reads the trust store, so the one without extra CAs is built once per process.
#[derive(Clone)]
pub struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Trusts what the operating system trusts.
    ///
    /// # Errors
    /// [`ErrorKind::Tls`] when the system has no CA certificates at all.
    pub fn system() -> Result<Self> {
        static SYSTEM: OnceLock<Tls> = OnceLock::new();
        if let Some(tls) = SYSTEM.get() {
            return Ok(tls.clone());
        }
        let tls = Self::build(Vec::new())?;
        Ok(SYSTEM.get_or_init(|| tls).clone())
    }

    /// Trusts, besides what the operating system trusts, the CA certificates in a PEM text.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] when the text holds no certificate or an unreadable one.
    pub fn with_extra_ca_pem(pem: &[u8]) -> Result<Self> {
        let invalid = |detail: &'static str| Error::new(ErrorKind::InvalidConfig, "extra CA", detail);
        let mut roots = Vec::new();
        for item in CertificateDer::pem_slice_iter(pem) {
            roots.push(item.map_err(|error| {
                invalid("the PEM text holds a certificate that can't be read").with_source(error)
            })?);
        }
        if roots.is_empty() {
            return Err(invalid("the PEM text holds no certificate")
                .with_hint("give the CA certificate as PEM, starting with -----BEGIN CERTIFICATE-----"));
        }
        Self::build(roots)
    }

    fn build(extra: Vec<CertificateDer<'static>>) -> Result<Self> {
        let failed =
            |detail: &'static str| Error::new(ErrorKind::Tls, "TLS set-up", detail).with_layer(Layer::Tls);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = Verifier::new_with_extra_roots(extra, provider.clone()).map_err(|error| {
            failed("the system's CA certificates can't be loaded")
                .with_hint("install the package ca-certificates, or give a CA file")
                .with_source(error)
        })?;
        // Not `ClientConfig::builder()`: it panics when feature unification enables two providers, or none.
        // The verifier is the platform's own, so `dangerous()` here does not loosen anything.
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| failed("no TLS version in common with the provider").with_source(error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        Ok(Self(Arc::new(config)))
    }

    pub(crate) fn config(&self) -> &Arc<ClientConfig> {
        &self.0
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_certificate_is_refused() {
        for pem in [
            "",
            "not pem",
            "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n",
        ] {
            let error = Tls::with_extra_ca_pem(pem.as_bytes()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{pem:?}");
        }
    }
}
