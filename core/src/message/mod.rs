//! Messages: ready bytes to send, composing, parsing.

mod raw;

pub use raw::RawMessage;
