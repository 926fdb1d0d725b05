//! Signing in with a certificate, from a PEM file and from a PFX file with its password.

mod support;

use exomail_sandbox::Sandbox;
use p12_keystore::{KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256};
use rsa::RsaPrivateKey;
use rsa::pkcs8::{EncodePrivateKey, LineEnding};
use support::{Home, Run};

/// Runs on a thread of its own: the sandbox answers on this one.
async fn run(home: &Home, args: &[&str]) -> Run {
    let mut command = home.command(args);
    let output = tokio::task::spawn_blocking(move || command.output()).await;
    Run::of(output.expect("joined").expect("the binary runs"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_stands_for_the_secret() {
    let sandbox = Sandbox::start().await.expect("the sandbox starts");
    let key = RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).expect("a key");
    let key_pem = key.to_pkcs8_pem(LineEnding::LF).expect("PEM").to_string();
    let pair = KeyPair::from_pkcs8_pem_and_sign_algo(&key_pem, &PKCS_RSA_SHA256).expect("a pair");
    let params = CertificateParams::new(Vec::new()).expect("parameters");
    let certificate = params.self_signed(&pair).expect("a certificate");
    let pem = certificate.pem();
    let uploaded = sandbox
        .state()
        .add_certificate(sandbox.client_id(), pem.as_bytes());
    uploaded.expect("the certificate is taken");

    let chain = PrivateKeyChain::new(
        vec![1],
        PrivateKey::from_der(key.to_pkcs8_der().expect("DER").as_bytes()).expect("a key"),
        [p12_keystore::Certificate::from_der(certificate.der()).expect("a certificate")],
    );
    let mut store = KeyStore::new();
    store.add_entry("app", KeyStoreEntry::PrivateKeyChain(chain));
    let pfx = store.writer("pässword").write().expect("a PFX file");

    let mut home = Home::new();
    home.env = sandbox
        .to_env()
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    home.env.remove("EXOMAIL_CLIENT_SECRET");
    let pem = home.write("app.pem", format!("{pem}{key_pem}"));
    let pfx = home.write("app.pfx", pfx);
    let password = home.write("password", "pässword\n");

    let claims = run(&home, &["token", "--claims", "--certificate", &pem])
        .await
        .ok()
        .json();
    assert_eq!(claims["appidacr"], "2", "signed in with a certificate: {claims}");
    run(
        &home,
        &[
            "token",
            "--certificate",
            &pfx,
            "--certificate-password-file",
            &password,
        ],
    )
    .await
    .ok();
    // Without a terminal nobody can be asked for the password.
    let error = run(&home, &["token", "--certificate", &pfx, "--json"])
        .await
        .fails(3)
        .error();
    assert_eq!(error["kind"], "invalid_config", "{error}");
    let home = home
        .with("EXOMAIL_CERTIFICATE", &pfx)
        .with("EXOMAIL_CERTIFICATE_PASSWORD", "pässword");
    run(&home, &["folders"]).await.ok();
}
