//! `exomail demo`: the main job from end to end, on a tenant of its own.

use std::time::Instant;

use exomail::imap::{Access, ImapSession, Query, Section};
use exomail::message::{Attachment, Message, OutgoingMessage};
use exomail::pop3::Pop3Session;
use exomail::smtp::{SendOptions, SmtpSession};
use exomail::{App, Cloud, Endpoint};
use exomail_sandbox::Sandbox;
use serde::Serialize;
use serde_json::json;

use super::sandbox::sandbox_error;
use super::token::claim_lines;
use crate::context::Context;
use crate::failure::{Done, Failure};
use crate::output::{Output, faint, good, heading};

const SUBJECT: &str = "exomail demo: Grüße aus 東京 ✓";
/// A line that is a dot, and one that begins with one: SMTP and POP3 both have to stuff and unstuff them.
const TEXT: &str = "Sent by a program that signed in as itself.\r\n.\r\n.. and unharmed: Grüße, 東京, ✓\r\n";
const FILE_NAME: &str = "Prüfbericht 2026.bin";

/// Do the whole job on a tenant of its own: token, send by SMTP, read by IMAP and POP3, compare
///
/// Nothing needs to be set up and nothing leaves this machine. Each step says what it proves. Exit code 0 means that
/// every byte came back as it was sent; 1 that something did not match.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// What one step has shown.
#[derive(Debug, Serialize)]
struct Step {
    name: &'static str,
    proves: String,
    flights: Option<u64>,
    milliseconds: f64,
}

/// Prints steps as they are done, and keeps them for `--json`.
struct Steps<'a> {
    output: &'a Output,
    since: Instant,
    done: Vec<Step>,
}

impl Steps<'_> {
    fn done(&mut self, name: &'static str, flights: Option<u64>, proves: impl Into<String>) -> Done {
        let step = Step {
            name,
            proves: proves.into(),
            flights,
            milliseconds: self.since.elapsed().as_secs_f64() * 1000.0,
        };
        self.since = Instant::now();
        if !self.output.is_json() {
            let cost = match step.flights {
                Some(flights) => format!("{:.0} ms, {flights} flights", step.milliseconds),
                None => format!("{:.0} ms", step.milliseconds),
            };
            let name = heading(format!("{:<8}", step.name));
            self.output
                .line(format!("{} {name} {}  {}", good("✓"), step.proves, faint(cost)))?;
        }
        self.done.push(step);
        Ok(())
    }
}

pub(crate) async fn run(_: Args, context: &Context) -> Done {
    context.heed_signals();
    let output = &context.output;
    let started = Instant::now();
    let mut steps = Steps {
        output,
        since: started,
        done: Vec::new(),
    };
    let sandbox = Sandbox::start().await.map_err(sandbox_error)?;
    let (sender, recipient) = two_mailboxes(&sandbox)?;
    steps.done(
        "tenant",
        None,
        format!("a tenant on loopback: {}", sandbox.authority()),
    )?;

    let app = app(&sandbox, context)?;
    let token = app.token().await?;
    let claims = token.claims()?;
    for role in ["SMTP.SendAsApp", "IMAP.AccessAsApp", "POP.AccessAsApp"] {
        check(claims.roles.iter().any(|granted| granted == role), || {
            format!("the token has no role {role}")
        })?;
    }
    check(claims.idtyp.as_deref() == Some("app"), || {
        "the token is not an app's own".to_owned()
    })?;
    steps.done(
        "token",
        None,
        "the app signs in as itself, with the three mail permissions",
    )?;
    if !output.is_json() {
        claim_lines(&claims)
            .iter()
            .try_for_each(|line| output.line(line))?;
    }

    let attachment = every_byte();
    let message_id = send(&app, &sender, &recipient, &attachment, &mut steps).await?;
    let by_imap = read_by_imap(&app, &recipient, &message_id, &mut steps).await?;
    compare(&by_imap, &attachment)?;
    let length = attachment.len();
    steps.done(
        "compare",
        None,
        format!("subject, text and {length} bytes of attachment are as they were sent"),
    )?;
    let by_pop3 = read_by_pop3(&app, &recipient, &mut steps).await?;
    check(by_imap == by_pop3, || {
        format!(
            "IMAP gave {} bytes and POP3 {} others",
            by_imap.len(),
            by_pop3.len()
        )
    })?;
    steps.done(
        "compare",
        None,
        format!("IMAP and POP3 agree on all {} bytes", by_imap.len()),
    )?;

    let requests = sandbox.stats().token_requests;
    check(requests == 1, || format!("{requests} token requests were made"))?;
    sandbox.stop().await;
    steps.done("sharing", None, "one token request served all three sign-ins")?;
    let milliseconds = started.elapsed().as_secs_f64() * 1000.0;
    let document = json!({ "ok": true, "milliseconds": milliseconds, "claims": claims, "steps": steps.done });
    output.result(&document, || {
        format!("{} in {milliseconds:.0} ms", good("everything matches"))
    })
}

/// The app as a program would make it, from what the sandbox tells.
fn app(sandbox: &Sandbox, context: &Context) -> exomail::Result<App> {
    let (imap, pop3, smtp) = (sandbox.imap(), sandbox.pop3(), sandbox.smtp());
    let cloud = Cloud::custom(sandbox.authority())?
        .with_imap(Endpoint::implicit_tls(imap.0, imap.1))
        .with_pop3(Endpoint::implicit_tls(pop3.0, pop3.1))
        .with_smtp(Endpoint::start_tls(smtp.0, smtp.1));
    let mut builder = App::builder(sandbox.tenant(), sandbox.client_id())
        .client_secret(sandbox.client_secret())
        .cloud(cloud)
        .extra_ca_pem(sandbox.ca_pem().as_bytes());
    if let Some(transcript) = context.output.transcript() {
        builder = builder.transcript(transcript);
    }
    builder.build()
}

fn two_mailboxes(sandbox: &Sandbox) -> Done<(String, String)> {
    let mut mailboxes = sandbox.mailboxes().into_iter();
    match (mailboxes.next(), mailboxes.next()) {
        (Some(sender), Some(recipient)) => Ok((sender, recipient)),
        _ => Err(Failure::Mismatch(
            "the sandbox has fewer than two mailboxes".to_owned(),
        )),
    }
}

/// Every byte value in every position of a base64 group, and more than one TLS record of it.
fn every_byte() -> Vec<u8> {
    (0..48 * 1024_u32).map(|at| (at ^ (at >> 8)) as u8).collect()
}

async fn send(
    app: &App,
    sender: &str,
    recipient: &str,
    attachment: &[u8],
    steps: &mut Steps<'_>,
) -> Done<String> {
    let message = OutgoingMessage::builder()
        .from(sender)
        .to(recipient)
        .subject(SUBJECT)
        .text(TEXT)
        .attach(Attachment::bytes(
            FILE_NAME,
            "application/octet-stream",
            attachment.to_vec(),
        ))
        .build()?;
    let (envelope, message_id) = (message.envelope().clone(), message.message_id().to_owned());
    let login = app.login(sender)?;
    let mut session = SmtpSession::connect(app.connector(), app.cloud().smtp(), &login).await?;
    let before = session.flights();
    let report = session
        .send(&envelope, message.into_raw(), &SendOptions::default())
        .await?;
    let flights = session.flights();
    check(report.rejected().next().is_none(), || {
        format!("{recipient} was refused")
    })?;
    session.quit().await?;
    let mail = flights - before;
    let proves = format!("{sender} to {recipient} over STARTTLS and XOAUTH2; the mail itself took {mail}");
    steps.done("smtp", Some(flights), proves)?;
    Ok(message_id)
}

async fn read_by_imap(app: &App, mailbox: &str, message_id: &str, steps: &mut Steps<'_>) -> Done<Vec<u8>> {
    let (login, endpoint) = (app.login(mailbox)?, app.cloud().imap());
    let (mut session, _) =
        ImapSession::connect_selected(app.connector(), endpoint, &login, "INBOX", Access::ReadOnly).await?;
    let found = session.search(&Query::all().message_id(message_id)).await?;
    let [uid] = found[..] else {
        return Err(Failure::Mismatch(format!(
            "{} messages have the Message-ID",
            found.len()
        )));
    };
    let mut bytes = Vec::new();
    session.fetch(uid, &Section::whole(), &mut bytes).await?;
    let flights = session.flights();
    session.logout().await?;
    let proves = format!("{mailbox} has the mail under UID {uid}, found by its Message-ID");
    steps.done("imap", Some(flights), proves)?;
    Ok(bytes)
}

async fn read_by_pop3(app: &App, mailbox: &str, steps: &mut Steps<'_>) -> Done<Vec<u8>> {
    let login = app.login(mailbox)?;
    let mut session = Pop3Session::connect(app.connector(), app.cloud().pop3(), &login).await?;
    let stat = session.stat().await?;
    let mut bytes = Vec::new();
    session.retr(stat.messages, &mut bytes).await?;
    let flights = session.flights();
    session.quit().await?;
    steps.done(
        "pop3",
        Some(flights),
        format!("message {} of the same mailbox", stat.messages),
    )?;
    Ok(bytes)
}

fn compare(bytes: &[u8], attachment: &[u8]) -> Done {
    let message = Message::parse(bytes.to_vec())?;
    check(message.subject().as_deref() == Some(SUBJECT), || {
        "the subject differs".to_owned()
    })?;
    // Whether a text's lines end in CRLF or LF is the parser's choice; what is in them is not.
    let text = message.text().unwrap_or_default();
    check(text.lines().eq(TEXT.lines()), || {
        format!("the text differs: {text:?}")
    })?;
    let mut attachments = message.attachments();
    let Some(received) = attachments.next() else {
        return Err(Failure::Mismatch("the attachment is missing".to_owned()));
    };
    check(received.name().as_deref() == Some(FILE_NAME), || {
        "the attachment's name differs".to_owned()
    })?;
    check(received.bytes()[..] == *attachment, || {
        "the attachment's bytes differ".to_owned()
    })
}

fn check(holds: bool, otherwise: impl FnOnce() -> String) -> Done {
    if holds {
        Ok(())
    } else {
        Err(Failure::Mismatch(otherwise()))
    }
}
