//! Unattended mail on Exchange Online and Office 365.
//!
//! A program signs in as itself (OAuth2 client credentials), sends by SMTP and reads by IMAP and POP3 with SASL
//! XOAUTH2.
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that fails should panic"))]

mod app;
mod cloud;
mod deadline;
mod doctor;
mod error;
mod mailbox;
mod secret;
mod settings;

pub mod imap;
pub mod message;
pub mod net;
pub mod pop3;
pub mod sasl;
pub mod smtp;
pub mod token;

pub use app::{App, AppBuilder};
pub use cloud::Cloud;
pub use deadline::{CancelToken, Deadline};
pub use error::{Error, ErrorKind, Layer, OAuthReply, Result, Retry, ServerReply, Step};
#[cfg(feature = "async-imap")]
pub use mailbox::SignedIn;
pub use mailbox::{Mailbox, MessageQuery, MessageRef, Messages};
pub use net::{Connector, Endpoint, Security, Timeouts, Tls, Transcript, TranscriptLine};
pub use secret::Secret;
pub use settings::{CredentialSource, SecretSource, Settings};
pub use token::{StaticToken, Token, TokenProvider};
