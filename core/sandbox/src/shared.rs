//! What every server of one sandbox holds.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Clock;
use crate::faults::{Fault, FaultSwitch, Faults};
use crate::mail::authorize::RuleOrder;
use crate::pki::Pki;
use crate::smtp::Traffic;
use crate::state::Tenant;
use crate::stats::Counters;

/// Exchange's largest message, in octets (SMTP's `SIZE 157286400`).
pub(crate) const MAX_MESSAGE: usize = 157_286_400;

/// How the servers behave, fixed at the start.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) rule: RuleOrder,
    /// What goes wrong, or another way, from the start.
    pub(crate) faults: Vec<FaultSwitch>,
    pub(crate) idle: Duration,
    pub(crate) login: Duration,
    pub(crate) max_connections: usize,
    /// Octets of mail in memory: stored, and once more as much on its way in.
    pub(crate) max_octets: usize,
}

/// One per sandbox, behind an `Arc`.
#[derive(Debug)]
pub(crate) struct Shared {
    tenant: Mutex<Tenant>,
    pub(crate) clock: Clock,
    pub(crate) faults: Arc<Faults>,
    /// Who sends on how many connections, and how fast.
    pub(crate) traffic: Traffic,
    pub(crate) counters: Counters,
    /// Octets of messages on their way in, over all connections.
    pub(crate) spooled: AtomicUsize,
    pub(crate) options: Options,
    pub(crate) pki: Pki,
}

impl Shared {
    pub(crate) fn new(tenant: Tenant, options: Options, pki: Pki) -> Self {
        let faults = Faults::default();
        options.faults.iter().for_each(|switch| faults.set(*switch));
        Self {
            tenant: Mutex::new(tenant),
            clock: Clock::new(),
            faults: Arc::new(faults),
            traffic: Traffic::default(),
            counters: Counters::default(),
            spooled: AtomicUsize::new(0),
            options,
            pki,
        }
    }

    /// The tenant as it is now, locked. Never hold it across an `.await`: the guard is not `Send`, so the compiler
    /// watches.
    pub(crate) fn tenant(&self) -> MutexGuard<'_, Tenant> {
        let delay = self.faults.value(Fault::PermissionDelay).unwrap_or(0);
        let mut tenant = self.tenant.lock().unwrap_or_else(PoisonError::into_inner);
        tenant.set_time(self.clock.now(), Duration::from_secs(delay));
        tenant
    }
}
