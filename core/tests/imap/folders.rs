//! LIST, STATUS, SELECT, SEARCH, STORE, ID, and folders made and deleted.

use exomail::ErrorKind;
use exomail::imap::{Access, Flag, Query, Role, Store};

use super::{AFTER, connect, dialogue, exchange, said, set, uid};

#[tokio::test]
async fn folders_are_listed_with_names_and_roles() {
    let server = dialogue(
        AFTER,
        &[(
            "A6 LIST \"\" \"*\"",
            "* LIST (\\Marked \\HasNoChildren) \"/\" INBOX\r\n\
             * LIST (\\HasNoChildren \\Trash) \"/\" \"Deleted Items\"\r\n\
             * LIST (\\HasChildren) \"/\" \"Entw&APw-rfe\"\r\n\
             * LIST (\\HasNoChildren) \"/\" {8}\r\na\"b\\c/&-\r\n\
             * LIST (\\Noselect) NIL \"\"\r\n\
             * LIST (\\HasNoChildren) \"/\" Sent\r\n\
             A6 OK LIST completed.\r\n",
        )],
    )
    .await;
    let mut session = connect(&server).await;
    let folders = session.folders().await.unwrap();
    let seen: Vec<_> = folders
        .iter()
        .map(|folder| (folder.name.as_str(), folder.role))
        .collect();
    assert_eq!(
        seen,
        [
            ("INBOX", Some(Role::Inbox)),
            ("Deleted Items", Some(Role::Trash)),
            ("Entwürfe", Some(Role::Drafts)),
            ("a\"b\\c/&", None),
            ("", None),
            ("Sent", Some(Role::Sent)),
        ]
    );
    assert_eq!(
        (folders[2].has_children, folders[0].delimiter),
        (Some(true), Some('/'))
    );
    assert!(!folders[4].selectable);
    assert_eq!(serde_json::to_value(&folders[1]).unwrap()["role"], "trash");
}

#[tokio::test]
async fn status_is_read_whatever_else_is_in_it() {
    let server = dialogue(
        AFTER,
        &[
            (
                "A6 STATUS \"Sent Items\" (MESSAGES UNSEEN UIDNEXT UIDVALIDITY)",
                "* STATUS \"Other\" (MESSAGES 1)\r\n\
                 * STATUS \"Sent Items\" (MESSAGES 5 SIZE 8589934592 UNSEEN 2 UIDNEXT 9 UIDVALIDITY 14)\r\nA6 OK STATUS completed.\r\n",
            ),
            ("A7 STATUS \"x\" (MESSAGES UNSEEN UIDNEXT UIDVALIDITY)", "A7 NO x doesn't exist.\r\n"),
        ],
    )
    .await;
    let mut session = connect(&server).await;
    let status = session.status("Sent Items").await.unwrap();
    assert_eq!(
        (
            status.messages,
            status.unseen,
            status.uid_next,
            status.uid_validity
        ),
        (5, 2, 9, 14)
    );
    assert_eq!(session.status("x").await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn selecting_another_folder_forgets_the_first() {
    let server = dialogue(
        AFTER,
        &[
            (
                "A6 EXAMINE \"Sent Items\"",
                "* 3 EXISTS\r\n* FLAGS (\\Seen)\r\n* OK [PERMANENTFLAGS (\\Seen \\*)] x\r\n* OK [UIDVALIDITY 15] x\r\nA6 OK [READ-ONLY] done\r\n",
            ),
            ("A7 NOOP", "* 5 EXISTS\r\n* 1 EXPUNGE\r\n* FLAGS (\\Seen Work)\r\nA7 OK\r\n"),
        ],
    )
    .await;
    let mut session = connect(&server).await;
    let selected = session.select("Sent Items", Access::ReadOnly).await.unwrap();
    assert_eq!(
        (selected.exists, selected.uid_validity, selected.uid_next),
        (3, 15, None)
    );
    assert!(selected.keywords_allowed && selected.read_only);
    session.noop().await.unwrap();
    let selected = session.selected().unwrap();
    assert_eq!(
        (
            selected.exists,
            selected.flags.len(),
            selected.permanent_flags.len()
        ),
        (4, 2, 1)
    );
}

#[tokio::test]
async fn text_beyond_ascii_is_searched_with_a_charset_and_a_literal() {
    let server = exchange(AFTER, |mut peer| async move {
        assert_eq!(peer.line().await, "A6 UID SEARCH CHARSET UTF-8 SUBJECT {7+}");
        assert_eq!(peer.bytes(7).await, "Grüße".as_bytes());
        assert_eq!(peer.line().await, " FROM \"joe\"");
        peer.send("* SEARCH 4 2\r\nA6 OK SEARCH completed.\r\n").await;
        for (tag, answer) in [
            (
                7,
                "NO [BADCHARSET (US-ASCII)] The specified charset is not supported.",
            ),
            (9, "BAD Command Argument Error. 11"),
        ] {
            // Time has passed since SELECT: SEARCH alone need not show what came in (RFC 9051 §5.2).
            assert_eq!(peer.line().await, format!("A{tag} NOOP"));
            let search = tag + 1;
            peer.expect(&format!("A{search} UID SEARCH CHARSET UTF-8")).await;
            peer.expect("é").await;
            peer.send(format!("A{tag} OK NOOP completed.\r\nA{search} {answer}\r\n"))
                .await;
        }
        peer.silence().await;
    })
    .await;
    let mut session = connect(&server).await;
    let found = session
        .search(&Query::all().subject("Grüße").from("joe"))
        .await
        .unwrap();
    assert_eq!(found, [uid(2), uid(4)]);
    assert_eq!(session.flights(), 3);
    for _ in 0..2 {
        let error = session.search(&Query::all().text("é")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.hint().is_some());
    }
    assert!(!session.is_spent());
}

#[tokio::test]
async fn a_search_finds_what_came_in_since_the_last() {
    let server = dialogue(
        AFTER,
        &[
            ("A6 UID SEARCH ALL", "* SEARCH 1\r\n* 6996 EXISTS\r\nA6 OK\r\n"),
            // The NOOP is done first, as it was sent.
            ("A7 NOOP", ""),
            (
                "A8 UID SEARCH ALL",
                "* 6997 EXISTS\r\nA7 OK\r\n* SEARCH 1 2 3\r\nA8 OK\r\n",
            ),
            // It is put off until the search is done.
            ("A9 NOOP", ""),
            (
                "A10 UID SEARCH ALL",
                "* SEARCH 1 2 3\r\n* 6998 EXISTS\r\nA9 OK\r\nA10 OK\r\n",
            ),
            // Mail that comes in all the time does not make a search endless.
            (
                "A11 UID SEARCH ALL",
                "* SEARCH 1 2 3 4\r\n* 6999 EXISTS\r\nA11 OK\r\n",
            ),
        ],
    )
    .await;
    let mut session = connect(&server).await;
    let mut before = session.flights();
    for (count, flights) in [(1, 1), (3, 1), (4, 2)] {
        let found = session.search(&Query::all()).await.unwrap();
        assert_eq!(found.len(), count);
        assert_eq!(session.flights() - before, flights);
        before = session.flights();
    }
}

#[tokio::test]
async fn without_literal_plus_the_server_is_asked() {
    let server = exchange("* CAPABILITY IMAP4rev1\r\n", |mut peer| async move {
        assert_eq!(peer.line().await, "A6 UID SEARCH CHARSET UTF-8 SUBJECT {2}");
        peer.send("* 7 EXISTS\r\n+ go on\r\n").await;
        assert_eq!(peer.bytes(2).await, "é".as_bytes());
        assert_eq!(peer.line().await, "");
        peer.send("* SEARCH\r\nA6 OK\r\n").await;
        // Refused before the literal: it is never sent, and the session stays in step.
        assert_eq!(peer.line().await, "A7 NOOP");
        assert_eq!(peer.line().await, "A8 UID SEARCH CHARSET UTF-8 SUBJECT {2}");
        peer.send("A7 OK\r\nA8 NO [BADCHARSET] US-ASCII only\r\n").await;
        assert_eq!(peer.line().await, "A9 NOOP");
        peer.send("A9 OK\r\n").await;
        peer.silence().await;
    })
    .await;
    let mut session = connect(&server).await;
    assert!(
        session
            .search(&Query::all().subject("é"))
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(session.selected().unwrap().exists, 7);
    assert_eq!(
        session
            .search(&Query::all().subject("é"))
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::Unsupported
    );
    session.noop().await.unwrap();
}

#[tokio::test]
async fn a_hundred_thousand_uids_are_found() {
    let server = exchange(AFTER, |mut peer| async move {
        peer.line().await;
        let uids: Vec<String> = (1..=100_000).map(|uid| (uid + 4_000_000).to_string()).collect();
        peer.send(format!("* SEARCH {}\r\nA6 OK\r\n", uids.join(" ")))
            .await;
        peer.silence().await;
    })
    .await;
    let found = connect(&server).await.search(&Query::all()).await.unwrap();
    assert_eq!((found.len(), found.last()), (100_000, Some(&uid(4_100_000))));
}

#[tokio::test]
async fn flags_are_stored_silently_and_keywords_refused() {
    let server = dialogue(
        AFTER,
        &[
            (
                "A6 UID STORE 1:3,7 +FLAGS.SILENT (\\Seen $MDNSent)",
                "* 1 FETCH (FLAGS (\\Seen))\r\nA6 OK\r\n",
            ),
            ("A7 UID STORE 1 -FLAGS.SILENT (Work)", "A7 OK\r\n"),
            (
                "A8 UID STORE 1 FLAGS.SILENT ()",
                "A8 NO Some of the requested messages no longer exist.\r\n",
            ),
            ("A9 UID STORE 1 FLAGS.SILENT (\\Seen)", "A9 NO read only\r\n"),
        ],
    )
    .await;
    let mut session = connect(&server).await;
    session
        .store(&set("7,1:3"), Store::Add, &[Flag::Seen, Flag::MdnSent])
        .await
        .unwrap();
    let work = Flag::Keyword("Work".to_owned());
    let error = session
        .store(&set("1"), Store::Add, std::slice::from_ref(&work))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    session.store(&set("1"), Store::Remove, &[work]).await.unwrap();
    session.store(&set("1"), Store::Add, &[]).await.unwrap();
    session.store(&set("1"), Store::Replace, &[]).await.unwrap();
    let error = session
        .store(&set("1"), Store::Replace, &[Flag::Seen])
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.server().unwrap().text.as_str()),
        (ErrorKind::Rejected, "read only")
    );
    assert_eq!(said(&server).len(), 4);
}

#[tokio::test]
async fn the_server_tells_what_it_is() {
    let server = exchange(AFTER, |mut peer| async move {
        peer.expect("A6 ID (\"name\" \"exomail\"").await;
        peer.send("* ID (\"name\" \"Microsoft.Exchange.Imap4.Imap4Server\" \"version\" \"15.20\" \"x\" NIL)\r\nA6 OK ID completed\r\n")
            .await;
        peer.silence().await;
    })
    .await;
    let id = connect(&server).await.id().await.unwrap();
    assert_eq!(id[0].1, "Microsoft.Exchange.Imap4.Imap4Server");
    assert_eq!(id.len(), 2);
}

#[tokio::test]
async fn folders_are_made_and_deleted() {
    let server = dialogue(
        AFTER,
        &[
            ("A6 CREATE \"Projekte/&APw-ber\"", "A6 OK\r\n"),
            ("A7 SUBSCRIBE \"Projekte/&APw-ber\"", "A7 OK\r\n"),
            ("A8 CREATE \"x\"", "A8 NO [ALREADYEXISTS] x is there\r\n"),
            ("A9 DELETE \"y\"", "A9 NO y doesn't exist.\r\n"),
        ],
    )
    .await;
    let mut session = connect(&server).await;
    session.create_folder("Projekte/über").await.unwrap();
    session.subscribe_folder("Projekte/über").await.unwrap();
    assert_eq!(
        session.create_folder("x").await.unwrap_err().kind(),
        ErrorKind::Rejected
    );
    assert_eq!(
        session.delete_folder("y").await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
}
