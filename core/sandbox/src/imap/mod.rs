//! IMAP4rev1 as Exchange Online speaks it (RFC 3501, with UIDPLUS, MOVE, IDLE, ID, UNSELECT, LITERAL+, SASL-IR).
//!
//! `arguments`, `command`, `sequence`, `fetch`, `search` read what the client says; `mime`, `header`, `address`,
//! `section`, `envelope`, `structure`, `matcher` look into messages; `connected` and `messages` run commands on the
//! state; `input` and `session` have the connection.

use std::sync::Arc;

use crate::mail::conn::{Conn, ConnError};
use crate::shared::Shared;

mod address;
mod arguments;
mod capability;
mod command;
mod connected;
mod date;
mod envelope;
mod fault;
mod fetch;
mod header;
mod input;
mod listing;
#[cfg(test)]
mod mangled;
mod matcher;
mod messages;
mod mime;
mod mutf7;
mod output;
mod reply;
mod search;
mod section;
mod sequence;
mod session;
mod sign_in;
mod structure;
mod view;

/// Serves one connection until it ends.
pub(crate) async fn serve(conn: Conn, shared: Arc<Shared>) -> Result<(), ConnError> {
    session::Session::new(conn, shared).run().await
}
