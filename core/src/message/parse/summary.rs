//! [`MessageSummary`]: what a list shows, as data.

use jiff::Timestamp;
use serde::Serialize;

use super::{AttachmentView, Message};
use crate::message::Address;

/// A message without its bodies, for lists and JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MessageSummary {
    /// Message-ID without angle brackets.
    pub message_id: Option<String>,
    /// In-Reply-To, ids without angle brackets.
    pub in_reply_to: Vec<String>,
    /// The subject.
    pub subject: Option<String>,
    /// The authors.
    pub from: Vec<Address>,
    /// The main recipients.
    pub to: Vec<Address>,
    /// The other recipients.
    pub cc: Vec<Address>,
    /// When it was written.
    pub date: Option<Timestamp>,
    /// Size of the raw message in bytes.
    pub size: usize,
    /// What is attached.
    pub attachments: Vec<AttachmentSummary>,
}

/// An attachment without its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AttachmentSummary {
    /// The sender's name for it.
    pub name: Option<String>,
    /// A name that is safe to write to.
    pub file_name: String,
    /// The media type.
    pub content_type: String,
    /// Decoded size in bytes.
    pub size: usize,
    /// Whether it is shown within the body.
    pub inline: bool,
    /// The id by which an HTML body calls it.
    pub content_id: Option<String>,
}

impl Message {
    /// The message as data without its bodies.
    pub fn summary(&self) -> MessageSummary {
        MessageSummary {
            message_id: self.message_id(),
            in_reply_to: self.in_reply_to(),
            subject: self.subject(),
            from: self.from(),
            to: self.to(),
            cc: self.cc(),
            date: self.date(),
            size: self.raw().len(),
            attachments: self
                .attachments()
                .map(|attachment| attachment.summary())
                .collect(),
        }
    }
}

impl AttachmentView<'_> {
    /// The attachment as data without its bytes.
    pub fn summary(&self) -> AttachmentSummary {
        AttachmentSummary {
            name: self.name(),
            file_name: self.file_name(),
            content_type: self.content_type().to_owned(),
            size: self.bytes().len(),
            inline: self.is_inline(),
            content_id: self.content_id(),
        }
    }
}
