//! Summaries and bodies.

use exomail::ErrorKind;
use exomail::imap::{BodyEvent, Flag, Section, UidSet};

use super::{AFTER, connect, dialogue, exchange, said, set, uid};

const SUMMARY: &str = "(UID FLAGS RFC822.SIZE INTERNALDATE ENVELOPE BODYSTRUCTURE)";

#[tokio::test]
async fn summaries_are_readable_whatever_exchange_makes_of_the_grammar() {
    let server = exchange(AFTER, |mut peer| async move {
        assert_eq!(peer.line().await, format!("A6 UID FETCH 5:9 {SUMMARY}"));
        peer.send(
            "* 2 FETCH (UID 9 FLAGS () RFC822.SIZE 10 INTERNALDATE NIL ENVELOPE NIL BODYSTRUCTURE NIL)\r\n\
             * 1 FETCH (UID 5 FLAGS (\\Seen $MDNSent) RFC822.SIZE 3412 INTERNALDATE \"01-Feb-2026 10:00:00 +0100\" \
             ENVELOPE (\"Sun, 1 Feb 2026 10:00:00 +0100\" \"=?utf-8?B?R3LDvMOfZQ==?=\" ((\"Joe\" NIL \"joe\" \"example.com\")) \
             NIL NIL ((NIL NIL {3}\r\nann\"example.com\")) NIL NIL NIL \"<a@example.com>\") \
             BODYSTRUCTURE ((\"text\" \"plain\" (\"charset\" \"utf-8\") NIL NIL \"7bit\" 5 1 NIL NIL NIL NIL)\
             (\"application\" \"pdf\" (\"name\" \"r.pdf\") NIL NIL \"base64\" 100 NIL (\"attachment\" (\"filename\" \"r.pdf\")) NIL NIL) \
             \"mixed\" (\"boundary\" \"x\") NIL NIL))\r\n\
             * 3 FETCH (FLAGS (\\Deleted))\r\n\
             * 4 FETCH (UID 7 FLAGS (\\Flagged))\r\n\
             * 5 FETCH (UID 77 FLAGS () RFC822.SIZE 1)\r\n\
             * 6 FETCH (UID 8 RFC822.SIZE 20 BODYSTRUCTURE (NIL (\"odd\") NIL))\r\n\
             * 6 FETCH (UID 8 FLAGS (\\Draft))\r\n\
             A6 NO FETCH: Some of the requested messages no longer exist.\r\n",
        )
        .await;
        assert_eq!(peer.line().await, "A7 NOOP");
        peer.send("A7 OK\r\n").await;
        peer.silence().await;
    })
    .await;
    let mut session = connect(&server).await;
    let summaries = session.summaries(&set("5:9")).await.unwrap();
    let uids: Vec<u32> = summaries.iter().map(|summary| summary.uid.get()).collect();
    assert_eq!(
        uids,
        [5, 8, 9],
        "ascending; neither news of other messages nor what was not asked for"
    );
    let first = &summaries[0];
    assert_eq!(first.envelope.subject, "Grüße");
    assert_eq!(first.envelope.from[0].to_string(), "Joe <joe@example.com>");
    assert_eq!(first.envelope.to[0].email, "ann@example.com");
    assert_eq!(first.internal_date.unwrap().to_string(), "2026-02-01T09:00:00Z");
    assert_eq!(first.flags, [Flag::Seen, Flag::MdnSent]);
    let attachment = first.structure.as_ref().unwrap().attachments()[0].clone();
    assert_eq!(
        (attachment.path.as_str(), attachment.file_name.as_deref()),
        ("2", Some("r.pdf"))
    );
    assert_eq!(summaries[1].structure, None, "a structure that is none");
    assert_eq!(summaries[1].flags, [Flag::Draft]);
    let json = serde_json::to_value(first).unwrap();
    assert_eq!(json["uid"], 5);
    assert_eq!(json["flags"][0], "\\Seen");
    session.noop().await.unwrap();
    assert_eq!(session.flights(), 4);
}

#[tokio::test]
async fn a_body_goes_to_the_sink() {
    let server = dialogue(
        AFTER,
        &[
            (
                "A6 UID FETCH 7 (UID BODY.PEEK[])",
                "* 2 EXISTS\r\n* 1 FETCH (UID 7 BODY[] {17}\r\na: b\r\n\r\n) {5}\r\n\r\n FLAGS (\\Seen))\r\nA6 OK FETCH completed.\r\n",
            ),
            (
                "A7 UID FETCH 8 (UID BODY[2.1]<3.4>)",
                "* 1 FETCH (UID 8 BODY[2.1]<3> \"ab\\\"c\")\r\nA7 OK FETCH completed.\r\n",
            ),
            ("A8 UID FETCH 9 (UID BODY.PEEK[HEADER])", "A8 OK FETCH completed.\r\n"),
            ("A9 UID FETCH 9 (UID BODY.PEEK[9])", "* 1 FETCH (UID 9 BODY[9] NIL)\r\nA9 OK FETCH completed.\r\n"),
            ("A10 UID FETCH 9 (UID BODY.PEEK[TEXT])", "* 1 FETCH (BODY[TEXT] {0}\r\n UID 9)\r\nA10 OK FETCH completed.\r\n"),
        ],
    )
    .await;
    let mut session = connect(&server).await;
    let mut sink = Vec::new();
    assert_eq!(
        session.fetch(uid(7), &Section::whole(), &mut sink).await.unwrap(),
        17
    );
    assert_eq!(sink, b"a: b\r\n\r\n) {5}\r\n\r\n");
    assert_eq!(session.selected().unwrap().exists, 2, "news in between are noted");
    let mut sink = Vec::new();
    let part = Section::part("2.1").unwrap().partial(3, 4).marking_seen();
    assert_eq!(session.fetch(uid(8), &part, &mut sink).await.unwrap(), 4);
    assert_eq!(sink, b"ab\"c");
    for section in [Section::header(), Section::part("9").unwrap()] {
        let error = session
            .fetch(uid(9), &section, &mut Vec::new())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
    assert_eq!(
        session
            .fetch(uid(9), &Section::text(), &mut Vec::new())
            .await
            .unwrap(),
        0
    );
    assert!(!session.is_spent());
    let transcript: String = server
        .transcript
        .lines()
        .iter()
        .map(|line| format!("{line}\n"))
        .collect();
    assert!(!transcript.contains("a: b"), "bodies are not recorded");
}

/// Reads all events and returns the bodies with their UIDs.
async fn gather(bodies: &mut exomail::imap::Bodies<'_>) -> exomail::Result<Vec<(u32, Vec<u8>)>> {
    let mut all = Vec::new();
    while let Some(event) = bodies.next().await? {
        match event {
            BodyEvent::Begin { uid, .. } => all.push((uid.get(), Vec::new())),
            BodyEvent::Chunk(chunk) => all.last_mut().unwrap().1.extend_from_slice(&chunk),
            BodyEvent::End { uid } => assert_eq!(all.last().unwrap().0, uid.get()),
        }
    }
    Ok(all)
}

#[tokio::test]
async fn a_hundred_bodies_are_one_flight() {
    let server = exchange(AFTER, |mut peer| async move {
        assert_eq!(peer.line().await, "A6 UID FETCH 1:100 (UID BODY.PEEK[])");
        for number in 1..=100_u32 {
            let body = format!("Subject: {number}\r\n\r\n").repeat(500);
            // Half of them tell the UID only behind the body.
            let response = if number % 2 == 0 {
                format!(
                    "* {number} FETCH (UID {number} BODY[] {{{}}}\r\n{body})\r\n",
                    body.len()
                )
            } else {
                format!(
                    "* {number} FETCH (BODY[] {{{}}}\r\n{body} UID {number})\r\n",
                    body.len()
                )
            };
            peer.send(response).await;
        }
        peer.send("A6 OK FETCH completed.\r\n").await;
        peer.silence().await;
    })
    .await;
    let mut session = connect(&server).await;
    let bodies = gather(&mut session.fetch_many(&set("1:100"), &Section::whole()))
        .await
        .unwrap();
    assert_eq!(bodies.len(), 100);
    for (at, (number, body)) in bodies.iter().enumerate() {
        assert_eq!(*number as usize, at + 1);
        assert_eq!(
            *body,
            format!("Subject: {number}\r\n\r\n").repeat(500).into_bytes()
        );
    }
    assert_eq!(session.flights(), 3);
    assert!(!session.is_spent());
}

#[tokio::test]
async fn every_byte_alone_gives_the_same() {
    let answer = "* 1 FETCH (UID 1 BODY[HEADER] {8}\r\na: {3}\r\n)\r\n* 2 FETCH (UID 2 BODY[HEADER] {2}\r\n\r\n FLAGS (\\Seen))\r\n* ESEARCH (TAG \"x\")\r\nA6 OK FETCH completed.\r\n";
    for pieces in [1, 7, 1000] {
        let server = exchange(AFTER, move |mut peer| async move {
            peer.line().await;
            for piece in answer.as_bytes().chunks(pieces) {
                peer.send(piece).await;
                tokio::task::yield_now().await;
            }
            peer.silence().await;
        })
        .await;
        let mut session = connect(&server).await;
        let bodies = gather(&mut session.fetch_many(&set("1:2"), &Section::header()))
            .await
            .unwrap();
        assert_eq!(
            bodies,
            [(1, b"a: {3}\r\n".to_vec()), (2, b"\r\n".to_vec())],
            "in pieces of {pieces}"
        );
    }
}

#[tokio::test]
async fn an_empty_set_says_nothing() {
    let server = dialogue(AFTER, &[]).await;
    let mut session = connect(&server).await;
    let none = UidSet::new();
    assert!(session.summaries(&none).await.unwrap().is_empty());
    assert!(
        gather(&mut session.fetch_many(&none, &Section::whole()))
            .await
            .unwrap()
            .is_empty()
    );
    session
        .store(&none, exomail::imap::Store::Add, &[Flag::Seen])
        .await
        .unwrap();
    assert_eq!(session.copy(&none, "x").await.unwrap(), None);
    assert_eq!(session.move_to(&none, "x").await.unwrap(), None);
    assert_eq!(session.uid_expunge(&none).await.unwrap(), 0);
    assert_eq!(session.flights(), 2);
    assert!(said(&server).is_empty());
}

#[tokio::test]
async fn a_long_set_travels_as_several_commands_in_one_flight() {
    let server = exchange(AFTER, |mut peer| async move {
        let mut lines = Vec::new();
        for _ in 0..3 {
            let line = peer.line().await;
            assert!(
                line.len() < 8 * 1024 + 10 && line.contains("UID FETCH "),
                "{}",
                line.len()
            );
            lines.push(line);
        }
        // The second one is refused: the others are answered all the same.
        peer.send("* 1 FETCH (UID 1 BODY[TEXT] {1}\r\na)\r\nA6 OK\r\nA7 BAD Command Error. 10\r\n")
            .await;
        peer.send("* 9 FETCH (UID 5999 BODY[TEXT] {1}\r\nz)\r\nA8 OK\r\n")
            .await;
        assert_eq!(peer.line().await, "A9 NOOP");
        peer.send("A9 OK\r\n").await;
        peer.silence().await;
    })
    .await;
    let mut session = connect(&server).await;
    let odd: UidSet = (1..=8_001)
        .step_by(2)
        .filter_map(exomail::imap::Uid::new)
        .collect();
    let mut bodies = session.fetch_many(&odd, &Section::text());
    let mut seen = Vec::new();
    let error = loop {
        match bodies.next().await {
            Ok(Some(BodyEvent::End { uid })) => seen.push(uid.get()),
            Ok(Some(_)) => {}
            Ok(None) => panic!("the refusal is lost"),
            Err(error) => break error,
        }
    };
    drop(bodies);
    assert_eq!(seen, [1, 5999]);
    assert_eq!((error.kind(), session.flights()), (ErrorKind::Rejected, 3));
    session.noop().await.unwrap();
}

#[tokio::test]
async fn a_caller_that_drops_a_fetch_never_gets_its_rest() {
    let server = exchange(AFTER, |mut peer| async move {
        peer.line().await;
        for number in 1..=2_000 {
            peer.send(format!("* {number} FETCH (UID {number} BODY[] {{3}}\r\nabc)\r\n"))
                .await;
        }
        peer.send("A6 OK\r\n").await;
        peer.silence().await;
    })
    .await;
    let mut session = connect(&server).await;
    let mut bodies = session.fetch_many(&set("1:2000"), &Section::whole());
    for _ in 0..6 {
        assert!(bodies.next().await.unwrap().is_some());
    }
    drop(bodies);
    let error = session
        .fetch(uid(5), &Section::whole(), &mut Vec::new())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::State, "{error}");
    assert!(session.is_spent());
}

/// A sink that fails behind its first bytes.
struct Full;

impl tokio::io::AsyncWrite for Full {
    fn poll_write(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        _: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        std::task::Poll::Ready(Err(std::io::Error::other("disk full")))
    }

    fn poll_flush(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn poll_shutdown(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_sink_that_fails_is_the_callers_affair() {
    let server = dialogue(
        AFTER,
        &[(
            "A6 UID FETCH 7 (UID BODY.PEEK[])",
            "* 1 FETCH (UID 7 BODY[] {500000}\r\nabc",
        )],
    )
    .await;
    let mut session = connect(&server).await;
    let error = session
        .fetch(uid(7), &Section::whole(), &mut Full)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LocalIo);
    assert_eq!(session.noop().await.unwrap_err().kind(), ErrorKind::State);
}
