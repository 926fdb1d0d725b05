//! `tests/vectors/token.json`, each body answered by a fake transport.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use super::tests::{after, answer, secret};
use crate::doctor::{entra_cause, entra_causes};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vectors {
    tokens: Vec<Issued>,
    refusals: Vec<Refused>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Issued {
    body: Value,
    token: String,
    seconds: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refused {
    cause: Option<String>,
    status: u16,
    retry_after: Option<String>,
    body: Value,
    kind: String,
    retry: String,
    retry_after_seconds: Option<f64>,
    step: Option<String>,
}

fn vectors() -> Vectors {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/token.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn every_token_is_read() {
    for vector in vectors().tokens {
        let token = secret([answer(200, &vector.body.to_string())])
            .endpoint
            .fetch()
            .await
            .unwrap();
        assert_eq!(token.secret().expose(), vector.token);
        assert!(
            (vector.seconds - 5..=vector.seconds).contains(&token.remaining().as_secs()),
            "{}",
            vector.body
        );
    }
}

#[tokio::test(start_paused = true)]
async fn every_refusal_comes_out_as_it_says() {
    for vector in vectors().refusals {
        let mut reply = answer(vector.status, &vector.body.to_string());
        if let Some(pause) = &vector.retry_after {
            reply = after(pause.parse().unwrap(), reply);
        }
        let again = || answer(vector.status, &vector.body.to_string());
        let error = secret([reply, again(), again()])
            .endpoint
            .fetch()
            .await
            .unwrap_err();
        let (body, oauth) = (&vector.body, error.oauth().unwrap());
        assert_eq!(error.kind().name(), vector.kind, "{body}");
        assert_eq!(entra_cause(oauth), vector.cause.as_deref(), "{body}");
        let json = error.to_json();
        assert_eq!(json["retry"], vector.retry.as_str(), "{body}");
        assert_eq!(
            json["retry_after_seconds"].as_f64(),
            vector.retry_after_seconds,
            "{body}"
        );
        assert_eq!(json["step"]["id"].as_str(), vector.step.as_deref(), "{body}");
        assert!(error.hint().is_some(), "{body}");
        assert_eq!(oauth.status, vector.status);
        for field in [
            "error",
            "trace_id",
            "correlation_id",
            "timestamp",
            "suberror",
            "claims",
        ] {
            assert_eq!(
                json["oauth"][field].as_str(),
                body[field].as_str(),
                "{field} of {body}"
            );
        }
        assert_eq!(
            oauth.description,
            body["error_description"].as_str().unwrap_or_default()
        );
    }
}

#[test]
fn every_cause_has_a_vector() {
    let seen: BTreeSet<_> = vectors()
        .refusals
        .into_iter()
        .filter_map(|vector| vector.cause)
        .collect();
    assert_eq!(seen, entra_causes().map(str::to_owned).collect());
}
