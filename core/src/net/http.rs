//! HTTP for the token endpoint (and later Graph and Exchange admin), over the shared TLS configuration.

use std::time::Duration;

use reqwest::redirect::Policy;

use super::{Timeouts, Tls};
use crate::error::{Error, ErrorKind, Layer, Result};

/// Answers larger than this are not from a token endpoint.
const MAX_BODY: usize = 1 << 20;

/// A client with pooled connections; clones share the pool.
#[derive(Clone, Debug)]
pub(crate) struct HttpClient(reqwest::Client);

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct HttpAnswer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    pub(crate) retry_after: Option<Duration>,
    /// The server's clock, from the `Date` header.
    pub(crate) date: Option<String>,
}

impl HttpClient {
    pub(crate) fn new(tls: &Tls, timeouts: &Timeouts) -> Result<Self> {
        reqwest::Client::builder()
            .tls_backend_preconfigured((**tls.config()).clone())
            .https_only(true)
            // A redirected token request would carry the credential elsewhere.
            .redirect(Policy::none())
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

    pub(crate) fn inner(&self) -> &reqwest::Client {
        &self.0
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
        let retry_after = header("retry-after").and_then(|value| value.trim().parse().ok());
        let date = header("date");
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
            retry_after: retry_after.map(Duration::from_secs),
            date,
        })
    }
}

/// reqwest's own text names the URL, never the body; its chain of causes tells TLS from TCP.
fn network_error(operation: &'static str, host: &str, error: reqwest::Error) -> Error {
    let mut chain = String::new();
    let mut source: Option<&dyn std::error::Error> = Some(&error);
    let mut tls = false;
    while let Some(cause) = source {
        tls |= cause.is::<rustls::Error>();
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            tls |= io.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
        }
        chain = cause.to_string();
        source = cause.source();
    }
    let (kind, layer) = if error.is_timeout() {
        (ErrorKind::TimedOut, Layer::Network)
    } else if tls {
        (ErrorKind::Tls, Layer::Tls)
    } else if chain.contains("lookup") || chain.contains("name or service") || chain.contains("Name or") {
        (ErrorKind::Dns, Layer::Network)
    } else if error.is_connect() {
        (ErrorKind::Connect, Layer::Network)
    } else {
        (ErrorKind::ConnectionLost, Layer::Network)
    };
    Error::new(kind, operation, format!("{host}: {chain}"))
        .with_layer(layer)
        .with_source(error)
}
