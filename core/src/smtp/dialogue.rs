//! [`Dialogue`]: commands out, whole replies in.

use std::borrow::Cow;
use std::time::Duration;

use super::reply::{MAX_LINE, Reply, ReplyParser};
use crate::deadline::Deadline;
use crate::doctor;
use crate::error::{Error, ErrorKind, Layer, Result, Retry};
use crate::net::Wire;

/// A connection to an SMTP server.
#[derive(Debug)]
pub(super) struct Dialogue {
    pub(super) wire: Wire,
    parser: ReplyParser,
}

impl Dialogue {
    pub(super) fn new(wire: Wire) -> Self {
        Self {
            wire,
            parser: ReplyParser::default(),
        }
    }

    /// Sends a command alone and waits for its reply.
    pub(super) async fn ask(&mut self, command: &'static str) -> Result<Reply> {
        self.wire.command(command)?;
        self.reply(command, self.wire.timeouts().step).await
    }

    /// Sends a command alone; anything but 2xx is an error.
    pub(super) async fn demand(&mut self, command: &'static str) -> Result<()> {
        let reply = self.ask(command).await?;
        if reply.is_positive() {
            return Ok(());
        }
        if reply.code < 400 {
            return Err(self.out_of_step(command, &reply));
        }
        Err(self.refusal(command, ErrorKind::Rejected, &reply))
    }

    /// The next reply, all of its lines within `limit`. 421 is an error: the server has ended the session.
    pub(super) async fn reply(&mut self, operation: &'static str, limit: Duration) -> Result<Reply> {
        let deadline = Deadline::after(limit);
        loop {
            let line = self
                .wire
                .line_within(MAX_LINE, deadline.remaining().unwrap_or(limit))
                .await
                .map_err(|error| error.with_operation(operation))?;
            if let Some(reply) = self.take(operation, &line)? {
                return Ok(reply);
            }
        }
    }

    /// The next reply, if it has arrived; never waits.
    pub(super) fn reply_if_here(&mut self, operation: &'static str) -> Result<Option<Reply>> {
        while let Some(line) = self.wire.line_if_here(MAX_LINE)? {
            if let Some(reply) = self.take(operation, &line)? {
                return Ok(Some(reply));
            }
        }
        Ok(None)
    }

    fn take(&mut self, operation: &'static str, line: &[u8]) -> Result<Option<Reply>> {
        match self.parser.push(line) {
            Ok(Some(reply)) if reply.is_closing() => {
                self.wire.cut();
                Err(self.refusal(operation, ErrorKind::Unavailable, &reply))
            }
            Ok(reply) => Ok(reply),
            Err(detail) => {
                self.wire.cut();
                // Scrubbed whole and cut short then, for a cut might leave a piece of a secret too short to be known.
                let line = self.wire.tap().scrub(&String::from_utf8_lossy(line));
                let shown: String = line.chars().take(80).collect();
                Err(
                    Error::new(ErrorKind::Protocol, operation, format!("{detail}: {shown:?}"))
                        .with_layer(Layer::Smtp),
                )
            }
        }
    }

    /// Makes sure that the server is still there and has nothing to say, before something is said to it that must not
    /// be lost half-way.
    pub(super) async fn expect_quiet(&mut self, operation: &'static str) -> Result<()> {
        let glance = self.wire.glance().await;
        if !self.wire.buffered().is_empty() || self.parser.is_midway() {
            // Nothing was asked, so this can only be a farewell. `reply_if_here` makes an error of a 421.
            let farewell = self.reply_if_here(operation)?;
            self.wire.cut();
            // Repeating is safe, whatever the server meant: some say 451 or 500 before they hang up.
            let error = Error::new(
                ErrorKind::Protocol,
                operation,
                "the server spoke without having been asked",
            )
            .with_layer(Layer::Smtp)
            .with_retry(Retry::Backoff)
            .with_hint("nothing was sent: open a new session and send again");
            return Err(match farewell {
                Some(reply) => error.with_server(reply.to_server(|text| self.wire.tap().scrub(text))),
                None => error,
            });
        }
        glance.map_err(|error| {
            error
                .with_operation(operation)
                .with_hint("nothing was sent: open a new session and send again")
        })
    }

    /// The error for a refusal. `permanent` is the kind of a 5xx that the table of texts does not know.
    pub(super) fn refusal(
        &self,
        operation: impl Into<Cow<'static, str>>,
        permanent: ErrorKind,
        reply: &Reply,
    ) -> Error {
        let server = reply.to_server(|text| self.wire.tap().scrub(text));
        doctor::refusal(Layer::Smtp, operation, kind(permanent, reply), server)
    }

    /// The error for a reply that can't be the answer to what was asked. Ends the session: whatever comes next can't be
    /// matched to a command any more.
    pub(super) fn out_of_step(&mut self, operation: &'static str, reply: &Reply) -> Error {
        self.wire.cut();
        Error::new(
            ErrorKind::Protocol,
            operation,
            "the server's reply does not fit the command",
        )
        .with_layer(Layer::Smtp)
        .with_server(reply.to_server(|text| self.wire.tap().scrub(text)))
    }
}

/// What a code means where the text says nothing more.
fn kind(permanent: ErrorKind, reply: &Reply) -> ErrorKind {
    match (reply.code, reply.enhanced()) {
        _ if reply.is_transient() => ErrorKind::Unavailable,
        // RFC 3463 §3.4 and RFC 1870 §6.1: 552 is the message's size unless the enhanced code says otherwise.
        (552, None | Some("5.3.4" | "5.2.3")) => ErrorKind::TooLarge,
        (552, Some("5.2.2")) => ErrorKind::QuotaExceeded,
        (530, _) => ErrorKind::AuthRejected,
        _ => permanent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_alone_choose_a_kind() {
        for (line, expected) in [
            ("451 4.7.0 Temporary server error", ErrorKind::Unavailable),
            ("552 too large", ErrorKind::TooLarge),
            ("552 5.3.4 Message size exceeds", ErrorKind::TooLarge),
            ("552 5.2.2 mailbox full", ErrorKind::QuotaExceeded),
            ("552 5.7.0 content rejected", ErrorKind::Rejected),
            ("530 5.7.57 Client not authenticated", ErrorKind::AuthRejected),
            ("550 no", ErrorKind::Rejected),
        ] {
            let reply = Reply::from_lines(line);
            assert_eq!(kind(ErrorKind::Rejected, &reply), expected, "{line}");
        }
    }
}
