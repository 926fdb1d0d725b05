//! A message on its way in: bounded, and counted against the memory of the sandbox while it is held.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use crate::shared::{MAX_MESSAGE, Shared};

/// Memory is reserved in steps of this many octets.
const STEP: usize = 1 << 20;

/// Why a message is not taken. What still comes of it is thrown away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overflow {
    /// More than Exchange takes.
    TooLarge,
    /// More than the sandbox may hold at this moment, over all connections.
    NoMemory,
}

/// The trace headers, and behind them what the client has sent of the message.
#[derive(Debug)]
pub(super) struct Spool {
    shared: Arc<Shared>,
    bytes: Vec<u8>,
    /// Where the client's message begins.
    start: usize,
    reserved: usize,
    overflow: Option<Overflow>,
}

impl Spool {
    /// Starts with the trace headers, so that the delivered and the sent copy can share one piece of memory.
    pub(super) fn new(shared: Arc<Shared>, trace: &str) -> Self {
        Self {
            shared,
            bytes: trace.as_bytes().to_vec(),
            start: trace.len(),
            reserved: 0,
            overflow: None,
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.overflow.is_some() {
            return;
        }
        let length = self.bytes.len() + bytes.len();
        if length - self.start > MAX_MESSAGE {
            self.fail(Overflow::TooLarge);
            return;
        }
        while length > self.reserved {
            let taken = self.shared.spooled.fetch_add(STEP, Ordering::AcqRel) + STEP;
            self.reserved += STEP;
            if taken > self.shared.options.max_octets.max(STEP) {
                self.fail(Overflow::NoMemory);
                return;
            }
        }
        self.bytes.extend_from_slice(bytes);
    }

    fn fail(&mut self, overflow: Overflow) {
        self.overflow = Some(overflow);
        self.bytes = Vec::new();
    }

    /// All that came: trace headers with the message, and how long the trace headers are.
    pub(super) fn finish(mut self) -> Result<(Bytes, usize), Overflow> {
        match self.overflow {
            Some(overflow) => Err(overflow),
            None => {
                let mut bytes = std::mem::take(&mut self.bytes);
                bytes.shrink_to_fit();
                Ok((Bytes::from(bytes), self.start))
            }
        }
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.shared.spooled.fetch_sub(self.reserved, Ordering::AcqRel);
    }
}
