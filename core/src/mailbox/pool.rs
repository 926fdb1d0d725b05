//! [`Pool`]: the sessions of one mailbox and protocol, within a limit.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::error::{Error, ErrorKind, Result};

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

/// Sessions that wait for work. A connection is only made when none is idle, and a lease needs one of `limit`
/// permits, and so does a farewell: there are never more than `limit` connections.
pub(crate) struct Pool<S: Pooled> {
    permits: Arc<Semaphore>,
    idle: Mutex<Idle<S>>,
}

struct Idle<S> {
    sessions: Vec<(S, Instant)>,
    /// The task that ends those that were idle for long. It may have gone with its runtime.
    reaper: Option<AbortHandle>,
}

impl<S: Pooled> Pool<S> {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        let idle = Mutex::new(Idle {
            sessions: Vec::new(),
            reaper: None,
        });
        Arc::new(Self {
            permits: Arc::new(Semaphore::new(limit)),
            idle,
        })
    }

    /// A session for the caller alone: an idle one, by preference one that `prefer` likes, else one that `connect`
    /// makes. Waits while all permits are out.
    pub(crate) async fn lease<F>(
        self: &Arc<Self>,
        prefer: impl Fn(&S) -> bool,
        connect: impl FnOnce() -> F,
    ) -> Result<Lease<S>>
    where
        F: Future<Output = Result<S>>,
    {
        let permit = self.permits.clone().acquire_owned().await.map_err(|error| {
            Error::new(ErrorKind::Internal, "lease", "the pool was closed").with_source(error)
        })?;
        while let Some((mut session, since)) = self.pick(&prefer) {
            if session.is_spent() {
                continue;
            }
            let trusted = since.elapsed() < TRUSTED;
            if trusted || session.probe().await.is_ok() {
                return Ok(Lease {
                    session: Some(session),
                    current: !trusted,
                    pool: self.clone(),
                    _permit: permit,
                });
            }
        }
        let session = connect().await?;
        Ok(Lease {
            session: Some(session),
            current: true,
            pool: self.clone(),
            _permit: permit,
        })
    }

    /// Ends every idle session politely.
    pub(crate) async fn close(&self) {
        for (session, _permit) in self.retire(|_| true) {
            session.end().await;
        }
    }

    /// Takes out the idle sessions that `ends` is true for, each with a permit, which it needs until the server has
    /// hung up. Where none is free somebody is about to lease a session: it stays.
    fn retire(&self, ends: impl Fn(Instant) -> bool) -> Vec<(S, OwnedSemaphorePermit)> {
        let (mut retired, mut kept) = (Vec::new(), Vec::new());
        let mut idle = self.idle();
        for (session, since) in std::mem::take(&mut idle.sessions) {
            let permit = ends(since).then(|| self.permits.clone().try_acquire_owned());
            match permit {
                Some(Ok(permit)) => retired.push((session, permit)),
                _ => kept.push((session, since)),
            }
        }
        idle.sessions = kept;
        retired
    }

    fn idle(&self) -> MutexGuard<'_, Idle<S>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pick(&self, prefer: impl Fn(&S) -> bool) -> Option<(S, Instant)> {
        let mut idle = self.idle();
        let at = idle.sessions.iter().position(|(session, _)| prefer(session));
        match at {
            Some(at) => Some(idle.sessions.remove(at)),
            None => idle.sessions.pop(),
        }
    }

    fn put_back(self: &Arc<Self>, session: S) {
        let mut idle = self.idle();
        idle.sessions.push((session, Instant::now()));
        // Without a runtime there is no task to end idle sessions; the next lease finds out whether they live.
        if idle.reaper.as_ref().is_none_or(AbortHandle::is_finished)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            idle.reaper = Some(runtime.spawn(reap(Arc::downgrade(self))).abort_handle());
        }
    }
}

/// Ends sessions that were idle for long; itself ends when there are none left.
async fn reap<S: Pooled>(pool: std::sync::Weak<Pool<S>>) {
    loop {
        tokio::time::sleep(KEPT / 2).await;
        let Some(pool) = pool.upgrade() else { return };
        for (session, _permit) in pool.retire(|since| since.elapsed() >= KEPT) {
            session.end().await;
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
                for (session, _) in sessions {
                    session.end().await;
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
    /// `None` only while being dropped.
    session: Option<S>,
    current: bool,
    pool: Arc<Pool<S>>,
    // Declared last: the permit is given back after the session is.
    _permit: OwnedSemaphorePermit,
}

impl<S: Pooled> Lease<S> {
    /// Whether the session was made or probed for this lease, so that it knows what is new on the server.
    pub(crate) fn is_current(&self) -> bool {
        self.current
    }
}

impl<S: Pooled> Deref for Lease<S> {
    type Target = S;

    fn deref(&self) -> &S {
        self.session
            .as_ref()
            .expect("a lease has its session until it is dropped")
    }
}

impl<S: Pooled> DerefMut for Lease<S> {
    fn deref_mut(&mut self) -> &mut S {
        self.session
            .as_mut()
            .expect("a lease has its session until it is dropped")
    }
}

impl<S: Pooled> Drop for Lease<S> {
    fn drop(&mut self) {
        if let Some(session) = self.session.take()
            && !session.is_spent()
        {
            self.pool.put_back(session);
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

    #[tokio::test(start_paused = true)]
    async fn a_hundred_callers_never_have_more_than_the_limit() {
        let (pool, counts) = (Pool::new(3), Arc::new(Counts::default()));
        let callers: Vec<_> = (0..100)
            .map(|n| {
                let (pool, counts) = (pool.clone(), counts.clone());
                tokio::spawn(async move {
                    let mut lease = pool.lease(any, || Fake::connect(counts)).await.unwrap();
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
        let (pool, counts) = (Pool::new(2), Arc::new(Counts::default()));
        let lease = pool.lease(any, || Fake::connect(counts.clone())).await.unwrap();
        assert!(lease.is_current());
        drop(lease);
        let lease = pool.lease(any, || Fake::connect(counts.clone())).await.unwrap();
        assert!(!lease.is_current());
        drop(lease);
        assert_eq!(
            (
                counts.made.load(Ordering::SeqCst),
                counts.probed.load(Ordering::SeqCst)
            ),
            (1, 0)
        );
        tokio::time::sleep(TRUSTED).await;
        drop(pool.lease(any, || Fake::connect(counts.clone())).await.unwrap());
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
        let (pool, counts) = (Pool::new(2), Arc::new(Counts::default()));
        let first = pool.lease(any, || Fake::connect(counts.clone())).await.unwrap();
        let second = pool.lease(any, || Fake::connect(counts.clone())).await.unwrap();
        drop((first, second));
        let lease = pool
            .lease(|fake| fake.name == 0, || Fake::connect(counts.clone()))
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
        let (pool, counts) = (Pool::new(1), Arc::new(Counts::default()));
        drop(pool.lease(any, || Fake::connect(counts.clone())).await.unwrap());
        // Within the farewell of the reaper, then of `close`.
        tokio::time::sleep(KEPT + Duration::from_millis(100)).await;
        drop(pool.lease(any, || Fake::connect(counts.clone())).await.unwrap());
        let lease = async {
            tokio::task::yield_now().await;
            pool.lease(any, || Fake::connect(counts.clone())).await.unwrap()
        };
        let (lease, ()) = tokio::join!(lease, pool.close());
        drop(lease);
        assert_eq!(counts.ended.load(Ordering::SeqCst), 2);
        assert_eq!(counts.most.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn idle_sessions_end_although_an_earlier_runtime_is_gone() {
        let (pool, counts) = (Pool::new(1), Arc::new(Counts::default()));
        for wait in [Duration::ZERO, KEPT * 2] {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .unwrap();
            runtime.block_on(async {
                drop(pool.lease(any, || Fake::connect(counts.clone())).await.unwrap());
                tokio::time::sleep(wait).await;
            });
        }
        assert_eq!(counts.ended.load(Ordering::SeqCst), 1);
    }
}
