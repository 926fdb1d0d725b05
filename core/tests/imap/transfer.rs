//! COPY, MOVE, EXPUNGE.

use exomail::ErrorKind;

use super::{AFTER, connect, dialogue, said, set, uid};

#[tokio::test]
async fn copy_and_move_tell_the_new_uids() {
    let server = dialogue(
        AFTER,
        &[
            ("A6 UID COPY 304,319:320 \"Archive\"", "A6 OK [COPYUID 38505 304,319:320 3956:3958] Done\r\n"),
            (
                "A7 UID MOVE 5,9 \"Gel&APY-scht\"",
                "* OK [COPYUID 14 9,5 70,71] moved\r\n* 2 EXPUNGE\r\n* 1 EXPUNGE\r\nA7 OK MOVE completed.\r\n",
            ),
            ("A8 UID MOVE 5 \"x\"", "A8 NO [TRYCREATE] x doesn't exist.\r\n"),
            ("A9 UID COPY 5 \"x\"", "A9 OK\r\n"),
        ],
    )
    .await;
    let mut session = connect(&server).await;
    let copied = session
        .copy(&set("304,319:320"), "Archive")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (copied.uid_validity, copied.target(uid(319))),
        (38505, Some(uid(3957)))
    );
    let moved = session.move_to(&set("5,9"), "Gelöscht").await.unwrap().unwrap();
    assert_eq!(
        (moved.target(uid(9)), moved.target(uid(5))),
        (Some(uid(70)), Some(uid(71)))
    );
    assert_eq!(session.selected().unwrap().exists, 6993);
    assert_eq!(
        session.move_to(&set("5"), "x").await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert_eq!(session.copy(&set("5"), "x").await.unwrap(), None);
}

#[tokio::test]
async fn without_move_messages_are_copied_and_expunged() {
    let server = dialogue(
        "* CAPABILITY IMAP4rev1 UIDPLUS\r\n",
        &[
            (
                "A6 UID COPY 5,9 \"Archive\"",
                "A6 OK [COPYUID 14 5,9 70:71] x\r\n",
            ),
            ("A7 UID STORE 5,9 +FLAGS.SILENT (\\Deleted)", ""),
            (
                "A8 UID EXPUNGE 5,9",
                "A7 OK\r\n* 2 EXPUNGE\r\n* 1 EXPUNGE\r\nA8 OK\r\n",
            ),
            ("A9 UID COPY 5 \"Archive\"", "A9 NO [OVERQUOTA] full\r\n"),
        ],
    )
    .await;
    let mut session = connect(&server).await;
    let moved = session.move_to(&set("5,9"), "Archive").await.unwrap().unwrap();
    assert_eq!(moved.target(uid(9)), Some(uid(71)));
    assert_eq!(session.flights(), 4, "STORE and EXPUNGE travel together");
    // What was not copied is not deleted.
    assert_eq!(
        session.move_to(&set("5"), "Archive").await.unwrap_err().kind(),
        ErrorKind::QuotaExceeded
    );
    assert_eq!(said(&server).len(), 4);
}

/// A message that comes in behind the COPY has a UID of an open set, and was not copied.
#[tokio::test]
async fn without_move_what_comes_in_meanwhile_stays() {
    let server = dialogue(
        "* CAPABILITY IMAP4rev1 UIDPLUS\r\n",
        &[
            ("A6 UID SEARCH UID 22588:*", "* SEARCH 22590\r\nA6 OK\r\n"),
            ("A7 UID COPY 5:22590 \"Archive\"", "* 6996 EXISTS\r\nA7 OK\r\n"),
            ("A8 UID STORE 5:22590 +FLAGS.SILENT (\\Deleted)", ""),
            ("A9 UID EXPUNGE 5:22590", "A8 OK\r\n* 1 EXPUNGE\r\nA9 OK\r\n"),
            ("A10 NOOP", "A10 OK\r\n"),
            ("A11 UID SEARCH UID 22588:*", "* SEARCH\r\nA11 OK\r\n"),
        ],
    )
    .await;
    let mut session = connect(&server).await;
    session.move_to(&set("5:*"), "Archive").await.unwrap();
    assert_eq!(session.move_to(&set("5:*"), "Archive").await.unwrap(), None);
    assert_eq!(said(&server).len(), 6, "nothing is there: nothing is copied");
}

#[tokio::test]
async fn without_uidplus_nobody_elses_messages_are_expunged() {
    let server = dialogue(
        "* CAPABILITY IMAP4rev1\r\n",
        &[
            ("A6 UID SEARCH DELETED", "* SEARCH 5 77\r\nA6 OK\r\n"),
            ("A7 NOOP", "A7 OK\r\n"),
            ("A8 UID SEARCH DELETED", "* SEARCH 5\r\nA8 OK\r\n"),
            ("A9 UID COPY 5 \"Archive\"", "A9 OK\r\n"),
            ("A10 UID STORE 5 +FLAGS.SILENT (\\Deleted)", "A10 OK\r\n"),
            ("A11 EXPUNGE", "* 1 EXPUNGE\r\nA11 OK\r\n"),
        ],
    )
    .await;
    let mut session = connect(&server).await;
    let error = session.move_to(&set("5"), "Archive").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(session.move_to(&set("5"), "Archive").await.unwrap(), None);
    assert_eq!(
        session.uid_expunge(&set("5")).await.unwrap_err().kind(),
        ErrorKind::Unsupported
    );
}

#[tokio::test]
async fn expunging_counts() {
    let server = dialogue(
        AFTER,
        &[
            ("A6 EXPUNGE", "* 3 EXPUNGE\r\n* 3 EXPUNGE\r\nA6 OK\r\n"),
            ("A7 UID EXPUNGE 1:9", "* 1 EXPUNGE\r\nA7 OK\r\n"),
        ],
    )
    .await;
    let mut session = connect(&server).await;
    assert_eq!(session.expunge().await.unwrap(), 2);
    assert_eq!(session.uid_expunge(&set("1:9")).await.unwrap(), 1);
    assert_eq!(session.selected().unwrap().exists, 6992);
}
