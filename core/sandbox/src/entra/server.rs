//! The HTTPS port: HTTP/1.1 over TLS, a task per connection.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{any, get};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::{Entra, discovery, token};
use crate::adminapi;
use crate::error::SandboxError;
use crate::graph;
use crate::mail::listener::{self, Listening};
use crate::shared::Shared;

/// The longest request body: a certificate assertion has 2 kB.
const MAX_BODY: usize = 256 * 1024;
/// How long a TLS handshake, or the head of a request, may take.
const PATIENCE: Duration = Duration::from_secs(60);

fn router(entra: Entra) -> Router {
    let graph = graph::router(entra.shared.clone(), entra.authority.clone());
    let cmdlets = adminapi::router(entra.shared.clone(), entra.authority.clone());
    Router::new()
        .route(
            "/{tenant}/v2.0/.well-known/openid-configuration",
            get(discovery::configuration),
        )
        .route(
            "/{tenant}/.well-known/openid-configuration",
            get(discovery::configuration),
        )
        .route("/{tenant}/discovery/v2.0/keys", get(discovery::keys))
        .route("/{tenant}/discovery/keys", get(discovery::keys))
        .route("/{tenant}/oauth2/v2.0/token", any(token::v2))
        .route("/{tenant}/oauth2/token", any(token::v1))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(entra)
        .merge(graph)
        .merge(cmdlets)
}

/// Serves Entra's endpoints on a free port.
pub(crate) async fn serve(shared: Arc<Shared>) -> Result<Listening, SandboxError> {
    let (listener, port) = listener::bind().await?;
    let authority = Arc::from(format!("https://localhost:{port}"));
    let service = router(Entra {
        shared: shared.clone(),
        authority,
    });
    let task = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                Some(_) = connections.join_next() => continue,
            };
            match accepted {
                Ok(_) if connections.len() >= shared.options.max_connections => {}
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, shared.clone(), service.clone()));
                }
                Err(error) => {
                    // Out of file descriptors, for example: others will be freed.
                    tracing::warn!(%error, "cannot accept");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    });
    Ok(Listening { port, task })
}

async fn connection(stream: TcpStream, shared: Arc<Shared>, service: Router) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let acceptor = TlsAcceptor::from(shared.pki.server.clone());
    let Ok(Ok(stream)) = timeout(PATIENCE, acceptor.accept(stream)).await else {
        return;
    };
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "HTTPS connection ended");
    }
}
