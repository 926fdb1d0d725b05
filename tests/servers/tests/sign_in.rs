//! Tokens that a real server checks: taken where they are good, refused with the server's reason where they are not.
#![allow(clippy::unwrap_used, reason = "a test that fails should panic")]

mod support;

use exomail::{Error, ErrorKind, Layer, Retry, Security};
use exomail_sandbox::TokenOverrides;
use support::{PROTOCOLS, SECURITIES, Stand};

#[tokio::test]
async fn a_good_token_opens_every_protocol_both_ways() {
    let stand = Stand::start().await;
    let login = stand.login(&stand.joe);
    for protocol in PROTOCOLS {
        for security in SECURITIES {
            stand.try_sign_in(protocol, security, &login).await.unwrap();
        }
    }
}

/// Entra's tokens grow with roles and claims, beyond what many servers bear on a line by default.
#[tokio::test]
async fn a_long_token_opens_every_protocol() {
    let stand = Stand::start().await;
    for length in [3_100, 4_800] {
        let login = stand
            .login_with(&stand.joe, &TokenOverrides::new().minimum_length(length))
            .await;
        for protocol in PROTOCOLS {
            stand
                .try_sign_in(protocol, Security::ImplicitTls, &login)
                .await
                .unwrap();
        }
    }
}

/// Postfix's own default cuts the token; the error says what to raise.
#[tokio::test]
async fn a_line_limit_that_cuts_the_token_is_named() {
    let stand = Stand::with(|builder| builder.line_length_limit(2048)).await;
    let login = stand
        .login_with(&stand.joe, &TokenOverrides::new().minimum_length(3_100))
        .await;
    let error = stand
        .try_sign_in(Layer::Smtp, Security::StartTls, &login)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AuthRejected, "{error}");
    assert!(error.hint().unwrap().contains("line_length_limit"), "{error}");
}

/// Expired, for another audience, signed with another key: each is refused by each protocol, with the decoded challenge
/// in the error; and a good token is taken afterwards.
#[tokio::test]
async fn a_bad_token_is_refused_with_the_servers_reason() {
    let stand = Stand::start().await;
    for bad in [
        TokenOverrides::new().expired(),
        TokenOverrides::new().audience("https://graph.microsoft.com"),
        TokenOverrides::new().bad_signature(),
    ] {
        let login = stand.login_with(&stand.joe, &bad).await;
        for protocol in PROTOCOLS {
            let error = stand
                .try_sign_in(protocol, Security::ImplicitTls, &login)
                .await
                .unwrap_err();
            check(&error, protocol);
        }
    }
    let login = stand.login(&stand.joe);
    for protocol in PROTOCOLS {
        stand
            .try_sign_in(protocol, Security::ImplicitTls, &login)
            .await
            .unwrap();
    }
    for line in stand.transcript.lines() {
        // A JWT's header begins so, and base64 of "auth=Bearer " in each of three alignments.
        for secret in [
            "eyJ0eX",
            "YXV0aD1CZWFyZXIg",
            "F1dGg9QmVhcmVyI",
            "hdXRoPUJlYXJlciB",
        ] {
            assert!(!line.text.contains(secret), "{line}");
        }
    }
}

#[track_caller]
fn check(error: &Error, protocol: Layer) {
    assert_eq!(error.kind(), ErrorKind::AuthRejected, "{error}");
    assert_eq!(error.layer(), protocol, "{error}");
    assert_eq!(error.retry(), Retry::Never, "{error}");
    let server = error.server().unwrap();
    assert!(
        server.text.to_lowercase().contains("authentication failed"),
        "{error}"
    );
    assert!(
        server.challenge.as_deref().unwrap().contains("status 401"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("audience"), "{error}");
    assert_eq!(server.code, (protocol == Layer::Smtp).then_some(535));
}

/// A certificate of an authority that is not trusted ends the connection before the token is sent.
#[tokio::test]
async fn a_server_that_is_not_trusted_gets_no_token() {
    let stand = Stand::start().await;
    let other = Stand::start().await;
    let login = stand.login(&stand.joe);
    for protocol in PROTOCOLS {
        for security in SECURITIES {
            let error = stand
                .try_sign_in_at(&other.endpoint(protocol, security), protocol, &login)
                .await
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
        }
    }
    assert!(!stand.transcript.lines().iter().any(|line| {
        let text = line.text.to_ascii_uppercase();
        text.contains("AUTH ") || text.contains("AUTHENTICATE")
    }));
}
