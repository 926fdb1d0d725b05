//! SASL XOAUTH2 and OAUTHBEARER: the bytes, one line or two steps, the failure challenge.
//!
//! Exchange Online offers XOAUTH2 only; OAUTHBEARER (RFC 7628) is for other servers.

#[cfg(feature = "async-imap")]
mod authenticator;
mod challenge;
mod initial_response;
mod login;
mod sign_in;

#[cfg(feature = "async-imap")]
pub use authenticator::XOAuth2Authenticator;
pub use challenge::Challenge;
pub use initial_response::{InitialResponse, Mechanism, oauthbearer, xoauth2};
pub use login::Login;
pub(crate) use sign_in::prepare;
