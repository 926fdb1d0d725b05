//! IMAP against scripted servers: what Exchange says word for word, and every way in which a server can behave badly.
#![allow(clippy::unwrap_used, reason = "a test that fails should panic")]

#[path = "../support/mod.rs"]
mod support;

mod append;
mod bodies;
mod folders;
mod hostile;
mod idle;
mod sign_in;
mod swallowing;
mod transfer;

use std::future::Future;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use exomail::Security;
use exomail::imap::{Access, ImapSession, Uid, UidSet};
use exomail::net::Direction;
use support::{Peer, Scripted, TOKEN, login, serve};

/// Exchange's greeting (exchange-online.md §3.3).
const GREETING: &str = "* OK The Microsoft Exchange IMAP4 service is ready. [TQBSADEAUAAyADYANABDAEEAMAAxADQANgAuAEYAUgBBAFAAMgA2ADQALgBQAFIATwBEAC4ATwBVAFQATABPAE8ASwAuAEMATwBNAA==]\r\n";
/// Exchange's capabilities before the login.
const BEFORE: &str = "* CAPABILITY IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS ID UNSELECT CHILDREN IDLE NAMESPACE LITERAL+\r\n";
/// Exchange's capabilities behind the login.
const AFTER: &str = "* CAPABILITY IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS MOVE ID UNSELECT CLIENTACCESSRULES CLIENTNETWORKPRESENCELOCATION BACKENDAUTHENTICATE CHILDREN IDLE NAMESPACE LITERAL+\r\n";
/// Exchange's answer to SELECT, without the tagged line.
const SELECTED: &str = "* 6995 EXISTS\r\n* 6995 RECENT\r\n* FLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft $MDNSent)\r\n* OK [PERMANENTFLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft $MDNSent)] Permanent flags\r\n* OK [UNSEEN 1] Is the first unseen message\r\n* OK [UIDVALIDITY 14] UIDVALIDITY value\r\n* OK [UIDNEXT 22588] The next unique identifier value\r\n";

/// The XOAUTH2 response that the tests' login must send.
fn response() -> String {
    BASE64_STANDARD.encode(format!("user=joe@example.com\x01auth=Bearer {TOKEN}\x01\x01"))
}

/// Exchange up to the end of the login; INBOX is open behind it. `after` are the capabilities for a signed-in client.
/// The next tag is A6.
async fn sign_in(peer: &mut Peer, after: &str) {
    peer.send(GREETING).await;
    assert_eq!(peer.line().await, "A1 CAPABILITY");
    peer.send(format!("{BEFORE}A1 OK CAPABILITY completed.\r\n"))
        .await;
    assert_eq!(
        peer.line().await,
        format!("A2 AUTHENTICATE XOAUTH2 {}", response())
    );
    assert_eq!(peer.line().await, "A3 CAPABILITY");
    assert_eq!(peer.line().await, "A4 NAMESPACE");
    assert_eq!(peer.line().await, "A5 SELECT \"INBOX\"");
    peer.send(format!(
        "A2 OK AUTHENTICATE completed.\r\n{after}A3 OK CAPABILITY completed.\r\n\
         * NAMESPACE ((\"\" \"/\")) NIL NIL\r\nA4 OK NAMESPACE completed.\r\n\
         {SELECTED}A5 OK [READ-WRITE] SELECT completed.\r\n"
    ))
    .await;
}

/// A server that is Exchange up to the open INBOX, and then follows the script.
async fn exchange<F>(
    after: &'static str,
    script: impl Fn(Peer) -> F + Clone + Send + Sync + 'static,
) -> Scripted
where
    F: Future<Output = ()> + Send + 'static,
{
    serve(Security::ImplicitTls, move |mut peer: Peer| {
        let script = script.clone();
        async move {
            sign_in(&mut peer, after).await;
            script(peer).await;
        }
    })
    .await
}

/// A server on which each expected line is answered with a text, then stays silent.
async fn dialogue(after: &'static str, lines: &'static [(&'static str, &'static str)]) -> Scripted {
    exchange(after, move |mut peer| async move {
        for (line, answer) in lines {
            assert_eq!(peer.line().await, *line);
            peer.send(answer).await;
        }
        peer.silence().await;
    })
    .await
}

async fn connect(server: &Scripted) -> ImapSession {
    open(server).await.unwrap()
}

async fn open(server: &Scripted) -> exomail::Result<ImapSession> {
    ImapSession::connect_selected(
        &server.connector,
        &server.endpoint,
        &login(),
        "INBOX",
        Access::ReadWrite,
    )
    .await
    .map(|(session, _)| session)
}

fn uid(number: u32) -> Uid {
    Uid::new(number).unwrap()
}

fn set(text: &str) -> UidSet {
    text.parse().unwrap()
}

/// The client's lines behind the login.
fn said(server: &Scripted) -> Vec<String> {
    let lines = server
        .transcript
        .lines()
        .into_iter()
        .filter(|line| line.direction == Direction::Client);
    lines.map(|line| line.text).skip(5).collect()
}

/// Waits until the server's line has come in. The clock may be stopped then: no more I/O is under way.
async fn heard(server: &Scripted, text: &str) {
    let found = || {
        server
            .transcript
            .lines()
            .iter()
            .any(|line| line.direction == Direction::Server && line.text.starts_with(text))
    };
    while !found() {
        tokio::task::yield_now().await;
    }
}
