//! The cache with a fetcher of the test's own, on a paused clock.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use futures_util::future::join_all;
use tokio::time::sleep;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

/// Answers after a second with `token-1`, `token-2`, …, or with an error while `failing`.
#[derive(Clone)]
struct Fake {
    asked: Arc<AtomicUsize>,
    failing: Arc<AtomicUsize>,
    source: Source,
}

fn fake(life: Duration) -> Fake {
    let asked = Arc::new(AtomicUsize::new(0));
    let failing = Arc::new(AtomicUsize::new(0));
    let (count, fail) = (asked.clone(), failing.clone());
    let fetch = move || -> BoxFuture<'static, Result<Token>> {
        let number = count.fetch_add(1, Ordering::SeqCst) + 1;
        let fail = fail.clone();
        Box::pin(async move {
            sleep(Duration::from_secs(1)).await;
            if fail.load(Ordering::SeqCst) > 0 {
                return Err(Error::new(
                    ErrorKind::Unavailable,
                    "token",
                    format!("failure {number}"),
                ));
            }
            Ok(Token::new(format!("token-{number}"), SystemTime::now() + life))
        })
    };
    let source = Source {
        fetch: Arc::new(fetch),
        limit: Duration::from_secs(65),
    };
    Fake {
        asked,
        failing,
        source,
    }
}

impl Fake {
    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    async fn get(&self, slot: &Arc<Slot>, refresh: Refresh) -> String {
        slot.token(refresh, &self.source)
            .await
            .unwrap()
            .secret()
            .expose()
            .to_owned()
    }
}

#[tokio::test(start_paused = true)]
async fn two_hundred_callers_are_one_request() {
    let (slot, fake) = (Arc::new(Slot::default()), fake(HOUR));
    let callers = (0..200).map(|_| {
        let (slot, fake) = (slot.clone(), fake.clone());
        tokio::spawn(async move { fake.get(&slot, Refresh::IfNeeded).await })
    });
    for token in join_all(callers).await {
        assert_eq!(token.unwrap(), "token-1");
    }
    assert_eq!(fake.asked(), 1);
    assert_eq!(fake.get(&slot, Refresh::IfNeeded).await, "token-1");
    assert_eq!(fake.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn two_hundred_who_force_are_one_request_for_a_new_token() {
    let (slot, fake) = (Arc::new(Slot::default()), fake(HOUR));
    assert_eq!(fake.get(&slot, Refresh::IfNeeded).await, "token-1");
    for token in join_all((0..200).map(|_| fake.get(&slot, Refresh::Force))).await {
        assert_eq!(token, "token-2");
    }
    assert_eq!(fake.get(&slot, Refresh::Force).await, "token-3");
    assert_eq!(fake.asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn forcing_does_not_take_the_token_that_was_asked_for_before() {
    let (slot, fake) = (Arc::new(Slot::default()), fake(HOUR));
    let plain = tokio::spawn({
        let (slot, fake) = (slot.clone(), fake.clone());
        async move { fake.get(&slot, Refresh::IfNeeded).await }
    });
    sleep(Duration::from_millis(500)).await;
    assert_eq!(fake.get(&slot, Refresh::Force).await, "token-2");
    assert_eq!(plain.await.unwrap(), "token-1");
    // The older answer has not replaced the newer one, whichever came last.
    assert_eq!(fake.get(&slot, Refresh::IfNeeded).await, "token-2");
}

#[tokio::test(start_paused = true)]
async fn a_forced_failure_leaves_the_old_token_to_the_others() {
    let (slot, fake) = (Arc::new(Slot::default()), fake(HOUR));
    assert_eq!(fake.get(&slot, Refresh::IfNeeded).await, "token-1");
    fake.failing.store(1, Ordering::SeqCst);
    assert!(slot.token(Refresh::Force, &fake.source).await.is_err());
    assert_eq!(fake.get(&slot, Refresh::IfNeeded).await, "token-1");
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_goes_away_does_not_end_the_request() {
    let (slot, fake) = (Arc::new(Slot::default()), fake(HOUR));
    let first = tokio::time::timeout(
        Duration::from_millis(100),
        slot.token(Refresh::IfNeeded, &fake.source),
    );
    assert!(first.await.is_err());
    assert_eq!(fake.get(&slot, Refresh::IfNeeded).await, "token-1");
    assert_eq!(fake.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_error_reaches_those_who_wait_and_nobody_later() {
    let (slot, fake) = (Arc::new(Slot::default()), fake(HOUR));
    fake.failing.store(1, Ordering::SeqCst);
    for error in join_all((0..5).map(|_| slot.token(Refresh::IfNeeded, &fake.source))).await {
        assert_eq!(error.unwrap_err().detail(), "failure 1");
    }
    fake.failing.store(0, Ordering::SeqCst);
    assert_eq!(fake.get(&slot, Refresh::IfNeeded).await, "token-2");
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_while_the_old_one_serves() {
    let (slot, fake) = (Arc::new(Slot::default()), fake(HOUR));
    assert_eq!(fake.get(&slot, Refresh::IfNeeded).await, "token-1");
    // 300 s before the end, plus at most a fifth for jitter.
    sleep(HOUR - Duration::from_secs(365)).await;
    assert_eq!(fake.get(&slot, Refresh::IfNeeded).await, "token-1");
    assert_eq!(fake.asked(), 1);
    sleep(Duration::from_secs(70)).await;
    for _ in 0..50 {
        assert_eq!(fake.get(&slot, Refresh::IfNeeded).await, "token-1");
    }
    sleep(Duration::from_secs(2)).await;
    assert_eq!(fake.asked(), 2);
    assert_eq!(fake.get(&slot, Refresh::IfNeeded).await, "token-2");
}

#[tokio::test(start_paused = true)]
async fn while_renewal_fails_the_old_token_serves_until_its_end() {
    let (slot, fake) = (Arc::new(Slot::default()), fake(HOUR));
    assert_eq!(fake.get(&slot, Refresh::IfNeeded).await, "token-1");
    fake.failing.store(1, Ordering::SeqCst);
    sleep(HOUR - Duration::from_secs(290)).await;
    for _ in 0..270 {
        assert_eq!(fake.get(&slot, Refresh::IfNeeded).await, "token-1");
        sleep(Duration::from_secs(1)).await;
    }
    // 5, 10, 20, 40, then 60 seconds apart, each after its own second: not once a second.
    let tries = fake.asked() - 1;
    assert!((5..=8).contains(&tries), "{tries}");
    sleep(Duration::from_secs(20)).await;
    assert!(slot.token(Refresh::IfNeeded, &fake.source).await.is_err());
    fake.failing.store(0, Ordering::SeqCst);
    assert_ne!(fake.get(&slot, Refresh::IfNeeded).await, "token-1");
}

#[tokio::test(start_paused = true)]
async fn renewal_waits_as_long_as_the_server_asked() {
    let slot = Arc::new(Slot::default());
    let good = fake(HOUR);
    assert_eq!(good.get(&slot, Refresh::IfNeeded).await, "token-1");
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let throttled = Source {
        fetch: Arc::new(move || {
            count.fetch_add(1, Ordering::SeqCst);
            Box::pin(async {
                Err(Error::new(ErrorKind::Throttled, "token", "429")
                    .with_retry(Retry::After(Duration::from_secs(120))))
            })
        }),
        limit: HOUR,
    };
    sleep(HOUR - Duration::from_secs(290)).await;
    for _ in 0..115 {
        assert!(slot.token(Refresh::IfNeeded, &throttled).await.is_ok());
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    sleep(Duration::from_secs(10)).await;
    assert!(slot.token(Refresh::IfNeeded, &throttled).await.is_ok());
    tokio::task::yield_now().await;
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn nobody_asks_while_the_pause_lasts_that_the_server_asked_for() {
    let slot = Arc::new(Slot::default());
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let throttled = Source {
        fetch: Arc::new(move || {
            count.fetch_add(1, Ordering::SeqCst);
            Box::pin(async {
                Err(Error::new(ErrorKind::Throttled, "token", "429")
                    .with_retry(Retry::After(Duration::from_secs(120))))
            })
        }),
        limit: HOUR,
    };
    for left in [120, 90, 60] {
        for refresh in [Refresh::IfNeeded, Refresh::Force] {
            let error = slot.token(refresh, &throttled).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Throttled);
            assert_eq!(error.retry(), Retry::After(Duration::from_secs(left)));
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        sleep(Duration::from_secs(30)).await;
    }
    sleep(Duration::from_secs(30)).await;
    let good = fake(HOUR);
    assert_eq!(good.get(&slot, Refresh::IfNeeded).await, "token-1");
    assert_eq!(good.get(&slot, Refresh::Force).await, "token-2");
}

#[tokio::test(start_paused = true)]
async fn renewal_is_spread_over_a_minute() {
    let now = Instant::now();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..200 {
        let cached = Cached::new(Token::new("t", SystemTime::now() + HOUR), now);
        let ahead = cached.ends - cached.renew_at;
        assert!(
            (Duration::from_secs(300)..=Duration::from_secs(360)).contains(&ahead),
            "{ahead:?}"
        );
        seen.insert(ahead);
    }
    assert!(seen.len() > 100);
    for life in [0, 1, 60, u64::MAX / 4] {
        let token = Token::new(
            "t",
            SystemTime::now()
                .checked_add(Duration::from_secs(life))
                .unwrap_or(SystemTime::now()),
        );
        let cached = Cached::new(token, now);
        assert!(cached.renew_at >= now && cached.renew_at <= cached.ends && cached.ends <= now + MAX_LIFE);
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_with_seconds_left_is_not_handed_out() {
    let (slot, fake) = (Arc::new(Slot::default()), fake(HOUR));
    assert_eq!(fake.get(&slot, Refresh::IfNeeded).await, "token-1");
    sleep(HOUR - Duration::from_secs(5)).await;
    assert_eq!(fake.get(&slot, Refresh::IfNeeded).await, "token-2");
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_past_the_end_counts_too() {
    let slot = Arc::new(Slot::default());
    let short = fake(Duration::from_nanos(1));
    assert_eq!(short.get(&slot, Refresh::IfNeeded).await, "token-1");
    // The paused clock has not moved since, the real one has.
    assert_eq!(short.get(&slot, Refresh::IfNeeded).await, "token-2");
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap()
}

#[test]
fn a_request_on_a_runtime_that_ended_is_made_again() {
    let (slot, fake) = (Arc::new(Slot::default()), fake(HOUR));
    let first = runtime();
    first.block_on(async {
        let caller = slot.token(Refresh::IfNeeded, &fake.source);
        assert!(
            tokio::time::timeout(Duration::from_millis(1), caller)
                .await
                .is_err()
        );
    });
    drop(first);
    let second = runtime();
    assert_eq!(second.block_on(fake.get(&slot, Refresh::IfNeeded)), "token-2");
    drop(second);
    assert_eq!(runtime().block_on(fake.get(&slot, Refresh::IfNeeded)), "token-2");
}

#[test]
fn a_request_on_a_runtime_that_stands_still_is_overtaken() {
    let (slot, fake) = (Arc::new(Slot::default()), fake(HOUR));
    let stalled = runtime();
    stalled.block_on(async {
        let caller = slot.token(Refresh::IfNeeded, &fake.source);
        assert!(
            tokio::time::timeout(Duration::from_millis(1), caller)
                .await
                .is_err()
        );
    });
    // Nobody drives `stalled` any more; the other one waits until the limit has passed, then asks by itself.
    assert_eq!(runtime().block_on(fake.get(&slot, Refresh::IfNeeded)), "token-2");
    // And what comes from there in the end changes nothing.
    stalled.block_on(async { sleep(Duration::from_secs(5)).await });
    assert_eq!(runtime().block_on(fake.get(&slot, Refresh::IfNeeded)), "token-2");
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_panics_is_an_error() {
    let slot = Arc::new(Slot::default());
    let source = Source {
        fetch: Arc::new(|| Box::pin(async { panic!("a bug, wanted by this test") })),
        limit: HOUR,
    };
    let error = slot.token(Refresh::IfNeeded, &source).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
}

#[test]
fn without_a_runtime_there_is_an_error_and_no_panic() {
    let (slot, fake) = (Arc::new(Slot::default()), fake(HOUR));
    let error = futures_util::FutureExt::now_or_never(slot.token(Refresh::IfNeeded, &fake.source)).unwrap();
    assert_eq!(error.unwrap_err().kind(), ErrorKind::State);
}
