//! How a token is obtained, cached and inspected.

mod assertion;
mod cache;
mod certificate;
mod claims;
mod credential;
mod endpoint;
mod provider;
mod reply;
mod slot;
#[cfg(test)]
mod testkeys;

pub(crate) use cache::{Key, slot};
pub use certificate::Certificate;
pub use claims::Claims;
pub use credential::Credential;
pub(crate) use credential::is_guid;
pub(crate) use endpoint::TokenEndpoint;
pub use provider::{Refresh, StaticToken, Token, TokenProvider};
pub(crate) use reply::{EntraRefusal, codes_in};
pub(crate) use slot::{Slot, Source};
