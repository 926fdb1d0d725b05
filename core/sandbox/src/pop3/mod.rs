//! POP3 as Exchange speaks it (facts §3.4).

mod command;
mod drop;
mod session;

use std::sync::Arc;

use crate::mail::conn::{Conn, ConnError};
use crate::shared::Shared;

/// Serves one connection until it ends.
pub(crate) async fn serve(conn: Conn, shared: Arc<Shared>) -> Result<(), ConnError> {
    session::Session::new(conn, shared).run().await
}
