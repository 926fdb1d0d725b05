//! A client that says what a test says, line by line.
#![allow(dead_code, reason = "each test binary uses its own part of this module")]
#![allow(clippy::unwrap_used, reason = "a test that fails should panic")]

use std::future::Future;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use exomail_sandbox::{ConnectionStats, Sandbox, TokenOverrides};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

pub(crate) const JOE: &str = "joe@contoso.example";
pub(crate) const ANN: &str = "ann@contoso.example";

pub(crate) struct Client {
    stream: Box<dyn Stream>,
    input: Vec<u8>,
}

fn connector(sandbox: &Sandbox) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(sandbox.ca_pem().as_bytes()).unwrap())
        .unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

impl Client {
    pub(crate) async fn plain((_, port): (&str, u16)) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream: Box::new(stream),
            input: Vec::new(),
        }
    }

    pub(crate) async fn tls(sandbox: &Sandbox, endpoint: (&str, u16)) -> Self {
        Self::plain(endpoint).await.upgrade(sandbox).await
    }

    /// The TLS handshake, after the server's "ready".
    pub(crate) async fn upgrade(self, sandbox: &Sandbox) -> Self {
        assert!(self.input.is_empty());
        let name = ServerName::try_from("localhost").unwrap();
        let stream = connector(sandbox).connect(name, self.stream).await.unwrap();
        Self {
            stream: Box::new(stream),
            input: Vec::new(),
        }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// One line, without its end; `None` when the server has closed.
    pub(crate) async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.input.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.input.drain(..end + 2).collect::<Vec<_>>();
                return Some(String::from_utf8(line[..end].to_vec()).unwrap());
            }
            let mut chunk = vec![0; 65536];
            let read = tokio::time::timeout(Duration::from_secs(20), self.stream.read(&mut chunk));
            match read.await.expect("the server is silent") {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.input.extend_from_slice(&chunk[..count]),
            }
        }
    }

    /// All octets up to the end of the connection, and the error with which it ended, if it did.
    pub(crate) async fn rest(&mut self) -> (Vec<u8>, Option<ErrorKind>) {
        let mut rest = std::mem::take(&mut self.input);
        let end = self.stream.read_to_end(&mut rest).await;
        (rest, end.err().map(|error| error.kind()))
    }

    /// The lines of an IMAP answer up to the one with this tag, joined by LF.
    pub(crate) async fn until(&mut self, tag: &str) -> String {
        let mut lines = Vec::new();
        loop {
            let line = self.line().await.expect("closed");
            let last = line.starts_with(&format!("{tag} "));
            lines.push(line);
            if last {
                return lines.join("\n");
            }
        }
    }

    /// Sends an IMAP command with the tag `T` and reads the answer.
    pub(crate) async fn command(&mut self, command: &str) -> String {
        self.send(format!("T {command}\r\n")).await;
        self.until("T").await
    }

    /// An SMTP reply: all its lines, joined by LF.
    pub(crate) async fn reply(&mut self) -> String {
        let mut lines = Vec::new();
        loop {
            let line = self.line().await.expect("closed");
            let last = line.as_bytes().get(3) != Some(&b'-');
            lines.push(line);
            if last {
                return lines.join("\n");
            }
        }
    }

    /// A POP3 multi-line answer, up to the dot, joined by LF.
    pub(crate) async fn lines(&mut self) -> String {
        let mut lines = Vec::new();
        loop {
            match self.line().await.expect("closed").as_str() {
                "." => return lines.join("\n"),
                line => lines.push(line.to_owned()),
            }
        }
    }

    /// Sends a line and reads an SMTP reply.
    pub(crate) async fn ask(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n")).await;
        self.reply().await
    }

    /// Sends a line and reads a line.
    pub(crate) async fn say(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n")).await;
        self.line().await.expect("closed")
    }
}

/// What the future brings while the sandbox's clock is put forward in such steps.
pub(crate) async fn meanwhile<F: Future>(sandbox: &Sandbox, step: Duration, future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    loop {
        tokio::select! {
            biased;
            done = &mut future => return done,
            () = tokio::task::yield_now() => sandbox.clock().advance(step),
        }
    }
}

/// The SASL XOAUTH2 response for a mailbox.
pub(crate) fn xoauth2(user: &str, token: &str) -> String {
    STANDARD.encode(format!("user={user}\u{1}auth=Bearer {token}\u{1}\u{1}"))
}

/// A good token's response for a mailbox.
pub(crate) async fn response(sandbox: &Sandbox, user: &str) -> String {
    response_with(sandbox, user, &TokenOverrides::new()).await
}

pub(crate) async fn response_with(sandbox: &Sandbox, user: &str, overrides: &TokenOverrides) -> String {
    xoauth2(user, &sandbox.mint_token(overrides).await.unwrap())
}

/// The counters of the last connection.
pub(crate) fn last(sandbox: &Sandbox) -> ConnectionStats {
    sandbox.stats().connections.pop().unwrap()
}
