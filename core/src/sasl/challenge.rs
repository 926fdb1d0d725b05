//! The failure challenge: base64 of a JSON object (RFC 7628 §3.2.2). Dovecot, Postfix and Gmail send it, Exchange
//! refuses directly.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

/// A challenge over this size is not looked into.
const MAX_CHALLENGE: usize = 8 * 1024;

/// A decoded failure challenge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// `status`: such as `invalid_token`, or an HTTP status such as `401`.
    #[serde(default)]
    pub status: String,
    /// `schemes`: what the server would take.
    #[serde(default)]
    pub schemes: Option<String>,
    /// `scope`: what the token should be for.
    #[serde(default)]
    pub scope: Option<String>,
}

impl Challenge {
    /// Decodes the text behind `334 ` or `+ `. `None` when it is no failure challenge, such as the empty text by which
    /// a server asks for the response.
    pub fn decode(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() || text.len() > MAX_CHALLENGE {
            return None;
        }
        serde_json::from_slice(&BASE64_STANDARD.decode(text).ok()?).ok()
    }
}

impl std::fmt::Display for Challenge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "status {}", self.status)?;
        for (name, value) in [("schemes", &self.schemes), ("scope", &self.scope)] {
            if let Some(value) = value {
                write!(f, ", {name} {value}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn googles_challenge_is_decoded() {
        let challenge =
            Challenge::decode("eyJzdGF0dXMiOiI0MDEiLCJzY2hlbWVzIjoiYmVhcmVyIG1hYyIsInNjb3BlIjoiaHR0cHM6Ly9tYWlsLmdvb2dsZS5jb20vIn0K")
                .unwrap();
        assert_eq!(challenge.status, "401");
        assert_eq!(
            challenge.to_string(),
            "status 401, schemes bearer mac, scope https://mail.google.com/"
        );
    }

    #[test]
    fn what_is_no_failure_challenge_is_none() {
        for text in ["", "  ", "VXNlcm5hbWU6", "%%%", &"A".repeat(9_000)] {
            assert_eq!(Challenge::decode(text), None, "{text:.20}");
        }
    }
}
