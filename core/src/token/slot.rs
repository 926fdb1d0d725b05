//! [`Slot`]: the place of one token in the cache: one request however many callers wait, renewal ahead of expiry behind
//! their backs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use rand::Rng as _;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Refresh, Token};
use crate::error::{Error, ErrorKind, Result, Retry};

/// A token is renewed this long before it ends, or in the last quarter of its life where that is shorter.
const RENEW_AHEAD: Duration = Duration::from_secs(300);
/// A token that ends sooner is not handed out: a sign-in takes a moment.
const MIN_LEFT: Duration = Duration::from_secs(10);
/// The first pause after a renewal that failed; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// A longer life is not believed: it only serves to keep the arithmetic in range.
const MAX_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);
/// How often a caller starts anew when the runtime that fetched for it has ended.
const ATTEMPTS: usize = 3;

/// How a slot gets a token.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) fetch: Arc<dyn Fn() -> BoxFuture<'static, Result<Token>> + Send + Sync>,
    /// No fetch takes longer, unless its runtime has stopped running.
    pub(crate) limit: Duration,
}

/// The place of one token.
#[derive(Debug, Default)]
pub(crate) struct Slot(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    cached: Option<Cached>,
    flight: Option<Flight>,
    flights: u64,
    /// Renewals that failed in a row, and when the next may start.
    failures: u32,
    not_before: Option<Instant>,
    /// The end of the pause that the server asked for, and the refusal in which it did.
    pause: Option<(Instant, Error)>,
    /// When somebody last forced a new token, and when the cached one came.
    forced_at: Option<Instant>,
    came_at: Option<Instant>,
}

#[derive(Debug)]
struct Cached {
    token: Token,
    ends: Instant,
    renew_at: Instant,
    min_left: Duration,
}

impl Cached {
    fn new(token: Token, now: Instant) -> Self {
        let life = token.remaining().min(MAX_LIFE);
        let ends = now + life;
        let ahead = RENEW_AHEAD.min(life / 4);
        // Many processes that were started together do not all renew in the same second.
        let jitter = ahead.mul_f64(rand::rng().random_range(0.0..=0.2));
        Self {
            token,
            ends,
            renew_at: ends - (ahead + jitter).min(life),
            min_left: MIN_LEFT.min(life / 10),
        }
    }

    /// Both clocks must agree: the monotonic one stands still while a machine sleeps, the other may be set back.
    fn serves(&self, now: Instant) -> bool {
        self.ends
            .saturating_duration_since(now)
            .min(self.token.remaining())
            > self.min_left
    }
}

/// A fetch under way. It runs in a task of its own, so that a caller who goes away does not end it for the others.
#[derive(Clone, Debug)]
struct Flight {
    id: u64,
    forced: bool,
    overdue: Instant,
    outcome: watch::Receiver<Option<Result<Token>>>,
}

impl Flight {
    /// Whether nothing will come of it: its runtime has ended, or has stopped running, as a current-thread runtime does
    /// between two calls of `block_on`.
    fn is_dead(&self, now: Instant) -> bool {
        now >= self.overdue || self.outcome.has_changed().is_err()
    }
}

enum Start {
    Ready(Token),
    Wait(Flight),
}

impl Slot {
    /// A token that is valid now. With [`Refresh::Force`] one that was asked for after this call, or together with others
    /// who forced it.
    pub(crate) async fn token(self: &Arc<Self>, refresh: Refresh, source: &Source) -> Result<Token> {
        for _ in 0..ATTEMPTS {
            let mut flight = match self.start(refresh, source)? {
                Start::Ready(token) => return Ok(token),
                Start::Wait(flight) => flight,
            };
            let waiting = flight.outcome.wait_for(Option::is_some);
            if let Ok(Ok(outcome)) = tokio::time::timeout_at(flight.overdue, waiting).await
                && let Some(outcome) = outcome.clone()
            {
                return outcome;
            }
            let mut state = self.lock();
            if state
                .flight
                .as_ref()
                .is_some_and(|current| current.id == flight.id)
            {
                state.flight = None;
            }
        }
        Err(Error::new(
            ErrorKind::Internal,
            "token",
            "the task that fetches the token ended again and again without an answer",
        ))
    }

    fn start(self: &Arc<Self>, refresh: Refresh, source: &Source) -> Result<Start> {
        let now = Instant::now();
        let mut state = self.lock();
        if state.flight.as_ref().is_some_and(|flight| flight.is_dead(now)) {
            state.flight = None;
        }
        let forced = refresh == Refresh::Force;
        if !forced && let Some(token) = state.serving() {
            if state.renewal_is_due(now) {
                self.launch(&mut state, now, source, false)?;
            }
            return Ok(Start::Ready(token));
        }
        if let Some(error) = state.paused(now) {
            return Err(error);
        }
        match &state.flight {
            // One that was not forced may bring a token from before the change that the caller forces for.
            Some(flight) if flight.forced || !forced => Ok(Start::Wait(flight.clone())),
            _ => self.launch(&mut state, now, source, forced).map(Start::Wait),
        }
    }

    fn launch(
        self: &Arc<Self>,
        state: &mut State,
        now: Instant,
        source: &Source,
        forced: bool,
    ) -> Result<Flight> {
        let runtime = Handle::try_current().map_err(|error| {
            Error::new(ErrorKind::State, "token", "there is no tokio runtime")
                .with_hint("call it inside a tokio runtime with time and I/O enabled")
                .with_source(error)
        })?;
        let (sender, outcome) = watch::channel(None);
        if forced {
            state.forced_at = Some(now);
        }
        state.flights += 1;
        let id = state.flights;
        let flight = Flight {
            id,
            forced,
            overdue: now + source.limit,
            outcome,
        };
        state.flight = Some(flight.clone());
        let slot = self.clone();
        let fetch = source.fetch.clone();
        runtime.spawn(async move {
            let outcome = fetch().await;
            slot.land(id, &outcome);
            sender.send_replace(Some(outcome));
        });
        Ok(flight)
    }

    fn land(&self, id: u64, outcome: &Result<Token>) {
        let now = Instant::now();
        let mut state = self.lock();
        // A flight that was overtaken only answers those who wait for it.
        if state.flight.as_ref().is_none_or(|flight| flight.id != id) {
            return;
        }
        state.flight = None;
        match outcome {
            Ok(token) => {
                state.cached = Some(Cached::new(token.clone(), now));
                state.came_at = Some(now);
                state.failures = 0;
                state.not_before = None;
                state.pause = None;
            }
            Err(error) => {
                let pause = FIRST_PAUSE
                    .saturating_mul(1 << state.failures.min(8))
                    .min(MAX_PAUSE);
                let asked = match error.retry() {
                    Retry::After(asked) => asked.min(MAX_LIFE),
                    _ => Duration::ZERO,
                };
                state.pause = (!asked.is_zero()).then(|| (now + asked, error.clone()));
                let pause = pause.max(asked);
                state.failures = state.failures.saturating_add(1);
                state.not_before = Some(now + pause);
                tracing::warn!(%error, failures = state.failures, "no token");
            }
        }
    }

    /// When somebody last forced a new token.
    pub(crate) fn forced_at(&self) -> Option<Instant> {
        self.lock().forced_at
    }

    /// When the token in the cache came.
    pub(crate) fn came_at(&self) -> Option<Instant> {
        self.lock().came_at
    }

    /// When a token that still serves ends.
    pub(super) fn serves_until(&self) -> Option<Instant> {
        let state = self.lock();
        state.serving()?;
        state.cached.as_ref().map(|cached| cached.ends)
    }

    #[cfg(test)]
    pub(super) fn put(&self, token: Token) {
        self.lock().cached = Some(Cached::new(token, Instant::now()));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn serving(&self) -> Option<Token> {
        let cached = self.cached.as_ref()?;
        cached.serves(Instant::now()).then(|| cached.token.clone())
    }

    /// The refusal to hand on while the pause lasts that the server asked for: asking sooner makes it longer.
    fn paused(&self, now: Instant) -> Option<Error> {
        let (ends, error) = self.pause.as_ref()?;
        let left = ends.saturating_duration_since(now);
        (!left.is_zero()).then(|| error.clone().with_retry(Retry::After(left)))
    }

    fn renewal_is_due(&self, now: Instant) -> bool {
        self.flight.is_none()
            && self.cached.as_ref().is_some_and(|cached| now >= cached.renew_at)
            && self.not_before.is_none_or(|at| now >= at)
    }
}

#[cfg(test)]
mod tests;
