//! Messages: ready bytes to send ([`RawMessage`]), composing ([`OutgoingMessage`]), parsing ([`Message`]).
//!
//! ```
//! use exomail::message::{Message, OutgoingMessage};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> exomail::Result<()> {
//! let question = Message::parse("From: ann@example.com\r\nSubject: Prices\r\nMessage-ID: <1@example.com>\r\n\r\n?")?;
//! let answer = OutgoingMessage::builder()
//!     .from("Joe <joe@contoso.example>")
//!     .reply_to_message(&question)
//!     .text("They are on the list.")
//!     .build()?;
//! let sent = Message::parse(answer.to_bytes().await?)?;
//! assert_eq!(sent.subject().as_deref(), Some("Re: Prices"));
//! assert_eq!(sent.references(), ["1@example.com"]);
//! # Ok(()) }
//! ```

mod address;
mod compose;
pub(crate) mod line_ends;
pub(crate) mod parse;
pub(crate) mod raw;

pub use address::{Address, AddressGroup};
pub use compose::{Attachment, OutgoingMessage, OutgoingMessageBuilder};
pub use parse::{AttachmentSummary, AttachmentView, Header, Message, MessageSummary};
pub use raw::RawMessage;
