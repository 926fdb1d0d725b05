//! One RSA key for all tests of this crate: making one takes a while.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256};
use rsa::RsaPrivateKey;
use rsa::pkcs1::EncodeRsaPrivateKey as _;
use rsa::pkcs8::{EncodePrivateKey as _, LineEnding};

static KEY: LazyLock<RsaPrivateKey> =
    LazyLock::new(|| RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap());

pub(super) fn key_pem() -> String {
    KEY.to_pkcs8_pem(LineEnding::LF).unwrap().to_string()
}

pub(super) fn key_pkcs1_pem() -> String {
    KEY.to_pkcs1_pem(LineEnding::LF).unwrap().to_string()
}

pub(super) fn key_pkcs8_der() -> Vec<u8> {
    KEY.to_pkcs8_der().unwrap().as_bytes().to_vec()
}

/// A self-signed certificate of the key, valid from and to these seconds from now.
pub(super) fn certificate(from: i64, to: i64) -> rcgen::Certificate {
    let pair = KeyPair::from_pkcs8_pem_and_sign_algo(&key_pem(), &PKCS_RSA_SHA256).unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "mailer");
    params.not_before = at(from).into();
    params.not_after = at(to).into();
    params.self_signed(&pair).unwrap()
}

fn at(offset: i64) -> SystemTime {
    let span = Duration::from_secs(offset.unsigned_abs());
    if offset < 0 {
        SystemTime::now() - span
    } else {
        SystemTime::now() + span
    }
}

/// Certificate and key in one text.
pub(super) fn pem() -> String {
    format!("{}{}", certificate(-60, 86_400).pem(), key_pem())
}
