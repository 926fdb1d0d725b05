//! Greeting, EHLO, STARTTLS, AUTH.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use exomail::sasl::Login;
use exomail::smtp::SmtpSession;
use exomail::token::{Refresh, TokenProvider};
use exomail::{Error, ErrorKind, Layer, Result, Security, StaticToken, Token};
use tokio::sync::Notify;

use crate::dialogue::*;
use crate::support::secrecy::{assert_absent, log};
use crate::support::{Peer, TOKEN, serve};

#[tokio::test]
async fn starttls_is_used_and_what_was_said_before_it_is_forgotten() {
    let server = serve(Security::StartTls, |mut peer: Peer| async move {
        peer.send("220-mx\r\n220 ready\r\n").await;
        peer.expect("EHLO [127.0.0.1]").await;
        peer.send("250-mx\r\n250-CHUNKING\r\n250-VRFY\r\n250 STARTTLS\r\n")
            .await;
        peer.expect("STARTTLS").await;
        peer.send("220 2.0.0 SMTP server ready\r\n").await;
        peer.start_tls().await;
        ehlo(&mut peer, &["PIPELINING", "SIZE 1000"]).await;
        peer.expect("AUTH XOAUTH2 ").await;
        peer.send("235 2.7.0 Authentication successful\r\n").await;
        peer.silence().await;
    })
    .await;
    let session = connect(&server).await;
    // EHLO, STARTTLS, EHLO, AUTH.
    assert_eq!(session.flights(), 4);
    assert!(session.capabilities().pipelining());
    assert!(!session.capabilities().chunking() && !session.capabilities().has("VRFY"));
    assert_eq!(session.capabilities().max_size(), Some(1000));
    assert!(!session.is_spent());
}

#[tokio::test]
async fn tls_from_the_start_takes_two_flights() {
    let server = start(|mut peer: Peer| async move {
        welcome(&mut peer, EXCHANGE).await;
        peer.silence().await;
    })
    .await;
    assert_eq!(connect(&server).await.flights(), 2);
}

#[tokio::test]
async fn without_starttls_nothing_is_said() {
    for refusal in [None, Some("454 4.7.0 TLS not available"), Some("502 5.5.1 no")] {
        let inbox = Inbox::default();
        let heard = inbox.clone();
        let server = serve(Security::StartTls, move |mut peer: Peer| {
            let heard = heard.clone();
            async move {
                peer.send("220 mx\r\n").await;
                peer.expect("EHLO ").await;
                match refusal {
                    None => peer.send("250-mx\r\n250 AUTH XOAUTH2\r\n").await,
                    Some(refusal) => {
                        peer.send("250-mx\r\n250-AUTH XOAUTH2\r\n250 STARTTLS\r\n").await;
                        peer.expect("STARTTLS").await;
                        peer.send(format!("{refusal}\r\n")).await;
                    }
                }
                heard.put(peer.until(b"never").await);
            }
        })
        .await;
        let error = connect_error(&server).await;
        match refusal {
            Some(refusal) if refusal.starts_with('4') => assert_eq!(error.kind(), ErrorKind::Unavailable),
            _ => assert_eq!(error.kind(), ErrorKind::Unsupported),
        }
        assert_eq!(error.operation(), "STARTTLS");
        while inbox.all().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(inbox.texts(), [""], "nothing may follow in clear text");
    }
}

#[tokio::test]
async fn plain_text_glued_behind_starttls_is_an_attack() {
    let server = serve(Security::StartTls, |mut peer: Peer| async move {
        peer.send("220 mx\r\n").await;
        peer.expect("EHLO ").await;
        peer.send("250-mx\r\n250 STARTTLS\r\n").await;
        peer.expect("STARTTLS").await;
        peer.send("220 go\r\n250-mx\r\n250 AUTH XOAUTH2\r\n235 2.7.0 ok\r\n")
            .await;
        peer.start_tls().await;
        peer.silence().await;
    })
    .await;
    let error = connect_error(&server).await;
    assert_eq!((error.kind(), error.layer()), (ErrorKind::Tls, Layer::Tls));
}

#[tokio::test]
async fn exchanges_refusal_is_kept_word_for_word() {
    let text = "535 5.7.3 Authentication unsuccessful [AM0PR06CA0126.eurprd06.prod.outlook.com \
                2024-02-14T14:50:26.590Z 08DC2D372B4C3DED]";
    let server = start(move |mut peer: Peer| async move {
        hello(&mut peer, EXCHANGE).await;
        peer.expect("AUTH XOAUTH2 ").await;
        peer.send(format!("{text}\r\n")).await;
        assert_eq!(peer.line().await, "", "535 is no reason to try another form");
    })
    .await;
    let error = connect_error(&server).await;
    assert_eq!(error.kind(), ErrorKind::AuthRejected);
    assert_eq!(error.operation(), "AUTH XOAUTH2");
    let reply = error.server().unwrap();
    assert_eq!(reply.text, text);
    assert_eq!(reply.code, Some(535));
    assert_eq!(reply.enhanced.as_deref(), Some("5.7.3"));
    assert_eq!(reply.challenge, None);
}

#[tokio::test]
async fn a_failure_challenge_is_answered_and_decoded() {
    // {"status":"invalid_token","schemes":"bearer"}
    let challenge = "eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIiwic2NoZW1lcyI6ImJlYXJlciJ9";
    for (mechanism, answer) in [("XOAUTH2", ""), ("OAUTHBEARER", "AQ==")] {
        let server = start(move |mut peer: Peer| async move {
            peer.send("220 mx\r\n").await;
            peer.expect("EHLO ").await;
            peer.send(format!("250-mx\r\n250 AUTH PLAIN {mechanism}\r\n"))
                .await;
            peer.expect(&format!("AUTH {mechanism} ")).await;
            peer.send(format!("334 {challenge}\r\n")).await;
            assert_eq!(peer.until(b"\r\n").await, format!("{answer}\r\n").as_bytes());
            peer.send("535 5.7.8 Error: authentication failed\r\n").await;
            peer.silence().await;
        })
        .await;
        let error = connect_error(&server).await;
        assert_eq!(error.kind(), ErrorKind::AuthRejected);
        let reply = error.server().unwrap();
        assert_eq!(reply.text, "535 5.7.8 Error: authentication failed");
        assert_eq!(
            reply.challenge.as_deref(),
            Some("status invalid_token, schemes bearer")
        );
    }
}

fn login_with(token: &str) -> Login {
    let expires = SystemTime::now() + Duration::from_secs(3600);
    Login::new("joe@example.com", StaticToken(Token::new(token, expires))).unwrap()
}

#[tokio::test]
async fn a_long_token_goes_in_two_steps() {
    // "user=joe@example.com^Aauth=Bearer " and "^A^A" around the token; 12,288 octets with command and CRLF.
    for (length, one_line) in [(9_166, true), (9_170, false), (20_000, false)] {
        let server = start(move |mut peer: Peer| async move {
            hello(&mut peer, PLAIN).await;
            let line = peer.expect("AUTH XOAUTH2").await;
            if one_line {
                assert!(line.len() + 2 <= 12_288 && line.len() > 12_270, "{}", line.len());
            } else {
                assert_eq!(line, "AUTH XOAUTH2");
                peer.send("334 \r\n").await;
                peer.expect("dXNlcj1qb2VAZXhhbXBsZS5jb20BYXV0aD1CZWFyZXIg").await;
            }
            peer.send("235 ok\r\n").await;
            peer.silence().await;
        })
        .await;
        let login = login_with(&"t".repeat(length));
        let session = SmtpSession::connect(&server.connector, &server.endpoint, &login)
            .await
            .unwrap();
        assert_eq!(session.flights(), if one_line { 2 } else { 3 });
    }
}

#[tokio::test]
async fn a_refusal_of_the_form_is_followed_by_the_other_form() {
    for refusal in [
        "500 5.3.3 Unrecognized command",
        "501 5.5.2 Cannot decode response",
        "501 syntax",
        "552 line too long",
    ] {
        let server = start(move |mut peer: Peer| async move {
            hello(&mut peer, PLAIN).await;
            let one_line = peer.expect("AUTH XOAUTH2 ").await;
            peer.send(format!("{refusal}\r\n")).await;
            assert_eq!(peer.line().await, "AUTH XOAUTH2");
            peer.send("334\r\n").await;
            assert_eq!(
                format!("AUTH XOAUTH2 {}", peer.line().await),
                one_line,
                "{refusal}"
            );
            peer.send("235 ok\r\n").await;
            peer.silence().await;
        })
        .await;
        connect(&server).await;
        assert_eq!(*server.connections.lock().unwrap(), 1);
    }
}

#[tokio::test]
async fn the_other_form_is_tried_once() {
    let server = start(|mut peer: Peer| async move {
        hello(&mut peer, PLAIN).await;
        peer.expect("AUTH XOAUTH2 ").await;
        peer.send("501 5.5.124 Invalid XOAUTH2 auth data\r\n").await;
        assert_eq!(peer.line().await, "AUTH XOAUTH2");
        peer.send("501 5.5.124 Invalid XOAUTH2 auth data, again\r\n")
            .await;
        assert_eq!(peer.line().await, "");
    })
    .await;
    let error = connect_error(&server).await;
    assert_eq!(
        error.server().unwrap().text,
        "501 5.5.124 Invalid XOAUTH2 auth data, again"
    );
}

#[tokio::test]
async fn a_refusal_of_the_form_is_told_where_the_server_hangs_up_behind_it() {
    let server = start(|mut peer: Peer| async move {
        hello(&mut peer, PLAIN).await;
        peer.expect("AUTH XOAUTH2 ").await;
        peer.send("500 5.5.2 Line too long\r\n").await;
    })
    .await;
    let error = connect_error(&server).await;
    assert_eq!(error.kind(), ErrorKind::AuthRejected);
    assert_eq!(error.server().unwrap().text, "500 5.5.2 Line too long");
}

#[tokio::test]
async fn a_server_that_asks_for_the_response_again_gets_it() {
    let server = start(|mut peer: Peer| async move {
        hello(&mut peer, PLAIN).await;
        let line = peer.expect("AUTH XOAUTH2 ").await;
        peer.send("334 \r\n").await;
        assert_eq!(format!("AUTH XOAUTH2 {}", peer.line().await), line);
        peer.send("235 ok\r\n").await;
        peer.silence().await;
    })
    .await;
    connect(&server).await;
}

#[tokio::test]
async fn challenges_without_end_are_given_up() {
    let server = start(|mut peer: Peer| async move {
        hello(&mut peer, PLAIN).await;
        loop {
            peer.line().await;
            peer.send("334 e30=\r\n").await;
        }
    })
    .await;
    assert_eq!(connect_error(&server).await.kind(), ErrorKind::Protocol);
}

#[tokio::test]
async fn a_server_without_a_mechanism_for_tokens_is_named() {
    for (offers, words) in [
        ("250 mx", "AUTH"),
        ("250-mx\r\n250 AUTH=PLAIN LOGIN", "PLAIN, LOGIN"),
    ] {
        let server = start(move |mut peer: Peer| async move {
            peer.send("220 mx\r\n").await;
            peer.expect("EHLO ").await;
            peer.send(format!("{offers}\r\n")).await;
            assert_eq!(peer.line().await, "");
        })
        .await;
        let error = connect_error(&server).await;
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.detail().contains(words), "{error}");
    }
}

#[tokio::test]
async fn a_bad_start_is_told() {
    for (greeting, kind) in [
        ("554 5.7.1 go away", ErrorKind::Rejected),
        ("421 4.3.2 Service not available", ErrorKind::Unavailable),
        ("HTTP/1.1 400 Bad Request", ErrorKind::Protocol),
        ("220mx", ErrorKind::Protocol),
    ] {
        let server = start(move |mut peer: Peer| async move {
            peer.send(format!("{greeting}\r\n")).await;
            peer.silence().await;
        })
        .await;
        let error = connect_error(&server).await;
        assert_eq!((error.kind(), error.layer()), (kind, Layer::Smtp), "{greeting}");
        assert_eq!(error.operation(), "greeting");
    }
    for refusal in ["502 5.5.1 what?", "421 4.3.2 busy"] {
        let server = start(move |mut peer: Peer| async move {
            peer.send("220 mx\r\n").await;
            peer.expect("EHLO").await;
            peer.send(format!("{refusal}\r\n")).await;
            peer.silence().await;
        })
        .await;
        let error = connect_error(&server).await;
        assert_eq!(error.operation(), "EHLO");
        assert_eq!(error.server().unwrap().text, refusal);
    }
}

#[tokio::test]
async fn a_silent_server_times_out_wherever_it_falls_silent() {
    for (said, operation) in [
        ("", "greeting"),
        ("220-mx\r\n", "greeting"),
        ("220 mx\r\n", "EHLO"),
        ("220 mx\r\n250-mx\r\n", "EHLO"),
    ] {
        let server = impatient(
            start(move |mut peer: Peer| async move {
                peer.send(said).await;
                peer.silence().await;
            })
            .await,
        );
        let error = connect_error(&server).await;
        assert_eq!(
            (error.kind(), error.operation()),
            (ErrorKind::TimedOut, operation)
        );
    }
    let server = impatient(
        start(|mut peer: Peer| async move {
            hello(&mut peer, PLAIN).await;
            peer.line().await;
            peer.send("235-half\r\n").await;
            peer.silence().await;
        })
        .await,
    );
    let error = connect_error(&server).await;
    assert_eq!((error.kind(), error.operation()), (ErrorKind::TimedOut, "AUTH"));
}

#[tokio::test]
async fn no_secret_is_kept_wherever_the_server_says_it_back() {
    let server = start(|mut peer: Peer| async move {
        hello(&mut peer, PLAIN).await;
        let line = peer.expect("AUTH XOAUTH2 ").await;
        peer.send(format!("500 5.3.3 Unrecognized command '{line}'\r\n"))
            .await;
        peer.expect("AUTH XOAUTH2").await;
        peer.send("334 \r\n").await;
        let response = peer.line().await;
        peer.send(format!(
            "535-5.7.3 {response}\r\n535-{TOKEN}\r\n535 {}\r\n",
            &response[20..60]
        ))
        .await;
        peer.silence().await;
    })
    .await;
    let error = connect_error(&server).await;
    let mut said = format!("{error} {error:?} {}", error.to_json());
    for line in server.transcript.lines() {
        said.push_str(&line.text);
        said.push('\n');
    }
    assert!(said.contains("535-5.7.3 [redacted]"), "{said}");
    let response = "dXNlcj1qb2VAZXhhbXBsZS5jb20BYXV0aD1CZWFyZXIg";
    for secret in [TOKEN, &TOKEN[..20], response, &response[20..40]] {
        assert!(!said.contains(secret), "{secret} in {said}");
    }
}

#[tokio::test]
async fn neither_token_nor_mail_is_logged() {
    let log = log();
    for offers in [EXCHANGE, PIPELINING] {
        let server = start(move |mut peer: Peer| async move {
            welcome(&mut peer, offers).await;
            opening(&mut peer, 1).await;
            if offers.contains(&"CHUNKING") {
                chunks(&mut peer).await;
                peer.send(all_fine(1)).await;
            } else {
                peer.expect("DATA").await;
                peer.send(all_fine(1) + "354 go\r\n").await;
                dotted(&mut peer).await;
            }
            peer.send(ACCEPTED).await;
            peer.silence().await;
        })
        .await;
        let body = "a body that is nobody's business\r\n";
        send(&mut connect(&server).await, body).await.unwrap();
        let said = format!("{:?}", server.transcript.lines());
        assert!(said.contains("[message, 34 bytes]"), "{said}");
        let logged = log.text();
        let texts = [("the log", logged.as_str()), ("the transcript", &said)];
        assert_absent(&[TOKEN, body.trim_end()], &texts);
    }
    // The net is out.
    assert!(log.text().contains("exomail::wire"));
}

#[tokio::test]
async fn a_server_that_only_says_back_what_it_hears_gets_no_token_into_the_error() {
    for two_steps in [false, true] {
        let server = start(move |mut peer: Peer| async move {
            hello(&mut peer, PLAIN).await;
            let mut line = peer.line().await;
            if two_steps {
                peer.send("500 what?\r\n").await;
                peer.expect("AUTH").await;
                peer.send("334 \r\n").await;
                line = peer.line().await;
            }
            peer.send(line + "\r\n").await;
            peer.silence().await;
        })
        .await;
        let error = connect_error(&server).await;
        assert_eq!(error.kind(), ErrorKind::Protocol);
        let said = format!("{error:?} {}", error.to_json());
        assert!(said.contains("[redacted]"), "{said}");
        assert!(!said.contains("dXNlcj1q"), "{said}");
    }
}

/// Hands out its token once the server has greeted, and lets the server go on once it was asked.
#[derive(Debug)]
struct Entangled {
    asked: Arc<Notify>,
    heard: Arc<Notify>,
}

impl TokenProvider for Entangled {
    fn token(&self, _: Refresh) -> futures_util::future::BoxFuture<'_, Result<Token>> {
        Box::pin(async {
            self.asked.notify_one();
            self.heard.notified().await;
            Ok(Token::new(TOKEN, SystemTime::now() + Duration::from_secs(3600)))
        })
    }
}

#[tokio::test]
async fn the_token_is_fetched_while_connecting() {
    let (asked, heard) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let provider = Entangled {
        asked: asked.clone(),
        heard: heard.clone(),
    };
    let server = start(move |mut peer: Peer| {
        let (asked, heard) = (asked.clone(), heard.clone());
        async move {
            asked.notified().await;
            peer.send("220 mx\r\n").await;
            peer.expect("EHLO ").await;
            heard.notify_one();
            peer.send("250-mx\r\n250 AUTH XOAUTH2\r\n").await;
            peer.expect("AUTH XOAUTH2 ").await;
            peer.send("235 ok\r\n").await;
            peer.silence().await;
        }
    })
    .await;
    let login = Login::new("joe@example.com", provider).unwrap();
    SmtpSession::connect(&server.connector, &server.endpoint, &login)
        .await
        .unwrap();
}

#[derive(Debug)]
struct NoToken;

impl TokenProvider for NoToken {
    fn token(&self, _: Refresh) -> futures_util::future::BoxFuture<'_, Result<Token>> {
        Box::pin(async { Err(Error::new(ErrorKind::CredentialExpired, "token", "expired")) })
    }
}

#[tokio::test]
async fn without_a_token_nobody_waits_for_the_server() {
    let server = start(|mut peer: Peer| async move { peer.silence().await }).await;
    let login = Login::new("joe@example.com", NoToken).unwrap();
    let error = SmtpSession::connect(&server.connector, &server.endpoint, &login)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CredentialExpired);
}

#[tokio::test]
async fn a_user_cant_carry_a_command() {
    for user in [
        "joe@example.com\r\nRSET",
        "joe\n",
        "joe\0",
        "joe\x01auth=Bearer x",
    ] {
        let token = Token::new(TOKEN, SystemTime::now());
        assert_eq!(
            Login::new(user, StaticToken(token)).unwrap_err().kind(),
            ErrorKind::InvalidArgument
        );
    }
    let server = start(|mut peer: Peer| async move {
        hello(&mut peer, PLAIN).await;
        assert_eq!(peer.line().await, "");
    })
    .await;
    let login = login_with("token\r\nRSET");
    let error = SmtpSession::connect(&server.connector, &server.endpoint, &login)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
}
