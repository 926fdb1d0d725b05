//! Greeting, EHLO, STARTTLS, AUTH.

use super::Capabilities;
use super::dialogue::Dialogue;
use super::reply::Reply;
use crate::error::{Error, ErrorKind, Layer, Result};
use crate::net::{Connector, Endpoint, Security};
use crate::sasl::{self, Challenge, InitialResponse, Mechanism};
use crate::token::Token;

/// How we name ourselves. An address literal is always valid (RFC 5321 §4.1.3), and this one tells nothing about the
/// machine, whose name and address would otherwise stand in the Received header of every mail.
const EHLO: &str = "EHLO [127.0.0.1]";
/// The longest AUTH line, with its CRLF, that carries the response; above it, two steps. RFC 4954 §4: "12288 octets is
/// considered to be a sufficient line length limit".
const MAX_AUTH_LINE: usize = 12_288;
/// A server that goes on challenging is refused.
const MAX_CHALLENGES: usize = 4;

/// Connects up to the point where the token is needed. There is TLS then, or an error.
pub(super) async fn connect(connector: &Connector, endpoint: &Endpoint) -> Result<(Dialogue, Capabilities)> {
    let mut dialogue = Dialogue::new(connector.connect(endpoint, Layer::Smtp).await?);
    let greeting = dialogue.reply("greeting", dialogue.wire.timeouts().step).await?;
    if !greeting.is_positive() {
        return Err(dialogue.refusal("greeting", ErrorKind::Rejected, &greeting));
    }
    let mut capabilities = hello(&mut dialogue).await?;
    if endpoint.security == Security::StartTls {
        if !capabilities.start_tls() {
            return Err(dialogue
                .wire
                .no_tls("STARTTLS", "the server does not offer STARTTLS"));
        }
        let reply = dialogue.ask("STARTTLS").await?;
        if !reply.is_positive() {
            return Err(dialogue.refusal("STARTTLS", ErrorKind::Unsupported, &reply));
        }
        dialogue.wire.start_tls(connector.tls(), &endpoint.host).await?;
        // RFC 3207 §4.2: what was learnt in clear text is forgotten.
        capabilities = hello(&mut dialogue).await?;
    }
    Ok((dialogue, capabilities))
}

async fn hello(dialogue: &mut Dialogue) -> Result<Capabilities> {
    let reply = dialogue
        .ask(EHLO)
        .await
        .map_err(|error| error.with_operation("EHLO"))?;
    match reply.is_positive() {
        true => Ok(Capabilities::parse(&reply)),
        // No HELO instead: without extensions there is neither STARTTLS nor AUTH.
        false => Err(dialogue.refusal("EHLO", ErrorKind::Unsupported, &reply)),
    }
}

/// Signs in as `user`, on one line where it may, with one fall-back to two steps.
pub(super) async fn authenticate(
    dialogue: &mut Dialogue,
    capabilities: &Capabilities,
    endpoint: &Endpoint,
    user: &str,
    token: &Token,
) -> Result<()> {
    let offered = capabilities.mechanisms().iter().map(String::as_str);
    let (mechanism, response) = sasl::prepare(&mut dialogue.wire, "AUTH", offered, endpoint, user, token)?;
    let fits =
        "AUTH ".len() + mechanism.name().len() + " ".len() + response.len() + "\r\n".len() <= MAX_AUTH_LINE;
    let mut verdict = exchange(dialogue, mechanism, &response, fits).await?;
    if fits && verdict.challenge.is_none() && is_about_the_line(&verdict.reply) {
        verdict = match exchange(dialogue, mechanism, &response, false).await {
            // It had hung up behind its refusal, which says more than that.
            Err(error) if error.kind() == ErrorKind::ConnectionLost => verdict,
            other => other?,
        };
    }
    if verdict.reply.is_positive() {
        return Ok(());
    }
    let mut server = verdict.reply.to_server(|text| dialogue.wire.tap().scrub(text));
    server.challenge = verdict.challenge;
    let kind = match verdict.reply.is_transient() {
        true => ErrorKind::Unavailable,
        false => ErrorKind::AuthRejected,
    };
    let operation = format!("AUTH {}", mechanism.name());
    Err(crate::doctor::refusal(Layer::Smtp, operation, kind, server))
}

/// Whether the refusal is about the form of the command, so that the other form may pass.
fn is_about_the_line(reply: &Reply) -> bool {
    match reply.code {
        500 => true,
        501 => reply.enhanced().is_none_or(|code| code.starts_with("5.5.")),
        502..=534 | 536..=599 => reply.mentions("line too long"),
        _ => false,
    }
}

struct Verdict {
    reply: Reply,
    /// The failure challenge before it, decoded where it can be.
    challenge: Option<String>,
}

/// One AUTH exchange up to its final reply.
async fn exchange(
    dialogue: &mut Dialogue,
    mechanism: Mechanism,
    response: &InitialResponse,
    one_line: bool,
) -> Result<Verdict> {
    let command = format!("AUTH {}", mechanism.name());
    if one_line {
        dialogue
            .wire
            .secret_command(&format!("{command} "), response.secret())?;
    } else {
        dialogue.wire.command(&command)?;
    }
    let limit = dialogue.wire.timeouts().step;
    // On one line, a server may still ask for the response, once: by an empty challenge.
    let mut may_ask = true;
    let mut challenge = None;
    for _ in 0..MAX_CHALLENGES {
        let reply = dialogue.reply("AUTH", limit).await?;
        if !reply.is_intermediate() {
            return Ok(Verdict { reply, challenge });
        }
        let text = reply
            .lines
            .last()
            .map(|line| line.text().trim())
            .unwrap_or_default();
        let failure = Challenge::decode(text);
        if may_ask && failure.is_none() && (text.is_empty() || !one_line) {
            dialogue.wire.secret_command("", response.secret())?;
        } else {
            let shown = failure.map_or_else(|| text.to_owned(), |failure| failure.to_string());
            challenge = Some(dialogue.wire.tap().scrub(&shown));
            dialogue.wire.command(mechanism.failure_answer())?;
        }
        may_ask = false;
    }
    dialogue.wire.cut();
    Err(Error::new(
        ErrorKind::Protocol,
        "AUTH",
        "the server goes on challenging without a verdict",
    )
    .with_layer(Layer::Smtp))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_of_the_form_is_tried_in_the_other_form() {
        for (line, expected) in [
            ("500 5.3.3 Unrecognized command", true),
            ("500 line too long", true),
            ("501 syntax error", true),
            ("501 5.5.2 Cannot decode response", true),
            ("501 5.5.4 Invalid arguments", true),
            ("552 5.5.2 Line too long", true),
            ("501 5.7.0 no", false),
            ("535 5.7.3 Authentication unsuccessful", false),
            ("535 5.5.2 line too long", false),
            ("504 5.7.4 Unrecognized authentication type", false),
            ("454 4.7.0 Temporary authentication failure", false),
            ("235 ok", false),
        ] {
            let reply = Reply::from_lines(line);
            assert_eq!(is_about_the_line(&reply), expected, "{line}");
        }
    }
}
