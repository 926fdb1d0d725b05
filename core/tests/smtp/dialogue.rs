//! What the scripts have in common.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use exomail::message::RawMessage;
use exomail::smtp::{Envelope, RejectedRecipients, SendOptions, SendReport, SmtpSession};
use exomail::{Error, Security, Timeouts};

use crate::support::{Peer, Scripted, login, serve};

/// No extension at all.
pub(crate) const PLAIN: &[&str] = &[];
/// What makes two flights.
pub(crate) const PIPELINING: &[&str] = &["PIPELINING", "8BITMIME"];
/// What Exchange offers.
pub(crate) const EXCHANGE: &[&str] = &[
    "SIZE 157286400",
    "PIPELINING",
    "DSN",
    "ENHANCEDSTATUSCODES",
    "8BITMIME",
    "BINARYMIME",
    "CHUNKING",
    "SMTPUTF8",
];

pub(crate) const ACCEPTED: &str = "250 2.0.0 OK <1@mx> [Hostname=mx]\r\n";
pub(crate) const MESSAGE: &str = "Subject: x\r\n\r\nbody\r\n";

/// Greets, and answers EHLO with `offers` and AUTH XOAUTH2.
pub(crate) async fn hello(peer: &mut Peer, offers: &[&str]) {
    peer.send("220 mx ESMTP\r\n").await;
    ehlo(peer, offers).await;
}

pub(crate) async fn ehlo(peer: &mut Peer, offers: &[&str]) {
    peer.expect("EHLO [127.0.0.1]").await;
    let offers: String = offers.iter().map(|offer| format!("250-{offer}\r\n")).collect();
    peer.send(format!(
        "250-mx Hello [127.0.0.1]\r\n{offers}250 AUTH LOGIN XOAUTH2\r\n"
    ))
    .await;
}

/// Everything up to the first mail.
pub(crate) async fn welcome(peer: &mut Peer, offers: &[&str]) {
    hello(peer, offers).await;
    peer.expect("AUTH XOAUTH2 ").await;
    peer.send("235 2.7.0 Authentication successful\r\n").await;
}

/// MAIL and `count` RCPT, read before any is answered.
pub(crate) async fn opening(peer: &mut Peer, count: usize) -> Vec<String> {
    let mut lines = vec![peer.expect("MAIL FROM:<joe@example.com>").await];
    for _ in 0..count {
        lines.push(peer.expect("RCPT TO:<").await);
    }
    lines
}

/// A BDAT command with its bytes; whether it is the last.
pub(crate) async fn chunk(peer: &mut Peer) -> (Vec<u8>, bool) {
    let line = peer.expect("BDAT ").await;
    let mut words = line.split(' ').skip(1);
    let size = words.next().unwrap().parse().unwrap();
    let last = words.next() == Some("LAST");
    let bytes = peer.bytes(size).await;
    assert_eq!(bytes.len(), size, "the chunk is cut short");
    (bytes, last)
}

/// All chunks, each answered as soon as it is there, but the last.
pub(crate) async fn chunks(peer: &mut Peer) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let (bytes, last) = chunk(peer).await;
        all.extend(bytes);
        if last {
            return all;
        }
        peer.send("250 2.0.0 chunk\r\n").await;
    }
}

/// A message behind 354: checked for bare CR and LF, dots undone, without the final dot.
pub(crate) async fn dotted(peer: &mut Peer) -> Vec<u8> {
    let raw = peer.until(b"\r\n.\r\n").await;
    let raw = raw.strip_suffix(b".\r\n").expect("the message has no end");
    let mut out = Vec::new();
    for line in raw.split_inclusive(|&byte| byte == b'\n') {
        assert!(line.ends_with(b"\r\n"), "a bare LF");
        assert!(!line[..line.len() - 2].contains(&b'\r'), "a bare CR");
        out.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
    }
    out
}

/// Positive replies to MAIL and `count` recipients.
pub(crate) fn all_fine(count: usize) -> String {
    format!(
        "250 2.1.0 Sender OK\r\n{}",
        "250 2.1.5 Recipient OK\r\n".repeat(count)
    )
}

/// Starts a server with TLS from the first byte.
pub(crate) async fn start<F, S>(script: S) -> Scripted
where
    S: Fn(Peer) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    serve(Security::ImplicitTls, script).await
}

pub(crate) async fn connect(server: &Scripted) -> SmtpSession {
    SmtpSession::connect(&server.connector, &server.endpoint, &login())
        .await
        .unwrap()
}

/// How a server that talks wrongly fails us.
pub(crate) async fn connect_error(server: &Scripted) -> Error {
    SmtpSession::connect(&server.connector, &server.endpoint, &login())
        .await
        .unwrap_err()
}

/// The same server, with no patience.
pub(crate) fn impatient(mut server: Scripted) -> Scripted {
    let short = Duration::from_millis(500);
    server.connector = server.connector.with_timeouts(Timeouts {
        connect: Duration::from_secs(2),
        step: short,
        message: short,
        http: short,
    });
    server
}

pub(crate) fn envelope(to: &[&str]) -> Envelope {
    let to = to.iter().map(|&address| address.to_owned()).collect();
    Envelope::new(Some("joe@example.com".to_owned()), to).unwrap()
}

/// Sends to one recipient.
pub(crate) async fn send(
    session: &mut SmtpSession,
    message: impl Into<bytes::Bytes>,
) -> exomail::Result<SendReport> {
    send_raw(session, RawMessage::from_bytes(message)).await
}

pub(crate) async fn send_raw(session: &mut SmtpSession, message: RawMessage) -> exomail::Result<SendReport> {
    session
        .send(&envelope(&["ann@example.com"]), message, &SendOptions::default())
        .await
}

pub(crate) fn rejected(error: &Error) -> &RejectedRecipients {
    std::error::Error::source(error).unwrap().downcast_ref().unwrap()
}

/// What the scripts received.
#[derive(Clone, Default)]
pub(crate) struct Inbox(Arc<Mutex<Vec<Vec<u8>>>>);

impl Inbox {
    pub(crate) fn put(&self, message: Vec<u8>) {
        self.0.lock().unwrap().push(message);
    }

    pub(crate) fn all(&self) -> Vec<Vec<u8>> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn texts(&self) -> Vec<String> {
        self.all()
            .into_iter()
            .map(|bytes| String::from_utf8(bytes).unwrap())
            .collect()
    }
}
