//! SMTP submission as Exchange speaks it (facts §3.5).

mod command;
mod data;
mod path;
mod session;
mod submit;
mod traffic;

pub(crate) use traffic::Traffic;

use std::sync::Arc;

use crate::mail::conn::{Conn, ConnError};
use crate::shared::Shared;

/// Serves one connection until it ends.
pub(crate) async fn serve(conn: Conn, shared: Arc<Shared>) -> Result<(), ConnError> {
    session::Session::new(conn, shared).run().await
}
