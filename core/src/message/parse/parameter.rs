//! Parameters in pieces (RFC 2231 §3): put together as bytes, because some writers cut through a character.

use super::transfer;

/// Pieces of one parameter that are put together.
const MAX_PIECES: usize = 1_000;

struct Piece<'a> {
    name: String,
    number: usize,
    encoded: bool,
    value: &'a str,
}

/// Those of the parameters that come in numbered pieces, or in one encoded piece; names in lower case.
pub(crate) fn continued<'a>(parameters: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<(String, String)> {
    let pieces = parameters.filter_map(|(name, value)| piece(name, value));
    let mut pieces: Vec<Piece<'_>> = pieces.take(MAX_PIECES).collect();
    // Stable: of two pieces with one number the first counts.
    pieces.sort_by(|a, b| (&a.name, a.number).cmp(&(&b.name, b.number)));
    pieces.dedup_by(|b, a| a.name == b.name && a.number == b.number);
    let of_one_name = pieces.chunk_by(|a, b| a.name == b.name);
    of_one_name
        .filter_map(|pieces| Some((pieces.first()?.name.clone(), join(pieces))))
        .collect()
}

fn join(pieces: &[Piece<'_>]) -> String {
    let (mut bytes, mut charset) = (Vec::new(), None);
    for (index, piece) in pieces.iter().enumerate() {
        let mut value = piece.value;
        if index == 0 && piece.encoded {
            // charset'language'text
            let mut parts = value.splitn(3, '\'');
            if let (Some(name), Some(_), Some(text)) = (parts.next(), parts.next(), parts.next()) {
                charset = Some(name).filter(|name| !name.is_empty());
                value = text;
            }
        }
        if piece.encoded {
            percent_decode(value, &mut bytes);
        } else {
            bytes.extend_from_slice(value.as_bytes());
        }
    }
    transfer::text(charset, &bytes)
}

/// `name*0*`, `name*0` or `name*`; `None` for any other parameter.
fn piece<'a>(name: &str, value: &'a str) -> Option<Piece<'a>> {
    let (name, rest) = name.split_once('*')?;
    let (number, encoded) = match rest.strip_suffix('*') {
        Some(number) => (number.parse().ok()?, true),
        None if rest.is_empty() => (0, true),
        None => (rest.parse().ok()?, false),
    };
    Some(Piece {
        name: name.to_ascii_lowercase(),
        number,
        encoded,
        value,
    })
}

/// Names and values of a field's parameters: what stands between semicolons outside quotes.
pub(super) fn split(field: &str) -> impl Iterator<Item = (&str, &str)> {
    let (mut quoted, mut escaped) = (false, false);
    let parts = field.split(move |c: char| {
        let ends = c == ';' && !quoted;
        if c == '"' && !escaped {
            quoted = !quoted;
        }
        escaped = c == '\\' && !escaped;
        ends
    });
    parts.skip(1).filter_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim();
        let unquoted = value
            .strip_prefix('"')
            .map(|inner| inner.strip_suffix('"').unwrap_or(inner));
        Some((name.trim(), unquoted.unwrap_or(value)))
    })
}

fn percent_decode(text: &str, out: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        match (byte, tail) {
            (b'%', [high, low, behind @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                out.push(transfer::hex(*high) << 4 | transfer::hex(*low));
                rest = behind;
            }
            _ => {
                out.push(byte);
                rest = tail;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_put_together() {
        for (field, expected) in [
            (
                "attachment; filename*=utf-8''%c3%a4.pdf",
                vec![("filename", "ä.pdf")],
            ),
            ("a; filename*=iso-8859-1'de'%E4%", vec![("filename", "ä%")]),
            // Through the middle of a character, and in the wrong order.
            (
                "a; filename*1*=%A4.pdf; FileName*0*=UTF-8''%C3",
                vec![("filename", "ä.pdf")],
            ),
            (
                "a; name*0=\"plain; \"; name*1*=%20text; name*2=\" %41\"",
                vec![("name", "plain;  text %41")],
            ),
            (
                "a; x*0*=utf-8''1; x*0*=utf-8''2; y*=''%E4",
                vec![("x", "1"), ("y", "ä")],
            ),
            ("a; plain=b; q=\"x; z*=utf-8''no\"", vec![]),
            ("a; *=; x*y=1; x**=2; =", vec![("", "")]),
            ("", vec![]),
        ] {
            let found = continued(split(field));
            let found: Vec<_> = found
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            assert_eq!(found, expected, "{field}");
        }
    }
}
