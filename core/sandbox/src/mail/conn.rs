//! One client's connection: bounded reading, buffered writing, STARTTLS, and the count of flights.
//!
//! What is written is held back until the server has nothing left to read, so that commands that came together are
//! answered together. A *flight* ends when the server, having read something, must wait for the client's next turn.
//! Waiting for the rest of a line, of a literal or of a message is not a turn, because the client is still speaking.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::authorize::Protocol;
use crate::clock::Clock;
use crate::faults::{Fault, Faults};
use crate::shared::Shared;
use crate::stats::ConnectionRecord;

/// Answers beyond this are sent without waiting for more commands.
const FLUSH_AT: usize = 64 * 1024;
/// How much is asked of the socket at once.
const READ: usize = 64 * 1024;

/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnError {
    /// The client has gone.
    #[error("closed by the client")]
    Closed,
    /// A line longer than allowed. The rest of it is still unread.
    #[error("line too long")]
    LineTooLong,
    /// A fault cut it.
    #[error("cut by a fault")]
    Cut,
    /// Nothing came, or nothing could be sent, for as long as the server is willing to wait.
    #[error("timed out")]
    TimedOut,
    /// The network.
    #[error(transparent)]
    Io(#[from] io::Error),
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// Only while STARTTLS changes one into the other.
    Gone,
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Gone => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Gone => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Self::Gone => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Gone => Poll::Ready(Ok(())),
        }
    }
}

/// A connection. Its record is marked closed when it goes.
pub(crate) struct Conn {
    stream: Stream,
    input: BytesMut,
    output: BytesMut,
    /// How far `input` has been searched for the end of a line.
    searched: usize,
    /// Whether anything was read since the last turn.
    heard: bool,
    /// Whether the client was asked to go on (354, 334, `+`): the next wait is its turn.
    prompted: bool,
    protocol: Protocol,
    peer: SocketAddr,
    idle: Duration,
    record: Arc<ConnectionRecord>,
    clock: Clock,
    faults: Arc<Faults>,
    /// Octets sent so far, TLS's own not counted.
    sent: u64,
}

/// Without the buffers: a token may stand in one.
impl fmt::Debug for Conn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conn")
            .field("protocol", &self.protocol)
            .field("peer", &self.peer)
            .field("tls", &self.is_tls())
            .finish_non_exhaustive()
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        self.record.close();
    }
}

impl Conn {
    pub(crate) async fn accept(
        stream: TcpStream,
        peer: SocketAddr,
        protocol: Protocol,
        implicit_tls: bool,
        shared: &Shared,
    ) -> Result<Self, ConnError> {
        // Answers are collected here; holding them back once more in the kernel would only delay them.
        stream.set_nodelay(true)?;
        let mut conn = Self {
            stream: Stream::Plain(stream),
            input: BytesMut::new(),
            output: BytesMut::new(),
            searched: 0,
            heard: false,
            prompted: false,
            protocol,
            peer,
            idle: shared.options.login,
            record: shared.counters.open(protocol),
            clock: shared.clock.clone(),
            faults: shared.faults.clone(),
            sent: 0,
        };
        if implicit_tls {
            conn.handshake(shared).await?;
        }
        Ok(conn)
    }

    pub(crate) fn protocol(&self) -> Protocol {
        self.protocol
    }

    pub(crate) fn peer(&self) -> SocketAddr {
        self.peer
    }

    pub(crate) fn is_tls(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }

    /// How long the client may be silent from now on. At first it is the time allowed before the sign-in.
    pub(crate) fn set_idle(&mut self, idle: Duration) {
        self.idle = idle;
    }

    /// Counts a command.
    pub(crate) fn count_command(&self) {
        self.record.count_command();
    }

    /// Starts TLS after the answer `ready`. What the client sent in clear behind its command is thrown away: it must
    /// not be taken for something said under TLS.
    pub(crate) async fn start_tls(&mut self, ready: &[u8], shared: &Shared) -> Result<(), ConnError> {
        self.write(ready).await?;
        self.turn();
        self.flush().await?;
        self.input.clear();
        self.searched = 0;
        self.handshake(shared).await
    }

    async fn handshake(&mut self, shared: &Shared) -> Result<(), ConnError> {
        let Stream::Plain(stream) = std::mem::replace(&mut self.stream, Stream::Gone) else {
            return Err(ConnError::Closed);
        };
        let acceptor = TlsAcceptor::from(shared.pki.server.clone());
        let stream = self
            .clock
            .timeout(self.idle, acceptor.accept(stream))
            .await
            .ok_or(ConnError::TimedOut)??;
        self.stream = Stream::Tls(Box::new(stream));
        self.record.set_tls();
        Ok(())
    }

    // ---- reading ---------------------------------------------------------------------------------------------

    /// Reads a command: up to LF, which is cut off together with a CR before it. At most `max` octets.
    ///
    /// Dropping the future loses nothing, so it can stand in a `select!`.
    pub(crate) async fn read_line(&mut self, max: usize) -> Result<Bytes, ConnError> {
        loop {
            let from = self.searched.min(self.input.len());
            let found = self
                .input
                .get(from..)
                .and_then(|new| new.iter().position(|&byte| byte == b'\n'));
            if let Some(end) = found.map(|at| from + at) {
                if end > max {
                    return Err(ConnError::LineTooLong);
                }
                let mut line = self.input.split_to(end + 1);
                self.searched = 0;
                line.truncate(end);
                if line.last() == Some(&b'\r') {
                    line.truncate(end - 1);
                }
                return Ok(line.freeze());
            }
            if self.input.len() > max {
                return Err(ConnError::LineTooLong);
            }
            self.searched = self.input.len();
            let turn = self.input.is_empty();
            self.fill(turn).await?;
        }
    }

    /// Reads the next 1 to `max` octets of something long, as soon as there are any.
    pub(crate) async fn read_some(&mut self, max: usize) -> Result<Bytes, ConnError> {
        if self.input.is_empty() {
            self.fill(false).await?;
        }
        self.searched = 0;
        let count = self.input.len().min(max);
        Ok(self.input.split_to(count).freeze())
    }

    /// Puts back what was read too much.
    pub(crate) fn unread(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        let rest = self.input.split();
        self.input = BytesMut::from(bytes);
        self.input.unsplit(rest);
        self.searched = 0;
    }

    /// Reads at least one octet from the network into `input`.
    async fn fill(&mut self, turn: bool) -> Result<(), ConnError> {
        self.input.reserve(READ);
        // First what has arrived already, without answering yet.
        let ready = tokio::task::unconstrained(poll_fn(|cx| {
            let mut read = std::pin::pin!(self.stream.read_buf(&mut self.input));
            match std::future::Future::poll(read.as_mut(), cx) {
                Poll::Ready(result) => Poll::Ready(Some(result)),
                Poll::Pending => Poll::Ready(None),
            }
        }))
        .await;
        let count = match ready {
            Some(result) => result?,
            None => {
                if turn || self.prompted {
                    self.turn();
                }
                self.flush().await?;
                self.clock
                    .timeout(self.idle, self.stream.read_buf(&mut self.input))
                    .await
                    .ok_or(ConnError::TimedOut)??
            }
        };
        if count == 0 {
            return Err(ConnError::Closed);
        }
        self.heard = true;
        Ok(())
    }

    /// Ends a flight, if the client has said anything since the last one. Before the answer goes out, so that a
    /// client that has the answer finds it counted.
    fn turn(&mut self) {
        if self.heard {
            self.record.count_flight();
        }
        self.heard = false;
        self.prompted = false;
    }

    // ---- writing ---------------------------------------------------------------------------------------------

    /// Adds to the answer.
    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), ConnError> {
        let bytes = bytes.as_ref();
        if bytes.len() >= FLUSH_AT {
            self.flush().await?;
            // In pieces, so that the time limit is one for progress and not one for the whole, and that a fault can
            // strike in the middle.
            for piece in bytes.chunks(FLUSH_AT) {
                self.output.extend_from_slice(piece);
                self.flush().await?;
            }
            return Ok(());
        }
        self.output.extend_from_slice(bytes);
        if self.output.len() >= FLUSH_AT {
            self.flush().await
        } else {
            Ok(())
        }
    }

    /// Adds to the answer something that asks the client to go on: the next wait ends a flight, even in the middle
    /// of a command.
    pub(crate) async fn prompt(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), ConnError> {
        self.write(bytes).await?;
        self.prompted = true;
        Ok(())
    }

    /// Sends what has been written, without waiting for anything to read.
    pub(crate) async fn flush(&mut self) -> Result<(), ConnError> {
        if self.output.has_remaining() {
            self.strike().await?;
        }
        self.send().await
    }

    async fn send(&mut self) -> Result<(), ConnError> {
        let drip = self.faults.value(Fault::Drip).map(Duration::from_millis);
        while self.output.has_remaining() {
            let step = if drip.is_some() { 1 } else { self.output.len() };
            let octets = self.output.get(..step).unwrap_or_default();
            // One step at a time: dropped in between, nothing is lost and nothing is sent twice.
            let count = self
                .clock
                .timeout(self.idle, self.stream.write(octets))
                .await
                .ok_or(ConnError::TimedOut)??;
            if count == 0 {
                return Err(io::Error::from(io::ErrorKind::WriteZero).into());
            }
            self.output.advance(count);
            self.sent += count as u64;
            if let Some(pause) = drip {
                self.flush_stream().await?;
                self.clock.sleep(pause).await;
            }
        }
        self.flush_stream().await
    }

    async fn flush_stream(&mut self) -> Result<(), ConnError> {
        self.clock
            .timeout(self.idle, self.stream.flush())
            .await
            .ok_or(ConnError::TimedOut)??;
        Ok(())
    }

    /// Sends what is left and closes, politely.
    pub(crate) async fn close(mut self) -> Result<(), ConnError> {
        self.turn();
        self.flush().await?;
        self.clock
            .timeout(self.idle, self.stream.shutdown())
            .await
            .ok_or(ConnError::TimedOut)??;
        Ok(())
    }

    // ---- faults ----------------------------------------------------------------------------------------------

    /// Resolves `changed()` when a fault was switched on or off.
    pub(crate) fn watch_faults(&self) -> watch::Receiver<()> {
        self.faults.watch()
    }

    /// Cuts the connection, or falls silent on it, if such a fault is on and it is time.
    pub(crate) async fn strike(&mut self) -> Result<(), ConnError> {
        let by_then = self.sent + self.output.len() as u64;
        if let Some(after) = self.faults.strike_if(Fault::Reset, |after| by_then >= after) {
            let left = after.saturating_sub(self.sent);
            self.output.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            self.send().await?;
            return self.reset();
        }
        if self.faults.strike(Fault::Silence).is_some() {
            return self.fall_silent().await;
        }
        Ok(())
    }

    /// Cuts the connection without another word: the client sees a reset when this error has ended the session.
    pub(crate) fn reset(&mut self) -> Result<(), ConnError> {
        match &self.stream {
            Stream::Plain(stream) => stream.set_zero_linger()?,
            Stream::Tls(stream) => stream.get_ref().0.set_zero_linger()?,
            Stream::Gone => {}
        }
        Err(ConnError::Cut)
    }

    /// Reads and says nothing until the client has had enough.
    async fn fall_silent(&mut self) -> Result<(), ConnError> {
        loop {
            self.input.clear();
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(ConnError::Closed);
            }
        }
    }
}
