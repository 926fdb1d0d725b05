//! Servers that lose what travels behind AUTHENTICATE.
//!
//! Exchange's front end passes a connection on to the mailbox's back end once it has signed in. Whether lines that it
//! has read by then get there is nowhere documented. Where they do not, they are sent again, and the endpoint is
//! remembered for as long as the process runs: later sign-ins there wait for the verdict.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::engine::ImapEngine;
use super::sign_in::Issued;
use crate::error::Result;
use crate::net::Endpoint;

/// How long a server may be silent behind the OK to AUTHENTICATE before the commands behind it count as lost. CAPABILITY
/// comes first and needs no mailbox. Where a step may take less than twice this, half a step.
const PATIENCE: Duration = Duration::from_secs(5);
/// Endpoints that are remembered; the oldest goes first.
const MAX_KNOWN: usize = 64;

static KNOWN: Mutex<VecDeque<Endpoint>> = Mutex::new(VecDeque::new());

fn known() -> MutexGuard<'static, VecDeque<Endpoint>> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether this endpoint has lost commands before.
pub(super) fn is_known(endpoint: &Endpoint) -> bool {
    known().contains(endpoint)
}

pub(super) fn learn(endpoint: &Endpoint) {
    note(&mut known(), endpoint);
}

pub(super) fn forget(endpoint: &Endpoint) {
    known().retain(|other| other != endpoint);
}

fn note(known: &mut VecDeque<Endpoint>, endpoint: &Endpoint) {
    if known.contains(endpoint) {
        return;
    }
    if known.len() >= MAX_KNOWN {
        known.pop_front();
    }
    known.push_back(endpoint.clone());
}

/// Whether the server answers any of the commands that went out behind AUTHENTICATE. Once it has answered one it has
/// them all: it may take its time.
pub(super) async fn is_answered(engine: &mut ImapEngine, behind: &Issued) -> Result<bool> {
    let patience = PATIENCE.min(engine.wire.timeouts().step / 2);
    loop {
        if behind.iter().any(|(tag, _)| engine.has_ended(*tag)) {
            return Ok(true);
        }
        // What has been read so far stays with the wire when time runs out.
        match tokio::time::timeout(patience, engine.response("CAPABILITY")).await {
            Ok(response) => drop(response?),
            Err(_) => return Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_endpoint_makes_room() {
        let endpoint = |port| Endpoint::implicit_tls("mail.contoso.example", port);
        let mut known = VecDeque::new();
        let ports = 1..=MAX_KNOWN as u16 + 1;
        for port in ports.chain([2, 3]) {
            note(&mut known, &endpoint(port));
        }
        assert_eq!(known.len(), MAX_KNOWN);
        assert!(!known.contains(&endpoint(1)) && known.contains(&endpoint(2)));
    }
}
