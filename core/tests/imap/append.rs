//! APPEND.

use exomail::ErrorKind;
use exomail::imap::Flag;
use exomail::message::RawMessage;

use super::{AFTER, connect, dialogue, exchange, uid};

#[tokio::test]
async fn with_literal_plus_a_message_is_one_flight() {
    let server = exchange(AFTER, |mut peer| async move {
        assert_eq!(
            peer.line().await,
            "A6 APPEND \"Entw&APw-rfe\" (\\Seen \\Draft) \" 1-Feb-2026 03:04:05 +0000\" {17+}"
        );
        assert_eq!(peer.bytes(17).await, b"Subject: x\r\n\r\na\r\n");
        assert_eq!(peer.line().await, "");
        peer.send("* 6996 EXISTS\r\nA6 OK [APPENDUID 14 22588] APPEND completed.\r\n")
            .await;
        assert_eq!(peer.line().await, "A7 APPEND \"INBOX\" {17+}");
        peer.bytes(19).await;
        peer.send("A7 NO [TRYCREATE] no such folder\r\n").await;
        assert_eq!(peer.line().await, "A8 NOOP");
        peer.send("A8 OK\r\n").await;
        peer.silence().await;
    })
    .await;
    let mut session = connect(&server).await;
    let date = "2026-02-01T03:04:05Z".parse().unwrap();
    let message = || RawMessage::from_bytes("Subject: x\n\na");
    let stored = session
        .append("Entwürfe", message(), &[Flag::Seen, Flag::Draft], Some(date))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((stored.uid_validity, stored.uid), (14, uid(22588)));
    assert_eq!(session.flights(), 3);
    assert_eq!(session.selected().unwrap().exists, 6996);
    assert_eq!(
        session
            .append("inbox", message(), &[], None)
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::NotFound
    );
    session.noop().await.unwrap();
}

#[tokio::test]
async fn untagged_lines_before_the_consent_are_borne() {
    let server = exchange("* CAPABILITY IMAP4rev1\r\n", |mut peer| async move {
        assert_eq!(peer.line().await, "A6 APPEND \"x\" {3}");
        peer.send("* 7 EXISTS\r\n* OK hold on\r\n+ Ready for additional command text.\r\n")
            .await;
        assert_eq!(peer.bytes(5).await, b"a\r\n\r\n");
        peer.send("A6 OK APPEND completed.\r\n").await;
        // Refused before the message: it is not sent.
        assert_eq!(peer.line().await, "A7 APPEND \"x\" {3}");
        peer.send("A7 NO [TOOBIG] message size exceeds fixed maximum message size\r\n")
            .await;
        assert_eq!(peer.line().await, "A8 NOOP");
        peer.send("A8 OK\r\n").await;
        peer.silence().await;
    })
    .await;
    let mut session = connect(&server).await;
    assert_eq!(
        session
            .append("x", RawMessage::from_bytes("a\n"), &[], None)
            .await
            .unwrap(),
        None
    );
    let error = session
        .append("x", RawMessage::from_bytes("a\n"), &[], None)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    session.noop().await.unwrap();
}

#[tokio::test]
async fn large_messages_come_from_files_and_readers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.eml");
    let text = "0123456789\n".repeat(300_000);
    std::fs::write(&path, &text).unwrap();
    let sent = text.replace('\n', "\r\n").into_bytes();
    let expected = sent.clone();
    let server = exchange(AFTER, move |mut peer| {
        let expected = expected.clone();
        async move {
            for tag in [6, 7] {
                assert_eq!(
                    peer.line().await,
                    format!("A{tag} APPEND \"INBOX\" {{{}+}}", expected.len())
                );
                assert!(peer.bytes(expected.len()).await == expected);
                assert_eq!(peer.line().await, "");
                peer.send(format!("A{tag} OK\r\n")).await;
            }
            peer.silence().await;
        }
    })
    .await;
    let mut session = connect(&server).await;
    session
        .append("INBOX", RawMessage::from_file(&path), &[], None)
        .await
        .unwrap();
    let reader = std::io::Cursor::new(text.into_bytes());
    session
        .append("INBOX", RawMessage::from_reader(reader, None), &[], None)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_message_that_can_t_be_read_says_nothing() {
    let server = dialogue(AFTER, &[("A6 NOOP", "A6 OK\r\n")]).await;
    let mut session = connect(&server).await;
    let error = session
        .append("INBOX", RawMessage::from_file("/nonexistent/m.eml"), &[], None)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LocalIo);
    let error = session
        .append("INBOX", RawMessage::from_bytes(""), &[], None)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidMessage);
    session.noop().await.unwrap();
}

#[tokio::test]
async fn a_refusal_in_the_middle_of_the_message_is_heard() {
    let server = exchange(AFTER, |mut peer| async move {
        peer.line().await;
        peer.send("* BYE Session invalidated - AccessTokenExpired\r\n")
            .await;
    })
    .await;
    let mut session = connect(&server).await;
    let message = RawMessage::from_bytes("0123456789\r\n".repeat(1_000_000));
    let error = session.append("INBOX", message, &[], None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TokenExpired, "{error}");
}

#[tokio::test]
async fn a_cut_behind_the_message_leaves_the_outcome_unknown() {
    let server = exchange(AFTER, |mut peer| async move {
        assert_eq!(peer.line().await, "A6 APPEND \"INBOX\" {5+}");
        peer.bytes(7).await;
    })
    .await;
    let mut session = connect(&server).await;
    let message = RawMessage::from_bytes("abc\r\n");
    let error = session.append("INBOX", message, &[], None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error}");
    assert!(session.is_spent());
}
