//! POP3 from TCP to a session that is signed in: against scripted servers, good and bad.
#![allow(clippy::unwrap_used, reason = "a test that fails should panic")]

mod support;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use exomail::pop3::Pop3Session;
use exomail::sasl::Login;
use exomail::token::Refresh;
use exomail::{ErrorKind, Layer, Security, StaticToken, Token, TokenProvider};
use support::pop3::{EXCHANGE, GREETING, connect, said};
use support::{Peer, TOKEN, login, serve};

#[tokio::test]
async fn stls_is_used_and_what_was_said_before_it_is_asked_again() {
    let server = serve(Security::StartTls, |mut peer: Peer| async move {
        peer.send(GREETING).await;
        peer.expect("CAPA").await;
        peer.send("+OK\r\nSTLS\r\nSASL PLAIN\r\n.\r\n").await;
        peer.expect("STLS").await;
        peer.send("+OK Begin TLS negotiation.\r\n").await;
        peer.start_tls().await;
        peer.expect("CAPA").await;
        peer.send(EXCHANGE).await;
        peer.expect("AUTH XOAUTH2").await;
        peer.send("+\r\n").await;
        peer.line().await;
        peer.send("+OK\r\n").await;
        peer.silence().await;
    })
    .await;
    let session = connect(&server).await.unwrap();
    assert!(!session.capabilities().has("STLS"));
    assert_eq!(session.flights(), 5);
}

#[tokio::test]
async fn nothing_is_said_without_tls() {
    for (capa, stls) in [
        ("+OK\r\nSASL XOAUTH2\r\n.\r\n", ""),
        ("-ERR unknown command\r\n", "-ERR unknown command\r\n"),
        ("+OK\r\nSTLS\r\n.\r\n", "-ERR TLS is not available\r\n"),
    ] {
        let server = serve(Security::StartTls, move |mut peer: Peer| async move {
            peer.send(GREETING).await;
            peer.expect("CAPA").await;
            peer.send(capa).await;
            if !stls.is_empty() {
                peer.expect("STLS").await;
                peer.send(stls).await;
            }
            peer.silence().await;
        })
        .await;
        let error = connect(&server).await.unwrap_err();
        let expected: &[&str] = if stls.is_empty() {
            &["CAPA"]
        } else {
            &["CAPA", "STLS"]
        };
        assert_eq!(said(&server), expected);
        assert_eq!(
            (error.kind(), error.layer()),
            (ErrorKind::Unsupported, Layer::Pop3),
            "{error}"
        );
        assert_eq!(error.server().is_some(), !stls.is_empty());
    }
}

#[tokio::test]
async fn plain_text_glued_behind_stls_is_an_attack() {
    let server = serve(Security::StartTls, |mut peer: Peer| async move {
        peer.send(GREETING).await;
        peer.expect("CAPA").await;
        peer.send("+OK\r\nSTLS\r\n.\r\n").await;
        peer.expect("STLS").await;
        peer.send("+OK go\r\n+OK\r\nSASL PLAIN\r\n.\r\n").await;
        peer.silence().await;
    })
    .await;
    assert_eq!(connect(&server).await.unwrap_err().kind(), ErrorKind::Tls);
}

#[tokio::test]
async fn exchanges_refusal_is_kept_word_for_word() {
    const REFUSAL: &str = "Authentication failure: unknown user name or bad password.";
    let server = serve(Security::ImplicitTls, |mut peer: Peer| async move {
        peer.send(GREETING).await;
        peer.expect("CAPA").await;
        peer.send("-ERR Command is not valid in this state.\r\n").await;
        // Without CAPA there is only one mechanism to try.
        assert_eq!(peer.line().await, "AUTH XOAUTH2");
        peer.send("+\r\n").await;
        peer.line().await;
        peer.send(format!("-ERR {REFUSAL}\r\n")).await;
        assert_eq!(
            peer.line().await,
            "",
            "nothing may be said after a direct refusal"
        );
    })
    .await;
    let error = connect(&server).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AuthRejected);
    assert_eq!(error.layer(), Layer::Pop3);
    assert!(error.server().unwrap().text.contains(REFUSAL), "{error}");
}

#[tokio::test]
async fn a_failure_challenge_is_answered_and_decoded() {
    for (mechanism, answer) in [("XOAUTH2", ""), ("OAUTHBEARER", "AQ==")] {
        let server = serve(Security::ImplicitTls, move |mut peer: Peer| async move {
            peer.send("+OK Dovecot ready.\r\n").await;
            peer.expect("CAPA").await;
            peer.send(format!("+OK\r\nSASL PLAIN {mechanism}\r\n.\r\n")).await;
            assert_eq!(peer.line().await, format!("AUTH {mechanism}"));
            peer.send("+ \r\n").await;
            let response = peer.line().await;
            let challenge = r#"{"status":"invalid_token","scope":"mail"}"#;
            peer.send(format!("+ {}\r\n", BASE64_STANDARD.encode(challenge)))
                .await;
            // `line` also gives an empty text when the client has hung up: `bytes` tells the two apart.
            assert_eq!(
                peer.bytes(answer.len() + 2).await,
                format!("{answer}\r\n").as_bytes()
            );
            // The server echoes what it was sent: it must not get into the error.
            peer.send(format!("-ERR [AUTH] Authentication failed: {response}\r\n"))
                .await;
            peer.silence().await;
        })
        .await;
        let error = connect(&server).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AuthRejected, "{error}");
        let reply = error.server().unwrap();
        assert_eq!(
            reply.challenge.as_deref(),
            Some("status invalid_token, scope mail")
        );
        assert!(
            reply.text.contains("Authentication failed: [redacted]"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn the_servers_echo_of_a_token_is_blanked() {
    let server = serve(Security::ImplicitTls, |mut peer: Peer| async move {
        peer.send(GREETING).await;
        peer.expect("CAPA").await;
        peer.send(EXCHANGE).await;
        peer.expect("AUTH XOAUTH2").await;
        peer.send("+\r\n").await;
        let response = peer.line().await;
        peer.send(format!("-ERR {response} holds the token {TOKEN}\r\n"))
            .await;
        peer.silence().await;
    })
    .await;
    let error = connect(&server).await.unwrap_err();
    let said = format!("{error} {:?}", server.transcript.lines());
    assert!(
        said.contains("-ERR [redacted] holds the token [redacted]"),
        "{said}"
    );
    assert!(!said.contains(&TOKEN[..20]), "{said}");
}

#[tokio::test]
async fn challenges_without_end_are_given_up() {
    let server = serve(Security::ImplicitTls, |mut peer: Peer| async move {
        peer.send(GREETING).await;
        peer.expect("CAPA").await;
        peer.send(EXCHANGE).await;
        peer.expect("AUTH").await;
        for _ in 0..1_000 {
            peer.send("+ eyJ9\r\n").await;
        }
        peer.silence().await;
    })
    .await;
    assert_eq!(connect(&server).await.unwrap_err().kind(), ErrorKind::Protocol);
}

#[tokio::test]
async fn a_token_too_long_for_exchange_is_explained() {
    for (length, hinted) in [(4_097, true), (1_500, false)] {
        let server = serve(Security::ImplicitTls, |mut peer: Peer| async move {
            peer.send(GREETING).await;
            peer.expect("CAPA").await;
            peer.send(EXCHANGE).await;
            assert_eq!(peer.line().await, "AUTH XOAUTH2");
            peer.send("+\r\n").await;
            peer.line().await;
            peer.send("-ERR Protocol error. Connection is closed. 10\r\n")
                .await;
        })
        .await;
        let token = Token::new("a".repeat(length), SystemTime::now() + Duration::from_secs(60));
        let login = Login::new("joe@example.com", StaticToken(token)).unwrap();
        let error = Pop3Session::connect(&server.connector, &server.endpoint, &login)
            .await
            .unwrap_err();
        assert!(
            error.server().unwrap().text.contains("Connection is closed. 10"),
            "{error}"
        );
        assert_eq!(
            error.hint().is_some_and(|hint| hint.contains("4097 characters")),
            hinted,
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_server_without_a_mechanism_for_tokens_is_named() {
    let server = serve(Security::ImplicitTls, |mut peer: Peer| async move {
        peer.send(GREETING).await;
        peer.expect("CAPA").await;
        peer.send("+OK\r\nSASL PLAIN LOGIN\r\n.\r\n").await;
        peer.silence().await;
    })
    .await;
    let error = connect(&server).await.unwrap_err();
    assert_eq!(said(&server), ["CAPA"]);
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.detail().contains("PLAIN"), "{error}");
}

#[tokio::test]
async fn a_bad_start_is_told() {
    for (greeting, kind) in [
        ("-ERR [SYS/TEMP] later\r\n", ErrorKind::Unavailable),
        ("* OK IMAP4 ready\r\n", ErrorKind::Protocol),
        ("", ErrorKind::ConnectionLost),
    ] {
        let server = serve(Security::ImplicitTls, move |mut peer: Peer| async move {
            peer.send(greeting).await
        })
        .await;
        let error = connect(&server).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{greeting:?}: {error}");
        assert_eq!(error.operation(), "greeting");
    }
}

#[tokio::test]
async fn a_silent_server_times_out() {
    let server = serve(Security::ImplicitTls, |mut peer: Peer| async move {
        peer.silence().await
    })
    .await;
    let connector = server.connector.clone().with_timeouts(exomail::Timeouts {
        step: Duration::from_millis(50),
        ..server.connector.timeouts().clone()
    });
    let error = Pop3Session::connect(&connector, &server.endpoint, &login())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
}

/// A provider that is asked while the greeting is outstanding, and answers once CAPA was said.
#[derive(Debug)]
struct Rendezvous {
    asked: Arc<tokio::sync::Notify>,
    answer: Arc<tokio::sync::Notify>,
}

impl TokenProvider for Rendezvous {
    fn token(&self, _: Refresh) -> futures_util::future::BoxFuture<'_, exomail::Result<Token>> {
        Box::pin(async {
            self.asked.notify_one();
            self.answer.notified().await;
            Ok(Token::new(TOKEN, SystemTime::now() + Duration::from_secs(60)))
        })
    }
}

#[tokio::test]
async fn the_token_is_fetched_while_the_server_is_reached() {
    let (asked, answer) = (
        Arc::<tokio::sync::Notify>::default(),
        Arc::<tokio::sync::Notify>::default(),
    );
    let provider = Rendezvous {
        asked: asked.clone(),
        answer: answer.clone(),
    };
    let server = serve(Security::ImplicitTls, move |mut peer: Peer| {
        let (asked, answer) = (asked.clone(), answer.clone());
        async move {
            asked.notified().await;
            peer.send(GREETING).await;
            peer.expect("CAPA").await;
            answer.notify_one();
            peer.send(EXCHANGE).await;
            peer.expect("AUTH XOAUTH2").await;
            peer.send("+\r\n").await;
            peer.line().await;
            peer.send("+OK\r\n").await;
            peer.silence().await;
        }
    })
    .await;
    let login = Login::new("joe@example.com", provider).unwrap();
    Pop3Session::connect(&server.connector, &server.endpoint, &login)
        .await
        .unwrap();
}
