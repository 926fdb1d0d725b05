//! [`Worker`]: decides what is tried when, keeps several messages under way, and holds back a mailbox that fails.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsString;
use std::fs::File;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{BoxFuture, join_all};
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use tokio::time::Instant;

use super::attempt::{Attempt, Outcome, later};
use super::clock::{Clock, since};
use super::entry::{Damaged, Entry, State};
use super::id::OutboxId;
use super::judge::is_of_mailbox;
use super::options::{DrainOptions, Drained, Event, UnknownPolicy};
use super::spool::{Loaded, Spool, blocking};
use crate::app::App;
use crate::error::{Error, Result};
use crate::mailbox::Mailbox;

/// How often it is looked for messages that others have added.
const LOOK: Duration = Duration::from_secs(1);
/// Exchange takes 3 SMTP connections a mailbox.
const PER_MAILBOX: usize = 3;
const TIDY: Duration = Duration::from_secs(3600);

/// When a worker ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// Nothing is left to send.
    Empty,
    /// Nothing is due.
    Tried,
    Cancelled,
}

/// A message that is to be sent, or looked for.
#[derive(Clone, Debug)]
struct Job {
    id: OutboxId,
    /// [`State::Queued`] or [`State::Unknown`].
    state: State,
    mailbox: String,
    queued: Timestamp,
    due: Timestamp,
    /// How often the look at the sent items failed.
    checks: u32,
}

/// What is known of a mailbox.
#[derive(Debug)]
struct Line {
    mailbox: Mailbox,
    flying: usize,
    /// Failures in a row that concern the mailbox and no single message.
    failures: u32,
    /// Nothing is tried before.
    hold: Timestamp,
    /// When the last of these failures was counted: attempts begun before it are not counted again.
    counted: Timestamp,
}

struct Landed {
    job: Job,
    started: Timestamp,
    result: Result<Outcome>,
}

pub(super) struct Worker<'a> {
    spool: Spool,
    app: &'a App,
    options: &'a DrainOptions,
    until: Until,
    clock: Clock,
    pending: BTreeMap<(Timestamp, OutboxId), Job>,
    /// Those pending, those under way, and those that are left as they are.
    known: HashSet<OutboxId>,
    lines: HashMap<String, Line>,
    flying: FuturesUnordered<BoxFuture<'static, Landed>>,
    /// Files that could not be set aside.
    stuck: HashSet<OsString>,
    drained: Drained,
    looked: Option<Instant>,
    tidied: Instant,
    _lock: File,
}

/// What a look into the folders found.
#[derive(Debug, Default)]
struct Found {
    jobs: Vec<Job>,
    damaged: Vec<Damaged>,
    stuck: Vec<OsString>,
}

impl<'a> Worker<'a> {
    pub(super) async fn start(
        spool: &Spool,
        app: &'a App,
        options: &'a DrainOptions,
        until: Until,
    ) -> Result<Self> {
        let (own, keep_sent) = (spool.clone(), options.keep_sent);
        let (lock, (unknown, damaged)) = blocking(move || {
            let lock = own.lock_worker()?;
            own.tidy(keep_sent)?;
            Ok((lock, own.recover()?))
        })
        .await?;
        let mut worker = Self {
            spool: spool.clone(),
            app,
            options,
            until,
            clock: Clock::start(),
            pending: BTreeMap::new(),
            known: HashSet::new(),
            lines: HashMap::new(),
            flying: FuturesUnordered::new(),
            stuck: HashSet::new(),
            drained: Drained::default(),
            looked: None,
            tidied: Instant::now(),
            _lock: lock,
        };
        for message in unknown {
            let entry = message.entry(State::Unknown);
            worker.options.tell(&Event::Message(Box::new(entry)));
        }
        worker.tell_damaged(damaged);
        Ok(worker)
    }

    pub(super) async fn run(mut self) -> Result<Drained> {
        let cancel = self.options.cancel.clone();
        let mut failure: Option<Error> = None;
        loop {
            let stopping = failure.is_some() || cancel.is_cancelled();
            let mut wake = None;
            if !stopping {
                if let Err(error) = self.look().await {
                    failure = Some(error);
                    continue;
                }
                match self.start_due() {
                    Ok(next) => wake = next,
                    Err(error) => {
                        failure = Some(error);
                        continue;
                    }
                }
            }
            if self.flying.is_empty() {
                if stopping {
                    break;
                }
                let done = match self.until {
                    Until::Empty => self.pending.is_empty(),
                    Until::Tried => true,
                    Until::Cancelled => false,
                };
                match self.looked {
                    // Something may have been added since.
                    Some(_) if done && !self.looked_just_now() => {
                        self.looked = None;
                        continue;
                    }
                    _ if done => break,
                    _ => {}
                }
            }
            let pause = wake.map_or(LOOK, |wake| wake.min(LOOK));
            tokio::select! {
                biased;
                Some(landed) = self.flying.next(), if !self.flying.is_empty() => {
                    if let Err(error) = self.land(landed) {
                        failure = failure.or(Some(error));
                    }
                }
                () = cancel.cancelled(), if !stopping => {}
                () = tokio::time::sleep(pause), if !stopping => {}
            }
        }
        join_all(self.lines.values().map(|line| line.mailbox.close())).await;
        if let Some(error) = failure {
            return Err(error);
        }
        let spool = self.spool.clone();
        let count = blocking(move || {
            let count = |state| Ok::<_, Error>(spool.names(state)?.len() as u64);
            Ok((count(State::Queued)?, count(State::Unknown)?))
        });
        (self.drained.waiting, self.drained.unknown) = count.await?;
        Ok(self.drained)
    }

    fn looked_just_now(&self) -> bool {
        self.looked
            .is_some_and(|at| at.elapsed() < Duration::from_millis(1))
    }

    /// Finds messages that were added, when it is time to.
    async fn look(&mut self) -> Result<()> {
        if self.looked.is_some_and(|at| at.elapsed() < LOOK) {
            return Ok(());
        }
        let tidy = (self.tidied.elapsed() >= TIDY).then_some(self.options.keep_sent);
        if tidy.is_some() {
            self.tidied = Instant::now();
        }
        let after = match self.options.unknown {
            UnknownPolicy::Keep => None,
            UnknownPolicy::CheckSent { after } => Some(after),
        };
        let (spool, known, stuck) = (self.spool.clone(), self.known.clone(), self.stuck.clone());
        let found = blocking(move || {
            if let Some(keep_sent) = tidy {
                spool.tidy(keep_sent)?;
            }
            let mut found = Found::default();
            found.look(&spool, State::Queued, &known, &stuck, Duration::ZERO)?;
            if let Some(after) = after {
                found.look(&spool, State::Unknown, &known, &stuck, after)?;
            }
            Ok(found)
        });
        let Found { jobs, damaged, stuck } = found.await?;
        for job in jobs {
            self.known.insert(job.id.clone());
            self.pending.insert((job.queued, job.id.clone()), job);
        }
        self.stuck.extend(stuck);
        self.tell_damaged(damaged);
        self.looked = Some(Instant::now());
        Ok(())
    }

    /// Starts what is due and may be started. Returns how long it is until the next is due.
    fn start_due(&mut self) -> Result<Option<Duration>> {
        let now = self.clock.now();
        let mut wake: Option<Timestamp> = None;
        let mut start = Vec::new();
        for (key, job) in &self.pending {
            if self.flying.len() + start.len() >= self.options.parallel.max(1) {
                break;
            }
            if !self.lines.contains_key(&job.mailbox) {
                let line = Line {
                    // Can't fail: reading the message has checked the address.
                    mailbox: self.app.mailbox(&job.mailbox)?,
                    flying: 0,
                    failures: 0,
                    hold: Timestamp::MIN,
                    counted: Timestamp::MIN,
                };
                self.lines.insert(job.mailbox.clone(), line);
            }
            let Some(line) = self.lines.get_mut(&job.mailbox) else {
                continue;
            };
            let ready = job.due.max(line.hold);
            if ready > now {
                wake = Some(wake.map_or(ready, |wake| wake.min(ready)));
            } else if line.flying < PER_MAILBOX {
                line.flying += 1;
                start.push(key.clone());
            }
        }
        for key in start {
            if let Some(job) = self.pending.remove(&key) {
                self.launch(job, now);
            }
        }
        Ok(wake.map(|wake| since(now, wake)))
    }

    fn launch(&mut self, job: Job, started: Timestamp) {
        let Some(line) = self.lines.get(&job.mailbox) else {
            return;
        };
        let attempt = Attempt {
            spool: self.spool.clone(),
            mailbox: line.mailbox.clone(),
            policy: self.options.retry,
            clock: self.clock.clone(),
            id: job.id.clone(),
            failures: line.failures,
        };
        self.flying.push(Box::pin(async move {
            let result = match job.state {
                State::Unknown => attempt.check().await,
                _ => attempt.send().await,
            };
            Landed { job, started, result }
        }));
    }

    fn land(&mut self, landed: Landed) -> Result<()> {
        let Landed { job, started, result } = landed;
        self.known.remove(&job.id);
        if let Some(line) = self.lines.get_mut(&job.mailbox) {
            line.flying = line.flying.saturating_sub(1);
        }
        match result? {
            Outcome::Settled(entry, error) => {
                self.count(&job, started, error.as_ref(), &entry);
                self.settle(job, entry);
            }
            Outcome::Unsettled(error) => self.unsettled(job, error.as_ref()),
            Outcome::Damaged(damaged) => self.tell_damaged(damaged),
            Outcome::Gone => {}
        }
        Ok(())
    }

    /// Keeps count of the mailbox's failures, and holds it back.
    fn count(&mut self, job: &Job, started: Timestamp, error: Option<&Error>, entry: &Entry) {
        let now = self.clock.now();
        let Some(line) = self.lines.get_mut(&job.mailbox) else {
            return;
        };
        match error.filter(|error| is_of_mailbox(error)) {
            Some(_) if started >= line.counted => {
                line.failures = line.failures.saturating_add(1);
                line.counted = now;
                // A dead message holds nobody back: the others shall be told the same, soon.
                line.hold = entry.next_try.unwrap_or(now);
            }
            Some(_) => {}
            None if job.state == State::Queued => line.failures = 0,
            None => {}
        }
    }

    fn settle(&mut self, job: Job, entry: Box<Entry>) {
        match entry.state {
            State::Sent => self.drained.sent += 1,
            State::Dead => self.drained.dead += 1,
            State::Queued => {
                let due = entry.next_try.unwrap_or_else(|| self.clock.now());
                self.wait(Job {
                    state: State::Queued,
                    due,
                    checks: 0,
                    ..job
                });
            }
            State::Unknown => {
                if let UnknownPolicy::CheckSent { after } = self.options.unknown {
                    let due = later(self.clock.now(), after);
                    self.wait(Job {
                        state: State::Unknown,
                        due,
                        checks: 0,
                        ..job
                    });
                }
            }
            State::Sending => {}
        }
        self.options.tell(&Event::Message(entry));
    }

    /// A look at the sent items that told nothing: later again, or left as it is.
    fn unsettled(&mut self, job: Job, error: Option<&Error>) {
        let checks = job.checks.saturating_add(1);
        let tries = self.options.retry.setup_tries;
        if error.is_none() || (self.until != Until::Cancelled && checks >= tries) {
            // Known, so that it is not taken up again.
            self.known.insert(job.id);
            return;
        }
        let pause = self.options.retry.pause(checks, rand::random());
        let due = later(self.clock.now(), pause);
        self.wait(Job { due, checks, ..job });
    }

    fn wait(&mut self, job: Job) {
        self.known.insert(job.id.clone());
        self.pending.insert((job.queued, job.id.clone()), job);
    }

    fn tell_damaged(&mut self, damaged: impl IntoIterator<Item = Damaged>) {
        for damaged in damaged {
            self.drained.damaged += 1;
            self.options.tell(&Event::Damaged(damaged));
        }
    }
}

impl Found {
    fn look(
        &mut self,
        spool: &Spool,
        state: State,
        known: &HashSet<OutboxId>,
        stuck: &HashSet<OsString>,
        settled: Duration,
    ) -> Result<()> {
        for name in spool.names(state)? {
            let id = name.to_str().and_then(|name| name.parse::<OutboxId>().ok());
            let loaded = match &id {
                Some(id) if known.contains(id) => continue,
                _ if stuck.contains(&name) => continue,
                Some(id) => spool.load(state, id)?,
                None => Loaded::Damaged("its name is not that of a message".into()),
            };
            match loaded {
                Loaded::Message(message) => {
                    let history = &message.history;
                    let due = match state {
                        State::Unknown => {
                            later(history.unknown_since.unwrap_or(message.head.queued), settled)
                        }
                        _ => history.next.unwrap_or(message.head.queued),
                    };
                    self.jobs.push(Job {
                        id: message.id,
                        state,
                        mailbox: message.head.mailbox,
                        queued: message.head.queued,
                        due,
                        checks: 0,
                    });
                }
                Loaded::Gone => {}
                // What can't even be moved must not stop the others.
                Loaded::Damaged(damage) => match spool.set_aside(state, &name, &damage) {
                    Ok(damaged) => self.damaged.extend(damaged),
                    Err(_) => self.stuck.push(name),
                },
            }
        }
        Ok(())
    }
}
