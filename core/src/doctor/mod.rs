//! What a refusal means, which step of the set-up is missing, what to do.
//!
//! One table a protocol, one row a cause. Errors take kind, retry class, step and hint from here, and [`explain`] looks
//! pasted texts up in the same rows. [`App::doctor`](crate::App::doctor) asks tenant, token endpoint and mail servers in the
//! order of the walk-through; what they answer is [`Evidence`], and the [`Report`] follows from that alone.

mod command;
mod entra;
mod evidence;
mod explain;
mod finding;
mod imap;
mod infer;
mod link;
mod mailbox;
mod network;
mod pop3;
mod probe;
mod report;
mod smtp;
mod table;
mod token;
mod wait;

pub use evidence::{
    CredentialKind, Discovery, Evidence, Failure, MailboxEvidence, Outcome, Protocol, RoundTrip, Server,
    Setup, TokenFacts,
};
pub use explain::{Confidence, Explanation, explain};
pub use finding::{Finding, Severity};
pub use probe::DoctorOptions;
pub use report::Report;

pub(crate) use entra::{DELEGATED, NO_ROLES, OTHER_ROLES, WRONG_AUDIENCE};
pub(crate) use table::refusal;
pub(crate) use token::token_refusal;
#[cfg(test)]
pub(crate) use token::{entra_cause, entra_causes};
