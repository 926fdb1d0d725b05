//! Microsoft Graph and Exchange's admin endpoint, asked by curl.
#![allow(clippy::unwrap_used, reason = "a test that fails should panic")]

use std::io::Write as _;
use std::process::{Command, Stdio};

use exomail_sandbox::Sandbox;
use serde_json::Value;

mod exchange;
mod graph;
#[path = "../support/mod.rs"]
mod support;

/// What came back.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: String,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.lines().find_map(|line| {
            let (own, value) = line.split_once(':')?;
            own.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// Status, code and text of Graph's errors.
    #[track_caller]
    fn error(&self) -> (u16, String, String) {
        let json = self.json();
        let text = |name: &str| json["error"][name].as_str().unwrap().to_owned();
        (self.status, text("code"), text("message"))
    }
}

/// Runs curl with the sandbox's CA. The token and the body go by its standard input.
async fn curl(sandbox: &Sandbox, method: &str, url: &str, token: &str, body: Option<&Value>) -> Answer {
    let mut command = Command::new("curl");
    command.args([
        "--silent",
        "--show-error",
        "--max-time",
        "60",
        "--include",
        "--location",
        "--post302",
    ]);
    command.args(["--request", method, "--config", "-", "--cacert"]);
    command.arg(sandbox.ca_file()).arg(url);
    let mut config = format!("header = \"Authorization: Bearer {token}\"\n");
    if let Some(body) = body {
        let body = body.to_string().replace('\\', "\\\\").replace('"', "\\\"");
        config += &format!("header = \"Content-Type: application/json\"\ndata-raw = \"{body}\"\n");
    }
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let ended = tokio::task::spawn_blocking(move || {
        child.stdin.take().unwrap().write_all(config.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    });
    let output = ended.await.unwrap();
    assert!(
        output.status.success(),
        "curl: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut text = String::from_utf8(output.stdout).unwrap();
    loop {
        let (headers, rest) = text.split_once("\r\n\r\n").unwrap();
        // Of a redirect that was followed only the last answer counts.
        if rest.starts_with("HTTP/1.1 ") {
            text = rest.to_owned();
            continue;
        }
        return Answer {
            status: headers.split(' ').nth(1).unwrap().parse().unwrap(),
            headers: headers.to_owned(),
            text: rest.to_owned(),
        };
    }
}

/// The claims of a token, unverified.
fn claims(token: &str) -> Value {
    use base64::Engine as _;
    let payload = token.split('.').nth(1).unwrap();
    let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(payload)
        .unwrap();
    serde_json::from_slice(&payload).unwrap()
}
