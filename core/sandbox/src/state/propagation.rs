//! Changes of permissions on their way through Entra and Exchange.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use super::tenant::Tenant;

/// What an administrator did, to be done to the tenant when it takes effect.
pub(crate) type Change = Box<dyn FnOnce(&mut Tenant) + Send>;

/// The tenant's time, and the changes that have not arrived yet.
pub(crate) struct Propagation {
    now: Timestamp,
    delay: Duration,
    /// In the order in which they were asked for, so that a grant and its revocation do not change places.
    held: VecDeque<(Timestamp, Change)>,
}

impl Default for Propagation {
    fn default() -> Self {
        Self {
            now: Timestamp::now(),
            delay: Duration::ZERO,
            held: VecDeque::new(),
        }
    }
}

impl fmt::Debug for Propagation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Propagation")
            .field("now", &self.now)
            .field("delay", &self.delay)
            .field("held", &self.held.len())
            .finish()
    }
}

impl Propagation {
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    /// Sets the time and the delay of changes to come; gives the changes that are due.
    pub(crate) fn set_time(&mut self, now: Timestamp, delay: Duration) -> Vec<Change> {
        self.now = now;
        self.delay = delay;
        let due = self.held.iter().take_while(|(at, _)| *at <= now).count();
        self.held.drain(..due).map(|(_, change)| change).collect()
    }

    /// Keeps a change until it is due; gives it back if that is now.
    pub(crate) fn hold(&mut self, change: Change) -> Option<Change> {
        let earliest = self.now.saturating_add(self.delay).unwrap_or(Timestamp::MAX);
        let at = self.held.back().map_or(earliest, |(last, _)| earliest.max(*last));
        if at <= self.now {
            return Some(change);
        }
        self.held.push_back((at, change));
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOE: &str = "joe@contoso.example";

    #[test]
    fn changes_take_effect_in_their_order_and_not_before_their_time() {
        let mut tenant = Tenant::new("contoso.example", 1_000);
        tenant.add_mailbox(JOE).unwrap();
        let at = |seconds| Timestamp::UNIX_EPOCH + Duration::from_secs(seconds);
        let has = |tenant: &Tenant| {
            tenant
                .mailbox(JOE)
                .is_some_and(|joe| joe.full_access.contains("x"))
        };
        tenant.set_time(at(0), Duration::from_secs(60));
        tenant.grant_full_access(JOE, "x").unwrap();
        assert!(tenant.grant_full_access("nobody@contoso.example", "x").is_err());
        // A delay that became shorter meanwhile lets nothing overtake.
        tenant.set_time(at(30), Duration::ZERO);
        tenant.revoke_full_access(JOE, "x").unwrap();
        tenant.set_time(at(59), Duration::ZERO);
        assert!(!has(&tenant));
        tenant.set_time(at(60), Duration::from_secs(60));
        assert!(!has(&tenant), "granted and revoked");
        tenant.grant_full_access(JOE, "x").unwrap();
        tenant.set_time(at(119), Duration::ZERO);
        assert!(!has(&tenant));
        tenant.set_time(at(120), Duration::ZERO);
        assert!(has(&tenant));
    }
}
