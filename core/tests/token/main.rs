//! Tokens over real HTTPS: a scripted endpoint that behaves oddly, and the sandbox's Entra.
#![allow(clippy::unwrap_used, reason = "a test that fails should panic")]

mod certificate;
mod entra;
mod odd_answers;
mod runtimes;
mod sandbox;
mod secrecy;
#[path = "../support/mod.rs"]
mod support;
