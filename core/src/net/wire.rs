//! [`Wire`]: one connection. Writes are collected and go out in one piece; reads are bounded; every wait has a limit.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rustls::CertificateError;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsConnector;

use super::{Tap, Timeouts, Tls};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Layer, Result};
use crate::secret::Secret;

/// How much is read from the socket at once.
const READ_SIZE: usize = 32 * 1024;
/// Collected writes above this go out without waiting for the end of the flight.
const WRITE_SIZE: usize = 64 * 1024;
/// While writing, no more than this is read ahead.
const READ_AHEAD: usize = 1024 * 1024;
/// How long a connection that broke while writing is listened to for the server's last words.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What a connection is made of: TCP, or TLS over it.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection with its read buffer, write buffer, transcript and flight counter.
pub(crate) struct Wire {
    /// `None` once the connection broke, was cut or closed.
    stream: Option<Box<dyn Stream>>,
    inbound: BytesMut,
    outbound: Vec<u8>,
    tap: Tap,
    timeouts: Timeouts,
    flights: u64,
    /// Something was written since the last wait for the server.
    written: bool,
}

impl Wire {
    pub(crate) fn new(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        tap: Tap,
        timeouts: &Timeouts,
    ) -> Self {
        Self {
            stream: Some(Box::new(stream)),
            inbound: BytesMut::new(),
            outbound: Vec::new(),
            tap,
            timeouts: timeouts.clone(),
            flights: 0,
            written: false,
        }
    }

    pub(crate) fn tap(&self) -> &Tap {
        &self.tap
    }

    pub(crate) fn timeouts(&self) -> &Timeouts {
        &self.timeouts
    }

    /// Turns from writing to waiting so far.
    pub(crate) fn flights(&self) -> u64 {
        self.flights
    }

    /// Whether the connection can't be used any more.
    pub(crate) fn is_broken(&self) -> bool {
        self.stream.is_none()
    }

    /// Closes the connection at once; what is read or written later fails.
    pub(crate) fn cut(&mut self) {
        self.stream = None;
    }

    /// Hands the connection over to somebody else. Only between commands: bytes that nobody asked for make it fail.
    #[cfg(feature = "async-imap")]
    pub(crate) fn hand_over(&mut self, operation: &'static str) -> Result<Box<dyn Stream>> {
        let stream = self.stream.take().ok_or_else(|| self.closed(operation))?;
        if !self.inbound.is_empty() {
            return Err(Error::new(
                ErrorKind::Protocol,
                operation,
                "the server sent what nobody asked for",
            )
            .with_layer(self.tap.layer()));
        }
        Ok(stream)
    }

    /// Upgrades to TLS after the server agreed to STARTTLS or STLS.
    ///
    /// Bytes that arrived in clear text behind the agreement are an attack (CVE-2011-0411 and its kin): refused.
    pub(crate) async fn start_tls(&mut self, tls: &Tls, host: &str) -> Result<()> {
        if !self.inbound.is_empty() {
            self.cut();
            return Err(Error::new(
                ErrorKind::Tls,
                "STARTTLS",
                "the server sent plain text behind its agreement to STARTTLS; someone may be tampering with the connection",
            )
            .with_layer(Layer::Tls));
        }
        self.handshake(tls, host).await
    }

    /// The error for a server that can't upgrade to TLS: a token never travels in clear text.
    pub(crate) fn no_tls(&self, operation: &'static str, detail: &'static str) -> Error {
        let layer = self.tap.layer();
        let port = match layer {
            Layer::Imap => "993",
            Layer::Pop3 => "995",
            _ => "465",
        };
        Error::new(ErrorKind::Unsupported, operation, detail)
            .with_layer(layer)
            .with_hint(format!(
                "nothing secret was sent; use TLS from the first byte where the server has it (port {port}); if it should \
                 offer {operation}, something between here and there may be stripping it"
            ))
    }

    pub(crate) async fn handshake(&mut self, tls: &Tls, host: &str) -> Result<()> {
        let name = ServerName::try_from(host.to_owned()).map_err(|error| {
            Error::new(
                ErrorKind::InvalidArgument,
                "TLS",
                format!("{host:?} is not a host name"),
            )
            .with_source(error)
        })?;
        let stream = self.stream.take().ok_or_else(|| self.closed("TLS"))?;
        let handshake = TlsConnector::from(tls.config().clone()).connect(name, stream);
        let stream = tokio::time::timeout(self.timeouts.connect, handshake)
            .await
            .map_err(|_| {
                Error::new(
                    ErrorKind::TimedOut,
                    "TLS",
                    format!("{host} did not finish the TLS handshake"),
                )
                .with_layer(Layer::Tls)
            })?
            .map_err(|error| tls_error(host, error))?;
        self.tap.note(|| {
            let version = stream.get_ref().1.protocol_version();
            version.map_or_else(|| "TLS".to_owned(), |version| format!("{version:?}"))
        });
        self.stream = Some(Box::new(stream));
        Ok(())
    }

    /// Collects a command line. CR, LF and NUL inside are refused: callers check arguments first, this is the last
    /// door. The line end is added here.
    pub(crate) fn command(&mut self, line: &str) -> Result<()> {
        if line.bytes().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "command",
                "an argument holds CR, LF or NUL",
            )
            .with_layer(self.tap.layer()));
        }
        self.tap.client(|| line.to_owned());
        self.outbound.extend_from_slice(line.as_bytes());
        self.outbound.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// Collects a line that ends in a secret: `prefix` is shown in the transcript, the secret is not, and is blanked
    /// wherever the server says it back.
    pub(crate) fn secret_command(&mut self, prefix: &str, secret: &Secret) -> Result<()> {
        if prefix
            .bytes()
            .chain(secret.expose().bytes())
            .any(|byte| matches!(byte, b'\r' | b'\n' | 0))
        {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "command",
                "a credential holds CR, LF or NUL",
            )
            .with_layer(self.tap.layer()));
        }
        self.tap.remember(secret);
        self.tap
            .client(|| format!("{prefix}[redacted, {} characters]", secret.len()));
        self.outbound.extend_from_slice(prefix.as_bytes());
        self.outbound.extend_from_slice(secret.expose().as_bytes());
        self.outbound.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// Collects bytes of a body or literal; they are not recorded. Goes out when enough has been collected.
    pub(crate) async fn body(&mut self, bytes: &[u8]) -> Result<()> {
        for piece in bytes.chunks(WRITE_SIZE) {
            self.outbound.extend_from_slice(piece);
            if self.outbound.len() >= WRITE_SIZE {
                self.flush().await?;
            }
        }
        Ok(())
    }

    /// Remembers a secret that is about to go out in pieces.
    pub(crate) fn remember(&mut self, secret: &Secret) {
        self.tap.remember(secret);
    }

    /// Sends what was collected.
    pub(crate) async fn flush(&mut self) -> Result<()> {
        let limit = self.timeouts.step;
        let Some(stream) = &mut self.stream else {
            return Err(self.closed("write"));
        };
        if self.outbound.is_empty() {
            return Ok(());
        }
        let write = write_and_listen(stream, &self.outbound, &mut self.inbound);
        let result = tokio::time::timeout(limit, write).await;
        self.outbound.clear();
        self.written = true;
        if matches!(result, Ok(Err(_))) {
            // A server that hangs up in the middle of a body has usually said why: keep it for the reader.
            let listen = async {
                while self.inbound.len() < READ_AHEAD {
                    self.inbound.reserve(READ_SIZE);
                    if !matches!(stream.read_buf(&mut self.inbound).await, Ok(1..)) {
                        break;
                    }
                }
            };
            let _ = tokio::time::timeout(LAST_WORDS, listen).await;
        }
        self.settle("write", result)
    }

    /// Takes in what has already arrived, without waiting. An error when the server has hung up meanwhile: nothing
    /// that is written now would reach it.
    pub(crate) async fn glance(&mut self) -> Result<()> {
        let Some(stream) = &mut self.stream else {
            return Err(self.closed("read"));
        };
        // Nothing is to be written, but TLS may have an answer of its own to send.
        let result = tokio::time::timeout(
            self.timeouts.step,
            write_and_listen(stream, &[], &mut self.inbound),
        )
        .await;
        self.settle("read", result)
    }

    /// Waits for more bytes, no longer than `limit`; a flight ends here. Returns how many came, never 0.
    pub(crate) async fn fill_within(&mut self, limit: Duration) -> Result<usize> {
        let before = self.inbound.len();
        let flushed = self.flush().await;
        // What came in while writing may be all that ever comes.
        let early = self.inbound.len().saturating_sub(before);
        if early > 0 {
            return Ok(early);
        }
        flushed?;
        if std::mem::take(&mut self.written) {
            self.flights += 1;
        }
        self.inbound.reserve(READ_SIZE);
        let Some(stream) = &mut self.stream else {
            return Err(self.closed("read"));
        };
        let result = tokio::time::timeout(limit, stream.read_buf(&mut self.inbound)).await;
        match self.settle("read", result)? {
            0 => {
                self.cut();
                Err(self.closed("read"))
            }
            count => Ok(count),
        }
    }

    /// Waits for more bytes, no longer than a step may take.
    pub(crate) async fn fill(&mut self) -> Result<usize> {
        self.fill_within(self.timeouts.step).await
    }

    /// The bytes that have arrived and were not taken yet.
    pub(crate) fn buffered(&self) -> &[u8] {
        &self.inbound
    }

    /// Takes the first `count` of the buffered bytes, without copying.
    pub(crate) fn take(&mut self, count: usize) -> Bytes {
        self.inbound.split_to(count.min(self.inbound.len())).freeze()
    }

    /// The next line without its line end, if it has arrived whole; never waits. Bounded as [`Wire::line_within`].
    pub(crate) fn line_if_here(&mut self, max: usize) -> Result<Option<Bytes>> {
        match self.inbound.iter().position(|&byte| byte == b'\n') {
            Some(at) => self.take_line(at, max).map(Some),
            None if self.inbound.len() > max + 2 => Err(self.too_long(max)),
            None => Ok(None),
        }
    }

    /// Takes the line that ends with the LF at `at`.
    fn take_line(&mut self, at: usize, max: usize) -> Result<Bytes> {
        let mut line = self.take(at + 1);
        line.truncate(line.len() - 1);
        if line.last() == Some(&b'\r') {
            line.truncate(line.len() - 1);
        }
        if line.len() > max {
            return Err(self.too_long(max));
        }
        self.tap.server(&line);
        Ok(line)
    }

    /// The next line without its line end, waiting no longer than `limit` for all of it: a server that sends a byte
    /// now and then is as good as silent.
    ///
    /// A bare LF ends a line too: some servers are sloppy. A line over `max` bytes breaks the connection.
    pub(crate) async fn line_within(&mut self, max: usize, limit: Duration) -> Result<Bytes> {
        let deadline = Deadline::after(limit);
        let mut searched = 0;
        loop {
            if let Some(at) = self.inbound[searched..].iter().position(|&byte| byte == b'\n') {
                return self.take_line(searched + at, max);
            }
            searched = self.inbound.len();
            if searched > max + 2 {
                return Err(self.too_long(max));
            }
            self.fill_within(deadline.remaining().unwrap_or(limit)).await?;
        }
    }

    /// The next line, within a step.
    pub(crate) async fn line(&mut self, max: usize) -> Result<Bytes> {
        self.line_within(max, self.timeouts.step).await
    }

    /// Up to `max` bytes of a literal or body: what is buffered, or else what arrives next.
    pub(crate) async fn chunk(&mut self, max: usize) -> Result<Bytes> {
        if self.inbound.is_empty() {
            self.fill().await?;
        }
        Ok(self.take(max))
    }

    /// Ends politely: TLS close_notify, then TCP. Failures are of no interest any more.
    pub(crate) async fn close(&mut self) {
        if let Some(mut stream) = self.stream.take() {
            let _ = tokio::time::timeout(Duration::from_secs(1), stream.shutdown()).await;
        }
    }

    fn too_long(&mut self, max: usize) -> Error {
        self.cut();
        Error::new(
            ErrorKind::Protocol,
            "read",
            format!("the server sent a line of more than {max} bytes"),
        )
        .with_layer(self.tap.layer())
    }

    fn closed(&self, operation: &'static str) -> Error {
        Error::new(
            ErrorKind::ConnectionLost,
            operation,
            "the server closed the connection",
        )
        .with_layer(self.tap.layer())
    }

    /// Turns the outcome of an I/O call into ours; any failure cuts the connection.
    fn settle<T>(
        &mut self,
        operation: &'static str,
        result: Result<io::Result<T>, tokio::time::error::Elapsed>,
    ) -> Result<T> {
        let error = match result {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => self.closed(operation),
            Ok(Err(error)) => Error::new(
                ErrorKind::ConnectionLost,
                operation,
                format!("the connection broke: {error}"),
            )
            .with_layer(self.tap.layer())
            .with_source(error),
            Err(_) => Error::new(ErrorKind::TimedOut, operation, "the server is silent")
                .with_layer(self.tap.layer()),
        };
        self.tap.note(|| error.detail().to_owned());
        self.cut();
        Err(error)
    }
}

/// Writes all of `rest`, and meanwhile reads what the server says: a server whose answers nobody takes stops reading
/// (RFC 2920 §3.1 warns of this deadlock), and one that refuses early wants to be heard.
async fn write_and_listen(
    stream: &mut Box<dyn Stream>,
    mut rest: &[u8],
    inbound: &mut BytesMut,
) -> io::Result<()> {
    std::future::poll_fn(|cx| {
        while inbound.len() < READ_AHEAD {
            inbound.reserve(READ_SIZE);
            match pin!(stream.read_buf(inbound)).poll(cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => break,
            }
        }
        while !rest.is_empty() {
            match Pin::new(&mut *stream).poll_write(cx, rest) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => rest = rest.get(count..).unwrap_or_default(),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        // TLS may still hold a part of it.
        Pin::new(&mut *stream).poll_flush(cx)
    })
    .await
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wire")
            .field("layer", &self.tap.layer())
            .finish_non_exhaustive()
    }
}

fn tls_error(host: &str, error: io::Error) -> Error {
    let cause = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let kind = match cause {
        Some(_) => ErrorKind::Tls,
        // The connection broke meanwhile, as it may at any other time: worth another try.
        None => ErrorKind::ConnectionLost,
    };
    let hint = match cause {
        Some(rustls::Error::InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        )) => "the certificate is out of its time: check this machine's clock",
        Some(rustls::Error::InvalidCertificate(_)) => {
            "the certificate is not trusted for this name: a company proxy may intercept TLS (give its CA), or the host is wrong"
        }
        Some(rustls::Error::InvalidMessage(_)) => {
            "the server does not speak TLS here: check port and security (587 is STARTTLS, 993 and 995 are TLS from the start)"
        }
        _ => "the server must speak TLS 1.2 or later",
    };
    Error::new(kind, "TLS", format!("{host}: {error}"))
        .with_layer(Layer::Tls)
        .with_hint(hint)
        .with_source(error)
}

#[cfg(test)]
mod tests {
    use std::task::Context;

    use tokio::io::ReadBuf;

    use super::*;

    /// Says its text once something was written to it, and takes nothing.
    struct Refusing {
        text: &'static [u8],
        broken: bool,
    }

    impl AsyncRead for Refusing {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            if !self.broken {
                return Poll::Pending;
            }
            buffer.put_slice(std::mem::take(&mut self.text));
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Refusing {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            self.broken = true;
            Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn wire(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Wire {
        Wire::new(stream, Tap::none(Layer::Smtp), &Timeouts::default())
    }

    #[tokio::test]
    async fn a_broken_write_leaves_the_servers_last_words() {
        let mut wire = wire(Refusing {
            text: b"552 too large\r\n221 bye",
            broken: false,
        });
        let error = wire.body(&[b'x'; 2 * WRITE_SIZE]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionLost);
        assert!(wire.is_broken());
        assert_eq!(wire.line_if_here(100).unwrap().unwrap(), "552 too large");
        assert_eq!(wire.line_if_here(100).unwrap(), None);
        assert_eq!(
            wire.line(100).await.unwrap_err().kind(),
            ErrorKind::ConnectionLost
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_came_in_while_writing_is_not_waited_for_again() {
        let (client, mut server) = tokio::io::duplex(1000);
        let mut wire = wire(client);
        server.write_all(b"early\r\n").await.unwrap();
        wire.command("LATE").unwrap();
        assert_eq!(wire.line(100).await.unwrap(), "early");
        assert_eq!(wire.flights(), 0);
        // The clock is paused: a wait would end in `TimedOut`.
        let error = wire.line(100).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(wire.flights(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_that_trickles_in_is_not_waited_for_longer_than_a_silent_one() {
        let (client, mut server) = tokio::io::duplex(1000);
        let mut wire = wire(client);
        tokio::spawn(async move {
            while server.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_secs(50)).await;
            }
        });
        let started = tokio::time::Instant::now();
        let error = wire.line(100).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(started.elapsed(), Timeouts::default().step);
    }

    #[tokio::test]
    async fn a_handshake_that_is_cut_may_be_tried_again() {
        let tls = Tls::system().unwrap();
        for (said, kind) in [("", ErrorKind::ConnectionLost), ("220 mx\r\n", ErrorKind::Tls)] {
            let (client, mut server) = tokio::io::duplex(1000);
            server.write_all(said.as_bytes()).await.unwrap();
            server.shutdown().await.unwrap();
            let error = wire(client).handshake(&tls, "localhost").await.unwrap_err();
            assert_eq!((error.kind(), error.layer()), (kind, Layer::Tls), "{error}");
        }
    }

    #[tokio::test]
    async fn neither_side_waits_for_the_other_to_read() {
        let (client, mut server) = tokio::io::duplex(1000);
        let mut wire = wire(client);
        // Answers each byte by two, and reads nothing while its answers are not taken.
        tokio::spawn(async move {
            let mut byte = [0];
            while let Ok(1) = server.read(&mut byte).await {
                let _ = server.write_all(&[byte[0]; 2]).await;
            }
        });
        wire.body(&[b'x'; 2 * WRITE_SIZE]).await.unwrap();
        assert!(wire.buffered().len() > WRITE_SIZE);
    }
}
