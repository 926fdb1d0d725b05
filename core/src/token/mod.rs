//! How a token is obtained, cached and inspected.

mod provider;

pub use provider::{Refresh, StaticToken, Token, TokenProvider};
