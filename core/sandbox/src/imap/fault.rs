//! Where faults strike in an IMAP session.

use super::reply::{Reply, Status};
use super::session::{CLOSED, Next, Session};
use super::structure::Shape;
use crate::faults::{Fault, Faults};
use crate::mail::conn::ConnError;
use crate::mail::host;

/// How a session ends whose token has expired (seen in the field: `peers.md`, mirador#6 and imapsync#250).
const EXPIRED: &str = "Session invalidated - AccessTokenExpired";

/// How a session says that it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Farewell {
    /// BAD with the command's tag.
    Tagged,
    /// BYE, and the command has no answer.
    Bye,
}

/// Whether a FETCH ends before its time: behind how many messages, and how.
pub(super) fn end_of_fetch(faults: &Faults) -> Option<(u64, Farewell)> {
    [
        (Fault::ImapExpiredInFetch, Farewell::Tagged),
        (Fault::ImapByeInFetch, Farewell::Bye),
    ]
    .into_iter()
    .find_map(|(fault, farewell)| Some((faults.strike(fault)?, farewell)))
}

impl Session {
    /// Before a command is run that needs the mailbox: what becomes of the connection, if the command is not run.
    pub(super) async fn strike(&mut self, tag: &str) -> Result<Option<Next>, ConnError> {
        let shared = self.shared.clone();
        let faults = &shared.faults;
        if faults.strike(Fault::ImapBye).is_some() {
            self.conn.write(CLOSED).await?;
            return Ok(Some(Next::Close));
        }
        if faults.strike(Fault::ImapExpired).is_some() {
            return self.expire(tag, Farewell::Tagged).await.map(Some);
        }
        if faults.strike(Fault::ImapUnavailableBare).is_some() {
            self.conn.write("Server Unavailable. 15\r\n").await?;
            return Ok(Some(Next::Continue));
        }
        let reply = if let Some(wait) = faults.strike(Fault::ImapThrottled) {
            Reply::bad(format!(
                "Request is throttled. Suggested Backoff Time: {wait} milliseconds"
            ))
        } else if faults.strike(Fault::ImapUnavailable).is_some() {
            Reply::no("Server Unavailable. 15")
        } else {
            return Ok(None);
        };
        self.answer(tag, reply, false).await.map(Some)
    }

    /// The token has expired in the middle of a command.
    pub(super) async fn expire(&mut self, tag: &str, farewell: Farewell) -> Result<Next, ConnError> {
        self.output.line(match farewell {
            Farewell::Tagged => Reply::bad(EXPIRED).line(tag),
            Farewell::Bye => format!("* BYE {EXPIRED}"),
        });
        for piece in self.output.take() {
            self.conn.write(piece).await?;
        }
        Ok(Next::Close)
    }

    /// In IDLE, where nothing is asked for and all answers are untagged: whether the session ends.
    pub(super) async fn strike_in_idle(&mut self, tag: &str) -> Result<bool, ConnError> {
        let faults = self.shared.faults.clone();
        if faults.strike(Fault::ImapExpiredInIdle).is_some() {
            self.expire(tag, Farewell::Bye).await?;
        } else if faults.strike(Fault::ImapBye).is_some() {
            self.conn.write(CLOSED).await?;
        } else {
            self.conn.strike().await?;
            return Ok(false);
        }
        Ok(true)
    }

    /// The tagged line, with a code that breaks the grammar if there is to be one.
    pub(super) fn tagged(&self, tag: &str, mut reply: Reply) -> String {
        let host = host::CLIENT_HOST;
        let free = !reply.text.starts_with('[') && reply.status != Status::Bad;
        if free && self.shared.faults.is_on(Fault::ImapQuotedCodes) {
            let error = match reply.status {
                Status::Ok => "",
                _ => "Error=\"AuthFailed:LogonDenied-None-OAuthLog:AuthExc_Auth Failed\" ",
            };
            reply.text = format!(
                "[{error}AuthResult=0 Proxy=\"{host}:1993:SSL\" Service=Imap4] {}",
                reply.text
            );
        }
        reply.line(tag)
    }
}

/// How BODYSTRUCTURE is written now.
pub(super) fn shape(faults: &Faults) -> Shape {
    if faults.is_on(Fault::ImapExtraNil) {
        Shape::ExtraNil
    } else if faults.is_on(Fault::ImapMissingParts) {
        Shape::MissingParts
    } else {
        Shape::Correct
    }
}
