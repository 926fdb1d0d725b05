//! Sending through the façade: within the limits, and again where the mail certainly did not go out.

use std::time::Duration;

use super::pool::Lease;
use super::{Heal, Mailbox, MessageQuery, MessageRef};
use crate::error::{Error, ErrorKind, Result};
use crate::governor::Protocol;
use crate::imap::{Query, Role};
use crate::message::{OutgoingMessage, OutgoingMessageBuilder, RawMessage};
use crate::smtp::{Envelope, SendOptions, SendReport, SmtpSession};

/// When the folder for sent items is looked at after a mail whose outcome is unknown: Exchange puts the copy there a
/// little after it took the mail.
const LOOKS: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(4),
    Duration::from_secs(15),
    Duration::from_secs(40),
];
/// How often a mail is sent again that was not found.
const REPEATS: usize = 2;

/// One of the mails that a mail with many recipients was split into.
#[derive(Debug)]
pub struct Part {
    /// Its sender and recipients.
    pub envelope: Envelope,
    /// What became of it.
    pub result: Result<SendReport>,
}

/// What became of a mail that [`Mailbox::send_once`] has sent.
#[derive(Clone, Debug)]
pub enum Sent {
    /// The server took it and said so.
    Reported(SendReport),
    /// The server's answer did not come, but the mail is in the folder for sent items.
    Found(MessageRef),
}

impl Mailbox {
    /// Starts a message whose From is this mailbox, unless another one is set.
    pub fn compose(&self) -> OutgoingMessageBuilder {
        OutgoingMessage::builder().default_from(self.address())
    }

    /// Sends a message over SMTP. The server keeps a copy in the folder for sent items; none needs to be appended.
    ///
    /// Recipients that the server refuses are told in the report; the others get the mail. Where the connection breaks,
    /// the token has ended or the server asks for a pause, and the mail certainly did not go out, it is sent again, up
    /// to four times.
    ///
    /// # Errors
    /// [`ErrorKind::RecipientsRejected`] when no recipient was accepted; [`ErrorKind::SendAsDenied`] when From is
    /// another address that this mailbox may not send as; [`ErrorKind::OutcomeUnknown`] when the connection was cut
    /// before the server's answer: it is not sent again then (but see [`send_once`](Self::send_once)), and the hint
    /// names its Message-ID; [`ErrorKind::InvalidMessage`] for more recipients than one mail may have, and
    /// [`ErrorKind::QuotaExceeded`] for more than the day has left, both before anything is sent: see
    /// [`Limits`](crate::Limits); and whatever connecting and signing in can meet.
    pub async fn send(&self, message: &OutgoingMessage) -> Result<SendReport> {
        self.send_with(message, &SendOptions::default()).await
    }

    /// As [`send`](Self::send), with options.
    ///
    /// # Errors
    /// As [`send`](Self::send); and [`ErrorKind::RecipientsRejected`] where all recipients were demanded and one was
    /// refused.
    pub async fn send_with(&self, message: &OutgoingMessage, options: &SendOptions) -> Result<SendReport> {
        self.send_to(message.envelope(), message, options).await
    }

    /// Sends a ready RFC 5322 message to the recipients of `envelope`. One from a reader is sent again only where no
    /// byte of it was read.
    ///
    /// # Errors
    /// As [`send_with`](Self::send_with).
    pub async fn send_raw(
        &self,
        envelope: &Envelope,
        message: RawMessage,
        options: &SendOptions,
    ) -> Result<SendReport> {
        let mut heal = Heal::new(self, Protocol::Smtp);
        let mut message = message;
        loop {
            let again = message.again();
            let (result, unread) = self.send_one(envelope, message, options).await;
            let Some(next) = again.or(unread) else {
                return heal.last(result);
            };
            message = next;
            if let Some(settled) = heal.settle(result).await {
                return settled;
            }
        }
    }

    /// Sends a message to all its recipients, in as many mails as the limit of recipients for one mail makes
    /// necessary. They all carry the same Message-ID and header fields. Each part has a result of its own: one that
    /// fails does not keep the others back.
    pub async fn send_split(&self, message: &OutgoingMessage, options: &SendOptions) -> Vec<Part> {
        let (whole, mut parts) = (message.envelope(), Vec::new());
        for to in whole.to().chunks(self.0.governor.recipients_per_message()) {
            let envelope = whole.with_recipients(to);
            let result = self.send_to(&envelope, message, options).await;
            parts.push(Part { envelope, result });
        }
        parts
    }

    /// Sends a message once, though a connection is cut behind it: where the outcome is unknown, its Message-ID is
    /// looked for in the folder for sent items for about a minute, and only a mail that is not there is sent again.
    ///
    /// This relies on the server putting a copy of each mail there, as Exchange does.
    ///
    /// # Errors
    /// As [`send_with`](Self::send_with); [`ErrorKind::OutcomeUnknown`] when the mailbox has no such folder or it can't
    /// be looked at, and when the outcome is unknown again and again.
    pub async fn send_once(&self, message: &OutgoingMessage, options: &SendOptions) -> Result<Sent> {
        for _ in 0..REPEATS {
            let error = match self.send_with(message, options).await {
                Ok(report) => return Ok(Sent::Reported(report)),
                Err(error) if error.kind() == ErrorKind::OutcomeUnknown => error,
                Err(error) => return Err(error),
            };
            for pause in LOOKS {
                tokio::time::sleep(pause).await;
                match self.find_sent(message.message_id()).await {
                    Ok(Some(found)) => return Ok(Sent::Found(found)),
                    Ok(None) => {}
                    Err(reason) => {
                        tracing::warn!(%reason, "sent items can't be looked at");
                        return Err(error);
                    }
                }
            }
        }
        self.send_with(message, options).await.map(Sent::Reported)
    }

    /// The message with this Message-ID in the folder for sent items, if it is there.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the mailbox has no such folder; whatever reading can meet.
    pub async fn find_sent(&self, message_id: &str) -> Result<Option<MessageRef>> {
        let folder = self.folder_for(Role::Sent).await?.ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                "find sent",
                "the mailbox has no folder for sent items",
            )
        })?;
        // Exactly this one: servers look for the text anywhere in the field.
        let wanted = bare(message_id);
        let query = MessageQuery::folder(folder.name).matching(Query::all().message_id(wanted));
        let mut messages = self.messages(query).await?;
        while let Some((id, summary)) = messages.next().await? {
            let found = summary.envelope.message_id.as_deref().map(bare);
            if found == Some(wanted) {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    async fn send_to(
        &self,
        envelope: &Envelope,
        message: &OutgoingMessage,
        options: &SendOptions,
    ) -> Result<SendReport> {
        let mut heal = Heal::new(self, Protocol::Smtp);
        loop {
            let raw = message.clone().into_raw();
            let (result, _) = self.send_one(envelope, raw, options).await;
            if let Some(settled) = heal.settle(result).await {
                return settled.map_err(|error| named(error, message.message_id()));
            }
        }
    }

    /// One try. The message comes back where nothing was done with it.
    async fn send_one(
        &self,
        envelope: &Envelope,
        message: RawMessage,
        options: &SendOptions,
    ) -> (Result<SendReport>, Option<RawMessage>) {
        let recipients = match self.0.governor.count(envelope) {
            Ok(recipients) => recipients,
            Err(error) => return (Err(error), Some(message)),
        };
        let (result, unread) = match self.smtp_lease().await {
            Ok(mut session) => (session.send(envelope, message, options).await, None),
            Err(error) => (Err(error), Some(message)),
        };
        recipients.settle(&result);
        (result, unread)
    }

    async fn smtp_lease(&self) -> Result<Lease<SmtpSession>> {
        self.0.governor.pass_hold(Protocol::Smtp).await;
        let turn = self.0.governor.seats(Protocol::Smtp).turn().await?;
        // With the turn taken: who waited in line for the pace and then for a connection could go with many others. And
        // the server may have asked for a pause meanwhile.
        self.0.governor.pass_pace().await;
        self.0.governor.pass_hold(Protocol::Smtp).await;
        self.0.smtp.lease(turn, |_| true, || self.smtp()).await
    }
}

/// Tells which message it is about, where somebody has to look for it.
fn named(error: Error, message_id: &str) -> Error {
    if error.kind() != ErrorKind::OutcomeUnknown {
        return error;
    }
    let hint = format!(
        "look for the Message-ID <{}> in Sent Items or at the recipient before sending it again; \
         `Mailbox::send_once` does that",
        bare(message_id)
    );
    error.with_hint(hint)
}

fn bare(id: &str) -> &str {
    id.trim().trim_start_matches('<').trim_end_matches('>')
}
