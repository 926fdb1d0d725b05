//! Every governor of the process.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use super::{Governor, Limits};

/// How many governors are kept that nobody uses, for what they remember: some 10 MB.
const MAX_IDLE: usize = 10_000;
/// Below this many nothing is tidied up.
const FEW: usize = 256;

/// What makes two callers share a governor.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) authority: String,
    pub(crate) tenant: String,
    /// In lower case.
    pub(crate) mailbox: String,
}

/// Every governor that is used, and those whose mailbox was let go of while they still had something to remember.
#[derive(Debug, Default)]
pub(super) struct Registry(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    governors: HashMap<Key, Arc<Governor>>,
    /// From this many on it is worth looking for those that can go.
    full: usize,
}

impl Registry {
    pub(super) fn governor(&self, key: Key, limits: &Limits) -> Arc<Governor> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(governor) = state.governors.get(&key) {
            // One that nobody uses and that has nothing to remember is as good as a new one.
            if Arc::strong_count(governor) > 1 || governor.limits == *limits || governor.remembers() {
                return governor.clone();
            }
        }
        if state.governors.len() >= state.full.max(FEW) {
            state.tidy();
        }
        let governor = Arc::new(Governor::new(limits.clone()));
        state.governors.insert(key, governor.clone());
        governor
    }
}

impl State {
    fn tidy(&mut self) {
        let is_used = |governor: &Arc<Governor>| Arc::strong_count(governor) > 1;
        self.governors
            .retain(|_, governor| is_used(governor) || governor.remembers());
        let mut idle: Vec<(u32, Key)> = self
            .governors
            .iter()
            .filter(|(_, governor)| !is_used(governor))
            .map(|(key, governor)| (governor.day.used(), key.clone()))
            .collect();
        if idle.len() > MAX_IDLE {
            // Those go that are farthest from their limit.
            idle.sort_by_key(|(used, _)| *used);
            for (_, key) in idle.iter().take(idle.len() - MAX_IDLE) {
                self.governors.remove(key);
            }
        }
        self.full = self.governors.len() * 2;
    }
}

/// That of the process.
pub(super) fn shared() -> &'static Registry {
    static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::default);
    &REGISTRY
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::Envelope;

    fn key(number: usize) -> Key {
        Key {
            authority: "https://login.example/".to_owned(),
            tenant: "contoso.example".to_owned(),
            mailbox: format!("m{number}@contoso.example"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn governors_are_shared_and_forgotten_when_they_have_nothing_to_remember() {
        let (registry, limits) = (Registry::default(), Limits::default());
        let held = registry.governor(key(0), &limits);
        assert!(Arc::ptr_eq(&held, &registry.governor(key(0), &limits)));
        let other = Key {
            tenant: "fabrikam.example".to_owned(),
            ..key(0)
        };
        assert!(!Arc::ptr_eq(&held, &registry.governor(other, &limits)));
        // Sending is remembered though nobody holds it.
        let envelope = Envelope::new(None, vec!["ann@example.com".to_owned()]).unwrap();
        drop(registry.governor(key(1), &limits).count(&envelope).unwrap());
        for number in 2..5 * FEW {
            registry.governor(key(number), &limits);
        }
        assert_eq!(registry.governor(key(1), &limits).day.used(), 1);
        assert!(Arc::ptr_eq(&held, &registry.governor(key(0), &limits)));
        assert!(registry.0.lock().unwrap().governors.len() <= 2 * FEW + 2);
        tokio::time::advance(std::time::Duration::from_secs(25 * 3600)).await;
        assert!(!registry.governor(key(1), &limits).remembers());
    }
}
