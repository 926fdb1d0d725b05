//! [`OutgoingMessageBuilder`]: what a message is made of. Everything is checked by `build`.

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use jiff::tz::TimeZone;

use super::attachment::Attachment;
use super::check::{self, invalid};
use super::encode;
use super::mime::{Node, write};
use super::outgoing::{OutgoingMessage, new_id};
use crate::error::Result;
use crate::message::{Address, Message};
use crate::smtp::Envelope;

/// Ids kept in References: the first and the latest. Long threads would make lines that servers refuse.
const MAX_REFERENCES: usize = 50;

/// What a message is made of; see [`OutgoingMessage::builder`].
#[derive(Clone, Debug, Default)]
#[must_use = "nothing is made until `build` is called"]
pub struct OutgoingMessageBuilder {
    from: Vec<Address>,
    sender: Option<Address>,
    to: Vec<Address>,
    cc: Vec<Address>,
    bcc: Vec<Address>,
    reply_to: Vec<Address>,
    subject: Option<String>,
    text: Option<String>,
    html: Option<String>,
    attachments: Vec<Attachment>,
    inline: Vec<(String, Attachment)>,
    forwarded: Vec<Message>,
    headers: Vec<(String, String)>,
    message_id: Option<String>,
    date: Option<Timestamp>,
    in_reply_to: Vec<String>,
    references: Vec<String>,
    /// Where an answer goes unless the caller names recipients.
    answer_to: Vec<Address>,
    /// The author unless the caller names one.
    derived_from: Option<Address>,
    /// The subject unless the caller gives one.
    derived_subject: Option<String>,
}

impl OutgoingMessageBuilder {
    /// Adds an author. Exchange takes the mailbox's own address, or one that it may send as.
    pub fn from(mut self, address: impl Into<Address>) -> Self {
        self.from.push(address.into());
        self
    }

    /// The author unless the caller names one.
    pub(crate) fn default_from(mut self, address: &str) -> Self {
        self.derived_from = Some(Address::from(address));
        self
    }

    /// Sets who sends for the authors; needed where there are several (RFC 5322 §3.6.2).
    pub fn sender(mut self, address: impl Into<Address>) -> Self {
        self.sender = Some(address.into());
        self
    }

    /// Adds a main recipient.
    pub fn to(mut self, address: impl Into<Address>) -> Self {
        self.to.push(address.into());
        self
    }

    /// Adds another recipient.
    pub fn cc(mut self, address: impl Into<Address>) -> Self {
        self.cc.push(address.into());
        self
    }

    /// Adds a hidden recipient: in the envelope only, never in a header.
    pub fn bcc(mut self, address: impl Into<Address>) -> Self {
        self.bcc.push(address.into());
        self
    }

    /// Adds an address to which answers should go.
    pub fn reply_to(mut self, address: impl Into<Address>) -> Self {
        self.reply_to.push(address.into());
        self
    }

    /// Sets the subject.
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// Sets the text body. With [`html`](Self::html) too, the reader's program chooses.
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// Sets the HTML body.
    pub fn html(mut self, html: impl Into<String>) -> Self {
        self.html = Some(html.into());
        self
    }

    /// Adds an attachment.
    pub fn attach(mut self, attachment: Attachment) -> Self {
        self.attachments.push(attachment);
        self
    }

    /// Adds an image that the HTML body shows by `<img src="cid:…">`.
    pub fn inline(mut self, content_id: impl Into<String>, attachment: Attachment) -> Self {
        self.inline.push((content_id.into(), attachment));
        self
    }

    /// Adds a header field of one's own, such as `X-Priority` or `List-Unsubscribe`. Those that have a method here, and
    /// those of MIME, are refused.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Makes this an answer: In-Reply-To, References, and unless they are given, `Re:` with the subject and the
    /// original's Reply-To or From as recipient.
    pub fn reply_to_message(mut self, original: &Message) -> Self {
        // RFC 5322 §3.6.4. What others wrote goes out only if it is an id.
        let valid = |ids: Vec<String>| ids.into_iter().filter(|id| check::is_id(id));
        self.in_reply_to = valid(original.message_id().into_iter().collect()).collect();
        let parents = match original.references() {
            none if none.is_empty() => original.in_reply_to(),
            references => references,
        };
        self.references = valid(parents).chain(self.in_reply_to.iter().cloned()).collect();
        if self.references.len() > MAX_REFERENCES {
            let surplus = self.references.len() - MAX_REFERENCES;
            self.references.drain(1..=surplus);
        }
        let reply_to = original.reply_to();
        self.answer_to = if reply_to.is_empty() {
            original.from()
        } else {
            reply_to
        };
        self.derived_subject = Some(prefixed("Re:", &["re:", "aw:", "sv:", "antw:"], original));
        self
    }

    /// Attaches a whole message, and unless it is given, sets `Fwd:` with its subject.
    pub fn forward(mut self, original: &Message) -> Self {
        self.derived_subject = Some(prefixed("Fwd:", &["fwd:", "fw:", "wg:"], original));
        self.forwarded.push(original.clone());
        self
    }

    /// Sets the Message-ID, with or without angle brackets. Without it a new one is made in the sender's domain.
    pub fn message_id(mut self, id: impl Into<String>) -> Self {
        self.message_id = Some(id.into());
        self
    }

    /// Sets the date. Without it, it is now.
    pub fn date(mut self, date: Timestamp) -> Self {
        self.date = Some(date);
        self
    }

    /// Checks everything and makes the message. Files are looked at, not read.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidMessage`](crate::ErrorKind::InvalidMessage) with the method's name as operation: no author or
    /// recipient, several authors without a sender, an address that is none, a control character in a header, a header
    /// that can't be set, a media type that is none, an inline image without HTML.
    /// [`ErrorKind::LocalIo`](crate::ErrorKind::LocalIo) when a file is not there.
    pub fn build(mut self) -> Result<OutgoingMessage> {
        if self.to.is_empty() && self.cc.is_empty() && self.bcc.is_empty() {
            self.to = std::mem::take(&mut self.answer_to)
                .into_iter()
                .filter_map(clean)
                .collect();
        }
        if self.from.is_empty() {
            self.from.extend(self.derived_from.take());
        }
        let checked = |operation: &'static str, list: &[Address]| -> Result<Vec<Address>> {
            list.iter()
                .map(|address| check::address(operation, address))
                .collect()
        };
        let from = checked("from", &self.from)?;
        let sender = self
            .sender
            .as_ref()
            .map(|address| check::address("sender", address))
            .transpose()?;
        let (to, cc) = (checked("to", &self.to)?, checked("cc", &self.cc)?);
        let (bcc, reply_to) = (checked("bcc", &self.bcc)?, checked("reply_to", &self.reply_to)?);
        let author = match (&sender, from.as_slice()) {
            (_, []) => return Err(invalid("from", "the message has no author")),
            (Some(sender), _) => sender,
            (None, [author]) => author,
            (None, _) => {
                return Err(invalid("sender", "several authors need a sender")
                    .with_hint("name the mailbox that sends with sender()"));
            }
        };
        let envelope = envelope(author, [&to, &cc, &bcc])?;
        let message_id = match &self.message_id {
            Some(id) => check::id("message_id", id)?.to_owned(),
            None => new_id(&author.email),
        };

        let mut header = date(self.date.unwrap_or_else(Timestamp::now));
        header += &encode::addresses("From", &from);
        if let Some(sender) = &sender {
            header += &encode::addresses("Sender", std::slice::from_ref(sender));
        }
        for (name, list) in [("Reply-To", &reply_to), ("To", &to), ("Cc", &cc)] {
            if !list.is_empty() {
                header += &encode::addresses(name, list);
            }
        }
        if let Some(subject) = &self.subject {
            check::text("subject", subject)?;
        }
        if let Some(subject) = self.subject.as_ref().or(self.derived_subject.as_ref()) {
            header += &encode::unstructured("Subject", subject);
        }
        header += &encode::ids("Message-ID", [message_id.as_str()]);
        for (name, ids) in [
            ("In-Reply-To", &self.in_reply_to),
            ("References", &self.references),
        ] {
            if !ids.is_empty() {
                header += &encode::ids(name, ids.iter().map(String::as_str));
            }
        }
        for (name, value) in &self.headers {
            check::header(name, value)?;
            header += &encode::unstructured(name, value);
        }
        let segments = write(header, &self.tree()?, &message_id)?;
        Ok(OutgoingMessage {
            envelope,
            message_id,
            segments,
        })
    }

    /// mixed(alternative(text, related(html, inline…)), attachment…), without the levels that have one part.
    fn tree(self) -> Result<Node> {
        let attachment = |attachment: Attachment, content_id: Option<String>| {
            check::text("attachment", &attachment.name)?;
            check::content_type(&attachment.content_type)?;
            Ok(Node::Attachment {
                attachment,
                content_id,
            })
        };
        let html = match (self.html, self.inline) {
            (None, inline) if !inline.is_empty() => {
                return Err(invalid("inline", "inline images need an HTML body")
                    .with_hint("set html(), or use attach()"));
            }
            (None, _) => None,
            (Some(html), inline) => {
                let mut parts = vec![Node::text("html", &html)];
                for (id, image) in inline {
                    let id = check::id("inline", &id)?.to_owned();
                    parts.push(attachment(image, Some(id))?);
                }
                Some(join("related", parts))
            }
        };
        let body = match (self.text, html) {
            (Some(text), Some(html)) => join("alternative", vec![Node::text("plain", &text), html]),
            (None, Some(html)) => html,
            (text, None) => Node::text("plain", text.as_deref().unwrap_or_default()),
        };
        let mut parts = vec![body];
        for file in self.attachments {
            parts.push(attachment(file, None)?);
        }
        parts.extend(self.forwarded.iter().map(|message| Node::message(message.raw())));
        Ok(join("mixed", parts))
    }
}

fn join(subtype: &'static str, mut parts: Vec<Node>) -> Node {
    match parts.len() {
        1 => parts.remove(0),
        _ => Node::Multi { subtype, parts },
    }
}

/// The recipients in order, each once.
fn envelope(author: &Address, lists: [&Vec<Address>; 3]) -> Result<Envelope> {
    let mut recipients: Vec<String> = Vec::new();
    for address in lists.into_iter().flatten() {
        if !recipients
            .iter()
            .any(|known| known.eq_ignore_ascii_case(&address.email))
        {
            recipients.push(address.email.clone());
        }
    }
    if recipients.is_empty() {
        return Err(invalid("to", "the message has no recipient"));
    }
    Envelope::new(Some(author.email.clone()), recipients)
}

fn date(at: Timestamp) -> String {
    let date = DateTimePrinter::new().zoned_to_string(&at.to_zoned(TimeZone::UTC));
    // Years beyond four digits, which the format does not know, are no dates of mail.
    format!(
        "Date: {}\r\n",
        date.unwrap_or_else(|_| "Thu, 1 Jan 1970 00:00:00 +0000".to_owned())
    )
}

/// The subject behind a prefix, once.
fn prefixed(prefix: &str, known: &[&str], original: &Message) -> String {
    let subject = tame(&original.subject().unwrap_or_default());
    let lower = subject.to_lowercase();
    if known.iter().any(|known| lower.starts_with(known)) {
        subject
    } else {
        format!("{prefix} {subject}").trim_end().to_owned()
    }
}

/// What others wrote must not make an answer impossible: control characters become blanks.
fn tame(text: &str) -> String {
    text.trim().replace(char::is_control, " ")
}

/// An address that others wrote; `None` where they wrote only a name.
fn clean(address: Address) -> Option<Address> {
    let name = address
        .name
        .map(|name| tame(&name))
        .filter(|name| !name.is_empty());
    (!address.email.is_empty()).then_some(Address {
        name,
        email: address.email,
    })
}
