//! Neither secret nor assertion nor token appears in logs, transcripts, errors or debug output.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use crate::certificate::certificate;
use crate::entra::{AMPLE, Endpoint, endpoint, http, token};
use crate::support::secrecy::{assert_absent, log};

fn everything(entra: &Endpoint, shown: &str) {
    let logged = log().text();
    // The net is out: what has been caught holds the records of every layer.
    for target in ["exomail", "rustls", "hyper"] {
        assert!(logged.contains(target), "nothing was logged by {target}");
    }
    let transcript: String = entra
        .transcript
        .lines()
        .iter()
        .map(|line| format!("{line}\n{line:?}\n"))
        .collect();
    assert!(transcript.contains("[redacted]"), "{transcript}");
    let texts = [
        ("the log", logged.as_str()),
        ("the transcript", &transcript),
        ("the output", shown),
    ];
    let body = entra
        .requests
        .lock()
        .unwrap()
        .iter()
        .map(|(_, body)| body.clone())
        .collect::<Vec<_>>();
    for body in &body {
        let (_, rest) = body
            .split_once("client_secret=")
            .or_else(|| body.split_once("client_assertion="))
            .unwrap();
        let sent = rest.split('&').next().unwrap();
        assert!(sent.len() > 20);
        assert_absent(&[sent], &texts);
        if let Some((_, signature)) = sent.rsplit_once('.') {
            assert_absent(&[signature], &texts);
        }
    }
}

#[tokio::test]
async fn nothing_secret_is_ever_shown() {
    log();
    let payload =
        BASE64_URL_SAFE_NO_PAD.encode(r#"{"aud":"https://outlook.office365.com","secret":"payload"}"#);
    let secret = "8Q~N0bodyMayEverSeeThisClientSecret-0123";
    let text = format!("eyJhbGciOiJSUzI1NiJ9.{payload}.U2lnbmF0dXJlTm9ib2R5TWF5U2Vl");
    let echo = format!(
        r#"{{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret '{secret}'","error_codes":[7000215]}}"#
    );
    let half = format!(r#"{{"access_token":"{text}","token_type":["#);
    let entra = endpoint([
        token(&text),
        http("401 Unauthorized", "", &echo),
        http("200 OK", "", &half),
        token(&text),
    ])
    .await;
    let app = entra.app(secret, AMPLE);
    let good = app.token().await.unwrap();
    let refused = app.refresh_token().await.unwrap_err();
    let broken = app.refresh_token().await.unwrap_err();
    let by_certificate = entra.builder(AMPLE).certificate(certificate()).build().unwrap();
    by_certificate.token().await.unwrap();
    let login = app.login("joe@contoso.com").unwrap();
    let shown = format!(
        "{app:?} {by_certificate:?} {good:?} {login:?} {refused:?} {refused} {} {broken:?} {} {:?}",
        refused.to_json(),
        broken.to_json(),
        std::error::Error::source(&broken),
    );
    assert!(shown.contains("AADSTS7000215"));
    everything(&entra, &shown);
    let logged = log().text();
    assert_absent(
        &[
            secret,
            "N0bodyMayEverSeeThisClientSecret",
            &text,
            &payload,
            "U2lnbmF0dXJlTm9ib2R5TWF5U2Vl",
        ],
        &[("the log", &logged), ("the output", &shown)],
    );
}
