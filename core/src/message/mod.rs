//! Messages: ready bytes to send, composing, parsing.

pub(crate) mod line_ends;
mod raw;

pub use raw::RawMessage;
