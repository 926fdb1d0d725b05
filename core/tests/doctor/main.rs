//! The doctor: what follows from which answers, and the sandbox with one step of the set-up missing at a time.
#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test that fails should panic"
)]

mod inference;
#[path = "../support/secrecy.rs"]
mod net;
mod network;
mod secrecy;
mod steps;
mod tenant;
