//! Entra's endpoints, asked by curl.
#![allow(clippy::unwrap_used, reason = "a test that fails should panic")]

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use exomail_sandbox::{Sandbox, TokenOverrides};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use rsa::pkcs8::{EncodePrivateKey as _, LineEnding};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Runs curl with the sandbox's CA; gives the status and the body.
async fn curl(sandbox: &Sandbox, arguments: &[&str]) -> (u16, Value) {
    let mut command = Command::new("curl");
    command.args([
        "--silent",
        "--show-error",
        "--max-time",
        "30",
        "--write-out",
        "\n%{http_code}",
    ]);
    command.arg("--cacert").arg(sandbox.ca_file()).args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .unwrap()
        .unwrap();
    assert!(
        output.status.success(),
        "curl: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (
        status.parse().unwrap(),
        serde_json::from_str(body).unwrap_or_else(|_| panic!("not JSON: {body}")),
    )
}

fn token_url(sandbox: &Sandbox, tenant: &str) -> String {
    format!("{}/{tenant}/oauth2/v2.0/token", sandbox.authority())
}

const SCOPE: &str = "scope=https://outlook.office365.com/.default";

/// Verifies a token with the published keys and gives its claims.
async fn verified(sandbox: &Sandbox, token: &str) -> Value {
    let url = format!("{}/{}/discovery/v2.0/keys", sandbox.authority(), sandbox.tenant());
    let (status, jwks) = curl(sandbox, &[&url]).await;
    assert_eq!(status, 200);
    let jwks: JwkSet = serde_json::from_value(jwks).unwrap();
    let kid = jsonwebtoken::decode_header(token).unwrap().kid.unwrap();
    let key = DecodingKey::from_jwk(jwks.find(&kid).unwrap()).unwrap();
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&["https://outlook.office365.com"]);
    jsonwebtoken::decode::<Value>(token, &key, &validation)
        .unwrap()
        .claims
}

#[tokio::test]
async fn discovery_answers_for_guid_and_domain() {
    let sandbox = Sandbox::start().await.unwrap();
    for tenant in [sandbox.tenant(), sandbox.domain()] {
        let url = format!(
            "{}/{tenant}/v2.0/.well-known/openid-configuration",
            sandbox.authority()
        );
        let (status, body) = curl(&sandbox, &[&url]).await;
        assert_eq!(status, 200);
        assert_eq!(
            body["issuer"],
            format!("{}/{}/v2.0", sandbox.authority(), sandbox.tenant())
        );
        assert_eq!(body["token_endpoint"], token_url(&sandbox, sandbox.tenant()));
    }
    let url = format!(
        "{}/fabrikam.example/v2.0/.well-known/openid-configuration",
        sandbox.authority()
    );
    let (status, body) = curl(&sandbox, &[&url]).await;
    assert_eq!((status, &body["error"]), (400, &json!("invalid_tenant")));
    assert_eq!(body["error_codes"], json!([90002]));
}

#[tokio::test]
async fn a_secret_buys_a_token_in_body_and_in_basic() {
    let sandbox = Sandbox::start().await.unwrap();
    let url = token_url(&sandbox, sandbox.tenant());
    let (id, secret) = (sandbox.client_id(), sandbox.client_secret());
    let (client_id, client_secret) = (format!("client_id={id}"), format!("client_secret={secret}"));
    let grant = "grant_type=client_credentials";
    let (status, body) = curl(
        &sandbox,
        &[
            "-d",
            grant,
            "-d",
            &client_id,
            "--data-urlencode",
            &client_secret,
            "--data-urlencode",
            SCOPE,
            &url,
        ],
    )
    .await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(
        (&body["token_type"], &body["expires_in"]),
        (&json!("Bearer"), &json!(3599))
    );
    let claims = verified(&sandbox, body["access_token"].as_str().unwrap()).await;
    assert_eq!(claims["appid"], id);
    assert_eq!(
        claims["roles"],
        json!(["IMAP.AccessAsApp", "POP.AccessAsApp", "SMTP.SendAsApp"])
    );

    // A secret's `~`, `.`, `_` and `-` need no escape, so curl's Basic is the RFC's.
    let user = format!("{id}:{secret}");
    let (status, body) = curl(
        &sandbox,
        &["-u", &user, "-d", grant, "--data-urlencode", SCOPE, &url],
    )
    .await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(sandbox.stats().token_requests, 2);

    // The v1 endpoint has a resource, and its numbers are strings.
    let url = format!("{}/{}/oauth2/token", sandbox.authority(), sandbox.domain());
    let resource = "resource=https://outlook.office365.com";
    let (status, body) = curl(
        &sandbox,
        &[
            "-d",
            grant,
            "-d",
            &client_id,
            "-d",
            &client_secret,
            "-d",
            resource,
            &url,
        ],
    )
    .await;
    assert_eq!((status, &body["expires_in"]), (200, &json!("3599")));
    verified(&sandbox, body["access_token"].as_str().unwrap()).await;
}

#[tokio::test]
async fn refusals_are_entras_json() {
    let sandbox = Sandbox::start().await.unwrap();
    let url = token_url(&sandbox, sandbox.tenant());
    let client_id = format!("client_id={}", sandbox.client_id());
    let correlation = "da2dd6b7-e090-459b-a2f5-1becad5c5142";
    let header = format!("client-request-id: {correlation}");
    let (status, body) = curl(
        &sandbox,
        &[
            "-H",
            &header,
            "-d",
            "grant_type=client_credentials",
            "-d",
            &client_id,
            "-d",
            "client_secret=wrong",
            "-d",
            SCOPE,
            &url,
        ],
    )
    .await;
    assert_eq!(
        (status, &body["error"], &body["error_codes"]),
        (401, &json!("invalid_client"), &json!([7000215]))
    );
    assert_eq!(body["correlation_id"], correlation);
    let description = body["error_description"].as_str().unwrap();
    assert!(
        description.starts_with("AADSTS7000215: Invalid client secret provided. "),
        "{description}"
    );
    for part in [
        format!("Trace ID: {}", body["trace_id"].as_str().unwrap()),
        format!("Correlation ID: {correlation}"),
        format!("Timestamp: {}", body["timestamp"].as_str().unwrap()),
    ] {
        assert!(description.contains(&part), "{description}");
    }
    let (status, body) = curl(&sandbox, &["-d", "", &url]).await;
    assert_eq!((status, &body["error_codes"]), (400, &json!([900144])));
    let (status, body) = curl(&sandbox, &["-H", "Content-Type: text/plain", "-d", "\u{1}", &url]).await;
    assert_eq!((status, &body["error_codes"]), (400, &json!([900144])));
    let (status, body) = curl(&sandbox, &[&url]).await;
    assert_eq!((status, &body["error_codes"]), (400, &json!([900561])));
}

struct Certificate {
    pem: String,
    key: EncodingKey,
    x5t_s256: String,
}

fn certificate(not_after: Option<i32>) -> Certificate {
    let key = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap();
    let pkcs8 = key.to_pkcs8_pem(LineEnding::LF).unwrap();
    let pair = rcgen::KeyPair::from_pkcs8_pem_and_sign_algo(&pkcs8, &rcgen::PKCS_RSA_SHA256).unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    if let Some(year) = not_after {
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
    }
    let certificate = params.self_signed(&pair).unwrap();
    Certificate {
        pem: certificate.pem(),
        key: EncodingKey::from_rsa_pem(pkcs8.as_bytes()).unwrap(),
        x5t_s256: URL_SAFE_NO_PAD.encode(Sha256::digest(certificate.der())),
    }
}

/// An assertion signed with `key`, in the name of the certificate, with claims changed.
fn assertion(sandbox: &Sandbox, certificate: &Certificate, key: &EncodingKey, change: Value) -> String {
    let mut header = Header::new(Algorithm::PS256);
    header.x5t_s256 = Some(certificate.x5t_s256.clone());
    let now = jiff::Timestamp::now().as_second();
    let mut claims = json!({
        "aud": token_url(sandbox, sandbox.tenant()),
        "iss": sandbox.client_id(),
        "sub": sandbox.client_id(),
        "jti": uuid::Uuid::new_v4().to_string(),
        "nbf": now,
        "exp": now + 600,
    });
    for (name, value) in change.as_object().unwrap() {
        claims[name] = value.clone();
    }
    jsonwebtoken::encode(&header, &claims, key).unwrap()
}

async fn with_assertion(sandbox: &Sandbox, jwt: &str) -> (u16, Value) {
    let url = token_url(sandbox, sandbox.tenant());
    let client_id = format!("client_id={}", sandbox.client_id());
    let assertion = format!("client_assertion={jwt}");
    let kind = "client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let grant = "grant_type=client_credentials";
    curl(
        sandbox,
        &[
            "-d", grant, "-d", &client_id, "-d", kind, "-d", &assertion, "-d", SCOPE, &url,
        ],
    )
    .await
}

#[tokio::test]
async fn a_certificate_buys_a_token() {
    let sandbox = Sandbox::start().await.unwrap();
    let app = sandbox.client_id().to_owned();
    let ours = certificate(None);
    let other = certificate(Some(2020));

    let jwt = assertion(&sandbox, &ours, &ours.key, json!({}));
    let (status, body) = with_assertion(&sandbox, &jwt).await;
    assert_eq!(
        (status, &body["error_codes"]),
        (401, &json!([700027])),
        "not uploaded yet"
    );
    assert!(
        body["error_description"]
            .as_str()
            .unwrap()
            .contains("The key was not found.")
    );

    sandbox
        .state()
        .add_certificate(&app, ours.pem.as_bytes())
        .unwrap();
    let (status, body) = with_assertion(&sandbox, &jwt).await;
    assert_eq!(status, 200, "{body}");
    let claims = verified(&sandbox, body["access_token"].as_str().unwrap()).await;
    assert_eq!(claims["appidacr"], "2");

    let now = jiff::Timestamp::now().as_second();
    for (change, code) in [
        (json!({"exp": now - 3600, "nbf": now - 7200}), 700024),
        (json!({"nbf": now + 3600}), 700024),
        (
            json!({"aud": "https://login.microsoftonline.com/x/oauth2/v2.0/token"}),
            700023,
        ),
        (json!({"iss": "somebody else"}), 700021),
        (json!({"jti": null}), 50027),
        (json!({"exp": null}), 50027),
    ] {
        let (_, body) =
            with_assertion(&sandbox, &assertion(&sandbox, &ours, &ours.key, change.clone())).await;
        assert_eq!(body["error_codes"], json!([code]), "{change}");
    }
    let (_, body) = with_assertion(&sandbox, &assertion(&sandbox, &ours, &other.key, json!({}))).await;
    assert_eq!(body["error_codes"], json!([700027]));
    assert!(
        body["error_description"]
            .as_str()
            .unwrap()
            .contains("verify the signature failed")
    );
    let (_, body) = with_assertion(&sandbox, "not.a.jwt").await;
    assert_eq!(body["error_codes"], json!([50027]));

    sandbox
        .state()
        .add_certificate(&app, other.pem.as_bytes())
        .unwrap();
    let (_, body) = with_assertion(&sandbox, &assertion(&sandbox, &other, &other.key, json!({}))).await;
    assert_eq!(body["error_codes"], json!([700027]));
    assert!(
        body["error_description"]
            .as_str()
            .unwrap()
            .contains("The key used is expired.")
    );
}

#[tokio::test]
async fn tokens_are_padded_and_minted_to_order() {
    let sandbox = Sandbox::builder()
        .token_minimum_length(4200)
        .start()
        .await
        .unwrap();
    let token = sandbox.mint_token(&TokenOverrides::new()).await.unwrap();
    assert!(token.len() > 4200, "{}", token.len());
    verified(&sandbox, &token).await;
    let bad = sandbox
        .mint_token(&TokenOverrides::new().bad_signature())
        .await
        .unwrap();
    assert_ne!(token.rsplit('.').next(), bad.rsplit('.').next());
    let kid = |token: &str| jsonwebtoken::decode_header(token).unwrap().kid;
    assert_eq!(kid(&token), kid(&bad));
}

#[tokio::test]
async fn the_ca_file_is_private_and_goes_with_the_sandbox() {
    let sandbox = Sandbox::start().await.unwrap();
    let path = sandbox.ca_file().to_owned();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), sandbox.ca_pem());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
    let port = sandbox.imap().1;
    sandbox.stop().await;
    assert!(!path.exists());
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[tokio::test]
async fn settings_for_clients_name_everything() {
    let sandbox = Sandbox::start().await.unwrap();
    let json = sandbox.to_json();
    assert_eq!(
        json["smtp"],
        json!({"host": "localhost", "port": sandbox.smtp().1})
    );
    assert_eq!(
        json["mailboxes"],
        json!(["joe@contoso.example", "ann@contoso.example"])
    );
    let env = sandbox.to_env();
    let value = |name: &str| env.iter().find(|(known, _)| *known == name).unwrap().1.clone();
    assert_eq!(
        value("EXOMAIL_IMAP"),
        format!("imaps://localhost:{}", sandbox.imap().1)
    );
    assert_eq!(value("EXOMAIL_CLIENT_SECRET"), sandbox.client_secret());
    assert!(!format!("{sandbox:?}").contains(sandbox.client_secret()));
    assert!(!format!("{:?}", sandbox.state()).contains(sandbox.client_secret()));
}
