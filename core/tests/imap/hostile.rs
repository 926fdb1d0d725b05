//! What a broken or hostile server can do, and what no argument may do.

use std::time::Duration;

use exomail::imap::{Flag, Query, Section, Store};
use exomail::message::RawMessage;
use exomail::{Deadline, ErrorKind, Retry};

use super::support::Scripted;
use super::{AFTER, connect, dialogue, exchange, heard, said, set, uid};

#[tokio::test]
async fn unknown_responses_do_not_end_the_session() {
    let server = dialogue(
        AFTER,
        &[
            (
                "A6 NOOP",
                "* ESEARCH (TAG \"A6\") UID COUNT 5 ALL 4:18,21\r\n* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n\
                 * THREAD (2)(3 6 (4 23)(44 7 96))\r\n* STATUS x (MESSAGES 1 SIZE 8589934592)\r\n\
                 * 1 FETCH (BINARY.SIZE[1] 77)\r\n* VANISHED (EARLIER) 41,43:116\r\n* LIST\r\n* FLAGS\r\n* 5 RECENT\r\n*\r\n\
                 * QUOTA \"\" (STORAGE 10 512)\r\n* OK [Error=\"x\" a] y\r\n* OK [ALERT] z\r\n* NO [X\r\n+ out of turn\r\n\
                 )(\r\n\r\nA6 OK NOOP completed.\r\n",
            ),
            ("A7 UID SEARCH ALL", "* 3 EXISTS\r\n* SEARCH 9 3\r\n* 2 EXPUNGE\r\n* SEARCH 5 3\r\nA7 OK SEARCH completed.\r\n"),
        ],
    )
    .await;
    let mut session = connect(&server).await;
    session.noop().await.unwrap();
    let found = session.search(&Query::all()).await.unwrap();
    assert_eq!(found, [uid(3), uid(5), uid(9)], "ascending, each once");
    assert_eq!(session.selected().unwrap().exists, 2);
}

#[tokio::test]
async fn exchanges_stray_line_is_the_reason_only_if_nothing_follows() {
    // The command goes on: nothing has happened.
    let server = dialogue(
        AFTER,
        &[
            ("A6 NOOP", "Server Unavailable. 15\r\nA6 OK\r\n"),
            ("A7 NOOP", "A7 OK\r\n"),
        ],
    )
    .await;
    let mut session = connect(&server).await;
    session.noop().await.unwrap();
    session.noop().await.unwrap();
    // The server hangs up, or falls silent.
    for (words, kind) in [
        ("Server Unavailable. 15\r\n", ErrorKind::Unavailable),
        ("* BAD Command Error. 12\r\n", ErrorKind::Unavailable),
        (
            "* BAD User is authenticated but not connected.\r\n",
            ErrorKind::MailboxUnavailable,
        ),
    ] {
        let server = exchange(AFTER, move |mut peer| async move {
            peer.expect("A6 NOOP").await;
            peer.send(words).await;
        })
        .await;
        let mut session = connect(&server).await;
        let error = session.noop().await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(words.contains(&error.server().unwrap().text));
        assert_eq!(session.noop().await.unwrap_err().kind(), ErrorKind::State);
    }
}

/// Time runs as soon as the server's last line has come in.
async fn silence_behind(server: &Scripted, text: &str) {
    heard(server, text).await;
    tokio::time::pause();
}

#[tokio::test]
async fn a_stray_line_and_silence_is_unavailable() {
    let server = dialogue(AFTER, &[("A6 NOOP", "Server Unavailable. 15\r\n")]).await;
    let mut session = connect(&server).await;
    let (result, ()) = tokio::join!(session.noop(), silence_behind(&server, "Server Unavailable"));
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn bye_is_typed_and_ends_the_session() {
    for (bye, kind) in [
        ("* BYE Connection closed. 14", ErrorKind::ConnectionLost),
        (
            "* BYE Session invalidated - AccessTokenExpired",
            ErrorKind::TokenExpired,
        ),
        ("* BYE [UNAVAILABLE] moving", ErrorKind::Unavailable),
        ("* BYE", ErrorKind::ConnectionLost),
    ] {
        let server = exchange(AFTER, move |mut peer| async move {
            // Unasked, between two commands; then the socket is closed.
            peer.send(format!("{bye}\r\n")).await;
        })
        .await;
        let mut session = connect(&server).await;
        let error = session.noop().await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(bye.ends_with(&error.server().unwrap().text));
        if kind == ErrorKind::TokenExpired {
            assert_eq!(error.retry(), Retry::FreshToken);
        }
        assert!(session.noop().await.is_err());
    }
}

#[tokio::test]
async fn throttling_is_typed_and_leaves_the_session() {
    let server = dialogue(
        AFTER,
        &[
            (
                "A6 NOOP",
                "A6 BAD Request is throttled. Suggested Backoff Time: 92415 milliseconds\r\n",
            ),
            (
                "A7 NOOP",
                "A7 BAD Request is throttled. Suggested Backoff Time: 9241500 milliseconds\r\n",
            ),
            ("A8 NOOP", "A8 NO Server Unavailable. 15\r\n"),
            ("A9 NOOP", "A9 OK\r\n"),
        ],
    )
    .await;
    let mut session = connect(&server).await;
    for wait in [Duration::from_millis(92_415), Duration::from_secs(300)] {
        let error = session.noop().await.unwrap_err();
        assert_eq!(
            (error.kind(), error.retry()),
            (ErrorKind::Throttled, Retry::After(wait))
        );
    }
    assert_eq!(session.noop().await.unwrap_err().kind(), ErrorKind::Unavailable);
    session.noop().await.unwrap();
}

#[tokio::test]
async fn a_huge_literal_that_is_only_announced_costs_nothing() {
    for announced in [
        "* 1 FETCH (UID 5 ENVELOPE ({500000000}\r\n",
        "* LIST () \"/\" {500000000}\r\n",
        // A body that nobody asked for.
        "* 1 FETCH (UID 5 BODY[] {500000000}\r\n",
    ] {
        let server = exchange(AFTER, move |mut peer| async move {
            peer.line().await;
            peer.send(announced).await;
            peer.silence().await;
        })
        .await;
        let mut session = connect(&server).await;
        let error = session.summaries(&set("5")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{announced}");
        assert!(session.is_spent());
    }
}

#[tokio::test]
async fn a_huge_body_that_never_comes_is_a_timeout() {
    let server = dialogue(
        AFTER,
        &[(
            "A6 UID FETCH 5 (UID BODY.PEEK[])",
            "* 1 FETCH (UID 5 BODY[] {500000000}\r\n",
        )],
    )
    .await;
    let mut session = connect(&server).await;
    let (section, mut sink) = (Section::whole(), Vec::new());
    let (result, ()) = tokio::join!(
        session.fetch(uid(5), &section, &mut sink),
        silence_behind(&server, "* 1 FETCH")
    );
    let error = result.unwrap_err();
    assert!(sink.capacity() < 1_000);
    assert_eq!(
        (error.kind(), error.operation()),
        (ErrorKind::TimedOut, "UID FETCH")
    );
}

#[tokio::test]
async fn three_thousand_levels_cost_one_structure() {
    let server = exchange(AFTER, |mut peer| async move {
        peer.line().await;
        let bomb = format!("{}{}", "(".repeat(3_000), ")".repeat(3_000));
        peer.send(format!(
            "* 1 FETCH (UID 5 BODYSTRUCTURE {bomb} ENVELOPE {bomb} RFC822.SIZE 9 FLAGS {bomb})\r\nA6 OK\r\n"
        ))
        .await;
        // Never closed, and much deeper.
        peer.line().await;
        peer.send(format!(
            "* 1 FETCH (UID 5 RFC822.SIZE 7 BODYSTRUCTURE {}\r\nA7 OK\r\n",
            "(".repeat(1_000_000)
        ))
        .await;
        peer.silence().await;
    })
    .await;
    let mut session = connect(&server).await;
    let summaries = session.summaries(&set("5")).await.unwrap();
    assert_eq!((summaries.len(), summaries[0].size), (1, 9));
    assert_eq!(summaries[0].structure, None);
    assert_eq!(session.summaries(&set("5")).await.unwrap()[0].size, 7);
    assert!(!session.is_spent());
}

#[tokio::test]
async fn a_line_without_end_is_bounded() {
    let server = exchange(AFTER, |mut peer| async move {
        peer.line().await;
        peer.send("* LIST () \"/\" ").await;
        // More than a line may have, and less than would fill any buffer in between.
        peer.send("x".repeat(1_100_000)).await;
        peer.silence().await;
    })
    .await;
    let mut session = connect(&server).await;
    assert_eq!(session.folders().await.unwrap_err().kind(), ErrorKind::Protocol);
}

#[tokio::test]
async fn an_answer_to_no_question_ends_the_session() {
    let server = dialogue(AFTER, &[("A6 NOOP", "A999 OK\r\n")]).await;
    let mut session = connect(&server).await;
    assert_eq!(session.noop().await.unwrap_err().kind(), ErrorKind::Protocol);
    assert!(session.is_spent());
}

#[tokio::test]
async fn nothing_a_caller_passes_becomes_a_command() {
    let server = dialogue(AFTER, &[("A6 NOOP", "A6 OK\r\n")]).await;
    let mut session = connect(&server).await;
    for bad in ["x\r\nA7 CREATE injected", "x\ny", "x\ry", "x\0y"] {
        let keyword = Flag::Keyword(bad.to_owned());
        let message = || RawMessage::from_bytes("a: b\r\n\r\n");
        let results = [
            session.search(&Query::all().subject(bad)).await.map(drop),
            session.search(&Query::all().header(bad, "x")).await.map(drop),
            session.search(&Query::all().flag(&keyword)).await.map(drop),
            session.select(bad, Default::default()).await.map(drop),
            session.status(bad).await.map(drop),
            session.copy(&set("1"), bad).await.map(drop),
            session.move_to(&set("1"), bad).await.map(drop),
            session.create_folder(bad).await,
            session.delete_folder(bad).await,
            session.subscribe_folder(bad).await,
            session
                .store(&set("1"), Store::Add, std::slice::from_ref(&keyword))
                .await,
            session.append(bad, message(), &[], None).await.map(drop),
            session.append("x", message(), &[keyword], None).await.map(drop),
        ];
        for (at, result) in results.into_iter().enumerate() {
            assert_eq!(
                result.unwrap_err().kind(),
                ErrorKind::InvalidArgument,
                "call {at} with {bad:?}"
            );
        }
        assert!(Section::part(bad).is_err() && bad.parse::<exomail::imap::UidSet>().is_err());
    }
    session.noop().await.unwrap();
    assert_eq!(said(&server), ["A6 NOOP"]);
    assert_eq!(session.flights(), 3);
}

#[tokio::test]
async fn a_deadline_spends_the_session() {
    let server = dialogue(AFTER, &[("A6 NOOP", "")]).await;
    let mut session = connect(&server).await;
    tokio::time::pause();
    let error = Deadline::after(Duration::from_secs(1))
        .limit("noop", session.noop())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(session.noop().await.unwrap_err().kind(), ErrorKind::State);
}

#[tokio::test]
async fn without_an_open_folder_nothing_is_asked() {
    let server = dialogue(AFTER, &[("A6 SELECT \"gone\"", "A6 NO gone doesn't exist.\r\n")]).await;
    let mut session = connect(&server).await;
    assert_eq!(
        session
            .select("gone", Default::default())
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::NotFound
    );
    assert!(session.selected().is_none());
    for error in [
        session.search(&Query::all()).await.unwrap_err(),
        session.summaries(&set("1")).await.unwrap_err(),
        session.expunge().await.map(drop).unwrap_err(),
        session.idle(Duration::from_secs(1)).await.map(drop).unwrap_err(),
    ] {
        assert_eq!((error.kind(), error.retry()), (ErrorKind::State, Retry::Never));
        assert!(error.hint().unwrap().contains("select"));
    }
    assert!(!session.is_spent());
}

#[tokio::test]
async fn two_bodies_in_one_response_end_the_session() {
    let server = dialogue(
        AFTER,
        &[(
            "A6 UID FETCH 5 (UID BODY.PEEK[])",
            "* 1 FETCH (UID 5 BODY[] {2}\r\nab BODY[] {2}\r\ncd)\r\nA6 OK\r\n",
        )],
    )
    .await;
    let mut session = connect(&server).await;
    let error = session.fetch(uid(5), &Section::whole(), &mut Vec::new()).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Protocol);
    assert!(session.is_spent());
}

#[tokio::test]
async fn a_message_that_is_sent_twice_is_written_once() {
    let server = dialogue(
        AFTER,
        &[(
            "A6 UID FETCH 5 (UID BODY.PEEK[])",
            "* 1 FETCH (UID 5 BODY[] {2}\r\nab)\r\n* 1 FETCH (UID 5 BODY[] {2}\r\nab)\r\nA6 OK\r\n",
        )],
    )
    .await;
    let (mut session, mut sink) = (connect(&server).await, Vec::new());
    assert_eq!(
        session.fetch(uid(5), &Section::whole(), &mut sink).await.unwrap(),
        2
    );
    assert_eq!(sink, b"ab");
}
