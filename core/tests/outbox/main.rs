//! The outbox on the sandbox, and against servers that refuse, hang up and fall silent.
#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    dead_code,
    reason = "a test that fails should panic; each file uses its own part of what is shared"
)]

mod faults;
mod fixture;
mod spool;
#[path = "../support/mod.rs"]
mod support;
#[path = "../mailbox/tenant.rs"]
mod tenant;
mod verdicts;
