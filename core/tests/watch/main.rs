//! The watch: what it tells, and how it comes back, on scripted servers for each way in which a session ends and on the
//! sandbox.
#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test that fails should panic"
)]

mod endings;
mod folder;
mod sandbox;
mod stage;
#[path = "../support/mod.rs"]
mod support;
mod waiting;
