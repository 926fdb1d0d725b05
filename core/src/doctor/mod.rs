//! The table of texts and causes: what a refusal means, which step of the set-up is missing, what to do.
//!
//! One table a protocol, one row a cause. Errors take kind, retry class, step and hint from here.

mod imap;
mod pop3;
mod smtp;
mod table;
mod wait;

pub(crate) use table::refusal;
