//! Entra over HTTPS: discovery, keys, tokens.

mod assertion;
mod discovery;
mod fault;
mod grant;
mod issue;
mod server;
mod token;

pub(crate) use issue::mint;
pub(crate) use server::serve;

use std::sync::Arc;

use crate::shared::Shared;

/// What each request's handler gets.
#[derive(Debug, Clone)]
struct Entra {
    shared: Arc<Shared>,
    /// `https://localhost:PORT`
    authority: Arc<str>,
}
