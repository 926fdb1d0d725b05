//! Header fields: where they are, and what they say.

use std::borrow::Cow;
use std::ops::Range;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use mail_parser::parsers::MessageStream;
use mail_parser::{Address as Addresses, HeaderValue};
use serde::Serialize;

use super::{parameter, transfer};
use crate::message::{Address, AddressGroup};

/// Longer values are read up to here. Lists of addresses and references are long at times.
const MAX_VALUE: usize = 128 * 1024;
/// Fields of one header block that are read; the rest is passed over.
const MAX_FIELDS: usize = 10_000;

/// One header field, decoded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Header {
    /// The name in the sender's spelling.
    pub name: String,
    /// The value: unfolded, encoded words (RFC 2047) decoded.
    pub value: String,
}

/// Where a field is.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) name: Range<usize>,
    /// Behind the colon, up to and with the last line end.
    pub(super) value: Range<usize>,
}

/// The fields of one header block.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields(Vec<Field>);

impl Fields {
    /// Starts a field, unless there are too many.
    pub(super) fn push(&mut self, field: Field) {
        if self.0.len() < MAX_FIELDS {
            self.0.push(field);
        }
    }

    /// The line at `end` goes on with the last field.
    pub(super) fn extend(&mut self, end: usize) {
        if self.0.len() < MAX_FIELDS
            && let Some(last) = self.0.last_mut()
        {
            last.value.end = end;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Field> {
        self.0.iter()
    }

    /// The raw values of every field of this name, in order.
    pub(super) fn values<'a>(&'a self, raw: &'a [u8], name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.0
            .iter()
            .filter(move |field| {
                raw.get(field.name.clone())
                    .is_some_and(|n| n.eq_ignore_ascii_case(name.as_bytes()))
            })
            .filter_map(|field| raw.get(field.value.clone()))
    }

    pub(super) fn first<'a>(&'a self, raw: &'a [u8], name: &str) -> Option<&'a [u8]> {
        self.values(raw, name).next()
    }
}

/// A value as mail-parser wants it: with a line end that no blank follows, and in UTF-8. Raw bytes beyond ASCII that are
/// not UTF-8 are windows-1252 in nearly all mail that has them.
fn ended(value: &[u8]) -> Cow<'_, [u8]> {
    let value = value.get(..MAX_VALUE).unwrap_or(value);
    let ends = value.ends_with(b"\n");
    if ends && value.is_ascii() {
        return Cow::Borrowed(value);
    }
    let mut text = transfer::text(None, value);
    if !ends {
        text.push('\n');
    }
    Cow::Owned(text.into_bytes())
}

/// An unstructured value, decoded.
pub(crate) fn text(value: &[u8]) -> String {
    match MessageStream::new(&ended(value)).parse_unstructured() {
        HeaderValue::Text(text) => text.into_owned(),
        _ => String::new(),
    }
}

/// The ids of Message-ID, In-Reply-To, References or Content-ID, without angle brackets.
pub(crate) fn ids(value: &[u8]) -> Vec<String> {
    match MessageStream::new(&ended(value)).parse_id() {
        HeaderValue::Text(id) => vec![id.into_owned()],
        HeaderValue::TextList(ids) => ids.into_iter().map(Cow::into_owned).collect(),
        _ => Vec::new(),
    }
}

/// The point in time of a Date field. jiff knows the obsolete forms (two-digit years, no seconds, zones by name),
/// mail-parser the broken ones.
pub(super) fn date(value: &[u8]) -> Option<Timestamp> {
    let strict = DateTimeParser::new().relaxed_weekday(true);
    if let Ok(date) = strict.parse_timestamp(value.trim_ascii()) {
        return Some(date);
    }
    match MessageStream::new(&ended(value)).parse_date() {
        HeaderValue::DateTime(date) if date.is_valid() => Timestamp::from_second(date.to_timestamp()).ok(),
        _ => None,
    }
}

/// The addresses of a field, in groups where there are any.
pub(super) fn groups(value: &[u8]) -> Vec<AddressGroup> {
    let convert = |list: Vec<mail_parser::Addr<'_>>| {
        let convert = |addr: mail_parser::Addr<'_>| Address {
            name: addr.name.map(Cow::into_owned).filter(|name| !name.is_empty()),
            email: addr.address.map(Cow::into_owned).unwrap_or_default(),
        };
        let addresses = list.into_iter().map(convert);
        addresses
            .filter(|address| !address.email.is_empty() || address.name.is_some())
            .collect()
    };
    match MessageStream::new(&ended(value)).parse_address() {
        HeaderValue::Address(Addresses::List(list)) => vec![AddressGroup {
            name: None,
            addresses: convert(list),
        }],
        HeaderValue::Address(Addresses::Group(groups)) => groups
            .into_iter()
            .map(|group| AddressGroup {
                name: group.name.map(Cow::into_owned),
                addresses: convert(group.addresses),
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// A Content-Type or Content-Disposition.
#[derive(Clone, Debug, Default)]
pub(super) struct Parameterized {
    /// `text/plain` or `attachment`, in lower case.
    pub(super) value: String,
    /// Parameters with names in lower case, RFC 2231 and RFC 2047 decoded.
    parameters: Vec<(String, String)>,
}

impl Parameterized {
    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        let value = ended(value);
        let HeaderValue::ContentType(parsed) = MessageStream::new(&value).parse_content_type() else {
            return None;
        };
        let media = match &parsed.c_subtype {
            Some(subtype) => format!("{}/{subtype}", parsed.c_type),
            None => parsed.c_type.into_owned(),
        };
        let continued = parameter::continued(parameter::split(&String::from_utf8_lossy(&value)));
        let others = parsed.attributes.unwrap_or_default().into_iter();
        let others =
            others.map(|attribute| (attribute.name.to_ascii_lowercase(), attribute.value.into_owned()));
        Some(Self {
            value: media.to_ascii_lowercase(),
            parameters: continued.into_iter().chain(others).collect(),
        })
    }

    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded() {
        assert_eq!(
            text(b" =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n =?iso-8859-1?Q?_an_J=F6rg?= !"),
            "Grüße an Jörg !"
        );
        assert_eq!(text(b" folded\r\n\tvalue\r\n"), "folded value");
        assert_eq!(text(b" =?unknown-x?q?abc=FF?="), "abc\u{fffd}");
        assert_eq!(text("raw Grüße".as_bytes()), "raw Grüße");
        assert_eq!(text(b"raw Gr\xfc\xdfe\r\n"), "raw Grüße");
        assert_eq!(text(b" two  blanks "), "two  blanks");
        assert_eq!(text(b"\r\n"), "");
        assert_eq!(ids(b" <a@b>\r\n\t<c@d>"), ["a@b", "c@d"]);
        assert_eq!(
            date(b" Sun, 22 Nov 2026 19:25:23 +0100").unwrap().to_string(),
            "2026-11-22T18:25:23Z"
        );
        assert_eq!(
            date(b" 22 Nov 26 12:00 EST (obsolete)\r\n").unwrap().to_string(),
            "2026-11-22T17:00:00Z"
        );
        assert_eq!(date(b" the day after"), None);
    }

    #[test]
    fn addresses_and_groups_are_read() {
        let list = groups(b" =?utf-8?b?SsO2cmc=?= <j@x.de>, k@x.de\r\n");
        assert_eq!(
            list[0].addresses,
            [Address::new("Jörg", "j@x.de"), Address::new("", "k@x.de")]
        );
        let list = groups(b" Team: a@x, B <b@x>; c@x");
        assert_eq!(list[0].name.as_deref(), Some("Team"));
        assert_eq!(list[0].addresses.len(), 2);
        assert_eq!(list[1].addresses, [Address::new("", "c@x")]);
        assert!(
            groups(b" undisclosed-recipients:;")
                .iter()
                .all(|group| group.addresses.is_empty())
        );
    }

    #[test]
    fn parameters_are_decoded() {
        let parse = |value: &[u8]| Parameterized::parse(value).unwrap();
        let attachment = parse(b" attachment; filename*0*=utf-8''%C3%A4; filename*1*=%C3%B6.pdf");
        assert_eq!(
            (attachment.value.as_str(), attachment.parameter("filename")),
            ("attachment", Some("äö.pdf"))
        );
        let attachment = parse(b" Attachment;\r\n FileName=\"=?utf-8?q?=C3=A4.pdf?=\"");
        assert_eq!(attachment.parameter("filename"), Some("ä.pdf"));
        assert_eq!(parse(b" TEXT/Plain; charset=\"UTF-8\"").value, "text/plain");
        assert!(Parameterized::parse(b" ").is_none());
    }

    /// A hostile value must not take time with the square of its length.
    #[test]
    fn endless_values_are_cut() {
        for unit in ["=?ab?q?", "=?utf-8?b?", "(", "\"", "<", "a,", ";a*0=", "=?"] {
            let value = unit.repeat(4 * MAX_VALUE / unit.len());
            text(value.as_bytes());
            ids(value.as_bytes());
            groups(value.as_bytes());
            date(value.as_bytes());
            Parameterized::parse(value.as_bytes());
        }
    }
}
