//! The tree of a message's parts, as ranges of octets (RFC 2045, RFC 2046).
//!
//! IMAP numbers parts and hands them out as they stand, encoded; so nothing is decoded or copied here.

use std::ops::Range;

use super::header::{self, Field};

/// Parts nested deeper are not looked into. The bound keeps recursion off the end of the stack.
const MAX_DEPTH: usize = 32;
/// Parts of one message beyond this number are not listed.
const MAX_PARTS: usize = 10_000;

/// One part, and those within it.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// Its header block, with the empty line that ends it.
    pub(crate) header: Range<usize>,
    pub(crate) body: Range<usize>,
    pub(crate) content_type: ContentType,
    /// The parts of a multipart, or the one message of a message/rfc822.
    pub(crate) children: Vec<Part>,
}

/// A Content-Type, or what a missing or broken one stands for (RFC 2045 §5.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ContentType {
    pub(crate) kind: String,
    pub(crate) subtype: String,
    pub(crate) parameters: Vec<(String, Vec<u8>)>,
}

impl ContentType {
    fn new(kind: &str, subtype: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            subtype: subtype.to_owned(),
            parameters: Vec::new(),
        }
    }

    fn parse(block: &[u8], default: Self) -> Self {
        let Some(field) = header::field(block, "Content-Type") else {
            return default;
        };
        let value = field.unfolded();
        let (name, parameters) = split_parameters(&value);
        match name.split_once('/') {
            Some((kind, subtype)) if !kind.trim().is_empty() && !subtype.trim().is_empty() => Self {
                kind: kind.trim().to_ascii_lowercase(),
                subtype: subtype.trim().to_ascii_lowercase(),
                parameters,
            },
            _ => Self {
                parameters,
                ..Self::new("text", "plain")
            },
        }
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&[u8]> {
        self.parameters
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| &value[..])
    }

    pub(crate) fn is_multipart(&self) -> bool {
        self.kind == "multipart"
    }

    pub(crate) fn is_message(&self) -> bool {
        self.kind == "message" && self.subtype == "rfc822"
    }
}

/// Splits `text/plain; charset="x"` into the first word and the parameters.
pub(crate) fn split_parameters(value: &[u8]) -> (String, Vec<(String, Vec<u8>)>) {
    let mut pieces = split_outside_quotes(value, b';').into_iter();
    let first = pieces
        .next()
        .map(|piece| String::from_utf8_lossy(piece.trim_ascii()).into_owned());
    let parameters = pieces
        .filter_map(|piece| {
            let equals = piece.iter().position(|&octet| octet == b'=')?;
            let name = std::str::from_utf8(piece[..equals].trim_ascii()).ok()?;
            (!name.is_empty()).then(|| (name.to_owned(), unquote(piece[equals + 1..].trim_ascii())))
        })
        .take(64)
        .collect();
    (first.unwrap_or_default(), parameters)
}

fn split_outside_quotes(value: &[u8], separator: u8) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    let (mut start, mut quoted, mut escaped) = (0, false, false);
    for (index, &octet) in value.iter().enumerate() {
        if escaped {
            escaped = false;
        } else if quoted && octet == b'\\' {
            escaped = true;
        } else if octet == b'"' {
            quoted = !quoted;
        } else if !quoted && octet == separator {
            pieces.push(&value[start..index]);
            start = index + 1;
        }
    }
    pieces.push(&value[start..]);
    pieces
}

/// A quoted-string's content; anything else as it stands, up to a blank.
fn unquote(value: &[u8]) -> Vec<u8> {
    let Some(quoted) = value.strip_prefix(b"\"") else {
        return value
            .split(u8::is_ascii_whitespace)
            .next()
            .unwrap_or_default()
            .to_vec();
    };
    let mut plain = Vec::with_capacity(quoted.len());
    let mut octets = quoted.iter();
    while let Some(&octet) = octets.next() {
        match octet {
            b'"' => break,
            b'\\' => plain.extend(octets.next()),
            _ => plain.push(octet),
        }
    }
    plain
}

impl Part {
    /// The tree of a whole message.
    pub(crate) fn parse(raw: &[u8]) -> Self {
        let mut left = MAX_PARTS;
        Self::parse_range(raw, 0..raw.len(), ContentType::new("text", "plain"), 0, &mut left)
    }

    fn parse_range(
        raw: &[u8],
        range: Range<usize>,
        default: ContentType,
        depth: usize,
        left: &mut usize,
    ) -> Self {
        let text = &raw[range.clone()];
        let split = range.start + header::block_length(text);
        let (header, body) = (range.start..split, split..range.end);
        let content_type = ContentType::parse(&raw[header.clone()], default);
        let mut children = Vec::new();
        if depth < MAX_DEPTH {
            if content_type.is_multipart() {
                if let Some(boundary) = content_type
                    .parameter("boundary")
                    .filter(|boundary| !boundary.is_empty())
                {
                    let default = || match content_type.subtype.as_str() {
                        // RFC 2046 §5.1.5
                        "digest" => ContentType::new("message", "rfc822"),
                        _ => ContentType::new("text", "plain"),
                    };
                    for range in split_multipart(raw, body.clone(), boundary, left) {
                        children.push(Self::parse_range(raw, range, default(), depth + 1, left));
                    }
                }
            } else if content_type.is_message() && *left > 0 && !is_encoded(&raw[header.clone()]) {
                *left -= 1;
                let default = ContentType::new("text", "plain");
                children.push(Self::parse_range(raw, body.clone(), default, depth + 1, left));
            }
        }
        Self {
            header,
            body,
            content_type,
            children,
        }
    }

    /// The part that a path of numbers names (RFC 3501 §6.4.5), or `None`.
    ///
    /// Every message has a part 1: one that is not a multipart is its own.
    pub(crate) fn find(&self, path: &[u32]) -> Option<&Self> {
        let mut part = self;
        // At the top, and behind message/rfc822, numbers count the parts of the message within.
        let mut message = Some(self);
        for &number in path {
            let holder = match message {
                Some(message) => message,
                None if part.content_type.is_message() => part.children.first()?,
                None => part,
            };
            let index = usize::try_from(number).ok()?.checked_sub(1)?;
            part = if holder.content_type.is_multipart() && !holder.children.is_empty() {
                holder.children.get(index)?
            } else if (message.is_some() || part.content_type.is_message()) && index == 0 {
                holder
            } else {
                return None;
            };
            message = None;
        }
        Some(part)
    }

    /// Header and body.
    pub(crate) fn range(&self) -> Range<usize> {
        self.header.start..self.body.end
    }

    pub(crate) fn field<'a>(&self, raw: &'a [u8], name: &str) -> Option<Field<'a>> {
        raw.get(self.header.clone())
            .and_then(|block| header::field(block, name))
    }
}

/// Whether a transfer encoding hides the part's content, which message/rfc822 should not have (RFC 2046 §5.2.1).
fn is_encoded(block: &[u8]) -> bool {
    header::field(block, "Content-Transfer-Encoding").is_some_and(|field| {
        let value = field.unfolded();
        value.eq_ignore_ascii_case(b"base64") || value.eq_ignore_ascii_case(b"quoted-printable")
    })
}

/// The ranges between a multipart's delimiter lines, without the line ending that belongs to the delimiter.
fn split_multipart(raw: &[u8], body: Range<usize>, boundary: &[u8], left: &mut usize) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let mut start = None;
    let mut position = body.start;
    while position < body.end && *left > 0 {
        let length = header::line_length(&raw[position..body.end]);
        let line = &raw[position..position + length];
        if let Some(last) = delimiter(line, boundary) {
            if let Some(start) = start {
                parts.push(start..before_line_ending(raw, start, position));
                *left -= 1;
            }
            start = (!last).then_some(position + length);
            if last {
                break;
            }
        }
        position += length;
    }
    if let Some(start) = start.filter(|_| *left > 0) {
        // The closing delimiter is missing: the part goes on to the end.
        parts.push(start..body.end);
        *left -= 1;
    }
    parts
}

/// Whether a line is a delimiter, and if so whether it is the closing one.
fn delimiter(line: &[u8], boundary: &[u8]) -> Option<bool> {
    let rest = line.strip_prefix(b"--")?.strip_prefix(boundary)?;
    let (last, rest) = match rest.strip_prefix(b"--") {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    rest.trim_ascii().is_empty().then_some(last)
}

fn before_line_ending(raw: &[u8], start: usize, end: usize) -> usize {
    let text = &raw[start..end];
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    start + text.strip_suffix(b"\r").unwrap_or(text).len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NESTED: &[u8] = b"From: a@b\r\nContent-Type: multipart/mixed; boundary=\"x;y\"\r\n\r\npreamble\r\n--x;y\r\n\r\none\r\n\
--x;y\r\nContent-Type: multipart/alternative; boundary=in\r\n\r\n--in\r\nContent-Type: text/plain\r\n\r\ntwo-one\r\n\
--in\r\nContent-Type: TEXT/HTML; Charset = utf-8\r\n\r\n<p>two-two\r\n\r\n--in--\r\n\
--x;y\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ninner body\r\n--x;y--\r\nepilogue\r\n";

    fn body<'a>(raw: &'a [u8], root: &Part, path: &[u32]) -> Option<&'a [u8]> {
        root.find(path).map(|part| &raw[part.body.clone()])
    }

    #[test]
    fn parts_are_numbered_as_rfc_3501_says() {
        let root = Part::parse(NESTED);
        assert_eq!(root.children.len(), 3);
        assert_eq!(body(NESTED, &root, &[1]), Some(&b"one"[..]));
        assert_eq!(body(NESTED, &root, &[2, 1]), Some(&b"two-one"[..]));
        assert_eq!(body(NESTED, &root, &[2, 2]), Some(&b"<p>two-two\r\n"[..]));
        assert_eq!(
            body(NESTED, &root, &[3]),
            Some(&b"Subject: inner\r\n\r\ninner body"[..])
        );
        assert_eq!(body(NESTED, &root, &[3, 1]), Some(&b"inner body"[..]));
        for path in [&[4][..], &[1, 1], &[2, 3], &[3, 2], &[3, 1, 1]] {
            assert!(root.find(path).is_none(), "{path:?}");
        }
        let html = root.find(&[2, 2]).unwrap();
        assert_eq!(
            (
                html.content_type.kind.as_str(),
                html.content_type.subtype.as_str()
            ),
            ("text", "html")
        );
        assert_eq!(html.content_type.parameter("CHARSET"), Some(&b"utf-8"[..]));
    }

    #[test]
    fn single_part_message_is_its_own_part_one() {
        let raw = b"Subject: x\r\n\r\nhello\r\n";
        let root = Part::parse(raw);
        assert_eq!(body(raw, &root, &[1]), Some(&b"hello\r\n"[..]));
        assert!(root.find(&[1, 1]).is_none());
        assert!(root.find(&[2]).is_none());
        // The same for a multipart that has no parts, which BODYSTRUCTURE shows as octets.
        let raw = b"Content-Type: multipart/mixed; boundary=b\r\n\r\nnothing";
        assert_eq!(body(raw, &Part::parse(raw), &[1]), Some(&b"nothing"[..]));
    }

    #[test]
    fn missing_ends_and_empty_messages_are_borne() {
        let raw = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nopen end";
        let root = Part::parse(raw);
        assert_eq!(body(raw, &root, &[1]), Some(&b"open end"[..]));
        for raw in [
            &b""[..],
            b"\r\n",
            b"Content-Type: multipart/mixed\r\n\r\n--\r\n",
            b"Content-Type: ;\r\n\r\n--b",
        ] {
            assert!(Part::parse(raw).children.is_empty());
        }
    }

    #[test]
    fn nesting_and_number_of_parts_are_bounded() {
        let deep = "Content-Type: message/rfc822\r\n\r\n".repeat(3000);
        let mut part = &Part::parse(deep.as_bytes());
        let mut depth = 0;
        while let Some(child) = part.children.first() {
            part = child;
            depth += 1;
        }
        assert_eq!(depth, MAX_DEPTH);
        let wide = format!(
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n{}",
            "--b\r\n\r\n".repeat(20_000)
        );
        assert_eq!(Part::parse(wide.as_bytes()).children.len(), MAX_PARTS);
    }
}
