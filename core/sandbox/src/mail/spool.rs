//! A message on its way in: bounded, and counted against the memory of the sandbox while it is held.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use crate::shared::{MAX_MESSAGE, Shared};

/// Memory is reserved in steps of this many octets.
const STEP: usize = 1 << 20;

/// Why a message is not taken. What still comes of it is thrown away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overflow {
    /// More than Exchange takes.
    TooLarge,
    /// More than the sandbox may hold at this moment, over all connections.
    NoMemory,
}

/// A share of the memory for messages on their way in. It is given back on drop.
pub(crate) struct Reservation {
    shared: Arc<Shared>,
    octets: usize,
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reservation").field(&self.octets).finish()
    }
}

impl Reservation {
    /// Makes room for `octets` in all; false if all connections together would then hold too much.
    fn grow_to(&mut self, octets: usize) -> bool {
        while octets > self.octets {
            let taken = self.shared.spooled.fetch_add(STEP, Ordering::AcqRel) + STEP;
            self.octets += STEP;
            if taken > self.shared.options.max_octets.max(STEP) {
                return false;
            }
        }
        true
    }

    fn release(&mut self) {
        let octets = std::mem::take(&mut self.octets);
        self.shared.spooled.fetch_sub(octets, Ordering::AcqRel);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.release();
    }
}

/// What the server writes in front of the message, and behind it what the client has sent so far.
#[derive(Debug)]
pub(crate) struct Spool {
    bytes: Vec<u8>,
    /// Where the client's message begins.
    start: usize,
    reservation: Reservation,
    overflow: Option<Overflow>,
}

/// A message that came in full.
#[derive(Debug)]
pub(crate) struct Spooled {
    /// What the server wrote, and the message.
    pub(crate) raw: Bytes,
    /// Where the client's message begins.
    pub(crate) start: usize,
    /// To be kept until the message is stored or dropped.
    pub(crate) reservation: Reservation,
}

impl Spool {
    /// Starts with SMTP's trace headers, so that the delivered and the sent copy can share one piece of memory.
    pub(crate) fn new(shared: Arc<Shared>, trace: &str) -> Self {
        Self {
            bytes: trace.as_bytes().to_vec(),
            start: trace.len(),
            reservation: Reservation { shared, octets: 0 },
            overflow: None,
        }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.overflow.is_some() {
            return;
        }
        let length = self.bytes.len() + bytes.len();
        if length - self.start > MAX_MESSAGE {
            self.fail(Overflow::TooLarge);
        } else if self.reservation.grow_to(length) {
            self.bytes.extend_from_slice(bytes);
        } else {
            self.fail(Overflow::NoMemory);
        }
    }

    fn fail(&mut self, overflow: Overflow) {
        self.overflow = Some(overflow);
        self.bytes = Vec::new();
        self.reservation.release();
    }

    pub(crate) fn finish(self) -> Result<Spooled, Overflow> {
        if let Some(overflow) = self.overflow {
            return Err(overflow);
        }
        let mut bytes = self.bytes;
        bytes.shrink_to_fit();
        Ok(Spooled {
            raw: Bytes::from(bytes),
            start: self.start,
            reservation: self.reservation,
        })
    }
}
