//! Waiting: IDLE and its renewal, polling where there is none.

use std::time::Duration;

use exomail::WatchEvent;

use crate::stage::{Connection, NO_IDLE, Stage, at, caught_up, pass, uid_of};

#[tokio::test]
async fn idle_is_renewed_in_time() {
    // Never as long as the servers' 30 minutes, whatever is asked for.
    for (asked, seconds) in [(None, 600), (Some(Duration::MAX), 24 * 60)] {
        let stage = Stage::start(Connection::serve).await;
        let mut watch = stage.watch();
        if let Some(asked) = asked {
            watch = watch.idle_for(asked);
        }
        caught_up(&mut watch, at(7)).await;
        for round in 1..=3 {
            stage.until_idle(round).await;
            pass(Duration::from_secs(seconds - 1)).await;
            assert_eq!(stage.said().last().unwrap(), "IDLE");
            pass(Duration::from_secs(1)).await;
            stage.until_said("DONE", round).await;
        }
        stage.until_idle(4).await;
        // The search in each round is the sign of life, and finds what was not announced.
        let mut said = vec!["UID SEARCH UID 8:*"];
        said.extend(["IDLE", "DONE", "UID SEARCH UID 8:*"].repeat(3));
        said.push("IDLE");
        assert_eq!(stage.said(), said);
        stage.arrives(8);
        assert_eq!(uid_of(watch.next().await.unwrap()), 8);
        assert_eq!(stage.connections(), 1);
    }
}

#[tokio::test]
async fn a_server_without_idle_is_asked_every_minute() {
    let stage = Stage::start(Connection::serve).await;
    stage.inbox.lock().unwrap().capabilities = NO_IDLE;
    let mut watch = stage.watch();
    caught_up(&mut watch, at(7)).await;
    // One more look at the folder, now that there is no IDLE.
    stage.until_said("UID SEARCH", 2).await;
    for uid in [8, 9] {
        stage.until_answered().await;
        stage.arrives(uid);
        pass(Duration::from_secs(60)).await;
        assert_eq!(uid_of(watch.next().await.unwrap()), uid);
        caught_up(&mut watch, at(uid)).await;
    }
    let said = stage.said();
    assert!(said.contains(&"NOOP".to_owned()) && !said.contains(&"IDLE".to_owned()));
}

#[tokio::test]
async fn where_idle_is_refused_polling_takes_its_place() {
    let stage = Stage::start(|mut connection: Connection| async move {
        loop {
            let line = connection.peer.line().await;
            let Some((tag, command)) = line.split_once(' ') else {
                return;
            };
            if command == "IDLE" {
                connection.peer.send(format!("{tag} BAD not now\r\n")).await;
            } else {
                connection.answer(tag, command).await;
            }
        }
    })
    .await;
    let mut watch = stage.watch().poll_every(Duration::from_secs(300));
    caught_up(&mut watch, at(7)).await;
    stage.until_said("IDLE", 1).await;
    // The refusal comes, and one more look at the folder.
    stage.until_said("UID SEARCH", 2).await;
    stage.until_answered().await;
    stage.arrives(8);
    // Twice: whether the sleep has begun before the first can't be seen from here.
    let mut event = None;
    let mut next = Box::pin(watch.next());
    while event.is_none() {
        tokio::select! {
            biased;
            told = &mut next => event = Some(told.unwrap()),
            () = async {
                stage.until_answered().await;
                pass(Duration::from_secs(5)).await;
            } => {}
        }
    }
    drop(next);
    assert_eq!(uid_of(event.unwrap()), 8);
    assert_eq!(stage.said().iter().filter(|said| *said == "IDLE").count(), 1);
    assert_eq!(stage.connections(), 1);
}

#[tokio::test]
async fn where_idle_breaks_the_connection_polling_takes_its_place() {
    let stage = Stage::start(|mut connection: Connection| async move {
        // Whoever idles here is cut.
        connection.until_idle().await;
    })
    .await;
    let mut watch = stage.watch();
    caught_up(&mut watch, at(7)).await;
    let mut interruptions = 0;
    loop {
        // The fourth session does not idle: it sleeps.
        if interruptions == 3 {
            break;
        }
        if let WatchEvent::Interrupted { pause, .. } = watch.next().await.unwrap() {
            interruptions += 1;
            pass(pause).await;
        }
    }
    assert!(matches!(watch.next().await.unwrap(), WatchEvent::Healed { .. }));
    stage.until_said("UID SEARCH", 4).await;
    stage.arrives(8);
    let mut next = Box::pin(watch.next());
    let event = loop {
        tokio::select! {
            biased;
            told = &mut next => break told.unwrap(),
            () = pass(Duration::from_secs(5)) => {}
        }
    };
    assert_eq!(uid_of(event), 8);
    assert_eq!(stage.said().iter().filter(|said| *said == "IDLE").count(), 3);
}
