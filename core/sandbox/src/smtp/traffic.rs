//! Exchange's limits of a sending mailbox (facts §3.5): 3 connections at a time, 30 messages a minute.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

const MINUTE: Duration = Duration::from_secs(60);

/// What each mailbox is doing.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    mailboxes: Arc<Mutex<HashMap<String, Mailbox>>>,
    serial: AtomicU64,
}

#[derive(Debug, Default)]
struct Mailbox {
    /// Connections that have signed in, the oldest first.
    connections: Vec<u64>,
    /// When the last messages were let through, or will be.
    messages: VecDeque<Timestamp>,
}

fn lock(mailboxes: &Mutex<HashMap<String, Mailbox>>) -> MutexGuard<'_, HashMap<String, Mailbox>> {
    mailboxes.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Traffic {
    /// Counts a connection that has signed in, until the place is dropped.
    pub(super) fn enter(&self, mailbox: &str) -> Place {
        let place = Place {
            mailboxes: self.mailboxes.clone(),
            mailbox: mailbox.to_ascii_lowercase(),
            serial: self.serial.fetch_add(1, Ordering::Relaxed),
        };
        place.with(|known| known.connections.push(place.serial));
        place
    }
}

/// One connection's place among those of its mailbox.
#[derive(Debug)]
pub(super) struct Place {
    mailboxes: Arc<Mutex<HashMap<String, Mailbox>>>,
    mailbox: String,
    serial: u64,
}

impl Place {
    fn with<R>(&self, work: impl FnOnce(&mut Mailbox) -> R) -> R {
        work(lock(&self.mailboxes).entry(self.mailbox.clone()).or_default())
    }

    /// Whether the connection is one of the first `limit`; 0 is no limit. It moves up when an older one goes.
    pub(super) fn may_send(&self, limit: u64) -> bool {
        let before = self.with(|known| known.connections.iter().position(|&serial| serial == self.serial));
        limit == 0 || before.is_some_and(|before| (before as u64) < limit)
    }

    /// When the next message may go, at most `rate` in any minute; 0 is no limit. The message is counted.
    pub(super) fn next_message(&self, rate: u64, now: Timestamp) -> Timestamp {
        let Some(rate) = usize::try_from(rate).ok().filter(|&rate| rate > 0) else {
            return now;
        };
        self.with(|known| {
            let messages = &mut known.messages;
            // What is over a minute ago holds nobody up; the queue has no more than those of one minute and those
            // that wait, one a connection.
            while messages.front().is_some_and(|&at| after_a_minute(at) <= now) {
                messages.pop_front();
            }
            let due = messages
                .len()
                .checked_sub(rate)
                .and_then(|index| messages.get(index))
                .map_or(now, |&at| after_a_minute(at).max(now));
            messages.push_back(due);
            due
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut mailboxes = lock(&self.mailboxes);
        if let Some(known) = mailboxes.get_mut(&self.mailbox) {
            known.connections.retain(|&serial| serial != self.serial);
            if known.connections.is_empty() && known.messages.is_empty() {
                mailboxes.remove(&self.mailbox);
            }
        }
    }
}

fn after_a_minute(at: Timestamp) -> Timestamp {
    at.saturating_add(MINUTE).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fourth_connection_waits_for_one_of_the_first_three_to_go() {
        let traffic = Traffic::default();
        let mut places: Vec<Place> = ["joe@x", "Joe@X", "joe@x", "joe@x", "ann@x"]
            .map(|mailbox| traffic.enter(mailbox))
            .into();
        let may = |places: &[Place]| -> Vec<bool> { places.iter().map(|place| place.may_send(3)).collect() };
        assert_eq!(may(&places), [true, true, true, false, true]);
        assert!(places[3].may_send(0));
        places.remove(1);
        assert_eq!(may(&places), [true; 4]);
    }

    #[test]
    fn any_minute_has_thirty_messages_at_most() {
        let place = Traffic::default().enter("joe@x");
        let at = |seconds| Timestamp::UNIX_EPOCH + Duration::from_secs(seconds);
        let mut due = Vec::new();
        for second in 0..29 {
            due.push(place.next_message(30, at(second)));
            assert_eq!(due.last(), Some(&at(second)));
        }
        // A burst: the first goes at once, the others a minute behind the one that is thirty places before.
        due.extend((0..70).map(|_| place.next_message(30, at(40))));
        assert_eq!(due[29], at(40));
        assert_eq!((due[30], due[31], due[58]), (at(60), at(61), at(88)));
        for (index, &later) in due.iter().enumerate().skip(30) {
            assert!(later >= after_a_minute(due[index - 30]), "{index}");
        }
        assert_eq!(place.next_message(0, at(41)), at(41));
        assert_eq!(place.next_message(30, at(1000)), at(1000));
        assert_eq!(place.with(|known| known.messages.len()), 1);
    }
}
