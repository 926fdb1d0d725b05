//! A token endpoint that answers what the test says, over HTTP/1.1 by hand, and remembers what it was asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use exomail::{App, Cloud, Security, Timeouts, Transcript};

use crate::support::{Peer, Scripted, serve};

pub(crate) const TENANT: &str = "11111111-1111-4111-8111-111111111111";
pub(crate) const CLIENT: &str = "22222222-2222-4222-8222-222222222222";

/// What the endpoint does with one request.
#[derive(Clone)]
pub(crate) enum Answer {
    /// Sends these bytes and hangs up.
    Raw(Vec<u8>),
    /// Keeps the connection open and says nothing.
    Silence,
    /// Hangs up.
    HangUp,
}

/// An answer with this status line, further headers (each with its line end) and body.
pub(crate) fn http(status: &str, headers: &str, body: &str) -> Answer {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n",
        body.len()
    );
    Answer::Raw((head + body).into_bytes())
}

/// A token in JSON.
pub(crate) fn token(text: &str) -> Answer {
    let body = format!(
        r#"{{"token_type":"Bearer","expires_in":3599,"ext_expires_in":3599,"access_token":"{text}"}}"#
    );
    http(
        "200 OK",
        "Content-Type: application/json; charset=utf-8\r\n",
        &body,
    )
}

/// The scripted endpoint.
pub(crate) struct Endpoint {
    scripted: Scripted,
    /// Head and body of each request.
    pub(crate) requests: Arc<Mutex<Vec<(String, String)>>>,
    pub(crate) transcript: Transcript,
}

/// An endpoint that gives these answers in order; one more request is answered by hanging up.
pub(crate) async fn endpoint(answers: impl IntoIterator<Item = Answer>) -> Endpoint {
    let requests = Arc::new(Mutex::new(Vec::new()));
    let answers = Arc::new(Mutex::new(answers.into_iter().collect::<VecDeque<_>>()));
    let seen = requests.clone();
    let scripted = serve(Security::ImplicitTls, move |mut peer: Peer| {
        let (seen, answers) = (seen.clone(), answers.clone());
        async move {
            let head = String::from_utf8(peer.until(b"\r\n\r\n").await).unwrap();
            let length = head
                .lines()
                .find_map(|line| {
                    line.to_ascii_lowercase()
                        .strip_prefix("content-length:")?
                        .trim()
                        .parse()
                        .ok()
                })
                .unwrap_or(0);
            let body = String::from_utf8(peer.bytes(length).await).unwrap();
            seen.lock().unwrap().push((head, body));
            let answer = answers.lock().unwrap().pop_front().unwrap_or(Answer::HangUp);
            match answer {
                Answer::Raw(bytes) => peer.send(bytes).await,
                Answer::Silence => peer.silence().await,
                Answer::HangUp => {}
            }
        }
    })
    .await;
    Endpoint {
        scripted,
        requests,
        transcript: Transcript::new(),
    }
}

impl Endpoint {
    /// An app of this endpoint, whose requests may take `limit`.
    pub(crate) fn app(&self, secret: &str, limit: Duration) -> App {
        self.builder(limit).client_secret(secret).build().unwrap()
    }

    pub(crate) fn builder(&self, limit: Duration) -> exomail::AppBuilder {
        App::builder(TENANT, CLIENT)
            .cloud(Cloud::custom(&self.authority()).unwrap())
            .extra_ca_pem(self.scripted.ca_pem.as_bytes())
            .timeouts(Timeouts {
                http: limit,
                ..Timeouts::default()
            })
            .transcript(self.transcript.clone())
    }

    pub(crate) fn authority(&self) -> String {
        format!("https://localhost:{}", self.scripted.endpoint.port)
    }

    pub(crate) fn asked(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

/// Long enough never to matter.
pub(crate) const AMPLE: Duration = Duration::from_secs(60);
