//! A scripted server for one test: the test says, line by line, what the server does, however badly it behaves.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary uses its own part of this module"
)]
#![allow(clippy::unwrap_used, reason = "a test that fails should panic")]

pub mod compose;
pub mod pop3;
pub mod secrecy;

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use exomail::sasl::Login;
use exomail::{Connector, Endpoint, Security, StaticToken, Timeouts, Tls, Token, Transcript};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// The token that [`login`] signs in with. Looks like a JWT.
pub const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJ0ZXN0In0.c2lnbmF0dXJl";

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A server that runs a script for each connection.
pub struct Scripted {
    /// Where it listens.
    pub endpoint: Endpoint,
    /// Its certificate, as PEM.
    pub ca_pem: String,
    /// Trusts its certificate; waits at most 2 seconds for anything.
    pub connector: Connector,
    /// What its clients said.
    pub transcript: Transcript,
    /// How many connections were made.
    pub connections: Arc<Mutex<usize>>,
}

/// Starts a server on a free loopback port. It ends with the test's runtime.
pub async fn serve<F, S>(security: Security, script: S) -> Scripted
where
    S: Fn(Peer) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let der = PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![key.cert.der().clone()], der)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::new(Mutex::new(0));
    let counter = connections.clone();
    let script = Arc::new(script);
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            *counter.lock().unwrap() += 1;
            let (acceptor, script) = (acceptor.clone(), script.clone());
            tokio::spawn(async move {
                let stream: Box<dyn Stream> = match security {
                    Security::ImplicitTls => match acceptor.accept(tcp).await {
                        Ok(stream) => Box::new(stream),
                        Err(_) => return,
                    },
                    Security::StartTls => Box::new(tcp),
                };
                script(Peer {
                    stream: Some(stream),
                    buffer: Vec::new(),
                    acceptor,
                })
                .await;
            });
        }
    });
    let transcript = Transcript::new();
    let timeouts = Timeouts {
        connect: Duration::from_secs(2),
        step: Duration::from_secs(2),
        message: Duration::from_secs(2),
        http: Duration::from_secs(2),
    };
    let connector = Connector::new(Tls::with_extra_ca_pem(key.cert.pem().as_bytes()).unwrap())
        .with_timeouts(timeouts)
        .with_transcript(transcript.clone());
    let endpoint = Endpoint {
        host: "localhost".to_owned(),
        port,
        security,
    };
    Scripted {
        endpoint,
        ca_pem: key.cert.pem(),
        connector,
        transcript,
        connections,
    }
}

/// Signs in to joe's mailbox with [`TOKEN`].
pub fn login() -> Login {
    let expires = std::time::SystemTime::now() + Duration::from_secs(3600);
    Login::new("joe@example.com", StaticToken(Token::new(TOKEN, expires))).unwrap()
}

/// One connection, from the server's side.
pub struct Peer {
    stream: Option<Box<dyn Stream>>,
    buffer: Vec<u8>,
    acceptor: TlsAcceptor,
}

impl Peer {
    /// Sends bytes as they are, in one piece.
    pub async fn send(&mut self, text: impl AsRef<[u8]>) {
        let stream = self.stream.as_mut().unwrap();
        // A client that has hung up is its own affair.
        let _ = stream.write_all(text.as_ref()).await;
        let _ = stream.flush().await;
    }

    /// The next line of the client without its line end; empty when the client has hung up.
    pub async fn line(&mut self) -> String {
        loop {
            if let Some(at) = self.buffer.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=at).collect();
                return String::from_utf8_lossy(&line)
                    .trim_end_matches(['\r', '\n'])
                    .to_owned();
            }
            if !self.fill().await {
                return String::new();
            }
        }
    }

    /// The next line, which must begin with `prefix`.
    pub async fn expect(&mut self, prefix: &str) -> String {
        let line = self.line().await;
        assert!(
            line.starts_with(prefix),
            "the client said {line:?} instead of {prefix:?}"
        );
        line
    }

    /// The next `count` bytes of the client.
    pub async fn bytes(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count && self.fill().await {}
        let count = count.min(self.buffer.len());
        self.buffer.drain(..count).collect()
    }

    /// The client's bytes up to and including `end`; what there is when the client hangs up before.
    pub async fn until(&mut self, end: &[u8]) -> Vec<u8> {
        let mut searched = 0;
        loop {
            let window = &self.buffer[searched..];
            if let Some(at) = window.windows(end.len()).position(|bytes| bytes == end) {
                return self.buffer.drain(..searched + at + end.len()).collect();
            }
            searched = (self.buffer.len() + 1).saturating_sub(end.len());
            if !self.fill().await {
                return std::mem::take(&mut self.buffer);
            }
        }
    }

    /// Shakes hands as after STARTTLS.
    pub async fn start_tls(&mut self) {
        let stream = self.stream.take().unwrap();
        if let Ok(stream) = self.acceptor.accept(stream).await {
            self.stream = Some(Box::new(stream));
        }
    }

    /// Says nothing more, and keeps the connection open.
    pub async fn silence(&mut self) {
        while self.fill().await {}
    }

    async fn fill(&mut self) -> bool {
        let mut piece = [0; 16 * 1024];
        match self.stream.as_mut().unwrap().read(&mut piece).await {
            Ok(count) if count > 0 => {
                self.buffer.extend_from_slice(&piece[..count]);
                true
            }
            _ => false,
        }
    }
}
