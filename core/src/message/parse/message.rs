//! [`Message`]: a message that was read.

use std::fmt;

use bytes::Bytes;
use jiff::Timestamp;
use mail_parser::decoders::html::html_to_text;

use super::field::{self, Header};
use super::part::AttachmentView;
use super::split::{Part, Structure, split};
use super::transfer;
use crate::error::{Error, ErrorKind, Layer, Result};
use crate::message::{Address, AddressGroup};

/// A message that was read. It keeps the raw bytes and where things are in them; fields and parts are decoded when
/// they are asked for. Clones share the bytes.
///
/// Nothing in a message is an error: what is broken is read as far as it goes.
///
/// ```
/// use exomail::message::Message;
///
/// let raw = "From: =?utf-8?q?J=C3=B6rg?= <joerg@example.com>\r\nSubject: Hello\r\n\r\nHow are you?\r\n";
/// let message = Message::parse(raw)?;
/// assert_eq!(message.from()[0].name.as_deref(), Some("Jörg"));
/// assert_eq!(message.text().as_deref(), Some("How are you?\r\n"));
/// # Ok::<(), exomail::Error>(())
/// ```
#[derive(Clone)]
pub struct Message {
    raw: Bytes,
    structure: Structure,
}

/// What a leaf is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Text,
    Html,
    Attachment,
}

impl Message {
    /// Reads a message. Bytes are shared, not copied.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidMessage`] when there is nothing at all.
    pub fn parse(bytes: impl Into<Bytes>) -> Result<Self> {
        let raw: Bytes = bytes.into();
        if raw.is_empty() {
            return Err(
                Error::new(ErrorKind::InvalidMessage, "parse", "the message is empty")
                    .with_layer(Layer::Message),
            );
        }
        Ok(Self {
            structure: split(&raw),
            raw,
        })
    }

    /// The message as it came.
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// Whether something was left unread: nesting deeper than 64 multiparts, or more than 10,000 parts.
    pub fn is_truncated(&self) -> bool {
        self.structure.truncated
    }

    /// Every header field in the message's order.
    pub fn headers(&self) -> impl Iterator<Item = Header> + '_ {
        let fields = self
            .structure
            .parts
            .first()
            .into_iter()
            .flat_map(|part| part.fields.iter());
        fields.filter_map(|field| {
            Some(Header {
                name: String::from_utf8_lossy(self.raw.get(field.name.clone())?).into_owned(),
                value: field::text(self.raw.get(field.value.clone())?),
            })
        })
    }

    /// The first field of this name, decoded. Names are compared without case.
    pub fn header(&self, name: &str) -> Option<String> {
        self.values(name).next().map(field::text)
    }

    /// Every field of this name, decoded, in the message's order.
    pub fn header_all(&self, name: &str) -> Vec<String> {
        self.values(name).map(field::text).collect()
    }

    /// The subject.
    pub fn subject(&self) -> Option<String> {
        self.header("Subject")
    }

    /// The authors.
    pub fn from(&self) -> Vec<Address> {
        self.addresses("From")
    }

    /// Who sent it for the authors.
    pub fn sender(&self) -> Option<Address> {
        self.addresses("Sender").into_iter().next()
    }

    /// Where answers should go.
    pub fn reply_to(&self) -> Vec<Address> {
        self.addresses("Reply-To")
    }

    /// The main recipients, those in groups among them.
    pub fn to(&self) -> Vec<Address> {
        self.addresses("To")
    }

    /// The other recipients.
    pub fn cc(&self) -> Vec<Address> {
        self.addresses("Cc")
    }

    /// The hidden recipients; there are none but in drafts and sent items.
    pub fn bcc(&self) -> Vec<Address> {
        self.addresses("Bcc")
    }

    /// The addresses of every field of this name, without their groups.
    pub fn addresses(&self, name: &str) -> Vec<Address> {
        self.address_groups(name)
            .into_iter()
            .flat_map(|group| group.addresses)
            .collect()
    }

    /// The addresses of every field of this name, in their groups.
    pub fn address_groups(&self, name: &str) -> Vec<AddressGroup> {
        self.values(name).flat_map(field::groups).collect()
    }

    /// When it was written, by its author's clock.
    pub fn date(&self) -> Option<Timestamp> {
        self.values("Date").find_map(field::date)
    }

    /// The Message-ID without angle brackets.
    pub fn message_id(&self) -> Option<String> {
        self.values("Message-ID")
            .find_map(|value| field::ids(value).into_iter().next())
    }

    /// Which messages it answers: ids without angle brackets.
    pub fn in_reply_to(&self) -> Vec<String> {
        self.values("In-Reply-To").flat_map(field::ids).collect()
    }

    /// The thread it belongs to, oldest first: ids without angle brackets.
    pub fn references(&self) -> Vec<String> {
        self.values("References").flat_map(field::ids).collect()
    }

    /// The text/plain body; where there are several, joined by a line end. `None` where there is only HTML.
    pub fn text(&self) -> Option<String> {
        self.bodies(Role::Text)
    }

    /// The text/html body; where there are several, one after the other.
    pub fn html(&self) -> Option<String> {
        self.bodies(Role::Html)
    }

    /// The body for people to read: [`text`](Self::text), or else [`html`](Self::html) without its tags.
    pub fn readable(&self) -> Option<String> {
        self.text()
            .or_else(|| self.html().map(|html| html_to_text(&html)))
    }

    /// Everything that is neither text nor HTML body: attachments, inline images, attached messages.
    pub fn attachments(&self) -> impl Iterator<Item = AttachmentView<'_>> {
        self.leaves()
            .filter(|part| self.role(part) == Role::Attachment)
            .map(|part| AttachmentView {
                raw: &self.raw,
                part,
                related: self.is_in(part, "multipart/related"),
            })
    }

    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.structure
            .parts
            .first()
            .into_iter()
            .flat_map(move |part| part.fields.values(&self.raw, name))
    }

    fn leaves(&self) -> impl Iterator<Item = &Part> {
        self.structure.parts.iter().filter(|part| part.children == 0)
    }

    fn parent(&self, part: &Part) -> Option<&Part> {
        self.structure.parts.get(part.parent?)
    }

    fn is_in(&self, part: &Part, multipart: &str) -> bool {
        self.parent(part)
            .is_some_and(|parent| parent.content_type.value == multipart)
    }

    fn role(&self, part: &Part) -> Role {
        let role = match part.content_type.value.as_str() {
            "text/plain" | "text" => Role::Text,
            "text/html" => Role::Html,
            // A multipart in which no part was found is read as the text that it is, if there is nothing else.
            kind if kind.starts_with("multipart/") && part.parent.is_none() => Role::Text,
            _ => return Role::Attachment,
        };
        let view = AttachmentView {
            raw: &self.raw,
            part,
            related: false,
        };
        let disposition = view.disposition();
        let attached = disposition
            .as_ref()
            .is_some_and(|disposition| disposition.value == "attachment");
        let named = disposition
            .as_ref()
            .is_none_or(|disposition| disposition.value != "inline")
            && view.name().is_some()
            && part.parent.is_some();
        // RFC 2387: the root is the first, the others belong to it.
        let belongs = part.position > 0 && self.is_in(part, "multipart/related");
        if attached || named || belongs {
            Role::Attachment
        } else {
            role
        }
    }

    fn bodies(&self, role: Role) -> Option<String> {
        let bodies = self.leaves().filter(|part| self.role(part) == role).map(|part| {
            let view = AttachmentView {
                raw: &self.raw,
                part,
                related: false,
            };
            transfer::text(part.content_type.parameter("charset"), &view.bytes())
        });
        bodies.reduce(|mut all, next| {
            if !all.ends_with('\n') {
                all.push('\n');
            }
            all + &next
        })
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("message_id", &self.message_id())
            .field("size", &self.raw.len())
            .field("parts", &self.structure.parts.len())
            .finish()
    }
}
