//! [`Section`]: which bytes of a message to fetch (RFC 3501 §6.4.5).

use std::fmt;

use super::flag::is_atom;
use crate::error::{Error, ErrorKind, Layer, Result};

/// Which bytes of a message to fetch. Fetching does not mark it as read, unless [`Section::marking_seen`] says so.
///
/// ```
/// use exomail::imap::Section;
///
/// assert_eq!(Section::whole().to_string(), "BODY.PEEK[]");
/// assert_eq!(Section::part("1.2")?.partial(0, 1024).to_string(), "BODY.PEEK[1.2]<0.1024>");
/// # Ok::<(), exomail::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    spec: String,
    partial: Option<(u32, u32)>,
    mark_seen: bool,
}

impl Section {
    fn new(spec: impl Into<String>) -> Self {
        Self {
            spec: spec.into(),
            partial: None,
            mark_seen: false,
        }
    }

    /// The whole message as stored.
    pub fn whole() -> Self {
        Self::new("")
    }

    /// The header with the empty line behind it.
    pub fn header() -> Self {
        Self::new("HEADER")
    }

    /// The body without the header.
    pub fn text() -> Self {
        Self::new("TEXT")
    }

    /// Only these header fields.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when there are none, or one is no field name.
    pub fn header_fields<S: AsRef<str>>(names: &[S]) -> Result<Self> {
        let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
        match names.iter().find(|name| !is_field_name(name)) {
            None if !names.is_empty() => Ok(Self::new(format!("HEADER.FIELDS ({})", names.join(" ")))),
            found => Err(invalid(format!(
                "{:?} is no header field's name",
                found.unwrap_or(&"")
            ))),
        }
    }

    /// A part's content, still encoded as [`BodyStructure::encoding`](super::BodyStructure) says. `path` is that of
    /// the structure, such as `1.2`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when it is no path.
    pub fn part(path: &str) -> Result<Self> {
        check_path(path)?;
        Ok(Self::new(path))
    }

    /// A part's own MIME header.
    ///
    /// # Errors
    /// As [`Section::part`].
    pub fn part_mime(path: &str) -> Result<Self> {
        check_path(path)?;
        Ok(Self::new(format!("{path}.MIME")))
    }

    /// At most `length` bytes from `offset` on.
    #[must_use]
    pub fn partial(mut self, offset: u32, length: u32) -> Self {
        // A length of 0 is not allowed by the grammar; one byte is the least that can be asked for.
        self.partial = Some((offset, length.max(1)));
        self
    }

    /// Marks the message as read by fetching it.
    #[must_use]
    pub fn marking_seen(mut self) -> Self {
        self.mark_seen = true;
        self
    }
}

/// The item as a FETCH command has it.
impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let peek = if self.mark_seen { "" } else { ".PEEK" };
        write!(f, "BODY{peek}[{}]", self.spec)?;
        match self.partial {
            Some((offset, length)) => write!(f, "<{offset}.{length}>"),
            None => Ok(()),
        }
    }
}

/// A field name (RFC 5322 §3.6.8) that is an atom too, so that it needs no quotes.
pub(super) fn is_field_name(name: &str) -> bool {
    name.len() <= 200 && is_atom(name) && !name.contains([':', '['])
}

fn check_path(path: &str) -> Result<()> {
    let numbers = path
        .split('.')
        .all(|number| number.parse::<u16>().is_ok_and(|at| at > 0) && !number.starts_with('+'));
    if numbers && path.len() <= 300 {
        return Ok(());
    }
    Err(invalid(format!(
        "{path:?} is no path of a part: numbers and dots, such as 1.2"
    )))
}

fn invalid(detail: String) -> Error {
    Error::new(ErrorKind::InvalidArgument, "section", detail).with_layer(Layer::Local)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_written() {
        assert_eq!(Section::header().to_string(), "BODY.PEEK[HEADER]");
        assert_eq!(Section::text().marking_seen().to_string(), "BODY[TEXT]");
        assert_eq!(
            Section::header_fields(&["From", "Message-ID"])
                .unwrap()
                .to_string(),
            "BODY.PEEK[HEADER.FIELDS (From Message-ID)]"
        );
        assert_eq!(Section::part_mime("3").unwrap().to_string(), "BODY.PEEK[3.MIME]");
        assert_eq!(Section::whole().partial(7, 0).to_string(), "BODY.PEEK[]<7.1>");
    }

    #[test]
    fn nothing_gets_out_of_a_section() {
        for path in ["", "0", "1.", ".1", "+1", "1]", "1\r\nA1 LOGOUT", "TEXT", "1\0"] {
            assert_eq!(
                Section::part(path).unwrap_err().kind(),
                ErrorKind::InvalidArgument,
                "{path:?}"
            );
        }
        for name in ["", "a b", "From:", "x)", "x\r\ny", "ü"] {
            assert!(Section::header_fields(&[name]).is_err(), "{name:?}");
        }
        assert!(Section::header_fields::<&str>(&[]).is_err());
    }
}
