//! Entra over HTTPS: discovery, keys, tokens.

mod issue;

use std::sync::Arc;

pub(crate) use issue::mint;

use crate::error::SandboxError;
use crate::mail::listener::{self, Listening};
use crate::shared::Shared;

/// Serves Entra's endpoints on a free port.
pub(crate) async fn serve(shared: Arc<Shared>) -> Result<Listening, SandboxError> {
    let (listener, port) = listener::bind().await?;
    let task = tokio::spawn(async move {
        let _keep = (listener, shared);
        std::future::pending::<()>().await;
    });
    Ok(Listening { port, task })
}
