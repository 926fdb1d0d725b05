//! What a refusal means, which step of the set-up is missing, what to do.
//!
//! One table a protocol, one row a cause. Errors take kind, retry class, step and hint from here, and [`explain`] looks
//! pasted texts up in the same rows.

mod entra;
mod explain;
mod imap;
mod link;
mod network;
mod pop3;
mod smtp;
mod table;
mod token;
mod wait;

pub use explain::{Confidence, Explanation, explain};

pub(crate) use entra::{DELEGATED, NO_ROLES, OTHER_ROLES, WRONG_AUDIENCE};
pub(crate) use table::refusal;
pub(crate) use token::token_refusal;
#[cfg(test)]
pub(crate) use token::{entra_cause, entra_causes};
