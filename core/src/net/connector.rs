//! [`Connector`]: TCP with nodelay, a time limit for each step, shared TLS.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;

use super::{Tap, Tls, Transcript, Wire};
use crate::error::{Error, ErrorKind, Layer, Result};

/// How long an address may keep silent before the next one is tried beside it (RFC 8305 §5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// How TLS is reached on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Security {
    /// TLS from the first byte (IMAP 993, POP3 995, SMTP 465).
    ImplicitTls,
    /// Plain text first, then STARTTLS (RFC 3207, RFC 9051) or STLS (RFC 2595). Refused when the server can't.
    StartTls,
}

/// A mail server: host name (which the certificate must bear), port, and how TLS is reached.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Endpoint {
    /// DNS name or IP address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// How TLS is reached.
    pub security: Security,
}

impl Endpoint {
    /// TLS from the first byte.
    pub fn implicit_tls(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            security: Security::ImplicitTls,
        }
    }

    /// STARTTLS or STLS.
    pub fn start_tls(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            security: Security::StartTls,
        }
    }

    /// Reads an address of a `protocol` server ([`Layer::Imap`], [`Layer::Pop3`] or [`Layer::Smtp`]) as URL:
    /// `imaps://host:port` is TLS from the first byte, `imap://host:port` is STARTTLS; `pop3s`, `pop3`, `smtps` and
    /// `smtp` likewise. Without a port: 993, 143, 995, 110, 465, 587.
    ///
    /// ```
    /// use exomail::{Endpoint, Layer};
    ///
    /// let endpoint = Endpoint::from_url(Layer::Smtp, "smtp://smtp.office365.com")?;
    /// assert_eq!(endpoint, Endpoint::start_tls("smtp.office365.com", 587));
    /// # Ok::<(), exomail::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] for another scheme, or with anything but host and port behind it.
    pub fn from_url(protocol: Layer, url: &str) -> Result<Self> {
        let name = protocol.name();
        let refuse = |why: String| {
            // Before an @ there may be a password.
            let shown = url.rsplit_once('@').map_or(url, |(_, host)| host);
            Error::new(ErrorKind::InvalidConfig, "endpoint", format!("{shown:?} {why}")).with_hint(format!(
                "write {name}s://host:port for TLS from the first byte, {name}://host:port for STARTTLS"
            ))
        };
        let parsed = url::Url::parse(url).map_err(|error| refuse(format!("is not a URL: {error}")))?;
        let (security, default_port) = match (protocol, parsed.scheme()) {
            (Layer::Imap, "imaps") => (Security::ImplicitTls, 993),
            (Layer::Imap, "imap") => (Security::StartTls, 143),
            (Layer::Pop3, "pop3s") => (Security::ImplicitTls, 995),
            (Layer::Pop3, "pop3") => (Security::StartTls, 110),
            (Layer::Smtp, "smtps") => (Security::ImplicitTls, 465),
            (Layer::Smtp, "smtp") => (Security::StartTls, 587),
            _ => return Err(refuse(format!("does not start with {name}s:// or {name}://"))),
        };
        let host = parsed.host_str().unwrap_or_default();
        if host.is_empty() {
            return Err(refuse("names no host".to_owned()));
        }
        let bare = parsed.username().is_empty() && parsed.password().is_none();
        let ends =
            matches!(parsed.path(), "" | "/") && parsed.query().is_none() && parsed.fragment().is_none();
        if !bare || !ends {
            return Err(refuse("holds more than host and port".to_owned()));
        }
        Ok(Self {
            // An IPv6 address stands in brackets in a URL and without them everywhere else.
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: parsed.port().unwrap_or(default_port),
            security,
        })
    }
}

/// The longest that each step on the network may take. A whole call is bounded by [`Deadline`](crate::Deadline).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Name resolution and TCP, over all addresses together; then again for the TLS handshake. 30 s.
    pub connect: Duration,
    /// Each wait for the server's next line or for the next bytes of a body, and each write. 120 s.
    pub step: Duration,
    /// The wait for the answer to a whole message: RFC 5321 §4.5.3.2.6 asks for 10 minutes.
    pub message: Duration,
    /// A whole HTTP request. 60 s.
    pub http: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(30),
            step: Duration::from_secs(120),
            message: Duration::from_secs(600),
            http: Duration::from_secs(60),
        }
    }
}

/// Makes connections: TLS trust, time limits, an optional [`Transcript`]. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Connector {
    tls: Tls,
    timeouts: Timeouts,
    transcript: Option<Transcript>,
}

impl Connector {
    /// A connector that verifies servers with `tls`.
    pub fn new(tls: Tls) -> Self {
        Self {
            tls,
            timeouts: Timeouts::default(),
            transcript: None,
        }
    }

    /// Sets the time limits.
    #[must_use]
    pub fn with_timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Records every conversation in `transcript`.
    #[must_use]
    pub fn with_transcript(mut self, transcript: Transcript) -> Self {
        self.transcript = Some(transcript);
        self
    }

    /// How servers are verified.
    pub fn tls(&self) -> &Tls {
        &self.tls
    }

    /// The time limits.
    pub fn timeouts(&self) -> &Timeouts {
        &self.timeouts
    }

    /// A new conversation in the transcript, where there is one.
    pub(crate) fn tap(&self, layer: Layer) -> Tap {
        match &self.transcript {
            Some(transcript) => transcript.tap(layer),
            None => Tap::none(layer),
        }
    }

    /// Connects, and shakes hands where TLS comes first. `layer` names the protocol in errors and transcript.
    pub(crate) async fn connect(&self, endpoint: &Endpoint, layer: Layer) -> Result<Wire> {
        let tap = self.tap(layer);
        tap.note(|| format!("connecting to {}:{}", endpoint.host, endpoint.port));
        let tcp = tokio::time::timeout(self.timeouts.connect, dial(endpoint))
            .await
            .map_err(|_| {
                Error::new(
                    ErrorKind::TimedOut,
                    "connect",
                    format!(
                        "{}:{} did not answer within {:?}",
                        endpoint.host, endpoint.port, self.timeouts.connect
                    ),
                )
                .with_layer(Layer::Network)
                .with_hint("a firewall may block the port")
            })??;
        let mut wire = Wire::new(tcp, tap, &self.timeouts);
        if endpoint.security == Security::ImplicitTls {
            wire.handshake(&self.tls, &endpoint.host).await?;
        }
        Ok(wire)
    }
}

async fn dial(endpoint: &Endpoint) -> Result<TcpStream> {
    let Endpoint { host, port, .. } = endpoint;
    let not_found = |detail: String| Error::new(ErrorKind::Dns, "connect", detail).with_layer(Layer::Network);
    if host.is_empty() {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            "connect",
            "the host name is empty",
        ));
    }
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), *port))
        .await
        .map_err(|error| not_found(format!("{host} was not found: {error}")).with_source(error))?
        .collect();
    let tcp = first_of(addresses, |address| async move {
        TcpStream::connect(address).await.map_err(|error| {
            Error::new(
                ErrorKind::Connect,
                "connect",
                format!("{host}:{port} ({address}): {error}"),
            )
            .with_layer(Layer::Network)
            .with_source(error)
        })
    })
    .await
    .unwrap_or_else(|| Err(not_found(format!("{host} has no address"))))?;
    // Without it Nagle's algorithm holds back the second small write of an exchange: 31 times slower.
    tcp.set_nodelay(true).map_err(|error| {
        Error::new(ErrorKind::Connect, "connect", "TCP_NODELAY can't be set")
            .with_layer(Layer::Network)
            .with_source(error)
    })?;
    Ok(tcp)
}

/// The first attempt that succeeds, or the last that failed; `None` without any address.
///
/// An address that keeps silent does not hold up the others (RFC 8305 §5): where IPv6 leads nowhere, its addresses, which
/// come first, would use up all the time there is.
async fn first_of<T, F>(addresses: Vec<SocketAddr>, attempt: impl Fn(SocketAddr) -> F) -> Option<Result<T>>
where
    F: Future<Output = Result<T>>,
{
    let mut addresses = addresses.into_iter();
    let mut attempts = FuturesUnordered::new();
    let mut failed = None;
    loop {
        let next = addresses.next();
        let more = next.is_some();
        attempts.extend(next.map(&attempt));
        tokio::select! {
            biased;
            ended = attempts.next() => match ended {
                Some(Ok(connection)) => return Some(Ok(connection)),
                Some(Err(error)) => failed = Some(Err(error)),
                None => return failed,
            },
            () = tokio::time::sleep(ATTEMPT_DELAY), if more => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_read_from_its_url() {
        let read = |layer, url| Endpoint::from_url(layer, url).unwrap();
        assert_eq!(
            read(Layer::Imap, "imaps://localhost:9993"),
            Endpoint::implicit_tls("localhost", 9993)
        );
        assert_eq!(
            read(Layer::Imap, "imap://localhost"),
            Endpoint::start_tls("localhost", 143)
        );
        assert_eq!(
            read(Layer::Pop3, "pop3s://outlook.office365.com"),
            Endpoint::implicit_tls("outlook.office365.com", 995)
        );
        assert_eq!(
            read(Layer::Smtp, "smtps://[::1]:4650"),
            Endpoint::implicit_tls("::1", 4650)
        );
    }

    #[test]
    fn another_scheme_or_anything_behind_the_port_is_refused() {
        for (layer, url) in [
            (Layer::Imap, "localhost:993"),
            (Layer::Imap, "pop3s://localhost:995"),
            (Layer::Imap, "imaps://"),
            (Layer::Imap, "imaps://localhost/INBOX"),
            (Layer::Smtp, "smtp://user:password@localhost:587"),
            (Layer::Smtp, "smtp://localhost:99999"),
            (Layer::Token, "https://localhost"),
        ] {
            let error = Endpoint::from_url(layer, url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{url}");
            assert!(!error.to_string().contains("password"), "{error}");
        }
    }

    #[tokio::test]
    async fn small_writes_are_not_held_back() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let tcp = dial(&Endpoint::start_tls("127.0.0.1", port)).await.unwrap();
        assert!(tcp.nodelay().unwrap());
    }

    /// What each address does: `None` is silence.
    async fn race(answers: &[Option<bool>]) -> (Option<Result<u16>>, Duration) {
        let started = tokio::time::Instant::now();
        let addresses = (1..).map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let attempt = |address: SocketAddr| async move {
            match answers[usize::from(address.port()) - 1] {
                None => std::future::pending().await,
                Some(true) => Ok(address.port()),
                Some(false) => Err(Error::new(ErrorKind::Connect, "connect", address.to_string())),
            }
        };
        let race = first_of(addresses.take(answers.len()).collect(), attempt);
        let outcome = tokio::time::timeout(Duration::from_secs(9), race).await;
        (outcome.expect("the race has no end"), started.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_address_does_not_hold_up_the_next() {
        let (won, after) = race(&[None, None, Some(true), Some(true)]).await;
        assert_eq!((won.unwrap().unwrap(), after), (3, 2 * ATTEMPT_DELAY));
        let (won, after) = race(&[Some(false), Some(false), Some(true)]).await;
        assert_eq!((won.unwrap().unwrap(), after), (3, Duration::ZERO));
        let (failed, _) = race(&[Some(false), Some(false)]).await;
        assert_eq!(failed.unwrap().unwrap_err().detail(), "127.0.0.1:2");
        assert!(race(&[]).await.0.is_none());
    }
}
