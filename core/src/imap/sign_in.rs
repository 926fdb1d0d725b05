//! From TCP to a session that is signed in: greeting, STARTTLS, CAPABILITY, AUTHENTICATE and what travels with it.

use bytes::Bytes;

use super::command::Command;
use super::engine::ImapEngine;
use super::response::{Response, Tag, Untagged};
use super::select::{Access, Selected};
use super::status::{Condition, StatusLine};
use super::swallowing;
use crate::error::{ErrorKind, Layer, Result};
use crate::net::{Connector, Endpoint, Security};
use crate::sasl::{self, Challenge, InitialResponse, Login, Mechanism};
use crate::token::Token;

const NAME: &str = "AUTHENTICATE";
/// Longest initial response that goes on the command's line: servers bound command lines at 8 KB (Dovecot) to 10 KB
/// (Exchange on premises).
const ONE_LINE: usize = 8_000;
/// Challenges that are answered before the server is given up.
const MAX_CHALLENGES: usize = 3;

/// Stands in the greeting of Exchange, online and on premises.
const EXCHANGE: &str = "Microsoft Exchange";

/// The folder to open right behind the login.
pub(super) type Open<'a> = Option<(&'a str, Access)>;

/// Commands under way, with their names.
pub(super) type Issued = Vec<(Tag, &'static str)>;

/// Connects and signs in. The token is fetched while TCP, TLS, greeting and capabilities are under way.
pub(super) async fn connect(
    connector: &Connector,
    endpoint: &Endpoint,
    login: &Login,
    open: Open<'_>,
) -> Result<ImapEngine> {
    let first = Opening::new(open)?;
    let (mut engine, token) = tokio::try_join!(greet(connector, endpoint), login.token())?;
    let result = sign_in(&mut engine, endpoint, login.user(), &token, &first).await;
    if result.is_err() {
        engine.wire.close().await;
    }
    result.map(|()| engine)
}

async fn greet(connector: &Connector, endpoint: &Endpoint) -> Result<ImapEngine> {
    let mut engine = ImapEngine::new(connector.connect(endpoint, Layer::Imap).await?);
    let condition = match engine.response("greeting").await? {
        Response::Untagged(Untagged::Status(status)) => {
            engine.is_exchange = status.text.contains(EXCHANGE);
            status.condition
        }
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
    first: &Opening<'_>,
) -> Result<()> {
    let offered = engine.capabilities.mechanisms();
    let (mechanism, response) = sasl::prepare(&mut engine.wire, NAME, offered, endpoint, user, token)?;
    // RFC 7628 has every server send the failure challenge.
    let pipelines = engine.is_exchange && mechanism == Mechanism::XOAuth2 && !swallowing::is_known(endpoint);
    let behind = pipelines.then_some(first);
    let one_line = engine.capabilities.has("SASL-IR") && response.len() <= ONE_LINE;
    let mut verdict = authenticate(engine, mechanism, &response, one_line, behind).await?;
    if one_line && verdict.is_about_the_line(engine) {
        // The connection stays in step: what went out behind was answered too.
        for (tag, name) in std::mem::take(&mut verdict.behind) {
            engine.status(tag, name, &mut |_| {}).await?;
        }
        verdict = authenticate(engine, mechanism, &response, false, behind).await?;
    }
    verdict.check(engine)?;
    if !pipelines {
        let issued = first.issue(engine).await?;
        return first.settle(engine, issued).await;
    }
    if swallowing::is_answered(engine, &verdict.behind).await? {
        return first.settle(engine, verdict.behind).await;
    }
    swallowing::learn(endpoint);
    let swallowed = verdict.behind.len();
    engine.abandon(verdict.behind.iter().map(|(tag, _)| *tag));
    let issued = first.issue(engine).await?;
    let result = first.settle(engine, issued).await;
    if engine.abandoned() < swallowed {
        // It was slow, that is all.
        swallowing::forget(endpoint);
    }
    result
}

/// What is asked of every session that has signed in, and the folder that is opened.
struct Opening<'a> {
    open: Open<'a>,
    commands: Vec<Command>,
}

impl<'a> Opening<'a> {
    fn new(open: Open<'a>) -> Result<Self> {
        let mut commands = vec![Command::new("CAPABILITY"), Command::new("NAMESPACE")];
        if let Some((folder, access)) = open {
            commands.push(Command::new(access.command()).folder(folder)?);
        }
        Ok(Self { open, commands })
    }

    /// Collects the commands. They change nothing, so they may go out twice.
    async fn issue(&self, engine: &mut ImapEngine) -> Result<Issued> {
        engine.selected = self.open.map(|(folder, access)| Selected::new(folder, access));
        let mut issued = Vec::new();
        for command in &self.commands {
            issued.push((engine.issue(command).await?, command.name));
        }
        Ok(issued)
    }

    /// Takes in the answers.
    async fn settle(&self, engine: &mut ImapEngine, issued: Issued) -> Result<()> {
        for (tag, name) in issued {
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
}

/// How the server answered AUTHENTICATE.
struct Verdict {
    status: StatusLine,
    /// The failure challenge before it, decoded where it can be.
    challenge: Option<String>,
    /// Commands that went out behind it.
    behind: Issued,
}

impl Verdict {
    /// Whether the server's complaint may be about the initial response standing on the command's line: then two
    /// steps are tried, once. A refusal of the token itself (NO, or behind a challenge) is final.
    fn is_about_the_line(&self, engine: &ImapEngine) -> bool {
        self.status.condition == Condition::Bad
            && self.challenge.is_none()
            && engine.refused(NAME, ErrorKind::Rejected, &self.status).kind() == ErrorKind::Rejected
    }

    fn check(&self, engine: &ImapEngine) -> Result<()> {
        if self.status.condition == Condition::Ok && self.status.diagnosis().is_none() {
            return Ok(());
        }
        let error = engine.refused(NAME, ErrorKind::AuthRejected, &self.status);
        let Some(challenge) = &self.challenge else {
            return Err(error);
        };
        let mut reply = error.server().cloned().unwrap_or_default();
        reply.challenge = Some(challenge.clone());
        Err(error.with_server(reply))
    }
}

/// One AUTHENTICATE up to its verdict.
///
/// With `behind`, what is asked of every signed-in session goes out in the same flight. That is for servers that
/// refuse without a failure challenge, as Exchange, which answers BAD to each of the lines; any other would take the
/// line for the answer to its challenge (RFC 9051 §5.5). Should one challenge after all, it has its answer.
async fn authenticate(
    engine: &mut ImapEngine,
    mechanism: Mechanism,
    response: &InitialResponse,
    one_line: bool,
    behind: Option<&Opening<'_>>,
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
    let issued = match behind {
        Some(first) => first.issue(engine).await?,
        None => Vec::new(),
    };
    // A server may pass over the initial response and ask for it, once: by an empty challenge.
    let mut may_ask = one_line;
    let mut challenge = None;
    for _ in 0..=MAX_CHALLENGES {
        let text = match verdict_or_challenge(engine, tag).await? {
            Ok(status) => {
                return Ok(Verdict {
                    status,
                    challenge,
                    behind: issued,
                });
            }
            Err(text) => String::from_utf8_lossy(&text).trim().to_owned(),
        };
        let asks = may_ask && text.is_empty();
        may_ask = false;
        if !asks {
            // Kept even where it can't be decoded: that there was one tells that the token was looked at.
            let shown = Challenge::decode(&text).map_or(text, |failure| failure.to_string());
            challenge = Some(engine.wire.tap().scrub(&shown));
        }
        match behind {
            Some(_) => {}
            None if asks => engine.wire.secret_command("", response.secret())?,
            // The verdict comes only once this is answered.
            None => engine.wire.command(mechanism.failure_answer())?,
        }
    }
    Err(engine.out_of_step(
        NAME,
        "the server sends one SASL challenge after the other".to_owned(),
    ))
}

/// The end of AUTHENTICATE, or `Err` with the text of a challenge.
async fn verdict_or_challenge(engine: &mut ImapEngine, tag: Tag) -> Result<Result<StatusLine, Bytes>> {
    loop {
        if let Some(status) = engine.ended(tag) {
            return Ok(Ok(status));
        }
        if let Response::Continuation(text) = engine.response(NAME).await? {
            return Ok(Err(text));
        }
    }
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
