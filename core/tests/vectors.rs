//! The golden SASL strings of `tests/vectors/xoauth2.json`. (The texts of `refusals.json` are tested beside their table,
//! in `src/doctor/table.rs`.)
#![allow(clippy::unwrap_used, reason = "a test that fails should panic")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use exomail::imap::ImapSession;
use exomail::pop3::Pop3Session;
use exomail::sasl::{Challenge, Login, Mechanism};
use exomail::smtp::SmtpSession;
use exomail::{ErrorKind, Result, Secret, Security, StaticToken, Token};
use serde::Deserialize;
use support::{Peer, Scripted, serve};
use tokio::sync::mpsc;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vectors {
    responses: Vec<Response>,
    refused: Vec<Refused>,
    challenges: Vec<Failure>,
    no_challenges: Vec<Other>,
    exchanges: Vec<Exchange>,
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

#[derive(Clone, Deserialize)]
struct Exchange {
    name: String,
    protocol: String,
    mechanism: String,
    user: String,
    token_length: usize,
    lines: Vec<String>,
    kind: Option<String>,
    challenge: Option<String>,
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

/// Plays the server's side. `Err` says which line of the client was another one.
async fn play(exchange: &Exchange, token: &str, port: u16, peer: &mut Peer) -> Result<(), String> {
    let user = &exchange.user;
    let response = BASE64_STANDARD.encode(match exchange.mechanism.as_str() {
        "XOAUTH2" => format!("user={user}\x01auth=Bearer {token}\x01\x01"),
        _ => format!("n,a={user},\x01host=localhost\x01port={port}\x01auth=Bearer {token}\x01\x01"),
    });
    let mut tags: Vec<(String, String)> = Vec::new();
    for line in &exchange.lines {
        let (side, text) = line.split_once(": ").unwrap();
        let mut text = text.replace("$response", &response);
        for (name, tag) in &tags {
            text = text.replace(name, tag);
        }
        if side == "S" {
            peer.send(text + "\r\n").await;
            continue;
        }
        let said = peer.line().await;
        if text.starts_with('$')
            && let Some((name, rest)) = text.clone().split_once(' ')
            && let Some((tag, _)) = said.split_once(' ')
        {
            tags.push((name.to_owned(), tag.to_owned()));
            text = format!("{tag} {rest}");
        }
        let fits = match text.strip_suffix('*') {
            Some(prefix) => said.starts_with(prefix),
            None => said == text,
        };
        if !fits {
            return Err(format!("{said:.200} instead of {text:.200}"));
        }
    }
    // The client hangs up, with or without a word.
    let rest = peer.until(b"\0").await;
    if rest.is_empty() || rest == b"QUIT\r\n" {
        Ok(())
    } else {
        Err(format!(
            "{:?} behind the last line",
            String::from_utf8_lossy(&rest)
        ))
    }
}

async fn connect(exchange: &Exchange, server: &Scripted, login: &Login) -> Result<()> {
    let (connector, endpoint) = (&server.connector, &server.endpoint);
    match exchange.protocol.as_str() {
        "smtp" => SmtpSession::connect(connector, endpoint, login).await.map(drop),
        "imap" => ImapSession::connect(connector, endpoint, login).await.map(drop),
        "pop3" => Pop3Session::connect(connector, endpoint, login).await.map(drop),
        other => panic!("unknown protocol {other}"),
    }
}

#[tokio::test]
async fn sign_ins_are_line_for_line() {
    for exchange in vectors().exchanges {
        let name = exchange.name.clone();
        let token = "t".repeat(exchange.token_length);
        let (verdict, mut played) = mpsc::unbounded_channel();
        let (script, text) = (exchange.clone(), token.clone());
        // OAUTHBEARER names the port, which is known only once the server runs.
        let port = Arc::new(Mutex::new(0));
        let told = port.clone();
        let server = serve(Security::ImplicitTls, move |mut peer: Peer| {
            let (script, text, verdict) = (script.clone(), text.clone(), verdict.clone());
            let port = *told.lock().unwrap();
            async move {
                verdict.send(play(&script, &text, port, &mut peer).await).unwrap();
            }
        })
        .await;
        *port.lock().unwrap() = server.endpoint.port;
        let expires = SystemTime::now() + Duration::from_secs(3600);
        let login = Login::new(
            exchange.user.as_str(),
            StaticToken(Token::new(token.as_str(), expires)),
        )
        .unwrap();
        let result = connect(&exchange, &server, &login).await;
        assert_eq!(played.recv().await, Some(Ok(())), "{name}");
        match &exchange.kind {
            None => result.unwrap_or_else(|error| panic!("{name}: {error}")),
            Some(kind) => {
                let error = result.expect_err(&name);
                assert_eq!(error.kind().name(), kind, "{name}");
                let server = error.server().unwrap();
                assert_eq!(server.challenge, exchange.challenge, "{name}");
                assert!(!error.to_string().contains(&token[..20]), "{name}");
            }
        }
    }
}
