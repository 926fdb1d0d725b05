//! What the servers counted: token requests, connections, and the flights of each connection.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::mail::authorize::Protocol;

/// How many finished connections are remembered. The oldest go first.
const REMEMBERED: usize = 4096;

/// What the sandbox has counted since it started, at the moment of asking.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Requests to the token endpoint, v1 and v2, whether granted or refused.
    pub token_requests: u64,
    /// Mail connections in the order in which they were accepted. Of finished ones the last 4096 are kept.
    pub connections: Vec<ConnectionStats>,
}

/// One mail connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ConnectionStats {
    /// What is spoken on it.
    pub protocol: Protocol,
    /// Whether it is encrypted by now.
    pub tls: bool,
    /// How many times the server, having read something and answered, had to wait for the client: the number of
    /// round trips since the greeting. The greeting and the TLS handshakes are not counted.
    pub flights: u64,
    /// Commands read, SASL responses not counted.
    pub commands: u64,
    /// Whether it is still open.
    pub open: bool,
}

/// The counters of one connection; the connection's task writes, anybody reads.
#[derive(Debug)]
pub(crate) struct ConnectionRecord {
    protocol: Protocol,
    tls: AtomicBool,
    flights: AtomicU64,
    commands: AtomicU64,
    open: AtomicBool,
}

impl ConnectionRecord {
    pub(crate) fn set_tls(&self) {
        self.tls.store(true, Ordering::Release);
    }

    pub(crate) fn count_flight(&self) {
        self.flights.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn count_command(&self) {
        self.commands.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn close(&self) {
        self.open.store(false, Ordering::Release);
    }

    fn read(&self) -> ConnectionStats {
        ConnectionStats {
            protocol: self.protocol,
            tls: self.tls.load(Ordering::Acquire),
            flights: self.flights.load(Ordering::Acquire),
            commands: self.commands.load(Ordering::Acquire),
            open: self.open.load(Ordering::Acquire),
        }
    }
}

/// All counters of one sandbox.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    token_requests: AtomicU64,
    connections: Mutex<VecDeque<Arc<ConnectionRecord>>>,
}

impl Counters {
    fn connections(&self) -> MutexGuard<'_, VecDeque<Arc<ConnectionRecord>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn count_token_request(&self) {
        self.token_requests.fetch_add(1, Ordering::AcqRel);
    }

    /// Registers a new connection. A sandbox that runs for weeks forgets the oldest finished ones.
    pub(crate) fn open(&self, protocol: Protocol) -> Arc<ConnectionRecord> {
        let record = Arc::new(ConnectionRecord {
            protocol,
            tls: AtomicBool::new(false),
            flights: AtomicU64::new(0),
            commands: AtomicU64::new(0),
            open: AtomicBool::new(true),
        });
        let mut connections = self.connections();
        connections.push_back(record.clone());
        if connections.len() > REMEMBERED
            && let Some(oldest) = connections.iter().position(|c| !c.open.load(Ordering::Acquire))
        {
            connections.remove(oldest);
        }
        record
    }

    pub(crate) fn read(&self) -> Stats {
        Stats {
            token_requests: self.token_requests.load(Ordering::Acquire),
            connections: self.connections().iter().map(|record| record.read()).collect(),
        }
    }
}
