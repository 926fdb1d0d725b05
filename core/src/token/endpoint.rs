//! [`TokenEndpoint`]: asks Entra for a token, and asks again where that can help.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use oauth2::basic::{BasicRevocationErrorResponse, BasicTokenIntrospectionResponse, BasicTokenType};
use oauth2::{
    AuthType, ClientCredentialsTokenRequest, ClientId, ClientSecret, EndpointNotSet, HttpRequest,
    HttpResponse, RequestTokenError, Scope, StandardRevocableToken, TokenResponse as _, TokenUrl,
};
use rand::Rng as _;
use tokio::time::Instant;
use url::Url;

use super::assertion::{self, ASSERTION_TYPE};
use super::reply::{EntraRefusal, EntraToken};
use super::{Credential, Token};
use crate::doctor::token_refusal;
use crate::error::{Error, ErrorKind, Layer, Result, Retry, Step};
use crate::net::{Connector, HttpAnswer, HttpClient, Tap};
use crate::secret::Secret;

const OPERATION: &str = "token";
/// How often a passing refusal is asked again, inside one call.
const MAX_RETRIES: u32 = 2;
/// A longer time limit makes no difference, and keeps the arithmetic in range.
const MAX_LIMIT: Duration = Duration::from_secs(3600);
/// A longer pause is the caller's to make.
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// The pause where the server throttles without saying how long; MSAL's value.
const THROTTLE_PAUSE: Duration = Duration::from_secs(5);
/// The pause after the first 5xx; the second is three times as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The life of a token whose answer and claims both keep silent about it.
const UNKNOWN_LIFE: Duration = Duration::from_secs(300);
/// Clocks that differ more are worth a word.
const CLOCK_SKEW: Duration = Duration::from_secs(120);

type EntraClient = oauth2::Client<
    EntraRefusal,
    EntraToken,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
>;

/// Sends one HTTP request. A type of its own so that tests can answer without a network.
type Http = Arc<dyn Fn(HttpRequest) -> BoxFuture<'static, Result<HttpAnswer>> + Send + Sync>;

/// The same, as oauth2 takes it.
type Adapter = Box<dyn Fn(HttpRequest) -> BoxFuture<'static, Result<HttpResponse>> + Send + Sync>;

/// Where and as whom tokens are asked for.
pub(crate) struct TokenEndpoint {
    pub(crate) url: Url,
    pub(crate) client_id: String,
    pub(crate) credential: Credential,
    pub(crate) scope: String,
    connector: Connector,
    http: Http,
}

impl TokenEndpoint {
    pub(crate) fn new(
        url: Url,
        client_id: String,
        credential: Credential,
        scope: String,
        connector: Connector,
    ) -> Result<Self> {
        let client = HttpClient::new(connector.tls(), connector.timeouts())?;
        let http: Http = Arc::new(move |request| {
            let client = client.clone();
            Box::pin(async move {
                let request = request.try_into().map_err(|error: reqwest::Error| {
                    Error::new(ErrorKind::Internal, OPERATION, "the request can't be made").with_source(error)
                })?;
                client.send(OPERATION, request).await
            })
        });
        Ok(Self {
            url,
            client_id,
            credential,
            scope,
            connector,
            http,
        })
    }

    /// Asks for a token. A passing refusal is asked again up to twice, as long as all of it fits into the time limit of
    /// one HTTP request.
    pub(crate) async fn fetch(&self) -> Result<Token> {
        let ends = Instant::now() + self.limit();
        let mut tap = self.connector.tap(Layer::Token);
        let mut tries = 0;
        loop {
            let outcome = tokio::time::timeout_at(ends, self.ask(&mut tap))
                .await
                .unwrap_or_else(|_| {
                    Err(Error::new(
                        ErrorKind::TimedOut,
                        OPERATION,
                        "the token service did not answer in time",
                    )
                    .with_layer(Layer::Network))
                });
            let error = match outcome {
                Ok(token) => return Ok(token),
                Err(error) => error,
            };
            match pause(&error, tries) {
                Some(pause) if tries < MAX_RETRIES && Instant::now() + pause < ends => {
                    tries += 1;
                    tap.note(|| format!("trying again in {pause:?}"));
                    tracing::debug!(%error, ?pause, "asking for a token again");
                    tokio::time::sleep(pause).await;
                }
                _ => return Err(error),
            }
        }
    }

    /// The longest that [`fetch`](Self::fetch) takes.
    pub(crate) fn limit(&self) -> Duration {
        self.connector.timeouts().http.min(MAX_LIMIT)
    }

    async fn ask(&self, tap: &mut Tap) -> Result<Token> {
        let now = SystemTime::now();
        let client = EntraClient::new(ClientId::new(self.client_id.clone()))
            .set_auth_type(AuthType::RequestBody)
            .set_token_uri(TokenUrl::from_url(self.url.clone()));
        // Kept beside the answer, since oauth2 hands on neither status nor headers.
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let (send, noted) = (self.http.clone(), seen.clone());
        let http: Adapter = Box::new(move |request| {
            let (answer, noted) = (send(request), noted.clone());
            Box::pin(async move {
                let answer = answer.await?;
                *noted.lock().unwrap_or_else(PoisonError::into_inner) = Seen {
                    status: answer.status,
                    retry_after: answer.retry_after,
                    skew: answer.date.and_then(|date| skew(date, SystemTime::now())),
                };
                hand_over(answer)
            })
        });
        let outcome = match &self.credential {
            Credential::Secret(secret) => {
                tap.remember(secret);
                let client = client.set_client_secret(ClientSecret::new(secret.expose().to_owned()));
                self.note_request(tap, "client_secret");
                let request = client
                    .exchange_client_credentials()
                    .add_scope(Scope::new(self.scope.clone()));
                submit(request, &http).await
            }
            Credential::Certificate(certificate) => {
                let assertion = assertion::sign(certificate, &self.client_id, self.url.as_str(), now)?;
                tap.remember(&assertion);
                self.note_request(tap, "client_assertion");
                let request = client
                    .exchange_client_credentials()
                    .add_scope(Scope::new(self.scope.clone()))
                    .add_extra_param("client_assertion_type", ASSERTION_TYPE)
                    .add_extra_param("client_assertion", assertion.expose());
                submit(request, &http).await
            }
        };
        let seen = *seen.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = match outcome {
            Ok(answer) => accept(answer, now),
            Err(error) => Err(refuse(error, &seen, tap, &self.credential)),
        };
        match &outcome {
            Ok(token) => tap.note(|| {
                format!(
                    "HTTP {}, a token for {} s",
                    seen.status,
                    token.remaining().as_secs()
                )
            }),
            Err(error) => tap.note(|| format!("HTTP {}, {error}", seen.status)),
        }
        outcome
    }

    fn note_request(&self, tap: &Tap, credential: &str) {
        tap.client(|| {
            format!(
                "POST {} grant_type=client_credentials client_id={} scope={} {credential}=[redacted]",
                self.url, self.client_id, self.scope
            )
        });
    }
}

/// Boxed in a function of its own: inside `ask` the compiler can't prove the future Send.
fn submit<'c>(
    request: ClientCredentialsTokenRequest<'c, EntraRefusal, EntraToken>,
    http: &'c Adapter,
) -> BoxFuture<'c, Result<EntraToken, RequestTokenError<Error, EntraRefusal>>> {
    Box::pin(request.request_async(http))
}

/// What oauth2 does not hand on of an answer.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    status: u16,
    retry_after: Option<Duration>,
    /// How far the server's clock is from ours, and whether it is ahead.
    skew: Option<(Duration, bool)>,
}

/// Gives oauth2 what it can read, and refuses what no token endpoint says.
fn hand_over(answer: HttpAnswer) -> Result<HttpResponse> {
    let HttpAnswer {
        status,
        body,
        retry_after,
        ..
    } = answer;
    // Some gateways write a byte order mark.
    let body = body
        .strip_prefix(b"\xEF\xBB\xBF")
        .map(<[u8]>::to_vec)
        .unwrap_or(body);
    let json = body.trim_ascii_start().first() == Some(&b'{');
    if !json {
        let error = match status {
            429 => Error::new(ErrorKind::Throttled, OPERATION, "the token service asks for a pause (HTTP 429)")
                .with_layer(Layer::Token),
            500.. => Error::new(
                ErrorKind::Unavailable,
                OPERATION,
                format!("the token service or a gateway before it can't answer (HTTP {status})"),
            )
            .with_layer(Layer::Token),
            _ => Error::new(
                ErrorKind::Protocol,
                OPERATION,
                format!("the answer (HTTP {status}) is not from a token endpoint: it is not JSON"),
            )
            .with_layer(Layer::Network)
            .with_retry(Retry::Backoff)
            .with_hint("a captive portal or proxy may answer in its place; check the network, the cloud and its login host"),
        };
        return Err(match retry_after {
            Some(pause) => error.with_retry(Retry::After(pause)),
            None => error,
        });
    }
    let mut response = HttpResponse::new(body);
    *response.status_mut() = oauth2::http::StatusCode::from_u16(status).map_err(|error| {
        Error::new(ErrorKind::Protocol, OPERATION, "the HTTP status is not valid")
            .with_layer(Layer::Network)
            .with_source(error)
    })?;
    Ok(response)
}

fn accept(answer: EntraToken, asked: SystemTime) -> Result<Token> {
    let unusable = |detail: &'static str| {
        Error::new(ErrorKind::TokenUnusable, OPERATION, detail)
            .with_layer(Layer::Token)
            .with_hint("check the login host: this is not what Entra answers")
    };
    let is_bearer = match answer.token_type() {
        BasicTokenType::Bearer => true,
        other => other.as_ref().eq_ignore_ascii_case("bearer"),
    };
    if !is_bearer {
        return Err(unusable("the token is not a bearer token"));
    }
    let secret = Secret::new(answer.access_token().secret().as_str());
    // RFC 6750 §2.1.
    if secret.is_empty() || !secret.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(unusable(
            "the token is empty or holds characters that no bearer token has",
        ));
    }
    // Counted from before the request, so that the time on the way is not taken for life.
    let by_answer = answer.expires_in().and_then(|life| asked.checked_add(life));
    let by_claims = || Token::new(secret.clone(), asked).claims().ok()?.expires_at();
    let expires_at = by_answer.or_else(by_claims).unwrap_or(asked + UNKNOWN_LIFE);
    Ok(Token::new(secret, expires_at))
}

/// What oauth2's error means. Its sources and bodies are left behind: a body may hold a token.
fn refuse(
    error: RequestTokenError<Error, EntraRefusal>,
    seen: &Seen,
    tap: &Tap,
    credential: &Credential,
) -> Error {
    match error {
        RequestTokenError::Request(error) => error,
        RequestTokenError::ServerResponse(refusal) => {
            let reply = refusal.into_reply(seen.status, |text| match credential {
                // The tap only blanks long runs of base64 characters; a secret has others between.
                Credential::Secret(secret) => tap.scrub(&text.replace(secret.expose(), "[redacted]")),
                Credential::Certificate(_) => tap.scrub(text),
            });
            let error = token_refusal(OPERATION, reply, seen.retry_after);
            match (seen.skew, error.step()) {
                // The commonest cause of an assertion out of its time.
                (Some((skew, ahead)), Some(Step::Client | Step::CreateCredential))
                    if matches!(credential, Credential::Certificate(_)) =>
                {
                    let side = if ahead { "behind" } else { "ahead of" };
                    let hint = error.hint().unwrap_or_default().to_owned();
                    error.with_hint(format!(
                        "this machine's clock is {} s {side} the server's; {hint}",
                        skew.as_secs()
                    ))
                }
                _ => error,
            }
        }
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
            let kind = match seen.status {
                200 => ErrorKind::TokenUnusable,
                429 => ErrorKind::Throttled,
                500.. => ErrorKind::Unavailable,
                _ => ErrorKind::TokenRefused,
            };
            let error = Error::new(
                kind,
                OPERATION,
                format!(
                    "the answer (HTTP {}) holds neither a token nor an OAuth error",
                    seen.status
                ),
            )
            .with_layer(Layer::Token)
            .with_hint("check the cloud and its login host");
            match seen.retry_after {
                Some(pause) if error.retry() != Retry::Never => error.with_retry(Retry::After(pause)),
                _ => error,
            }
        }
    }
}

/// How long to wait before asking again here, or `None` where that is no use or the caller's to do.
fn pause(error: &Error, tries: u32) -> Option<Duration> {
    if error.layer() != Layer::Token {
        return None;
    }
    let spread = |pause: Duration| pause.mul_f64(rand::rng().random_range(1.0..1.25));
    match (error.kind(), error.retry()) {
        (ErrorKind::Throttled | ErrorKind::Unavailable, Retry::After(pause)) => {
            (pause <= MAX_PAUSE).then_some(pause)
        }
        (ErrorKind::Throttled, Retry::Backoff) => Some(spread(THROTTLE_PAUSE)),
        (ErrorKind::Unavailable, Retry::Backoff) => Some(spread(FIRST_PAUSE * 3_u32.pow(tries.min(4)))),
        _ => None,
    }
}

/// How far the server's `Date` is from `now`, where it is worth a word.
fn skew(date: SystemTime, now: SystemTime) -> Option<(Duration, bool)> {
    let (skew, ahead) = match date.duration_since(now) {
        Ok(skew) => (skew, true),
        Err(error) => (error.duration(), false),
    };
    (skew > CLOCK_SKEW).then_some((skew, ahead))
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
