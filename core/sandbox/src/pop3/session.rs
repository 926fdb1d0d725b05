//! The conversation.

use std::sync::Arc;

use super::command::{self, Command};
use super::drop::{Maildrop, leading_dots, top};
use crate::faults::Fault;
use crate::mail::authorize::{Outcome, Protocol};
use crate::mail::conn::{Conn, ConnError};
use crate::mail::host::greeting_token;
use crate::mail::sign_in::sign_in;
use crate::mail::xoauth2::{self, MAX_RESPONSE};
use crate::shared::Shared;

/// RFC 2449 §4 has 255; a one-line AUTH must be read in full to be refused with its own text.
const MAX_LINE: usize = MAX_RESPONSE + 64;
/// Tokens with more characters than this are a protocol error to Exchange's POP3 (facts §3.4).
const MAX_TOKEN: usize = 4096;
/// After so many failed commands the server hangs up.
const MAX_ERRORS: u32 = 100;

const PROTOCOL_ERROR: &str = "-ERR Protocol error. Connection is closed. 10";
const LOGON_FAILURE: &str = "-ERR Authentication failure: unknown user name or bad password.";
const WRONG_STATE: &str = "-ERR Command is not valid in this state.";
const NO_MESSAGE: &str = "-ERR The specified message is out of range.";

#[derive(Debug)]
pub(super) struct Session {
    conn: Conn,
    shared: Arc<Shared>,
    /// Primary address and messages, once signed in.
    open: Option<(String, Maildrop)>,
    errors: u32,
}

/// Whether the conversation goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    GoOn,
    HangUp,
}

impl Session {
    pub(super) fn new(conn: Conn, shared: Arc<Shared>) -> Self {
        Self {
            conn,
            shared,
            open: None,
            errors: 0,
        }
    }

    /// Talks until the client quits or goes. Messages are deleted at QUIT only.
    pub(super) async fn run(mut self) -> Result<(), ConnError> {
        let greeting = if self.shared.faults.is_on(Fault::ModernFrontEnd) {
            "+OK Microsoft Exchange POP3 server ready (tcpproxy/15.20.9137.005)."
        } else {
            "+OK The Microsoft Exchange POP3 service is ready."
        };
        self.reply(&format!("{greeting} [{}]", greeting_token())).await?;
        loop {
            let line = match self.conn.read_line(MAX_LINE).await {
                Ok(line) => line,
                Err(ConnError::LineTooLong) => {
                    self.reply(PROTOCOL_ERROR).await?;
                    return self.conn.close().await;
                }
                Err(ConnError::TimedOut) => {
                    self.reply("-ERR Connection is closed. 14").await?;
                    return self.conn.close().await;
                }
                Err(other) => return Err(other),
            };
            self.conn.count_command();
            if self.open.is_some() && self.shared.faults.strike(Fault::Pop3Expired).is_some() {
                self.reply("-ERR Session invalidated - AccessTokenExpired")
                    .await?;
                return self.conn.close().await;
            }
            let next = self.command(command::parse(&line)).await?;
            if next == Next::HangUp || self.errors > MAX_ERRORS {
                return self.conn.close().await;
            }
        }
    }

    async fn reply(&mut self, text: &str) -> Result<(), ConnError> {
        if text.starts_with('-') {
            self.errors += 1;
        }
        self.conn.write(format!("{text}\r\n")).await
    }

    async fn command(&mut self, command: Command) -> Result<Next, ConnError> {
        match command {
            Command::Quit => {
                if let Some((mailbox, maildrop)) = &self.open {
                    maildrop.update(&mut self.shared.tenant(), mailbox);
                }
                self.reply("+OK Microsoft Exchange Server 2016 POP3 server signing off.")
                    .await?;
                return Ok(Next::HangUp);
            }
            Command::Capa => self.capa().await?,
            Command::Stls if self.conn.is_tls() || self.open.is_some() => self.reply(WRONG_STATE).await?,
            Command::Stls => {
                self.conn
                    .start_tls(b"+OK Begin TLS negotiation.\r\n", &self.shared)
                    .await?
            }
            // Passwords are off, and never looked at.
            Command::User | Command::Pass if self.open.is_none() => {
                self.reply("-ERR Command is not valid in this state.").await?;
            }
            Command::AuthList if self.open.is_none() => {
                let list = if self.conn.is_tls() {
                    "+OK\r\nXOAUTH2\r\n."
                } else {
                    "+OK\r\n."
                };
                self.reply(list).await?;
            }
            Command::Auth { mechanism, initial } if self.open.is_none() => {
                return self.auth(&mechanism, initial).await;
            }
            Command::User | Command::Pass | Command::AuthList | Command::Auth { .. } => {
                self.reply(WRONG_STATE).await?;
            }
            Command::Bad => self.reply("-ERR Protocol error. 14").await?,
            in_transaction => self.transaction(in_transaction).await?,
        }
        Ok(Next::GoOn)
    }

    async fn capa(&mut self) -> Result<(), ConnError> {
        let modern = self.shared.faults.is_on(Fault::ModernFrontEnd);
        let mut list = String::from("+OK\r\nTOP\r\nUIDL\r\n");
        match (self.conn.is_tls(), modern) {
            (false, _) => list.push_str("STLS\r\n"),
            (true, true) => list.push_str("SASL XOAUTH2\r\n"),
            (true, false) => list.push_str("SASL PLAIN XOAUTH2\r\nUSER\r\n"),
        }
        if self.shared.faults.is_on(Fault::Pop3Pipelining) {
            list.push_str("PIPELINING\r\n");
        }
        list.push('.');
        self.reply(&list).await
    }

    async fn auth(&mut self, mechanism: &str, initial: bool) -> Result<Next, ConnError> {
        // The service takes XOAUTH2 in two steps only.
        if initial {
            self.reply(PROTOCOL_ERROR).await?;
            return Ok(Next::HangUp);
        }
        if !self.conn.is_tls() {
            self.reply(WRONG_STATE).await?;
            return Ok(Next::GoOn);
        }
        if mechanism != "XOAUTH2" && mechanism != "PLAIN" {
            self.reply("-ERR Unsupported authentication mechanism.").await?;
            return Ok(Next::GoOn);
        }
        self.conn.prompt("+\r\n").await?;
        let line = match self.conn.read_line(MAX_LINE).await {
            Ok(line) => line,
            Err(ConnError::LineTooLong) => {
                self.reply(PROTOCOL_ERROR).await?;
                return Ok(Next::HangUp);
            }
            Err(other) => return Err(other),
        };
        if line.as_ref() == b"*" {
            self.reply("-ERR Authentication canceled.").await?;
            return Ok(Next::GoOn);
        }
        if self.shared.faults.strike(Fault::Pop3Unavailable).is_some() {
            self.reply("-ERR Server Unavailable. 21").await?;
            return Ok(Next::HangUp);
        }
        // PLAIN is listed, and refused as a wrong password is.
        let Some(response) = xoauth2::parse(&line).filter(|_| mechanism == "XOAUTH2") else {
            self.reply(LOGON_FAILURE).await?;
            return Ok(Next::GoOn);
        };
        if response.token.len() > MAX_TOKEN {
            self.reply(PROTOCOL_ERROR).await?;
            return Ok(Next::HangUp);
        }
        // One text for everything that is wrong: there is no "not connected" in POP3.
        if let Outcome::Granted { mailbox, .. } = sign_in(&self.shared, Protocol::Pop3, &response).await {
            let maildrop = self.shared.tenant().folder(&mailbox, "INBOX").map(Maildrop::of);
            if let Some(maildrop) = maildrop {
                self.open = Some((mailbox, maildrop));
                self.conn.set_idle(self.shared.options.idle);
                self.reply("+OK User successfully authenticated.").await?;
                return Ok(Next::GoOn);
            }
        }
        self.reply(LOGON_FAILURE).await?;
        Ok(Next::GoOn)
    }

    async fn transaction(&mut self, command: Command) -> Result<(), ConnError> {
        let Some((_, maildrop)) = &mut self.open else {
            return self.reply(WRONG_STATE).await;
        };
        let reply = match command {
            Command::Stat => {
                let (count, octets) = maildrop.stat();
                format!("+OK {count} {octets}")
            }
            Command::List(None) => {
                let (count, octets) = maildrop.stat();
                let mut list = format!("+OK {count} {octets}\r\n");
                for number in maildrop.numbers() {
                    let octets = maildrop.raw(number).map_or(0, bytes::Bytes::len);
                    list.push_str(&format!("{number} {octets}\r\n"));
                }
                list.push('.');
                list
            }
            Command::List(Some(number)) => match maildrop.raw(number) {
                Some(raw) => format!("+OK {number} {}", raw.len()),
                None => NO_MESSAGE.to_owned(),
            },
            Command::Uidl(None) => {
                let mut list = String::from("+OK\r\n");
                for number in maildrop.numbers() {
                    let id = maildrop.unique_id(number).unwrap_or_default();
                    list.push_str(&format!("{number} {id}\r\n"));
                }
                list.push('.');
                list
            }
            Command::Uidl(Some(number)) => match maildrop.unique_id(number) {
                Some(id) => format!("+OK {number} {id}"),
                None => NO_MESSAGE.to_owned(),
            },
            Command::Retr(number) => match maildrop.raw(number).cloned() {
                Some(raw) => return self.message("+OK\r\n", &raw).await,
                None => NO_MESSAGE.to_owned(),
            },
            Command::Top(number, lines) => match maildrop.raw(number).cloned() {
                Some(raw) => return self.message("+OK\r\n", top(&raw, lines)).await,
                None => NO_MESSAGE.to_owned(),
            },
            Command::Dele(number) if maildrop.delete(number) => "+OK".to_owned(),
            Command::Dele(_) => NO_MESSAGE.to_owned(),
            Command::Rset => {
                maildrop.reset();
                "+OK".to_owned()
            }
            _ => "+OK".to_owned(),
        };
        self.reply(&reply).await
    }

    /// A multi-line answer: dots that begin a line are doubled, and it ends with a dot alone.
    async fn message(&mut self, status: &str, raw: &[u8]) -> Result<(), ConnError> {
        self.conn.write(status).await?;
        let mut from = 0;
        for dot in leading_dots(raw) {
            self.conn.write(raw.get(from..dot).unwrap_or_default()).await?;
            self.conn.write(b".").await?;
            from = dot;
        }
        self.conn.write(raw.get(from..).unwrap_or_default()).await?;
        let end: &[u8] = if raw.is_empty() || raw.ends_with(b"\r\n") {
            b".\r\n"
        } else {
            b"\r\n.\r\n"
        };
        self.conn.write(end).await
    }
}
