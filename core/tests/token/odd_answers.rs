//! What a token endpoint, or something in its place, may answer.

use std::time::Duration;

use exomail::{App, Cloud, ErrorKind, Layer, Retry, Step};

use crate::entra::{AMPLE, Answer, CLIENT, TENANT, endpoint, http, token};

const SECRET: &str = "8Q~a+b&c=d/e%";

#[tokio::test]
async fn the_request_on_the_wire_is_what_entra_asks_for() {
    let entra = endpoint([token("eyJ0.eyJh.c2ln")]).await;
    let got = entra.app(SECRET, AMPLE).token().await.unwrap();
    assert_eq!(got.secret().expose(), "eyJ0.eyJh.c2ln");
    let requests = entra.requests.lock().unwrap();
    let (head, body) = &requests[0];
    let head = head.to_ascii_lowercase();
    assert!(
        head.starts_with(&format!("post /{TENANT}/oauth2/v2.0/token http/1.1\r\n")),
        "{head}"
    );
    assert!(
        head.contains("\r\ncontent-type: application/x-www-form-urlencoded\r\n"),
        "{head}"
    );
    assert!(!head.contains("authorization:"), "{head}");
    let mut fields: Vec<&str> = body.split('&').collect();
    fields.sort_unstable();
    assert_eq!(
        fields,
        [
            &format!("client_id={CLIENT}"),
            "client_secret=8Q%7Ea%2Bb%26c%3Dd%2Fe%25",
            "grant_type=client_credentials",
            "scope=https%3A%2F%2Foutlook.office365.com%2F.default",
        ]
    );
}

#[tokio::test]
async fn a_life_written_as_a_string_is_read() {
    let body = r#"{"token_type":"bearer","expires_in":"1800","access_token":"t"}"#;
    let entra = endpoint([http("200 OK", "Content-Type: text/plain\r\n", body)]).await;
    let got = entra.app(SECRET, AMPLE).token().await.unwrap();
    assert!((1700..=1800).contains(&got.remaining().as_secs()));
}

#[tokio::test]
async fn a_captive_portal_is_a_matter_of_the_network() {
    let page = "<!DOCTYPE html><html>Please sign in</html>";
    for answer in [
        http("200 OK", "Content-Type: text/html\r\n", page),
        http("302 Found", "Location: https://portal.example/\r\n", ""),
        http("403 Forbidden", "", page),
    ] {
        let entra = endpoint([answer]).await;
        let error = entra.app(SECRET, AMPLE).token().await.unwrap_err();
        assert_eq!(
            (error.kind(), error.layer()),
            (ErrorKind::Protocol, Layer::Network)
        );
        assert!(error.hint().unwrap().contains("captive portal"));
        assert_eq!(
            entra.asked(),
            1,
            "a redirect is not followed, nothing is asked twice"
        );
    }
}

#[tokio::test]
async fn a_short_pause_is_made_and_a_long_one_is_told() {
    let throttled = |pause: &str| {
        http(
            "429 Too Many Requests",
            &format!("Retry-After: {pause}\r\n"),
            "{}",
        )
    };
    let entra = endpoint([
        throttled("0"),
        http("503 Service Unavailable", "Retry-After: 0\r\n", ""),
        token("t"),
    ])
    .await;
    entra.app(SECRET, AMPLE).token().await.unwrap();
    assert_eq!(entra.asked(), 3);

    let date = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    for answer in [
        throttled("17"),
        http(
            "429 Too Many Requests",
            &format!("{date}Retry-After: Sun, 06 Nov 1994 08:49:54 GMT\r\n"),
            "busy",
        ),
    ] {
        let entra = endpoint([answer]).await;
        let error = entra.app(SECRET, AMPLE).token().await.unwrap_err();
        assert_eq!(
            (error.kind(), error.layer()),
            (ErrorKind::Throttled, Layer::Token)
        );
        assert_eq!(error.retry(), Retry::After(Duration::from_secs(17)));
        assert_eq!(entra.asked(), 1);
    }
}

#[tokio::test]
async fn a_refusal_keeps_everything_entra_said() {
    let body = r#"{"error":"invalid_client","error_description":"AADSTS7000222: The provided client secret keys for app 'x' are expired. Trace ID: 1ac2","error_codes":[7000222],"timestamp":"2026-09-04 00:40:39Z","trace_id":"1ac2","correlation_id":"da2d"}"#;
    let entra = endpoint([http(
        "401 Unauthorized",
        "Content-Type: application/json\r\n",
        body,
    )])
    .await;
    let error = entra.app(SECRET, AMPLE).token().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.step()),
        (ErrorKind::CredentialExpired, Some(Step::CreateCredential))
    );
    let reply = error.oauth().unwrap();
    assert_eq!(
        (reply.error.as_str(), reply.status, reply.codes.as_slice()),
        ("invalid_client", 401, [7_000_222].as_slice())
    );
    assert_eq!(
        (reply.trace_id.as_deref(), reply.correlation_id.as_deref()),
        (Some("1ac2"), Some("da2d"))
    );
    assert!(error.to_string().contains("are expired"));
    assert_eq!(error.to_json()["oauth"]["timestamp"], "2026-09-04 00:40:39Z");
}

#[tokio::test]
async fn a_huge_answer_is_not_read_to_its_end() {
    let huge = http(
        "200 OK",
        "",
        &format!("{{\"access_token\":\"{}\"}}", "x".repeat(3 << 20)),
    );
    let endless = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n200000\r\n{}",
        "x".repeat(2 << 20)
    );
    for answer in [huge, Answer::Raw(endless.into_bytes())] {
        let entra = endpoint([answer]).await;
        let error = entra.app(SECRET, AMPLE).token().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol);
        assert!(error.detail().contains("too large"), "{error}");
    }
}

#[tokio::test]
async fn silence_ends_at_the_time_limit() {
    let entra = endpoint([Answer::Silence]).await;
    let error = entra
        .app(SECRET, Duration::from_millis(200))
        .token()
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.layer()),
        (ErrorKind::TimedOut, Layer::Network)
    );
    assert_eq!(error.retry(), Retry::Backoff);
}

#[tokio::test]
async fn the_longest_time_limit_is_no_limit() {
    let entra = endpoint([token("t")]).await;
    entra.app(SECRET, Duration::MAX).token().await.unwrap();
}

#[tokio::test]
async fn a_cut_connection_is_told_from_one_that_was_never_made() {
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{\"access_token\":".to_owned();
    for answer in [
        Answer::HangUp,
        Answer::Raw(half.into_bytes()),
        Answer::Raw(b"\x00\x01nonsense\r\n\r\n".to_vec()),
    ] {
        let entra = endpoint([answer]).await;
        let error = entra.app(SECRET, AMPLE).token().await.unwrap_err();
        assert_eq!(
            (error.kind(), error.layer()),
            (ErrorKind::ConnectionLost, Layer::Network),
            "{error}"
        );
        assert_eq!(error.retry(), Retry::Backoff);
    }
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    let app = App::builder(TENANT, CLIENT)
        .cloud(Cloud::custom(&format!("https://127.0.0.1:{port}")).unwrap())
        .client_secret(SECRET)
        .build()
        .unwrap();
    assert_eq!(app.token().await.unwrap_err().kind(), ErrorKind::Connect);
}

#[tokio::test]
async fn a_login_host_that_does_not_exist_is_told() {
    // RFC 6761 §6.4: no resolver finds it, with or without a network.
    let app = App::builder(TENANT, CLIENT)
        .cloud(Cloud::custom("https://login.invalid").unwrap())
        .client_secret(SECRET)
        .build()
        .unwrap();
    let error = app.token().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::Dns, Retry::Backoff),
        "{error}"
    );
}

#[tokio::test]
async fn a_certificate_nobody_vouches_for_is_a_matter_of_tls() {
    let entra = endpoint([token("t")]).await;
    let app = App::builder(TENANT, CLIENT)
        .cloud(Cloud::custom(&entra.authority()).unwrap())
        .client_secret(SECRET)
        .build()
        .unwrap();
    let error = app.token().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.layer()),
        (ErrorKind::Tls, Layer::Tls),
        "{error}"
    );
    assert_eq!(entra.asked(), 0, "nothing was said to a stranger");
}

#[tokio::test]
async fn an_error_is_not_kept_for_the_next_caller() {
    let refused = http(
        "400 Bad Request",
        "",
        r#"{"error":"unauthorized_client","error_codes":[700016]}"#,
    );
    let entra = endpoint([refused, token("t")]).await;
    let app = entra.app(SECRET, AMPLE);
    assert_eq!(app.token().await.unwrap_err().kind(), ErrorKind::AppNotFound);
    app.token().await.unwrap();
    app.token().await.unwrap();
    assert_eq!(entra.asked(), 2);
}
