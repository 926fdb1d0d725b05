//! Address lists as ENVELOPE shows them (RFC 3501 §7.4.2): split, but with encoded words as they stand.

/// One entry of an address list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    Mailbox {
        name: Option<Vec<u8>>,
        local: Vec<u8>,
        host: Vec<u8>,
    },
    GroupStart(Vec<u8>),
    GroupEnd,
}

/// Entries of one field beyond this number are dropped.
const MAX_ADDRESSES: usize = 5_000;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(Vec<u8>),
    Comment(Vec<u8>),
    Special(u8),
}

/// Splits a field's unfolded value (RFC 5322 §3.4). What cannot be understood is kept as well as it can be.
pub(crate) fn parse_list(value: &[u8]) -> Vec<Address> {
    let tokens = tokenize(value);
    let mut addresses = Vec::new();
    let mut entry: Vec<Token> = Vec::new();
    let (mut in_group, mut in_angle) = (false, false);
    for token in tokens {
        if addresses.len() >= MAX_ADDRESSES {
            break;
        }
        match token {
            Token::Special(b',') if !in_angle => flush(&mut entry, &mut addresses),
            Token::Special(b':') if !in_group && !in_angle => {
                addresses.push(Address::GroupStart(phrase(&entry).unwrap_or_default()));
                entry.clear();
                in_group = true;
            }
            Token::Special(b';') if in_group => {
                flush(&mut entry, &mut addresses);
                addresses.push(Address::GroupEnd);
                (in_group, in_angle) = (false, false);
            }
            token => {
                in_angle = match token {
                    Token::Special(b'<') => true,
                    Token::Special(b'>') => false,
                    _ => in_angle,
                };
                entry.push(token);
            }
        }
    }
    flush(&mut entry, &mut addresses);
    if in_group {
        addresses.push(Address::GroupEnd);
    }
    addresses
}

fn flush(entry: &mut Vec<Token>, addresses: &mut Vec<Address>) {
    let tokens = std::mem::take(entry);
    let opened = tokens.iter().position(|token| *token == Token::Special(b'<'));
    let (name, address) = match opened {
        Some(open) => {
            let close = tokens
                .iter()
                .rposition(|token| *token == Token::Special(b'>'))
                .unwrap_or(tokens.len());
            (phrase(&tokens[..open]), &tokens[open + 1..close.max(open + 1)])
        }
        None => {
            // The old form `joe@example.com (Joe)`.
            let comment = tokens.iter().find_map(|token| match token {
                Token::Comment(text) if !text.is_empty() => Some(text.clone()),
                _ => None,
            });
            (comment, &tokens[..])
        }
    };
    // An obsolete route, `<@a,@b:joe@example.com>`, is dropped.
    let address = match address.iter().rposition(|token| *token == Token::Special(b':')) {
        Some(colon) if opened.is_some() => &address[colon + 1..],
        _ => address,
    };
    let at = address.iter().rposition(|token| *token == Token::Special(b'@'));
    let (local, host) = match at {
        Some(at) => (glue(&address[..at], b""), glue(&address[at + 1..], b"")),
        None => (glue(address, b" "), Vec::new()),
    };
    if name.is_some() || !local.is_empty() || !host.is_empty() {
        addresses.push(Address::Mailbox { name, local, host });
    }
}

fn phrase(tokens: &[Token]) -> Option<Vec<u8>> {
    let text = glue(tokens, b" ");
    (!text.is_empty()).then_some(text)
}

/// Words with `separator` between them; specials bind to both sides, comments fall out.
fn glue(tokens: &[Token], separator: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut after_word = false;
    for token in tokens {
        match token {
            Token::Word(word) => {
                if after_word {
                    text.extend_from_slice(separator);
                }
                text.extend_from_slice(word);
                after_word = true;
            }
            Token::Special(octet) => {
                text.push(*octet);
                after_word = false;
            }
            Token::Comment(_) => {}
        }
    }
    text
}

fn tokenize(value: &[u8]) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut index = 0;
    while let Some(&octet) = value.get(index) {
        match octet {
            b' ' | b'\t' | b'\r' | b'\n' => index += 1,
            b'"' => {
                let (text, length) = delimited(&value[index..], b'"');
                tokens.push(Token::Word(text));
                index += length;
            }
            b'(' => {
                let (text, length) = delimited(&value[index..], b')');
                tokens.push(Token::Comment(text));
                index += length;
            }
            b'[' => {
                // A domain literal keeps its brackets.
                let length = value[index..].iter().position(|&octet| octet == b']');
                let length = length.map_or(value.len() - index, |last| last + 1);
                tokens.push(Token::Word(value[index..index + length].to_vec()));
                index += length;
            }
            b'<' | b'>' | b',' | b':' | b';' | b'@' => {
                tokens.push(Token::Special(octet));
                index += 1;
            }
            _ => {
                let word = &value[index..];
                let length = word
                    .iter()
                    .position(|octet| b" \t\r\n\"(<>,:;@".contains(octet))
                    .unwrap_or(word.len());
                tokens.push(Token::Word(word[..length].to_vec()));
                index += length;
            }
        }
    }
    tokens
}

/// The content of a quoted string or of a (perhaps nested) comment, and its length with the delimiters.
fn delimited(text: &[u8], close: u8) -> (Vec<u8>, usize) {
    let mut content = Vec::new();
    let mut depth = 0;
    let mut index = 1;
    while let Some(&octet) = text.get(index) {
        index += 1;
        if octet == b'\\' {
            content.extend(text.get(index));
            index += 1;
            continue;
        }
        if octet == close {
            if depth == 0 {
                break;
            }
            depth -= 1;
        } else if close == b')' && octet == b'(' {
            depth += 1;
        }
        content.push(octet);
    }
    (content, index.min(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mailbox(name: Option<&str>, local: &str, host: &str) -> Address {
        Address::Mailbox {
            name: name.map(|name| name.as_bytes().to_vec()),
            local: local.as_bytes().to_vec(),
            host: host.as_bytes().to_vec(),
        }
    }

    #[test]
    fn all_forms_of_rfc_5322() {
        for (value, expected) in [
            ("joe@example.com", vec![mailbox(None, "joe", "example.com")]),
            (
                "Joe Doe <joe@example.com>",
                vec![mailbox(Some("Joe Doe"), "joe", "example.com")],
            ),
            (
                "\"Doe, \\\"J\\\"\" <joe@x>, a@b",
                vec![mailbox(Some("Doe, \"J\""), "joe", "x"), mailbox(None, "a", "b")],
            ),
            (
                "joe@x (Joe (the) Doe)",
                vec![mailbox(Some("Joe (the) Doe"), "joe", "x")],
            ),
            (
                "=?utf-8?Q?J=C3=B6?= <j@x>",
                vec![mailbox(Some("=?utf-8?Q?J=C3=B6?="), "j", "x")],
            ),
            ("\"a b\"@[127.0.0.1]", vec![mailbox(None, "a b", "[127.0.0.1]")]),
            ("<@a,@b:joe@x>", vec![mailbox(None, "joe", "x")]),
            ("<>", vec![]),
            (
                "Team: a@b, C <c@d>;, e@f",
                vec![
                    Address::GroupStart(b"Team".to_vec()),
                    mailbox(None, "a", "b"),
                    mailbox(Some("C"), "c", "d"),
                    Address::GroupEnd,
                    mailbox(None, "e", "f"),
                ],
            ),
            (
                "undisclosed-recipients:;",
                vec![
                    Address::GroupStart(b"undisclosed-recipients".to_vec()),
                    Address::GroupEnd,
                ],
            ),
        ] {
            assert_eq!(parse_list(value.as_bytes()), expected, "{value}");
        }
    }

    #[test]
    fn nonsense_is_kept_or_dropped_but_never_panics() {
        for value in [
            "",
            ",,,",
            "\"open",
            "(open",
            "[open",
            "<",
            ">",
            "<>@",
            ":;",
            "a:b:c;;",
            "\\",
            "\"\\",
            "a <b@c> d",
        ] {
            parse_list(value.as_bytes());
        }
        assert_eq!(parse_list(b"Joe Doe"), [mailbox(None, "Joe Doe", "")]);
        assert_eq!(parse_list("a@b,".repeat(10_000).as_bytes()).len(), MAX_ADDRESSES);
    }
}
