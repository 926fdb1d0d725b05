//! Writing messages: headers, MIME structure, attachments that are streamed.
//!
//! lettre chooses and makes the encodings of texts, and its own messages are taken as they are. The structure is
//! written here, because lettre holds every attachment in memory, encoded.

mod attachment;
mod builder;
mod check;
mod encode;
mod mime;
mod outgoing;
mod stream;

pub use attachment::Attachment;
pub use builder::OutgoingMessageBuilder;
pub use outgoing::OutgoingMessage;
