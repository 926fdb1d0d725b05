//! Header lines: folding (RFC 5322 §2.2.3), encoded words (RFC 2047), parameters (RFC 2231).

use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::message::Address;

/// Lines are folded here (RFC 2047 §2 asks for 76 where there are encoded words).
const WIDTH: usize = 76;
/// An encoded word without its text: `=?utf-8?B?` and `?=`.
const FRAME: usize = 12;
/// Bytes in one encoded word: 60 characters of base64.
const WORD_BYTES: usize = 45;
/// A word of plain text that is longer than this is encoded, because it can't be folded and lines end at 998. Long
/// links (List-Unsubscribe) must stay as they are.
const MAX_WORD: usize = 900;

/// A free text.
pub(super) fn unstructured(name: &str, value: &str) -> String {
    let value = value.replace('\t', " ");
    let plain = is_plain(&value) && value.split(' ').all(|word| word.len() <= MAX_WORD);
    // Blanks at the edges or in rows would not survive folding.
    let words: Vec<String> = if plain && value.split(' ').all(|word| !word.is_empty()) {
        value.split(' ').map(str::to_owned).collect()
    } else {
        encoded_words(&value, WIDTH.saturating_sub(name.len() + 2))
    };
    fold(name, words)
}

/// A list of addresses.
pub(super) fn addresses(name: &str, list: &[Address]) -> String {
    let mut tokens = Vec::new();
    for (index, address) in list.iter().enumerate() {
        let email = match &address.name {
            None => address.email.clone(),
            Some(display) => {
                tokens.extend(phrase(display));
                format!("<{}>", address.email)
            }
        };
        tokens.push(if index + 1 < list.len() {
            email + ","
        } else {
            email
        });
    }
    fold(name, tokens)
}

/// A list of ids, in angle brackets.
pub(super) fn ids<'a>(name: &str, ids: impl IntoIterator<Item = &'a str>) -> String {
    fold(name, ids.into_iter().map(|id| format!("<{id}>")).collect())
}

/// `; name="…"` for Content-Type: beyond ASCII as encoded words in quotes, which is what Outlook reads and writes.
pub(super) fn name_parameter(name: &str) -> String {
    if is_quotable(name) {
        format!(";\r\n name=\"{name}\"")
    } else {
        let words = encoded_words(name, WIDTH - " name=\"".len() - 1);
        format!(";\r\n name=\"{}\"", words.join("\r\n "))
    }
}

/// `; filename="…"` for Content-Disposition: beyond ASCII by RFC 2231, in pieces.
pub(super) fn filename_parameter(name: &str) -> String {
    if is_quotable(name) {
        return format!(";\r\n filename=\"{name}\"");
    }
    let (mut pieces, mut piece) = (Vec::new(), String::from("utf-8''"));
    for c in name.chars() {
        // Whole characters in each piece: not every reader puts them together before it decodes.
        if piece.len() > 50 {
            pieces.push(std::mem::take(&mut piece));
        }
        if c.is_ascii_alphanumeric() || "-_.".contains(c) {
            piece.push(c);
        } else {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                let _ = write!(piece, "%{byte:02X}");
            }
        }
    }
    pieces.push(piece);
    match pieces.as_slice() {
        [one] => format!(";\r\n filename*={one}"),
        many => many
            .iter()
            .enumerate()
            .map(|(n, piece)| format!(";\r\n filename*{n}*={piece}"))
            .collect(),
    }
}

/// Short printable ASCII that needs no escapes: readers differ on those.
fn is_quotable(name: &str) -> bool {
    name.len() <= 60 && is_plain(name) && !name.contains(['"', '\\'])
}

fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~')) && !text.contains("=?")
}

/// The tokens of a display name.
fn phrase(name: &str) -> Vec<String> {
    let name = name.replace('\t', " ");
    let is_atom = |word: &str| {
        !word.is_empty()
            && word
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte))
    };
    if !is_plain(&name) || name.len() > MAX_WORD {
        encoded_words(&name, WORD_BYTES)
    } else if name.split(' ').all(is_atom) {
        name.split(' ').map(str::to_owned).collect()
    } else {
        vec![format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))]
    }
}

/// Whole characters in each word, so that each can be decoded by itself. `first` is the room of the first one.
fn encoded_words(text: &str, first: usize) -> Vec<String> {
    let mut room = (first.saturating_sub(FRAME) / 4 * 3).clamp(6, WORD_BYTES);
    let (mut words, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        let mut end = room.min(rest.len());
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let (word, tail) = rest.split_at(end);
        words.push(format!("=?utf-8?B?{}?=", BASE64_STANDARD.encode(word)));
        (rest, room) = (tail, WORD_BYTES);
    }
    words
}

/// `Name: token token`, broken between tokens; the first always stays on the first line.
fn fold(name: &str, tokens: Vec<String>) -> String {
    let mut out = format!("{name}:");
    let mut column = out.len();
    for (index, token) in tokens.iter().enumerate() {
        if index > 0 && column + 1 + token.len() > WIDTH {
            out.push_str("\r\n");
            column = 0;
        }
        out.push(' ');
        out.push_str(token);
        column += 1 + token.len();
    }
    out.push_str("\r\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Message;

    fn read(header: &str) -> Message {
        assert!(header.ends_with("\r\n") && !header.contains("\r\n\r\n"));
        for line in header.split("\r\n") {
            assert!(line.len() <= 998, "{header}");
            assert!(!line.contains("=?") || line.len() <= WIDTH, "{line}");
            assert!(!line.contains(['\r', '\n']), "{header:?}");
        }
        Message::parse(format!("{header}\r\n")).unwrap()
    }

    #[test]
    fn texts_survive() {
        let long = "Grüße ".repeat(100);
        let word = "x".repeat(3_000);
        let sentence = "plain words in a long line ".repeat(20);
        for text in [
            "Hello",
            "",
            "Grüße",
            " edges ",
            "two  blanks",
            "=?utf-8?q?x?=",
            "😀😀😀",
            &long,
            &word,
            sentence.trim(),
        ] {
            let header = unstructured("Subject", text);
            assert_eq!(read(&header).subject().unwrap_or_default(), *text, "{header}");
        }
        assert_eq!(unstructured("Subject", "Hello there"), "Subject: Hello there\r\n");
        let header = unstructured(
            "X-A-Name-That-Is-So-Long-That-Hardly-Anything-Fits-Behind-It-On-A-Line",
            "Grüße",
        );
        assert!(header.contains("=?utf-8?B?"), "{header}");
    }

    #[test]
    fn addresses_survive() {
        let long = "Jörg ".repeat(60).trim_end().to_owned();
        let list: Vec<Address> = [
            "Joe",
            "Joe Doe",
            "Doe, Joe",
            "J. \"X\" \\ Doe",
            "Jörg Müller",
            "李小龙",
            " a  b ",
            "(comment) <x@y>",
            "=?x",
            "a@b",
            "",
            &long,
        ]
        .iter()
        .enumerate()
        .map(|(n, name)| Address::new(*name, format!("user{n}@example.com")))
        .collect();
        let header = addresses("To", &list);
        assert_eq!(read(&header).to(), list, "{header}");
        assert_eq!(addresses("To", &list[..1]), "To: Joe <user0@example.com>\r\n");
        assert_eq!(
            addresses("To", &list[2..3]),
            "To: \"Doe, Joe\" <user2@example.com>\r\n"
        );
    }

    #[test]
    fn file_names_survive_in_both_places() {
        let long = "ä".repeat(120) + ".pdf";
        for name in [
            "a.pdf",
            "Übersicht 2026.pdf",
            "a\"b\\c.txt",
            "per%cent'.txt",
            "=?utf-8?q?x?=",
            "价格.xlsx",
            &long,
        ] {
            let (one, two) = (name_parameter(name), filename_parameter(name));
            for (content_type, disposition) in [
                (one.as_str(), "Content-Disposition: attachment\r\n".to_owned()),
                ("", format!("Content-Disposition: attachment{two}\r\n")),
            ] {
                let raw = format!("Content-Type: application/pdf{content_type}\r\n{disposition}\r\n");
                assert!(raw.lines().all(|line| line.len() <= 78), "{raw}");
                let message = Message::parse(raw.clone()).unwrap();
                assert_eq!(
                    message.attachments().next().unwrap().name().as_deref(),
                    Some(name),
                    "{raw}"
                );
            }
        }
    }
}
