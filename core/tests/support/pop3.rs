//! What the POP3 tests share: Exchange's texts, and a sign-in.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use exomail::net::Direction;
use exomail::pop3::Pop3Session;

use super::{Peer, Scripted, TOKEN, login};

/// Exchange's greeting.
pub const GREETING: &str = "+OK The Microsoft Exchange POP3 service is ready. [TQBSADEA]\r\n";
/// What Exchange can do.
pub const EXCHANGE: &str = "+OK\r\nTOP\r\nUIDL\r\nSASL PLAIN XOAUTH2\r\nUSER\r\n.\r\n";
/// A server that takes commands ahead.
pub const PIPELINING: &str = "+OK\r\nTOP\r\nUIDL\r\nSASL XOAUTH2\r\nPIPELINING\r\nRESP-CODES\r\n.\r\n";

/// Greeting, CAPA, and a sign-in in two steps whose response must be the right one.
pub async fn sign_in(peer: &mut Peer, capa: &str) {
    peer.send(GREETING).await;
    peer.expect("CAPA").await;
    peer.send(capa).await;
    assert_eq!(peer.line().await, "AUTH XOAUTH2");
    peer.send("+ \r\n").await;
    let response = format!("user=joe@example.com\x01auth=Bearer {TOKEN}\x01\x01");
    assert_eq!(peer.line().await, BASE64_STANDARD.encode(response));
    peer.send("+OK User successfully authenticated.\r\n").await;
}

/// Connects as joe.
pub async fn connect(server: &Scripted) -> exomail::Result<Pop3Session> {
    Pop3Session::connect(&server.connector, &server.endpoint, &login()).await
}

/// The client's lines.
pub fn said(server: &Scripted) -> Vec<String> {
    let lines = server.transcript.lines().into_iter();
    lines
        .filter(|line| line.direction == Direction::Client)
        .map(|line| line.text)
        .collect()
}
