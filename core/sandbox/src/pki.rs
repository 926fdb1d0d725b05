//! The certificate authority of one start, and the server's certificate signed by it.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use uuid::Uuid;

use crate::error::SandboxError;

/// The authority's certificate, and TLS as all servers of the sandbox speak it.
#[derive(Debug)]
pub(crate) struct Pki {
    pub(crate) ca_pem: String,
    pub(crate) server: Arc<ServerConfig>,
}

impl Pki {
    /// A new authority with ECDSA keys, and a certificate for `localhost` and 127.0.0.1.
    pub(crate) fn generate() -> Result<Self, SandboxError> {
        make().map_err(|error| SandboxError::Certificate(error.to_string()))
    }
}

fn make() -> Result<Pki, Box<dyn std::error::Error + Send + Sync>> {
    let mut ca = CertificateParams::new(Vec::<String>::new())?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    ca.distinguished_name
        .push(DnType::CommonName, "exomail sandbox CA");
    let ca_key = KeyPair::generate()?;
    let ca_pem = ca.self_signed(&ca_key)?.pem();
    let issuer = Issuer::new(ca, ca_key);

    let mut leaf = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    leaf.distinguished_name.push(DnType::CommonName, "localhost");
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    // OpenSSL's strict mode, Python's default since 3.13, wants the authority's key identifier in the leaf.
    leaf.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let certificate = leaf.signed_by(&key, &issuer)?;
    let server = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der())?,
        )?;
    Ok(Pki {
        ca_pem,
        server: Arc::new(server),
    })
}

/// The authority's certificate in a file of its own, which goes when this value goes.
#[derive(Debug)]
pub(crate) struct CaFile(PathBuf);

impl CaFile {
    pub(crate) fn write(pem: &str) -> Result<Self, SandboxError> {
        let io = |source| SandboxError::Io {
            what: "cannot write the certificate authority's file",
            source,
        };
        let path = std::env::temp_dir().join(format!("exomail-sandbox-{}.pem", Uuid::new_v4()));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path).map_err(io)?;
        let guard = Self(path);
        file.write_all(pem.as_bytes()).map_err(io)?;
        Ok(guard)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for CaFile {
    fn drop(&mut self) {
        // Somebody else may have removed it already; there is nobody left to tell.
        let _ = std::fs::remove_file(&self.0);
    }
}
