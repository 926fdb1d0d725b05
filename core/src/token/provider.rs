//! [`Token`] and [`TokenProvider`]: what the mail sessions need to know of tokens.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;

use crate::error::Result;
use crate::secret::Secret;

/// An access token. Clones share the text; it can't be printed.
#[derive(Clone)]
pub struct Token(Arc<Inner>);

struct Inner {
    secret: Secret,
    expires_at: SystemTime,
}

impl Token {
    /// A token that is known from elsewhere.
    pub fn new(secret: impl Into<Secret>, expires_at: SystemTime) -> Self {
        Self(Arc::new(Inner {
            secret: secret.into(),
            expires_at,
        }))
    }

    /// The token's text.
    pub fn secret(&self) -> &Secret {
        &self.0.secret
    }

    /// When it ends, by this machine's clock.
    pub fn expires_at(&self) -> SystemTime {
        self.0.expires_at
    }

    /// How long it is still valid; zero when it has ended.
    pub fn remaining(&self) -> Duration {
        self.0
            .expires_at
            .duration_since(SystemTime::now())
            .unwrap_or_default()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("expires_at", &self.0.expires_at)
            .finish_non_exhaustive()
    }
}

/// Whether a cached token will do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Refresh {
    /// A cached token will do.
    #[default]
    IfNeeded,
    /// Ask for a new one: the server refused the last, or a permission was just granted.
    Force,
}

/// Where sessions get their tokens from: an [`App`](crate::App), a [`StaticToken`], or something of the caller's own.
pub trait TokenProvider: Send + Sync + fmt::Debug {
    /// A token that is valid now.
    fn token(&self, refresh: Refresh) -> BoxFuture<'_, Result<Token>>;
}

/// One ready token, never renewed.
#[derive(Clone, Debug)]
pub struct StaticToken(pub Token);

impl TokenProvider for StaticToken {
    fn token(&self, _: Refresh) -> BoxFuture<'_, Result<Token>> {
        Box::pin(async { Ok(self.0.clone()) })
    }
}
