//! A bare client for tests on the wire: it sends what it is told and shows each line that comes back.

#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "shared by tests that each use a part of it"
)]

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use exomail_sandbox::{Sandbox, TokenOverrides};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// One connection.
pub(crate) struct Client {
    stream: BufReader<Box<dyn Stream>>,
    tls: TlsConnector,
}

fn connector(sandbox: &Sandbox) -> TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(sandbox.ca_pem().as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config).into()
}

impl Client {
    /// Without TLS so far.
    pub(crate) async fn plain(sandbox: &Sandbox, address: (&str, u16)) -> Self {
        let stream: Box<dyn Stream> = Box::new(TcpStream::connect(address).await.unwrap());
        Self {
            stream: BufReader::new(stream),
            tls: connector(sandbox),
        }
    }

    pub(crate) async fn tls(sandbox: &Sandbox, address: (&str, u16)) -> Self {
        Self::plain(sandbox, address).await.start_tls().await
    }

    pub(crate) async fn start_tls(self) -> Self {
        let name = ServerName::try_from("localhost").unwrap();
        let stream = self.tls.connect(name, self.stream.into_inner()).await.unwrap();
        let stream: Box<dyn Stream> = Box::new(stream);
        Self {
            stream: BufReader::new(stream),
            tls: self.tls,
        }
    }

    pub(crate) async fn send(&mut self, octets: impl AsRef<[u8]>) {
        self.stream.write_all(octets.as_ref()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// The next line without its ending. There must be one.
    pub(crate) async fn line(&mut self) -> String {
        let mut line = Vec::new();
        let count = self.stream.read_until(b'\n', &mut line).await.unwrap();
        assert_ne!(count, 0, "closed by the server");
        String::from_utf8_lossy(&line)
            .trim_end_matches(['\r', '\n'])
            .to_owned()
    }

    pub(crate) async fn octets(&mut self, count: usize) -> Vec<u8> {
        let mut octets = vec![0; count];
        self.stream.read_exact(&mut octets).await.unwrap();
        octets
    }

    /// Everything up to the end of the connection.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).await.unwrap();
        rest
    }

    /// Whether the server has closed the connection, with nothing more to say.
    pub(crate) async fn is_closed(&mut self) -> bool {
        matches!(self.stream.fill_buf().await, Ok(rest) if rest.is_empty())
    }

    /// Sends a command (the tag is added) and gives all lines up to the tagged one, that one without its tag.
    pub(crate) async fn command(&mut self, command: &str) -> Vec<String> {
        self.send(format!("T {command}\r\n")).await;
        self.until("T").await
    }

    pub(crate) async fn until(&mut self, tag: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.line().await;
            if let Some(text) = line.strip_prefix(&format!("{tag} ")) {
                lines.push(text.to_owned());
                return lines;
            }
            lines.push(line);
        }
    }
}

/// The XOAUTH2 response for a token that the sandbox would issue now, with these differences.
pub(crate) async fn xoauth2(sandbox: &Sandbox, user: &str, overrides: &TokenOverrides) -> String {
    let token = sandbox.mint_token(overrides).await.unwrap();
    STANDARD.encode(format!("user={user}\u{1}auth=Bearer {token}\u{1}\u{1}"))
}
