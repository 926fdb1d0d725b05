//! [`Message`]: one file of the outbox, read and written. A line of fixed length with the lengths of what follows, the
//! head as JSON, the message's bytes, and a journal: one JSON record a line, only ever appended to.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::entry::{Entry, Reason, Recipient, RecipientState, State};
use super::id::OutboxId;
use crate::smtp::{Envelope, SendOptions};

const MAGIC: &str = "exomail-outbox 1 ";
/// Length of the first line: magic, ten digits, a space, twenty digits, a line end.
pub(super) const PREFIX: usize = MAGIC.len() + 10 + 1 + 20 + 1;
/// Longer heads and journals are damage: 100,000 recipients fit well.
const MAX_TEXT: u64 = 64 * 1024 * 1024;

/// What is known when a message is added, and never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) mailbox: String,
    pub(super) from: Option<String>,
    pub(super) to: Vec<String>,
    pub(super) message_id: String,
    pub(super) queued: Timestamp,
    #[serde(default)]
    pub(super) options: SendOptions,
}

/// Something that happened to a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Record {
    /// From here on the message may have been delivered.
    Going { at: Timestamp },
    /// It was tried, with a certain outcome.
    Tried(Box<Tried>),
    /// What became of it is unknown.
    Unknown { at: Timestamp },
    /// It was not found there, and is sent again.
    Missing { at: Timestamp },
    /// The caller wants it sent again.
    Requeued { at: Timestamp },
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tried {
    pub(super) at: Timestamp,
    /// Who has the message now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) delivered: Vec<String>,
    /// Who never will.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) refused: Vec<Refused>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<Reason>,
    /// When it is tried again; `None` where that was all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Refused {
    pub(super) address: String,
    pub(super) reply: String,
}

impl Record {
    pub(super) fn requeued(at: Timestamp) -> Self {
        Record::Requeued { at }
    }
}

/// What the journal comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct History {
    pub(super) delivered: BTreeSet<String>,
    pub(super) refused: BTreeMap<String, String>,
    /// Failures since it was queued, or queued again.
    pub(super) attempts: u32,
    pub(super) next: Option<Timestamp>,
    pub(super) reason: Option<Reason>,
    /// When it was queued again.
    pub(super) requeued: Option<Timestamp>,
    /// How often the server took it: so many copies are among the sent items at least.
    pub(super) copies: usize,
    pub(super) unknown_since: Option<Timestamp>,
    pub(super) last: Option<Record>,
}

impl History {
    pub(super) fn note(&mut self, record: Record) {
        match &record {
            Record::Going { .. } => {}
            Record::Tried(tried) => {
                self.copies += usize::from(!tried.delivered.is_empty());
                self.delivered.extend(tried.delivered.iter().cloned());
                let refused = tried.refused.iter();
                self.refused
                    .extend(refused.map(|refused| (refused.address.clone(), refused.reply.clone())));
                self.attempts = self.attempts.saturating_add(1);
                self.next = tried.next;
                self.reason.clone_from(&tried.reason);
                self.unknown_since = None;
            }
            Record::Unknown { at } => {
                self.unknown_since = Some(*at);
                self.next = None;
            }
            Record::Missing { .. } => self.unknown_since = None,
            Record::Requeued { at } => {
                self.refused.clear();
                self.attempts = 0;
                self.next = None;
                self.reason = None;
                self.requeued = Some(*at);
                self.unknown_since = None;
            }
        }
        self.last = Some(record);
    }
}

/// A message as it lies on the disk, its bytes left there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) id: OutboxId,
    pub(super) head: Head,
    pub(super) history: History,
    /// Where the bytes begin in the file.
    pub(super) body_at: u64,
    pub(super) body_len: u64,
}

/// Why a file is no message.
#[derive(Debug)]
pub(super) enum Damage {
    Io(io::Error),
    Content(&'static str),
}

impl From<io::Error> for Damage {
    fn from(error: io::Error) -> Self {
        Damage::Io(error)
    }
}

impl Message {
    /// Reads head and journal.
    pub(super) fn read(id: OutboxId, file: &mut File) -> Result<Self, Damage> {
        let length = file.metadata()?.len();
        let mut prefix = [0; PREFIX];
        file.read_exact(&mut prefix)?;
        let (head_len, body_len) =
            parse_prefix(&prefix).ok_or(Damage::Content("it does not begin as one"))?;
        let body_at = (PREFIX as u64)
            .checked_add(head_len)
            .ok_or(Damage::Content("its lengths are not possible"))?;
        let journal_at = body_at
            .checked_add(body_len)
            .filter(|end| *end <= length)
            .ok_or(Damage::Content("it is cut short"))?;
        if head_len > MAX_TEXT || length - journal_at > MAX_TEXT {
            return Err(Damage::Content("its head or journal is longer than possible"));
        }
        let mut head = Vec::new();
        file.take(head_len).read_to_end(&mut head)?;
        let head: Head =
            serde_json::from_slice(&head).map_err(|_| Damage::Content("its head can't be read"))?;
        // So that nothing is taken for an address here that the servers' side would not.
        Envelope::new(head.from.clone(), head.to.clone())
            .and_then(|_| Envelope::new(None, vec![head.mailbox.clone()]))
            .map_err(|_| Damage::Content("its envelope is not valid"))?;
        file.seek(SeekFrom::Start(journal_at))?;
        let mut journal = Vec::new();
        file.take(MAX_TEXT).read_to_end(&mut journal)?;
        let mut history = History::default();
        // A line that is torn, by a crash or a full disk, stands alone: each record begins with a line end.
        for line in journal.split(|byte| *byte == b'\n') {
            if let Ok(record) = serde_json::from_slice(line) {
                history.note(record);
            }
        }
        Ok(Self {
            id,
            head,
            history,
            body_at,
            body_len,
        })
    }

    /// The recipients that the message is still to be sent to.
    pub(super) fn pending(&self) -> Vec<String> {
        let History {
            delivered, refused, ..
        } = &self.history;
        let is_pending = |address: &&String| !delivered.contains(*address) && !refused.contains_key(*address);
        self.head.to.iter().filter(is_pending).cloned().collect()
    }

    /// When it was queued, or queued again.
    pub(super) fn since(&self) -> Timestamp {
        self.history.requeued.unwrap_or(self.head.queued)
    }

    pub(super) fn entry(&self, state: State) -> Entry {
        let History {
            delivered, refused, ..
        } = &self.history;
        let recipient = |address: &String| {
            let reply = refused.get(address).cloned();
            let has_it = state == State::Sent || delivered.contains(address);
            Recipient {
                address: address.clone(),
                state: match reply {
                    _ if has_it => RecipientState::Delivered,
                    Some(_) => RecipientState::Refused,
                    None => RecipientState::Pending,
                },
                reply: reply.filter(|_| !has_it),
            }
        };
        Entry {
            id: self.id.clone(),
            state,
            mailbox: self.head.mailbox.clone(),
            from: self.head.from.clone(),
            recipients: self.head.to.iter().map(recipient).collect(),
            message_id: self.head.message_id.clone(),
            size: self.body_len,
            queued: self.head.queued,
            attempts: self.history.attempts,
            next_try: self.history.next.filter(|_| state == State::Queued),
            reason: self.history.reason.clone().filter(|_| state != State::Sent),
        }
    }
}

/// The first line and the head.
pub(super) fn opening(head: &Head, body_len: u64) -> serde_json::Result<Vec<u8>> {
    let mut json = serde_json::to_vec(head)?;
    json.push(b'\n');
    let mut bytes = prefix(json.len() as u64, body_len).into_bytes();
    bytes.append(&mut json);
    Ok(bytes)
}

fn prefix(head_len: u64, body_len: u64) -> String {
    format!("{MAGIC}{head_len:010} {body_len:020}\n")
}

fn parse_prefix(line: &[u8; PREFIX]) -> Option<(u64, u64)> {
    let line = std::str::from_utf8(line).ok()?;
    let (head, body) = line.strip_prefix(MAGIC)?.strip_suffix('\n')?.split_once(' ')?;
    let number = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| text.parse().ok())
            .flatten()
    };
    Some((number(head)?, number(body)?))
}

/// Appends to the journal, in one write, and waits for the disk.
pub(super) fn append(file: &mut File, record: &Record) -> io::Result<()> {
    let mut line = vec![b'\n'];
    serde_json::to_writer(&mut line, record)?;
    line.push(b'\n');
    file.write_all(&line)?;
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        Head {
            mailbox: "joe@example.com".into(),
            from: Some("joe@example.com".into()),
            to: vec!["ann@example.com".into(), "bob@example.com".into()],
            message_id: "1@example.com".into(),
            queued: Timestamp::UNIX_EPOCH,
            options: SendOptions::default(),
        }
    }

    fn read(bytes: &[u8]) -> Result<Message, Damage> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        Message::read(OutboxId::new("1@example.com", 1), &mut file)
    }

    fn bytes(records: &[Record]) -> Vec<u8> {
        let mut file = tempfile::tempfile().unwrap();
        let body = b"Subject: x\n\n{\"event\":\"requeued\"}\n";
        file.write_all(&opening(&head(), body.len() as u64).unwrap())
            .unwrap();
        file.write_all(body).unwrap();
        for record in records {
            append(&mut file, record).unwrap();
        }
        file.rewind().unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        bytes
    }

    fn tried(delivered: &[&str], refused: &[&str]) -> Record {
        let refused = refused.iter().map(|address| Refused {
            address: (*address).to_owned(),
            reply: "550 5.1.1 no".into(),
        });
        Record::Tried(Box::new(Tried {
            delivered: delivered.iter().map(|address| (*address).to_owned()).collect(),
            refused: refused.collect(),
            ..Tried::default()
        }))
    }

    #[test]
    fn the_journal_tells_who_is_left() {
        let at = Timestamp::UNIX_EPOCH;
        let message = read(&bytes(&[])).unwrap();
        assert_eq!(message.head, head());
        assert_eq!(message.pending(), head().to);
        assert_eq!(message.history, History::default());

        let verdicts = [
            Record::Going { at },
            tried(&["ann@example.com"], &["bob@example.com"]),
        ];
        let message = read(&bytes(&verdicts)).unwrap();
        assert!(message.pending().is_empty());
        assert_eq!((message.history.attempts, message.history.copies), (1, 1));
        let states: Vec<_> = message
            .entry(State::Dead)
            .recipients
            .iter()
            .map(|recipient| recipient.state)
            .collect();
        assert_eq!(states, [RecipientState::Delivered, RecipientState::Refused]);

        let again = [verdicts.to_vec(), vec![Record::Requeued { at }]].concat();
        let message = read(&bytes(&again)).unwrap();
        assert_eq!(message.pending(), ["bob@example.com"]);
        assert_eq!(message.history.attempts, 0);
    }

    #[test]
    fn a_torn_record_spoils_no_other() {
        let whole = bytes(&[tried(&["ann@example.com"], &[])]);
        for cut in 1..20 {
            let mut torn = whole[..whole.len() - cut].to_vec();
            let mut line = vec![b'\n'];
            serde_json::to_writer(&mut line, &tried(&["bob@example.com"], &[])).unwrap();
            torn.append(&mut line);
            let delivered = read(&torn).unwrap().history.delivered;
            assert!(delivered.contains("bob@example.com"), "{cut}");
            // Without its line end the record is still whole.
            assert_eq!(delivered.len(), if cut == 1 { 2 } else { 1 }, "{cut}");
        }
    }

    #[test]
    fn damage_is_told_and_never_a_panic() {
        let whole = bytes(&[]);
        for cut in 0..whole.len() {
            assert!(read(&whole[..cut]).is_err(), "{cut}");
        }
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x15;
            drop(read(&flipped));
        }
        let huge = prefix(u64::MAX / 4, u64::MAX);
        assert!(read(huge.as_bytes()).is_err());
        let digits = prefix(0, 0).replace("0000000000 ", "+000000000 ");
        assert!(read(digits.as_bytes()).is_err());
    }
}
