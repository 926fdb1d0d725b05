//! That messages arrive byte for byte, and in bounded pieces.

use std::io::Cursor;

use exomail::message::RawMessage;

use crate::dialogue::*;
use crate::support::{Peer, Scripted};

/// Takes one mail after the other.
async fn sink(offers: &'static [&'static str], inbox: &Inbox) -> Scripted {
    let inbox = inbox.clone();
    start(move |mut peer: Peer| {
        let inbox = inbox.clone();
        async move {
            welcome(&mut peer, offers).await;
            while peer.line().await.starts_with("MAIL") {
                // One by one: good for servers with pipelining and without.
                peer.send("250 ok\r\n").await;
                peer.expect("RCPT").await;
                peer.send("250 ok\r\n").await;
                if offers.contains(&"CHUNKING") {
                    inbox.put(chunks(&mut peer).await);
                } else {
                    peer.expect("DATA").await;
                    peer.send("354 go\r\n").await;
                    inbox.put(dotted(&mut peer).await);
                }
                peer.send(ACCEPTED).await;
            }
        }
    })
    .await
}

const CASES: &[(&str, &str)] = &[
    // Right as it is: no byte more, no byte less.
    ("a: b\r\n\r\nc\r\n", "a: b\r\n\r\nc\r\n"),
    ("a: b\r\n\r\nc\r\n\r\n", "a: b\r\n\r\nc\r\n\r\n"),
    // The smuggling pattern, in its forms.
    ("a: b\n\na\n.\nb", "a: b\r\n\r\na\r\n.\r\nb\r\n"),
    (
        "a: b\r\n\r\na\n.\r\nMAIL FROM:<eve@example.com>\r\n",
        "a: b\r\n\r\na\r\n.\r\nMAIL FROM:<eve@example.com>\r\n",
    ),
    ("a: b\r\n\r\na\r\n.\nb\r\n", "a: b\r\n\r\na\r\n.\r\nb\r\n"),
    ("a: b\r\n\r\na\r.\rb\r\n", "a: b\r\n\r\na\r\n.\r\nb\r\n"),
    ("a: b\r\n\r\na\r\n.\r\nb\r\n", "a: b\r\n\r\na\r\n.\r\nb\r\n"),
    ("a: b\r\n\r\na\r\n.\r", "a: b\r\n\r\na\r\n.\r\n"),
    // Dots.
    (".\r\n..\r\n...a\r\n.", ".\r\n..\r\n...a\r\n.\r\n"),
];

#[tokio::test]
async fn line_ends_are_made_right_and_nothing_else_is_changed() {
    for offers in [EXCHANGE, PIPELINING, PLAIN] {
        let inbox = Inbox::default();
        let server = sink(offers, &inbox).await;
        let mut session = connect(&server).await;
        let mut expected = Vec::new();
        for (sent, arrived) in CASES {
            send(&mut session, *sent).await.unwrap();
            let reader = RawMessage::from_reader(Cursor::new(*sent), None);
            send_raw(&mut session, reader).await.unwrap();
            expected.extend([*arrived, *arrived]);
        }
        assert_eq!(inbox.texts(), expected);
    }
}

#[tokio::test]
async fn a_file_arrives_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mail.eml");
    std::fs::write(&path, CASES[0].0).unwrap();
    let inbox = Inbox::default();
    let server = sink(EXCHANGE, &inbox).await;
    let mut session = connect(&server).await;
    send_raw(&mut session, RawMessage::from_file(&path))
        .await
        .unwrap();
    assert_eq!(inbox.texts(), [CASES[0].1]);
}

#[tokio::test]
async fn fifty_megabytes_arrive_in_bounded_pieces() {
    // Lines of many lengths, many with dots, so that every edge of every buffer falls everywhere.
    let mut text = String::with_capacity(51_000_000);
    let mut number = 0_usize;
    while text.len() < 50_000_000 {
        text.push_str(&".".repeat(number % 3));
        text.push_str(&"x".repeat(number * 7 % 998));
        text.push_str("\r\n");
        number += 1;
    }
    let bare = text.replace("\r\n", "\n");
    for (offers, message, flights) in [
        (EXCHANGE, RawMessage::from_bytes(text.clone()), 1),
        (
            EXCHANGE,
            RawMessage::from_reader(Cursor::new(bare.clone()), None),
            1,
        ),
        (PIPELINING, RawMessage::from_bytes(bare), 2),
    ] {
        let inbox = Inbox::default();
        let server = sink(offers, &inbox).await;
        let mut session = connect(&server).await;
        let before = session.flights();
        send_raw(&mut session, message).await.unwrap();
        // The script answers one by one, but nobody waits for that with CHUNKING.
        assert!(session.flights() - before <= flights, "{}", session.flights());
        let arrived = inbox.all();
        assert!(
            arrived == [text.as_bytes()],
            "{} bytes arrived",
            arrived.concat().len()
        );
    }
}
