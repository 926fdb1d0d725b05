//! Ports: one task accepts, each connection has a task of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use super::authorize::Protocol;
use super::conn::{Conn, ConnError};
use crate::error::SandboxError;
use crate::shared::Shared;

/// A port that is open, and the task behind it.
#[derive(Debug)]
pub(crate) struct Listening {
    pub(crate) port: u16,
    /// Aborting it ends the port's connections too.
    pub(crate) task: JoinHandle<()>,
}

/// Opens a free port on 127.0.0.1.
pub(crate) async fn bind() -> Result<(TcpListener, u16), SandboxError> {
    let io = |source| SandboxError::Io {
        what: "cannot open a port on 127.0.0.1",
        source,
    };
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .await
        .map_err(io)?;
    let port = listener.local_addr().map_err(io)?.port();
    Ok((listener, port))
}

/// Serves a mail protocol on a free port, encrypted from the first byte (`implicit_tls`) or after STARTTLS.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    protocol: Protocol,
    implicit_tls: bool,
) -> Result<Listening, SandboxError> {
    let (listener, port) = bind().await?;
    let task = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                Some(_) = connections.join_next() => continue,
            };
            match accepted {
                // Over the limit: the client sees the port's backlog answer with an end of file.
                Ok(_) if connections.len() >= shared.options.max_connections => {}
                Ok((stream, peer)) => {
                    let shared = shared.clone();
                    connections.spawn(async move {
                        let result = match Conn::accept(stream, peer, protocol, implicit_tls, &shared).await {
                            Ok(conn) => dispatch(conn, shared).await,
                            Err(error) => Err(error),
                        };
                        if let Err(error) = result {
                            tracing::debug!(?protocol, %error, "connection ended");
                        }
                    });
                }
                Err(error) => {
                    // Out of file descriptors, for example: others will be freed.
                    tracing::warn!(?protocol, %error, "cannot accept");
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
            }
        }
    });
    Ok(Listening { port, task })
}

async fn dispatch(conn: Conn, shared: Arc<Shared>) -> Result<(), ConnError> {
    match conn.protocol() {
        Protocol::Imap => crate::imap::serve(conn, shared).await,
        Protocol::Pop3 => crate::pop3::serve(conn, shared).await,
        Protocol::Smtp => crate::smtp::serve(conn, shared).await,
    }
}
