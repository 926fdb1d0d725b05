//! [`SmtpSession`]: the callers' handle.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::engine::SmtpEngine;
use super::{Capabilities, Envelope, SendOptions, SendReport, sign_in};
use crate::error::Result;
use crate::message::RawMessage;
use crate::net::{Actor, Connector, Endpoint};
use crate::sasl::Login;

/// A connection to an SMTP server, signed in. Sends any number of mails, one after the other.
///
/// A refusal leaves it usable. A call that is cut (its future dropped, its deadline passed) or a connection that breaks
/// leaves it spent: every later call says [`ErrorKind::State`](crate::ErrorKind::State), and no reply is ever taken for
/// the reply to something else.
#[derive(Debug)]
pub struct SmtpSession {
    actor: Actor<SmtpEngine>,
    capabilities: Capabilities,
    flights: Arc<AtomicU64>,
}

impl SmtpSession {
    /// Connects and signs in: greeting, EHLO, STARTTLS where the endpoint says so, AUTH. The token is fetched
    /// meanwhile.
    ///
    /// # Errors
    /// The network's and the token's own; [`Unsupported`](crate::ErrorKind::Unsupported) when the server offers no
    /// STARTTLS or no mechanism with a bearer token;
    /// [`AuthRejected`](crate::ErrorKind::AuthRejected) and its kin when it refuses to sign in;
    /// [`Unavailable`](crate::ErrorKind::Unavailable) when it can't right now.
    pub async fn connect(connector: &Connector, endpoint: &Endpoint, login: &Login) -> Result<Self> {
        let (token, (mut dialogue, capabilities)) =
            tokio::try_join!(login.token(), sign_in::connect(connector, endpoint))?;
        sign_in::authenticate(&mut dialogue, &capabilities, endpoint, login.user(), &token).await?;
        let flights = Arc::new(AtomicU64::new(0));
        let engine = SmtpEngine::new(dialogue, capabilities.clone(), flights.clone());
        Ok(Self {
            actor: Actor::spawn(engine),
            capabilities,
            flights,
        })
    }

    /// What the server offers, as it said under TLS.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Turns from writing to waiting so far.
    pub fn flights(&self) -> u64 {
        self.flights.load(Ordering::Relaxed)
    }

    /// Whether later calls can only fail.
    pub fn is_spent(&self) -> bool {
        self.actor.is_spent()
    }

    /// Sends a mail. Line ends become CRLF where they are not; nothing else of the message is changed.
    ///
    /// One flight with CHUNKING and PIPELINING, two with PIPELINING alone.
    ///
    /// # Errors
    /// - [`RecipientsRejected`](crate::ErrorKind::RecipientsRejected) when no recipient is accepted (or not all, where
    ///   all were demanded); its source is [`RejectedRecipients`](super::RejectedRecipients).
    /// - [`TooLarge`](crate::ErrorKind::TooLarge), [`Unsupported`](crate::ErrorKind::Unsupported): nothing was said.
    /// - [`Rejected`](crate::ErrorKind::Rejected), [`Unavailable`](crate::ErrorKind::Unavailable) and what else the
    ///   server's words mean.
    /// - [`LocalIo`](crate::ErrorKind::LocalIo) when the message can't be read: nothing was delivered, and the session
    ///   is spent if the message had begun to go out.
    /// - [`ConnectionLost`](crate::ErrorKind::ConnectionLost) before the message had gone out whole: safe to repeat.
    /// - [`OutcomeUnknown`](crate::ErrorKind::OutcomeUnknown) behind that point: do not repeat blindly.
    pub async fn send(
        &mut self,
        envelope: &Envelope,
        message: RawMessage,
        options: &SendOptions,
    ) -> Result<SendReport> {
        let (envelope, options) = (envelope.clone(), options.clone());
        self.actor
            .call("send", move |engine| {
                Box::pin(engine.send(envelope, message, options))
            })
            .await
    }

    /// Asks for a sign of life.
    ///
    /// # Errors
    /// [`ConnectionLost`](crate::ErrorKind::ConnectionLost), [`TimedOut`](crate::ErrorKind::TimedOut),
    /// [`Unavailable`](crate::ErrorKind::Unavailable) when the server has ended the session.
    pub async fn noop(&mut self) -> Result<()> {
        self.actor.call("NOOP", |engine| Box::pin(engine.noop())).await
    }

    /// Lets the server forget a mail that was begun. Not needed between mails: [`send`](Self::send) does it where it
    /// must, without a flight of its own.
    ///
    /// # Errors
    /// As [`noop`](Self::noop).
    pub async fn reset(&mut self) -> Result<()> {
        self.actor.call("RSET", |engine| Box::pin(engine.reset())).await
    }

    /// Says goodbye and closes the connection. Dropping the session closes it without a word.
    ///
    /// # Errors
    /// [`TimedOut`](crate::ErrorKind::TimedOut) when the server does not answer; the connection is closed all the same.
    pub async fn quit(self) -> Result<()> {
        self.actor.call("QUIT", |engine| Box::pin(engine.quit())).await
    }
}
