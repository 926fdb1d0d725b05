//! [`Watcher`]: the task behind a watch. It opens sessions, one after the other, and tells what is new in them.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::backoff::Backoff;
use super::{AfterReset, Plan, WatchEvent, cancelled};
use crate::error::{Error, ErrorKind, Layer, Result};
use crate::imap::{Access, ImapSession, Query, Selected, Summary, Uid, UidSet};
use crate::mailbox::checkpoint::Checkpoint;
use crate::mailbox::query::{MessageRef, same_folder};
use crate::sasl::Login;
use crate::token::Token;

/// How many summaries are fetched in one flight.
const PAGE: usize = 100;
/// A session that lived for so long was a good one: what happens to it is no failure to connect.
const STABLE: Duration = Duration::from_secs(60);
/// After so many sessions in a row that broke in their first IDLE, the way to the server is taken for one that does not
/// bear it.
const MAX_CUTS: u32 = 3;

#[derive(Debug)]
pub(super) struct Watcher {
    plan: Plan,
    login: Login,
    events: mpsc::Sender<WatchEvent>,
    /// How far was told; `None` before the folder was open for the first time.
    at: Option<Checkpoint>,
    /// Something was told since [`WatchEvent::CaughtUp`] was, or it never was.
    behind: bool,
    /// [`WatchEvent::Interrupted`] was told, [`WatchEvent::Healed`] not yet.
    interrupted: bool,
    opened: bool,
    /// When the session began that is open.
    since: Option<Instant>,
    backoff: Backoff,
    /// What the last session signed in with, and whether the server is done with it.
    token: Option<Token>,
    token_spent: bool,
    /// Sessions in a row that broke while they waited and before they had waited in vain or with success once.
    cuts: u32,
}

impl Watcher {
    pub(super) fn new(plan: Plan, events: mpsc::Sender<WatchEvent>) -> Result<Self> {
        if let Some(since) = &plan.since
            && !same_folder(since.folder(), &plan.folder)
        {
            let detail = format!(
                "the checkpoint is of {:?}, not of {:?}",
                since.folder(),
                plan.folder
            );
            return Err(Error::new(ErrorKind::InvalidArgument, "watch", detail));
        }
        Ok(Self {
            login: plan.mailbox.app().login(plan.mailbox.address())?,
            at: plan.since.clone(),
            plan,
            events,
            behind: true,
            interrupted: false,
            opened: false,
            since: None,
            backoff: Backoff::default(),
            token: None,
            token_spent: false,
            cuts: 0,
        })
    }

    /// Runs until something happens that a new try would not change.
    pub(super) async fn run(mut self) -> Error {
        let stop = self.plan.stop.clone();
        let watch = async {
            loop {
                let Err(error) = self.session().await;
                if let Err(error) = self.heal(error).await {
                    return error;
                }
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => cancelled(),
            error = watch => error,
        }
    }

    /// One session, until it ends.
    async fn session(&mut self) -> Result<Infallible> {
        let (mut session, selected) = self.open().await?;
        self.since = Some(Instant::now());
        tracing::info!(target: "exomail::watch", folder = self.plan.folder, "the folder is open");
        let mut checkpoint = self.take_up(&mut session, &selected).await?;
        self.opened = true;
        if std::mem::take(&mut self.interrupted) {
            self.tell(WatchEvent::Healed {
                checkpoint: checkpoint.clone(),
            })
            .await?;
        }
        // Tried once in each session, even where it never worked.
        let mut polls = self.cuts >= MAX_CUTS;
        self.cuts = self.cuts.min(MAX_CUTS - 1);
        loop {
            self.drain(&mut session, &mut checkpoint).await?;
            self.backoff.ease();
            if std::mem::take(&mut self.behind) {
                self.tell(WatchEvent::CaughtUp {
                    checkpoint: checkpoint.clone(),
                })
                .await?;
            }
            polls |= !self.wait(&mut session, polls).await?;
        }
    }

    /// Connects, with a token that the server has not turned down.
    async fn open(&mut self) -> Result<(ImapSession, Selected)> {
        let app = self.plan.mailbox.app();
        let mut token = app.token().await?;
        let same = |old: &Token| old.secret().expose() == token.secret().expose();
        if self.token_spent && self.token.as_ref().is_some_and(same) {
            token = app.refresh_token().await?;
        }
        self.token = Some(token);
        self.token_spent = false;
        ImapSession::connect_selected(
            app.connector(),
            app.cloud().imap(),
            &self.login,
            &self.plan.folder,
            Access::ReadOnly,
        )
        .await
    }

    /// The point to go on from in a folder that was just opened.
    async fn take_up(&mut self, session: &mut ImapSession, selected: &Selected) -> Result<Checkpoint> {
        let validity = selected.uid_validity;
        if validity == 0 {
            let detail = "the server tells no UIDVALIDITY, so messages can't be known again";
            return Err(Error::new(ErrorKind::Unsupported, "watch", detail).with_layer(Layer::Imap));
        }
        let checkpoint = |last| Checkpoint::new(&self.plan.folder, validity, last);
        let checkpoint = match &self.at {
            None => checkpoint(last_uid(session, selected).await?),
            Some(at) if at.uid_validity() == validity => at.clone(),
            Some(at) if at.uid_validity() == 0 => checkpoint(at.last_uid()),
            Some(before) => {
                let checkpoint = checkpoint(match self.plan.after_reset {
                    AfterReset::Beginning => 0,
                    AfterReset::Now => last_uid(session, selected).await?,
                });
                tracing::warn!(target: "exomail::watch", %before, now = %checkpoint, "the folder was rebuilt");
                self.tell(WatchEvent::Reset {
                    before: before.clone(),
                    checkpoint: checkpoint.clone(),
                })
                .await?;
                self.behind = true;
                checkpoint
            }
        };
        self.at = Some(checkpoint.clone());
        Ok(checkpoint)
    }

    /// Tells all that is behind the checkpoint.
    async fn drain(&mut self, session: &mut ImapSession, at: &mut Checkpoint) -> Result<()> {
        loop {
            // What arrives from here on may be missing in the answer.
            let arrivals = arrivals(session);
            for page in new_uids(session, at).await?.chunks(PAGE) {
                let mut summaries = summaries(session, page).await?;
                for &uid in page {
                    if let Some(summary) = summaries.remove(&uid) {
                        self.message(uid, summary, at).await?;
                    }
                }
            }
            if arrivals == self::arrivals(session) {
                return Ok(());
            }
        }
    }

    async fn message(&mut self, uid: Uid, summary: Summary, at: &mut Checkpoint) -> Result<()> {
        let id = MessageRef::new(&self.plan.folder, at.uid_validity(), uid);
        let checkpoint = Checkpoint::from(&id);
        self.tell(WatchEvent::Message {
            id,
            summary: Box::new(summary),
            checkpoint: checkpoint.clone(),
        })
        .await?;
        self.behind = true;
        // There is progress; that can't go round in circles.
        self.backoff.reset();
        self.at = Some(checkpoint.clone());
        *at = checkpoint;
        Ok(())
    }

    /// Waits until there may be news. False where the server turned out to refuse IDLE: then polling is the way.
    async fn wait(&mut self, session: &mut ImapSession, polls: bool) -> Result<bool> {
        if polls {
            tokio::time::sleep(self.plan.poll).await;
            // Some servers look for new mail only now, not when they search.
            session.noop().await?;
            return Ok(false);
        }
        match session.idle(self.plan.idle).await {
            Ok(_) => {
                self.cuts = 0;
                Ok(true)
            }
            Err(error) if session.is_spent() => {
                if matches!(error.kind(), ErrorKind::ConnectionLost | ErrorKind::TimedOut) {
                    self.cuts += 1;
                }
                Err(error)
            }
            Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::Rejected) => {
                tracing::debug!(target: "exomail::watch", %error, "polling instead of IDLE");
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Pauses before the next session, if there is to be one.
    async fn heal(&mut self, error: Error) -> Result<()> {
        if self.since.take().is_some_and(|since| since.elapsed() >= STABLE) {
            self.backoff.reset();
        }
        let Some(pause) = self.backoff.after(&error, self.opened) else {
            tracing::error!(target: "exomail::watch", %error, "the watch ends");
            return Err(error);
        };
        tracing::warn!(target: "exomail::watch", %error, ?pause, "the watch is interrupted");
        self.token_spent |= matches!(error.kind(), ErrorKind::TokenExpired | ErrorKind::AuthRejected);
        self.interrupted = true;
        self.tell(WatchEvent::Interrupted { error, pause }).await?;
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// Waits until the caller has room for it.
    async fn tell(&self, event: WatchEvent) -> Result<()> {
        self.events.send(event).await.map_err(|_| cancelled())
    }
}

/// How often the server said that the number of messages is another one.
fn arrivals(session: &ImapSession) -> u32 {
    session.selected().map_or(0, Selected::arrivals)
}

/// The UID of the last message of a folder that was just opened; 0 where there is none.
async fn last_uid(session: &mut ImapSession, selected: &Selected) -> Result<u32> {
    if let Some(next) = selected.uid_next {
        return Ok(next.saturating_sub(1));
    }
    let all = Query::all().uid(&UidSet::all());
    Ok(session.search(&all).await?.last().map_or(0, |uid| uid.get()))
}

/// The UIDs behind the checkpoint, in ascending order.
async fn new_uids(session: &mut ImapSession, at: &Checkpoint) -> Result<Vec<Uid>> {
    let Some(first) = at.last_uid().checked_add(1).and_then(Uid::new) else {
        return Ok(Vec::new());
    };
    let query = Query::all().uid(&UidSet::starting_at(first));
    let mut uids = session.search(&query).await?;
    let validity = session.selected().map(|selected| selected.uid_validity);
    if validity != Some(at.uid_validity()) {
        let detail = "the server rebuilt the folder while it was open";
        return Err(Error::new(ErrorKind::ConnectionLost, "watch", detail).with_layer(Layer::Imap));
    }
    // `n:*` always means the last message, too, even if its UID is lower (RFC 9051 §9, seq-range).
    uids.retain(|uid| *uid >= first);
    Ok(uids)
}

/// The summaries of messages. Those that are gone are left out; one that is there and can't be shown must not be lost,
/// nor keep those behind it from being told.
async fn summaries(session: &mut ImapSession, uids: &[Uid]) -> Result<BTreeMap<Uid, Summary>> {
    let mut found = BTreeMap::new();
    match session.summaries(&uids.iter().collect()).await {
        Ok(summaries) => found.extend(by_uid(summaries)),
        Err(error) if is_refusal(session, &error) => {
            for &uid in uids {
                match session.summaries(&UidSet::from(uid)).await {
                    Ok(summaries) => found.extend(by_uid(summaries)),
                    Err(error) if is_refusal(session, &error) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Err(error) => return Err(error),
    }
    let missing: UidSet = uids.iter().filter(|uid| !found.contains_key(uid)).collect();
    if !missing.is_empty() {
        for uid in session.search(&Query::all().uid(&missing)).await? {
            if missing.contains(uid) {
                found.insert(uid, Summary::new(uid));
            }
        }
    }
    Ok(found)
}

fn by_uid(summaries: Vec<Summary>) -> impl Iterator<Item = (Uid, Summary)> {
    summaries.into_iter().map(|summary| (summary.uid, summary))
}

fn is_refusal(session: &ImapSession, error: &Error) -> bool {
    error.kind() == ErrorKind::Rejected && !session.is_spent()
}
