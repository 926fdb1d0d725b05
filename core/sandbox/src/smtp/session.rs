//! The conversation.

use std::sync::Arc;

use super::command::{self, Command};
use super::data::DotDecoder;
use super::path;
use super::submit::{LOGON_FAILURE, Submission, TOO_MANY_CONNECTIONS, refuse, submit, trace};
use super::traffic::Place;
use crate::faults::Fault;
use crate::mail::authorize::{Outcome, Protocol};
use crate::mail::conn::{Conn, ConnError};
use crate::mail::host::{SMTP_HOST, bracket, session_id};
use crate::mail::sign_in::sign_in;
use crate::mail::spool::{Overflow, Spool};
use crate::mail::xoauth2::{self, MAX_RESPONSE, SaslResponse};
use crate::shared::{MAX_MESSAGE, Shared};
use crate::time;

/// A command line; AUTH's is the longest.
const MAX_LINE: usize = MAX_RESPONSE + 64;
/// Recipients of one message (Exchange's default).
const MAX_RECIPIENTS: usize = 500;
/// After so many refusals of any kind the server hangs up.
const MAX_ERRORS: u32 = 100;
/// A chunk that announces more than this is not even read to be thrown away.
const MAX_CHUNK: u64 = 4 * MAX_MESSAGE as u64;
/// Connections of one mailbox that may send at a time (facts §3.5).
const MAX_CONNECTIONS: u64 = 3;
/// Messages a minute of one mailbox (facts §3.5).
const MAX_RATE: u64 = 30;
/// How much of a message is read at once.
const PIECE: usize = 64 * 1024;

/// Who has signed in.
#[derive(Debug)]
struct Signed {
    user: String,
    oid: String,
    connected: bool,
    /// Counts for the mailbox's limits.
    place: Place,
}

/// A message between MAIL and the end of its data.
#[derive(Debug)]
struct Transaction {
    from: String,
    smtputf8: bool,
    binary: bool,
    to: Vec<String>,
    /// Begun by the first BDAT.
    chunks: Option<Spool>,
}

#[derive(Debug)]
pub(super) struct Session {
    conn: Conn,
    shared: Arc<Shared>,
    id: String,
    /// The client's name, once it has said EHLO or HELO.
    client: Option<String>,
    signed: Option<Signed>,
    transaction: Option<Transaction>,
    errors: u32,
}

impl Session {
    pub(super) fn new(conn: Conn, shared: Arc<Shared>) -> Self {
        Self {
            conn,
            shared,
            id: session_id(),
            client: None,
            signed: None,
            transaction: None,
            errors: 0,
        }
    }

    /// Talks until the client quits or goes.
    pub(super) async fn run(mut self) -> Result<(), ConnError> {
        let now = time::rfc5322(self.shared.clock.now());
        let greeting = format!(
            "220 {SMTP_HOST} Microsoft ESMTP MAIL Service ready at {now} [{}]",
            self.id
        );
        self.reply(&greeting).await?;
        loop {
            let last_words = match self.turn().await {
                Ok(None) => continue,
                Ok(Some(text)) => text,
                Err(ConnError::LineTooLong) => "500 5.5.2 Syntax error, command line too long",
                Err(ConnError::TimedOut) => "451 4.7.0 Timeout waiting for client input",
                Err(other) => return Err(other),
            };
            self.reply(last_words).await?;
            return self.conn.close().await;
        }
    }

    /// One command; what the server says before it hangs up, if it does.
    async fn turn(&mut self) -> Result<Option<&'static str>, ConnError> {
        let line = self.conn.read_line(MAX_LINE).await?;
        self.conn.count_command();
        if self.signed.is_some() && self.shared.faults.strike(Fault::Smtp421).is_some() {
            return Ok(Some("421 4.3.2 Service not available"));
        }
        let command = command::parse(&line);
        if command == Command::Quit {
            return Ok(Some("221 2.0.0 Service closing transmission channel"));
        }
        if let Command::Bdat { octets, .. } = command
            && octets > MAX_CHUNK
        {
            return Ok(Some("552 5.3.4 Message size exceeds fixed maximum message size"));
        }
        self.command(command).await?;
        let too_many = "421 4.7.0 Too many errors on this connection, closing transmission channel";
        Ok((self.errors > MAX_ERRORS).then_some(too_many))
    }

    async fn reply(&mut self, text: &str) -> Result<(), ConnError> {
        // Refusals of the 4xx and 5xx kinds; a client in a loop must not keep the server busy for ever.
        if text.starts_with(['4', '5']) {
            self.errors += 1;
        }
        self.conn.write(format!("{text}\r\n")).await
    }

    /// A refusal with front end, time and session behind it.
    async fn refuse(&mut self, text: &str) -> Result<(), ConnError> {
        let text = format!("{text} {}", bracket(&self.id, self.shared.clock.now()));
        self.reply(&text).await
    }

    async fn command(&mut self, command: Command) -> Result<(), ConnError> {
        match command {
            Command::Ehlo(name) => self.ehlo(name).await,
            Command::Helo(name) => {
                self.client = Some(name);
                self.transaction = None;
                let hello = format!("250 {SMTP_HOST} Hello [{}]", self.conn.peer().ip());
                self.reply(&hello).await
            }
            Command::StartTls => self.starttls().await,
            Command::Auth { mechanism, initial } => self.auth(&mechanism, initial).await,
            Command::Mail(arguments) => self.mail(&arguments).await,
            Command::Rcpt(arguments) => self.rcpt(&arguments).await,
            Command::Data => self.data().await,
            Command::Bdat { octets, last } => self.bdat(octets, last).await,
            Command::Rset => {
                self.transaction = None;
                self.reply("250 2.0.0 Resetting").await
            }
            // QUIT was dealt with before.
            Command::Noop | Command::Quit => self.reply("250 2.0.0 OK").await,
            Command::Help => {
                self.reply("214-This server supports the following commands:")
                    .await?;
                self.reply("214 HELO EHLO STARTTLS RCPT DATA RSET MAIL QUIT HELP AUTH BDAT VRFY")
                    .await
            }
            Command::Vrfy => self.reply("252 2.1.5 Cannot VRFY user").await,
            Command::BadArguments => self.reply("501 5.5.4 Invalid arguments").await,
            Command::Unknown(verb) => {
                let text = format!("500 5.3.3 Unrecognized command '{verb}'");
                self.refuse(&text).await
            }
        }
    }

    async fn ehlo(&mut self, name: String) -> Result<(), ConnError> {
        self.client = Some(name);
        // RFC 5321 §4.1.4: EHLO clears what was begun.
        self.transaction = None;
        let security = if self.conn.is_tls() {
            "AUTH LOGIN XOAUTH2"
        } else {
            "STARTTLS"
        };
        let peer = self.conn.peer().ip();
        let list = format!(
            "250-{SMTP_HOST} Hello [{peer}]\r\n250-SIZE {MAX_MESSAGE}\r\n250-PIPELINING\r\n250-DSN\r\n\
             250-ENHANCEDSTATUSCODES\r\n250-{security}\r\n250-8BITMIME\r\n250-BINARYMIME\r\n250-CHUNKING\r\n\
             250 SMTPUTF8"
        );
        self.reply(&list).await
    }

    async fn starttls(&mut self) -> Result<(), ConnError> {
        if self.conn.is_tls() {
            return self
                .reply("503 5.5.2 Only one STARTTLS command can be issued per session")
                .await;
        }
        self.conn
            .start_tls(b"220 2.0.0 SMTP server ready\r\n", &self.shared)
            .await?;
        // RFC 3207 §4.2: nothing said in clear counts any more.
        self.client = None;
        self.signed = None;
        self.transaction = None;
        Ok(())
    }

    async fn auth(&mut self, mechanism: &str, initial: Option<SaslResponse>) -> Result<(), ConnError> {
        if self.client.is_none() {
            return self.reply("503 5.5.2 Send hello first").await;
        }
        if self.signed.is_some() || self.transaction.is_some() {
            return self.reply("503 5.5.2 Bad sequence of commands").await;
        }
        match mechanism {
            "XOAUTH2" if self.conn.is_tls() => self.xoauth2(initial).await,
            "LOGIN" if self.conn.is_tls() => self.login(initial).await,
            _ => self.refuse("504 5.7.4 Unrecognized authentication type").await,
        }
    }

    /// Asks for one SASL response; `None` if the client gave up with `*` or sent too much.
    async fn challenge(&mut self, text: &str) -> Result<Option<SaslResponse>, ConnError> {
        self.conn.prompt(format!("334 {text}\r\n")).await?;
        let line = self.conn.read_line(MAX_LINE).await?;
        Ok((line.as_ref() != b"*").then_some(SaslResponse(line)))
    }

    async fn xoauth2(&mut self, initial: Option<SaslResponse>) -> Result<(), ConnError> {
        let response = match initial {
            Some(response) => response,
            None => match self.challenge("").await? {
                Some(response) => response,
                None => return self.reply("501 5.7.0 Authentication canceled").await,
            },
        };
        let Some(response) = xoauth2::parse(&response) else {
            return self.reply("501 5.5.124 Invalid XOAUTH2 auth data").await;
        };
        let (oid, connected) = match sign_in(&self.shared, Protocol::Smtp, &response).await {
            Outcome::Granted { oid, .. } => (oid, true),
            Outcome::NotConnected { oid } if !self.shared.faults.is_on(Fault::SmtpRefuseAtAuth) => {
                (oid, false)
            }
            Outcome::SmtpDisabledForTenant => return self.smtp_disabled("Tenant").await,
            Outcome::SmtpDisabledForMailbox => return self.smtp_disabled("Mailbox").await,
            Outcome::Refused(_) | Outcome::Disabled | Outcome::NotConnected { .. } => {
                return self.refuse("535 5.7.3 Authentication unsuccessful").await;
            }
        };
        self.signed = Some(Signed {
            place: self.shared.traffic.enter(&response.user),
            user: response.user,
            oid,
            connected,
        });
        self.conn.set_idle(self.shared.options.idle);
        self.reply("235 2.7.0 Authentication successful").await
    }

    async fn smtp_disabled(&mut self, scope: &str) -> Result<(), ConnError> {
        let text = format!(
            "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the {scope}. Visit \
             https://aka.ms/smtp_auth_disabled for more information."
        );
        self.refuse(&text).await
    }

    /// Advertised, and then refused: passwords are off.
    async fn login(&mut self, initial: Option<SaslResponse>) -> Result<(), ConnError> {
        if initial.is_none() && self.challenge("VXNlcm5hbWU6").await?.is_none() {
            return self.reply("501 5.7.0 Authentication canceled").await;
        }
        if self.challenge("UGFzc3dvcmQ6").await?.is_none() {
            return self.reply("501 5.7.0 Authentication canceled").await;
        }
        self.refuse("535 5.7.139 Authentication unsuccessful, basic authentication is disabled.")
            .await
    }

    async fn mail(&mut self, arguments: &str) -> Result<(), ConnError> {
        if self.client.is_none() {
            return self.reply("503 5.5.2 Send hello first").await;
        }
        if self.signed.is_none() {
            return self
                .refuse("530 5.7.57 Client not authenticated to send mail.")
                .await;
        }
        if self.transaction.is_some() {
            return self.reply("503 5.5.2 Sender already specified").await;
        }
        let read = match path::mail(arguments) {
            Ok(read) => read,
            Err(path::Fault::Address) => return self.reply("501 5.1.7 Invalid address").await,
            Err(path::Fault::Parameter) => return self.reply("501 5.5.4 Unrecognized parameter").await,
        };
        if read.size.is_some_and(|size| size > MAX_MESSAGE as u64) {
            return self
                .reply("552 5.3.4 Message size exceeds fixed maximum message size")
                .await;
        }
        self.transaction = Some(Transaction {
            from: read.address,
            smtputf8: read.smtputf8,
            binary: read.binary,
            to: Vec::new(),
            chunks: None,
        });
        self.reply("250 2.1.0 Sender OK").await
    }

    async fn rcpt(&mut self, arguments: &str) -> Result<(), ConnError> {
        let reply = self.recipient(arguments);
        self.reply(&reply).await
    }

    fn recipient(&mut self, arguments: &str) -> String {
        let Some(transaction) = self.transaction.as_mut().filter(|known| known.chunks.is_none()) else {
            return "503 5.5.2 Need mail command".to_owned();
        };
        if transaction.to.len() >= MAX_RECIPIENTS {
            return "452 4.5.3 Too many recipients".to_owned();
        }
        let address = match path::rcpt(arguments, transaction.smtputf8) {
            Ok(address) => address,
            Err(path::Fault::Address) => return "501 5.1.3 Invalid address".to_owned(),
            Err(path::Fault::Parameter) => return "501 5.5.4 Unrecognized parameter".to_owned(),
        };
        let tenant = self.shared.tenant();
        let domain = address.rsplit_once('@').map_or("", |(_, domain)| domain);
        if tenant.has_domain(domain) && tenant.mailbox_at(&address).is_none() {
            return format!(
                "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient {address} not found by SMTP address lookup"
            );
        }
        transaction.to.push(address);
        "250 2.1.5 Recipient OK".to_owned()
    }

    /// Why a message cannot begin, or go on, now.
    fn not_ready(&self, data: bool) -> Option<&'static str> {
        match &self.transaction {
            None => Some("503 5.5.2 Need mail command"),
            Some(transaction) if transaction.to.is_empty() => Some("503 5.5.2 Need rcpt command"),
            // RFC 3030 §2 and §3: neither after a BDAT nor for binary data.
            Some(transaction) if data && (transaction.chunks.is_some() || transaction.binary) => {
                Some("503 5.5.2 Bad sequence of commands")
            }
            Some(_) => None,
        }
    }

    fn spool(&self, from: &str) -> Spool {
        let client = self.client.as_deref().unwrap_or("unknown");
        let headers = trace(
            from,
            client,
            self.conn.peer().ip(),
            &self.id,
            self.shared.clock.now(),
        );
        Spool::new(self.shared.clone(), &headers)
    }

    async fn data(&mut self) -> Result<(), ConnError> {
        if let Some(refusal) = self.not_ready(true) {
            return self.reply(refusal).await;
        }
        let Some(transaction) = self.transaction.take() else {
            return Ok(());
        };
        self.conn
            .prompt("354 Start mail input; end with <CRLF>.<CRLF>\r\n")
            .await?;
        let mut spool = self.spool(&transaction.from);
        let mut decoder = DotDecoder::new();
        loop {
            let mut piece = self.conn.read_some(PIECE).await?;
            let (used, done) = decoder.decode(&piece, |bytes| spool.push(bytes));
            if done {
                self.conn.unread(piece.split_off(used.min(piece.len())));
                break;
            }
        }
        self.end_of_data(transaction, spool).await
    }

    async fn bdat(&mut self, octets: u64, last: bool) -> Result<(), ConnError> {
        let refusal = self.not_ready(false);
        let mut transaction = if refusal.is_none() {
            self.transaction.take()
        } else {
            None
        };
        let mut spool = match &mut transaction {
            Some(transaction) => Some(
                transaction
                    .chunks
                    .take()
                    .unwrap_or_else(|| self.spool(&transaction.from)),
            ),
            None => None,
        };
        // A refused chunk is on its way all the same (RFC 3030 §2): it is read and thrown away.
        let mut left = octets;
        while left > 0 {
            let piece = self
                .conn
                .read_some(usize::try_from(left).unwrap_or(PIECE).min(PIECE))
                .await?;
            left -= piece.len() as u64;
            if let Some(spool) = &mut spool {
                spool.push(&piece);
            }
        }
        match (transaction, spool) {
            (Some(transaction), Some(spool)) if last => self.end_of_data(transaction, spool).await,
            (Some(transaction), Some(spool)) => {
                self.transaction = Some(Transaction {
                    chunks: Some(spool),
                    ..transaction
                });
                let text = format!("250 2.6.0 CHUNK received OK, {octets} octets");
                self.reply(&text).await
            }
            _ => self.reply(refusal.unwrap_or("503 5.5.2 Need mail command")).await,
        }
    }

    async fn end_of_data(&mut self, transaction: Transaction, spool: Spool) -> Result<(), ConnError> {
        let spooled = match spool.finish() {
            Ok(whole) => whole,
            Err(Overflow::TooLarge) => {
                return self
                    .reply("552 5.3.4 Message size exceeds fixed maximum message size")
                    .await;
            }
            Err(Overflow::NoMemory) => return self.reply("452 4.3.1 Insufficient system resources").await,
        };
        let Some(signed) = &self.signed else {
            return self.reply("503 5.5.2 Bad sequence of commands").await;
        };
        let shared = self.shared.clone();
        let faults = &shared.faults;
        if faults.strike(Fault::SmtpCutLost).is_some() {
            return self.conn.reset();
        }
        if faults.strike(Fault::Smtp430).is_some() {
            return self.reply(&refuse(LOGON_FAILURE)).await;
        }
        let connections = faults.value(Fault::SmtpConnections).unwrap_or(MAX_CONNECTIONS);
        if faults.strike(Fault::Smtp432).is_some() || !signed.place.may_send(connections) {
            return self.reply(&refuse(TOO_MANY_CONNECTIONS)).await;
        }
        if signed.connected {
            // The excess is delayed, not refused.
            let rate = faults.value(Fault::SmtpRate).unwrap_or(MAX_RATE);
            let due = signed.place.next_message(rate, shared.clock.now());
            shared.clock.sleep_until(due).await;
        }
        let submission = Submission {
            user: signed.user.clone(),
            oid: signed.oid.clone(),
            connected: signed.connected,
            from: transaction.from,
            to: transaction.to,
            raw: spooled.raw,
            trace: spooled.start,
        };
        let reply = submit(&mut shared.tenant(), submission, shared.clock.now());
        if reply.starts_with('2') && faults.strike(Fault::SmtpCutStored).is_some() {
            return self.conn.reset();
        }
        self.reply(&reply).await
    }
}
