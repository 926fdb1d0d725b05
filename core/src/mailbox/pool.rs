//! [`Pool`]: the sessions of one mailbox and protocol, within a limit.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::error::Result;
use crate::governor::{Evict, Seat, Seats, Turn};

/// An idle session younger than this is taken as alive; an older one is asked by a NOOP first.
const TRUSTED: Duration = Duration::from_secs(5);
/// A session idle for longer than this is ended.
const KEPT: Duration = Duration::from_secs(60);

/// What a pool needs to know of a session.
pub(crate) trait Pooled: Sized + Send + 'static {
    /// Whether later calls can only fail.
    fn is_spent(&self) -> bool;
    /// One cheap exchange that shows whether the server is still there.
    fn probe(&mut self) -> impl Future<Output = Result<()>> + Send;
    /// The polite ending.
    fn end(self) -> impl Future<Output = ()> + Send;
}

/// Sessions that wait for work. A connection is only made when none is idle, and takes one of the seats of the mailbox,
/// which other pools may share; it keeps the seat until the server has hung up.
pub(crate) struct Pool<S: Pooled> {
    seats: Arc<Seats>,
    idle: Mutex<Idle<S>>,
}

struct Idle<S> {
    sessions: Vec<Waiting<S>>,
    /// The task that ends those that were idle for long. It may have gone with its runtime.
    reaper: Option<AbortHandle>,
}

struct Waiting<S> {
    session: S,
    seat: Seat,
    since: Instant,
}

impl<S: Pooled> Waiting<S> {
    async fn end(self) {
        self.session.end().await;
        drop(self.seat);
    }
}

impl<S: Pooled> Pool<S> {
    pub(crate) fn new(seats: &Arc<Seats>) -> Arc<Self> {
        let idle = Mutex::new(Idle {
            sessions: Vec::new(),
            reaper: None,
        });
        let seats = seats.clone();
        let pool = Arc::new(Self { seats, idle });
        let weak: Weak<Self> = Arc::downgrade(&pool);
        pool.seats.join(weak);
        pool
    }

    /// A session for the caller alone: an idle one, by preference one that `prefer` likes, else one that `connect`
    /// makes. Waits while all seats are taken.
    pub(crate) async fn lease<F>(
        self: &Arc<Self>,
        turn: Turn,
        prefer: impl Fn(&S) -> bool,
        connect: impl FnOnce() -> F,
    ) -> Result<Lease<S>>
    where
        F: Future<Output = Result<S>>,
    {
        let seat = loop {
            let mut freed = pin!(self.seats.when_freed());
            freed.as_mut().enable();
            while let Some(mut waiting) = self.pick(&prefer) {
                if waiting.session.is_spent() {
                    continue;
                }
                if waiting.since.elapsed() < TRUSTED || waiting.session.probe().await.is_ok() {
                    let Waiting { session, seat, .. } = waiting;
                    return Ok(self.lend(session, seat, turn));
                }
            }
            if let Some(seat) = self.seats.try_seat() {
                break seat;
            }
            match self.seats.evict() {
                Some(farewell) => farewell.await,
                None => freed.await,
            }
        };
        let session = connect().await?;
        Ok(self.lend(session, seat, turn))
    }

    fn lend(self: &Arc<Self>, session: S, seat: Seat, turn: Turn) -> Lease<S> {
        Lease {
            lent: Some((session, seat)),
            pool: self.clone(),
            _turn: turn,
        }
    }

    /// Ends every idle session politely.
    pub(crate) async fn close(&self) {
        for waiting in self.retire(|_| true) {
            waiting.end().await;
        }
    }

    /// Takes out the idle sessions that `ends` is true for.
    fn retire(&self, ends: impl Fn(Instant) -> bool) -> Vec<Waiting<S>> {
        let mut idle = self.idle();
        let sessions = std::mem::take(&mut idle.sessions);
        let (retired, kept) = sessions.into_iter().partition(|waiting| ends(waiting.since));
        idle.sessions = kept;
        retired
    }

    fn idle(&self) -> MutexGuard<'_, Idle<S>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pick(&self, prefer: impl Fn(&S) -> bool) -> Option<Waiting<S>> {
        let mut idle = self.idle();
        let at = idle.sessions.iter().position(|waiting| prefer(&waiting.session));
        match at {
            Some(at) => Some(idle.sessions.remove(at)),
            None => idle.sessions.pop(),
        }
    }

    fn put_back(self: &Arc<Self>, session: S, seat: Seat) {
        // Without a runtime there is no task to end idle sessions; the next lease finds out whether they live.
        let runtime = tokio::runtime::Handle::try_current().ok();
        let since = Instant::now();
        let waiting = Waiting { session, seat, since };
        if self.seats.is_over() {
            if let Some(runtime) = runtime {
                runtime.spawn(waiting.end());
            }
            return;
        }
        let mut idle = self.idle();
        idle.sessions.push(waiting);
        if idle.reaper.as_ref().is_none_or(AbortHandle::is_finished)
            && let Some(runtime) = runtime
        {
            idle.reaper = Some(runtime.spawn(reap(Arc::downgrade(self))).abort_handle());
        }
        drop(idle);
        self.seats.freed();
    }
}

impl<S: Pooled> Evict for Pool<S> {
    fn evict(&self) -> Option<BoxFuture<'static, ()>> {
        let mut idle = self.idle();
        // The one that has waited longest.
        let first = (!idle.sessions.is_empty()).then(|| idle.sessions.remove(0));
        drop(idle);
        first.map(|waiting| -> BoxFuture<'static, ()> { Box::pin(waiting.end()) })
    }
}

/// Ends sessions that were idle for long; itself ends when there are none left.
async fn reap<S: Pooled>(pool: Weak<Pool<S>>) {
    loop {
        tokio::time::sleep(KEPT / 2).await;
        let Some(pool) = pool.upgrade() else { return };
        for waiting in pool.retire(|since| since.elapsed() >= KEPT) {
            waiting.end().await;
        }
        let mut idle = pool.idle();
        if idle.sessions.is_empty() {
            idle.reaper = None;
            return;
        }
    }
}

impl<S: Pooled> Drop for Pool<S> {
    fn drop(&mut self) {
        let sessions = std::mem::take(&mut self.idle().sessions);
        // Politely if that is still possible; else dropping the sessions closes their sockets.
        if !sessions.is_empty()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move {
                for waiting in sessions {
                    waiting.end().await;
                }
            });
        }
    }
}

impl<S: Pooled> fmt::Debug for Pool<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("idle", &self.idle().sessions.len())
            .finish_non_exhaustive()
    }
}

/// A session on loan. Goes back when it is dropped, unless it is spent.
pub(crate) struct Lease<S: Pooled> {
    lent: Option<(S, Seat)>,
    pool: Arc<Pool<S>>,
    // Declared last: the turn is given back after the session is.
    _turn: Turn,
}

impl<S: Pooled> Deref for Lease<S> {
    type Target = S;

    fn deref(&self) -> &S {
        let lent = self.lent.as_ref();
        &lent.expect("a lease has its session until it is dropped").0
    }
}

impl<S: Pooled> DerefMut for Lease<S> {
    fn deref_mut(&mut self) -> &mut S {
        let lent = self.lent.as_mut();
        &mut lent.expect("a lease has its session until it is dropped").0
    }
}

impl<S: Pooled> Drop for Lease<S> {
    fn drop(&mut self) {
        if let Some((session, seat)) = self.lent.take()
            && !session.is_spent()
        {
            self.pool.put_back(session, seat);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Debug, Default)]
    struct Counts {
        open: AtomicUsize,
        most: AtomicUsize,
        made: AtomicUsize,
        probed: AtomicUsize,
        ended: AtomicUsize,
    }

    struct Fake {
        counts: Arc<Counts>,
        spent: bool,
        name: usize,
    }

    impl Fake {
        async fn connect(counts: Arc<Counts>) -> Result<Self> {
            let open = counts.open.fetch_add(1, Ordering::SeqCst) + 1;
            counts.most.fetch_max(open, Ordering::SeqCst);
            let name = counts.made.fetch_add(1, Ordering::SeqCst);
            Ok(Self {
                counts,
                spent: false,
                name,
            })
        }
    }

    impl Drop for Fake {
        fn drop(&mut self) {
            self.counts.open.fetch_sub(1, Ordering::SeqCst);
        }
    }

    impl Pooled for Fake {
        fn is_spent(&self) -> bool {
            self.spent
        }

        async fn probe(&mut self) -> Result<()> {
            self.counts.probed.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }

        async fn end(self) {
            tokio::time::sleep(Duration::from_millis(200)).await;
            self.counts.ended.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn any(_: &Fake) -> bool {
        true
    }

    fn pool(limit: u32) -> Arc<Pool<Fake>> {
        Pool::new(&Seats::new(limit))
    }

    async fn lend<F: Future<Output = Result<Fake>>>(
        pool: &Arc<Pool<Fake>>,
        prefer: impl Fn(&Fake) -> bool,
        connect: impl FnOnce() -> F,
    ) -> Result<Lease<Fake>> {
        let turn = pool.seats.turn().await?;
        pool.lease(turn, prefer, connect).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_hundred_callers_never_have_more_than_the_limit() {
        let (pool, counts) = (pool(3), Arc::new(Counts::default()));
        let callers: Vec<_> = (0..100)
            .map(|n| {
                let (pool, counts) = (pool.clone(), counts.clone());
                tokio::spawn(async move {
                    let mut lease = lend(&pool, any, || Fake::connect(counts)).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    lease.spent = n % 10 == 0;
                })
            })
            .collect();
        for caller in callers {
            caller.await.unwrap();
        }
        assert_eq!(counts.most.load(Ordering::SeqCst), 3);
        // Ten of the callers spoilt theirs, so at most ten had to be made again.
        assert!(counts.made.load(Ordering::SeqCst) <= 13, "{counts:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_session_is_probed_and_then_ended() {
        let (pool, counts) = (pool(2), Arc::new(Counts::default()));
        drop(lend(&pool, any, || Fake::connect(counts.clone())).await.unwrap());
        drop(lend(&pool, any, || Fake::connect(counts.clone())).await.unwrap());
        assert_eq!(
            (
                counts.made.load(Ordering::SeqCst),
                counts.probed.load(Ordering::SeqCst)
            ),
            (1, 0)
        );
        tokio::time::sleep(TRUSTED).await;
        drop(lend(&pool, any, || Fake::connect(counts.clone())).await.unwrap());
        assert_eq!(
            (
                counts.made.load(Ordering::SeqCst),
                counts.probed.load(Ordering::SeqCst)
            ),
            (1, 1)
        );
        tokio::time::sleep(KEPT * 2).await;
        assert_eq!(
            (
                counts.ended.load(Ordering::SeqCst),
                counts.open.load(Ordering::SeqCst)
            ),
            (1, 0)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_preferred_session_is_taken_and_closing_is_polite() {
        let (pool, counts) = (pool(2), Arc::new(Counts::default()));
        let first = lend(&pool, any, || Fake::connect(counts.clone())).await.unwrap();
        let second = lend(&pool, any, || Fake::connect(counts.clone())).await.unwrap();
        drop((first, second));
        let lease = lend(&pool, |fake| fake.name == 0, || Fake::connect(counts.clone()))
            .await
            .unwrap();
        assert_eq!(lease.name, 0);
        pool.close().await;
        assert_eq!(counts.ended.load(Ordering::SeqCst), 1);
        drop(lease);
        drop(pool);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(
            (
                counts.ended.load(Ordering::SeqCst),
                counts.open.load(Ordering::SeqCst)
            ),
            (2, 0)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_farewell_counts_as_a_connection() {
        let (pool, counts) = (pool(1), Arc::new(Counts::default()));
        drop(lend(&pool, any, || Fake::connect(counts.clone())).await.unwrap());
        // Within the farewell of the reaper, then of `close`.
        tokio::time::sleep(KEPT + Duration::from_millis(100)).await;
        drop(lend(&pool, any, || Fake::connect(counts.clone())).await.unwrap());
        let lease = async {
            tokio::task::yield_now().await;
            lend(&pool, any, || Fake::connect(counts.clone())).await.unwrap()
        };
        let (lease, ()) = tokio::join!(lease, pool.close());
        drop(lease);
        assert_eq!(counts.ended.load(Ordering::SeqCst), 2);
        assert_eq!(counts.most.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn idle_sessions_end_although_an_earlier_runtime_is_gone() {
        let (pool, counts) = (pool(1), Arc::new(Counts::default()));
        for wait in [Duration::ZERO, KEPT * 2] {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .unwrap();
            runtime.block_on(async {
                drop(lend(&pool, any, || Fake::connect(counts.clone())).await.unwrap());
                tokio::time::sleep(wait).await;
            });
        }
        assert_eq!(counts.ended.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn two_pools_that_share_seats_keep_within_them() {
        let (seats, counts) = (Seats::new(3), Arc::new(Counts::default()));
        let pools = [Pool::new(&seats), Pool::new(&seats)];
        let callers: Vec<_> = (0..100)
            .map(|n| {
                let (pool, counts) = (pools[n % 2].clone(), counts.clone());
                tokio::spawn(async move {
                    let _lease = lend(&pool, any, || Fake::connect(counts)).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(10)).await;
                })
            })
            .collect();
        for caller in callers {
            caller.await.unwrap();
        }
        assert_eq!(counts.most.load(Ordering::SeqCst), 3);
        // All three idle with one pool: the other gets them.
        let held = [
            lend(&pools[0], any, || Fake::connect(counts.clone())).await,
            lend(&pools[0], any, || Fake::connect(counts.clone())).await,
            lend(&pools[0], any, || Fake::connect(counts.clone())).await,
        ];
        drop(held);
        let ended = counts.ended.load(Ordering::SeqCst);
        let lent = lend(&pools[1], any, || Fake::connect(counts.clone()))
            .await
            .unwrap();
        assert_eq!(counts.ended.load(Ordering::SeqCst), ended + 1);
        drop(lent);
        assert_eq!(counts.most.load(Ordering::SeqCst), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn sessions_above_a_lowered_limit_end() {
        let (pool, counts) = (pool(3), Arc::new(Counts::default()));
        let connect = || Fake::connect(counts.clone());
        let held = [
            lend(&pool, any, connect).await,
            lend(&pool, any, connect).await,
            lend(&pool, any, connect).await,
        ];
        pool.seats.lower(KEPT);
        pool.seats.lower(KEPT);
        drop(held);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(counts.open.load(Ordering::SeqCst) <= 1);
        counts.most.store(0, Ordering::SeqCst);
        let callers = futures_util::future::join_all((0..5).map(|_| async {
            let _lease = lend(&pool, any, connect).await.unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }));
        callers.await;
        assert!(counts.most.load(Ordering::SeqCst) <= 1);
    }
}
