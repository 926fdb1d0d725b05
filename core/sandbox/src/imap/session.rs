//! One client's session: reading commands, the states of RFC 3501 §3, and handing commands on.

use std::sync::Arc;

use bytes::Bytes;

use super::arguments::Bad;
use super::capability;
use super::command::Command;
use super::connected::Connected;
use super::fault;
use super::fetch::FetchItem;
use super::input::{Incoming, MAX_LINE};
use super::listing::Listing;
use super::messages::Fetched;
use super::mime::Part;
use super::output::Output;
use super::reply::{INVALID_STATE, Reply, UNAVAILABLE};
use super::search::SearchKey;
use super::sequence::SequenceSet;
use crate::faults::Fault;
use crate::mail::conn::{Conn, ConnError};
use crate::mail::host;
use crate::shared::Shared;

/// What waits in an answer is sent on from this size, before the next message is looked at.
const SEND_FROM: usize = 32 * 1_024;
/// Parts of larger messages are looked for on a thread of their own.
const PARSE_ASIDE_FROM: usize = 256 * 1_024;

/// Sent when the server ends a session (exchange-online.md §3.3).
pub(crate) const CLOSED: &str = "* BYE Connection closed. 14\r\n";

/// Who the session speaks for.
#[derive(Debug)]
pub(crate) enum State {
    NotAuthenticated,
    /// The token was good, but the mailbox does not open. Counts the commands refused for it.
    NotConnected(u32),
    Connected(Connected),
}

/// What becomes of the connection behind a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    Continue,
    Close,
}

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) shared: Arc<Shared>,
    pub(crate) conn: Conn,
    pub(crate) state: State,
    pub(crate) output: Output,
}

impl Session {
    pub(crate) fn new(conn: Conn, shared: Arc<Shared>) -> Self {
        Self {
            shared,
            conn,
            state: State::NotAuthenticated,
            output: Output::default(),
        }
    }

    /// Greets, and serves until the client goes, logs out, or is sent away.
    pub(crate) async fn run(mut self) -> Result<(), ConnError> {
        let greeting = format!(
            "* OK The Microsoft Exchange IMAP4 service is ready. [{}]\r\n",
            host::greeting_token()
        );
        self.conn.write(greeting).await?;
        loop {
            match self.turn().await {
                Ok(Next::Continue) => {}
                Ok(Next::Close) => return self.conn.close().await,
                Err(ConnError::TimedOut | ConnError::LineTooLong) => {
                    self.conn.write(CLOSED).await?;
                    return self.conn.close().await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// One command, from its first octet to the tagged line.
    async fn turn(&mut self) -> Result<Next, ConnError> {
        match self.read_command().await? {
            Incoming::Command { tag, segments, held } => {
                let next = match Command::parse(&segments) {
                    Ok(command) => self.execute(&tag, command).await,
                    Err(bad) => self.answer(&tag, bad.into(), true).await,
                };
                drop(held);
                next
            }
            Incoming::Refused { tag, reply } => self.answer(&tag, reply, true).await,
            Incoming::Untagged => {
                self.conn.write("* BAD Command Error. 12\r\n").await?;
                Ok(Next::Continue)
            }
        }
    }

    async fn execute(&mut self, tag: &str, command: Command) -> Result<Next, ConnError> {
        match command {
            Command::Capability => {
                let started = matches!(self.state, State::NotAuthenticated);
                let modern = self.shared.faults.is_on(Fault::ModernFrontEnd);
                self.output
                    .line(capability::list(self.conn.is_tls(), !started, modern));
                self.answer(tag, Reply::completed("CAPABILITY"), true).await
            }
            Command::Noop => self.answer(tag, Reply::completed("NOOP"), true).await,
            Command::Id => {
                self.output
                    .line("* ID (\"name\" \"Microsoft.Exchange.Imap4.Imap4Server\" \"version\" \"15.20\")");
                self.answer(tag, Reply::ok("ID completed"), true).await
            }
            Command::Logout => {
                let bye = "* BYE Microsoft Exchange Server 2016 IMAP4 server signing off.\r\n";
                self.conn.write(bye).await?;
                self.conn
                    .write(Reply::completed("LOGOUT").line(tag) + "\r\n")
                    .await?;
                Ok(Next::Close)
            }
            Command::StartTls => self.start_tls(tag).await,
            Command::Authenticate { mechanism, initial } => self.authenticate(tag, &mechanism, initial).await,
            Command::Login if matches!(self.state, State::NotAuthenticated) => {
                // Basic authentication is off, whatever the password.
                self.answer(tag, Reply::no("LOGIN failed."), true).await
            }
            command => self.execute_connected(tag, command).await,
        }
    }

    /// The commands that need the mailbox.
    async fn execute_connected(&mut self, tag: &str, command: Command) -> Result<Next, ConnError> {
        match &mut self.state {
            State::NotAuthenticated => return self.answer(tag, Reply::bad(INVALID_STATE), true).await,
            State::NotConnected(refused) => {
                *refused += 1;
                let again = *refused > 1;
                self.answer(tag, Reply::bad("User is authenticated but not connected."), false)
                    .await?;
                if again {
                    self.conn.write(CLOSED).await?;
                    return Ok(Next::Close);
                }
                return Ok(Next::Continue);
            }
            State::Connected(connected) => {
                if connected.is_lost(&mut self.shared.tenant()) {
                    self.conn.write(CLOSED).await?;
                    return Ok(Next::Close);
                }
            }
        }
        if let Some(next) = self.strike(tag).await? {
            return Ok(next);
        }
        match command {
            Command::Fetch { set, items, by_uid } => self.fetch(tag, &set, &items, by_uid).await,
            Command::Search { key, by_uid } => self.search(tag, key, by_uid).await,
            Command::Idle => self.idle(tag).await,
            command => {
                // Message numbers must not change behind STORE (RFC 3501 §7.4.1).
                let numbers_may_change = !matches!(command, Command::Store { by_uid: false, .. });
                let reply = self.run_on_tenant(command).unwrap_or_else(|reply| reply);
                self.answer(tag, reply, numbers_may_change).await
            }
        }
    }

    /// The commands that are done in one step on the state.
    fn run_on_tenant(&mut self, command: Command) -> Result<Reply, Reply> {
        let State::Connected(connected) = &mut self.state else {
            return Err(Reply::bad(INVALID_STATE));
        };
        let output = &mut self.output;
        let tenant = &mut *self.shared.tenant();
        match command {
            Command::Namespace => {
                output.line("* NAMESPACE ((\"\" \"/\")) NIL NIL");
                Ok(Reply::completed("NAMESPACE"))
            }
            Command::Select { folder, read_only } => Ok(connected.select(tenant, &folder, read_only, output)),
            Command::Unselect if connected.view.is_some() => {
                connected.view = None;
                Ok(Reply::completed("UNSELECT"))
            }
            Command::Check if connected.view.is_some() => Ok(Reply::completed("CHECK")),
            Command::Close => connected.close(tenant),
            Command::Create(name) => Ok(connected.create(tenant, &name)),
            Command::Delete(name) => Ok(connected.delete(tenant, &name)),
            Command::Rename { from, to } => Ok(connected.rename(tenant, &from, &to)),
            Command::Subscribe(name) => Ok(connected.subscribe(tenant, &name, true)),
            Command::Unsubscribe(name) => Ok(connected.subscribe(tenant, &name, false)),
            Command::List {
                reference,
                pattern,
                subscribed,
            } => {
                let pattern = if pattern.is_empty() {
                    pattern
                } else {
                    reference + &pattern
                };
                let special_use = self.shared.faults.is_on(Fault::ImapSpecialUse);
                let listing = Listing {
                    pattern: &pattern,
                    subscribed,
                    special_use,
                };
                Ok(connected.list(tenant, &listing, output))
            }
            Command::Status { folder, items } => Ok(connected.status(tenant, &folder, &items, output)),
            Command::Append {
                folder,
                flags,
                date,
                message,
            } => Ok(connected.append(tenant, &folder, flags, date, message)),
            Command::Expunge { only } => connected.expunge(tenant, only.as_ref()),
            Command::Store {
                set,
                change,
                flags,
                silent,
                by_uid,
            } => connected.store(tenant, (&set, by_uid), change, flags, silent, output),
            Command::Copy { set, folder, by_uid } => connected.copy(tenant, &set, by_uid, &folder),
            Command::Move { set, folder, by_uid } => connected.move_to(tenant, &set, by_uid, &folder, output),
            _ => Err(Reply::bad(INVALID_STATE)),
        }
    }

    /// FETCH: one message at a time, so that neither the state nor memory is held while the client reads.
    async fn fetch(
        &mut self,
        tag: &str,
        set: &SequenceSet,
        items: &[FetchItem],
        by_uid: bool,
    ) -> Result<Next, ConnError> {
        let State::Connected(connected) = &mut self.state else {
            return self.answer(tag, Reply::bad(INVALID_STATE), true).await;
        };
        let targets = match connected.targets(set, by_uid) {
            Ok(targets) => targets,
            Err(reply) => return self.answer(tag, reply, true).await,
        };
        let shape = fault::shape(&self.shared.faults);
        let end = fault::end_of_fetch(&self.shared.faults);
        let count = end.map_or(usize::MAX, |(count, _)| {
            usize::try_from(count).unwrap_or(usize::MAX)
        });
        let mut gone = false;
        for target in targets.into_iter().take(count) {
            let fetched = connected.take(&mut self.shared.tenant(), target, items);
            let Some(fetched) = fetched else {
                gone = true;
                continue;
            };
            let parts = if Fetched::needs_parts(items) {
                Some(parse_parts(&fetched.stored.raw).await)
            } else {
                None
            };
            fetched.write(items, by_uid, parts.as_ref(), shape, &mut self.output);
            if self.output.waiting() >= SEND_FROM {
                for piece in self.output.take() {
                    self.conn.write(piece).await?;
                }
            }
        }
        if let Some((_, farewell)) = end {
            return self.expire(tag, farewell).await;
        }
        self.answer(tag, Reply::completed_unless("FETCH", gone), by_uid)
            .await
    }

    async fn search(&mut self, tag: &str, key: SearchKey, by_uid: bool) -> Result<Next, ConnError> {
        let State::Connected(connected) = &mut self.state else {
            return self.answer(tag, Reply::bad(INVALID_STATE), true).await;
        };
        let candidates = connected.candidates(&mut self.shared.tenant());
        let (candidates, largest) = match candidates {
            Ok(found) => found,
            Err(reply) => return self.answer(tag, reply, true).await,
        };
        // Reading through a mailbox may take long; other sessions share this thread.
        let searched = tokio::task::spawn_blocking(move || {
            let mut line = "* SEARCH".to_owned();
            for candidate in key
                .select(&candidates, largest)
                .into_iter()
                .filter_map(|index| candidates.get(index))
            {
                let number = if by_uid {
                    candidate.stored.uid
                } else {
                    candidate.sequence
                };
                line.push(' ');
                line.push_str(&number.to_string());
            }
            line
        });
        let reply = match searched.await {
            Ok(line) => {
                self.output.line(line);
                Reply::completed("SEARCH")
            }
            Err(_) => Reply::no(UNAVAILABLE),
        };
        self.answer(tag, reply, by_uid).await
    }

    /// IDLE (RFC 2177): changes are told as they happen, until the client says DONE.
    async fn idle(&mut self, tag: &str) -> Result<Next, ConnError> {
        let State::Connected(connected) = &mut self.state else {
            return self.answer(tag, Reply::bad(INVALID_STATE), true).await;
        };
        let changes = self
            .shared
            .tenant()
            .mailbox_at(&connected.mailbox)
            .map(crate::state::Mailbox::watch);
        let Some(mut changes) = changes else {
            return self.answer(tag, Reply::bad(INVALID_STATE), true).await;
        };
        self.conn
            .prompt("+ IDLE accepted, awaiting DONE command.\r\n")
            .await?;
        let mut faults = self.conn.watch_faults();
        loop {
            faults.borrow_and_update();
            if self.strike_in_idle(tag).await? {
                return Ok(Next::Close);
            }
            let State::Connected(connected) = &mut self.state else {
                return Ok(Next::Close);
            };
            // Marked as seen before looking, so that no change falls in between.
            changes.borrow_and_update();
            let lost = {
                let tenant = &mut *self.shared.tenant();
                connected.sync(tenant, true, &mut self.output);
                connected.is_lost(tenant)
            };
            for piece in self.output.take() {
                self.conn.write(piece).await?;
            }
            if lost {
                self.conn.write(CLOSED).await?;
                return Ok(Next::Close);
            }
            self.conn.flush().await?;
            tokio::select! {
                line = self.conn.read_line(MAX_LINE) => {
                    let reply = if line?.trim_ascii().eq_ignore_ascii_case(b"DONE") {
                        Reply::completed("IDLE")
                    } else {
                        Bad::Argument.into()
                    };
                    return self.answer(tag, reply, true).await;
                }
                // The faults are there as long as the sandbox.
                _ = faults.changed() => {}
                changed = changes.changed() => {
                    if changed.is_err() {
                        // The mailbox was removed.
                        self.conn.write(CLOSED).await?;
                        return Ok(Next::Close);
                    }
                }
            }
        }
    }

    /// Sends what the command wrote, what others changed meanwhile, and the tagged line.
    pub(crate) async fn answer(
        &mut self,
        tag: &str,
        reply: Reply,
        numbers_may_change: bool,
    ) -> Result<Next, ConnError> {
        if let State::Connected(connected) = &mut self.state {
            connected.sync(&mut self.shared.tenant(), numbers_may_change, &mut self.output);
        }
        let line = self.tagged(tag, reply);
        self.output.line(line);
        for piece in self.output.take() {
            self.conn.write(piece).await?;
        }
        Ok(Next::Continue)
    }
}

async fn parse_parts(raw: &Bytes) -> Part {
    if raw.len() >= PARSE_ASIDE_FROM {
        let shared = raw.clone();
        if let Ok(part) = tokio::task::spawn_blocking(move || Part::parse(&shared)).await {
            return part;
        }
    }
    Part::parse(raw)
}
