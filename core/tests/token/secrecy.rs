//! Neither secret nor assertion nor token appears in logs, transcripts, errors or debug output.

use std::io;
use std::sync::{Arc, Mutex, OnceLock};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use tracing_subscriber::fmt::MakeWriter;

use crate::certificate::certificate;
use crate::entra::{AMPLE, Endpoint, endpoint, http, token};

/// Everything that was logged at any level by anything in this process, `log` records of rustls and reqwest included.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Log;

    fn make_writer(&self) -> Log {
        self.clone()
    }
}

fn log() -> &'static Log {
    static LOG: OnceLock<Log> = OnceLock::new();
    LOG.get_or_init(|| {
        let log = Log::default();
        tracing_subscriber::fmt()
            .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
            .with_ansi(false)
            .with_writer(log.clone())
            .init();
        log
    })
}

/// Looks for each secret as it is, in base64 (each alignment) and as hexadecimal or decimal byte lists.
fn assert_absent(secrets: &[&str], texts: &[(&str, &str)]) {
    for secret in secrets {
        let mut forms = vec![
            (*secret).to_owned(),
            format!("{:02x?}", secret.as_bytes()),
            format!("{:?}", secret.as_bytes()),
        ];
        for pad in 0..3 {
            let encoded = BASE64_STANDARD.encode([&vec![b' '; pad], secret.as_bytes()].concat());
            forms.push(encoded[4..encoded.len() - 4].to_owned());
        }
        for form in forms {
            let form = form.trim_matches(['[', ']']);
            for (name, text) in texts {
                assert!(!text.contains(form), "{name} shows {form:?}");
            }
        }
    }
}

fn everything(entra: &Endpoint, shown: &str) {
    let logged = String::from_utf8_lossy(&log().0.lock().unwrap()).into_owned();
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
    let logged = String::from_utf8_lossy(&log().0.lock().unwrap()).into_owned();
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
