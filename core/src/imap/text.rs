//! Header texts made readable: encoded-words (RFC 2047) and parameter values (RFC 2231), as the server quotes them.

use bytes::Bytes;

use crate::message::parse::{field, parameter, transfer};

/// Parameters of one part that are kept.
const MAX_PARAMETERS: usize = 200;

/// A header text with its encoded-words decoded. Line ends and other controls become blanks.
pub(crate) fn decode(raw: &[u8]) -> String {
    // Line ends must not end the field for the parser.
    let line: Vec<u8> = raw
        .iter()
        .map(|byte| if byte.is_ascii_control() { b' ' } else { *byte })
        .collect();
    let mut line = field::text(&line);
    // Encoded-words may hold line ends again: what people see has none.
    if line.contains(char::is_control) {
        line = line.replace(char::is_control, " ");
    }
    line.trim().to_owned()
}

/// The parameters of a content type or disposition as names in lower case and readable values: continuations
/// (`name*0`, `name*1`) joined and charsets (`name*=utf-8''%e2%82%ac`) decoded. They win over a plain parameter of the
/// same name (RFC 6266 §4.3), and of two plain ones the first does.
pub(crate) fn decode_parameters(mut raw: Vec<(String, Bytes)>) -> Vec<(String, String)> {
    raw.truncate(MAX_PARAMETERS);
    let texts: Vec<String> = raw.iter().map(|(_, value)| transfer::text(None, value)).collect();
    let names = raw.iter().map(|(name, _)| name.as_str());
    let mut decoded = parameter::continued(names.zip(texts.iter().map(String::as_str)));
    for (name, value) in &raw {
        let name = name.to_ascii_lowercase();
        if !name.contains('*') && decoded.iter().all(|(known, _)| *known != name) {
            decoded.push((name, decode(value)));
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
        // Raw bytes are read as in a message's header.
        assert_eq!(decode(b"Gr\xfc\xdfe"), "Grüße");
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
        assert_eq!(pairs.len(), 4);
    }

    #[test]
    fn a_hostile_text_takes_no_time_with_the_square_of_its_length() {
        for unit in ["=?ab?q?", "=?utf-8?b?", "=?", "\n=?"] {
            decode(unit.repeat((1 << 20) / unit.len()).as_bytes());
        }
        let many = (0..200_000).map(|n| (format!("x{n}"), Bytes::new())).collect();
        assert_eq!(decode_parameters(many).len(), MAX_PARAMETERS);
    }
}
