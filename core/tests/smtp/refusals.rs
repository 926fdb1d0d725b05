//! What a server refuses, and that the session is good for the next mail.

use exomail::message::RawMessage;
use exomail::smtp::SendOptions;
use exomail::{ErrorKind, Retry};

use crate::dialogue::*;
use crate::support::Peer;

#[tokio::test]
async fn when_no_recipient_is_accepted_the_session_stays_usable() {
    for (code, retry) in [
        ("550 5.1.1 no such user", Retry::Never),
        ("450 4.2.1 try again", Retry::Backoff),
    ] {
        let server = start(move |mut peer: Peer| async move {
            welcome(&mut peer, EXCHANGE).await;
            opening(&mut peer, 2).await;
            chunks(&mut peer).await;
            peer.send(format!(
                "250 ok\r\n{code} a\r\n{code} b\r\n503 5.5.1 no recipients\r\n"
            ))
            .await;
            peer.expect("RSET").await;
            opening(&mut peer, 1).await;
            chunks(&mut peer).await;
            peer.send("250 reset\r\n".to_owned() + &all_fine(1) + ACCEPTED)
                .await;
            opening(&mut peer, 1).await;
            chunks(&mut peer).await;
            peer.send(all_fine(1) + ACCEPTED).await;
            peer.silence().await;
        })
        .await;
        let mut session = connect(&server).await;
        let before = session.flights();
        let error = session
            .send(
                &envelope(&["a@example.com", "b@example.com"]),
                RawMessage::from_bytes(MESSAGE),
                &SendOptions::default(),
            )
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.retry()),
            (ErrorKind::RecipientsRejected, retry)
        );
        assert_eq!(error.operation(), "RCPT TO");
        assert_eq!(error.server().unwrap().text, format!("{code} a"));
        let texts: Vec<_> = rejected(&error)
            .recipients
            .iter()
            .map(|result| {
                (
                    result.address.as_str(),
                    result.accepted,
                    result.reply.text.clone(),
                )
            })
            .collect();
        assert_eq!(
            texts,
            [
                ("a@example.com", false, format!("{code} a")),
                ("b@example.com", false, format!("{code} b"))
            ]
        );
        // RSET travels with the next mail; the one after needs none.
        send(&mut session, MESSAGE).await.unwrap();
        send(&mut session, MESSAGE).await.unwrap();
        assert_eq!(session.flights() - before, 3);
    }
}

#[tokio::test]
async fn whether_to_try_again_does_not_hang_on_the_order_of_recipients() {
    let (gone, busy) = ("550 5.1.1 no such user", "450 4.2.1 try again");
    for (replies, all, retry) in [
        ([gone, busy], false, Retry::Backoff),
        ([busy, gone], false, Retry::Backoff),
        ([gone, busy], true, Retry::Never),
        ([busy, gone], true, Retry::Never),
        ([busy, "250 ok"], true, Retry::Backoff),
        ([gone, "250 ok"], true, Retry::Never),
        // Lasting, whatever its code says: the table knows better.
        (["450 4.5.3 too many"; 2], false, Retry::Never),
    ] {
        let server = start(move |mut peer: Peer| async move {
            welcome(&mut peer, EXCHANGE).await;
            opening(&mut peer, 2).await;
            if !all {
                chunks(&mut peer).await;
            }
            let verdict = if all { "" } else { "503 5.5.1 no recipients\r\n" };
            peer.send(format!("250 ok\r\n{}\r\n{verdict}", replies.join("\r\n")))
                .await;
            peer.silence().await;
        })
        .await;
        let mut session = connect(&server).await;
        let options = SendOptions {
            all_recipients: all,
            ..SendOptions::default()
        };
        let to = envelope(&["a@example.com", "b@example.com"]);
        let error = session
            .send(&to, RawMessage::from_bytes(MESSAGE), &options)
            .await
            .unwrap_err();
        assert_eq!(error.retry(), retry, "{replies:?} {all}");
    }
}

#[tokio::test]
async fn data_without_recipients_is_ended_by_a_lone_dot() {
    // RFC 2920 §3.1.
    for data in ["354 go ahead", "554 5.5.1 no valid recipients"] {
        let server = start(move |mut peer: Peer| async move {
            welcome(&mut peer, PIPELINING).await;
            opening(&mut peer, 1).await;
            peer.expect("DATA").await;
            peer.send(format!("250 ok\r\n550 5.1.1 no such user\r\n{data}\r\n"))
                .await;
            if data.starts_with("354") {
                assert_eq!(peer.until(b"\n").await, b".\r\n");
                peer.send("554 5.5.1 no valid recipients\r\n").await;
            }
            peer.expect("RSET").await;
            opening(&mut peer, 1).await;
            peer.expect("DATA").await;
            peer.send("250 reset\r\n".to_owned() + &all_fine(1) + "354 go\r\n")
                .await;
            dotted(&mut peer).await;
            peer.send(ACCEPTED).await;
            peer.silence().await;
        })
        .await;
        let mut session = connect(&server).await;
        let error = send(&mut session, MESSAGE).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RecipientsRejected);
        assert_eq!(error.server().unwrap().text, "550 5.1.1 no such user");
        send(&mut session, MESSAGE).await.unwrap();
    }
}

#[tokio::test]
async fn the_first_refusal_is_the_one_that_is_told() {
    for offers in [EXCHANGE, PIPELINING, PLAIN] {
        let server = start(move |mut peer: Peer| async move {
            welcome(&mut peer, offers).await;
            peer.expect("MAIL").await;
            if !offers.is_empty() {
                peer.expect("RCPT").await;
                match offers.contains(&"CHUNKING") {
                    true => drop(chunks(&mut peer).await),
                    false => drop(peer.expect("DATA").await),
                }
            }
            peer.send("550 5.7.60 SMTP; Client does not have permissions to send as this sender\r\n")
                .await;
            if !offers.is_empty() {
                peer.send("503 5.5.1 no\r\n503 5.5.1 no\r\n").await;
            }
            peer.expect("RSET").await;
            peer.silence().await;
        })
        .await;
        let mut session = connect(&server).await;
        let error = send(&mut session, MESSAGE).await.unwrap_err();
        assert_eq!(error.operation(), "MAIL FROM");
        let reply = error.server().unwrap();
        assert!(reply.text.contains("Client does not have permissions"), "{error}");
        assert!(!session.is_spent());
        let reset = tokio::time::timeout(std::time::Duration::from_millis(50), session.reset());
        assert!(reset.await.is_err(), "the server never answers");
    }
}

#[tokio::test]
async fn the_verdict_on_the_message_is_told() {
    let text = "430 4.2.0 STOREDRV; mailbox logon failure; STOREDRV.Submission.Exception:\
                ConnectionFailedTransientException.MapiExceptionLogonFailed; Cannot open mailbox.";
    for chunking in [true, false] {
        let server = start(move |mut peer: Peer| async move {
            welcome(&mut peer, if chunking { EXCHANGE } else { PIPELINING }).await;
            opening(&mut peer, 1).await;
            if chunking {
                chunks(&mut peer).await;
                peer.send(all_fine(1)).await;
            } else {
                peer.expect("DATA").await;
                peer.send(all_fine(1) + "354 go\r\n").await;
                dotted(&mut peer).await;
            }
            peer.send(format!("{text}\r\n")).await;
            peer.expect("RSET").await;
            peer.send("250 ok\r\n").await;
            // Forgotten: no second RSET.
            opening(&mut peer, 1).await;
            peer.silence().await;
        })
        .await;
        let mut session = connect(&server).await;
        let error = send(&mut session, MESSAGE).await.unwrap_err();
        assert_eq!(error.operation(), if chunking { "BDAT" } else { "DATA" });
        assert_eq!(error.server().unwrap().text, text);
        assert_eq!(error.server().unwrap().enhanced.as_deref(), Some("4.2.0"));
        session.reset().await.unwrap();
        let next = tokio::time::timeout(std::time::Duration::from_millis(50), send(&mut session, MESSAGE));
        assert!(next.await.is_err(), "the server never answers");
    }
}

#[tokio::test]
async fn data_that_is_refused_is_told() {
    let server = start(|mut peer: Peer| async move {
        welcome(&mut peer, PIPELINING).await;
        opening(&mut peer, 1).await;
        peer.expect("DATA").await;
        peer.send(all_fine(1) + "451 4.7.0 Temporary server error\r\n")
            .await;
        peer.silence().await;
    })
    .await;
    let mut session = connect(&server).await;
    let error = send(&mut session, MESSAGE).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.operation()),
        (ErrorKind::Unavailable, "DATA")
    );
    assert!(!session.is_spent());
}

#[tokio::test]
async fn a_refused_chunk_ends_the_stream_and_not_the_session() {
    let server = start(|mut peer: Peer| async move {
        welcome(&mut peer, EXCHANGE).await;
        opening(&mut peer, 1).await;
        peer.send(all_fine(1)).await;
        chunk(&mut peer).await;
        peer.send("552 5.3.4 Message size exceeds fixed maximum message size\r\n")
            .await;
        // RFC 3030 §2: what follows is read and refused.
        let mut chunks = 1;
        loop {
            let line = peer.line().await;
            if line == "RSET" {
                break;
            }
            let size = line.strip_prefix("BDAT ").unwrap().parse().unwrap();
            peer.bytes(size).await;
            peer.send("503 5.5.1 no\r\n").await;
            chunks += 1;
        }
        // The client heard of it long before the end.
        assert!(chunks < 40, "{chunks} chunks");
        opening(&mut peer, 1).await;
        self::chunks(&mut peer).await;
        peer.send("250 reset\r\n".to_owned() + &all_fine(1) + ACCEPTED)
            .await;
        peer.silence().await;
    })
    .await;
    let mut session = connect(&server).await;
    // 64 MB, more than can be on the way.
    let lines = std::io::Cursor::new("0123456789abcde\n".repeat(4_000_000));
    let error = send_raw(&mut session, RawMessage::from_reader(lines, None))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.server().unwrap().text.starts_with("552 5.3.4"));
    assert!(!session.is_spent());
    send(&mut session, MESSAGE).await.unwrap();
}

#[tokio::test]
async fn an_early_refusal_is_heard_although_the_server_hangs_up() {
    for offers in [EXCHANGE, PIPELINING] {
        let server = start(move |mut peer: Peer| async move {
            welcome(&mut peer, offers).await;
            opening(&mut peer, 1).await;
            if offers.contains(&"CHUNKING") {
                peer.send(all_fine(1)).await;
            } else {
                peer.expect("DATA").await;
                peer.send(all_fine(1) + "354 go\r\n").await;
            }
            peer.bytes(300_000).await;
            peer.send("552 5.3.4 Message size exceeds fixed maximum message size\r\n")
                .await;
            // Hangs up with most of the message unread.
        })
        .await;
        let mut session = connect(&server).await;
        let error = send(&mut session, "0123456789abcd\r\n".repeat(2_000_000))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
        assert!(error.server().unwrap().text.starts_with("552 5.3.4"));
        assert!(session.is_spent());
    }
}

#[tokio::test]
async fn a_421_ends_the_session_wherever_it_comes() {
    // In the place of each reply of two mails.
    for place in 0..6 {
        let server = start(move |mut peer: Peer| async move {
            welcome(&mut peer, EXCHANGE).await;
            let mut replies = [
                "250 ok\r\n",
                "250 ok\r\n",
                ACCEPTED,
                "250 ok\r\n",
                "250 ok\r\n",
                ACCEPTED,
            ];
            replies[place] = "421 4.3.2 Service not available\r\n";
            for mail in replies.chunks(3) {
                opening(&mut peer, 1).await;
                chunks(&mut peer).await;
                peer.send(mail.concat()).await;
            }
            peer.silence().await;
        })
        .await;
        let mut session = connect(&server).await;
        if place >= 3 {
            send(&mut session, MESSAGE).await.unwrap();
        }
        let error = send(&mut session, MESSAGE).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.retry()),
            (ErrorKind::Unavailable, Retry::Backoff)
        );
        assert_eq!(error.server().unwrap().code, Some(421));
        let next = send(&mut session, MESSAGE).await.unwrap_err();
        assert_eq!(next.kind(), ErrorKind::State);
        assert!(session.is_spent());
    }
}
