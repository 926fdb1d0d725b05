//! How a mailbox keeps within its limits and comes back: token endpoint of the sandbox, mail servers that follow a plan.
#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test that fails should panic"
)]

mod limits;
mod reading;
mod sending;
mod stage;
#[path = "../support/mod.rs"]
mod support;
