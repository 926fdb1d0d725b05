//! XOAUTH2 for the `async-imap` crate.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::xoauth2;
use crate::error::Result;
use crate::secret::Secret;

/// An `async_imap::Authenticator` for `client.authenticate("XOAUTH2", …)`.
///
/// It gives the response once, and answers a failure challenge with an empty line, so that the server ends the
/// exchange with its verdict. Beware: `async-imap` writes what it sends, the token included, to the `log` crate at
/// trace level. `Mailbox::async_imap_session` does not have this flaw: there exomail signs in itself.
#[derive(Debug)]
pub struct XOAuth2Authenticator(Option<Secret>);

impl XOAuth2Authenticator {
    /// Opens `user`'s mailbox with `token`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) when user or token is empty or holds a control
    /// character.
    pub fn new(user: &str, token: &Secret) -> Result<Self> {
        // async-imap encodes what it is given: checked and built by the one function, then taken back to the raw form.
        let encoded = xoauth2(user, token)?;
        let raw = BASE64_STANDARD
            .decode(encoded.secret().expose())
            .unwrap_or_default();
        Ok(Self(String::from_utf8(raw).ok().map(Secret::new)))
    }
}

impl async_imap::Authenticator for XOAuth2Authenticator {
    type Response = String;

    fn process(&mut self, _challenge: &[u8]) -> String {
        self.0
            .take()
            .map(|secret| secret.expose().to_owned())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use async_imap::Authenticator;

    use super::*;

    #[test]
    fn the_response_is_given_once() {
        let mut authenticator =
            XOAuth2Authenticator::new("joe@example.com", &Secret::new("eyJ0.eyJh.c2ln")).unwrap();
        assert!(!format!("{authenticator:?}").contains("eyJ0"));
        assert_eq!(
            authenticator.process(b""),
            "user=joe@example.com\x01auth=Bearer eyJ0.eyJh.c2ln\x01\x01"
        );
        assert_eq!(authenticator.process(b"{\"status\":\"401\"}"), "");
    }
}
