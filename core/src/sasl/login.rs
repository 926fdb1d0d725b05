//! [`Login`]: whose mailbox, with whose token.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::token::{Refresh, Token, TokenProvider};

/// Whose mailbox is opened, and where the token comes from.
///
/// App-only, the user is the mailbox itself: its primary SMTP address, not an alias and not a UPN that differs.
#[derive(Clone)]
pub struct Login {
    user: String,
    tokens: Arc<dyn TokenProvider>,
}

impl Login {
    /// Opens `user`'s mailbox with tokens from `tokens`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when the user is empty or holds a control character.
    pub fn new(user: impl Into<String>, tokens: impl TokenProvider + 'static) -> Result<Self> {
        Self::shared(user, Arc::new(tokens))
    }

    /// As [`Login::new`], with a provider that is shared.
    ///
    /// # Errors
    /// As [`Login::new`].
    pub fn shared(user: impl Into<String>, tokens: Arc<dyn TokenProvider>) -> Result<Self> {
        let user = user.into();
        if user.is_empty() || user.chars().any(char::is_control) {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "login",
                "the mailbox address is empty or holds a control character",
            ));
        }
        Ok(Self { user, tokens })
    }

    /// The mailbox to open.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// A token that is valid now.
    pub(crate) async fn token(&self) -> Result<Token> {
        self.tokens.token(Refresh::IfNeeded).await
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}
