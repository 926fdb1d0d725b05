//! COPY, MOVE, EXPUNGE and what takes MOVE's place where a server has none.

use std::time::Duration;

use super::command::{Command, folder_argument};
use super::copy::CopyUid;
use super::engine::ImapEngine;
use super::fetch::is_about_gone_messages;
use super::flag::{Flag, write_flags};
use super::query::Query;
use super::response::Untagged;
use super::status::{Code, StatusLine};
use super::uid::{Uid, UidSet};
use crate::error::{Error, ErrorKind, Layer, Result};

/// UIDs of one SEARCH that are kept: 16 MiB.
const MAX_FOUND: usize = 4_000_000;

/// What comes in within this time of the server's news is left to the next search.
const CURRENT: Duration = Duration::from_secs(5);

fn never(_: &StatusLine) -> bool {
    false
}

/// How flags are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Store {
    /// Adds these flags to those of the message.
    Add,
    /// Takes these flags away.
    Remove,
    /// These flags and no others.
    Replace,
}

impl Store {
    fn item(self) -> &'static str {
        match self {
            Store::Add => "+FLAGS.SILENT",
            Store::Remove => "-FLAGS.SILENT",
            Store::Replace => "FLAGS.SILENT",
        }
    }
}

/// The answer to a SEARCH.
#[derive(Default)]
struct Found {
    uids: Vec<Uid>,
    too_many: bool,
    answered: bool,
    /// How many messages the folder holds.
    exists: u32,
    /// Mail came in behind the answer, which does not hold it.
    outdated: bool,
}

impl Found {
    fn take(&mut self, data: Untagged) {
        match data {
            Untagged::Search(uids) => {
                self.answered = true;
                self.too_many |= self.uids.len() + uids.len() > MAX_FOUND;
                if !self.too_many {
                    self.uids.extend(uids);
                }
            }
            Untagged::Exists(count) => {
                // Some servers say it with every answer.
                self.outdated |= self.answered && count != self.exists;
                self.exists = count;
            }
            Untagged::Expunge(_) => self.exists = self.exists.saturating_sub(1),
            _ => {}
        }
    }
}

impl ImapEngine {
    /// Whether SEARCH sees what is in the folder. Later a server may wait for a command such as NOOP before it lets a
    /// session see what has come in (RFC 9051 §5.2), and SEARCH is none: Dovecot does so.
    fn is_current(&self) -> bool {
        self.current.is_some_and(|since| since.elapsed() < CURRENT)
    }

    pub(super) async fn search(&mut self, query: &Query) -> Result<Vec<Uid>> {
        let command = query.command()?;
        // A server that does not know UTF-8 may as well say BAD to the argument.
        let fallback = if query.is_ascii() {
            ErrorKind::Rejected
        } else {
            ErrorKind::Unsupported
        };
        let explain = |error: Error| match error.kind() == ErrorKind::Unsupported && error.hint().is_none() {
            true => error.with_hint("search without letters outside US-ASCII"),
            false => error,
        };
        let news = !self.is_current();
        let mut found = self
            .search_once(&command, fallback, news)
            .await
            .map_err(explain)?;
        if news && found.outdated {
            // Dovecot puts the NOOP off until the SEARCH behind it is done. Now the session sees what came in.
            found = self
                .search_once(&command, fallback, false)
                .await
                .map_err(explain)?;
        }
        if found.too_many {
            let detail = format!("more than {MAX_FOUND} messages fit the search");
            return Err(Error::new(ErrorKind::Protocol, command.name, detail)
                .with_layer(Layer::Imap)
                .with_hint("search for fewer at once"));
        }
        found.uids.sort_unstable();
        found.uids.dedup();
        if let Some(selected) = &mut self.selected {
            selected.observe_found(found.uids.last().copied());
        }
        Ok(found.uids)
    }

    /// One SEARCH; with `news`, behind a NOOP in the same flight.
    async fn search_once(&mut self, command: &Command, fallback: ErrorKind, news: bool) -> Result<Found> {
        let mut found = Found {
            exists: self.require_selected(command.name)?.exists,
            ..Found::default()
        };
        let noop = match news {
            true => Some(self.issue(&Command::new("NOOP")).await?),
            false => None,
        };
        let result = self.run(command, fallback, &mut |data| found.take(data)).await;
        // What the NOOP itself comes to is of no interest, and on a broken connection nothing comes.
        if let Some(tag) = noop
            && !self.wire.is_broken()
        {
            self.status(tag, "NOOP", &mut |data| found.take(data)).await?;
        }
        result.map(|_| found)
    }

    pub(super) async fn store(&mut self, set: &UidSet, how: Store, flags: &[Flag]) -> Result<()> {
        const NAME: &str = "UID STORE";
        let list = write_flags(flags)?;
        let selected = self.require_selected(NAME)?;
        if how != Store::Remove
            && let Some(flag) = flags.iter().find(|flag| !selected.keeps(flag))
        {
            return Err(Error::new(
                ErrorKind::Unsupported,
                NAME,
                format!("this folder does not keep the flag {flag}"),
            )
            .with_layer(Layer::Imap)
            .with_hint("Exchange keeps no keywords of one's own: use a folder or \\Flagged instead"));
        }
        if flags.is_empty() && how != Store::Replace {
            return Ok(());
        }
        let commands = Command::for_set(NAME, set, &format!("{} {list}", how.item()));
        self.run_all(
            &commands,
            ErrorKind::Rejected,
            is_about_gone_messages,
            &mut |_| {},
        )
        .await
        .map(drop)
    }

    pub(super) async fn copy(&mut self, set: &UidSet, folder: &str) -> Result<Option<CopyUid>> {
        self.transfer("UID COPY", set, folder).await
    }

    /// COPY or MOVE. MOVE tells the new UIDs on an untagged OK (RFC 6851 §4.3), COPY on the tagged one.
    async fn transfer(&mut self, name: &'static str, set: &UidSet, folder: &str) -> Result<Option<CopyUid>> {
        self.require_selected(name)?;
        let commands = Command::for_set(name, set, &folder_argument(folder)?);
        let mut copied: Option<CopyUid> = None;
        let mut collect = |data: Untagged| {
            if let Untagged::Status(StatusLine {
                code: Some(Code::CopyUid(uids)),
                ..
            }) = data
            {
                CopyUid::merge(&mut copied, uids);
            }
        };
        let statuses = self
            .run_all(&commands, ErrorKind::Rejected, never, &mut collect)
            .await?;
        for status in statuses {
            if let Some(Code::CopyUid(uids)) = status.code {
                CopyUid::merge(&mut copied, uids);
            }
        }
        Ok(copied)
    }

    pub(super) async fn move_to(&mut self, set: &UidSet, folder: &str) -> Result<Option<CopyUid>> {
        const NAME: &str = "UID MOVE";
        if self.capabilities.has("MOVE") {
            return self.transfer(NAME, set, folder).await;
        }
        self.require_selected(NAME)?;
        if set.is_empty() {
            return Ok(None);
        }
        let by_uid = self.capabilities.has("UIDPLUS");
        if !by_uid {
            // EXPUNGE takes whatever bears \Deleted. What somebody else marked must not go with it.
            let marked = self.search(&Query::all().flag(&Flag::Deleted)).await?;
            if marked.iter().any(|uid| !set.contains(*uid)) {
                let detail =
                    "the server can only expunge every deleted message at once, and others are marked here";
                return Err(Error::new(ErrorKind::Unsupported, NAME, detail)
                    .with_layer(Layer::Imap)
                    .with_hint(
                        "copy the messages and mark them as deleted; expunge when all that are marked may go",
                    ));
            }
        }
        let set = &self.arrived(set).await?;
        let copied = self.copy(set, folder).await?;
        let flags = write_flags(&[Flag::Deleted])?;
        let mut commands = Command::for_set("UID STORE", set, &format!("{} {flags}", Store::Add.item()));
        if by_uid {
            commands.extend(expunge_commands(set));
        } else {
            commands.push(Command::new("EXPUNGE"));
        }
        self.run_all(&commands, ErrorKind::Rejected, never, &mut |_| {})
            .await?;
        Ok(copied)
    }

    /// The set without UIDs that no message has yet. A message that comes in between COPY and STORE would get one of
    /// them, and be expunged without having been copied.
    async fn arrived(&mut self, set: &UidSet) -> Result<UidSet> {
        let first = Uid::new(1).zip(set.last()).map(|(one, last)| {
            let next = self.selected.as_ref().and_then(|selected| selected.uid_next);
            (next.and_then(Uid::new).unwrap_or(one), last)
        });
        match first {
            Some((next, last)) if last >= next => {
                let newest = self.search(&Query::all().uid(&UidSet::starting_at(next))).await?;
                Ok(newest.last().map(|newest| set.up_to(*newest)).unwrap_or_default())
            }
            _ => Ok(set.clone()),
        }
    }

    pub(super) async fn expunge(&mut self) -> Result<u32> {
        self.require_selected("EXPUNGE")?;
        self.count_expunged(&[Command::new("EXPUNGE")]).await
    }

    pub(super) async fn uid_expunge(&mut self, set: &UidSet) -> Result<u32> {
        const NAME: &str = "UID EXPUNGE";
        self.require_selected(NAME)?;
        self.require(NAME, "UIDPLUS")?;
        self.count_expunged(&expunge_commands(set)).await
    }

    async fn count_expunged(&mut self, commands: &[Command]) -> Result<u32> {
        let mut count = 0_u32;
        let mut collect = |data: Untagged| {
            if matches!(data, Untagged::Expunge(_)) {
                count = count.saturating_add(1);
            }
        };
        self.run_all(commands, ErrorKind::Rejected, never, &mut collect)
            .await?;
        Ok(count)
    }
}

fn expunge_commands(set: &UidSet) -> Vec<Command> {
    let chunks = set.chunks(super::command::MAX_COMMAND - 100);
    chunks
        .iter()
        .map(|chunk| Command::new("UID EXPUNGE").raw(chunk))
        .collect()
}
