//! The golden SASL strings of `tests/vectors/xoauth2.json`. (The texts of `refusals.json` are tested beside their table,
//! in `src/doctor/table.rs`.)

use exomail::sasl::{Challenge, Mechanism};
use exomail::{ErrorKind, Secret};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vectors {
    responses: Vec<Response>,
    refused: Vec<Refused>,
    challenges: Vec<Failure>,
    no_challenges: Vec<Other>,
}

#[derive(Deserialize)]
struct Response {
    mechanism: String,
    user: String,
    token: String,
    #[serde(default)]
    host: String,
    #[serde(default)]
    port: u16,
    initial_response: String,
}

#[derive(Deserialize)]
struct Refused {
    user: String,
    token: String,
}

#[derive(Deserialize)]
struct Failure {
    challenge: String,
    status: String,
    schemes: Option<String>,
    scope: Option<String>,
}

#[derive(Deserialize)]
struct Other {
    challenge: String,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../../tests/vectors/xoauth2.json")).unwrap()
}

#[test]
fn initial_responses_are_byte_for_byte() {
    for vector in vectors().responses {
        let mechanism = Mechanism::choose([vector.mechanism.as_str()]).unwrap();
        assert_eq!(mechanism.name(), vector.mechanism);
        let response = mechanism
            .initial_response(
                &vector.user,
                &Secret::new(vector.token),
                &vector.host,
                vector.port,
            )
            .unwrap();
        assert_eq!(response.secret().expose(), vector.initial_response);
    }
}

#[test]
fn what_would_break_the_string_is_refused() {
    for vector in vectors().refused {
        for mechanism in [Mechanism::XOAuth2, Mechanism::OAuthBearer] {
            let error = mechanism
                .initial_response(
                    &vector.user,
                    &Secret::new(vector.token.as_str()),
                    "h.example",
                    993,
                )
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{:?}", vector.user);
        }
    }
}

#[test]
fn failure_challenges_are_told_from_requests() {
    for vector in vectors().challenges {
        let challenge = Challenge::decode(&vector.challenge).unwrap();
        assert_eq!(challenge.status, vector.status);
        assert_eq!(challenge.schemes, vector.schemes);
        assert_eq!(challenge.scope, vector.scope);
    }
    for vector in vectors().no_challenges {
        assert_eq!(Challenge::decode(&vector.challenge), None, "{}", vector.challenge);
    }
}
