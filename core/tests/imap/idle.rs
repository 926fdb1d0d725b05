//! IDLE.

use std::time::Duration;

use exomail::ErrorKind;
use exomail::imap::{Flag, IdleEvent};

use super::{AFTER, connect, dialogue, exchange, heard, said, uid};

const LONG: Duration = Duration::from_secs(1_000);

#[tokio::test]
async fn news_end_the_wait() {
    let server = exchange(AFTER, |mut peer| async move {
        assert_eq!(peer.line().await, "A6 IDLE");
        peer.send("+ IDLE accepted, awaiting DONE command.\r\n* OK Still here\r\n")
            .await;
        peer.send("* 6996 EXISTS\r\n* 1 FETCH (FLAGS (\\Seen) UID 5)\r\n")
            .await;
        assert_eq!(peer.line().await, "DONE");
        peer.send("* 3 EXPUNGE\r\nA6 OK IDLE completed.\r\n").await;
        assert_eq!(peer.line().await, "A7 NOOP");
        peer.send("A7 OK\r\n").await;
        peer.silence().await;
    })
    .await;
    let mut session = connect(&server).await;
    let outcome = session.idle(LONG).await.unwrap();
    assert_eq!(outcome.exists(), Some(6996));
    assert!(!outcome.timed_out());
    assert!(
        outcome.events.contains(&IdleEvent::Expunged(3)),
        "said while DONE was under way"
    );
    assert!(outcome.events.contains(&IdleEvent::Flags {
        number: 1,
        uid: Some(uid(5)),
        flags: vec![Flag::Seen]
    }));
    assert_eq!(session.selected().unwrap().exists, 6995);
    session.noop().await.unwrap();
}

#[tokio::test]
async fn when_nothing_happens_the_wait_ends_in_time() {
    // Longer than a step may take: to be silent is right here. And never longer than a server bears.
    for (asked, waited) in [(Duration::from_secs(600), 600), (Duration::MAX, 29 * 60)] {
        let server = dialogue(
            AFTER,
            &[
                ("A6 IDLE", "+\r\n"),
                ("DONE", "A6 OK\r\n"),
                ("A7 NOOP", "A7 OK\r\n"),
            ],
        )
        .await;
        let mut session = connect(&server).await;
        let time = async {
            heard(&server, "+").await;
            tokio::time::pause();
            tokio::time::advance(Duration::from_secs(waited - 2)).await;
            tokio::task::yield_now().await;
            assert_eq!(said(&server), ["A6 IDLE"]);
            tokio::time::advance(Duration::from_secs(2)).await;
            tokio::time::resume();
        };
        let (outcome, ()) = tokio::join!(session.idle(asked), time);
        assert!(outcome.unwrap().timed_out());
        assert_eq!(session.flights(), 4);
        session.noop().await.unwrap();
    }
}

#[tokio::test]
async fn the_end_of_the_connection_ends_the_wait() {
    for (words, kind) in [
        (
            "* BYE Session invalidated - AccessTokenExpired\r\n",
            ErrorKind::TokenExpired,
        ),
        ("", ErrorKind::ConnectionLost),
        ("A6 NO Server Unavailable. 15\r\n", ErrorKind::Unavailable),
    ] {
        let server = exchange(AFTER, move |mut peer| async move {
            peer.line().await;
            peer.send("+\r\n").await;
            peer.send(words).await;
        })
        .await;
        let error = connect(&server).await.idle(LONG).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
    }
}

#[tokio::test]
async fn a_refused_idle_leaves_the_session() {
    let server = dialogue(
        AFTER,
        &[("A6 IDLE", "A6 BAD not now\r\n"), ("A7 NOOP", "A7 OK\r\n")],
    )
    .await;
    let mut session = connect(&server).await;
    assert_eq!(
        session.idle(LONG).await.unwrap_err().kind(),
        ErrorKind::Unsupported
    );
    session.noop().await.unwrap();
    let server = dialogue("* CAPABILITY IMAP4rev1\r\n", &[]).await;
    assert_eq!(
        connect(&server).await.idle(LONG).await.unwrap_err().kind(),
        ErrorKind::Unsupported
    );
}

#[tokio::test]
async fn a_dropped_wait_spends_the_session() {
    let server = dialogue(AFTER, &[("A6 IDLE", "+\r\n")]).await;
    let mut session = connect(&server).await;
    tokio::select! {
        outcome = session.idle(LONG) => panic!("{outcome:?}"),
        () = heard(&server, "+") => {}
    }
    assert_eq!(session.noop().await.unwrap_err().kind(), ErrorKind::State);
}
