//! One attempt at one message: sending it, or looking for it among the sent items; and writing down what came of it.

use std::error::Error as _;
use std::io::SeekFrom;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use super::clock::{Clock, since};
use super::entry::{Damaged, Entry, Reason, State};
use super::file::{Message, Record, Refused, Tried};
use super::id::OutboxId;
use super::judge::{Judgement, RetryPolicy};
use super::sent_items;
use super::spool::{Loaded, Spool, blocking, failed};
use crate::error::{Error, ErrorKind, Layer, Result, Retry};
use crate::mailbox::Mailbox;
use crate::message::RawMessage;
use crate::smtp::{Envelope, RecipientResult, RejectedRecipients, SendReport};

/// What an attempt needs.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) spool: Spool,
    pub(super) mailbox: Mailbox,
    pub(super) policy: RetryPolicy,
    pub(super) clock: Clock,
    pub(super) id: OutboxId,
    /// Failures in a row of the mailbox, so far.
    pub(super) failures: u32,
}

/// What came of it. An outer error is the disk's.
#[derive(Debug)]
pub(super) enum Outcome {
    /// How the message stands, and the error that it met.
    Settled(Box<Entry>, Option<Error>),
    /// The look at the sent items failed, or told nothing: the message stays as it is.
    Unsettled(Option<Error>),
    Damaged(Option<Damaged>),
    /// Somebody took it away meanwhile.
    Gone,
}

impl Attempt {
    /// Sends a message that waits.
    pub(super) async fn send(self) -> Result<Outcome> {
        let message = match self.load(State::Queued).await? {
            Ok(message) => message,
            Err(outcome) => return Ok(outcome),
        };
        let pending = message.pending();
        let is_out = Arc::new(AtomicBool::new(false));
        let result = match pending.is_empty() {
            // Where a crash came between the last verdict and the move.
            true => None,
            false => Some(self.transmit(&message, pending, is_out.clone()).await),
        };
        let from = match is_out.load(Ordering::SeqCst) {
            true => State::Sending,
            false => State::Queued,
        };
        let all = message.head.options.all_recipients;
        match result {
            None => self.conclude(message, from, Tried::default(), None).await,
            Some(Ok(SendReport { recipients, .. })) => {
                let refused = recipients.iter().find(|result| !result.accepted).map(refusal);
                self.sort(message, from, &recipients, refused).await
            }
            Some(Err(error)) if error.kind() == ErrorKind::OutcomeUnknown => {
                let record = Record::Unknown { at: self.now() };
                self.write(message, from, State::Unknown, record, Some(error))
                    .await
            }
            Some(Err(error)) => {
                let rejected: Option<&RejectedRecipients> =
                    error.source().and_then(|source| source.downcast_ref());
                match rejected.map(|rejected| rejected.recipients.clone()) {
                    Some(recipients) if !all => {
                        let refused = recipients.into_iter().filter(|result| !result.accepted);
                        let refused: Vec<_> = refused.collect();
                        self.sort(message, from, &refused, Some(error)).await
                    }
                    _ => self.conclude(message, from, Tried::default(), Some(error)).await,
                }
            }
        }
    }

    async fn transmit(
        &self,
        message: &Message,
        pending: Vec<String>,
        is_out: Arc<AtomicBool>,
    ) -> Result<SendReport> {
        let envelope = Envelope::new(message.head.from.clone(), pending)?;
        let path = self.spool.path(State::Queued, &message.id);
        let unreadable = |error| failed("open message", &path, error);
        let mut file = tokio::fs::File::open(&path).await.map_err(unreadable)?;
        file.seek(SeekFrom::Start(message.body_at))
            .await
            .map_err(unreadable)?;
        let reader = file.take(message.body_len);
        let (spool, id, at) = (self.spool.clone(), message.id.clone(), self.clock.clone());
        // From here on the message may be delivered whatever happens to this process: that must be on the disk first.
        let before_end = move || -> futures_util::future::BoxFuture<'static, Result<()>> {
            Box::pin(blocking(move || {
                spool.append(State::Queued, &id, &Record::Going { at: at.now() })?;
                if !spool.shift(&id, State::Queued, State::Sending)? {
                    return Err(Error::new(
                        ErrorKind::LocalIo,
                        "send",
                        "the message was taken out of the outbox while it was being sent",
                    ));
                }
                is_out.store(true, Ordering::SeqCst);
                Ok(())
            }))
        };
        let raw =
            RawMessage::from_reader(reader, Some(message.body_len)).with_before_end(Box::new(before_end));
        self.mailbox.send_raw(&envelope, raw, &message.head.options).await
    }

    /// Looks for a message of unknown outcome.
    pub(super) async fn check(self) -> Result<Outcome> {
        let message = match self.load(State::Unknown).await? {
            Ok(message) => message,
            Err(outcome) => return Ok(outcome),
        };
        let copies = match sent_items::copies(&self.mailbox, &message.head.message_id).await {
            Ok(copies) => copies,
            Err(error) => return Ok(Outcome::Unsettled(Some(error))),
        };
        let at = self.now();
        if copies > message.history.copies {
            let found = Tried {
                at,
                delivered: message.pending(),
                ..Tried::default()
            };
            return self.conclude(message, State::Unknown, found, None).await;
        }
        match message.history.copies {
            0 => {
                self.write(
                    message,
                    State::Unknown,
                    State::Queued,
                    Record::Missing { at },
                    None,
                )
                .await
            }
            // A copy for other recipients is there, and servers may keep just one.
            _ => Ok(Outcome::Unsettled(None)),
        }
    }

    /// Parts recipients into those who have it, those who never will, and those who are tried again. `recipients` are
    /// those with a verdict; `error` is why some have it not.
    async fn sort(
        &self,
        message: Message,
        from: State,
        recipients: &[RecipientResult],
        error: Option<Error>,
    ) -> Result<Outcome> {
        let mut tried = Tried::default();
        let mut passing = None;
        for result in recipients {
            if result.accepted {
                tried.delivered.push(result.address.clone());
                continue;
            }
            let verdict = refusal(result);
            match verdict.retry() {
                Retry::Never => tried.refused.push(refused(result)),
                _ => passing = Some(verdict),
            }
        }
        // Whether it is tried again hangs on the refusal that may pass.
        self.conclude(message, from, tried, passing.or(error)).await
    }

    /// Decides where the message goes with these verdicts and this error, and writes it down.
    async fn conclude(
        &self,
        message: Message,
        from: State,
        mut tried: Tried,
        error: Option<Error>,
    ) -> Result<Outcome> {
        tried.at = self.now();
        tried.reason = error.as_ref().map(Reason::new);
        let mut after = message.clone();
        after.history.note(Record::Tried(Box::new(tried.clone())));
        let pending = after.pending();
        let to = match (&error, pending.is_empty()) {
            (_, true) if after.history.refused.is_empty() => State::Sent,
            (_, true) => State::Dead,
            (None, false) => {
                // The server took the message and passed no verdict on some: the session makes sure that it does.
                let detail = "the server passed no verdict on some recipients";
                tried.reason = Some(Reason::new(&Error::new(ErrorKind::Protocol, "send", detail)));
                State::Dead
            }
            (Some(error), false) => {
                let tries = after.history.attempts.max(self.failures.saturating_add(1));
                let age = since(message.since(), tried.at);
                match self.policy.judge(error, tries, age, rand::random()) {
                    Judgement::Later(pause) => {
                        tried.next = Some(later(tried.at, pause));
                        State::Queued
                    }
                    Judgement::Never => State::Dead,
                    Judgement::TooOld => {
                        if let Some(reason) = &mut tried.reason {
                            let days = self.policy.max_age.as_secs_f64() / 86_400.0;
                            reason.text = format!("given up after {days:.1} days: {}", reason.text);
                        }
                        State::Dead
                    }
                }
            }
        };
        self.write(message, from, to, Record::Tried(Box::new(tried)), error)
            .await
    }

    /// Writes down what happened, and moves the message.
    async fn write(
        &self,
        mut message: Message,
        from: State,
        to: State,
        record: Record,
        error: Option<Error>,
    ) -> Result<Outcome> {
        let spool = self.spool.clone();
        blocking(move || {
            if to == State::Sent {
                // The move alone says it; what is written afterwards is for people.
                if !spool.shift(&message.id, from, to)? {
                    return Ok(Outcome::Gone);
                }
                spool.slim(&message, &record)?;
            } else {
                spool.append(from, &message.id, &record)?;
                if from != to && !spool.shift(&message.id, from, to)? {
                    return Ok(Outcome::Gone);
                }
            }
            message.history.note(record);
            Ok(Outcome::Settled(Box::new(message.entry(to)), error))
        })
        .await
    }

    async fn load(&self, state: State) -> Result<Result<Message, Outcome>> {
        let (spool, id) = (self.spool.clone(), self.id.clone());
        blocking(move || match spool.load(state, &id)? {
            Loaded::Message(message) => Ok(Ok(*message)),
            Loaded::Gone => Ok(Err(Outcome::Gone)),
            Loaded::Damaged(damage) => Ok(Err(Outcome::Damaged(spool.set_aside(
                state,
                id.as_str().as_ref(),
                &damage,
            )?))),
        })
        .await
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// The refusal of a recipient as an error, which tells whether it may pass.
fn refusal(result: &RecipientResult) -> Error {
    crate::doctor::refusal(
        Layer::Smtp,
        "RCPT TO",
        ErrorKind::RecipientsRejected,
        result.reply.clone(),
    )
}

fn refused(result: &RecipientResult) -> Refused {
    Refused {
        address: result.address.clone(),
        reply: result.reply.text.clone(),
    }
}

/// A point in time this much later.
pub(super) fn later(at: Timestamp, pause: Duration) -> Timestamp {
    at.checked_add(pause).unwrap_or(Timestamp::MAX)
}
