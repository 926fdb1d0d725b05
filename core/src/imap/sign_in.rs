//! From TCP to a session that is signed in: greeting, STARTTLS, CAPABILITY, AUTHENTICATE and what travels with it.

use super::command::Command;
use super::engine::ImapEngine;
use super::response::{Response, Tag, Untagged};
use super::select::{Access, Selected};
use super::status::{Condition, StatusLine};
use crate::error::{Error, ErrorKind, Layer, Result, ServerReply};
use crate::net::{Connector, Endpoint, Security};
use crate::sasl::{self, Challenge, InitialResponse, Login, Mechanism};
use crate::token::Token;

const NAME: &str = "AUTHENTICATE";
/// Longest initial response that goes on the command's line: servers bound command lines at 8 KB (Dovecot) to 10 KB
/// (Exchange on premises).
const ONE_LINE: usize = 8_000;
/// Challenges that are answered before the server is given up.
const MAX_CHALLENGES: usize = 3;

/// The folder to open right behind the login.
pub(super) type Open<'a> = Option<(&'a str, Access)>;

/// How the server answered AUTHENTICATE.
struct Verdict {
    status: StatusLine,
    challenge: Option<Challenge>,
    /// Commands that went out behind it.
    behind: Vec<(Tag, &'static str)>,
}

/// Connects and signs in. The token is fetched while TCP, TLS, greeting and capabilities are under way.
pub(super) async fn connect(
    connector: &Connector,
    endpoint: &Endpoint,
    login: &Login,
    open: Open<'_>,
) -> Result<ImapEngine> {
    let select = open
        .map(|(folder, access)| Command::new(access.command()).folder(folder))
        .transpose()?;
    let (mut engine, token) = tokio::try_join!(greet(connector, endpoint), login.token())?;
    let result = sign_in(&mut engine, endpoint, login.user(), &token, open.zip(select)).await;
    if result.is_err() {
        engine.wire.close().await;
    }
    result.map(|()| engine)
}

async fn greet(connector: &Connector, endpoint: &Endpoint) -> Result<ImapEngine> {
    let mut engine = ImapEngine::new(connector.connect(endpoint, Layer::Imap).await?);
    let condition = match engine.response("greeting").await? {
        Response::Untagged(Untagged::Status(status)) => status.condition,
        Response::Stray(text) => {
            let status = StatusLine::read(Condition::Bye, text.as_bytes());
            let error = engine.refused("greeting", ErrorKind::Protocol, &status);
            engine.wire.cut();
            return Err(error);
        }
        _ => {
            return Err(
                engine.out_of_step("greeting", "the server does not begin with a greeting".to_owned())
            );
        }
    };
    match condition {
        Condition::Ok => {}
        // Signed in as whom? And in clear text it keeps a client from STARTTLS.
        Condition::PreAuth => {
            return Err(engine.out_of_step(
                "greeting",
                "the server says that this connection is signed in already (PREAUTH)".to_owned(),
            ));
        }
        _ => return Err(engine.out_of_step("greeting", "the server greets with a refusal".to_owned())),
    }
    if endpoint.security == Security::StartTls {
        start_tls(&mut engine, connector, endpoint).await?;
    }
    // Most servers tell their capabilities in the greeting; Exchange does not.
    if engine.capabilities.iter().next().is_none() {
        engine
            .run(&Command::new("CAPABILITY"), ErrorKind::Rejected, &mut |_| {})
            .await?;
    }
    Ok(engine)
}

async fn start_tls(engine: &mut ImapEngine, connector: &Connector, endpoint: &Endpoint) -> Result<()> {
    let told = engine.capabilities.iter().next().is_some();
    if told && !engine.capabilities.has("STARTTLS") {
        return Err(engine
            .wire
            .no_tls("STARTTLS", "the server does not offer STARTTLS"));
    }
    let tag = engine.issue(&Command::new("STARTTLS")).await?;
    let status = engine.status(tag, "STARTTLS", &mut |_| {}).await?;
    if status.condition != Condition::Ok {
        let server = engine
            .refused("STARTTLS", ErrorKind::Unsupported, &status)
            .server()
            .cloned();
        let error = engine.wire.no_tls("STARTTLS", "the server refuses STARTTLS");
        return Err(error.with_server(server.unwrap_or_default()));
    }
    engine.wire.start_tls(connector.tls(), &endpoint.host).await?;
    // What was said in clear text may have been written by anybody (RFC 3501 §6.2.1).
    engine.capabilities = Default::default();
    Ok(())
}

async fn sign_in(
    engine: &mut ImapEngine,
    endpoint: &Endpoint,
    user: &str,
    token: &Token,
    open: Option<((&str, Access), Command)>,
) -> Result<()> {
    let offered = engine.capabilities.mechanisms();
    let (mechanism, response) = sasl::prepare(&mut engine.wire, NAME, offered, endpoint, user, token)?;
    let one_line = engine.capabilities.has("SASL-IR") && response.len() <= ONE_LINE;
    let mut verdict = authenticate(engine, mechanism, &response, one_line, open.as_ref()).await?;
    if one_line && is_about_the_line(engine, &verdict) {
        // The connection stays in step: what went out behind was answered too.
        for (tag, name) in std::mem::take(&mut verdict.behind) {
            engine.status(tag, name, &mut |_| {}).await?;
        }
        verdict = authenticate(engine, mechanism, &response, false, open.as_ref()).await?;
    }
    if verdict.status.condition != Condition::Ok || verdict.status.diagnosis().is_some() {
        return Err(refused(engine, &verdict));
    }
    for (tag, name) in verdict.behind {
        let status = engine.status(tag, name, &mut |_| {}).await?;
        if matches!(name, "SELECT" | "EXAMINE") {
            settle_select(engine, name, &status)?;
        } else if status.condition != Condition::Ok {
            // `BAD User is authenticated but not connected.` is why NAMESPACE is asked at all. A server that does
            // not know the command is none the worse for it.
            let error = engine.refused(name, ErrorKind::Rejected, &status);
            if error.kind() != ErrorKind::Rejected {
                return Err(error);
            }
        }
    }
    Ok(())
}

/// Whether the server's complaint may be about the initial response standing on the command's line: then two steps
/// are tried, once. A refusal of the token itself (NO, or behind a challenge) is final.
fn is_about_the_line(engine: &ImapEngine, verdict: &Verdict) -> bool {
    verdict.status.condition == Condition::Bad
        && verdict.challenge.is_none()
        && engine.refused(NAME, ErrorKind::Rejected, &verdict.status).kind() == ErrorKind::Rejected
}

/// Sends AUTHENTICATE, and in the same flight what is asked of every signed-in session.
///
/// What goes out behind is lost if the server refuses: one that sends a failure challenge takes the next line for the
/// answer to it, Exchange answers BAD to each. The connection is closed then, so neither matters.
async fn authenticate(
    engine: &mut ImapEngine,
    mechanism: Mechanism,
    response: &InitialResponse,
    one_line: bool,
    open: Option<&((&str, Access), Command)>,
) -> Result<Verdict> {
    let tag = engine.tag();
    let line = format!("A{tag} {NAME} {}", mechanism.name());
    if one_line {
        engine
            .wire
            .secret_command(&format!("{line} "), response.secret())?;
    } else {
        engine.wire.command(&line)?;
        if let Some(status) = engine.continuation(tag, NAME).await? {
            return Ok(Verdict {
                status,
                challenge: None,
                behind: Vec::new(),
            });
        }
        engine.wire.secret_command("", response.secret())?;
    }
    let mut behind = Vec::new();
    for name in ["CAPABILITY", "NAMESPACE"] {
        behind.push((engine.issue(&Command::new(name)).await?, name));
    }
    if let Some(((folder, access), command)) = open {
        engine.selected = Some(Selected::new(folder, *access));
        behind.push((engine.issue(command).await?, command.name));
    }
    let mut challenge = None;
    for _ in 0..=MAX_CHALLENGES {
        let Some(status) = await_status_or_challenge(engine, tag, &mut challenge).await? else {
            continue;
        };
        return Ok(Verdict {
            status,
            challenge,
            behind,
        });
    }
    Err(engine.out_of_step(
        NAME,
        "the server sends one SASL challenge after the other".to_owned(),
    ))
}

/// The end of AUTHENTICATE, or `None` after a challenge. It is not answered: the line that went out behind was taken
/// for the answer, and any answer ends the exchange with a refusal.
async fn await_status_or_challenge(
    engine: &mut ImapEngine,
    tag: Tag,
    challenge: &mut Option<Challenge>,
) -> Result<Option<StatusLine>> {
    loop {
        if let Some(status) = engine.ended(tag) {
            return Ok(Some(status));
        }
        if let Response::Continuation(text) = engine.response(NAME).await? {
            // Kept even where it can't be decoded: that there was one tells that the token was looked at.
            *challenge = Some(Challenge::decode(&String::from_utf8_lossy(&text)).unwrap_or_default());
            return Ok(None);
        }
    }
}

fn refused(engine: &ImapEngine, verdict: &Verdict) -> Error {
    let Some(challenge) = &verdict.challenge else {
        return engine.refused(NAME, ErrorKind::AuthRejected, &verdict.status);
    };
    // What the server thinks of the token it has said in the challenge; the verdict's words may be about the line that
    // stood where the answer was due, such as "invalid base64".
    let mut reply = ServerReply::text(engine.wire.tap().scrub(&verdict.status.text));
    reply.challenge = Some(engine.wire.tap().scrub(&challenge.to_string()));
    crate::doctor::refusal(Layer::Imap, NAME, ErrorKind::AuthRejected, reply)
}

/// Takes in the end of SELECT or EXAMINE: after a refusal no folder is open (RFC 3501 §6.3.1).
pub(super) fn settle_select(
    engine: &mut ImapEngine,
    name: &'static str,
    status: &StatusLine,
) -> Result<Selected> {
    let selected = match (&mut engine.selected, status.condition) {
        (Some(selected), Condition::Ok) => {
            selected.observe_status(status);
            Some(selected.clone())
        }
        _ => None,
    };
    selected.ok_or_else(|| {
        engine.selected = None;
        engine.refused(name, ErrorKind::NotFound, status)
    })
}
