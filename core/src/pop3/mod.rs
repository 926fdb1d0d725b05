//! POP3 (RFC 1939) as Exchange Online speaks it: the inbox only, SASL in two steps, deletion at QUIT.
//!
//! ```no_run
//! # async fn example(connector: exomail::Connector, login: exomail::sasl::Login) -> exomail::Result<()> {
//! use exomail::{Endpoint, pop3::Pop3Session};
//!
//! let endpoint = Endpoint::implicit_tls("outlook.office365.com", 995);
//! let mut session = Pop3Session::connect(&connector, &endpoint, &login).await?;
//! for (number, uid) in session.uidl().await? {
//!     let mut message = Vec::new();
//!     session.retr(number, &mut message).await?;
//!     println!("{uid}: {} bytes", message.len());
//! }
//! session.quit().await?;
//! # Ok(()) }
//! ```

mod capabilities;
mod connect;
mod engine;
mod reply;
mod retrieved;
mod session;
mod unstuff;

pub use capabilities::Capabilities;
pub use reply::{Listing, Stat};
pub use retrieved::{Retrieved, RetrievedEvent};
pub use session::Pop3Session;
