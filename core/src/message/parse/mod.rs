//! Reading messages, however they were written.
//!
//! The structure (headers, boundaries, parts) is found here, in one pass without recursion and with bounds on depth and
//! number: mail-parser's own walk overflows the stack on deep nesting when it is dropped, and takes time with the
//! square of the size when boundaries are announced that never come. What a header field says, and the many charsets,
//! are mail-parser's.

pub(crate) mod field;
mod file_name;
mod message;
pub(crate) mod parameter;
mod part;
mod split;
mod summary;
pub(crate) mod transfer;

pub use field::Header;
pub use message::Message;
pub use part::AttachmentView;
pub use summary::{AttachmentSummary, MessageSummary};
