//! The mailbox façade on the sandbox: the main job, and what the façade promises about connections and flights.
#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test that fails should panic"
)]

#[cfg(feature = "async-imap")]
mod async_imap;
mod connections;
mod everyday;
mod flights;
#[path = "../support/secrecy.rs"]
mod net;
mod refusals;
mod secrecy;
mod tenant;
