//! The token endpoint, answered by a fake transport under a paused clock.

use std::collections::VecDeque;

use super::*;
use crate::net::{Tls, Transcript};
use crate::token::{Certificate, testkeys};

const URL: &str = "https://login.example/contoso.com/oauth2/v2.0/token";
const CLIENT: &str = "22222222-2222-4222-8222-222222222222";
const SECRET: &str = "8Q~a+b&c=d/é%";
const TOKEN: &str = r#"{"token_type":"Bearer","expires_in":3599,"access_token":"eyJ0.eyJh.c2ln"}"#;

pub(super) struct Fake {
    pub(super) endpoint: TokenEndpoint,
    bodies: Arc<Mutex<Vec<HttpRequest>>>,
    transcript: Transcript,
}

pub(super) fn answer(status: u16, body: &str) -> HttpAnswer {
    HttpAnswer {
        status,
        body: body.as_bytes().to_vec(),
        retry_after: None,
        date: None,
    }
}

pub(super) fn after(seconds: u64, mut answer: HttpAnswer) -> HttpAnswer {
    answer.retry_after = Some(Duration::from_secs(seconds));
    answer
}

fn fake(credential: Credential, answers: impl IntoIterator<Item = HttpAnswer>) -> Fake {
    let transcript = Transcript::new();
    let connector = Connector::new(Tls::system().unwrap()).with_transcript(transcript.clone());
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let (seen, answers) = (
        bodies.clone(),
        Mutex::new(answers.into_iter().collect::<VecDeque<_>>()),
    );
    let http: Http = Arc::new(move |request| {
        seen.lock().unwrap().push(request);
        let answer = answers
            .lock()
            .unwrap()
            .pop_front()
            .expect("asked more often than the test says");
        Box::pin(async { Ok(answer) })
    });
    let endpoint = TokenEndpoint {
        url: Url::parse(URL).unwrap(),
        client_id: CLIENT.to_owned(),
        credential,
        scope: "https://outlook.office365.com/.default".to_owned(),
        connector,
        http,
    };
    Fake {
        endpoint,
        bodies,
        transcript,
    }
}

pub(super) fn secret(answers: impl IntoIterator<Item = HttpAnswer>) -> Fake {
    fake(Credential::Secret(SECRET.into()), answers)
}

impl Fake {
    fn tries(&self) -> usize {
        self.bodies.lock().unwrap().len()
    }

    /// The form of the first request, each field once.
    fn form(&self) -> Vec<(String, String)> {
        let bodies = self.bodies.lock().unwrap();
        let mut form: Vec<_> = url::form_urlencoded::parse(bodies[0].body())
            .into_owned()
            .collect();
        form.sort();
        form
    }
}

#[tokio::test(start_paused = true)]
async fn the_request_is_what_entra_asks_for() {
    let fake = secret([answer(200, TOKEN)]);
    let token = fake.endpoint.fetch().await.unwrap();
    assert_eq!(token.secret().expose(), "eyJ0.eyJh.c2ln");
    assert!((3590..=3599).contains(&token.remaining().as_secs()));
    assert_eq!(
        fake.form(),
        [
            ("client_id", CLIENT),
            ("client_secret", SECRET),
            ("grant_type", "client_credentials"),
            ("scope", "https://outlook.office365.com/.default"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
    let requests = fake.bodies.lock().unwrap();
    let body = std::str::from_utf8(requests[0].body()).unwrap();
    // Encoded exactly once: twice gives AADSTS1002012.
    assert!(
        body.contains("scope=https%3A%2F%2Foutlook.office365.com%2F.default"),
        "{body}"
    );
    assert!(!requests[0].headers().contains_key("authorization"));
    assert_eq!(
        (
            requests[0].method().as_str(),
            requests[0].uri().to_string().as_str()
        ),
        ("POST", URL)
    );
    let told = fake
        .transcript
        .lines()
        .iter()
        .map(ToString::to_string)
        .collect::<String>();
    assert!(
        told.contains("client_secret=[redacted]") && told.contains("HTTP 200"),
        "{told}"
    );
    assert!(!told.contains("8Q~") && !told.contains("eyJ"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_certificate_sends_an_assertion_and_no_secret() {
    let certificate = Certificate::from_pem(testkeys::pem().as_bytes()).unwrap();
    let fake = fake(Credential::Certificate(certificate), [answer(200, TOKEN)]);
    fake.endpoint.fetch().await.unwrap();
    let names: Vec<String> = fake.form().into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "client_assertion",
            "client_assertion_type",
            "client_id",
            "grant_type",
            "scope"
        ]
    );
    assert_eq!(fake.form()[1].1, ASSERTION_TYPE);
    assert_eq!(fake.form()[0].1.split('.').count(), 3);
}

#[tokio::test(start_paused = true)]
async fn passing_refusals_are_asked_again_twice() {
    let transient = r#"{"error":"invalid_request","error_description":"AADSTS90033: A transient error has occurred.","error_codes":[90033]}"#;
    let start = Instant::now();
    let fake = secret([
        answer(503, "<html>busy</html>"),
        answer(400, transient),
        answer(200, TOKEN),
    ]);
    fake.endpoint.fetch().await.unwrap();
    let waited = start.elapsed();
    assert!(
        (Duration::from_secs(4)..=Duration::from_secs(5)).contains(&waited),
        "{waited:?}"
    );

    let fake = secret((0..3).map(|_| answer(500, "")));
    let error = fake.endpoint.fetch().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.retry(), fake.tries()),
        (ErrorKind::Unavailable, Retry::Backoff, 3)
    );
}

#[tokio::test(start_paused = true)]
async fn the_servers_pause_is_kept_up_to_ten_seconds() {
    let start = Instant::now();
    let fake = secret([after(7, answer(429, "{\"error\":\"x\"}")), answer(200, TOKEN)]);
    fake.endpoint.fetch().await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_secs(7));

    let start = Instant::now();
    let fake = secret([after(11, answer(429, ""))]);
    let error = fake.endpoint.fetch().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::Throttled, Retry::After(Duration::from_secs(11)))
    );
    assert_eq!((start.elapsed(), fake.tries()), (Duration::ZERO, 1));

    let start = Instant::now();
    let fake = secret([answer(429, "{\"error\":\"x\"}"), answer(200, TOKEN)]);
    fake.endpoint.fetch().await.unwrap();
    assert!((5..=6).contains(&start.elapsed().as_secs()));
}

#[tokio::test(start_paused = true)]
async fn no_pause_goes_past_the_time_limit() {
    let mut fake = secret([after(9, answer(429, ""))]);
    let timeouts = crate::net::Timeouts {
        http: Duration::from_secs(3),
        ..Default::default()
    };
    fake.endpoint.connector = fake.endpoint.connector.clone().with_timeouts(timeouts);
    let start = Instant::now();
    assert_eq!(
        fake.endpoint.fetch().await.unwrap_err().kind(),
        ErrorKind::Throttled
    );
    assert_eq!(start.elapsed(), Duration::ZERO);

    fake.endpoint.http = Arc::new(|_| Box::pin(std::future::pending()));
    let error = fake.endpoint.fetch().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::TimedOut, Retry::Backoff)
    );
    assert_eq!(start.elapsed(), Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn a_lasting_refusal_is_asked_once_and_its_echo_is_blanked() {
    let fake = fake(
        Credential::Secret("avery~long~secret~value~1234".into()),
        [answer(
            401,
            r#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid 'avery~long~secret~value~1234'","error_codes":[7000215],"trace_id":"1ac2"}"#,
        )],
    );
    let error = fake.endpoint.fetch().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.layer()),
        (ErrorKind::CredentialRejected, Layer::Token)
    );
    let reply = error.oauth().unwrap();
    assert_eq!(
        (reply.status, reply.codes.as_slice(), reply.trace_id.as_deref()),
        (401, [7_000_215].as_slice(), Some("1ac2"))
    );
    assert!(!format!("{error:?}{}", error.to_json()).contains("avery~"));
    assert_eq!(fake.tries(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_no_token_endpoint_says_is_a_typed_error() {
    for (status, body, kind, layer) in [
        (
            200,
            "<!DOCTYPE html><html>Sign in to WiFi</html>",
            ErrorKind::Protocol,
            Layer::Network,
        ),
        (200, "", ErrorKind::Protocol, Layer::Network),
        (302, "", ErrorKind::Protocol, Layer::Network),
        (404, "not found", ErrorKind::Protocol, Layer::Network),
        (200, "{}", ErrorKind::TokenUnusable, Layer::Token),
        (200, "{\"access_token\":", ErrorKind::TokenUnusable, Layer::Token),
        (
            200,
            r#"{"access_token":""}"#,
            ErrorKind::TokenUnusable,
            Layer::Token,
        ),
        (
            200,
            r#"{"access_token":"a b"}"#,
            ErrorKind::TokenUnusable,
            Layer::Token,
        ),
        (
            200,
            r#"{"access_token":"eyJsecret","token_type":"pop"}"#,
            ErrorKind::TokenUnusable,
            Layer::Token,
        ),
        (
            200,
            r#"{"access_token":"eyJsecret","token_type":7}"#,
            ErrorKind::TokenUnusable,
            Layer::Token,
        ),
        (
            400,
            "{\"message\":\"eyJsecret\"}",
            ErrorKind::TokenRefused,
            Layer::Token,
        ),
        (999, "{}", ErrorKind::Unavailable, Layer::Token),
    ] {
        let fake = secret((0..3).map(|_| answer(status, body)));
        let error = fake.endpoint.fetch().await.unwrap_err();
        assert_eq!(
            (error.kind(), error.layer()),
            (kind, layer),
            "{status} {body}: {error}"
        );
        assert!(!format!("{error:?}").contains("eyJsecret"));
        assert!(!format!("{:?}", std::error::Error::source(&error)).contains("eyJsecret"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_tokens_life_comes_from_answer_or_claims() {
    for (body, life) in [
        (r#"{"access_token":"t","expires_in":"3599"}"#, 3599),
        (r#"{"access_token":"t","token_type":"bearer"}"#, 300),
        (
            "\u{feff}{\"access_token\":\"a.e30.c\",\"token_type\":\"BEARER\",\"expires_in\":60}",
            60,
        ),
    ] {
        let token = secret([answer(200, body)]).endpoint.fetch().await.unwrap();
        assert!((life - 5..=life).contains(&token.remaining().as_secs()), "{body}");
    }
    // exp = 4102444800, the first second of 2100.
    let body = r#"{"access_token":"a.eyJleHAiOjQxMDI0NDQ4MDB9.c"}"#;
    let token = secret([answer(200, body)]).endpoint.fetch().await.unwrap();
    assert_eq!(
        token.expires_at(),
        SystemTime::UNIX_EPOCH + Duration::from_secs(4_102_444_800)
    );
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_wrong_is_named() {
    let body = r#"{"error":"invalid_client","error_description":"AADSTS700024: Client assertion is not within its valid time range.","error_codes":[700024]}"#;
    let certificate = Certificate::from_pem(testkeys::pem().as_bytes()).unwrap();
    let mut late = answer(401, body);
    late.date = Some(SystemTime::now() + Duration::from_secs(1000));
    let error = fake(Credential::Certificate(certificate), [late])
        .endpoint
        .fetch()
        .await
        .unwrap_err();
    let hint = error.hint().unwrap();
    assert!(
        hint.contains("s behind the server's; correct this machine's clock"),
        "{hint}"
    );
}
