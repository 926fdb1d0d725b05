//! [`Address`]: a display name and a mail address.

use std::fmt;

use serde::Serialize;

/// A display name, if any, and a mail address.
///
/// Anything can be put in: what is composed is checked by
/// [`OutgoingMessage::builder`](super::OutgoingMessage::builder), what is parsed is as the sender wrote it.
///
/// ```
/// use exomail::message::Address;
///
/// let joe = Address::from("\"Doe, Joe\" <joe@example.com>");
/// assert_eq!(joe, Address::new("Doe, Joe", "joe@example.com"));
/// assert_eq!(Address::from("joe@example.com").name, None);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Address {
    /// The display name, decoded.
    pub name: Option<String>,
    /// `local-part@domain`.
    pub email: String,
}

/// Addresses with the group they were listed in (RFC 5322 §3.4).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AddressGroup {
    /// The group's name; `None` for addresses outside any group.
    pub name: Option<String>,
    /// Its members. Empty in `undisclosed-recipients:;`.
    pub addresses: Vec<Address>,
}

impl Address {
    /// A display name and an address.
    pub fn new(name: impl Into<String>, email: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            name: (!name.is_empty()).then_some(name),
            email: email.into(),
        }
    }
}

/// `Name <local@domain>`, `"Name, with comma" <local@domain>` or `local@domain`.
impl From<&str> for Address {
    fn from(text: &str) -> Self {
        // Blanks only: a line end at either side must be found by the check, not disappear.
        let text = text.trim_matches(' ');
        let Some((name, rest)) = text.rsplit_once('<') else {
            return Self::new("", text);
        };
        let Some(email) = rest.strip_suffix('>') else {
            return Self::new("", text);
        };
        let name = name.trim_matches(' ');
        match name.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')) {
            Some(inner) => Self::new(unescape(inner), email),
            None => Self::new(name, email),
        }
    }
}

impl From<String> for Address {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<&Address> for Address {
    fn from(address: &Address) -> Self {
        address.clone()
    }
}

impl<N: Into<String>, E: Into<String>> From<(N, E)> for Address {
    fn from((name, email): (N, E)) -> Self {
        Self::new(name, email)
    }
}

/// For people: `Name <local@domain>`.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} <{}>", self.email),
            None => f.write_str(&self.email),
        }
    }
}

fn unescape(quoted: &str) -> String {
    let mut out = String::with_capacity(quoted.len());
    let mut chars = quoted.chars();
    while let Some(c) = chars.next() {
        out.push(if c == '\\' {
            chars.next().unwrap_or('\\')
        } else {
            c
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_forms_are_read() {
        for (text, name, email) in [
            ("joe@example.com", None, "joe@example.com"),
            (" <joe@example.com> ", None, "joe@example.com"),
            ("Joe Doe <joe@example.com>", Some("Joe Doe"), "joe@example.com"),
            (
                r#""J. \"X\" \\ Doe" <joe@example.com>"#,
                Some(r#"J. "X" \ Doe"#),
                "joe@example.com",
            ),
            ("Jörg <j@example.com>", Some("Jörg"), "j@example.com"),
            ("a < b <c@d>", Some("a < b"), "c@d"),
            ("broken <joe@example.com", None, "broken <joe@example.com"),
            ("joe@example.com\r\n", None, "joe@example.com\r\n"),
        ] {
            let address = Address::from(text);
            assert_eq!(
                (address.name.as_deref(), address.email.as_str()),
                (name, email),
                "{text:?}"
            );
        }
        assert_eq!(Address::new("Joe", "j@x").to_string(), "Joe <j@x>");
    }
}
