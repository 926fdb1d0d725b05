//! The initial client response of XOAUTH2 and OAUTHBEARER.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;

use crate::error::{Error, ErrorKind, Layer, Result};
use crate::secret::Secret;

/// A SASL mechanism that carries a bearer token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Mechanism {
    /// The mechanism of Exchange Online, Outlook and Gmail.
    #[serde(rename = "XOAUTH2")]
    XOAuth2,
    /// RFC 7628.
    #[serde(rename = "OAUTHBEARER")]
    OAuthBearer,
}

impl Mechanism {
    /// The mechanism's name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::XOAuth2 => "XOAUTH2",
            Mechanism::OAuthBearer => "OAUTHBEARER",
        }
    }

    /// XOAUTH2 where it is offered, else OAUTHBEARER where that is. Names are compared without case.
    pub fn choose<'a>(offered: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let mut bearer = None;
        for name in offered {
            if name.eq_ignore_ascii_case(Mechanism::XOAuth2.name()) {
                return Some(Mechanism::XOAuth2);
            }
            if name.eq_ignore_ascii_case(Mechanism::OAuthBearer.name()) {
                bearer = Some(Mechanism::OAuthBearer);
            }
        }
        bearer
    }

    /// What the client sends after a failure challenge so that the server ends the exchange with its verdict: an
    /// empty line for XOAUTH2, a base64 of ^A for OAUTHBEARER (RFC 7628 §3.2.3).
    pub fn failure_answer(self) -> &'static str {
        match self {
            Mechanism::XOAuth2 => "",
            Mechanism::OAuthBearer => "AQ==",
        }
    }

    /// The initial response of this mechanism. `host` and `port` are only used by OAUTHBEARER.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] as [`xoauth2`] and [`oauthbearer`] say.
    pub fn initial_response(
        self,
        user: &str,
        token: &Secret,
        host: &str,
        port: u16,
    ) -> Result<InitialResponse> {
        match self {
            Mechanism::XOAuth2 => xoauth2(user, token),
            Mechanism::OAuthBearer => oauthbearer(user, token, host, port),
        }
    }
}

/// A base64-encoded initial response. As secret as the token in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitialResponse(Secret);

impl InitialResponse {
    fn encode(raw: String) -> Self {
        let raw = Secret::new(raw);
        Self(Secret::new(BASE64_STANDARD.encode(raw.expose())))
    }

    /// The base64 text, for an AUTH or AUTHENTICATE command.
    pub fn secret(&self) -> &Secret {
        &self.0
    }

    /// Length of the base64 text: what counts against a server's line limit.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Never true; here because a `len` wants it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The XOAUTH2 response that opens `user`'s mailbox: `user=…^Aauth=Bearer …^A^A` in base64.
///
/// App-only, `user` is the mailbox to open: its primary SMTP address.
///
/// ```
/// use exomail::{Secret, sasl};
///
/// let token = Secret::new("EwBAAl3BAAUFFpUAo7J3Ve0bjLBWZWCclRC3EoAA");
/// let response = sasl::xoauth2("test@contoso.onmicrosoft.com", &token)?;
/// assert_eq!(response.secret().expose(), "dXNlcj10ZXN0QGNvbnRvc28ub25taWNyb3NvZnQuY29tAWF1dGg9QmVhcmVy\
///     IEV3QkFBbDNCQUFVRkZwVUFvN0ozVmUwYmpMQldaV0NjbFJDM0VvQUEBAQ==");
/// # Ok::<(), exomail::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::InvalidArgument`] when user or token is empty or holds a control character.
pub fn xoauth2(user: &str, token: &Secret) -> Result<InitialResponse> {
    check(user, token)?;
    Ok(InitialResponse::encode(format!(
        "user={user}\x01auth=Bearer {}\x01\x01",
        token.expose()
    )))
}

/// The OAUTHBEARER response (RFC 7628 §3.1) for `user` at `host`:`port`.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`] when user or token is empty or holds a control character.
pub fn oauthbearer(user: &str, token: &Secret, host: &str, port: u16) -> Result<InitialResponse> {
    check(user, token)?;
    if host.is_empty() || host.chars().any(char::is_control) {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            "OAUTHBEARER",
            "the host name is not valid",
        ));
    }
    // GS2 header: "," and "=" in an authzid are written =2C and =3D (RFC 5801 §4).
    let authzid = user.replace('=', "=3D").replace(',', "=2C");
    Ok(InitialResponse::encode(format!(
        "n,a={authzid},\x01host={host}\x01port={port}\x01auth=Bearer {}\x01\x01",
        token.expose()
    )))
}

fn check(user: &str, token: &Secret) -> Result<()> {
    let refuse = |detail: &'static str| {
        Err(Error::new(ErrorKind::InvalidArgument, "SASL", detail).with_layer(Layer::Local))
    };
    if user.is_empty() {
        return refuse("the user (the mailbox to open) is empty");
    }
    if user.chars().any(char::is_control) {
        return refuse("the user holds a control character");
    }
    // RFC 6750 §2.1: a bearer token is made of these, so ^A or a line end can't get in.
    if token.is_empty() || !token.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
        return refuse("the token is empty or holds characters that no bearer token has");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(response: &InitialResponse) -> String {
        String::from_utf8(BASE64_STANDARD.decode(response.secret().expose()).unwrap()).unwrap()
    }

    #[test]
    fn oauthbearer_follows_rfc_7628() {
        // The example of RFC 7628 §4.1.
        let token = Secret::new("vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==");
        let response = oauthbearer("user@example.com", &token, "server.example.com", 143).unwrap();
        assert_eq!(
            response.secret().expose(),
            "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzAWF1dGg9QmVhcmVyIHZGOWRmd\
             DRxbVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB"
        );
        let response = oauthbearer("a,b=c@x", &token, "h", 1).unwrap();
        assert!(decode(&response).starts_with("n,a=a=2Cb=3Dc@x,\x01host=h\x01port=1\x01"));
    }

    #[test]
    fn nothing_gets_into_another_field() {
        let token = Secret::new("eyJ0.eyJh.c2ln");
        for user in ["", "joe\x01auth=Bearer other", "joe\r\nA1 LOGOUT", "joe\0"] {
            assert_eq!(
                xoauth2(user, &token).unwrap_err().kind(),
                ErrorKind::InvalidArgument,
                "{user:?}"
            );
        }
        for token in ["", "a b", "a\x01", "a\r\n", "é"] {
            assert!(
                xoauth2("joe@example.com", &Secret::new(token)).is_err(),
                "{token:?}"
            );
        }
    }

    #[test]
    fn the_response_is_as_secret_as_the_token() {
        let response = xoauth2("joe@example.com", &Secret::new("eyJ0.eyJh.c2ln")).unwrap();
        assert_eq!(format!("{response:?}"), "InitialResponse(Secret(..))");
        assert_eq!(response.len(), response.secret().expose().len());
    }

    #[test]
    fn xoauth2_is_preferred() {
        assert_eq!(
            Mechanism::choose(["PLAIN", "OAUTHBEARER", "xoauth2"]),
            Some(Mechanism::XOAuth2)
        );
        assert_eq!(
            Mechanism::choose(["OAuthBearer", "PLAIN"]),
            Some(Mechanism::OAuthBearer)
        );
        assert_eq!(Mechanism::choose(["PLAIN", "LOGIN"]), None);
    }
}
