//! The stand of all tests here: the sandbox for its token endpoint, Dovecot and Postfix for the mail.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test uses its part; one that fails should panic"
)]

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use exomail::imap::{Access, ImapSession};
use exomail::message::RawMessage;
use exomail::pop3::Pop3Session;
use exomail::sasl::Login;
use exomail::smtp::{Envelope, SendOptions, SendReport, SmtpSession};
use exomail::{App, Cloud, Connector, Endpoint, Layer, Result, Security, StaticToken, Token, Transcript};
use exomail_sandbox::{Sandbox, TokenOverrides};
use exomail_test_servers::{Builder, HOST, Servers, Trust};
use rsa::pkcs8::{EncodePublicKey, LineEnding};
use rsa::{BigUint, RsaPublicKey};
use serde_json::Value;

/// The audience of tokens for Exchange.
pub const AUDIENCE: &str = "https://outlook.office365.com";
/// Both ways to TLS.
pub const SECURITIES: [Security; 2] = [Security::ImplicitTls, Security::StartTls];
/// The protocols with mail servers here.
pub const PROTOCOLS: [Layer; 3] = [Layer::Smtp, Layer::Imap, Layer::Pop3];

/// How long a mail may take from Postfix to Dovecot.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Stand {
    pub servers: Servers,
    pub sandbox: Sandbox,
    /// Gets its tokens from the sandbox, and trusts both.
    pub app: App,
    pub connector: Connector,
    pub transcript: Transcript,
    pub joe: String,
    pub ann: String,
}

impl Stand {
    pub async fn start() -> Self {
        Self::with(|builder| builder).await
    }

    /// Servers that differ from the usual.
    pub async fn with(change: impl FnOnce(Builder) -> Builder) -> Self {
        let sandbox = Sandbox::start().await.unwrap();
        let trust = Trust {
            issuer: format!("https://sts.windows.net/{}/", sandbox.tenant()),
            audience: AUDIENCE.to_owned(),
            keys: keys(&sandbox.jwks().await.unwrap()),
        };
        let [joe, ann] = ["joe", "ann"].map(|name| format!("{name}@{}", sandbox.domain()));
        let builder = Servers::builder(trust).mailbox(&joe).mailbox(&ann);
        let servers = change(builder).start().unwrap();
        let transcript = Transcript::new();
        let cloud = Cloud::custom(sandbox.authority())
            .unwrap()
            .with_imap(Endpoint::implicit_tls(HOST, servers.imap_tls()))
            .with_pop3(Endpoint::implicit_tls(HOST, servers.pop3_tls()))
            .with_smtp(Endpoint::start_tls(HOST, servers.smtp()))
            // Tests don't wait.
            .with_limits(exomail::Limits {
                messages_per_minute: u32::MAX,
                ..exomail::Limits::default()
            });
        let app = App::builder(sandbox.tenant(), sandbox.client_id())
            .client_secret(sandbox.client_secret())
            .cloud(cloud)
            .extra_ca_pem(format!("{}\n{}", sandbox.ca_pem(), servers.ca_pem()).as_bytes())
            .transcript(transcript.clone())
            .build()
            .unwrap();
        Self {
            servers,
            sandbox,
            connector: app.connector().clone(),
            app,
            transcript,
            joe,
            ann,
        }
    }

    pub fn endpoint(&self, protocol: Layer, security: Security) -> Endpoint {
        let servers = &self.servers;
        let (plain, tls) = match protocol {
            Layer::Smtp => (servers.smtp(), servers.smtp_tls()),
            Layer::Imap => (servers.imap(), servers.imap_tls()),
            Layer::Pop3 => (servers.pop3(), servers.pop3_tls()),
            other => panic!("no server for {other:?}"),
        };
        match security {
            Security::ImplicitTls => Endpoint::implicit_tls(HOST, tls),
            Security::StartTls => Endpoint::start_tls(HOST, plain),
        }
    }

    /// Signs in with a token that differs from what the token endpoint would give.
    pub async fn login_with(&self, user: &str, overrides: &TokenOverrides) -> Login {
        let token = self.sandbox.mint_token(overrides).await.unwrap();
        let token = Token::new(token, SystemTime::now() + Duration::from_secs(3600));
        Login::new(user, StaticToken(token)).unwrap()
    }

    /// Signs in with what the token endpoint gives.
    pub fn login(&self, user: &str) -> Login {
        self.app.login(user).unwrap()
    }

    pub async fn smtp(&self, user: &str) -> SmtpSession {
        let endpoint = self.endpoint(Layer::Smtp, Security::StartTls);
        SmtpSession::connect(&self.connector, &endpoint, &self.login(user))
            .await
            .unwrap()
    }

    pub async fn imap(&self, user: &str) -> ImapSession {
        let endpoint = self.endpoint(Layer::Imap, Security::ImplicitTls);
        ImapSession::connect(&self.connector, &endpoint, &self.login(user))
            .await
            .unwrap()
    }

    pub async fn pop3(&self, user: &str) -> Pop3Session {
        let endpoint = self.endpoint(Layer::Pop3, Security::ImplicitTls);
        Pop3Session::connect(&self.connector, &endpoint, &self.login(user))
            .await
            .unwrap()
    }

    /// Signs in and says goodbye.
    pub async fn try_sign_in(&self, protocol: Layer, security: Security, login: &Login) -> Result<()> {
        self.try_sign_in_at(&self.endpoint(protocol, security), protocol, login)
            .await
    }

    /// As [`Self::try_sign_in`], at any server.
    pub async fn try_sign_in_at(&self, endpoint: &Endpoint, protocol: Layer, login: &Login) -> Result<()> {
        match protocol {
            Layer::Smtp => {
                SmtpSession::connect(&self.connector, endpoint, login)
                    .await?
                    .quit()
                    .await
            }
            Layer::Imap => {
                ImapSession::connect(&self.connector, endpoint, login)
                    .await?
                    .logout()
                    .await
            }
            Layer::Pop3 => {
                Pop3Session::connect(&self.connector, endpoint, login)
                    .await?
                    .quit()
                    .await
            }
            other => panic!("no server for {other:?}"),
        }
    }

    /// Waits until an inbox holds `count` messages: Postfix answers before Dovecot has the mail.
    pub async fn arrived(&self, user: &str, count: usize) {
        let mut session = self.imap(user).await;
        let mut exists = session.select("INBOX", Access::ReadOnly).await.unwrap().exists;
        while (exists as usize) < count {
            let outcome = session.idle(PATIENCE).await.unwrap();
            assert!(
                !outcome.timed_out(),
                "{user} has {exists} messages instead of {count}"
            );
            exists = session.selected().unwrap().exists;
        }
        session.logout().await.unwrap();
    }

    /// All messages of an inbox, read by POP3, once there are `count`.
    pub async fn received(&self, user: &str, count: usize) -> Vec<Vec<u8>> {
        self.arrived(user, count).await;
        let mut session = self.pop3(user).await;
        let mut bodies = Vec::new();
        for message in session.list().await.unwrap() {
            let mut body = Vec::new();
            session.retr(message.number, &mut body).await.unwrap();
            bodies.push(body);
        }
        session.quit().await.unwrap();
        bodies
    }

    /// Sends bytes from Joe.
    pub async fn send(&self, to: &[&str], message: impl Into<Vec<u8>>) -> SendReport {
        let mut session = self.smtp(&self.joe).await;
        let report = session
            .send(
                &envelope(&self.joe, to),
                RawMessage::from_bytes(message.into()),
                &SendOptions::default(),
            )
            .await
            .unwrap();
        session.quit().await.unwrap();
        report
    }
}

/// What the servers wrote and what was said, where a test fails.
impl Drop for Stand {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for line in self.transcript.lines() {
                eprintln!("{line}");
            }
            eprintln!("{}", self.servers.log());
        }
    }
}

pub fn envelope(from: &str, to: &[&str]) -> Envelope {
    Envelope::new(
        Some(from.to_owned()),
        to.iter().map(|to| (*to).to_owned()).collect(),
    )
    .unwrap()
}

/// A small message with CRLF line ends.
pub fn message(stand: &Stand, subject: &str, body: &str) -> Vec<u8> {
    let (joe, ann) = (&stand.joe, &stand.ann);
    format!(
        "From: {joe}\r\nTo: {ann}\r\nSubject: {subject}\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\n\
         Message-ID: <{subject}@contoso.example>\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\r\n{body}"
    )
    .into_bytes()
}

/// What was sent arrived byte for byte, behind nothing but the trace headers of the servers on its way.
#[track_caller]
pub fn assert_delivered(received: &[u8], sent: &[u8]) {
    assert!(
        received.ends_with(sent),
        "sent {} bytes: {:?}\nreceived {} bytes: {:?}",
        sent.len(),
        String::from_utf8_lossy(&sent[..sent.len().min(2000)]),
        received.len(),
        String::from_utf8_lossy(&received[..received.len().min(2000)]),
    );
    let trace = String::from_utf8_lossy(&received[..received.len() - sent.len()]).into_owned();
    for line in trace.lines().filter(|line| !line.starts_with(['\t', ' '])) {
        assert!(
            ["Return-Path:", "Delivered-To:", "Received:"]
                .iter()
                .any(|name| line.starts_with(name)),
            "{line:?} was added"
        );
    }
}

/// `kid` and PEM of each key of a JWKS.
fn keys(jwks: &Value) -> Vec<(String, String)> {
    let number = |key: &Value, name: &str| {
        BigUint::from_bytes_be(
            &BASE64_URL_SAFE_NO_PAD
                .decode(key[name].as_str().unwrap())
                .unwrap(),
        )
    };
    jwks["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| {
            let public = RsaPublicKey::new(number(key, "n"), number(key, "e")).unwrap();
            let pem = public.to_public_key_pem(LineEnding::LF).unwrap();
            (key["kid"].as_str().unwrap().to_owned(), pem)
        })
        .collect()
}
