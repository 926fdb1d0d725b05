//! Greeting to open folder.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use exomail::imap::{Access, Flag, ImapSession};
use exomail::sasl::Login;
use exomail::{ErrorKind, Layer, Retry, Security, StaticToken, Step, Token};

use super::support::{Peer, Scripted, TOKEN, login, serve};
use super::{AFTER, BEFORE, GREETING, SELECTED, connect, dialogue, open, response};

async fn sign_in_only(server: &Scripted) -> exomail::Result<ImapSession> {
    ImapSession::connect(&server.connector, &server.endpoint, &login()).await
}

/// Greeting and capabilities.
async fn begin(peer: &mut Peer) {
    peer.send(GREETING).await;
    peer.expect("A1 CAPABILITY").await;
    peer.send(format!("{BEFORE}A1 OK CAPABILITY completed.\r\n"))
        .await;
}

#[tokio::test]
async fn login_and_select_are_two_flights() {
    let server = dialogue(
        AFTER,
        &[(
            "A6 LOGOUT",
            "* BYE Microsoft Exchange Server 2016 IMAP4 server signing off.\r\nA6 OK LOGOUT completed.\r\n",
        )],
    )
    .await;
    let session = connect(&server).await;
    assert_eq!(session.flights(), 2);
    let selected = session.selected().unwrap();
    assert_eq!(
        (selected.exists, selected.uid_validity, selected.uid_next),
        (6995, 14, Some(22588))
    );
    assert_eq!(selected.permanent_flags.len(), 6);
    assert!(selected.permanent_flags.contains(&Flag::MdnSent));
    assert!(!selected.read_only && !selected.keywords_allowed);
    assert!(session.capabilities().has("MOVE"), "those behind the login");
    assert!(!format!("{session:?}").contains(TOKEN));
    session.logout().await.unwrap();
    let transcript: String = server
        .transcript
        .lines()
        .iter()
        .map(|line| format!("{line}\n"))
        .collect();
    assert!(!transcript.contains(&response()), "{transcript}");
}

#[tokio::test]
async fn examine_is_read_only() {
    let server = serve(Security::ImplicitTls, |mut peer: Peer| async move {
        begin(&mut peer).await;
        for expected in ["A2 AUTHENTICATE XOAUTH2 ", "A3 CAPABILITY", "A4 NAMESPACE", "A5 EXAMINE \"Entw&APw-rfe\""] {
            peer.expect(expected).await;
        }
        let examined = SELECTED.replace("(\\Seen \\Answered \\Flagged \\Deleted \\Draft $MDNSent)] Perm", "()] Perm");
        peer.send(format!(
            "A2 OK AUTHENTICATE completed.\r\n{AFTER}A3 OK CAPABILITY completed.\r\nA4 OK NAMESPACE completed.\r\n\
             {examined}A5 OK [READ-ONLY] EXAMINE completed.\r\n"
        ))
        .await;
        peer.silence().await;
    })
    .await;
    let (_, selected) = ImapSession::connect_selected(
        &server.connector,
        &server.endpoint,
        &login(),
        "Entwürfe",
        Access::ReadOnly,
    )
    .await
    .unwrap();
    assert!(selected.read_only && selected.permanent_flags.is_empty());
    assert_eq!(selected.folder, "Entwürfe");
}

/// A line behind AUTHENTICATE would be taken for the answer to a challenge (RFC 9051 §5.5).
#[tokio::test]
async fn other_servers_are_sent_nothing_before_the_verdict() {
    let server = serve(Security::ImplicitTls, |mut peer: Peer| async move {
        peer.send("* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] Dovecot ready.\r\n")
            .await;
        peer.expect("A1 AUTHENTICATE XOAUTH2 ").await;
        peer.send("A1 OK [CAPABILITY IMAP4rev1 IDLE] in\r\n").await;
        peer.expect("A2 CAPABILITY").await;
        peer.expect("A3 NAMESPACE").await;
        peer.expect("A4 SELECT \"INBOX\"").await;
        // A server without NAMESPACE is none the worse for it.
        peer.send(
            "* CAPABILITY IMAP4rev1 IDLE\r\nA2 OK\r\nA3 BAD Unknown command\r\n* 3 EXISTS\r\nA4 OK\r\n",
        )
        .await;
        peer.silence().await;
    })
    .await;
    let session = connect(&server).await;
    assert_eq!(session.flights(), 2);
    assert!(session.capabilities().has("IDLE"));
    assert_eq!(session.selected().unwrap().exists, 3);
}

#[tokio::test]
async fn without_sasl_ir_it_takes_two_steps() {
    // Exchange sends the bare `+`, others with a blank.
    for (plus, greeting, flights) in [
        ("+\r\n", "The Microsoft Exchange IMAP4 service is ready.", 2),
        ("+ \r\n", "ready", 3),
    ] {
        let server = serve(Security::ImplicitTls, move |mut peer: Peer| async move {
            peer.send(format!("* OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2] {greeting}\r\n"))
                .await;
            assert_eq!(peer.line().await, "A1 AUTHENTICATE XOAUTH2");
            peer.send(plus).await;
            assert_eq!(peer.line().await, response());
            if flights == 3 {
                peer.send("A1 OK in\r\n").await;
            }
            peer.expect("A2 CAPABILITY").await;
            peer.expect("A3 NAMESPACE").await;
            if flights == 2 {
                peer.send("A1 OK in\r\n").await;
            }
            peer.send("* CAPABILITY IMAP4rev1\r\nA2 OK\r\nA3 OK\r\n").await;
            peer.silence().await;
        })
        .await;
        assert_eq!(sign_in_only(&server).await.unwrap().flights(), flights);
    }
}

#[tokio::test]
async fn a_server_that_passes_over_the_response_may_ask_for_it() {
    let server = serve(Security::ImplicitTls, |mut peer: Peer| async move {
        peer.send("* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] ready\r\n")
            .await;
        peer.expect("A1 AUTHENTICATE XOAUTH2 ").await;
        peer.send("+ \r\n").await;
        assert_eq!(peer.line().await, response());
        peer.send("A1 OK in\r\n").await;
        peer.expect("A2 CAPABILITY").await;
        peer.send("A2 OK\r\nA3 OK\r\n").await;
        peer.silence().await;
    })
    .await;
    sign_in_only(&server).await.unwrap();
}

#[tokio::test]
async fn a_line_that_is_too_long_falls_back_to_two_steps_once() {
    let server = serve(Security::ImplicitTls, |mut peer: Peer| async move {
        begin(&mut peer).await;
        for expected in ["A2 AUTHENTICATE XOAUTH2 ", "A3 CAPABILITY", "A4 NAMESPACE"] {
            peer.expect(expected).await;
        }
        peer.send(format!(
            "A2 BAD Command Error. 10\r\n{BEFORE}A3 OK CAPABILITY completed.\r\nA4 BAD Command received in Invalid state.\r\n"
        ))
        .await;
        assert_eq!(peer.line().await, "A5 AUTHENTICATE XOAUTH2");
        peer.send("+\r\n").await;
        assert_eq!(peer.line().await, response());
        for expected in ["A6 CAPABILITY", "A7 NAMESPACE"] {
            peer.expect(expected).await;
        }
        peer.send(format!("A5 OK AUTHENTICATE completed.\r\n{AFTER}A6 OK x\r\nA7 OK x\r\n")).await;
        peer.silence().await;
    })
    .await;
    assert!(sign_in_only(&server).await.unwrap().capabilities().has("MOVE"));
}

#[tokio::test]
async fn a_long_token_goes_in_two_steps_at_once() {
    let server = serve(Security::ImplicitTls, |mut peer: Peer| async move {
        begin(&mut peer).await;
        assert_eq!(peer.line().await, "A2 AUTHENTICATE XOAUTH2");
        peer.send("+\r\n").await;
        assert!(peer.line().await.len() > 8_000);
        peer.expect("A3 CAPABILITY").await;
        peer.expect("A4 NAMESPACE").await;
        peer.send("A2 OK x\r\nA3 OK x\r\nA4 OK x\r\n").await;
        peer.silence().await;
    })
    .await;
    let token = Token::new("x".repeat(7_000), SystemTime::now() + Duration::from_secs(3600));
    let login = Login::new("joe@example.com", StaticToken(token)).unwrap();
    ImapSession::connect(&server.connector, &server.endpoint, &login)
        .await
        .unwrap();
}

#[tokio::test]
async fn exchanges_refusal_is_kept_word_for_word() {
    let said = Arc::new(AtomicUsize::new(0));
    let behind = said.clone();
    let server = serve(Security::ImplicitTls, move |mut peer: Peer| {
        let behind = behind.clone();
        async move {
            begin(&mut peer).await;
            peer.expect("A2 AUTHENTICATE XOAUTH2 ").await;
            peer.expect("A3 CAPABILITY").await;
            peer.expect("A4 NAMESPACE").await;
            peer.expect("A5 SELECT").await;
            peer.send("A2 NO AUTHENTICATE failed.\r\nA3 BAD Command received in Invalid state.\r\nA4 BAD x\r\nA5 BAD x\r\n")
                .await;
            // Nothing unasked: an empty line here makes Exchange say `* BAD Command Error. 12`.
            behind.fetch_add(peer.bytes(1).await.len(), Ordering::Relaxed);
        }
    })
    .await;
    let error = open(&server).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.layer()),
        (ErrorKind::AuthRejected, Layer::Imap)
    );
    assert_eq!(error.server().unwrap().text, "AUTHENTICATE failed.");
    assert_eq!(error.step(), Some(Step::RegisterServicePrincipal));
    assert_eq!(error.operation(), "AUTHENTICATE");
    assert_eq!(said.load(Ordering::Relaxed), 0);
    assert_eq!(*server.connections.lock().unwrap(), 1);
}

const CHALLENGE: &str = "+ eyJzdGF0dXMiOiI0MDEiLCJzY2hlbWVzIjoiYmVhcmVyIG1hYyIsInNjb3BlIjoiaHR0cHM6Ly9tYWlsLmdvb2dsZS5jb20vIn0K\r\n";

#[tokio::test]
async fn a_failure_challenge_is_answered_and_decoded() {
    for (mechanism, answer) in [("XOAUTH2", ""), ("OAUTHBEARER", "AQ==")] {
        for greeting in ["ready", "The Microsoft Exchange IMAP4 service is ready."] {
            if (mechanism, greeting) == ("XOAUTH2", "The Microsoft Exchange IMAP4 service is ready.") {
                continue;
            }
            let server = serve(Security::ImplicitTls, move |mut peer: Peer| async move {
                peer.send(format!(
                    "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH={mechanism}] {greeting}\r\n"
                ))
                .await;
                peer.expect(&format!("A1 AUTHENTICATE {mechanism} ")).await;
                peer.send(CHALLENGE).await;
                assert_eq!(
                    peer.bytes(answer.len() + 2).await,
                    format!("{answer}\r\n").as_bytes()
                );
                peer.send("A1 NO [AUTHENTICATIONFAILED] Authentication failed.\r\n")
                    .await;
                assert_eq!(peer.line().await, "", "nothing behind a refusal");
            })
            .await;
            let error = open(&server).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AuthRejected, "{error}");
            let reply = error.server().unwrap();
            assert_eq!(
                reply.challenge.as_deref(),
                Some("status 401, schemes bearer mac, scope https://mail.google.com/")
            );
            assert_eq!(reply.text, "[AUTHENTICATIONFAILED] Authentication failed.");
            assert!(error.hint().unwrap().contains("audience"), "{error}");
        }
    }
}

/// Exchange never does. What went out behind AUTHENTICATE is the answer then, and no second one is given.
#[tokio::test]
async fn a_challenge_that_was_not_to_be_expected_is_decoded_too() {
    let server = serve(Security::ImplicitTls, |mut peer: Peer| async move {
        begin(&mut peer).await;
        peer.expect("A2 AUTHENTICATE XOAUTH2 ").await;
        peer.send(CHALLENGE).await;
        peer.expect("A3 CAPABILITY").await;
        peer.send("A2 BAD Invalid base64 data in continued response\r\n")
            .await;
        peer.expect("A4 NAMESPACE").await;
        assert_eq!(peer.line().await, "");
    })
    .await;
    let error = sign_in_only(&server).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AuthRejected, "{error}");
    let challenge = error.server().unwrap().challenge.as_deref();
    assert!(challenge.unwrap().starts_with("status 401"), "{error}");
    assert_eq!(*server.connections.lock().unwrap(), 1);
}

#[tokio::test]
async fn the_servers_echo_of_a_token_is_blanked() {
    let server = serve(Security::ImplicitTls, |mut peer: Peer| async move {
        begin(&mut peer).await;
        peer.expect("A2 AUTHENTICATE XOAUTH2 ").await;
        peer.send(format!(
            "A2 NO what are {} and {TOKEN} supposed to be?\r\n",
            response()
        ))
        .await;
        peer.silence().await;
    })
    .await;
    let error = sign_in_only(&server).await.unwrap_err();
    assert_eq!(
        error.server().unwrap().text,
        "what are [redacted] and [redacted] supposed to be?"
    );
    let transcript: String = server
        .transcript
        .lines()
        .iter()
        .map(|line| format!("{line}\n"))
        .collect();
    assert!(!transcript.contains(&response()[..40]) && !transcript.contains(&TOKEN[..20]));
}

#[tokio::test]
async fn authenticated_but_not_connected() {
    let server = serve(Security::ImplicitTls, |mut peer: Peer| async move {
        begin(&mut peer).await;
        peer.expect("A2 AUTHENTICATE XOAUTH2 ").await;
        peer.send(format!(
            "A2 OK AUTHENTICATE completed.\r\n{AFTER}A3 OK CAPABILITY completed.\r\n\
             A4 BAD User is authenticated but not connected.\r\nA5 BAD User is authenticated but not connected.\r\n\
             * BYE Connection closed. 14\r\n"
        ))
        .await;
    })
    .await;
    for error in [
        sign_in_only(&server).await.unwrap_err(),
        open(&server).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::MailboxUnavailable, "{error}");
        assert_eq!(error.step(), Some(Step::GrantMailboxAccess));
        assert_eq!(
            error.server().unwrap().text,
            "User is authenticated but not connected."
        );
    }
}

#[tokio::test]
async fn a_disabled_protocol_hides_in_an_ok() {
    let text = "[Error=\"UserDisabled\" AuthResult=27 Proxy=LO2P123MB7360.GBRP123.PROD.OUTLOOK.COM:1993:SSL Service=Imap4] AUTHENTICATE completed.";
    let server = serve(Security::ImplicitTls, move |mut peer: Peer| async move {
        begin(&mut peer).await;
        peer.expect("A2 AUTHENTICATE XOAUTH2 ").await;
        peer.send(format!("A2 OK {text}\r\n")).await;
        peer.silence().await;
    })
    .await;
    let error = sign_in_only(&server).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ProtocolDisabled);
    assert_eq!(error.server().unwrap().text, text);
    assert_eq!(error.step(), Some(Step::TenantSetting));
}

#[tokio::test]
async fn other_refusals_of_the_login_are_typed() {
    for (answer, kind) in [
        (
            "A2 NO [Error=\"AuthFailed:LogonDenied-None-OAuthLog:AuthExc_Auth Failed [x] y\" User:x@y] AUTHENTICATE failed.",
            ErrorKind::AuthRejected,
        ),
        (
            "A2 BAD Request is throttled. Suggested Backoff Time: 92415 milliseconds",
            ErrorKind::Throttled,
        ),
        ("A2 NO Server Unavailable. 15", ErrorKind::Unavailable),
        ("* BYE Connection closed. 14", ErrorKind::ConnectionLost),
    ] {
        let server = serve(Security::ImplicitTls, move |mut peer: Peer| async move {
            begin(&mut peer).await;
            peer.expect("A2 AUTHENTICATE XOAUTH2 ").await;
            peer.send(format!("{answer}\r\n")).await;
            peer.silence().await;
        })
        .await;
        let error = sign_in_only(&server).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{answer}: {error}");
        assert!(answer.ends_with(&error.server().unwrap().text), "{error}");
        if kind == ErrorKind::Throttled {
            assert_eq!(error.retry(), Retry::After(Duration::from_millis(92_415)));
        }
    }
}

#[tokio::test]
async fn a_folder_that_is_not_there() {
    let server = serve(Security::ImplicitTls, |mut peer: Peer| async move {
        begin(&mut peer).await;
        peer.expect("A2 AUTHENTICATE XOAUTH2 ").await;
        peer.send(format!(
            "A2 OK x\r\n{AFTER}A3 OK x\r\nA4 OK x\r\nA5 NO INBOX doesn't exist.\r\n"
        ))
        .await;
        peer.silence().await;
    })
    .await;
    let error = open(&server).await.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::NotFound, "SELECT"));
}

#[tokio::test]
async fn a_server_without_oauth_is_told_no_token() {
    let server = serve(Security::ImplicitTls, |mut peer: Peer| async move {
        peer.send("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] ready\r\n")
            .await;
        assert_eq!(peer.line().await, "", "nothing may be said");
    })
    .await;
    let error = sign_in_only(&server).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.detail().contains("PLAIN"));
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_a_timeout_and_no_hang() {
    let server = serve(Security::ImplicitTls, |mut peer: Peer| async move {
        peer.silence().await
    })
    .await;
    let error = sign_in_only(&server).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.operation()),
        (ErrorKind::TimedOut, "greeting")
    );
}

#[tokio::test]
async fn greetings_that_are_none() {
    for (greeting, kind) in [
        ("* BYE Connection closed. 14\r\n", ErrorKind::ConnectionLost),
        ("* PREAUTH welcome\r\n", ErrorKind::Protocol),
        ("* NO way\r\n", ErrorKind::Protocol),
        ("Server Unavailable. 15\r\n", ErrorKind::Unavailable),
        ("HTTP/1.1 400 Bad Request\r\n", ErrorKind::Protocol),
        ("* 5 EXISTS\r\n", ErrorKind::Protocol),
        ("A1 OK hello\r\n", ErrorKind::Protocol),
        ("", ErrorKind::ConnectionLost),
    ] {
        let server = serve(Security::ImplicitTls, move |mut peer: Peer| async move {
            peer.send(greeting).await
        })
        .await;
        let error = sign_in_only(&server).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{greeting:?}: {error}");
    }
}

#[tokio::test]
async fn starttls_is_taken_and_capabilities_are_asked_again() {
    let server = serve(Security::StartTls, |mut peer: Peer| async move {
        // The clear text claims what is not true.
        peer.send("* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED MOVE] ready\r\n")
            .await;
        assert_eq!(peer.line().await, "A1 STARTTLS");
        peer.send("A1 OK Begin TLS negotiation now.\r\n").await;
        peer.start_tls().await;
        peer.expect("A2 CAPABILITY").await;
        peer.send("* CAPABILITY IMAP4rev1 AUTH=XOAUTH2 SASL-IR\r\nA2 OK\r\n")
            .await;
        peer.expect("A3 AUTHENTICATE XOAUTH2 ").await;
        peer.send("A3 OK\r\n").await;
        peer.expect("A4 CAPABILITY").await;
        peer.send("* CAPABILITY IMAP4rev1\r\nA4 OK\r\nA5 OK\r\n").await;
        peer.silence().await;
    })
    .await;
    let session = sign_in_only(&server).await.unwrap();
    assert_eq!(session.flights(), 4);
    assert!(!session.capabilities().has("MOVE"));
}

#[tokio::test]
async fn starttls_must_be_clean() {
    for (greeting, answer, kind) in [
        // Glued behind the agreement: an attack (CVE-2011-0411 and its kin).
        (
            "* OK ready\r\n",
            "A1 OK go\r\n* CAPABILITY IMAP4rev1 AUTH=XOAUTH2\r\n",
            ErrorKind::Tls,
        ),
        ("* OK ready\r\n", "A1 NO not here\r\n", ErrorKind::Unsupported),
        ("* OK ready\r\n", "A1 BAD what\r\n", ErrorKind::Unsupported),
        (
            "* OK [CAPABILITY IMAP4rev1] ready\r\n",
            "",
            ErrorKind::Unsupported,
        ),
        // PREAUTH keeps a client from STARTTLS.
        (
            "* PREAUTH [CAPABILITY IMAP4rev1] hello\r\n",
            "",
            ErrorKind::Protocol,
        ),
    ] {
        let server = serve(Security::StartTls, move |mut peer: Peer| async move {
            peer.send(greeting).await;
            if !answer.is_empty() {
                peer.expect("A1 STARTTLS").await;
                peer.send(answer).await;
            }
            assert_eq!(peer.line().await, "", "nothing more may be said in clear text");
        })
        .await;
        let error = sign_in_only(&server).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{greeting}{answer}: {error}");
    }
}
