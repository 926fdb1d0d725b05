//! Every way in which a session ends, and what comes behind it: nothing lost, nothing twice.

use std::time::Duration;

use exomail::{Error, ErrorKind, Watch, WatchEvent};
use futures_util::StreamExt as _;

use crate::stage::{Connection, Stage, at, caught_up, pass, settle, uid_of};

/// The next event must tell of an interruption; its error and pause.
async fn interrupted(watch: &mut Watch) -> (Error, Duration) {
    match watch.next().await.unwrap() {
        WatchEvent::Interrupted { error, pause } => (error, pause),
        other => panic!("{other:?} instead of an interruption"),
    }
}

async fn healed(watch: &mut Watch) {
    let event = watch.next().await.unwrap();
    assert!(matches!(event, WatchEvent::Healed { .. }), "{event:?}");
}

/// The first connection idles and ends as `end` says; meanwhile message 8 comes. The others are well.
async fn comes_back(
    end: impl Fn(Connection, String) -> EndFuture + Clone + Send + Sync + 'static,
    time: Option<Duration>,
    kind: ErrorKind,
) -> (Stage, Duration) {
    let stage = Stage::start(move |mut connection: Connection| {
        let end = end.clone();
        async move {
            if connection.number > 1 {
                return connection.serve().await;
            }
            let tag = connection.until_idle().await.unwrap();
            end(connection, tag).await;
        }
    })
    .await;
    let mut watch = stage.watch();
    caught_up(&mut watch, at(7)).await;
    stage.arrives(8);
    if let Some(time) = time {
        stage.until_idle(1).await;
        pass(time).await;
        stage.until_said("DONE", 1).await;
        // Longer than a step may take.
        pass(Duration::from_secs(21)).await;
    }
    let (error, pause) = interrupted(&mut watch).await;
    assert_eq!(error.kind(), kind, "{error}");
    pass(pause).await;
    healed(&mut watch).await;
    assert_eq!(uid_of(watch.next().await.unwrap()), 8);
    caught_up(&mut watch, at(8)).await;
    stage.arrives(9);
    assert_eq!(uid_of(watch.next().await.unwrap()), 9);
    caught_up(&mut watch, at(9)).await;
    assert_eq!(stage.connections(), 2);
    (stage, pause)
}

type EndFuture = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

fn says(words: &'static str) -> impl Fn(Connection, String) -> EndFuture + Clone {
    move |mut connection, tag| {
        Box::pin(async move {
            connection.peer.send(words.replace("{tag}", &tag)).await;
        })
    }
}

#[tokio::test]
async fn a_server_that_says_goodbye_or_hangs_up() {
    for (words, kind) in [
        ("* BYE Connection closed. 14\r\n", ErrorKind::ConnectionLost),
        ("", ErrorKind::ConnectionLost),
        ("{tag} NO Server Unavailable. 15\r\n", ErrorKind::Unavailable),
    ] {
        let (stage, pause) = comes_back(says(words), None, kind).await;
        assert!(pause <= Duration::from_secs(1));
        assert_eq!(stage.sandbox.stats().token_requests, 1);
    }
}

#[tokio::test]
async fn a_token_that_ran_out() {
    for words in [
        "* BYE Session invalidated - AccessTokenExpired\r\n",
        "{tag} BAD Session invalidated - AccessTokenExpired\r\n",
    ] {
        let (stage, pause) = comes_back(says(words), None, ErrorKind::TokenExpired).await;
        assert_eq!(pause, Duration::ZERO);
        // The one in the cache would have been refused again.
        assert_eq!(stage.sandbox.stats().token_requests, 2);
    }
}

#[tokio::test]
async fn a_server_that_falls_silent() {
    let silent = |mut connection: Connection, _| -> EndFuture {
        Box::pin(async move {
            connection.peer.expect("DONE").await;
            connection.peer.silence().await;
        })
    };
    let ten_minutes = Duration::from_secs(600);
    comes_back(silent, Some(ten_minutes), ErrorKind::TimedOut).await;
}

#[tokio::test]
async fn a_throttled_command_waits_as_long_as_the_server_says() {
    let stage = Stage::start(|mut connection: Connection| async move {
        if connection.number == 1 {
            let line = connection.peer.expect("A6 UID SEARCH").await;
            let tag = line.split_once(' ').unwrap().0;
            connection
                .peer
                .send(format!(
                    "{tag} BAD Request is throttled. Suggested Backoff Time: 92415 milliseconds\r\n"
                ))
                .await;
            return connection.peer.silence().await;
        }
        connection.serve().await;
    })
    .await;
    let mut watch = stage.mailbox.watch("INBOX", Some(at(6)));
    let (error, pause) = interrupted(&mut watch).await;
    assert_eq!(
        (error.kind(), pause),
        (ErrorKind::Throttled, Duration::from_millis(92_415))
    );
    pass(Duration::from_secs(92)).await;
    assert_eq!(stage.connections(), 1);
    pass(Duration::from_millis(415)).await;
    healed(&mut watch).await;
    assert_eq!(uid_of(watch.next().await.unwrap()), 7);
}

#[tokio::test]
async fn a_session_that_breaks_amid_a_page_goes_on_behind_what_was_told() {
    let stage = Stage::start(|mut connection: Connection| async move {
        if connection.number == 1 {
            loop {
                let line = connection.peer.line().await;
                let (tag, command) = line.split_once(' ').unwrap();
                if command.starts_with("UID FETCH") {
                    // Two of three, then the line goes dead in the middle of a response.
                    let half = [crate::stage::summary(6), "* 7 FETCH (UID 7 FLA".to_owned()].concat();
                    return connection.peer.send(half).await;
                }
                connection.answer(tag, command).await;
            }
        }
        connection.serve().await;
    })
    .await;
    let mut watch = stage.mailbox.watch("INBOX", Some(at(0)));
    let (error, pause) = interrupted(&mut watch).await;
    assert_eq!(error.kind(), ErrorKind::ConnectionLost, "{error}");
    pass(pause).await;
    healed(&mut watch).await;
    assert_eq!(uid_of(watch.next().await.unwrap()), 6);
    assert_eq!(uid_of(watch.next().await.unwrap()), 7);
    caught_up(&mut watch, at(7)).await;
}

#[tokio::test]
async fn pauses_grow_while_the_server_is_down() {
    let stage = Stage::start(|mut connection: Connection| async move {
        if connection.number < 6 {
            connection.peer.send("* BYE going down\r\n").await;
        } else {
            connection.serve().await;
        }
    })
    .await;
    let mut watch = stage.watch();
    let mut pauses = Vec::new();
    loop {
        match watch.next().await.unwrap() {
            WatchEvent::Interrupted { pause, .. } => {
                pauses.push(pause.as_secs_f64());
                pass(pause).await;
            }
            WatchEvent::CaughtUp { .. } => break,
            WatchEvent::Healed { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(pauses.len(), 5);
    for (n, pause) in pauses.into_iter().enumerate() {
        let most = 2_f64.powi(i32::try_from(n).unwrap());
        assert!((most / 2.0..=most).contains(&pause), "{n}: {pause}");
    }
}

#[tokio::test]
async fn what_a_new_try_would_not_change_is_the_callers() {
    let stage = Stage::start(Connection::serve).await;
    let mut watch = stage
        .mailbox
        .watch("INBOX", Some(exomail::Checkpoint::beginning("Archive")));
    assert_eq!(watch.next().await.unwrap_err().kind(), ErrorKind::InvalidArgument);
    let mut watch = stage.watch();
    let client_id = stage.sandbox.client_id().to_owned();
    stage
        .sandbox
        .state()
        .remove_secret(&client_id, stage.sandbox.client_secret())
        .unwrap();
    assert_eq!(
        watch.next().await.unwrap_err().kind(),
        ErrorKind::CredentialRejected
    );
    assert_eq!(watch.next().await.unwrap_err().kind(), ErrorKind::State);
    assert!(watch.next().await.is_err());
    let mut stream = Box::pin(stage.watch());
    assert!(stream.next().await.unwrap().is_err());
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn a_dropped_or_cancelled_watch_hangs_up() {
    for cancel in [false, true] {
        let (closed, mut hung_up) = tokio::sync::mpsc::channel(1);
        let stage = Stage::start(move |mut connection: Connection| {
            let closed = closed.clone();
            async move {
                connection.until_idle().await;
                let line = connection.peer.line().await;
                closed.send(line).await.unwrap();
            }
        })
        .await;
        let token = exomail::CancelToken::new();
        let mut watch = stage.watch().stop_with(&token);
        caught_up(&mut watch, at(7)).await;
        stage.until_idle(1).await;
        if cancel {
            let remote = token.clone();
            let (error, ()) = tokio::join!(watch.next(), async {
                settle().await;
                remote.cancel();
            });
            assert_eq!(error.unwrap_err().kind(), ErrorKind::Cancelled);
        } else {
            drop(watch);
        }
        assert_eq!(hung_up.recv().await.unwrap(), "");
    }
}
