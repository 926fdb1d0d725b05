//! SMTP submission: sign in with XOAUTH2 and send.
//!
//! [`SmtpSession`] speaks RFC 5321 with STARTTLS (RFC 3207) or TLS from the first byte, and uses what the server
//! advertises: with CHUNKING (RFC 3030) and PIPELINING (RFC 2920) a mail on an open connection takes one flight.
//!
//! ```no_run
//! # async fn example(login: exomail::sasl::Login) -> exomail::Result<()> {
//! use exomail::message::RawMessage;
//! use exomail::smtp::{Envelope, SendOptions, SmtpSession};
//! use exomail::{Connector, Endpoint, Tls};
//!
//! let connector = Connector::new(Tls::system()?);
//! let endpoint = Endpoint::start_tls("smtp.office365.com", 587);
//! let mut session = SmtpSession::connect(&connector, &endpoint, &login).await?;
//! let envelope = Envelope::new(Some("joe@contoso.com".into()), vec!["ann@example.com".into()])?;
//! let message = RawMessage::from_file("mail.eml");
//! let report = session.send(&envelope, message, &SendOptions::default()).await?;
//! for refused in report.rejected() {
//!     eprintln!("{}: {}", refused.address, refused.reply.text);
//! }
//! session.quit().await
//! # }
//! ```

mod address;
mod body;
mod capabilities;
mod command;
mod dialogue;
mod dot;
mod engine;
mod envelope;
mod options;
mod reply;
mod report;
mod session;
mod sign_in;
mod transaction;

pub use capabilities::Capabilities;
pub use envelope::Envelope;
pub use options::{Dsn, Notify, ReturnContent, SendOptions};
pub use report::{RecipientResult, RejectedRecipients, SendReport};
pub use session::SmtpSession;
