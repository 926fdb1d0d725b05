//! [`Transaction`]: one mail, from MAIL to the server's verdict, in as few flights as the server allows.
//!
//! Commands that may travel together are queued, and what the server will answer is queued beside them; replies are
//! matched to that queue. Whatever arrives while a long message is still going out is looked at between its pieces, so
//! that an early refusal ends the waste and is not lost when the server hangs up behind it.

use std::collections::VecDeque;
use std::time::Duration;

use super::body::{Body, Piece};
use super::command::Opening;
use super::dialogue::Dialogue;
use super::dot::{self, DotStuffer};
use super::reply::Reply;
use super::{Envelope, RecipientResult, RejectedRecipients, SendReport};
use crate::error::{Error, ErrorKind, Layer, Result};
use crate::net::Timeouts;

/// A message is stuffed in steps of this many bytes.
const STUFF_SIZE: usize = 64 * 1024;

/// How a transaction is done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// The server takes commands that travel together (RFC 2920).
    pub(super) pipelining: bool,
    /// The server takes BDAT (RFC 3030).
    pub(super) chunking: bool,
    /// All recipients or none.
    pub(super) all_recipients: bool,
    /// The last transaction did not end well: the server must forget it first.
    pub(super) reset: bool,
}

/// What a reply that is still to come answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Reset,
    Mail,
    Recipient,
    Data,
    /// A part of the message.
    Chunk,
    /// The end of the message.
    Message,
}

#[derive(Debug)]
pub(super) struct Transaction<'a> {
    dialogue: &'a mut Dialogue,
    envelope: &'a Envelope,
    manner: Manner,
    pending: VecDeque<Step>,
    mail: Option<Reply>,
    recipients: Vec<Reply>,
    data: Option<Reply>,
    /// The first chunk that was refused.
    chunk: Option<Reply>,
    verdict: Option<Reply>,
    /// The whole message has gone out, end mark and all.
    is_out: bool,
}

impl<'a> Transaction<'a> {
    pub(super) fn new(dialogue: &'a mut Dialogue, envelope: &'a Envelope, manner: Manner) -> Self {
        Self {
            dialogue,
            envelope,
            manner,
            pending: VecDeque::new(),
            mail: None,
            recipients: Vec::new(),
            data: None,
            chunk: None,
            verdict: None,
            is_out: false,
        }
    }

    /// Sends the mail.
    pub(super) async fn run(mut self, opening: &Opening, body: &mut Body) -> Result<SendReport> {
        let end = self.say(opening, body).await;
        if !self.pending.is_empty() || matches!(&end, Err(error) if error.kind() == ErrorKind::LocalIo) {
            // Replies would be taken for those of the next mail; and a message that is cut short must not be ended.
            self.dialogue.wire.cut();
        }
        match end {
            Err(error) if error.kind() == ErrorKind::LocalIo => Err(error),
            // What the server said counts for more than how the connection ended.
            end => match (self.refusal(), end) {
                (Some(refusal), _) => Err(refusal),
                (None, Ok(())) => self.report(),
                (None, Err(error)) if self.is_out && !is_answer(&error) => Err(unknown(error)),
                (None, Err(error)) => Err(error),
            },
        }
    }

    async fn say(&mut self, opening: &Opening, body: &mut Body) -> Result<()> {
        if self.manner.reset {
            self.command("RSET", Step::Reset).await?;
        }
        self.command(&opening.mail, Step::Mail).await?;
        for line in &opening.rcpt {
            if self.is_hopeless() {
                break;
            }
            self.command(line, Step::Recipient).await?;
        }
        if self.manner.all_recipients {
            self.settle().await?;
        }
        if self.is_hopeless() {
            return self.settle().await;
        }
        match self.manner.chunking {
            true => self.say_chunks(body).await,
            false => self.say_data(body).await,
        }
    }

    /// RFC 3030: the message in chunks, none of which waits for the one before.
    async fn say_chunks(&mut self, body: &mut Body) -> Result<()> {
        loop {
            let Piece { bytes, is_last } = body.next().await?;
            let (last, step) = match is_last {
                true => (" LAST", Step::Message),
                false => ("", Step::Chunk),
            };
            let wire = &mut self.dialogue.wire;
            wire.command(&format!("BDAT {}{last}", bytes.len()))?;
            wire.tap().client(|| format!("[message, {} bytes]", bytes.len()));
            self.pending.push_back(step);
            let sent = self.dialogue.wire.body(&bytes).await;
            self.listen(sent)?;
            if is_last {
                let sent = self.dialogue.wire.flush().await;
                self.listen(sent)?;
                self.is_out = true;
                return self.settle().await;
            }
            if !self.manner.pipelining {
                self.settle().await?;
            }
            if self.is_hopeless() {
                return self.settle().await;
            }
        }
    }

    /// RFC 5321 §4.1.1.4: the message behind a 354, with dots doubled and a lone dot at its end.
    async fn say_data(&mut self, body: &mut Body) -> Result<()> {
        self.command("DATA", Step::Data).await?;
        self.settle().await?;
        if !self.data.as_ref().is_some_and(Reply::is_intermediate) {
            return Ok(());
        }
        if self.is_hopeless() {
            // RFC 2920 §3.1: some servers say 354 although they have no recipient; an empty message ends that.
            self.pending.push_back(Step::Message);
            self.dialogue.wire.body(dot::END).await?;
            return self.settle().await;
        }
        self.pending.push_back(Step::Message);
        let (mut stuffer, mut stuffed, mut total) = (DotStuffer::default(), Vec::new(), 0);
        loop {
            let Piece { bytes, is_last } = body.next().await?;
            total += bytes.len();
            for part in bytes.chunks(STUFF_SIZE) {
                stuffed.clear();
                stuffer.push(part, &mut stuffed);
                let sent = self.dialogue.wire.body(&stuffed).await;
                self.listen(sent)?;
                if let Some(early) = self.verdict.take() {
                    return Err(self.early(early));
                }
            }
            if is_last {
                break;
            }
        }
        self.dialogue
            .wire
            .tap()
            .client(|| format!("[message, {total} bytes]"));
        let sent = async {
            self.dialogue.wire.body(dot::END).await?;
            self.dialogue.wire.flush().await
        }
        .await;
        self.listen(sent)?;
        self.is_out = true;
        self.settle().await
    }

    /// A reply to a message that has not ended. No dot may follow: the message would count as whole.
    fn early(&mut self, reply: Reply) -> Error {
        if reply.is_positive() {
            return self.dialogue.out_of_step("DATA", &reply);
        }
        self.dialogue.wire.cut();
        self.dialogue.refusal("DATA", ErrorKind::Rejected, &reply)
    }

    async fn command(&mut self, line: &str, step: Step) -> Result<()> {
        self.dialogue.wire.command(line)?;
        self.pending.push_back(step);
        match self.manner.pipelining {
            true => Ok(()),
            false => self.settle().await,
        }
    }

    /// Waits for every reply that is still to come.
    async fn settle(&mut self) -> Result<()> {
        while let Some(&step) = self.pending.front() {
            let limit = step.limit(self.dialogue.wire.timeouts());
            let reply = self
                .dialogue
                .reply(step.operation(self.manner.chunking), limit)
                .await?;
            self.pending.pop_front();
            self.note(step, reply)?;
        }
        Ok(())
    }

    /// Takes the replies that have arrived meanwhile; `sent` is how the writing went. When it failed, the server's last
    /// words are among them.
    fn listen(&mut self, sent: Result<()>) -> Result<()> {
        while let Some(&step) = self.pending.front() {
            let operation = step.operation(self.manner.chunking);
            let Some(reply) = self.dialogue.reply_if_here(operation)? else {
                break;
            };
            self.pending.pop_front();
            self.note(step, reply)?;
        }
        sent.map_err(|error| error.with_operation(if self.manner.chunking { "BDAT" } else { "DATA" }))
    }

    fn note(&mut self, step: Step, reply: Reply) -> Result<()> {
        // 354 answers DATA and nothing else; 2xx answers everything else.
        let fits = match step {
            Step::Data => !reply.is_positive(),
            _ => !reply.is_intermediate(),
        };
        if !fits || reply.code < 200 {
            return Err(self
                .dialogue
                .out_of_step(step.operation(self.manner.chunking), &reply));
        }
        match step {
            Step::Reset if reply.is_positive() => {}
            Step::Reset => {
                self.dialogue.wire.cut();
                return Err(self.dialogue.refusal("RSET", ErrorKind::Rejected, &reply));
            }
            Step::Mail => self.mail = Some(reply),
            Step::Recipient => self.recipients.push(reply),
            Step::Data => self.data = Some(reply),
            Step::Chunk if reply.is_positive() => {}
            Step::Chunk => self.chunk = self.chunk.take().or(Some(reply)),
            Step::Message => self.verdict = Some(reply),
        }
        Ok(())
    }

    /// Whether it is known that the mail will not be sent.
    fn is_hopeless(&self) -> bool {
        self.mail.as_ref().is_some_and(|reply| !reply.is_positive())
            || self.recipients_are_refused()
            || self.chunk.is_some()
    }

    /// Whether too few recipients are accepted, of those whose replies are here.
    fn recipients_are_refused(&self) -> bool {
        let is_known = self.recipients.len() == self.envelope.to().len();
        let mut refused = self.recipients.iter().map(|reply| !reply.is_positive());
        match self.manner.all_recipients {
            true => is_known && refused.any(|refused| refused),
            false => is_known && refused.all(|refused| refused),
        }
    }

    /// The refusal that explains all later ones.
    fn refusal(&self) -> Option<Error> {
        let refuse = |operation, reply: &Reply| self.dialogue.refusal(operation, ErrorKind::Rejected, reply);
        if let Some(reply) = self.mail.as_ref().filter(|reply| !reply.is_positive()) {
            return Some(refuse("MAIL FROM", reply));
        }
        if self.recipients_are_refused() {
            return self.recipients_refusal();
        }
        if let Some(reply) = self.data.as_ref().filter(|reply| !reply.is_intermediate()) {
            return Some(refuse("DATA", reply));
        }
        let verdict = self.verdict.as_ref().filter(|reply| !reply.is_positive());
        let operation = Step::Message.operation(self.manner.chunking);
        Some(refuse(operation, self.chunk.as_ref().or(verdict)?))
    }

    fn recipients_refusal(&self) -> Option<Error> {
        let refused = || self.recipients.iter().filter(|reply| !reply.is_positive());
        // Whether to try again hangs on the one that lasts where all are demanded, and else on the one that passes.
        let telling = refused().find(|reply| reply.is_transient() != self.manner.all_recipients);
        let reply = telling.or_else(|| refused().next())?;
        let server = reply.to_server(|text| self.dialogue.wire.tap().scrub(text));
        let error = crate::doctor::refusal(Layer::Smtp, "RCPT TO", ErrorKind::RecipientsRejected, server);
        Some(error.with_source(RejectedRecipients {
            recipients: self.results(),
        }))
    }

    fn results(&self) -> Vec<RecipientResult> {
        self.envelope
            .to()
            .iter()
            .zip(&self.recipients)
            .map(|(address, reply)| RecipientResult {
                address: address.clone(),
                accepted: reply.is_positive(),
                reply: reply.to_server(|text| self.dialogue.wire.tap().scrub(text)),
            })
            .collect()
    }

    fn report(&self) -> Result<SendReport> {
        let verdict = self.verdict.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::Internal, "send", "the mail ended without a verdict")
                .with_layer(Layer::Smtp)
        })?;
        let reply = verdict.to_server(|text| self.dialogue.wire.tap().scrub(text));
        Ok(SendReport::new(self.results(), reply))
    }
}

impl Step {
    fn operation(self, chunking: bool) -> &'static str {
        match self {
            Step::Reset => "RSET",
            Step::Mail => "MAIL FROM",
            Step::Recipient => "RCPT TO",
            Step::Chunk => "BDAT",
            Step::Message if chunking => "BDAT",
            Step::Data | Step::Message => "DATA",
        }
    }

    fn limit(self, timeouts: &Timeouts) -> Duration {
        match self {
            Step::Message | Step::Chunk => timeouts.message,
            Step::Reset | Step::Mail | Step::Recipient | Step::Data => timeouts.step,
        }
    }
}

/// Whether the error is the server's own word on the mail: a 421. One that breaks the protocol says nothing of it.
fn is_answer(error: &Error) -> bool {
    error.server().is_some() && error.kind() != ErrorKind::Protocol
}

fn unknown(cause: Error) -> Error {
    Error::new(
        ErrorKind::OutcomeUnknown,
        cause.operation().to_owned(),
        format!(
            "the message had gone out, and the server's answer did not come ({}): it may or may not have been sent",
            cause.detail()
        ),
    )
    .with_layer(Layer::Smtp)
    .with_hint("look for its Message-ID in Sent Items or at the recipient before sending it again")
    .with_source(cause)
}
