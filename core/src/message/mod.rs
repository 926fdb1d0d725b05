//! Messages: ready bytes to send, composing, parsing.

mod address;
mod compose;
pub(crate) mod line_ends;
mod parse;
pub(crate) mod raw;

pub use address::{Address, AddressGroup};
pub use compose::{Attachment, OutgoingMessage, OutgoingMessageBuilder};
pub use parse::{AttachmentSummary, AttachmentView, Header, Message, MessageSummary};
pub use raw::RawMessage;
