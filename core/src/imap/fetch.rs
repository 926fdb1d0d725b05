//! Fetching: summaries, and bodies that are streamed as they arrive.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;

use super::command::Command;
use super::engine::{ImapEngine, Incoming, WINDOW};
use super::response::{Fetch, Response, Untagged};
use super::section::Section;
use super::status::{Condition, StatusLine};
use super::summary::{ITEMS, Summary};
use super::uid::{Uid, UidSet};
use super::value::Value;
use crate::error::{Error, ErrorKind, Layer, Result};
use crate::net::Pull;

const NAME: &str = "UID FETCH";
/// Pieces of a body that wait for the caller; then the server has to.
pub(super) const CHUNKS: usize = 4;
/// Largest piece.
const CHUNK: usize = 64 * 1024;
/// A body whose UID the server tells only behind it is held back up to this size.
const HELD_BACK: u64 = 1024 * 1024;

/// What comes next of the messages asked for: for each one `Begin`, any number of `Chunk`, `End`. They come in the
/// server's order, which is that of the UIDs as a rule. A message that is not there any more does not come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyEvent {
    /// A message begins.
    Begin {
        /// Its UID.
        uid: Uid,
        /// How many bytes will come.
        size: u64,
    },
    /// The next bytes of the message that began.
    Chunk(Bytes),
    /// The message is complete.
    End {
        /// Its UID.
        uid: Uid,
    },
}

/// Bodies that are arriving; see [`ImapSession::fetch_many`](super::ImapSession::fetch_many).
///
/// Pull it to its end, and the session goes on as usual. Dropped before, it spends the session: what was asked for
/// would still arrive.
#[derive(Debug)]
#[must_use = "nothing is fetched until `next` is called"]
pub struct Bodies<'a>(pub(super) Pull<'a, BodyEvent>);

impl Bodies<'_> {
    /// The next event; `None` when every message has come. Dropping the future loses nothing.
    ///
    /// # Errors
    /// The server's refusal, after which the session goes on, or those of the connection.
    pub async fn next(&mut self) -> Result<Option<BodyEvent>> {
        self.0.next().await
    }
}

/// Exchange ends a FETCH with NO when some messages are gone, after it has sent the others; so does Dovecot
/// (RFC 5530 EXPUNGEISSUED). What has come is good.
pub(super) fn is_about_gone_messages(status: &StatusLine) -> bool {
    status.condition == Condition::No
        && (status.is_named("EXPUNGEISSUED") || status.text.to_ascii_lowercase().contains("no longer exist"))
}

/// The body that is arriving.
enum Arriving {
    /// Goes to the caller as it comes.
    Streamed(Uid),
    /// Waits for its UID.
    Held(BytesMut),
    /// Was not asked for.
    Ignored,
}

impl ImapEngine {
    pub(super) async fn summaries(&mut self, set: &UidSet) -> Result<Vec<Summary>> {
        self.require_selected(NAME)?;
        let mut summaries: BTreeMap<Uid, Summary> = BTreeMap::new();
        let mut collect = |data: Untagged| {
            let Untagged::Fetch(fetch) = data else { return };
            // Flags alone are news of some message, not the answer. And only what was asked for is kept, so that a
            // server can't fill the memory.
            let answers = fetch.size.is_some() || fetch.envelope.is_some() || fetch.internal_date.is_some();
            if let Some(uid) = fetch.uid.filter(|uid| set.contains(*uid)) {
                match summaries.remove(&uid) {
                    None if !answers => {}
                    before => {
                        summaries.insert(uid, Summary::merge(before, uid, &fetch));
                    }
                }
            }
        };
        let commands = Command::for_set(NAME, set, ITEMS);
        self.run_all(
            &commands,
            ErrorKind::Rejected,
            is_about_gone_messages,
            &mut collect,
        )
        .await?;
        Ok(summaries.into_values().collect())
    }

    pub(super) async fn bodies(
        &mut self,
        set: &UidSet,
        section: &Section,
        sender: &mpsc::Sender<BodyEvent>,
    ) -> Result<()> {
        self.require_selected(NAME)?;
        let commands = Command::for_set(NAME, set, &format!("(UID {section})"));
        let only = if set.len() == 1 { set.iter().next() } else { None };
        let mut transfer = Transfer {
            set,
            only,
            sender,
            arriving: None,
        };
        let (mut waiting, mut tags, mut refused) = (commands.iter(), VecDeque::new(), None);
        loop {
            while tags.len() < WINDOW && refused.is_none() {
                let Some(command) = waiting.next() else { break };
                tags.push_back(self.issue(command).await?);
            }
            let Some(tag) = tags.front() else { break };
            if let Some(status) = self.ended(*tag) {
                tags.pop_front();
                if status.condition != Condition::Ok && !is_about_gone_messages(&status) {
                    refused.get_or_insert_with(|| self.refused(NAME, ErrorKind::Rejected, &status));
                }
                continue;
            }
            match self.incoming(NAME, true, self.wire.timeouts().step).await? {
                Incoming::Body { uid, size } => transfer.body(self, uid, size).await?,
                Incoming::Response(Response::Untagged(Untagged::Fetch(fetch))) => {
                    transfer.end(self, fetch).await?
                }
                Incoming::Response(_) => {}
            }
        }
        refused.map_or(Ok(()), Err)
    }
}

struct Transfer<'a> {
    set: &'a UidSet,
    /// The UID, where only one was asked for.
    only: Option<Uid>,
    sender: &'a mpsc::Sender<BodyEvent>,
    arriving: Option<Arriving>,
}

impl Transfer<'_> {
    async fn send(&self, engine: &mut ImapEngine, event: BodyEvent) -> Result<()> {
        if self.sender.send(event).await.is_ok() {
            return Ok(());
        }
        // The caller has gone, but the rest of the bodies is still to come, and would be taken for the answer to a later
        // command. The actor may see this error before it sees that nobody waits for it.
        engine.wire.cut();
        Err(Error::new(ErrorKind::Cancelled, NAME, "the caller has gone"))
    }

    /// Takes a body off the wire.
    async fn body(&mut self, engine: &mut ImapEngine, uid: Option<Uid>, size: u64) -> Result<()> {
        if self.arriving.is_some() {
            let detail = "the server sends two bodies of a message where one was asked for";
            return Err(engine.out_of_step(NAME, detail.to_owned()));
        }
        let mut arriving = match uid.or(self.only) {
            Some(uid) if self.set.contains(uid) => Arriving::Streamed(uid),
            Some(_) => Arriving::Ignored,
            None if size <= HELD_BACK => Arriving::Held(BytesMut::new()),
            None => {
                let error = engine.out_of_step(
                    NAME,
                    format!("the server sends {size} bytes before it says of which message"),
                );
                return Err(error.with_hint("fetch large messages one by one"));
            }
        };
        if let Arriving::Streamed(uid) = arriving {
            self.send(engine, BodyEvent::Begin { uid, size }).await?;
        }
        let mut left = size;
        while left > 0 {
            let max = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            let chunk = engine
                .wire
                .chunk(max)
                .await
                .map_err(|error| error.with_operation(NAME))?;
            left -= chunk.len() as u64;
            match &mut arriving {
                Arriving::Streamed(_) => self.send(engine, BodyEvent::Chunk(chunk)).await?,
                Arriving::Held(held) => held.extend_from_slice(&chunk),
                Arriving::Ignored => {}
            }
        }
        self.arriving = Some(arriving);
        Ok(())
    }

    /// A FETCH response has ended: with it the body in it.
    async fn end(&mut self, engine: &mut ImapEngine, fetch: Fetch) -> Result<()> {
        let uid = fetch.uid.or(self.only).filter(|uid| self.set.contains(*uid));
        let (uid, body) = match (self.arriving.take(), uid, fetch.body) {
            (Some(Arriving::Streamed(uid)), ..) => return self.send(engine, BodyEvent::End { uid }).await,
            (Some(Arriving::Held(held)), Some(uid), _) => (uid, held.freeze()),
            // Short bodies may come in quotes. NIL is a part that is not there.
            (None, Some(uid), Some(Value::Text(body) | Value::Atom(body))) => (uid, body),
            _ => return Ok(()),
        };
        let size = body.len() as u64;
        self.send(engine, BodyEvent::Begin { uid, size }).await?;
        if !body.is_empty() {
            self.send(engine, BodyEvent::Chunk(body)).await?;
        }
        self.send(engine, BodyEvent::End { uid }).await
    }
}

/// The error that a message or part is not there.
pub(super) fn not_found(uid: Uid) -> Error {
    Error::new(
        ErrorKind::NotFound,
        NAME,
        format!("there is no message with UID {uid}, or no such part in it"),
    )
    .with_layer(Layer::Imap)
    .with_hint("it may have been moved or deleted: search again")
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;
    use crate::imap::Selected;
    use crate::net::{Engine, Tap, Timeouts, Wire};

    /// Whichever the actor sees first, this error or that nobody waits for it: the session is spent.
    #[tokio::test]
    async fn a_caller_that_left_ends_the_connection() {
        for gone_at in 0..3 {
            let (near, mut far) = tokio::io::duplex(4096);
            far.write_all(b"* 1 FETCH (UID 1 BODY[] {5}\r\nhello)\r\n* 2 FETCH (UID 2 BODY[] {5}\r\nworld)\r\nA1 OK\r\n")
                .await
                .unwrap();
            let mut engine = ImapEngine::new(Wire::new(near, Tap::none(Layer::Imap), &Timeouts::default()));
            engine.selected = Some(Selected::default());
            let (sender, mut events) = mpsc::channel(1);
            let (set, section) = ("1:2".parse().unwrap(), Section::whole());
            let fetching = engine.bodies(&set, &section, &sender);
            let leaving = async move {
                for _ in 0..gone_at {
                    events.recv().await.unwrap();
                }
            };
            let (result, ()) = tokio::join!(fetching, leaving);
            assert_eq!(
                result.unwrap_err().kind(),
                ErrorKind::Cancelled,
                "after {gone_at}"
            );
            assert!(engine.is_broken(), "after {gone_at}");
        }
    }
}
