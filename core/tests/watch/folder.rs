//! What is told of the folder: every message once, in order, and that it was rebuilt.

use exomail::{AfterReset, Checkpoint, WatchEvent};

use crate::stage::{Connection, Stage, at, caught_up, pass, summary, uid_of};

#[tokio::test]
async fn the_last_message_is_not_told_again() {
    // The server finds 7 for `8:*`.
    let stage = Stage::start(Connection::serve).await;
    let mut watch = stage.mailbox.watch("INBOX", Some(at(7)));
    caught_up(&mut watch, at(7)).await;
    let mut watch = stage.mailbox.watch("inbox", Some(at(u32::MAX)));
    let event = watch.next().await.unwrap();
    assert!(matches!(event, WatchEvent::CaughtUp { .. }), "{event:?}");
    assert!(!stage.said().iter().any(|said| said.starts_with("UID FETCH")));
}

#[tokio::test]
async fn a_message_that_comes_amid_an_answer_is_told_before_the_wait() {
    let stage = Stage::start(|mut connection: Connection| async move {
        let line = connection.peer.expect("A6 UID SEARCH UID 7:*").await;
        let tag = line.split_once(' ').unwrap().0;
        // Said behind the result, which is without it.
        connection
            .peer
            .send(format!("* SEARCH 7\r\n* 3 EXISTS\r\n{tag} OK done\r\n"))
            .await;
        connection.serve().await;
    })
    .await;
    let mut watch = stage.mailbox.watch("INBOX", Some(at(6)));
    assert_eq!(uid_of(watch.next().await.unwrap()), 7);
    stage.arrives(8);
    assert_eq!(uid_of(watch.next().await.unwrap()), 8);
    caught_up(&mut watch, at(8)).await;
}

#[tokio::test]
async fn a_rebuilt_folder_is_an_event() {
    for (how, uids) in [(AfterReset::Beginning, vec![1, 2]), (AfterReset::Now, vec![])] {
        let stage = Stage::start(|mut connection: Connection| async move {
            if connection.number == 1 {
                connection.until_idle().await;
            } else {
                connection.serve().await;
            }
        })
        .await;
        let mut watch = stage.watch().after_reset(how);
        caught_up(&mut watch, at(7)).await;
        {
            let mut inbox = stage.inbox.lock().unwrap();
            inbox.validity = 15;
            inbox.uids = vec![1, 2];
        }
        let now = |last| Checkpoint::new("INBOX", 15, last);
        let WatchEvent::Interrupted { pause, .. } = watch.next().await.unwrap() else {
            panic!("not interrupted");
        };
        pass(pause).await;
        match watch.next().await.unwrap() {
            WatchEvent::Reset { before, checkpoint } => {
                let from = if uids.is_empty() { 2 } else { 0 };
                assert_eq!((before, checkpoint), (at(7), now(from)));
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(watch.next().await.unwrap(), WatchEvent::Healed { .. }));
        for uid in uids {
            assert_eq!(uid_of(watch.next().await.unwrap()), uid);
        }
        caught_up(&mut watch, now(2)).await;
        stage.arrives(3);
        assert_eq!(uid_of(watch.next().await.unwrap()), 3);
    }
}

#[tokio::test]
async fn a_message_that_the_server_cannot_show_is_told_all_the_same() {
    for refuses in [false, true] {
        let stage = Stage::start(move |mut connection: Connection| async move {
            loop {
                let line = connection.peer.line().await;
                let Some((tag, command)) = line.split_once(' ') else {
                    return;
                };
                // 6 is broken, 7 is well.
                match command {
                    "IDLE" => return connection.peer.silence().await,
                    fetch if fetch.starts_with("UID FETCH 7 ") => connection.answer(tag, command).await,
                    fetch if fetch.starts_with("UID FETCH") && refuses => {
                        connection.peer.send(format!("{tag} NO it is broken\r\n")).await;
                    }
                    fetch if fetch.starts_with("UID FETCH") => {
                        let text = format!("{}{tag} OK done\r\n", summary(7));
                        connection.peer.send(text).await;
                    }
                    _ => connection.answer(tag, command).await,
                }
            }
        })
        .await;
        let mut watch = stage.mailbox.watch("INBOX", Some(Checkpoint::beginning("INBOX")));
        assert_eq!(uid_of(watch.next().await.unwrap()), 6);
        assert_eq!(uid_of(watch.next().await.unwrap()), 7);
        caught_up(&mut watch, at(7)).await;
    }
}
