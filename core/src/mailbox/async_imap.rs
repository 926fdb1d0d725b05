//! For programs written for the `async-imap` crate: an authenticated session over our connector, and an authenticator.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Mailbox;
use crate::error::{Error, ErrorKind, Layer, Result};
use crate::net::Stream;

impl Mailbox {
    /// An `async_imap` session that is signed in, on a connection of its own.
    ///
    /// exomail connects and signs in, so the token never passes through `async-imap` (which writes it to the log at
    /// trace level), the greeting has been read, and TLS is ours. From there on the session behaves as that crate
    /// makes it behave: see its documentation for what a dropped stream or a broken response does.
    ///
    /// # Errors
    /// Whatever connecting and signing in can meet.
    pub async fn async_imap_session(&self) -> Result<async_imap::Session<SignedIn>> {
        let stream = SignedIn::new(self.imap().await?.into_stream().await?);
        // The client insists on authenticating; `SignedIn` answers that one command itself.
        let client = async_imap::Client::new(stream);
        client
            .authenticate(STAND_IN, NoCredentials)
            .await
            .map_err(|(error, _)| {
                Error::new(
                    ErrorKind::Internal,
                    "async-imap",
                    "the session could not be handed over",
                )
                .with_layer(Layer::Imap)
                .with_source(error)
            })
    }
}

/// The mechanism in the command that [`SignedIn`] swallows.
const STAND_IN: &str = "EXTERNAL";

struct NoCredentials;

impl async_imap::Authenticator for NoCredentials {
    type Response = &'static [u8];

    fn process(&mut self, _: &[u8]) -> Self::Response {
        b""
    }
}

/// A connection that is signed in already. It takes the first line written to it for a sign-in command, answers `OK`
/// to its tag itself, and from then on passes everything through.
pub struct SignedIn {
    inner: Box<dyn Stream>,
    phase: Phase,
}

enum Phase {
    /// Collecting the command.
    Command(Vec<u8>),
    /// The answer, and how much of it was read.
    Answer(Vec<u8>, usize),
    PassThrough,
}

impl SignedIn {
    fn new(inner: Box<dyn Stream>) -> Self {
        Self {
            inner,
            phase: Phase::Command(Vec::new()),
        }
    }
}

impl fmt::Debug for SignedIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignedIn")
    }
}

impl AsyncRead for SignedIn {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Phase::Answer(answer, read) = &mut self.phase {
            let rest = &answer[*read..];
            let count = rest.len().min(buffer.remaining());
            buffer.put_slice(&rest[..count]);
            *read += count;
            if *read == answer.len() {
                self.phase = Phase::PassThrough;
            }
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl AsyncWrite for SignedIn {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Phase::Command(command) = &mut self.phase else {
            return Pin::new(&mut self.inner).poll_write(context, bytes);
        };
        let end = bytes.iter().position(|&byte| byte == b'\n');
        let taken = end.map_or(bytes.len(), |end| end + 1);
        command.extend_from_slice(&bytes[..taken]);
        if end.is_some() {
            let tag = command.split(|&byte| byte == b' ').next().unwrap_or_default();
            let answer = [tag, b" OK signed in\r\n"].concat();
            self.phase = Phase::Answer(answer, 0);
        }
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
