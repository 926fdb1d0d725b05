//! The SASL XOAUTH2 response: `base64("user=" address ^A "auth=Bearer " token ^A ^A)`.

use std::fmt;
use std::ops::Deref;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

/// The longest response that is read, in base64 characters. Exchange's tokens have 2 to 6 kB.
pub(crate) const MAX_RESPONSE: usize = 64 * 1024;

/// A SASL response as it came, still in base64. Its Debug shows none of it, because a token is inside.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SaslResponse(pub(crate) Bytes);

impl fmt::Debug for SaslResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SaslResponse({} octets)", self.0.len())
    }
}

impl Deref for SaslResponse {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// What the client wants to open, and with which token.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Xoauth2 {
    pub(crate) user: String,
    pub(crate) token: String,
}

impl fmt::Debug for Xoauth2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Xoauth2")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// Reads a response; `None` for anything that is not one.
pub(crate) fn parse(response: &[u8]) -> Option<Xoauth2> {
    let bytes = STANDARD.decode(response.trim_ascii()).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let fields = text.strip_suffix("\u{1}\u{1}")?;
    let (mut user, mut token) = (None, None);
    for field in fields.split('\u{1}') {
        let (name, value) = field.split_once('=')?;
        match name {
            "user" => user = Some(value.to_owned()),
            "auth" => {
                let (scheme, value) = value.split_once(' ')?;
                if !scheme.eq_ignore_ascii_case("Bearer") {
                    return None;
                }
                token = Some(value.to_owned());
            }
            // Some clients add host and port, as RFC 7628 has them.
            _ => {}
        }
    }
    let (user, token) = (user?, token?);
    (!user.is_empty() && !token.is_empty()).then_some(Xoauth2 { user, token })
}

#[cfg(test)]
mod tests {
    use super::*;

    // The vector of facts §3.2.
    const VECTOR: &str = "dXNlcj10ZXN0QGNvbnRvc28ub25taWNyb3NvZnQuY29tAWF1dGg9QmVhcmVyIEV3QkFBbDNCQUFVRkZwVUFvN0ozVmUw\
                          YmpMQldaV0NjbFJDM0VvQUEBAQ==";

    #[test]
    fn the_golden_vector_is_read() {
        let read = parse(VECTOR.as_bytes()).unwrap();
        assert_eq!(read.user, "test@contoso.onmicrosoft.com");
        assert_eq!(read.token, "EwBAAl3BAAUFFpUAo7J3Ve0bjLBWZWCclRC3EoAA");
        assert!(!format!("{read:?}").contains("EwBA"));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "user=a\u{1}auth=Bearer t\u{1}",
            "user=\u{1}auth=Bearer t\u{1}\u{1}",
            "user=a\u{1}auth=Bearer \u{1}\u{1}",
            "user=a\u{1}auth=Basic t\u{1}\u{1}",
            "auth=Bearer t\u{1}\u{1}",
            "user=a\u{1}\u{1}",
            "\0joe\0password",
        ] {
            assert_eq!(parse(STANDARD.encode(text).as_bytes()), None, "{text:?}");
        }
        assert_eq!(parse(b"*"), None);
        assert_eq!(parse(&[0xff, 0xfe]), None);
    }
}
