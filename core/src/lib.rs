//! Unattended mail on Exchange Online and Office 365: a program signs in as itself (OAuth2 client credentials, no
//! browser, no user), sends by SMTP, and reads by IMAP and POP3 with SASL XOAUTH2.
//!
//! # Usage
//!
//! An [`App`] is who the program is in the tenant, a [`Mailbox`] is what it opens, and the rest are verbs. Here they run
//! on the sandbox, a tenant of your own on loopback (crate `exomail-sandbox`); with a real tenant, leave `cloud` and
//! `extra_ca_pem` out.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use exomail::{App, MessageQuery};
//! # use exomail::{Cloud, Endpoint};
//! # let sandbox = exomail_sandbox::Sandbox::builder()
//! #     .mailbox("joe@contoso.example").mailbox("ann@contoso.example").start().await?;
//! # let (tenant, client_id, secret) = (sandbox.tenant(), sandbox.client_id(), sandbox.client_secret());
//! # let cloud = Cloud::custom(sandbox.authority())?
//! #     .with_imap(Endpoint::implicit_tls("localhost", sandbox.imap().1))
//! #     .with_smtp(Endpoint::start_tls("localhost", sandbox.smtp().1));
//!
//! let app = App::builder(tenant, client_id).client_secret(secret)
//!     .cloud(cloud).extra_ca_pem(sandbox.ca_pem().as_bytes())
//!     .build()?;
//!
//! let joe = app.mailbox("joe@contoso.example")?;
//! let mail = joe.compose().to("ann@contoso.example").subject("Hello").text("Hello, Ann").build()?;
//! joe.send(&mail).await?;
//!
//! let ann = app.mailbox("ann@contoso.example")?;
//! let mut unread = ann.messages(MessageQuery::unseen()).await?;
//! while let Some((id, summary)) = unread.next().await? {
//!     assert_eq!(summary.envelope.subject, "Hello");
//!     assert_eq!(ann.message(&id).await?.text().unwrap().trim_end(), "Hello, Ann");
//!     ann.move_to(&[id], "Archive").await?;
//! }
//! # Ok(()) }
//! ```
//!
//! # When something is refused
//!
//! Everything fails with an [`Error`]. Its [kind](ErrorKind) names the caller's next move and has a stable number; the
//! server's own words are kept; hint and [`Step`] say what is missing in the tenant's set-up; [`Retry`] says whether trying
//! again can help, and when.
//!
//! # Time and stop
//!
//! Each step on the network has a limit of its own ([`Timeouts`]). A whole call is bounded, and can be stopped by another
//! thread, with [`Deadline`] and [`CancelToken`]. Dropping a future is always safe: a connection that was in the middle of
//! an exchange is closed, never used again.
//!
//! # The lower level
//!
//! | for | there is |
//! |---|---|
//! | tokens | [`App::token`], [`token::Claims`], [`TokenProvider`] for tokens from elsewhere |
//! | SASL | [`sasl::xoauth2`], [`sasl::oauthbearer`] |
//! | sessions | [`smtp::SmtpSession`], [`imap::ImapSession`], [`pop3::Pop3Session`] |
//! | mail that must not be lost | [`outbox::Outbox`], a queue on the disk |
//! | messages | [`message::OutgoingMessage`], [`message::Message`], [`message::RawMessage`] |
//! | what was said on the wire | [`Transcript`], with every secret blanked |
//!
//! # Threads
//!
//! [`App`], [`Mailbox`], [`CancelToken`] and [`Transcript`] may be used by any number of tasks at once; clones share. A
//! session is for one call at a time. Everything that connects needs a tokio runtime with time and I/O enabled.
//!
//! # Features
//!
//! - `async-imap`: `Mailbox::async_imap_session` and an `Authenticator`, for programs written for that crate. Programs
//!   written for lettre need no feature: [`Mailbox`] is a `lettre::AsyncTransport`.
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that fails should panic"))]

mod app;
mod cloud;
mod deadline;
mod error;
mod governor;
mod mailbox;
mod secret;
mod settings;

pub mod doctor;
pub mod imap;
pub mod message;
pub mod net;
pub mod outbox;
pub mod pop3;
pub mod sasl;
pub mod smtp;
pub mod token;

pub use app::{App, AppBuilder};
pub use cloud::Cloud;
pub use deadline::{CancelToken, Deadline};
pub use error::{Error, ErrorKind, Layer, OAuthReply, Result, Retry, ServerReply, Step};
pub use governor::Limits;
/// A point in time, as this crate takes and gives it.
pub use jiff::Timestamp;
#[cfg(feature = "async-imap")]
pub use mailbox::SignedIn;
pub use mailbox::{
    AfterReset, Checkpoint, Mailbox, MessageQuery, MessageRef, Messages, Part, Sent, Watch, WatchEvent,
};
pub use net::{Connector, Endpoint, Security, Timeouts, Tls, Transcript, TranscriptLine};
pub use secret::Secret;
pub use settings::{CredentialSource, SecretSource, Settings};
pub use token::{StaticToken, Token, TokenProvider};
