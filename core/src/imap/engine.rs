//! [`ImapEngine`]: what the actor of a session owns: the wire, the tags under way, what is known of the server.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::capability::Capabilities;
use super::command::{Command, Part};
use super::framer::{Framed, Framer};
use super::response::{Response, Tag, Untagged};
use super::select::Selected;
use super::status::{Code, Condition, StatusLine};
use super::uid::Uid;
use crate::doctor::refusal;
use crate::error::{Error, ErrorKind, Layer, Result, ServerReply};
use crate::net::{Engine, Wire};

/// Commands of one call that are under way at once. More would not save flights, and what is written must fit into
/// the buffers between us and a server that is busy answering.
pub(super) const WINDOW: usize = 8;
/// How long a server that has said `Server Unavailable. 15` without a tag may take to end the command.
const REMARK_GRACE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct ImapEngine {
    pub(super) wire: Wire,
    framer: Framer,
    last_tag: Tag,
    under_way: BTreeSet<Tag>,
    done: BTreeMap<Tag, StatusLine>,
    /// Commands whose answers nobody waits for any more; they may still come.
    abandoned: BTreeSet<Tag>,
    /// The greeting is that of Microsoft Exchange.
    pub(super) is_exchange: bool,
    pub(super) capabilities: Capabilities,
    pub(super) selected: Option<Selected>,
    /// When the server told of all that is in the open folder, unless another command was sent since.
    pub(super) current: Option<Instant>,
    /// What the server said outside of the protocol; the reason, should it now fall silent or hang up.
    remark: Option<String>,
    /// LOGOUT was sent: BYE is the answer to it.
    pub(super) leaving: bool,
}

impl Engine for ImapEngine {
    const LAYER: Layer = Layer::Imap;

    fn is_broken(&self) -> bool {
        self.wire.is_broken()
    }
}

/// What the session shows of the engine.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    pub(super) capabilities: Capabilities,
    pub(super) selected: Option<Selected>,
    pub(super) flights: u64,
}

/// What comes in while bodies are fetched.
pub(super) enum Incoming {
    Response(Response),
    /// A body of so many octets follows; `uid` as far as the server has told it before the body.
    Body {
        uid: Option<Uid>,
        size: u64,
    },
}

impl ImapEngine {
    pub(super) fn new(wire: Wire) -> Self {
        Self {
            wire,
            framer: Framer::default(),
            last_tag: 0,
            under_way: BTreeSet::new(),
            done: BTreeMap::new(),
            abandoned: BTreeSet::new(),
            is_exchange: false,
            capabilities: Capabilities::default(),
            selected: None,
            current: None,
            remark: None,
            leaving: false,
        }
    }

    pub(super) fn view(&self) -> View {
        View {
            capabilities: self.capabilities.clone(),
            selected: self.selected.clone(),
            flights: self.wire.flights(),
        }
    }

    /// The next tag, counted as under way.
    pub(super) fn tag(&mut self) -> Tag {
        self.last_tag += 1;
        self.current = None;
        self.under_way.insert(self.last_tag);
        self.last_tag
    }

    /// Collects a command; it goes out with whatever else is collected when an answer is waited for. Literals that
    /// the server wants to be asked about are waited for here.
    pub(super) async fn issue(&mut self, command: &Command) -> Result<Tag> {
        command.check()?;
        let tag = self.tag();
        let mut line = format!("A{tag} ");
        for part in &command.parts {
            match part {
                Part::Text(text) => line.push_str(text),
                Part::Literal(octets) => {
                    self.announce(tag, command.name, &line, octets.len() as u64)
                        .await?;
                    self.body(command.name, octets).await?;
                    line.clear();
                }
            }
        }
        self.wire.command(&line)?;
        Ok(tag)
    }

    /// Ends `line` with a literal's announcement and waits for the server's consent, where it must be asked.
    pub(super) async fn announce(
        &mut self,
        tag: Tag,
        name: &'static str,
        line: &str,
        size: u64,
    ) -> Result<()> {
        if self.capabilities.non_synchronising(size) {
            return self.wire.command(&format!("{line}{{{size}+}}"));
        }
        self.wire.command(&format!("{line}{{{size}}}"))?;
        match self.continuation(tag, name).await? {
            None => Ok(()),
            Some(status) => Err(self.refused(name, ErrorKind::Rejected, &status)),
        }
    }

    /// Waits for `+`. A status instead means that the command has ended.
    pub(super) async fn continuation(&mut self, tag: Tag, name: &'static str) -> Result<Option<StatusLine>> {
        loop {
            if let Some(status) = self.done.remove(&tag) {
                return Ok(Some(status));
            }
            if let Response::Continuation(_) = self.response(name).await? {
                return Ok(None);
            }
        }
    }

    /// Writes octets of a literal. When that fails, the server has usually said why.
    pub(super) async fn body(&mut self, name: &'static str, octets: &[u8]) -> Result<()> {
        let written = self.wire.body(octets).await;
        written.map_err(|error| self.last_words(name, error))
    }

    /// The server's parting words among what has arrived, or else `error`.
    fn last_words(&mut self, name: &'static str, error: Error) -> Error {
        while let Ok(Framed::Whole(length)) = self.framer.scan(self.wire.buffered(), false) {
            match self.take_response(length) {
                Response::Untagged(Untagged::Status(status)) if status.condition == Condition::Bye => {
                    return self.refused(name, ErrorKind::ConnectionLost, &status);
                }
                Response::Tagged(_, status) if status.condition != Condition::Ok => {
                    return self.refused(name, ErrorKind::Rejected, &status);
                }
                _ => {}
            }
        }
        error.with_operation(name)
    }

    fn take_response(&mut self, length: usize) -> Response {
        let bytes = self.wire.take(length);
        let head = self.framer.take_head();
        let bytes = if head.is_empty() {
            bytes
        } else {
            Bytes::from([&head, &bytes[..]].concat())
        };
        self.wire.tap().server(first_line(&bytes));
        Response::read(bytes)
    }

    /// What comes next; nothing is taken note of yet. With `bodies`, bodies are announced instead of kept.
    ///
    /// May be dropped while it waits: nothing is lost.
    async fn next(&mut self, name: &'static str, bodies: bool, limit: Duration) -> Result<Incoming> {
        loop {
            match self.framer.scan(self.wire.buffered(), bodies) {
                Err(detail) => return Err(self.out_of_step(name, detail)),
                Ok(Framed::Whole(length)) => return Ok(Incoming::Response(self.take_response(length))),
                Ok(Framed::Body { head, size }) => {
                    let head = self.wire.take(head);
                    self.wire.tap().server(first_line(&head));
                    self.framer.body_taken(&head);
                    let begun = Response::read(Bytes::copy_from_slice(self.framer.head()));
                    let uid = match begun {
                        Response::Untagged(Untagged::Fetch(fetch)) => fetch.uid,
                        _ => None,
                    };
                    return Ok(Incoming::Body { uid, size });
                }
                Ok(Framed::More) => {
                    let limit = if self.remark.is_some() {
                        limit.min(REMARK_GRACE)
                    } else {
                        limit
                    };
                    if let Err(error) = self.wire.fill_within(limit).await {
                        return Err(match self.remark.take() {
                            Some(text) => self.refusal(name, ErrorKind::Unavailable, &text),
                            None => error.with_operation(name),
                        });
                    }
                }
            }
        }
    }

    /// What comes next, taken note of.
    pub(super) async fn incoming(
        &mut self,
        name: &'static str,
        bodies: bool,
        limit: Duration,
    ) -> Result<Incoming> {
        let incoming = self.next(name, bodies, limit).await?;
        match &incoming {
            Incoming::Response(Response::Untagged(data)) => self.observe(name, data)?,
            Incoming::Response(Response::Tagged(tag, status)) => {
                let late = self.abandoned.remove(tag);
                if !late && !self.under_way.remove(tag) {
                    return Err(self.out_of_step(
                        name,
                        format!("the server ended a command A{tag} that is not under way"),
                    ));
                }
                if let Some(Code::Capability(names)) = &status.code {
                    self.capabilities = Capabilities::read(names.iter().cloned());
                }
                self.remark = None;
                if !late {
                    self.done.insert(*tag, status.clone());
                }
            }
            Incoming::Response(Response::Stray(text)) => self.remark = Some(text.clone()),
            Incoming::Response(Response::Continuation(_)) | Incoming::Body { .. } => {}
        }
        Ok(incoming)
    }

    /// The next response, taken note of.
    pub(super) async fn response(&mut self, name: &'static str) -> Result<Response> {
        match self.incoming(name, false, self.wire.timeouts().step).await? {
            Incoming::Response(response) => Ok(response),
            Incoming::Body { .. } => Err(self.out_of_step(name, "a body that was not asked for".to_owned())),
        }
    }

    fn observe(&mut self, name: &'static str, data: &Untagged) -> Result<()> {
        match data {
            Untagged::Status(status) => match status.condition {
                Condition::Bye if !self.leaving => {
                    let error = self.refused(name, ErrorKind::ConnectionLost, status);
                    self.wire.cut();
                    return Err(error);
                }
                // Exchange says `* BAD Command Error. 12` and the like before it hangs up.
                Condition::Bad => self.remark = Some(status.text.clone()),
                _ => {
                    if let Some(Code::Capability(names)) = &status.code {
                        self.capabilities = Capabilities::read(names.iter().cloned());
                    }
                }
            },
            Untagged::Capability(names) => self.capabilities = Capabilities::read(names.iter().cloned()),
            _ => {}
        }
        if let Some(selected) = &mut self.selected {
            selected.observe(data);
        }
        Ok(())
    }

    /// The status of a command if it has ended.
    pub(super) fn ended(&mut self, tag: Tag) -> Option<StatusLine> {
        self.done.remove(&tag)
    }

    /// Whether a command has ended and its status was not taken yet.
    pub(super) fn has_ended(&self, tag: Tag) -> bool {
        self.done.contains_key(&tag)
    }

    /// Gives up waiting for these commands: their answers may come at any time, or never.
    pub(super) fn abandon(&mut self, tags: impl IntoIterator<Item = Tag>) {
        for tag in tags {
            if self.under_way.remove(&tag) {
                self.abandoned.insert(tag);
            }
        }
    }

    /// How many of the commands that were given up have not been answered.
    pub(super) fn abandoned(&self) -> usize {
        self.abandoned.len()
    }

    /// Waits for a command's end, whatever it is; gives the data that comes before it to `collect`.
    pub(super) async fn status(
        &mut self,
        tag: Tag,
        name: &'static str,
        collect: &mut (dyn FnMut(Untagged) + Send),
    ) -> Result<StatusLine> {
        loop {
            if let Some(status) = self.done.remove(&tag) {
                let tells = matches!(name, "SELECT" | "EXAMINE" | "NOOP" | "IDLE");
                if tells && tag == self.last_tag && status.condition == Condition::Ok {
                    self.current = Some(Instant::now());
                }
                return Ok(status);
            }
            if let Response::Untagged(data) = self.response(name).await? {
                collect(data);
            }
        }
    }

    /// Waits for a command's end, which must be OK.
    pub(super) async fn finish(
        &mut self,
        tag: Tag,
        name: &'static str,
        fallback: ErrorKind,
        collect: &mut (dyn FnMut(Untagged) + Send),
    ) -> Result<StatusLine> {
        let status = self.status(tag, name, collect).await?;
        match status.condition {
            Condition::Ok => Ok(status),
            _ => Err(self.refused(name, fallback, &status)),
        }
    }

    /// One command and its answer.
    pub(super) async fn run(
        &mut self,
        command: &Command,
        fallback: ErrorKind,
        collect: &mut (dyn FnMut(Untagged) + Send),
    ) -> Result<StatusLine> {
        let tag = self.issue(command).await?;
        self.finish(tag, command.name, fallback, collect).await
    }

    /// Commands that travel together. Every answer is taken, so that the session stays in step; the first refusal
    /// that `tolerate` does not pass is the result.
    pub(super) async fn run_all(
        &mut self,
        commands: &[Command],
        fallback: ErrorKind,
        tolerate: fn(&StatusLine) -> bool,
        collect: &mut (dyn FnMut(Untagged) + Send),
    ) -> Result<Vec<StatusLine>> {
        let (mut statuses, mut refused) = (Vec::new(), None);
        let mut tags = std::collections::VecDeque::new();
        let mut waiting = commands.iter();
        loop {
            while tags.len() < WINDOW && refused.is_none() {
                let Some(command) = waiting.next() else { break };
                tags.push_back((self.issue(command).await?, command.name));
            }
            let Some((tag, name)) = tags.pop_front() else {
                break;
            };
            let status = self.status(tag, name, collect).await?;
            if status.condition != Condition::Ok && !tolerate(&status) {
                refused.get_or_insert_with(|| self.refused(name, fallback, &status));
            }
            statuses.push(status);
        }
        refused.map_or(Ok(statuses), Err)
    }

    /// The error for a NO, BAD or BYE; `fallback` is its kind where neither code nor text says better.
    pub(super) fn refused(&self, name: &'static str, fallback: ErrorKind, status: &StatusLine) -> Error {
        let kind = match &status.code {
            Some(Code::Named(code)) if code == "NONEXISTENT" || code == "TRYCREATE" => ErrorKind::NotFound,
            _ => fallback,
        };
        self.refusal(name, kind, &status.text)
    }

    fn refusal(&self, name: &'static str, kind: ErrorKind, text: &str) -> Error {
        let reply = ServerReply::text(self.wire.tap().scrub(text));
        refusal(Layer::Imap, name, kind, reply)
    }

    /// Ends a connection on which nothing can be relied upon any more.
    pub(super) fn out_of_step(&mut self, name: &'static str, detail: String) -> Error {
        self.wire.cut();
        Error::new(ErrorKind::Protocol, name, detail).with_layer(Layer::Imap)
    }

    /// The open folder, or the error that there is none.
    pub(super) fn require_selected(&self, name: &'static str) -> Result<&Selected> {
        self.selected.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::State, name, "no folder is open")
                .with_layer(Layer::Imap)
                .with_hint("select a folder first")
                .with_retry(crate::error::Retry::Never)
        })
    }

    /// Refuses what the server does not offer.
    pub(super) fn require(&self, name: &'static str, capability: &'static str) -> Result<()> {
        if self.capabilities.has(capability) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Unsupported,
            name,
            format!("the server does not offer {capability}"),
        )
        .with_layer(Layer::Imap))
    }
}

/// The first line of a response, for the transcript: literals are not recorded.
fn first_line(bytes: &[u8]) -> &[u8] {
    let end = bytes
        .iter()
        .position(|&byte| byte == b'\n')
        .unwrap_or(bytes.len());
    bytes.get(..end).unwrap_or_default().trim_ascii_end()
}
