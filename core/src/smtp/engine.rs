//! [`SmtpEngine`]: what the actor of a session owns.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::body::Body;
use super::command::Opening;
use super::dialogue::Dialogue;
use super::transaction::{Manner, Transaction};
use super::{Capabilities, Envelope, SendOptions, SendReport};
use crate::error::{ErrorKind, Layer, Result};
use crate::message::RawMessage;
use crate::net::Engine;

#[derive(Debug)]
pub(super) struct SmtpEngine {
    dialogue: Dialogue,
    capabilities: Capabilities,
    /// The server may still hold the beginning of a mail. RSET goes out in front of the next one, in the same flight.
    unfinished: bool,
    flights: Arc<AtomicU64>,
}

impl Engine for SmtpEngine {
    const LAYER: Layer = Layer::Smtp;

    fn is_broken(&self) -> bool {
        self.dialogue.wire.is_broken()
    }
}

impl SmtpEngine {
    /// Takes over a connection that is signed in. `flights` is kept up to date.
    pub(super) fn new(dialogue: Dialogue, capabilities: Capabilities, flights: Arc<AtomicU64>) -> Self {
        let engine = Self {
            dialogue,
            capabilities,
            unfinished: false,
            flights,
        };
        engine.count();
        engine
    }

    fn count(&self) {
        self.flights
            .store(self.dialogue.wire.flights(), Ordering::Relaxed);
    }

    pub(super) async fn send(
        &mut self,
        envelope: Envelope,
        message: RawMessage,
        options: SendOptions,
    ) -> Result<SendReport> {
        // All that can go wrong on this side goes wrong here, where nothing has been said yet.
        let mut body = Body::open(message).await?;
        let opening = Opening::new(&envelope, &body, &options, &self.capabilities)?;
        self.dialogue.expect_quiet("MAIL FROM").await?;
        let manner = Manner {
            pipelining: self.capabilities.pipelining(),
            chunking: self.capabilities.chunking(),
            all_recipients: options.all_recipients,
            reset: std::mem::replace(&mut self.unfinished, true),
        };
        let transaction = Transaction::new(&mut self.dialogue, &envelope, manner);
        let result = transaction.run(&opening, &mut body).await;
        self.unfinished = result.is_err();
        self.count();
        result
    }

    pub(super) async fn noop(&mut self) -> Result<()> {
        self.simple("NOOP").await
    }

    pub(super) async fn reset(&mut self) -> Result<()> {
        self.simple("RSET").await?;
        self.unfinished = false;
        Ok(())
    }

    async fn simple(&mut self, command: &'static str) -> Result<()> {
        self.dialogue.expect_quiet(command).await?;
        let result = self.dialogue.demand(command).await;
        self.count();
        result
    }

    /// Says goodbye and closes.
    pub(super) async fn quit(&mut self) -> Result<()> {
        let result = self.dialogue.demand("QUIT").await;
        self.count();
        self.dialogue.wire.close().await;
        match result {
            // It was to be closed anyway, and a 421 says no more than that.
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionLost | ErrorKind::Unavailable) => {
                Ok(())
            }
            result => result,
        }
    }
}
