//! [`OutboxId`]: the name of a message in an outbox.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::error::{Error, ErrorKind, Result};

/// How many hexadecimal digits of the hash are taken.
const DIGITS: usize = 32;

/// The name of a message in an outbox, made from its Message-ID: 32 hexadecimal digits, and `-2` and so on for one
/// that was queued again on purpose.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct OutboxId(String);

impl OutboxId {
    /// The `copy`-th message with this Message-ID, counted from 1.
    pub(super) fn new(message_id: &str, copy: u32) -> Self {
        let hash = Sha256::digest(message_id);
        let mut name: String = hash
            .iter()
            .take(DIGITS / 2)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        if copy > 1 {
            name += &format!("-{copy}");
        }
        Self(name)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OutboxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for OutboxId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (hash, copy) = text.split_once('-').unwrap_or((text, "2"));
        let is_hash =
            hash.len() == DIGITS && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let is_copy = (1..=9).contains(&copy.len())
            && !copy.starts_with('0')
            && copy != "1"
            && copy.bytes().all(|byte| byte.is_ascii_digit());
        if is_hash && is_copy {
            return Ok(Self(text.to_owned()));
        }
        let detail = format!("{text:?} is no id of an outbox");
        Err(Error::new(ErrorKind::InvalidArgument, "outbox", detail)
            .with_hint("give an id as `exomail outbox list` shows it"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_harmless_file_name() {
        for copy in [1, 2, 77] {
            let id = OutboxId::new("1@example.com", copy);
            assert_eq!(id.as_str().parse::<OutboxId>().unwrap(), id);
        }
        let hash = "0123456789abcdef0123456789abcdef";
        for text in ["", "..", "-2", &hash[1..], &hash.to_uppercase()] {
            assert!(text.parse::<OutboxId>().is_err(), "{text:?}");
        }
        for copy in ["-", "-0", "-1", "-02", "-x", "-2-3", "-1234567890", "/../x"] {
            assert!(format!("{hash}{copy}").parse::<OutboxId>().is_err(), "{copy}");
        }
    }
}
