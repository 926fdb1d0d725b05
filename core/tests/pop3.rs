//! POP3 sessions against scripted servers: what Exchange says, and every way in which a server can behave badly.
#![allow(clippy::unwrap_used, reason = "a test that fails should panic")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use exomail::pop3::{Pop3Session, RetrievedEvent};
use exomail::{ErrorKind, Security};
use support::pop3::{EXCHANGE, PIPELINING, connect, sign_in};
use support::{Peer, serve};

#[tokio::test]
async fn a_whole_session_as_exchange_speaks_it() {
    let server = serve(Security::ImplicitTls, |mut peer: Peer| async move {
        sign_in(&mut peer, EXCHANGE).await;
        for (command, answer) in [
            ("STAT", "+OK 2 320\r\n"),
            ("LIST", "+OK 2 320\r\n1 120\r\n2 200 more\r\n.\r\n"),
            ("UIDL", "+OK\r\n1 AAMkAGI2\r\n2 AAMkAGI3=\r\n.\r\n"),
            ("TOP 1 0", "+OK\r\nSubject: a\r\n\r\n.\r\n"),
            ("RETR 2", "+OK\r\nSubject: b\r\n\r\n..dot\r\n.\r\n"),
            ("DELE 1", "+OK\r\n"),
            ("RSET", "+OK\r\n"),
            ("NOOP", "+OK\r\n"),
            ("DELE 2", "+OK\r\n"),
            (
                "QUIT",
                "+OK Microsoft Exchange Server 2016 POP3 server signing off.\r\n",
            ),
        ] {
            assert_eq!(peer.line().await, command);
            peer.send(answer).await;
        }
        peer.silence().await;
    })
    .await;
    let mut session = connect(&server).await.unwrap();
    assert_eq!(session.flights(), 3, "CAPA, AUTH, response");
    assert_eq!(session.capabilities().sasl().unwrap(), ["PLAIN", "XOAUTH2"]);
    let stat = session.stat().await.unwrap();
    assert_eq!((stat.messages, stat.octets), (2, 320));
    let list = session.list().await.unwrap();
    assert_eq!((list.len(), list[1].number, list[1].octets), (2, 2, 200));
    let uids = session.uidl().await.unwrap();
    assert_eq!(uids, [(1, "AAMkAGI2".to_owned()), (2, "AAMkAGI3=".to_owned())]);
    let mut top = Vec::new();
    assert_eq!(session.top(1, 0, &mut top).await.unwrap(), 14);
    assert_eq!(top, b"Subject: a\r\n\r\n");
    let mut message = Vec::new();
    assert_eq!(session.retr(2, &mut message).await.unwrap(), 20);
    assert_eq!(message, b"Subject: b\r\n\r\n.dot\r\n");
    session.dele(1).await.unwrap();
    session.reset().await.unwrap();
    session.noop().await.unwrap();
    session.dele(2).await.unwrap();
    assert_eq!(session.flights(), 12);
    assert!(!session.is_spent());
    session.quit().await.unwrap();
    let lines = server.transcript.lines();
    assert!(
        lines.iter().all(|line| !line.text.contains("dXNlcj1qb2")),
        "the token is on record"
    );
    assert!(
        lines
            .iter()
            .any(|line| line.text.contains("[message of 20 bytes]"))
    );
}

#[tokio::test]
async fn a_session_that_is_dropped_deletes_nothing() {
    let said_quit = Arc::new(AtomicBool::new(false));
    let (quit, (done, ended)) = (said_quit.clone(), tokio::sync::mpsc::channel::<()>(1));
    let mut ended = ended;
    let server = serve(Security::ImplicitTls, move |mut peer: Peer| {
        let (quit, done) = (quit.clone(), done.clone());
        async move {
            sign_in(&mut peer, EXCHANGE).await;
            peer.expect("DELE 1").await;
            peer.send("+OK\r\n").await;
            quit.store(!peer.line().await.is_empty(), Ordering::SeqCst);
            done.send(()).await.unwrap();
        }
    })
    .await;
    let mut session = connect(&server).await.unwrap();
    session.dele(1).await.unwrap();
    drop(session);
    ended.recv().await.unwrap();
    assert!(!said_quit.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_line_without_end_and_a_listing_without_end_are_cut() {
    for listing in [false, true] {
        let server = serve(Security::ImplicitTls, move |mut peer: Peer| async move {
            sign_in(&mut peer, EXCHANGE).await;
            peer.line().await;
            peer.send("+OK\r\n").await;
            let piece = if listing {
                "1 1\r\n".repeat(13_000)
            } else {
                "1".repeat(64 * 1024)
            };
            for _ in 0..80 {
                peer.send(&piece).await;
            }
            peer.silence().await;
        })
        .await;
        let mut session = connect(&server).await.unwrap();
        assert_eq!(session.list().await.unwrap_err().kind(), ErrorKind::Protocol);
        assert_eq!(session.stat().await.unwrap_err().kind(), ErrorKind::State);
    }
}

#[tokio::test]
async fn a_refusal_leaves_the_session_usable() {
    let server = serve(Security::ImplicitTls, |mut peer: Peer| async move {
        sign_in(&mut peer, EXCHANGE).await;
        for (command, answer) in [
            ("RETR 9", "-ERR The requested message is no longer available.\r\n"),
            ("DELE 9", "-ERR [SYS/TEMP] not now\r\n"),
            ("STAT", "+OK nonsense\r\n"),
            ("LIST", "+OK\r\n1 10\r\nbad line\r\n2 20\r\n.\r\n"),
            ("STAT", "+OK 1 10\r\n"),
        ] {
            assert_eq!(peer.line().await, command);
            peer.send(answer).await;
        }
        peer.silence().await;
    })
    .await;
    let mut session = connect(&server).await.unwrap();
    let error = session.retr(9, &mut Vec::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("no longer available"), "{error}");
    assert_eq!(session.dele(9).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(session.stat().await.unwrap_err().kind(), ErrorKind::Protocol);
    let error = session.list().await.unwrap_err();
    assert!(error.detail().contains("bad line"), "{error}");
    assert_eq!(session.stat().await.unwrap().messages, 1);
}

#[tokio::test]
async fn an_answer_that_nobody_asked_for_is_never_taken_for_another() {
    let server = serve(Security::ImplicitTls, |mut peer: Peer| async move {
        sign_in(&mut peer, EXCHANGE).await;
        peer.expect("NOOP").await;
        peer.send("+OK\r\n+OK 7 70\r\n").await;
        peer.silence().await;
    })
    .await;
    let mut session = connect(&server).await.unwrap();
    session.noop().await.unwrap();
    let error = session.stat().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(error.detail().contains("7 70"), "{error}");
    assert_eq!(session.stat().await.unwrap_err().kind(), ErrorKind::State);
}

#[tokio::test]
async fn message_0_is_refused_here() {
    let server = serve(Security::ImplicitTls, |mut peer: Peer| async move {
        sign_in(&mut peer, EXCHANGE).await;
        peer.expect("NOOP").await;
        peer.send("+OK\r\n").await;
        peer.silence().await;
    })
    .await;
    let mut session = connect(&server).await.unwrap();
    let kinds = [
        session.retr(0, &mut Vec::new()).await.unwrap_err().kind(),
        session.top(0, 1, &mut Vec::new()).await.unwrap_err().kind(),
        session.dele(0).await.unwrap_err().kind(),
        session.retr_many(&[1, 0]).unwrap_err().kind(),
    ];
    assert!(
        kinds.iter().all(|&kind| kind == ErrorKind::InvalidArgument),
        "{kinds:?}"
    );
    session.noop().await.unwrap();
}

/// Lines of all lengths, many beginning with dots: as it is, and as it goes over the wire.
fn dotted(megabytes: usize) -> (Vec<u8>, Vec<u8>) {
    let (mut plain, mut wire) = (Vec::new(), Vec::new());
    let mut n = 0_usize;
    while plain.len() < megabytes << 20 {
        let line = format!("{}{}\r\n", ".".repeat(n % 4), "x".repeat(n * 7 % 97));
        if line.starts_with('.') {
            wire.push(b'.');
        }
        plain.extend_from_slice(line.as_bytes());
        wire.extend_from_slice(line.as_bytes());
        n += 1;
    }
    wire.extend_from_slice(b".\r\n");
    (plain, wire)
}

/// async-pop stops at 20 MB, and takes time with the square of the size before.
#[tokio::test]
async fn thirty_megabytes_with_dots_come_through() {
    let (plain, wire) = dotted(30);
    let wire = Arc::new(wire);
    let server = serve(Security::ImplicitTls, move |mut peer: Peer| {
        let wire = wire.clone();
        async move {
            sign_in(&mut peer, EXCHANGE).await;
            peer.expect("RETR 1").await;
            peer.send("+OK\r\n").await;
            // Odd pieces, so that dots fall on every kind of edge.
            for piece in wire.chunks(10_007) {
                peer.send(piece).await;
            }
            peer.expect("NOOP").await;
            peer.send("+OK\r\n").await;
            peer.silence().await;
        }
    })
    .await;
    let mut session = connect(&server).await.unwrap();
    let mut message = Vec::new();
    assert_eq!(session.retr(1, &mut message).await.unwrap(), plain.len() as u64);
    assert!(message == plain);
    session.noop().await.unwrap();
}

/// async-pop turns for ever on a connection that ends.
#[tokio::test]
async fn a_connection_that_ends_in_a_message_is_told_and_spends_the_session() {
    let server = serve(Security::ImplicitTls, |mut peer: Peer| async move {
        sign_in(&mut peer, EXCHANGE).await;
        peer.expect("RETR 1").await;
        peer.send("+OK\r\nhalf a mess").await;
    })
    .await;
    let mut session = connect(&server).await.unwrap();
    let mut message = Vec::new();
    let error = session.retr(1, &mut message).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.operation()),
        (ErrorKind::ConnectionLost, "RETR"),
        "{error}"
    );
    assert_eq!(session.stat().await.unwrap_err().kind(), ErrorKind::State);
    assert!(session.is_spent());
}

#[tokio::test]
async fn a_caller_that_goes_away_never_gets_anothers_answer() {
    let server = serve(Security::ImplicitTls, |mut peer: Peer| async move {
        sign_in(&mut peer, EXCHANGE).await;
        peer.expect("RETR 1").await;
        peer.send("+OK\r\nhalf a mess").await;
        peer.silence().await;
    })
    .await;
    let mut session = connect(&server).await.unwrap();
    let mut message = Vec::new();
    let cut = tokio::time::timeout(Duration::from_millis(50), session.retr(1, &mut message)).await;
    assert!(cut.is_err());
    assert_eq!(session.stat().await.unwrap_err().kind(), ErrorKind::State);
}

#[tokio::test]
async fn a_sink_that_fails_is_the_callers_error() {
    let server = serve(Security::ImplicitTls, |mut peer: Peer| async move {
        sign_in(&mut peer, EXCHANGE).await;
        peer.expect("RETR 1").await;
        peer.send("+OK\r\n").await;
        let piece = "x".repeat(64 * 1024);
        for _ in 0..64 {
            peer.send(&piece).await;
        }
        peer.silence().await;
    })
    .await;
    let mut session = connect(&server).await.unwrap();
    let mut sink = [0_u8; 100];
    let error = session
        .retr(1, &mut std::io::Cursor::new(sink.as_mut_slice()))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LocalIo);
    assert_eq!(session.stat().await.unwrap_err().kind(), ErrorKind::State);
}

/// Pulls everything: (number, bytes) for each message, `None` for those that were refused.
async fn collect(session: &mut Pop3Session, numbers: &[u32]) -> exomail::Result<Vec<(u32, Option<Vec<u8>>)>> {
    let mut out: Vec<(u32, Option<Vec<u8>>)> = Vec::new();
    let mut messages = session.retr_many(numbers)?;
    while let Some(event) = messages.next().await? {
        match event {
            RetrievedEvent::Begin { number } => out.push((number, Some(Vec::new()))),
            RetrievedEvent::Chunk(bytes) => {
                out.last_mut()
                    .unwrap()
                    .1
                    .as_mut()
                    .unwrap()
                    .extend_from_slice(&bytes);
            }
            RetrievedEvent::End { number, octets } => {
                let (begun, bytes) = out.last().unwrap();
                assert_eq!((*begun, bytes.as_ref().unwrap().len() as u64), (number, octets));
            }
            RetrievedEvent::Refused { number, error } => {
                assert_eq!(error.kind(), ErrorKind::NotFound);
                out.push((number, None));
            }
        }
    }
    Ok(out)
}

/// Answers RETR until the client hangs up; every tenth message is gone.
async fn answer_retr(peer: &mut Peer) {
    loop {
        let line = peer.line().await;
        let Some(number) = line
            .strip_prefix("RETR ")
            .map(|number| number.parse::<u32>().unwrap())
        else {
            return;
        };
        match number % 10 {
            0 => peer.send("-ERR gone\r\n").await,
            _ => peer.send(format!("+OK\r\n..message {number}\r\n.\r\n")).await,
        }
    }
}

#[tokio::test]
async fn a_hundred_messages_are_one_flight() {
    let server = serve(Security::ImplicitTls, |mut peer: Peer| async move {
        sign_in(&mut peer, PIPELINING).await;
        // All hundred must be here before the first is answered.
        for number in 1..=100 {
            assert_eq!(peer.line().await, format!("RETR {number}"));
        }
        for number in 1..=100 {
            peer.send(format!("+OK\r\n..message {number}\r\n.\r\n")).await;
        }
        answer_retr(&mut peer).await;
    })
    .await;
    let mut session = connect(&server).await.unwrap();
    let before = session.flights();
    let numbers: Vec<u32> = (1..=100).collect();
    let messages = collect(&mut session, &numbers).await.unwrap();
    assert_eq!(session.flights() - before, 1);
    assert_eq!(messages.len(), 100);
    assert_eq!(messages[99], (100, Some(b".message 100\r\n".to_vec())));

    // Far more than are ever out at once, with refusals between.
    let numbers: Vec<u32> = (1..=2_000).collect();
    let messages = collect(&mut session, &numbers).await.unwrap();
    assert_eq!(messages.len(), 2_000);
    for (number, bytes) in messages {
        let expected = (number % 10 != 0).then(|| format!(".message {number}\r\n").into_bytes());
        assert_eq!(bytes, expected);
    }
    assert!(collect(&mut session, &[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn without_pipelining_each_message_is_a_flight() {
    let server = serve(Security::ImplicitTls, |mut peer: Peer| async move {
        sign_in(&mut peer, EXCHANGE).await;
        answer_retr(&mut peer).await;
    })
    .await;
    let mut session = connect(&server).await.unwrap();
    let before = session.flights();
    let messages = collect(&mut session, &[3, 10, 1]).await.unwrap();
    assert_eq!(session.flights() - before, 3);
    assert_eq!(
        messages.iter().map(|(number, _)| *number).collect::<Vec<_>>(),
        [3, 10, 1]
    );
    assert!(messages[1].1.is_none());
}

#[tokio::test]
async fn many_messages_that_break_off_tell_what_came_and_then_the_error() {
    let server = serve(Security::ImplicitTls, |mut peer: Peer| async move {
        sign_in(&mut peer, PIPELINING).await;
        peer.expect("RETR 1").await;
        peer.send("+OK\r\nwhole\r\n.\r\n+OK\r\nhalf").await;
    })
    .await;
    let mut session = connect(&server).await.unwrap();
    let mut messages = session.retr_many(&[1, 2, 3]).unwrap();
    let mut seen = Vec::new();
    let error = loop {
        match messages.next().await {
            Ok(event) => seen.push(event.unwrap()),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::ConnectionLost);
    assert!(
        matches!(seen[2], RetrievedEvent::End { number: 1, octets: 7 }),
        "{seen:?}"
    );
    assert!(matches!(seen[3], RetrievedEvent::Begin { number: 2 }), "{seen:?}");
    drop(messages);
    assert_eq!(session.stat().await.unwrap_err().kind(), ErrorKind::State);
}

#[tokio::test]
async fn messages_that_are_not_pulled_to_the_end_spend_the_session() {
    let server = serve(Security::ImplicitTls, |mut peer: Peer| async move {
        sign_in(&mut peer, PIPELINING).await;
        peer.expect("RETR 1").await;
        peer.send("+OK\r\nwhole\r\n.\r\n").await;
        peer.silence().await;
    })
    .await;
    let mut session = connect(&server).await.unwrap();
    let mut messages = session.retr_many(&[1, 2]).unwrap();
    assert!(matches!(
        messages.next().await.unwrap(),
        Some(RetrievedEvent::Begin { number: 1 })
    ));
    drop(messages);
    assert_eq!(session.stat().await.unwrap_err().kind(), ErrorKind::State);
}

#[tokio::test]
async fn quit_tells_whether_the_deletes_were_done() {
    for (dele, answer, kind) in [
        (
            true,
            "-ERR some deleted messages not removed\r\n",
            Some(ErrorKind::Rejected),
        ),
        (true, "", Some(ErrorKind::ConnectionLost)),
        (false, "", None),
    ] {
        let server = serve(Security::ImplicitTls, move |mut peer: Peer| async move {
            sign_in(&mut peer, EXCHANGE).await;
            if dele {
                peer.expect("DELE 1").await;
                peer.send("+OK\r\n").await;
            }
            peer.expect("QUIT").await;
            peer.send(answer).await;
        })
        .await;
        let mut session = connect(&server).await.unwrap();
        if dele {
            session.dele(1).await.unwrap();
        }
        assert_eq!(
            session.quit().await.err().map(|error| error.kind()),
            kind,
            "{answer:?}"
        );
    }
}
