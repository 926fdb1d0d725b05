//! [`Messages`]: the result of a query, pulled message by message.

use std::collections::{HashMap, VecDeque};

use super::query::MessageRef;
use super::{Heal, Mailbox, Place};
use crate::error::Result;
use crate::governor::Protocol;
use crate::imap::{Summary, Uid, UidSet};

/// How many summaries are fetched in one flight.
const PAGE: usize = 100;

/// The messages that a query found, in its order. Summaries are fetched 100 at a time, as they are asked for; a
/// message that goes away in between is left out.
#[derive(Debug)]
pub struct Messages {
    mailbox: Mailbox,
    folder: String,
    uid_validity: u32,
    waiting: VecDeque<Uid>,
    page: VecDeque<(MessageRef, Summary)>,
}

impl Messages {
    pub(super) fn new(mailbox: Mailbox, folder: String, uid_validity: u32, uids: Vec<Uid>) -> Self {
        Self {
            mailbox,
            folder,
            uid_validity,
            waiting: uids.into(),
            page: VecDeque::new(),
        }
    }

    /// How many messages are still to come, at most.
    pub fn remaining(&self) -> usize {
        self.waiting.len() + self.page.len()
    }

    /// The next message, or `None` after the last.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when the folder was rebuilt in between; whatever connecting
    /// can meet. The call may be repeated: nothing is skipped.
    pub async fn next(&mut self) -> Result<Option<(MessageRef, Summary)>> {
        while self.page.is_empty() && !self.waiting.is_empty() {
            self.fetch_page().await?;
        }
        Ok(self.page.pop_front())
    }

    /// The next page of up to 100 messages; empty after the last.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub async fn next_page(&mut self) -> Result<Vec<(MessageRef, Summary)>> {
        while self.page.is_empty() && !self.waiting.is_empty() {
            self.fetch_page().await?;
        }
        Ok(std::mem::take(&mut self.page).into())
    }

    /// All that are still to come, in memory.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub async fn all(mut self) -> Result<Vec<(MessageRef, Summary)>> {
        let mut all = Vec::with_capacity(self.remaining());
        while let Some(message) = self.next().await? {
            all.push(message);
        }
        Ok(all)
    }

    async fn fetch_page(&mut self) -> Result<()> {
        let count = self.waiting.len().min(PAGE);
        let uids: Vec<Uid> = self.waiting.iter().take(count).copied().collect();
        let place = Place {
            folder: &self.folder,
            uid_validity: self.uid_validity,
        };
        let set: UidSet = uids.iter().copied().collect();
        let newest = set.newest();
        let mut heal = Heal::new(&self.mailbox, Protocol::Imap);
        let summaries = loop {
            let summaries = async { self.mailbox.at_once(&place, newest).await?.summaries(&set).await };
            if let Some(settled) = heal.settle(summaries.await).await {
                break settled?;
            }
        };
        // The server answers in its own order.
        let mut found: HashMap<Uid, Summary> = summaries
            .into_iter()
            .map(|summary| (summary.uid, summary))
            .collect();
        self.page.extend(uids.iter().filter_map(|uid| {
            let summary = found.remove(uid)?;
            Some((MessageRef::new(&self.folder, self.uid_validity, *uid), summary))
        }));
        // Only now: an error above leaves everything to be asked for again.
        self.waiting.drain(..count);
        Ok(())
    }
}
