//! Servers that fall silent, hang up, talk nonsense; callers that go away.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use exomail::message::RawMessage;
use exomail::{ErrorKind, Retry};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::mpsc;

use crate::dialogue::*;
use crate::support::Peer;

/// Lets everything that is under way on this thread come to rest.
async fn settle() {
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_send_that_is_dropped_never_leaves_its_reply_to_the_next() {
    let (said, mut heard) = mpsc::channel(1);
    let server = start(move |mut peer: Peer| {
        let said = said.clone();
        async move {
            welcome(&mut peer, PIPELINING).await;
            opening(&mut peer, 1).await;
            peer.expect("DATA").await;
            said.send(()).await.unwrap();
            // The replies come when nobody waits for them any more.
            settle().await;
            peer.send(all_fine(1) + "354 go\r\n").await;
            peer.silence().await;
        }
    })
    .await;
    let mut session = connect(&server).await;
    {
        let dropped = send(&mut session, MESSAGE);
        tokio::select! {
            _ = dropped => panic!("the server has not answered"),
            _ = heard.recv() => {}
        }
    }
    let error = send(&mut session, MESSAGE).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::State);
    assert!(error.server().is_none(), "a stale reply: {error}");
    assert!(session.is_spent());
    assert_eq!(session.noop().await.unwrap_err().kind(), ErrorKind::State);
}

#[tokio::test]
async fn silence_before_the_message_is_out_is_a_time_out() {
    let server = impatient(
        start(|mut peer: Peer| async move {
            welcome(&mut peer, PIPELINING).await;
            peer.silence().await;
        })
        .await,
    );
    let mut session = connect(&server).await;
    let error = send(&mut session, MESSAGE).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.operation()),
        (ErrorKind::TimedOut, "MAIL FROM")
    );
    assert!(session.is_spent());
}

#[tokio::test]
async fn after_the_message_is_out_the_outcome_is_unknown() {
    for (chunking, silent) in [(true, true), (true, false), (false, true), (false, false)] {
        let server = impatient(
            start(move |mut peer: Peer| async move {
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
                if silent {
                    peer.silence().await;
                }
            })
            .await,
        );
        let mut session = connect(&server).await;
        let error = send(&mut session, MESSAGE).await.unwrap_err();
        assert_eq!(
            error.kind(),
            ErrorKind::OutcomeUnknown,
            "{chunking} {silent} {error}"
        );
        assert!(error.hint().unwrap().contains("Message-ID"));
        assert!(session.is_spent());
    }
}

#[tokio::test]
async fn a_verdict_that_is_none_leaves_the_outcome_unknown() {
    for verdict in ["354 go on", "100 wait", "what?"] {
        let server = start(move |mut peer: Peer| async move {
            welcome(&mut peer, EXCHANGE).await;
            opening(&mut peer, 1).await;
            chunks(&mut peer).await;
            peer.send(all_fine(1) + verdict + "\r\n").await;
            peer.silence().await;
        })
        .await;
        let mut session = connect(&server).await;
        let error = send(&mut session, MESSAGE).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error}");
    }
}

#[tokio::test]
async fn a_refusal_that_came_before_the_cut_settles_the_outcome() {
    let server = start(|mut peer: Peer| async move {
        welcome(&mut peer, EXCHANGE).await;
        opening(&mut peer, 1).await;
        chunks(&mut peer).await;
        peer.send("250 ok\r\n550 5.1.1 no such user\r\n").await;
    })
    .await;
    let mut session = connect(&server).await;
    let error = send(&mut session, MESSAGE).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RecipientsRejected);
    assert!(session.is_spent());
}

#[tokio::test]
async fn a_cut_before_the_end_of_the_message_is_safe_to_repeat() {
    for offers in [EXCHANGE, PIPELINING] {
        let server = start(move |mut peer: Peer| async move {
            welcome(&mut peer, offers).await;
            opening(&mut peer, 1).await;
            if !offers.contains(&"CHUNKING") {
                peer.expect("DATA").await;
                peer.send(all_fine(1) + "354 go\r\n").await;
            }
            peer.bytes(300_000).await;
        })
        .await;
        let mut session = connect(&server).await;
        let error = send(&mut session, "0123456789abcd\r\n".repeat(2_000_000))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionLost, "{error}");
        assert!(session.is_spent());
    }
}

#[tokio::test]
async fn a_connection_that_ended_between_mails_is_noticed_before_anything_is_sent() {
    for farewell in [
        "",
        "421 4.4.2 idle too long\r\n",
        "451 4.4.2 idle too long\r\n",
        "bye",
    ] {
        let (said, mut heard) = mpsc::channel(1);
        let server = start(move |mut peer: Peer| {
            let said = said.clone();
            async move {
                welcome(&mut peer, EXCHANGE).await;
                opening(&mut peer, 1).await;
                chunks(&mut peer).await;
                peer.send(all_fine(1) + ACCEPTED).await;
                // The client has taken the replies.
                peer.expect("NOOP").await;
                peer.send("250 ok\r\n").await;
                settle().await;
                peer.send(farewell).await;
                drop(peer);
                said.send(()).await.unwrap();
            }
        })
        .await;
        let mut session = connect(&server).await;
        send(&mut session, MESSAGE).await.unwrap();
        session.noop().await.unwrap();
        let flights = session.flights();
        heard.recv().await.unwrap();
        settle().await;
        let error = send(&mut session, MESSAGE).await.unwrap_err();
        let kind = match farewell.get(..3) {
            None => ErrorKind::ConnectionLost,
            Some("421") => ErrorKind::Unavailable,
            Some(_) => ErrorKind::Protocol,
        };
        assert_eq!((error.kind(), error.retry()), (kind, Retry::Backoff), "{error}");
        assert_eq!(session.flights(), flights);
        assert!(session.is_spent());
    }
}

#[tokio::test]
async fn nonsense_ends_the_session() {
    let endless = "250-x\r\n".repeat(1001);
    let long = format!("250 {}\r\n", "x".repeat(5000));
    let unending = "x".repeat(10_000);
    for nonsense in [
        "354 go ahead\r\n",
        "100 what\r\n",
        "hello\r\n",
        "\r\n",
        "25\r\n",
        endless.as_str(),
        long.as_str(),
        unending.as_str(),
    ] {
        let nonsense = nonsense.to_owned();
        let server = start(move |mut peer: Peer| {
            let nonsense = nonsense.clone();
            async move {
                welcome(&mut peer, PIPELINING).await;
                opening(&mut peer, 1).await;
                peer.expect("DATA").await;
                peer.send(nonsense).await;
                peer.silence().await;
            }
        })
        .await;
        let mut session = connect(&server).await;
        let error = send(&mut session, MESSAGE).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
        assert!(session.is_spent());
    }
}

#[tokio::test]
async fn go_ahead_is_the_only_answer_to_data() {
    let server = start(|mut peer: Peer| async move {
        welcome(&mut peer, PIPELINING).await;
        opening(&mut peer, 1).await;
        peer.expect("DATA").await;
        peer.send(all_fine(1) + "250 ok\r\n").await;
        assert_eq!(peer.line().await, "", "no message may follow");
    })
    .await;
    let mut session = connect(&server).await;
    let error = send(&mut session, MESSAGE).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(session.is_spent());
}

#[tokio::test]
async fn a_positive_reply_to_half_a_message_is_not_believed() {
    let server = start(|mut peer: Peer| async move {
        welcome(&mut peer, PIPELINING).await;
        opening(&mut peer, 1).await;
        peer.expect("DATA").await;
        peer.send(all_fine(1) + "354 go\r\n").await;
        peer.bytes(100_000).await;
        peer.send("250 2.0.0 OK\r\n").await;
        let rest = peer.until(b"\r\n.\r\n").await;
        assert!(!rest.ends_with(b"\r\n.\r\n"), "the message was ended");
    })
    .await;
    let mut session = connect(&server).await;
    let error = send(&mut session, "0123456789abcd\r\n".repeat(2_000_000))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
}

/// Gives lines, then an error.
struct Failing(usize);

impl AsyncRead for Failing {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.0 == 0 {
            return Poll::Ready(Err(std::io::Error::other("the disk is gone")));
        }
        let line = b"a line of a message\r\n";
        let count = line.len().min(buffer.remaining());
        buffer.put_slice(&line[..count]);
        self.0 -= 1;
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_reader_that_fails_midway_sends_no_half_message() {
    for offers in [EXCHANGE, PIPELINING, &["CHUNKING"]] {
        let (said, mut heard) = mpsc::channel(1);
        let server = start(move |mut peer: Peer| {
            let said = said.clone();
            async move {
                welcome(&mut peer, offers).await;
                if offers.contains(&"PIPELINING") {
                    opening(&mut peer, 1).await;
                    if !offers.contains(&"CHUNKING") {
                        peer.expect("DATA").await;
                        peer.send(all_fine(1) + "354 go\r\n").await;
                    }
                } else {
                    for _ in 0..2 {
                        peer.line().await;
                        peer.send("250 ok\r\n").await;
                    }
                    for _ in 0..2 {
                        chunk(&mut peer).await;
                        peer.send("250 ok\r\n").await;
                    }
                }
                said.send(peer.until(b"never").await).await.unwrap();
            }
        })
        .await;
        let mut session = connect(&server).await;
        let message = RawMessage::from_reader(Failing(125_000), None);
        let error = send_raw(&mut session, message).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LocalIo, "{error}");
        assert!(error.to_string().contains("the disk is gone"));
        assert!(session.is_spent());
        let rest = String::from_utf8(heard.recv().await.unwrap()).unwrap();
        assert!(!rest.contains("LAST") && !rest.contains("\r\n.\r\n"));
    }
}

#[tokio::test]
async fn a_reader_that_fails_at_once_spoils_nothing() {
    let server = start(|mut peer: Peer| async move {
        welcome(&mut peer, EXCHANGE).await;
        opening(&mut peer, 1).await;
        chunks(&mut peer).await;
        peer.send(all_fine(1) + ACCEPTED).await;
        peer.silence().await;
    })
    .await;
    let mut session = connect(&server).await;
    let message = RawMessage::from_reader(Failing(3), None);
    assert_eq!(
        send_raw(&mut session, message).await.unwrap_err().kind(),
        ErrorKind::LocalIo
    );
    send(&mut session, MESSAGE).await.unwrap();
}

/// A gigabyte of lines, and how much of it was asked for.
struct Counting(Arc<AtomicUsize>);

impl AsyncRead for Counting {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let line = b"a line of a message\r\n";
        while buffer.remaining() >= line.len() {
            buffer.put_slice(line);
        }
        let total = self.0.fetch_add(buffer.filled().len(), Ordering::Relaxed);
        if total > 1_000_000_000 {
            buffer.clear();
        }
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_server_that_stops_reading_stops_us_with_little_in_memory() {
    for offers in [EXCHANGE, PIPELINING] {
        let server = impatient(
            start(move |mut peer: Peer| async move {
                welcome(&mut peer, offers).await;
                opening(&mut peer, 1).await;
                if !offers.contains(&"CHUNKING") {
                    peer.expect("DATA").await;
                    peer.send(all_fine(1) + "354 go\r\n").await;
                }
                std::future::pending::<()>().await;
                drop(peer);
            })
            .await,
        );
        let mut session = connect(&server).await;
        let total = Arc::new(AtomicUsize::new(0));
        let message = RawMessage::from_reader(Counting(total.clone()), None);
        let error = send_raw(&mut session, message).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        // Most of it is in the sockets' own buffers.
        let total = total.load(Ordering::Relaxed);
        assert!(total < 16 * 1024 * 1024, "{total} bytes were read ahead");
    }
}
