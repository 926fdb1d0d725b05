//! Mails that arrive, and how many flights they take.

use exomail::message::RawMessage;
use exomail::smtp::{Dsn, Envelope, Notify, ReturnContent, SendOptions};
use exomail::{ErrorKind, Security};

use crate::dialogue::*;
use crate::support::{Peer, serve};

#[tokio::test]
async fn with_chunking_each_mail_takes_one_flight() {
    let inbox = Inbox::default();
    let received = inbox.clone();
    let server = serve(Security::ImplicitTls, move |mut peer: Peer| {
        let received = received.clone();
        async move {
            welcome(&mut peer, EXCHANGE).await;
            for _ in 0..3 {
                // Nothing is answered before everything is there.
                let lines = opening(&mut peer, 2).await;
                assert_eq!(
                    lines,
                    [
                        "MAIL FROM:<joe@example.com> SIZE=20",
                        "RCPT TO:<ann@example.com>",
                        "RCPT TO:<bob@example.com>"
                    ]
                );
                let (message, last) = chunk(&mut peer).await;
                assert!(last);
                received.put(message);
                peer.send(all_fine(2) + ACCEPTED).await;
            }
            peer.expect("QUIT").await;
            peer.send("221 2.0.0 bye\r\n").await;
            assert_eq!(peer.line().await, "");
        }
    })
    .await;
    let mut session = connect(&server).await;
    let envelope = envelope(&["ann@example.com", "bob@example.com"]);
    for flights in 3..=5 {
        let message = RawMessage::from_bytes(MESSAGE);
        let report = session
            .send(&envelope, message, &SendOptions::default())
            .await
            .unwrap();
        assert_eq!(report.accepted().count(), 2);
        assert_eq!(report.rejected().count(), 0);
        assert_eq!(report.reply.text, ACCEPTED.trim_end());
        assert_eq!(report.reply.code, Some(250));
        assert_eq!(report.queue_id.as_deref(), Some("1@mx"));
        assert_eq!(session.flights(), flights);
    }
    session.quit().await.unwrap();
    assert_eq!(inbox.texts(), [MESSAGE; 3]);
}

#[tokio::test]
async fn with_pipelining_alone_each_mail_takes_two_flights() {
    let inbox = Inbox::default();
    let received = inbox.clone();
    let server = start(move |mut peer: Peer| {
        let received = received.clone();
        async move {
            welcome(&mut peer, PIPELINING).await;
            for _ in 0..2 {
                opening(&mut peer, 1).await;
                peer.expect("DATA").await;
                peer.send(all_fine(1) + "354 go ahead\r\n").await;
                received.put(dotted(&mut peer).await);
                peer.send("250 2.0.0 Ok: queued as 4XyZ\r\n").await;
            }
            peer.silence().await;
        }
    })
    .await;
    let mut session = connect(&server).await;
    for flights in [4, 6] {
        let report = send(&mut session, MESSAGE).await.unwrap();
        assert_eq!(report.queue_id.as_deref(), Some("4XyZ"));
        assert_eq!(session.flights(), flights);
    }
    assert_eq!(inbox.texts(), [MESSAGE; 2]);
}

#[tokio::test]
async fn without_pipelining_each_command_waits_for_its_reply() {
    for chunking in [false, true] {
        let inbox = Inbox::default();
        let received = inbox.clone();
        let server = start(move |mut peer: Peer| {
            let received = received.clone();
            async move {
                welcome(&mut peer, if chunking { &["CHUNKING"] } else { PLAIN }).await;
                assert_eq!(peer.line().await, "MAIL FROM:<joe@example.com>");
                peer.send("250 ok\r\n").await;
                for _ in 0..2 {
                    peer.expect("RCPT TO:<").await;
                    peer.send("250 ok\r\n").await;
                }
                if chunking {
                    received.put(chunks(&mut peer).await);
                } else {
                    peer.expect("DATA").await;
                    peer.send("354 go\r\n").await;
                    received.put(dotted(&mut peer).await);
                }
                peer.send("250\r\n").await;
                peer.silence().await;
            }
        })
        .await;
        let mut session = connect(&server).await;
        let message = RawMessage::from_bytes(MESSAGE);
        let report = session
            .send(
                &envelope(&["ann@example.com", "bob@example.com"]),
                message,
                &SendOptions::default(),
            )
            .await
            .unwrap();
        assert_eq!(report.queue_id, None);
        // MAIL, RCPT, RCPT, then BDAT LAST, or DATA and the message.
        assert_eq!(session.flights() - 2, if chunking { 4 } else { 5 });
        assert_eq!(inbox.texts(), [MESSAGE]);
    }
}

#[tokio::test]
async fn one_bad_recipient_of_three_keeps_the_mail_from_no_one_else() {
    for chunking in [true, false] {
        let inbox = Inbox::default();
        let received = inbox.clone();
        let server = start(move |mut peer: Peer| {
            let received = received.clone();
            async move {
                welcome(&mut peer, if chunking { EXCHANGE } else { PIPELINING }).await;
                for _ in 0..2 {
                    opening(&mut peer, 3).await;
                    let replies = "250 ok\r\n250 ok\r\n550-5.1.1 no\r\n550 5.1.1 such user\r\n250 ok\r\n";
                    if chunking {
                        received.put(chunks(&mut peer).await);
                        peer.send(replies).await;
                    } else {
                        peer.expect("DATA").await;
                        peer.send(format!("{replies}354 go\r\n")).await;
                        received.put(dotted(&mut peer).await);
                    }
                    peer.send(ACCEPTED).await;
                }
                peer.silence().await;
            }
        })
        .await;
        let mut session = connect(&server).await;
        let envelope = envelope(&["ann@example.com", "bad@example.com", "cat@example.com"]);
        for _ in 0..2 {
            let message = RawMessage::from_bytes(MESSAGE);
            let report = session
                .send(&envelope, message, &SendOptions::default())
                .await
                .unwrap();
            let accepted: Vec<_> = report.accepted().map(|result| result.address.as_str()).collect();
            assert_eq!(accepted, ["ann@example.com", "cat@example.com"]);
            let rejected: Vec<_> = report.rejected().collect();
            assert_eq!(rejected.len(), 1);
            assert_eq!(rejected[0].address, "bad@example.com");
            assert_eq!(rejected[0].reply.text, "550-5.1.1 no\n550 5.1.1 such user");
            assert_eq!(rejected[0].reply.enhanced.as_deref(), Some("5.1.1"));
        }
        assert_eq!(inbox.texts(), [MESSAGE; 2]);
    }
}

#[tokio::test]
async fn all_or_none_costs_one_flight_more() {
    for chunking in [true, false] {
        let server = start(move |mut peer: Peer| async move {
            welcome(&mut peer, if chunking { EXCHANGE } else { PIPELINING }).await;
            opening(&mut peer, 2).await;
            peer.send("250 ok\r\n250 ok\r\n550 5.1.1 no such user\r\n").await;
            // Nothing of the message: the next mail, with the old one forgotten first.
            peer.expect("RSET").await;
            opening(&mut peer, 2).await;
            peer.send("250 reset\r\n".to_owned() + &all_fine(2)).await;
            if chunking {
                chunks(&mut peer).await;
            } else {
                peer.expect("DATA").await;
                peer.send("354 go\r\n").await;
                dotted(&mut peer).await;
            }
            peer.send(ACCEPTED).await;
            peer.silence().await;
        })
        .await;
        let mut session = connect(&server).await;
        let envelope = envelope(&["ann@example.com", "bad@example.com"]);
        let options = SendOptions {
            all_recipients: true,
            ..SendOptions::default()
        };
        let before = session.flights();
        let error = session
            .send(&envelope, RawMessage::from_bytes(MESSAGE), &options)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RecipientsRejected);
        assert_eq!(error.server().unwrap().text, "550 5.1.1 no such user");
        let results = &rejected(&error).recipients;
        assert!(results[0].accepted && !results[1].accepted);
        assert_eq!(session.flights() - before, 1);
        let report = session
            .send(&envelope, RawMessage::from_bytes(MESSAGE), &options)
            .await
            .unwrap();
        assert_eq!(report.accepted().count(), 2);
        assert_eq!(session.flights() - before, if chunking { 3 } else { 4 });
    }
}

#[tokio::test]
async fn a_thousand_recipients_take_one_flight() {
    let server = start(|mut peer: Peer| async move {
        welcome(&mut peer, EXCHANGE).await;
        peer.expect("MAIL").await;
        // Answered one by one, with a lot of text, while the rest is still coming.
        peer.send("250 ok\r\n").await;
        for _ in 0..1000 {
            peer.expect("RCPT").await;
            peer.send(format!("250 2.1.5 {}\r\n", "x".repeat(400))).await;
        }
        chunks(&mut peer).await;
        peer.send(ACCEPTED).await;
        peer.silence().await;
    })
    .await;
    let mut session = connect(&server).await;
    let to = (0..1000)
        .map(|n| format!("{n}-{}@example.com", "r".repeat(50)))
        .collect();
    let envelope = Envelope::new(Some("joe@example.com".to_owned()), to).unwrap();
    let before = session.flights();
    let report = session
        .send(
            &envelope,
            RawMessage::from_bytes(MESSAGE),
            &SendOptions::default(),
        )
        .await
        .unwrap();
    assert_eq!(report.accepted().count(), 1000);
    assert_eq!(session.flights() - before, 1);
}

#[tokio::test]
async fn what_the_mail_needs_is_declared() {
    let server = start(|mut peer: Peer| async move {
        welcome(&mut peer, EXCHANGE).await;
        assert_eq!(
            peer.line().await,
            "MAIL FROM:<> SIZE=22 BODY=8BITMIME SMTPUTF8 RET=FULL ENVID=a+2Bb"
        );
        assert_eq!(
            peer.line().await,
            "RCPT TO:<jörg@example.com> NOTIFY=FAILURE,DELAY ORCPT=utf-8;jörg@example.com"
        );
        chunks(&mut peer).await;
        peer.send(all_fine(1) + ACCEPTED).await;
        peer.silence().await;
    })
    .await;
    let mut session = connect(&server).await;
    let envelope = Envelope::new(None, vec!["jörg@example.com".to_owned()]).unwrap();
    let options = SendOptions {
        dsn: Some(Dsn {
            notify: Some(Notify {
                delay: true,
                ..Notify::FAILURE
            }),
            returned: Some(ReturnContent::Full),
            envelope_id: Some("a+b".to_owned()),
            original_recipients: true,
        }),
        ..SendOptions::default()
    };
    let message = RawMessage::from_bytes("Subject: ä\r\n\r\nbödy\r\n");
    session.send(&envelope, message, &options).await.unwrap();
}

#[tokio::test]
async fn what_the_server_cant_is_found_before_a_word_is_said() {
    let server = start(|mut peer: Peer| async move {
        welcome(&mut peer, &["SIZE 30"]).await;
        peer.expect("MAIL FROM:<joe@example.com> SIZE=20").await;
        peer.send("250 ok\r\n").await;
        peer.expect("RCPT").await;
        peer.send("250 ok\r\n").await;
        peer.expect("DATA").await;
        peer.send("354 go\r\n").await;
        dotted(&mut peer).await;
        peer.send(ACCEPTED).await;
        peer.silence().await;
    })
    .await;
    let mut session = connect(&server).await;
    let before = session.flights();
    let ann = envelope(&["ann@example.com"]);
    let beyond_ascii = envelope(&["jörg@example.com"]);
    let dsn = |id: &str| SendOptions {
        dsn: Some(Dsn {
            envelope_id: Some(id.to_owned()),
            ..Dsn::default()
        }),
        ..SendOptions::default()
    };
    let large = "x".repeat(40);
    for (envelope, message, options, kind) in [
        (&ann, large.as_str(), SendOptions::default(), ErrorKind::TooLarge),
        (
            &ann,
            "a: b\r\n\r\nä\r\n",
            SendOptions::default(),
            ErrorKind::Unsupported,
        ),
        (
            &beyond_ascii,
            MESSAGE,
            SendOptions::default(),
            ErrorKind::Unsupported,
        ),
        (&ann, MESSAGE, dsn("id"), ErrorKind::Unsupported),
        (&ann, "", SendOptions::default(), ErrorKind::InvalidMessage),
    ] {
        let message = RawMessage::from_bytes(message.to_owned());
        let error = session.send(envelope, message, &options).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
    }
    let missing = RawMessage::from_file("/no/such/file.eml");
    assert_eq!(
        send_raw(&mut session, missing).await.unwrap_err().kind(),
        ErrorKind::LocalIo
    );
    let told = RawMessage::from_reader(std::io::Cursor::new("x\r\n".repeat(600_000)), Some(1_800_000));
    assert_eq!(
        send_raw(&mut session, told).await.unwrap_err().kind(),
        ErrorKind::TooLarge
    );
    assert_eq!(session.flights(), before);
    assert!(!session.is_spent());
    // And the next mail needs no RSET.
    send(&mut session, MESSAGE).await.unwrap();
}

#[tokio::test]
async fn signs_of_life() {
    let server = start(|mut peer: Peer| async move {
        welcome(&mut peer, EXCHANGE).await;
        peer.expect("NOOP").await;
        peer.send("250 2.0.0 OK\r\n").await;
        peer.expect("RSET").await;
        peer.send("250 2.0.0 OK\r\n").await;
        peer.expect("NOOP").await;
        peer.send("550 5.5.1 no\r\n").await;
        peer.expect("QUIT").await;
    })
    .await;
    let mut session = connect(&server).await;
    session.noop().await.unwrap();
    session.reset().await.unwrap();
    assert_eq!(session.flights(), 4);
    assert_eq!(session.noop().await.unwrap_err().kind(), ErrorKind::Rejected);
    assert!(!session.is_spent());
    // The server hangs up without an answer: that was the purpose.
    session.quit().await.unwrap();
}

#[tokio::test]
async fn goodbye_succeeds_though_the_server_has_said_it_first() {
    let server = start(|mut peer: Peer| async move {
        welcome(&mut peer, EXCHANGE).await;
        peer.send("421 4.4.2 idle too long\r\n").await;
        peer.silence().await;
    })
    .await;
    connect(&server).await.quit().await.unwrap();
}
