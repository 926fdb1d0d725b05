//! HTTP for the token endpoint (and later Graph and Exchange admin), over the shared TLS configuration.

use std::time::{Duration, SystemTime};

use reqwest::redirect::Policy;

use super::{Timeouts, Tls};
use crate::error::{Error, ErrorKind, Layer, Result};

/// Answers larger than this are not from a token endpoint.
const MAX_BODY: usize = 1 << 20;
/// A longer pause is not believed; MSAL's value.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// A client; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct HttpClient(reqwest::Client);

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct HttpAnswer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    pub(crate) retry_after: Option<Duration>,
    /// The server's clock, from the `Date` header.
    pub(crate) date: Option<SystemTime>,
}

impl HttpClient {
    pub(crate) fn new(tls: &Tls, timeouts: &Timeouts) -> Result<Self> {
        reqwest::Client::builder()
            .tls_backend_preconfigured((**tls.config()).clone())
            .https_only(true)
            // A redirected token request would carry the credential elsewhere.
            .redirect(Policy::none())
            // A kept connection is driven by the runtime that made it. Where that one has ended or stands still, the
            // next request would hang on it; and with one token an hour there is nothing to win.
            .pool_max_idle_per_host(0)
            .connect_timeout(timeouts.connect)
            .timeout(timeouts.http)
            .user_agent(concat!("exomail/", env!("CARGO_PKG_VERSION")))
            .build()
            .map(Self)
            .map_err(|error| {
                Error::new(
                    ErrorKind::Internal,
                    "HTTP set-up",
                    "the HTTP client can't be built",
                )
                .with_source(error)
            })
    }

    /// Sends a request and reads the answer, bounded.
    pub(crate) async fn send(
        &self,
        operation: &'static str,
        request: reqwest::Request,
    ) -> Result<HttpAnswer> {
        let host = request.url().host_str().unwrap_or_default().to_owned();
        let failed = |error: reqwest::Error| network_error(operation, &host, error);
        let mut response = self.0.execute(request).await.map_err(failed)?;
        let header = |name: &str| {
            response
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned)
        };
        let date = header("date").and_then(|value| http_date(&value));
        let retry_after =
            header("retry-after").and_then(|value| retry_after(&value, date.unwrap_or_else(SystemTime::now)));
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > MAX_BODY {
                return Err(
                    Error::new(ErrorKind::Protocol, operation, "the HTTP answer is too large")
                        .with_layer(Layer::Token),
                );
            }
            body.extend_from_slice(&chunk);
        }
        Ok(HttpAnswer {
            status,
            body,
            retry_after,
            date,
        })
    }
}

/// `Retry-After`: seconds, or a date (RFC 9110 §10.2.3), which is compared with the server's own clock.
fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    let pause = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number that does not fit is a long time.
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        http_date(value)?.duration_since(now).unwrap_or_default()
    };
    Some(pause.min(MAX_RETRY_AFTER))
}

/// An IMF-fixdate (RFC 9110 §5.6.7).
fn http_date(value: &str) -> Option<SystemTime> {
    let date = jiff::fmt::rfc2822::parse(value.trim()).ok()?;
    Some(date.timestamp().into())
}

/// Whether it is rustls' error, however deep: an I/O error is asked for what is in it, since its `source` skips that.
fn is_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    error.is::<rustls::Error>()
        || error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref)
            .is_some_and(|inner| is_tls(inner))
}

/// reqwest's own text names the URL, never the body; its chain of causes tells TLS from TCP.
fn network_error(operation: &'static str, host: &str, error: reqwest::Error) -> Error {
    let mut last = String::new();
    let mut source: Option<&dyn std::error::Error> = Some(&error);
    let (mut tls, mut dns) = (false, false);
    while let Some(cause) = source {
        last = cause.to_string();
        tls |= is_tls(cause);
        // The text of hyper-util's private error type, and the one of the standard library.
        dns |= last == "dns error" || last.contains("failed to lookup address");
        source = cause.source();
    }
    let (kind, layer) = if error.is_timeout() {
        (ErrorKind::TimedOut, Layer::Network)
    } else if tls {
        (ErrorKind::Tls, Layer::Tls)
    } else if dns {
        (ErrorKind::Dns, Layer::Network)
    } else if error.is_connect() {
        (ErrorKind::Connect, Layer::Network)
    } else {
        (ErrorKind::ConnectionLost, Layer::Network)
    };
    Error::new(kind, operation, format!("{host}: {last}"))
        .with_layer(layer)
        .with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        for (value, seconds) in [
            ("7", Some(7)),
            (" 0 ", Some(0)),
            ("99999", Some(3600)),
            ("99999999999999999999999", Some(3600)),
            ("Sun, 06 Nov 1994 08:49:57 GMT", Some(20)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
            ("-1", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(
                retry_after(value, now),
                seconds.map(Duration::from_secs),
                "{value:?}"
            );
        }
    }
}
