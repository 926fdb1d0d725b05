//! Finds headers and parts: one pass over the bytes, no recursion.

use std::ops::Range;

use memchr::{memchr, memmem};

use super::field::{Field, Fields, Parameterized};

/// Multiparts within multiparts. Deeper ones stay unopened, as an attachment.
const MAX_DEPTH: usize = 64;
/// Parts of one message. What follows is not looked at.
const MAX_PARTS: usize = 10_000;
/// RFC 2046 §5.1.1 allows 70; some writers exceed it.
const MAX_BOUNDARY: usize = 256;

/// One part, a multipart or a leaf. The message itself is the first.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) fields: Fields,
    pub(super) body: Range<usize>,
    pub(super) content_type: Parameterized,
    /// The multipart it is in.
    pub(super) parent: Option<usize>,
    /// Which of the parent's parts it is, from 0.
    pub(super) position: usize,
    /// How many parts it has itself.
    pub(super) children: usize,
}

/// The parts of a message in their order.
#[derive(Clone, Debug)]
pub(super) struct Structure {
    pub(super) parts: Vec<Part>,
    /// A bound was reached: something was left unopened or unread.
    pub(super) truncated: bool,
}

struct Open {
    part: usize,
    boundary: Vec<u8>,
}

struct Delimiter {
    line: Range<usize>,
    /// Which open multipart it belongs to.
    level: usize,
    closes: bool,
}

pub(super) fn split(raw: &[u8]) -> Structure {
    let mut structure = Structure {
        parts: Vec::new(),
        truncated: false,
    };
    let mut open: Vec<Open> = Vec::new();
    let mut at = mbox_line(raw);
    'parts: loop {
        let (fields, body) = header(raw, at, &open);
        let parent = open.last().map(|open| open.part);
        let index = structure.parts.len();
        let content_type = fields.first(raw, "Content-Type").and_then(Parameterized::parse);
        let content_type =
            content_type.unwrap_or_else(|| default_type(parent.map(|at| &structure.parts[at])));
        let position = match parent {
            Some(parent) => {
                structure.parts[parent].children += 1;
                structure.parts[parent].children - 1
            }
            None => 0,
        };
        let boundary = content_type
            .value
            .starts_with("multipart/")
            .then(|| content_type.parameter("boundary"));
        let boundary = boundary
            .flatten()
            .map(|boundary| boundary.trim_end().as_bytes().to_vec());
        structure.parts.push(Part {
            fields,
            body: body..raw.len(),
            content_type,
            parent,
            position,
            children: 0,
        });
        let mut leaf = Some(index);
        if let Some(boundary) = boundary.filter(|boundary| (1..=MAX_BOUNDARY).contains(&boundary.len())) {
            if open.len() < MAX_DEPTH {
                open.push(Open {
                    part: index,
                    boundary,
                });
                leaf = None;
            } else {
                structure.truncated = true;
            }
        }
        let mut from = body;
        loop {
            let Some(delimiter) = delimiter(raw, from, &open) else {
                break 'parts;
            };
            // It ends the leaf before it and every multipart that forgot its own end.
            let end = trim_line_end(raw, delimiter.line.start);
            for ended in leaf
                .take()
                .into_iter()
                .chain(open.drain(delimiter.level + 1..).map(|open| open.part))
            {
                let body = &mut structure.parts[ended].body;
                body.end = end.max(body.start);
            }
            from = delimiter.line.end;
            if !delimiter.closes {
                at = from;
                break;
            }
            if let Some(closed) = open.pop() {
                structure.parts[closed.part].body.end = from;
            }
            if open.is_empty() {
                break 'parts;
            }
        }
        if structure.parts.len() >= MAX_PARTS {
            structure.truncated = true;
            break;
        }
    }
    structure
}

/// An mbox separator before the first header, as some programs leave it there.
fn mbox_line(raw: &[u8]) -> usize {
    if raw.starts_with(b"From ") {
        line_end(raw, 0)
    } else {
        0
    }
}

/// RFC 2046 §5.1.5: parts of a digest are messages unless they say otherwise.
fn default_type(parent: Option<&Part>) -> Parameterized {
    let digest = parent.is_some_and(|parent| parent.content_type.value == "multipart/digest");
    Parameterized::parse(if digest { b"message/rfc822" } else { b"text/plain" }).unwrap_or_default()
}

/// The fields from `at` on, and where the body begins.
fn header(raw: &[u8], mut at: usize, open: &[Open]) -> (Fields, usize) {
    let mut fields = Fields::default();
    while at < raw.len() {
        let end = line_end(raw, at);
        let line = &raw[at..end];
        match line {
            b"\n" | b"\r\n" => return (fields, end),
            [b' ' | b'\t', ..] if !fields.is_empty() => fields.extend(end),
            // A header that runs into a boundary without an empty line: the part has no body.
            [b'-', b'-', ..] if matches(line, open).is_some() => return (fields, at),
            _ => match field_name(line) {
                Some(length) => {
                    let colon = at + line.iter().position(|&byte| byte == b':').unwrap_or(length);
                    fields.push(Field {
                        name: at..at + length,
                        value: colon + 1..end,
                    });
                }
                // Neither a field nor an empty line: someone forgot the empty line.
                None => return (fields, at),
            },
        }
        at = end;
    }
    (fields, at)
}

/// The length of a field's name, if the line begins with one. Blanks before the colon are forgiven (RFC 5322 §4.5).
fn field_name(line: &[u8]) -> Option<usize> {
    let colon = memchr(b':', line)?;
    let name = line[..colon].trim_ascii_end();
    (!name.is_empty() && name.iter().all(u8::is_ascii_graphic)).then_some(name.len())
}

/// The next line that is a boundary of an open multipart, from the start of a line on.
fn delimiter(raw: &[u8], from: usize, open: &[Open]) -> Option<Delimiter> {
    if open.is_empty() {
        return None;
    }
    let mut at = from;
    // `from` is the start of a line; every further one is found by its line end.
    if !raw.get(at..)?.starts_with(b"--") {
        at = next_dashes(raw, at)?;
    }
    loop {
        let line = at..line_end(raw, at);
        if let Some((level, closes)) = matches(&raw[line.clone()], open) {
            return Some(Delimiter { line, level, closes });
        }
        at = next_dashes(raw, at)?;
    }
}

fn next_dashes(raw: &[u8], from: usize) -> Option<usize> {
    memmem::find(raw.get(from..)?, b"\n--").map(|found| from + found + 1)
}

/// Which open multipart a line that begins with `--` belongs to, the innermost first, and whether it ends it.
fn matches(line: &[u8], open: &[Open]) -> Option<(usize, bool)> {
    let text = line.strip_prefix(b"--")?.trim_ascii_end();
    open.iter().enumerate().rev().find_map(|(level, open)| {
        match text.strip_prefix(open.boundary.as_slice())? {
            b"" => Some((level, false)),
            b"--" => Some((level, true)),
            _ => None,
        }
    })
}

/// Behind the line end of the line that begins at `at`.
fn line_end(raw: &[u8], at: usize) -> usize {
    memchr(b'\n', &raw[at..]).map_or(raw.len(), |found| at + found + 1)
}

/// The line end before a boundary belongs to the boundary.
fn trim_line_end(raw: &[u8], at: usize) -> usize {
    let before = &raw[..at];
    let before = before.strip_suffix(b"\n").unwrap_or(before);
    before.strip_suffix(b"\r").unwrap_or(before).len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `(type, body)` of each leaf.
    fn leaves(raw: &str) -> Vec<(String, String)> {
        let parts = split(raw.as_bytes()).parts;
        let leaves = parts.iter().filter(|part| part.children == 0);
        leaves
            .map(|part| (part.content_type.value.clone(), raw[part.body.clone()].to_owned()))
            .collect()
    }

    fn leaf(content_type: &str, body: &str) -> (String, String) {
        (content_type.to_owned(), body.to_owned())
    }

    #[test]
    fn parts_are_found() {
        let raw = "Content-Type: multipart/mixed; boundary=\"b\"\r\n\r\npreamble\r\n--b\r\n\r\none\r\n--b\r\n\
                   Content-Type: multipart/alternative; boundary=b--x\r\n\r\n--b--x\r\n\r\ntwo\r\n\r\n--b--x\r\n\
                   Content-Type: text/html\r\n\r\n--bx\r\n--b--x-- \r\nepilogue\r\n--b--\r\n--b\r\n\r\nbehind\r\n";
        assert_eq!(
            leaves(raw),
            [
                leaf("text/plain", "one"),
                leaf("text/plain", "two\r\n"),
                leaf("text/html", "--bx")
            ]
        );
        let parts = split(raw.as_bytes()).parts;
        assert_eq!(
            parts.iter().map(|part| part.parent).collect::<Vec<_>>(),
            [None, Some(0), Some(0), Some(2), Some(2)]
        );
        assert_eq!(
            parts.iter().map(|part| part.position).collect::<Vec<_>>(),
            [0, 0, 1, 0, 1]
        );
    }

    #[test]
    fn broken_ones_are_borne() {
        for (raw, expected) in [
            ("", vec![leaf("text/plain", "")]),
            ("no header\nat all", vec![leaf("text/plain", "no header\nat all")]),
            ("A: b", vec![leaf("text/plain", "")]),
            (
                "A: b\nforgot the empty line",
                vec![leaf("text/plain", "forgot the empty line")],
            ),
            ("From joe Sun\nA: b\n\nx", vec![leaf("text/plain", "x")]),
            // The boundary never comes: what there is, is a leaf.
            (
                "Content-Type: multipart/mixed; boundary=b\n\nx\n--c\n",
                vec![leaf("multipart/mixed", "x\n--c\n")],
            ),
            (
                "Content-Type: multipart/mixed\n\n--\n",
                vec![leaf("multipart/mixed", "--\n")],
            ),
            // Nothing closes: the end of the message does.
            (
                "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n",
                vec![leaf("text/plain", "x\n")],
            ),
            // The outer boundary ends an inner multipart that forgot to.
            (
                "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\nx\n--b\n\ny\n--b--",
                vec![leaf("text/plain", "x"), leaf("text/plain", "y")],
            ),
            // A header that runs into the boundary, and a boundary with nothing before it.
            (
                "Content-Type: multipart/mixed; boundary=b\n--b\nA: b\n--b\n\n--b--",
                vec![leaf("text/plain", ""), leaf("text/plain", "")],
            ),
            (
                "Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: x\n\ny\n--b--",
                vec![leaf("message/rfc822", "Subject: x\n\ny")],
            ),
        ] {
            assert_eq!(leaves(raw), expected, "{raw:?}");
        }
    }

    #[test]
    fn bounds_hold() {
        let mut raw = String::new();
        for n in 0..200 {
            raw += &format!("Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n");
        }
        let structure = split(raw.as_bytes());
        assert!(structure.truncated);
        assert_eq!(structure.parts.len(), MAX_DEPTH + 1);

        let raw = format!(
            "Content-Type: multipart/mixed; boundary=b\n\n{}",
            "--b\n\nx\n".repeat(20_000)
        );
        let structure = split(raw.as_bytes());
        assert!(structure.truncated);
        assert_eq!(structure.parts.len(), MAX_PARTS);
    }
}
