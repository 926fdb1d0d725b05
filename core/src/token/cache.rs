//! The process-wide token cache.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use tokio::time::Instant;

use super::slot::Slot;

/// How many tokens are kept that no living `App` belongs to.
const MAX_IDLE: usize = 256;

/// What makes two apps share a token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) token_url: String,
    pub(crate) client_id: String,
    /// SHA-256 of the credential.
    pub(crate) fingerprint: [u8; 32],
    pub(crate) scope: String,
}

/// Every slot of the process.
#[derive(Default)]
struct Registry(Mutex<HashMap<Key, Arc<Slot>>>);

impl Registry {
    fn slot(&self, key: Key) -> Arc<Slot> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(&key) {
            return slot.clone();
        }
        // Slots that an app or a fetch holds stay: their number is the caller's own. Of the others those go that are of
        // no use any more, and the ones that end first.
        slots.retain(|_, slot| Arc::strong_count(slot) > 1 || slot.serves_until().is_some());
        let mut idle: Vec<(Instant, Key)> = slots
            .iter()
            .filter(|(_, slot)| Arc::strong_count(slot) == 1)
            .filter_map(|(key, slot)| Some((slot.serves_until()?, key.clone())))
            .collect();
        if idle.len() >= MAX_IDLE {
            idle.sort_by_key(|(ends, _)| *ends);
            for (_, key) in idle.iter().take(idle.len() + 1 - MAX_IDLE) {
                slots.remove(key);
            }
        }
        slots.entry(key).or_default().clone()
    }
}

/// The slot for `key`, shared by the whole process.
pub(crate) fn slot(key: Key) -> Arc<Slot> {
    static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::default);
    REGISTRY.slot(key)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::token::Token;

    fn key(number: usize) -> Key {
        Key {
            token_url: "https://login.example/t/oauth2/v2.0/token".to_owned(),
            client_id: number.to_string(),
            fingerprint: [7; 32],
            scope: "https://outlook.office365.com/.default".to_owned(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn slots_are_shared_by_key_and_bounded() {
        let registry = Registry::default();
        let held = registry.slot(key(0));
        assert!(Arc::ptr_eq(&held, &registry.slot(key(0))));
        for other in [
            Key {
                fingerprint: [8; 32],
                ..key(0)
            },
            Key {
                scope: "https://graph.microsoft.com/.default".to_owned(),
                ..key(0)
            },
            Key {
                token_url: "https://login.example/u/oauth2/v2.0/token".to_owned(),
                ..key(0)
            },
        ] {
            assert!(!Arc::ptr_eq(&held, &registry.slot(other)));
        }
        // Without a token a slot nobody holds is of no use.
        registry.slot(key(1));
        registry.slot(key(2));
        assert_eq!(registry.0.lock().unwrap().len(), 2);
        for number in 3..3 + 2 * MAX_IDLE {
            let life = Duration::from_secs(1000 + number as u64);
            registry
                .slot(key(number))
                .put(Token::new("t", SystemTime::now() + life));
        }
        let slots = registry.0.lock().unwrap();
        assert!(slots.len() <= MAX_IDLE + 1, "{}", slots.len());
        assert!(slots.contains_key(&key(0)), "an app holds it");
        assert!(slots.contains_key(&key(2 + 2 * MAX_IDLE)) && !slots.contains_key(&key(3)));
    }
}
