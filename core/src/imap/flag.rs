//! [`Flag`]: marks on a message (RFC 3501 §2.3.2).

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::value::Value;
use crate::error::{Error, ErrorKind, Layer, Result};

/// A mark on a message. Exchange keeps those listed here and no keywords.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Flag {
    /// `\Seen`: read.
    Seen,
    /// `\Answered`.
    Answered,
    /// `\Flagged`: marked as important.
    Flagged,
    /// `\Deleted`: goes away with the next EXPUNGE.
    Deleted,
    /// `\Draft`.
    Draft,
    /// `$MDNSent`: a read receipt was sent (RFC 3503).
    MdnSent,
    /// Any other keyword. [`Flag::from_str`] checks that it can be one.
    Keyword(String),
}

impl Flag {
    /// The flag as IMAP writes it.
    pub fn as_str(&self) -> &str {
        match self {
            Flag::Seen => "\\Seen",
            Flag::Answered => "\\Answered",
            Flag::Flagged => "\\Flagged",
            Flag::Deleted => "\\Deleted",
            Flag::Draft => "\\Draft",
            Flag::MdnSent => "$MDNSent",
            Flag::Keyword(keyword) => keyword,
        }
    }

    fn system(name: &str) -> Option<Self> {
        [
            Flag::Seen,
            Flag::Answered,
            Flag::Flagged,
            Flag::Deleted,
            Flag::Draft,
            Flag::MdnSent,
        ]
        .into_iter()
        .find(|flag| flag.as_str().eq_ignore_ascii_case(name))
    }

    /// The flag for a name in a response; `None` for `\Recent`, `\*` and other things that can't be set.
    fn read(name: &str) -> Option<Self> {
        Self::system(name).or_else(|| (!name.starts_with('\\')).then(|| Flag::Keyword(name.to_owned())))
    }

    /// Whether a command may carry it: a keyword is an atom (RFC 3501 §9).
    pub(crate) fn check(&self) -> Result<()> {
        match self {
            Flag::Keyword(keyword) if !is_atom(keyword) => Err(Error::new(
                ErrorKind::InvalidArgument,
                "flag",
                format!("{keyword:?} can't be a flag: use letters, digits and $-_ without blanks"),
            )
            .with_layer(Layer::Local)),
            _ => Ok(()),
        }
    }

    /// Keywords, which a folder may refuse; the five of RFC 3501 it must know.
    pub(crate) fn is_keyword(&self) -> bool {
        matches!(self, Flag::Keyword(_) | Flag::MdnSent)
    }
}

/// Whether `text` is an atom: no blanks, controls, specials or non-ASCII.
pub(crate) fn is_atom(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"(){%*\"\\]".contains(&byte))
}

/// The flags of a list value. At most `MAX_FLAGS` are kept.
pub(crate) fn read_flags(value: &Value) -> Vec<Flag> {
    const MAX_FLAGS: usize = 1_000;
    let names = value.list().unwrap_or_default().iter().filter_map(Value::text);
    let mut flags: Vec<Flag> = Vec::new();
    for flag in names.filter_map(|name| Flag::read(&name)).take(MAX_FLAGS) {
        if !flags.contains(&flag) {
            flags.push(flag);
        }
    }
    flags
}

/// Flags as the parenthesised list of a command.
pub(crate) fn write_flags(flags: &[Flag]) -> Result<String> {
    for flag in flags {
        flag.check()?;
    }
    Ok(format!(
        "({})",
        flags.iter().map(Flag::as_str).collect::<Vec<_>>().join(" ")
    ))
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Flag {
    type Err = Error;

    /// Reads `\Seen` or `seen`, without regard to case; anything else is a keyword.
    fn from_str(text: &str) -> Result<Self> {
        let name = text.strip_prefix('\\').unwrap_or(text);
        let flag = Self::system(text)
            .or_else(|| Self::system(&format!("\\{name}")))
            .or_else(|| name.eq_ignore_ascii_case("mdnsent").then_some(Flag::MdnSent))
            .unwrap_or_else(|| Flag::Keyword(text.to_owned()));
        flag.check()?;
        Ok(flag)
    }
}

impl Serialize for Flag {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::value::Reader;
    use super::*;

    #[test]
    fn flags_are_read_and_written() {
        let list = Reader::new(Bytes::from_static(
            b"(\\Seen \\RECENT $MDNSent \\seen $Forwarded \\*)",
        ))
        .value();
        let flags = read_flags(&list.unwrap());
        assert_eq!(
            flags,
            [Flag::Seen, Flag::MdnSent, Flag::Keyword("$Forwarded".to_owned())]
        );
        assert_eq!(write_flags(&flags).unwrap(), "(\\Seen $MDNSent $Forwarded)");
        assert_eq!(serde_json::to_string(&Flag::Seen).unwrap(), "\"\\\\Seen\"");
    }

    #[test]
    fn names_are_read_without_case_and_bad_keywords_are_refused() {
        for (text, flag) in [
            ("seen", Flag::Seen),
            ("\\FLAGGED", Flag::Flagged),
            ("mdnsent", Flag::MdnSent),
        ] {
            assert_eq!(text.parse::<Flag>().unwrap(), flag);
        }
        assert_eq!("Work".parse::<Flag>().unwrap(), Flag::Keyword("Work".to_owned()));
        for text in ["", "a b", "a\r\nA1 LOGOUT", "a)", "\\Custom", "é", "a\0"] {
            assert_eq!(
                text.parse::<Flag>().unwrap_err().kind(),
                ErrorKind::InvalidArgument,
                "{text:?}"
            );
            assert!(write_flags(&[Flag::Keyword(text.to_owned())]).is_err());
        }
    }
}
