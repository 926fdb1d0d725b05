//! The table of texts and causes: what a refusal means, which step of the set-up is missing, what to do.
//!
//! One table a protocol, one row a cause. Errors take kind, retry class, step and hint from here.

mod entra;
mod imap;
mod pop3;
mod smtp;
mod table;
mod token;
mod wait;

pub(crate) use entra::{DELEGATED, NO_ROLES, OTHER_ROLES, WRONG_AUDIENCE};
pub(crate) use table::refusal;
pub(crate) use token::token_refusal;
#[cfg(test)]
pub(crate) use token::{entra_cause, entra_causes};
