//! imap

use std::sync::Arc;

use crate::mail::conn::{Conn, ConnError};
use crate::shared::Shared;

/// Serves one connection until it ends.
pub(crate) async fn serve(conn: Conn, _shared: Arc<Shared>) -> Result<(), ConnError> {
    conn.close().await
}
