//! What the token endpoint answers, read leniently: Entra's error fields, numbers written as strings.

use std::fmt;
use std::time::Duration;

use oauth2::basic::BasicTokenType;
use oauth2::{AccessToken, ErrorResponse, RefreshToken, Scope, TokenResponse};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::error::OAuthReply;

/// A longer description is cut: it goes into logs.
const MAX_TEXT: usize = 4096;
/// More numbers than this are not kept.
const MAX_CODES: usize = 16;

/// A token. Its `Debug` is the `oauth2` crate's, which blanks the token.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct EntraToken {
    access_token: AccessToken,
    #[serde(default = "bearer")]
    token_type: BasicTokenType,
    #[serde(default, deserialize_with = "lenient_seconds")]
    expires_in: Option<u64>,
}

impl TokenResponse for EntraToken {
    type TokenType = BasicTokenType;

    fn access_token(&self) -> &AccessToken {
        &self.access_token
    }

    fn token_type(&self) -> &BasicTokenType {
        &self.token_type
    }

    fn expires_in(&self) -> Option<Duration> {
        self.expires_in.map(Duration::from_secs)
    }

    /// Never there in this grant.
    fn refresh_token(&self) -> Option<&RefreshToken> {
        None
    }

    /// Entra answers with what was asked for.
    fn scopes(&self) -> Option<&Vec<Scope>> {
        None
    }
}

/// A refusal (RFC 6749 §5.2) with Entra's fields, which `oauth2::StandardErrorResponse` would drop.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct EntraRefusal {
    error: String,
    #[serde(default, deserialize_with = "lenient_text")]
    error_description: Option<String>,
    #[serde(default, deserialize_with = "lenient_codes")]
    error_codes: Vec<u32>,
    #[serde(default, deserialize_with = "lenient_text")]
    suberror: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    correlation_id: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    trace_id: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    timestamp: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    claims: Option<String>,
}

impl ErrorResponse for EntraRefusal {}

impl fmt::Display for EntraRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.error)
    }
}

impl EntraRefusal {
    /// The refusal for an [`Error`](crate::Error); `scrub` blanks what the server may have echoed.
    pub(crate) fn into_reply(self, status: u16, scrub: impl Fn(&str) -> String) -> OAuthReply {
        let clean = |text: String| {
            let mut text = scrub(&text);
            if text.len() > MAX_TEXT {
                text.truncate(text.floor_char_boundary(MAX_TEXT));
                text.push('…');
            }
            text
        };
        let description = self.error_description.map(clean).unwrap_or_default();
        let mut codes = self.error_codes;
        if codes.is_empty() {
            codes = codes_in(&description);
        }
        OAuthReply {
            error: clean(self.error),
            codes,
            suberror: self.suberror.map(clean),
            correlation_id: self.correlation_id.map(clean),
            trace_id: self.trace_id.map(clean),
            timestamp: self.timestamp.map(clean),
            claims: self.claims.map(clean),
            description,
            status,
        }
    }
}

/// Every `AADSTS<number>` of a text, in order, each once. Never by line: Entra changed its line ends.
pub(crate) fn codes_in(text: &str) -> Vec<u32> {
    let mut codes = Vec::new();
    for (at, marker) in text.match_indices("AADSTS") {
        let rest = text.get(at + marker.len()..).unwrap_or_default();
        let digits = rest
            .find(|char: char| !char.is_ascii_digit())
            .unwrap_or(rest.len());
        if let Ok(code) = rest.get(..digits).unwrap_or_default().parse()
            && !codes.contains(&code)
            && codes.len() < MAX_CODES
        {
            codes.push(code);
        }
    }
    codes
}

fn bearer() -> BasicTokenType {
    BasicTokenType::Bearer
}

/// A number on v2, a string on v1.
fn lenient_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Number(number) => number
            .as_u64()
            .or_else(|| number.as_f64().map(|seconds| seconds as u64)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    })
}

fn lenient_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => Some(text),
        Value::Null => None,
        other => Some(other.to_string()),
    })
}

fn lenient_codes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u32>, D::Error> {
    let items = match Value::deserialize(deserializer)? {
        Value::Array(items) => items,
        Value::Null => Vec::new(),
        single => vec![single],
    };
    let number = |item: &Value| match item {
        Value::Number(number) => number.as_u64().and_then(|code| u32::try_from(code).ok()),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    Ok(items.iter().filter_map(number).take(MAX_CODES).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(json: &str) -> OAuthReply {
        serde_json::from_str::<EntraRefusal>(json)
            .unwrap()
            .into_reply(401, str::to_owned)
    }

    #[test]
    fn every_field_of_a_refusal_is_kept() {
        let reply = reply(
            r#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided.\r\nTrace ID: 1ac2",
               "error_codes":[7000215],"timestamp":"2022-08-02 12:02:24Z","trace_id":"1ac2","correlation_id":"da2d",
               "error_uri":"https://login.microsoftonline.com/error?code=7000215","suberror":"bad_token","claims":"{\"x\":1}"}"#,
        );
        assert_eq!((reply.error.as_str(), reply.status), ("invalid_client", 401));
        assert_eq!(reply.codes, [7_000_215]);
        assert!(reply.description.starts_with("AADSTS7000215: Invalid"));
        assert_eq!(reply.timestamp.as_deref(), Some("2022-08-02 12:02:24Z"));
        assert_eq!(
            (reply.trace_id.as_deref(), reply.correlation_id.as_deref()),
            (Some("1ac2"), Some("da2d"))
        );
        assert_eq!(
            (reply.suberror.as_deref(), reply.claims.as_deref()),
            (Some("bad_token"), Some("{\"x\":1}"))
        );
    }

    #[test]
    fn numbers_are_found_in_the_text_where_the_field_is_missing() {
        assert_eq!(
            reply(r#"{"error":"x","error_description":"AADSTS700016: AADSTS AADSTS99999999999 AADSTS700016 AADSTS90002é"}"#).codes,
            [700_016, 90_002]
        );
        assert_eq!(reply(r#"{"error":"x","error_codes":"53003"}"#).codes, [53_003]);
        assert_eq!(
            reply(r#"{"error":"x","error_codes":["7","a",-1,{}],"claims":{"a":1},"trace_id":null}"#).codes,
            [7]
        );
    }

    #[test]
    fn texts_are_bounded() {
        let long = format!(
            r#"{{"error":"x","error_description":"{}"}}"#,
            "é".repeat(MAX_TEXT)
        );
        assert!(reply(&long).description.len() <= MAX_TEXT + '…'.len_utf8());
    }

    #[test]
    fn a_tokens_life_may_be_written_as_a_string() {
        for (json, seconds) in [
            ("3599", Some(3599)),
            ("\"3599\"", Some(3599)),
            ("3599.9", Some(3599)),
            ("null", None),
            ("[]", None),
        ] {
            let token: EntraToken = serde_json::from_str(&format!(
                r#"{{"access_token":"t","expires_in":{json},"ext_expires_in":"x"}}"#
            ))
            .unwrap();
            assert_eq!(token.expires_in(), seconds.map(Duration::from_secs), "{json}");
            assert!(!format!("{token:?}").contains("\"t\""));
        }
    }
}
