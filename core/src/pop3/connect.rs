//! From TCP to a session that is signed in: greeting, CAPA, STLS, AUTH in two steps.

use super::engine::Pop3Engine;
use super::reply::Status;
use crate::error::{Error, ErrorKind, Layer, Result};
use crate::net::{Connector, Endpoint, Security};
use crate::sasl::{self, Challenge, Login, Mechanism};
use crate::token::Token;

/// Exchange's POP3 front end refuses longer tokens (seen since July 2025, MailKit issue 1948).
const EXCHANGE_TOKEN: usize = 4096;
/// Challenges that are answered before the server is given up.
const MAX_CHALLENGES: usize = 3;

pub(super) async fn connect(connector: &Connector, endpoint: &Endpoint, login: &Login) -> Result<Pop3Engine> {
    // The token is fetched while TCP, TLS and the greeting are under way.
    let (mut engine, token) = tokio::try_join!(open(connector, endpoint), login.token())?;
    sign_in(&mut engine, endpoint, login.user(), &token).await?;
    Ok(engine)
}

async fn open(connector: &Connector, endpoint: &Endpoint) -> Result<Pop3Engine> {
    let mut engine = Pop3Engine::new(connector.connect(endpoint, Layer::Pop3).await?);
    engine.answer("greeting", ErrorKind::Unavailable).await?;
    engine.capa().await?;
    if endpoint.security == Security::StartTls {
        start_tls(&mut engine, connector, endpoint).await?;
        // What was said in clear text may have been written by anybody (RFC 2595 §4).
        engine.capa().await?;
    }
    Ok(engine)
}

async fn start_tls(engine: &mut Pop3Engine, connector: &Connector, endpoint: &Endpoint) -> Result<()> {
    // A server that refuses CAPA may still know STLS: it is asked, and never is anything said without TLS.
    if !engine.capabilities.is_empty() && !engine.capabilities.has("STLS") {
        return Err(engine.wire.no_tls("STLS", "the server does not offer STLS"));
    }
    match engine.command("STLS", "STLS", ErrorKind::Unsupported).await {
        Ok(_) => engine.wire.start_tls(connector.tls(), &endpoint.host).await,
        Err(error) => match error.server().cloned() {
            Some(reply) => Err(engine
                .wire
                .no_tls("STLS", "the server refuses STLS")
                .with_server(reply)),
            None => Err(error),
        },
    }
}

async fn sign_in(engine: &mut Pop3Engine, endpoint: &Endpoint, user: &str, token: &Token) -> Result<()> {
    let offered = match engine.capabilities.sasl() {
        // A server that does not say is asked for Exchange's mechanism.
        None => vec![Mechanism::XOAuth2.name()],
        Some(offered) => offered.iter().map(String::as_str).collect(),
    };
    let (mechanism, response) = sasl::prepare(&mut engine.wire, "AUTH", offered, endpoint, user, token)?;
    // Always in two steps: Exchange closes the connection on a response behind the mechanism's name.
    engine.in_step("AUTH")?;
    engine.wire.command(&format!("AUTH {}", mechanism.name()))?;
    match engine.status("AUTH").await? {
        Status::Continue(_) => engine.wire.secret_command("", response.secret())?,
        Status::Err(text) => return Err(refused(engine, &text, token, None)),
        Status::Ok(_) => {
            return Err(engine.out_of_step(
                "AUTH",
                "the server accepts before it was told who signs in".to_owned(),
            ));
        }
    }
    let mut challenge = None;
    for _ in 0..=MAX_CHALLENGES {
        match engine.status("AUTH").await? {
            Status::Ok(_) => return Ok(()),
            Status::Err(text) => return Err(refused(engine, &text, token, challenge)),
            // The verdict comes only once this is answered.
            Status::Continue(text) => {
                challenge = Challenge::decode(&text).or(challenge);
                engine.wire.command(mechanism.failure_answer())?;
            }
        }
    }
    Err(engine.out_of_step(
        "AUTH",
        "the server sends one SASL challenge after the other".to_owned(),
    ))
}

fn refused(engine: &Pop3Engine, text: &str, token: &Token, challenge: Option<Challenge>) -> Error {
    let length = token.secret().len();
    let too_long = length > EXCHANGE_TOKEN && text.to_ascii_lowercase().contains("protocol error");
    let kind = if too_long {
        ErrorKind::TokenUnusable
    } else {
        ErrorKind::AuthRejected
    };
    let mut error = engine.refused("AUTH", kind, text);
    if let Some(challenge) = challenge {
        let mut reply = error.server().cloned().unwrap_or_default();
        reply.challenge = Some(engine.wire.tap().scrub(&challenge.to_string()));
        error = error.with_server(reply);
    }
    if too_long {
        error = error.with_hint(format!(
            "the token has {length} characters and Exchange's POP3 takes no more than {EXCHANGE_TOKEN}: take roles \
             that are not needed away from the app, or read by IMAP"
        ));
    }
    error
}
