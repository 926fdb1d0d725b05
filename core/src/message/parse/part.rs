//! [`AttachmentView`]: one attachment of a message that was read.

use std::fmt;

use bytes::Bytes;

use super::field::{self, Parameterized};
use super::message::Message;
use super::split::Part;
use super::{file_name, transfer};

/// An attachment, inline image or attached message.
#[derive(Clone, Copy)]
pub struct AttachmentView<'a> {
    pub(super) raw: &'a Bytes,
    pub(super) part: &'a Part,
    /// It belongs to an HTML body.
    pub(super) related: bool,
}

impl AttachmentView<'_> {
    /// The name that the sender gave, decoded, as it came. It may hold anything: for writing to disk there is
    /// [`file_name`](Self::file_name).
    pub fn name(&self) -> Option<String> {
        let disposition = self.disposition();
        let name = disposition
            .as_ref()
            .and_then(|disposition| disposition.parameter("filename"));
        let name = name.or_else(|| self.part.content_type.parameter("name"))?;
        (!name.is_empty()).then(|| name.to_owned())
    }

    /// A name that is safe to write to in any folder: no separators, control or invisible characters, no reserved
    /// names, at most 200 bytes, never empty.
    pub fn file_name(&self) -> String {
        match self.name() {
            Some(name) => file_name::sanitise(&name),
            None if self.is_message() => "message.eml".to_owned(),
            None => "attachment".to_owned(),
        }
    }

    /// The media type in lower case, such as `application/pdf`.
    pub fn content_type(&self) -> &str {
        &self.part.content_type.value
    }

    /// Whether it is shown within the body instead of beside it.
    pub fn is_inline(&self) -> bool {
        match self.disposition() {
            Some(disposition) => disposition.value == "inline",
            None => self.related,
        }
    }

    /// The id by which an HTML body calls it (`cid:`), without angle brackets.
    pub fn content_id(&self) -> Option<String> {
        let value = self.part.fields.first(self.raw, "Content-ID")?;
        field::ids(value).into_iter().next()
    }

    /// Its bytes, decoded. Without an encoding they are shared with the message, not copied.
    pub fn bytes(&self) -> Bytes {
        let encoding = self.part.fields.first(self.raw, "Content-Transfer-Encoding");
        let encoding = encoding
            .map(|value| String::from_utf8_lossy(value).trim().to_owned())
            .unwrap_or_default();
        transfer::decode(&encoding, self.raw.slice(self.part.body.clone()))
    }

    /// An attached message, read; `None` when it is none.
    pub fn message(&self) -> Option<Message> {
        self.is_message()
            .then(|| Message::parse(self.bytes()).ok())
            .flatten()
    }

    fn is_message(&self) -> bool {
        matches!(self.content_type(), "message/rfc822" | "message/global")
    }

    pub(super) fn disposition(&self) -> Option<Parameterized> {
        self.part
            .fields
            .first(self.raw, "Content-Disposition")
            .and_then(Parameterized::parse)
    }
}

impl fmt::Debug for AttachmentView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttachmentView")
            .field("name", &self.name())
            .field("content_type", &self.content_type())
            .field("inline", &self.is_inline())
            .finish_non_exhaustive()
    }
}
