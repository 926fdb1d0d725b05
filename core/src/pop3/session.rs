//! [`Pop3Session`]: the callers' handle.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use super::connect;
use super::engine::{CHUNKS, MAX_LISTING, Pop3Engine};
use super::reply::{parse_listing, parse_stat, parse_uid};
use super::{Capabilities, Listing, Retrieved, Stat};
use crate::error::{Error, ErrorKind, Layer, Result};
use crate::net::{Actor, Connector, Endpoint, Pull};
use crate::sasl::Login;

/// A POP3 session that is signed in to one inbox.
///
/// A refusal (`-ERR`) leaves the session usable. A call that is cut, or a connection that breaks, spends it: open a
/// new one. Dropping the session closes the connection and deletes nothing.
pub struct Pop3Session {
    actor: Actor<Pop3Engine>,
    capabilities: Capabilities,
    flights: Arc<AtomicU64>,
}

impl Pop3Session {
    /// Connects and signs in. The token is fetched while TCP and TLS connect.
    ///
    /// # Errors
    /// Those of the token, the network and TLS; [`ErrorKind::Unsupported`] when the server offers neither STLS where
    /// that was asked for nor a mechanism for tokens; [`ErrorKind::AuthRejected`] with the server's words.
    pub async fn connect(connector: &Connector, endpoint: &Endpoint, login: &Login) -> Result<Self> {
        let engine = connect::connect(connector, endpoint, login).await?;
        Ok(Self {
            capabilities: engine.capabilities.clone(),
            flights: engine.flights.clone(),
            actor: Actor::spawn(engine),
        })
    }

    /// What the server says it can do, as told under TLS before signing in.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Turns from writing to waiting so far, those of signing in among them.
    pub fn flights(&self) -> u64 {
        self.flights.load(Ordering::Relaxed)
    }

    /// Whether later calls can only fail.
    pub fn is_spent(&self) -> bool {
        self.actor.is_spent()
    }

    /// How many messages the inbox holds, and their size.
    ///
    /// # Errors
    /// The server's refusal, or those of the connection.
    pub async fn stat(&mut self) -> Result<Stat> {
        let job = self.actor.call("STAT", |engine| {
            Box::pin(async move {
                let text = engine.command("STAT", "STAT", ErrorKind::Rejected).await?;
                parse_stat(&text).ok_or_else(|| {
                    let detail = format!("the server's answer can't be read: {text:?}");
                    Error::new(ErrorKind::Protocol, "STAT", detail).with_layer(Layer::Pop3)
                })
            })
        });
        job.await
    }

    /// Number and size of each message.
    ///
    /// # Errors
    /// The server's refusal, a line that can't be read, or those of the connection.
    pub async fn list(&mut self) -> Result<Vec<Listing>> {
        let job = self.actor.call("LIST", |engine| {
            Box::pin(engine.listing("LIST", MAX_LISTING, parse_listing))
        });
        job.await
    }

    /// Number and unique id of each message. The id stays the same from session to session.
    ///
    /// # Errors
    /// As [`list`](Self::list); some servers have no UIDL.
    pub async fn uidl(&mut self) -> Result<Vec<(u32, String)>> {
        let job = self.actor.call("UIDL", |engine| {
            Box::pin(engine.listing("UIDL", MAX_LISTING, parse_uid))
        });
        job.await
    }

    /// Writes a message's header and its first `lines` body lines to `sink`; returns how many bytes.
    ///
    /// # Errors
    /// As [`retr`](Self::retr).
    pub async fn top(
        &mut self,
        number: u32,
        lines: u32,
        sink: &mut (impl AsyncWrite + Unpin + Send),
    ) -> Result<u64> {
        check("TOP", number)?;
        self.stream("TOP", format!("TOP {number} {lines}"), sink).await
    }

    /// Writes a message to `sink` as it arrives, without the dots of the protocol; returns how many bytes. The line
    /// ends are the server's (CRLF).
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the server refuses, and the session goes on. [`ErrorKind::LocalIo`] when the sink
    /// fails, and those of the connection: the session is then spent and `sink` may hold a part.
    pub async fn retr(&mut self, number: u32, sink: &mut (impl AsyncWrite + Unpin + Send)) -> Result<u64> {
        check("RETR", number)?;
        self.stream("RETR", format!("RETR {number}"), sink).await
    }

    /// Asks for many messages, in one flight for hundreds where the server takes pipelined commands.
    ///
    /// ```no_run
    /// # async fn example(session: &mut exomail::pop3::Pop3Session) -> exomail::Result<()> {
    /// use exomail::pop3::RetrievedEvent;
    ///
    /// let mut messages = session.retr_many(&[1, 2, 3])?;
    /// while let Some(event) = messages.next().await? {
    ///     match event {
    ///         RetrievedEvent::Begin { number } => println!("{number}"),
    ///         RetrievedEvent::Chunk(bytes) => println!("  {} bytes", bytes.len()),
    ///         RetrievedEvent::End { octets, .. } => println!("  {octets} in all"),
    ///         RetrievedEvent::Refused { number, error } => println!("{number}: {error}"),
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for the number 0.
    pub fn retr_many(&mut self, numbers: &[u32]) -> Result<Retrieved<'_>> {
        numbers.iter().try_for_each(|&number| check("RETR", number))?;
        let numbers = numbers.to_vec();
        let (sender, events) = mpsc::channel(CHUNKS);
        let job = self.actor.call("RETR", move |engine| {
            Box::pin(async move { engine.retrieve_many(&numbers, &sender).await })
        });
        Ok(Retrieved(Pull::new(job, events)))
    }

    /// Marks a message as deleted. It is deleted at [`quit`](Self::quit), and only then.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the server refuses, or those of the connection.
    pub async fn dele(&mut self, number: u32) -> Result<()> {
        check("DELE", number)?;
        let job = self.actor.call("DELE", move |engine| {
            Box::pin(async move {
                engine
                    .command("DELE", &format!("DELE {number}"), ErrorKind::NotFound)
                    .await?;
                engine.deletes = true;
                Ok(())
            })
        });
        job.await
    }

    /// Takes back every [`dele`](Self::dele).
    ///
    /// # Errors
    /// The server's refusal, or those of the connection.
    pub async fn reset(&mut self) -> Result<()> {
        let job = self.actor.call("RSET", |engine| {
            Box::pin(async move {
                engine.command("RSET", "RSET", ErrorKind::Rejected).await?;
                engine.deletes = false;
                Ok(())
            })
        });
        job.await
    }

    /// Asks for a sign of life.
    ///
    /// # Errors
    /// The server's refusal, or those of the connection.
    pub async fn noop(&mut self) -> Result<()> {
        let job = self.actor.call("NOOP", |engine| {
            Box::pin(async move {
                engine
                    .command("NOOP", "NOOP", ErrorKind::Rejected)
                    .await
                    .map(drop)
            })
        });
        job.await
    }

    /// Deletes what was marked, and ends the session.
    ///
    /// # Errors
    /// [`ErrorKind::Rejected`] when the server could not delete everything; those of the connection when messages
    /// were marked, for it is then unknown whether they are gone: look at [`uidl`](Self::uidl) in a new session.
    pub async fn quit(self) -> Result<()> {
        let job = self.actor.call("QUIT", |engine| {
            Box::pin(async move {
                let result = engine
                    .command("QUIT", "QUIT", ErrorKind::Rejected)
                    .await
                    .map(drop);
                engine.wire.close().await;
                match result {
                    // Some servers just hang up; without deletes nothing depends on their answer.
                    Err(error) if error.server().is_none() && !engine.deletes => Ok(()),
                    result => result,
                }
            })
        });
        job.await
    }

    async fn stream(
        &mut self,
        operation: &'static str,
        line: String,
        sink: &mut (impl AsyncWrite + Unpin + Send),
    ) -> Result<u64> {
        let (sender, mut chunks) = mpsc::channel::<Bytes>(CHUNKS);
        let job = self.actor.call(operation, move |engine| {
            Box::pin(async move { engine.retrieve(operation, &line, &sender).await })
        });
        let failed = |error: std::io::Error| {
            Error::new(
                ErrorKind::LocalIo,
                operation,
                format!("the message can't be written: {error}"),
            )
            .with_source(error)
        };
        let copy = async {
            while let Some(chunk) = chunks.recv().await {
                sink.write_all(&chunk).await.map_err(failed)?;
            }
            sink.flush().await.map_err(failed)
        };
        // A sink that fails drops the job, which spends the session.
        tokio::try_join!(job, copy).map(|(octets, ())| octets)
    }
}

impl fmt::Debug for Pop3Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pop3Session")
            .field("capabilities", &self.capabilities)
            .field("flights", &self.flights())
            .field("spent", &self.is_spent())
            .finish_non_exhaustive()
    }
}

fn check(operation: &'static str, number: u32) -> Result<()> {
    if number == 0 {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            operation,
            "message numbers begin at 1",
        ));
    }
    Ok(())
}
