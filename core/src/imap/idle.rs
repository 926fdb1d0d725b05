//! IDLE (RFC 2177): waiting for news.

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::command::Command;
use super::engine::{ImapEngine, Incoming};
use super::flag::Flag;
use super::response::{Response, Untagged};
use super::uid::Uid;
use crate::error::{ErrorKind, Result};

const NAME: &str = "IDLE";
/// Servers may hang up after 30 minutes without a command (RFC 2177 §3); Exchange does.
pub(super) const MAX_IDLE: Duration = Duration::from_secs(29 * 60);
/// News of one call that are kept.
const MAX_EVENTS: usize = 10_000;
/// The answer to DONE may be waited for so long beyond the end of the call.
const SLACK: Duration = Duration::from_secs(3600);

/// What happened in the open folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum IdleEvent {
    /// The folder now holds so many messages: as a rule, mail has come.
    Exists(u32),
    /// A message was removed. Its number in the folder is given, not its UID.
    Expunged(u32),
    /// A message's flags changed.
    Flags {
        /// The message's number in the folder.
        number: u32,
        /// Its UID, where the server says it.
        uid: Option<Uid>,
        /// All its flags.
        flags: Vec<Flag>,
    },
}

/// How waiting ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct IdleOutcome {
    /// What happened, in order; empty when time ran out.
    pub events: Vec<IdleEvent>,
}

impl IdleOutcome {
    /// Whether time ran out and nothing happened.
    pub fn timed_out(&self) -> bool {
        self.events.is_empty()
    }

    /// How many messages the folder holds, if the server told.
    pub fn exists(&self) -> Option<u32> {
        self.events.iter().rev().find_map(|event| match event {
            IdleEvent::Exists(count) => Some(*count),
            _ => None,
        })
    }

    fn note(&mut self, data: Untagged) {
        let event = match data {
            Untagged::Exists(count) => IdleEvent::Exists(count),
            Untagged::Expunge(number) => IdleEvent::Expunged(number),
            Untagged::Fetch(fetch) => match fetch.flags {
                Some(flags) => IdleEvent::Flags {
                    number: fetch.number,
                    uid: fetch.uid,
                    flags,
                },
                None => return,
            },
            _ => return,
        };
        if self.events.len() < MAX_EVENTS {
            self.events.push(event);
        }
    }
}

impl ImapEngine {
    pub(super) async fn idle(&mut self, max: Duration) -> Result<IdleOutcome> {
        self.require(NAME, "IDLE")?;
        self.require_selected(NAME)?;
        let mut outcome = IdleOutcome::default();
        let tag = self.issue(&Command::new(NAME)).await?;
        loop {
            if let Some(status) = self.ended(tag) {
                return Err(self.refused(NAME, ErrorKind::Unsupported, &status));
            }
            match self.response(NAME).await? {
                Response::Continuation(_) => break,
                Response::Untagged(data) => outcome.note(data),
                _ => {}
            }
        }
        let end = Instant::now() + max.min(MAX_IDLE);
        while outcome.events.is_empty() {
            let incoming = self.incoming(NAME, false, max.min(MAX_IDLE) + SLACK);
            // What `incoming` has read so far stays with the wire when time runs out.
            let Ok(incoming) = tokio::time::timeout_at(end, incoming).await else {
                break;
            };
            if let Incoming::Response(Response::Untagged(data)) = incoming? {
                outcome.note(data);
            }
            if let Some(status) = self.ended(tag) {
                // The server ended it by itself, without being asked.
                return match outcome.events.is_empty() {
                    true => Err(self.refused(NAME, ErrorKind::Unavailable, &status)),
                    false => Ok(outcome),
                };
            }
        }
        self.wire.command("DONE")?;
        self.finish(tag, NAME, ErrorKind::Rejected, &mut |data| outcome.note(data))
            .await?;
        Ok(outcome)
    }
}
