//! Header texts made readable: encoded-words (RFC 2047) and parameter values (RFC 2231).

use bytes::Bytes;
use mail_parser::decoders::charsets::map::charset_decoder;
use mail_parser::parsers::MessageStream;

/// A header text with its encoded-words decoded. Line ends and other controls become blanks.
pub(crate) fn decode(raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(raw);
    let mut line: String = if text.contains("=?") {
        // The parser wants one header value with its line end; folded lines are unfolded first.
        let mut value: Vec<u8> = text
            .bytes()
            .map(|byte| if byte.is_ascii_control() { b' ' } else { byte })
            .collect();
        value.insert(0, b' ');
        value.push(b'\n');
        MessageStream::new(&value)
            .parse_unstructured()
            .into_text()
            .unwrap_or_default()
            .into_owned()
    } else {
        text.into_owned()
    };
    // Encoded-words may hold line ends again: what people see has none.
    if line.contains(char::is_control) {
        line = line
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
    }
    line.trim().to_owned()
}

/// The parameters of a content type or disposition as names in lower case and readable values: continuations
/// (`name*0`, `name*1`) joined and charsets (`name*=utf-8''%e2%82%ac`) decoded.
pub(crate) fn decode_parameters(raw: Vec<(String, Bytes)>) -> Vec<(String, String)> {
    struct Piece {
        name: String,
        number: u32,
        encoded: bool,
        value: Bytes,
    }
    let mut pieces: Vec<Piece> = Vec::new();
    for (name, value) in raw {
        let name = name.to_ascii_lowercase();
        let mut parts = name.split('*');
        let base = parts.next().unwrap_or_default().to_owned();
        let (mut number, mut encoded) = (0, false);
        for part in parts {
            match part.parse() {
                Ok(count) => number = count,
                Err(_) => encoded = part.is_empty(),
            }
        }
        pieces.push(Piece {
            name: base,
            number,
            encoded,
            value,
        });
    }
    // Stable: same-named values keep the order in which they came.
    pieces.sort_by_key(|piece| piece.number);
    let mut joined: Vec<(String, Vec<u8>, Option<String>)> = Vec::new();
    for piece in pieces {
        let mut value = piece.value.to_vec();
        let mut charset = None;
        if piece.encoded {
            if piece.number == 0 {
                let mut parts = value.splitn(3, |&byte| byte == b'\'');
                if let (Some(name), Some(_), Some(text)) = (parts.next(), parts.next(), parts.next()) {
                    charset = Some(String::from_utf8_lossy(name).into_owned());
                    value = text.to_vec();
                }
            }
            value = percent_decode(&value);
        }
        match joined.iter_mut().find(|(name, ..)| *name == piece.name) {
            Some((_, text, _)) if piece.number > 0 => text.extend_from_slice(&value),
            // A plain `filename` beside `filename*`: the first that came is kept.
            Some(_) => {}
            None => joined.push((piece.name, value, charset)),
        }
    }
    joined
        .into_iter()
        .map(|(name, value, charset)| {
            let text = match charset.and_then(|charset| charset_decoder(charset.as_bytes())) {
                Some(decoder) => decoder(&value),
                None => decode(&value),
            };
            (name, text)
        })
        .collect()
}

fn percent_decode(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let hex = |at: usize| after.get(at).and_then(|&digit| char::from(digit).to_digit(16));
        match (byte, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                decoded.push(byte);
                rest = after;
            }
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_words_become_text() {
        for (raw, text) in [
            ("plain", "plain"),
            ("=?utf-8?Q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
            ("=?iso-8859-1?q?a_b?= =?utf-8?B?4oKs?= c", "a b€ c"),
            ("=?utf-8?Q?a?=\r\n =?utf-8?Q?b?=", "ab"),
            ("x =?utf-8?Q?a=0D=0Ab?=", "x a  b"),
            ("=?broken", "=?broken"),
            ("Grüße", "Grüße"),
            ("", ""),
        ] {
            assert_eq!(decode(raw.as_bytes()), text, "{raw}");
        }
        assert_eq!(decode(b"a\xffb"), "a\u{fffd}b");
    }

    #[test]
    fn parameters_become_text() {
        let raw = [
            ("CHARSET", "utf-8"),
            ("filename*1*", "%20b.pdf"),
            ("filename*0*", "utf-8''%e2%82%ac"),
            ("name", "=?utf-8?Q?=C3=BC?="),
            ("odd*", "50%"),
        ];
        let raw = raw.map(|(name, value)| (name.to_owned(), Bytes::from_static(value.as_bytes())));
        let pairs = decode_parameters(raw.to_vec());
        let value = |name: &str| {
            pairs
                .iter()
                .find(|pair| pair.0 == name)
                .map(|pair| pair.1.as_str())
        };
        assert_eq!(value("filename"), Some("€ b.pdf"));
        assert_eq!(value("name"), Some("ü"));
        assert_eq!(value("charset"), Some("utf-8"));
        assert_eq!(value("odd"), Some("50%"));
    }
}
