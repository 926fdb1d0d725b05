//! STARTTLS and AUTHENTICATE, with Exchange's answers (exchange-online.md §3.3, §7).

use super::arguments::Bad;
use super::connected::Connected;
use super::reply::{INVALID_STATE, Reply};
use super::session::{Next, Session, State};
use crate::faults::Fault;
use crate::mail::authorize::{Outcome, Protocol};
use crate::mail::conn::ConnError;
use crate::mail::host;
use crate::mail::sign_in::sign_in;
use crate::mail::xoauth2::{self, MAX_RESPONSE, SaslResponse};

impl Session {
    pub(crate) async fn start_tls(&mut self, tag: &str) -> Result<Next, ConnError> {
        if self.conn.is_tls() || !matches!(self.state, State::NotAuthenticated) {
            return self.answer(tag, Reply::bad(INVALID_STATE), true).await;
        }
        let ready = Reply::ok("Begin TLS negotiation now.").line(tag) + "\r\n";
        self.conn.start_tls(ready.as_bytes(), &self.shared).await?;
        Ok(Next::Continue)
    }

    /// `AUTHENTICATE`, with the response on the same line (SASL-IR) or on the next.
    pub(crate) async fn authenticate(
        &mut self,
        tag: &str,
        mechanism: &str,
        initial: Option<SaslResponse>,
    ) -> Result<Next, ConnError> {
        // No secret is taken in clear.
        if !self.conn.is_tls() || !matches!(self.state, State::NotAuthenticated) {
            return self.answer(tag, Reply::bad(INVALID_STATE), true).await;
        }
        let failed = || Reply::no("AUTHENTICATE failed.");
        if !["XOAUTH2", "PLAIN"].contains(&mechanism) {
            return self.answer(tag, failed(), true).await;
        }
        let response = match initial {
            Some(response) => response,
            None => {
                self.conn.prompt("+ \r\n").await?;
                SaslResponse(self.conn.read_line(MAX_RESPONSE).await?)
            }
        };
        if *response == *b"*" {
            // The client takes it back (RFC 3501 §6.2.2).
            return self.answer(tag, Bad::Argument.into(), true).await;
        }
        // PLAIN is offered and never succeeds: Basic authentication is off.
        let Some(response) = xoauth2::parse(&response).filter(|_| mechanism == "XOAUTH2") else {
            return self.answer(tag, failed(), true).await;
        };
        let outcome = sign_in(&self.shared, Protocol::Imap, &response).await;
        let (state, reply) = match outcome {
            Outcome::Granted { mailbox, .. } => (
                State::Connected(Connected::new(&mailbox)),
                Reply::completed("AUTHENTICATE"),
            ),
            Outcome::NotConnected { .. } => (State::NotConnected(0), Reply::completed("AUTHENTICATE")),
            Outcome::Disabled => (State::NotConnected(0), self.disabled()),
            Outcome::Refused(_) | Outcome::SmtpDisabledForTenant | Outcome::SmtpDisabledForMailbox => {
                return self.answer(tag, failed(), true).await;
            }
        };
        self.state = state;
        self.conn.set_idle(self.shared.options.idle);
        self.conn.write(self.tagged(tag, reply) + "\r\n").await?;
        Ok(Next::Continue)
    }

    /// OK, and yet not: some front ends say so in a code that breaks IMAP's grammar.
    fn disabled(&self) -> Reply {
        if !self.shared.faults.is_on(Fault::ImapDisabledPlainOk) {
            let host = host::CLIENT_HOST;
            Reply::ok(format!(
                "[Error=\"UserDisabled\" AuthResult=27 Proxy={host}:1993:SSL Service=Imap4] AUTHENTICATE completed."
            ))
        } else {
            Reply::completed("AUTHENTICATE")
        }
    }
}
