//! A tenant of your own, for tests and demonstrations, with no network.
//!
//! [`Sandbox`] runs, in one process and on loopback only, what a program that signs in as itself meets at
//! Microsoft 365: Entra's token endpoint over HTTPS, and Exchange's SMTP submission, IMAP and POP3, over one shared
//! state of applications, service principals, roles, mailboxes and permissions ([`state::Tenant`]). What is missing
//! in that state is refused with the text, and at the layer, where the real service refuses it.
//!
//! Mail is kept in memory and bounded. Each start makes a certificate authority of its own; give
//! [`Sandbox::ca_file`] to the client under test.
//!
//! What goes wrong on demand is a [`Fault`], switched on and off by name; all waiting and all dates are those of a
//! [`Clock`] that can be put forward.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), exomail_sandbox::SandboxError> {
//! let sandbox = exomail_sandbox::Sandbox::builder().mailbox("joe@contoso.example").start().await?;
//! let (host, port) = sandbox.imap();
//! assert_eq!(host, "localhost");
//! assert_ne!(port, 0);
//! // The administrator takes the permission away; IMAP now answers "User is authenticated but not connected."
//! let app = sandbox.client_id().to_owned();
//! sandbox.state().revoke_full_access("joe@contoso.example", &app)?;
//! # sandbox.stop().await;
//! # Ok(())
//! # }
//! ```

#![deny(missing_docs)]

mod adminapi;
mod administrator;
mod builder;
mod clock;
mod entra;
mod error;
mod faults;
mod graph;
mod imap;
mod keys;
mod mail;
mod pki;
mod pop3;
mod sandbox;
mod shared;
mod smtp;
pub mod state;
mod stats;
mod time;

pub use administrator::AdminScope;
pub use builder::SandboxBuilder;
pub use clock::Clock;
pub use error::SandboxError;
pub use faults::{Fault, FaultError, FaultSwitch};
pub use keys::TokenOverrides;
pub use mail::authorize::{Outcome, Protocol, Refusal, RuleOrder, authorize};
pub use mail::token::{AccessClaims, TokenFault};
pub use sandbox::Sandbox;
pub use stats::{ConnectionStats, Stats};
