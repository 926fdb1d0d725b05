//! [`Seats`]: the connections of one mailbox and protocol, in all the pools of the process.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::error::{Error, ErrorKind, Result};

/// Whoever keeps idle connections, and can be asked to end one for somebody else.
pub(crate) trait Evict: Send + Sync {
    /// Takes out one idle connection; the future says goodbye and gives its seat back. `None` when there is none.
    fn evict(&self) -> Option<BoxFuture<'static, ()>>;
}

/// At most `limit` connections, and at most as many calls that use one.
///
/// A call needs a [`Turn`], for which callers wait in line. An open connection has a [`Seat`], be it in use, idle or
/// saying goodbye. As there are no more turns than seats, whoever has a turn and finds every seat taken finds an idle
/// connection in some pool, or one that is just ending.
pub(crate) struct Seats {
    limit: usize,
    turns: Arc<Semaphore>,
    state: Mutex<State>,
    /// A seat was given back, or a connection became idle.
    freed: Notify,
    pools: Mutex<Vec<Weak<dyn Evict>>>,
}

#[derive(Debug, Default)]
struct State {
    open: usize,
    /// How many connections less are allowed for now, and until when.
    lowered: usize,
    until: Option<Instant>,
    /// Turns that were taken out of the semaphore for that.
    withheld: usize,
}

/// The right to use one connection.
#[derive(Debug)]
pub(crate) struct Turn {
    /// `None` only while being dropped.
    permit: Option<OwnedSemaphorePermit>,
    seats: Arc<Seats>,
}

/// One open connection.
#[derive(Debug)]
pub(crate) struct Seat(Arc<Seats>);

impl Seats {
    pub(crate) fn new(limit: u32) -> Arc<Self> {
        let limit = (limit.max(1) as usize).min(Semaphore::MAX_PERMITS);
        Arc::new(Self {
            limit,
            turns: Arc::new(Semaphore::new(limit)),
            state: Mutex::default(),
            freed: Notify::new(),
            pools: Mutex::default(),
        })
    }

    /// Lets a pool be asked for its idle connections.
    pub(crate) fn join(&self, pool: Weak<dyn Evict>) {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools.retain(|pool| pool.strong_count() > 0);
        pools.push(pool);
    }

    /// Waits in line for a turn.
    pub(crate) async fn turn(self: &Arc<Self>) -> Result<Turn> {
        self.restore(&mut self.state());
        let permit = self.turns.clone().acquire_owned().await.map_err(|error| {
            Error::new(ErrorKind::Internal, "lease", "the line of callers was closed").with_source(error)
        })?;
        Ok(Turn {
            permit: Some(permit),
            seats: self.clone(),
        })
    }

    /// A seat for a new connection, if one is free. Only for who has a turn.
    pub(crate) fn try_seat(self: &Arc<Self>) -> Option<Seat> {
        let mut state = self.state();
        self.restore(&mut state);
        (state.open < self.limit - state.lowered).then(|| {
            state.open += 1;
            Seat(self.clone())
        })
    }

    /// Asks the pools for an idle connection that can go.
    pub(crate) fn evict(&self) -> Option<BoxFuture<'static, ()>> {
        let pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner).clone();
        pools.iter().find_map(|pool| pool.upgrade()?.evict())
    }

    /// Resolves at the next [`freed`](Self::freed), once it was enabled.
    pub(crate) fn when_freed(&self) -> Notified<'_> {
        self.freed.notified()
    }

    /// A connection has become idle.
    pub(crate) fn freed(&self) {
        self.freed.notify_waiters();
    }

    /// Whether there are more connections than are allowed for now.
    pub(crate) fn is_over(&self) -> bool {
        let mut state = self.state();
        self.restore(&mut state);
        state.open > self.limit - state.lowered
    }

    /// One connection less for a while, but never none.
    pub(crate) fn lower(&self, pause: Duration) {
        let mut state = self.state();
        self.restore(&mut state);
        state.lowered = (state.lowered + 1).min(self.limit - 1);
        state.until = Instant::now().checked_add(pause);
        while state.withheld < state.lowered
            && let Ok(permit) = self.turns.try_acquire()
        {
            permit.forget();
            state.withheld += 1;
        }
    }

    fn restore(&self, state: &mut State) {
        if state.until.is_some_and(|until| until <= Instant::now()) {
            self.turns.add_permits(state.withheld);
            *state = State {
                open: state.open,
                ..State::default()
            };
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.seats.state();
        self.seats.restore(&mut state);
        if state.withheld < state.lowered
            && let Some(permit) = self.permit.take()
        {
            permit.forget();
            state.withheld += 1;
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.state().open -= 1;
        self.0.freed();
    }
}

impl fmt::Debug for Seats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seats")
            .field("limit", &self.limit)
            .field("state", &*self.state())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn fewer_are_allowed_for_a_while() {
        let seats = Seats::new(3);
        let turns = [
            seats.turn().await.unwrap(),
            seats.turn().await.unwrap(),
            seats.turn().await.unwrap(),
        ];
        let held: Vec<Seat> = (0..3).filter_map(|_| seats.try_seat()).collect();
        assert!(held.len() == 3 && seats.try_seat().is_none() && !seats.is_over());
        // However often: one stays.
        for _ in 0..5 {
            seats.lower(Duration::from_secs(60));
        }
        assert!(seats.is_over());
        drop((turns, held));
        let only = seats.turn().await.unwrap();
        let second = tokio::time::timeout(Duration::from_secs(1), seats.turn()).await;
        assert!(second.is_err(), "two of three are withheld");
        let seat = seats.try_seat().unwrap();
        assert!(seats.try_seat().is_none());
        drop(seat);
        tokio::time::sleep(Duration::from_secs(60)).await;
        let _all = [seats.turn().await.unwrap(), seats.turn().await.unwrap()];
        drop(only);
        assert_eq!(
            (0..4)
                .filter_map(|_| seats.try_seat().map(std::mem::forget))
                .count(),
            3
        );
    }
}
