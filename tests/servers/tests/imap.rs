//! IMAP against Dovecot.
#![allow(clippy::unwrap_used, reason = "a test that fails should panic")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use exomail::imap::{
    Access, BodyEvent, Flag, IdleEvent, ImapSession, Query, Role, Section, Store, Uid, UidSet,
};
use exomail::message::RawMessage;
use exomail::{ErrorKind, Layer};
use support::{SECURITIES, Stand, assert_delivered, message};

async fn append(session: &mut ImapSession, folder: &str, mail: &[u8], flags: &[Flag]) -> Uid {
    session
        .append(folder, RawMessage::from_bytes(mail.to_vec()), flags, None)
        .await
        .unwrap()
        .unwrap()
        .uid
}

async fn body(session: &mut ImapSession, uid: Uid, section: &Section) -> Vec<u8> {
    let mut body = Vec::new();
    let size = session.fetch(uid, section, &mut body).await.unwrap();
    assert_eq!(size, body.len() as u64);
    body
}

fn set(uids: &[Uid]) -> UidSet {
    uids.iter().collect()
}

#[tokio::test]
async fn mail_is_read_byte_for_byte_over_both_ways_to_tls() {
    let stand = Stand::start().await;
    let mail = message(
        &stand,
        "bytes",
        "Grüße\r\n.\r\n)\r\n* 1 EXISTS\r\nend without line end",
    );
    stand.send(&[&stand.ann], mail.clone()).await;
    stand.arrived(&stand.ann, 1).await;
    let login = stand.login(&stand.ann);
    for security in SECURITIES {
        let endpoint = stand.endpoint(Layer::Imap, security);
        let (mut session, inbox) =
            ImapSession::connect_selected(&stand.connector, &endpoint, &login, "INBOX", Access::ReadOnly)
                .await
                .unwrap();
        assert_eq!(inbox.exists, 1);
        assert!(inbox.read_only);
        let uids = session.search(&Query::all()).await.unwrap();
        let bytes = body(&mut session, uids[0], &Section::whole()).await;
        assert_delivered(&bytes, &[mail.as_slice(), b"\r\n"].concat());
        // What POP3 reads is the same, trace headers and all.
        assert_eq!(stand.received(&stand.ann, 1).await, [bytes]);
        session.logout().await.unwrap();
    }
}

/// Dovecot tells its capabilities in the greeting, and refuses with a challenge, so nothing may go out behind the login.
#[tokio::test]
async fn signing_in_and_opening_the_inbox_takes_two_flights() {
    let stand = Stand::start().await;
    let endpoint = stand.endpoint(Layer::Imap, exomail::Security::ImplicitTls);
    let login = stand.login(&stand.joe);
    let (session, inbox) =
        ImapSession::connect_selected(&stand.connector, &endpoint, &login, "INBOX", Access::ReadWrite)
            .await
            .unwrap();
    assert_eq!(session.flights(), 2);
    assert!(!inbox.read_only);
    assert!(inbox.keywords_allowed);
    session.logout().await.unwrap();
}

#[tokio::test]
async fn folders_of_any_name_are_made_found_and_deleted() {
    let stand = Stand::start().await;
    let mut session = stand.imap(&stand.joe).await;
    let names = [
        "Entwürfe & Co",
        "日本語",
        "Ünï/çode/tief",
        "a \"b\" \\c",
        "100% [*]",
    ];
    for name in names {
        session.create_folder(name).await.unwrap();
        session.subscribe_folder(name).await.unwrap();
    }
    let folders = session.folders().await.unwrap();
    let found: BTreeSet<_> = folders.iter().map(|folder| folder.name.as_str()).collect();
    for name in names {
        assert!(found.contains(name), "{name}: {found:?}");
        append(&mut session, name, &message(&stand, "here", "x\r\n"), &[]).await;
        let status = session.status(name).await.unwrap();
        assert_eq!((status.messages, status.unseen), (1, 1), "{name}");
        assert_eq!(session.select(name, Access::ReadOnly).await.unwrap().exists, 1);
    }
    let role = |role| {
        let mut fitting = folders.iter().filter(|folder| folder.role == Some(role));
        let first = fitting.next().map(|folder| folder.name.as_str());
        assert!(fitting.next().is_none(), "two folders are {role:?}");
        first
    };
    assert_eq!(role(Role::Inbox), Some("INBOX"));
    assert_eq!(role(Role::Sent), Some("Sent Items"));
    assert_eq!(role(Role::Trash), Some("Deleted Items"));
    assert_eq!(role(Role::Drafts), Some("Drafts"));
    assert_eq!(role(Role::Junk), Some("Junk Email"));
    assert!(folders.iter().all(|folder| folder.delimiter == Some('/')));

    let error = session.create_folder(names[0]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected, "{error}");
    session.select("INBOX", Access::ReadOnly).await.unwrap();
    for name in names {
        session.delete_folder(name).await.unwrap();
        let error = session.select(name, Access::ReadOnly).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{name}: {error}");
    }
    // The refusals left the session usable.
    session.noop().await.unwrap();
    session.logout().await.unwrap();
}

#[tokio::test]
async fn searches_find_what_they_say() {
    let stand = Stand::start().await;
    let mut session = stand.imap(&stand.joe).await;
    let plain = append(
        &mut session,
        "INBOX",
        &message(&stand, "Rechnung", "one\r\n"),
        &[],
    )
    .await;
    let seen = append(
        &mut session,
        "INBOX",
        &message(&stand, "other", "two\r\n"),
        &[Flag::Seen],
    )
    .await;
    let large = message(&stand, "large", &"0123456789\r\n".repeat(1000));
    let large = append(&mut session, "INBOX", &large, &[Flag::Flagged]).await;
    let umlaut = append(
        &mut session,
        "INBOX",
        &message(&stand, "greeting", "Grüße aus Köln\r\n"),
        &[],
    )
    .await;
    session.select("INBOX", Access::ReadOnly).await.unwrap();
    let all = [plain, seen, large, umlaut];
    for (query, expected) in [
        (Query::all(), &all[..]),
        (Query::all().unseen(), &[plain, large, umlaut]),
        (Query::all().seen(), &[seen]),
        (Query::all().flag(&Flag::Flagged), &[large]),
        (Query::all().subject("rechnung"), &[plain]),
        (Query::all().from(stand.joe.as_str()), &all),
        (Query::all().from("nobody"), &[]),
        (Query::all().larger(5_000), &[large]),
        (Query::all().smaller(5_000), &[plain, seen, umlaut]),
        (Query::all().text("Köln"), &[umlaut]),
        (
            Query::all()
                .body("GRÜSSE")
                .or(Query::all().body("one"), Query::all().body("two")),
            &[],
        ),
        (
            Query::all().or(Query::all().body("one"), Query::all().body("two")),
            &[plain, seen],
        ),
        (
            Query::all().not(Query::all().subject("large")),
            &[plain, seen, umlaut],
        ),
        (Query::all().uid(&set(&[seen, large])), &[seen, large]),
        (Query::all().message_id("<large@contoso.example>"), &[large]),
        (Query::all().header("Subject", "greet"), &[umlaut]),
        (Query::all().sent_since("2026-11-22".parse().unwrap()), &all),
        (Query::all().sent_since("2026-11-23".parse().unwrap()), &[]),
        (Query::all().subject("a\"b\\c"), &[]),
    ] {
        assert_eq!(session.search(&query).await.unwrap(), expected, "{query}");
    }
    // What would be a second command is a text to search for, or refused; never a command.
    if let Err(error) = session
        .search(&Query::all().subject("x\r\nA7 CREATE injected"))
        .await
    {
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    }
    let folders = session.folders().await.unwrap();
    assert!(!folders.iter().any(|folder| folder.name == "injected"));
    session.logout().await.unwrap();
}

/// Dovecot lets SEARCH see new mail only once a command such as NOOP has told of it, and puts that NOOP off until the
/// SEARCH behind it is done: where there was news, it is searched once more.
#[tokio::test]
async fn a_search_finds_what_came_in_since_the_last() {
    let stand = Stand::start().await;
    let mut reader = stand.imap(&stand.joe).await;
    reader.select("INBOX", Access::ReadWrite).await.unwrap();
    let mut writer = stand.imap(&stand.joe).await;
    let mut known = reader.search(&Query::all()).await.unwrap();
    assert!(known.is_empty());
    for subject in ["first", "second", "third"] {
        let mail = message(&stand, subject, "x");
        known.push(append(&mut writer, "INBOX", &mail, &[]).await);
        let before = reader.flights();
        assert_eq!(reader.search(&Query::all()).await.unwrap(), known);
        assert_eq!(reader.flights() - before, 2);
        assert_eq!(reader.selected().unwrap().exists as usize, known.len());
        // Nothing new: one flight.
        assert_eq!(reader.search(&Query::all()).await.unwrap(), known);
        assert_eq!(reader.flights() - before, 3);
    }
    reader.logout().await.unwrap();
    writer.logout().await.unwrap();
}

#[tokio::test]
async fn summaries_and_parts_tell_of_a_message() {
    let stand = Stand::start().await;
    let mut session = stand.imap(&stand.joe).await;
    let mail = "From: =?utf-8?B?SsO2cmc=?= <joe@contoso.example>\r\n\
                To: Ann <ann@contoso.example>, bob@contoso.example\r\n\
                Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\r\nDate: Sun, 22 Nov 2026 11:00:00 +0100\r\n\
                Message-ID: <multi@contoso.example>\r\nIn-Reply-To: <before@contoso.example>\r\n\
                MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
                --b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nhello\r\n\
                --b\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\
                Content-Disposition: attachment; filename=a.pdf\r\n\r\nJVBERg==\r\n--b--\r\n";
    let uid = append(
        &mut session,
        "INBOX",
        mail.as_bytes(),
        &[Flag::Seen, Flag::Answered],
    )
    .await;
    session.select("INBOX", Access::ReadOnly).await.unwrap();
    let gone = Uid::new(uid.get() + 1000).unwrap();
    let summaries = session.summaries(&set(&[uid, gone])).await.unwrap();
    assert_eq!(summaries.len(), 1);
    let summary = &summaries[0];
    assert_eq!(summary.uid, uid);
    assert_eq!(summary.size, mail.len() as u64);
    assert!(summary.flags.contains(&Flag::Seen) && summary.flags.contains(&Flag::Answered));
    assert!(summary.internal_date.is_some());
    let envelope = &summary.envelope;
    assert_eq!(envelope.subject, "Grüße");
    assert_eq!(envelope.from[0].name.as_deref(), Some("Jörg"));
    assert_eq!(envelope.from[0].email, "joe@contoso.example");
    assert_eq!(envelope.to.len(), 2);
    assert_eq!(envelope.date.unwrap().to_string(), "2026-11-22T10:00:00Z");
    let structure = summary.structure.as_ref().unwrap();
    assert_eq!(structure.content_type.to_ascii_lowercase(), "multipart/mixed");
    let attachments = structure.attachments();
    assert_eq!(attachments.len(), 1);
    assert_eq!(attachments[0].file_name.as_deref(), Some("a.pdf"));

    let part = Section::part(&attachments[0].path).unwrap();
    assert_eq!(body(&mut session, uid, &part).await, b"JVBERg==");
    let header = body(&mut session, uid, &Section::header()).await;
    let text = body(&mut session, uid, &Section::text()).await;
    assert_eq!([header, text].concat(), mail.as_bytes());
    let fields = Section::header_fields(&["Subject", "X-None"]).unwrap();
    assert_eq!(
        body(&mut session, uid, &fields).await,
        b"Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\r\n\r\n"
    );
    assert_eq!(
        body(&mut session, uid, &Section::whole().partial(6, 10)).await,
        mail.as_bytes()[6..16]
    );
    let error = session
        .fetch(gone, &Section::whole(), &mut Vec::new())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    session.logout().await.unwrap();
}

#[tokio::test]
async fn a_hundred_bodies_come_in_one_flight() {
    let stand = Stand::start().await;
    let mut session = stand.imap(&stand.joe).await;
    let mut mails = BTreeMap::new();
    for number in 0..100 {
        let mail = message(&stand, &format!("m{number}"), &"line\r\n".repeat(number));
        let uid = append(&mut session, "INBOX", &mail, &[]).await;
        mails.insert(uid, mail);
    }
    session.select("INBOX", Access::ReadOnly).await.unwrap();
    let wanted: UidSet = mails.keys().collect();
    let before = session.flights();
    let mut bodies: BTreeMap<Uid, Vec<u8>> = BTreeMap::new();
    let mut current = None;
    let mut events = session.fetch_many(&wanted, &Section::whole());
    while let Some(event) = events.next().await.unwrap() {
        match event {
            BodyEvent::Begin { uid, size } => {
                assert_eq!(size, mails[&uid].len() as u64);
                current = Some(uid);
                bodies.insert(uid, Vec::new());
            }
            BodyEvent::Chunk(chunk) => bodies
                .get_mut(&current.unwrap())
                .unwrap()
                .extend_from_slice(&chunk),
            BodyEvent::End { uid } => assert_eq!(Some(uid), current),
        }
    }
    drop(events);
    assert_eq!(session.flights() - before, 1);
    assert!(bodies == mails);
    session.logout().await.unwrap();
}

#[tokio::test]
async fn flags_copies_moves_and_deletions_are_kept() {
    let stand = Stand::start().await;
    let mut session = stand.imap(&stand.joe).await;
    session.create_folder("Ablage/2026").await.unwrap();
    let mut uids = Vec::new();
    for number in 0..6 {
        uids.push(
            append(
                &mut session,
                "INBOX",
                &message(&stand, &format!("m{number}"), "x\r\n"),
                &[],
            )
            .await,
        );
    }
    let inbox = session.select("INBOX", Access::ReadWrite).await.unwrap();
    assert_eq!(inbox.exists, 6);

    let keyword: Flag = "$Exomail".parse().unwrap();
    session
        .store(&set(&uids), Store::Add, &[Flag::Seen, keyword.clone()])
        .await
        .unwrap();
    session
        .store(&set(&uids[..1]), Store::Remove, &[Flag::Seen])
        .await
        .unwrap();
    session
        .store(&set(&uids[1..2]), Store::Replace, &[Flag::Flagged])
        .await
        .unwrap();
    assert_eq!(session.search(&Query::all().unseen()).await.unwrap(), uids[..2]);
    assert_eq!(
        session
            .search(&Query::all().without_flag(&keyword))
            .await
            .unwrap(),
        uids[1..2]
    );

    let copied = session
        .copy(&set(&uids[..2]), "Ablage/2026")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(copied.uids.len(), 2);
    let moved = session
        .move_to(&set(&uids[2..4]), "Ablage/2026")
        .await
        .unwrap()
        .unwrap();
    let target = moved.target(uids[2]).unwrap();
    assert_eq!(session.status("Ablage/2026").await.unwrap().messages, 4);
    let mut left: Vec<_> = uids[..2].iter().chain(&uids[4..]).copied().collect();
    assert_eq!(session.search(&Query::all()).await.unwrap(), left);
    let error = session.move_to(&set(&uids[..1]), "Nirgends").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");

    // UID EXPUNGE takes only those named, EXPUNGE all that are marked.
    session
        .store(&set(&left[..3]), Store::Add, &[Flag::Deleted])
        .await
        .unwrap();
    assert_eq!(session.uid_expunge(&set(&left[..1])).await.unwrap(), 1);
    assert_eq!(session.search(&Query::all()).await.unwrap(), left[1..]);
    assert_eq!(session.expunge().await.unwrap(), 2);
    left.drain(..3);
    assert_eq!(session.search(&Query::all()).await.unwrap(), left);
    assert_eq!(session.selected().unwrap().exists, 1);

    session.select("Ablage/2026", Access::ReadOnly).await.unwrap();
    let bytes = body(&mut session, target, &Section::whole()).await;
    assert_eq!(bytes, message(&stand, "m2", "x\r\n"));
    session.logout().await.unwrap();
}

#[tokio::test]
async fn an_appended_message_keeps_bytes_flags_and_date() {
    let stand = Stand::start().await;
    let mut session = stand.imap(&stand.joe).await;
    let file = stand.servers.folder().join("large.eml");
    let mail = message(&stand, "large", &".0123456789\r\n".repeat(200_000));
    std::fs::write(&file, &mail).unwrap();
    let date: jiff::Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
    let uid = session
        .append(
            "Sent Items",
            RawMessage::from_file(&file),
            &[Flag::Seen, Flag::Draft],
            Some(date),
        )
        .await
        .unwrap()
        .unwrap()
        .uid;
    session.select("Sent Items", Access::ReadOnly).await.unwrap();
    assert!(body(&mut session, uid, &Section::whole()).await == mail);
    let summary = session.summaries(&set(&[uid])).await.unwrap().remove(0);
    assert_eq!(summary.internal_date, Some(date));
    assert!(summary.flags.contains(&Flag::Draft));
    let error = session
        .append("Nirgends", RawMessage::from_bytes(mail), &[], None)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    session.logout().await.unwrap();
}

#[tokio::test]
async fn idle_tells_of_new_mail_flags_and_removals() {
    let stand = Stand::start().await;
    let mut watcher = stand.imap(&stand.ann).await;
    watcher.select("INBOX", Access::ReadOnly).await.unwrap();
    let long = Duration::from_secs(60);
    let to = [stand.ann.as_str()];
    let (outcome, _) = tokio::join!(
        watcher.idle(long),
        stand.send(&to, message(&stand, "news", "x\r\n"))
    );
    assert_eq!(outcome.unwrap().exists(), Some(1));

    let mut other = stand.imap(&stand.ann).await;
    other.select("INBOX", Access::ReadWrite).await.unwrap();
    let uids = other.search(&Query::all()).await.unwrap();
    let uids = set(&uids);
    let (outcome, stored) = tokio::join!(
        watcher.idle(long),
        other.store(&uids, Store::Add, &[Flag::Deleted])
    );
    stored.unwrap();
    let events = outcome.unwrap().events;
    assert!(
        events.iter().any(
            |event| matches!(event, IdleEvent::Flags { number: 1, flags, .. } if flags.contains(&Flag::Deleted))
        ),
        "{events:?}"
    );
    let (outcome, removed) = tokio::join!(watcher.idle(long), other.expunge());
    assert_eq!(removed.unwrap(), 1);
    let events = outcome.unwrap().events;
    assert!(events.contains(&IdleEvent::Expunged(1)), "{events:?}");

    // Nothing happens, and the session is as good as before.
    assert!(watcher.idle(Duration::from_millis(1)).await.unwrap().timed_out());
    assert_eq!(watcher.selected().unwrap().exists, 0);
    let id = watcher.id().await.unwrap();
    assert!(
        id.iter()
            .any(|(name, value)| name == "name" && value == "Dovecot"),
        "{id:?}"
    );
    watcher.logout().await.unwrap();
    other.logout().await.unwrap();
}

/// The caller leaves in the middle of many bodies; the session says so instead of answering the next call with the
/// rest of them.
#[tokio::test]
async fn a_caller_that_leaves_spends_the_session() {
    let stand = Stand::start().await;
    let mut session = stand.imap(&stand.joe).await;
    let mail = message(&stand, "large", &"0123456789\r\n".repeat(20_000));
    for _ in 0..20 {
        append(&mut session, "INBOX", &mail, &[]).await;
    }
    session.select("INBOX", Access::ReadOnly).await.unwrap();
    let mut bodies = session.fetch_many(&UidSet::all(), &Section::whole());
    bodies.next().await.unwrap().unwrap();
    drop(bodies);
    let error = session.noop().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::State, "{error}");
    assert!(session.is_spent());
    let mut session = stand.imap(&stand.joe).await;
    assert_eq!(
        session.select("INBOX", Access::ReadOnly).await.unwrap().exists,
        20
    );
    session.logout().await.unwrap();
}
