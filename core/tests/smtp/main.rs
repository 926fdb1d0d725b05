//! SMTP sessions against scripted servers.
#![allow(clippy::unwrap_used, reason = "a test that fails should panic")]

mod bodies;
mod dialogue;
mod faults;
mod mails;
mod refusals;
mod sign_in;
#[path = "../support/mod.rs"]
mod support;
