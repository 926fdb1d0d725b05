//! One RSA certificate for this test binary.

use std::sync::LazyLock;

use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256};
use rsa::RsaPrivateKey;
use rsa::pkcs8::{EncodePrivateKey as _, LineEnding};

/// Certificate and key, each as PEM.
pub(crate) static PEM: LazyLock<(String, String)> = LazyLock::new(|| {
    let key = RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap();
    let pem = key.to_pkcs8_pem(LineEnding::LF).unwrap().to_string();
    let pair = KeyPair::from_pkcs8_pem_and_sign_algo(&pem, &PKCS_RSA_SHA256).unwrap();
    let certificate = CertificateParams::new(Vec::new())
        .unwrap()
        .self_signed(&pair)
        .unwrap();
    (certificate.pem(), pem)
});

pub(crate) fn certificate() -> exomail::token::Certificate {
    exomail::token::Certificate::from_pem_pair(PEM.0.as_bytes(), PEM.1.as_bytes()).unwrap()
}
