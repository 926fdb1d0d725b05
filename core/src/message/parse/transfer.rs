//! Content transfer encodings and charsets, read leniently: what can't be decoded comes as it is.

use bytes::Bytes;
use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::charsets::map::charset_decoder;

/// The bytes of a part. Only encoded ones are copied.
pub(super) fn decode(encoding: &str, body: Bytes) -> Bytes {
    if encoding.eq_ignore_ascii_case("base64") {
        Bytes::from(base64(&body))
    } else if encoding.eq_ignore_ascii_case("quoted-printable") {
        Bytes::from(quoted_printable(&body))
    } else {
        body
    }
}

fn base64(body: &[u8]) -> Vec<u8> {
    base64_decode(body).unwrap_or_else(|| {
        // RFC 2045 §6.8: what is not of the alphabet is to be ignored.
        let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
        let clean: Vec<u8> = body.iter().copied().filter(is_base64).collect();
        base64_decode(&clean).unwrap_or_default()
    })
}

/// RFC 2045 §6.7, with what is wrong left as it stands.
fn quoted_printable(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    for line in body.split_inclusive(|&byte| byte == b'\n') {
        let (content, end) = match line {
            [content @ .., b'\r', b'\n'] => (content, b"\r\n".as_slice()),
            [content @ .., b'\n'] => (content, b"\n".as_slice()),
            content => (content, b"".as_slice()),
        };
        // Blanks at the end of a line were added on the way.
        let content = content.trim_ascii_end();
        let (content, end) = match content {
            [content @ .., b'='] => (content, b"".as_slice()),
            content => (content, end),
        };
        let mut rest = content;
        while let Some((&byte, tail)) = rest.split_first() {
            match (byte, tail) {
                (b'=', [high, low, behind @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                    out.push(hex(*high) << 4 | hex(*low));
                    rest = behind;
                }
                _ => {
                    out.push(byte);
                    rest = tail;
                }
            }
        }
        out.extend_from_slice(end);
    }
    out
}

/// The value of a hexadecimal digit.
pub(super) fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20).wrapping_sub(b'a').wrapping_add(10),
    }
}

/// The text of bytes in a charset. An unknown charset is read as UTF-8, what does not fit is replaced; without one it
/// is UTF-8 where it can be, else windows-1252. US-ASCII with bytes beyond it is what programs write that did not think
/// of a charset: it counts as none.
pub(crate) fn text(charset: Option<&str>, bytes: &[u8]) -> String {
    let charset = charset.filter(|charset| {
        let charset = charset.trim();
        !["us-ascii", "ascii", "ansi_x3.4-1968"]
            .iter()
            .any(|ascii| charset.eq_ignore_ascii_case(ascii))
    });
    match charset.map(|charset| (charset, charset_decoder(charset.trim().as_bytes()))) {
        Some((_, Some(decoder))) => decoder(bytes),
        Some((_, None)) => String::from_utf8_lossy(bytes).into_owned(),
        None => match (std::str::from_utf8(bytes), charset_decoder(b"windows-1252")) {
            (Err(_), Some(decoder)) => decoder(bytes),
            _ => String::from_utf8_lossy(bytes).into_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(encoding: &str, body: &'static str) -> String {
        String::from_utf8_lossy(&decode(encoding, Bytes::from_static(body.as_bytes()))).into_owned()
    }

    #[test]
    fn base64_is_read_however_broken() {
        for (body, expected) in [
            ("aGVsbG8=\r\n", "hello"),
            ("aGVs\r\nbG8", "hello"),
            ("aG*Vs-bG8=\r\n", "hello"),
            ("aGVsbG8=aGVsbG8=", "hellohello"),
            ("", ""),
            ("====", ""),
            ("a", ""),
        ] {
            assert_eq!(decoded("BASE64", body), expected, "{body:?}");
        }
    }

    #[test]
    fn quoted_printable_is_read_however_broken() {
        for (body, expected) in [
            ("a=3Db=\r\nc \t\r\nd", "a=bc\r\nd"),
            ("=c3=A4", "ä"),
            ("100=% =Z1 =4", "100=% =Z1 =4"),
            ("end=", "end"),
            ("soft =  \nx", "soft x"),
            ("", ""),
        ] {
            assert_eq!(decoded("Quoted-Printable", body), expected, "{body:?}");
        }
    }

    #[test]
    fn charsets_are_read() {
        for (charset, bytes, expected) in [
            (Some("windows-1252"), b"\x80 5".as_slice(), "€ 5"),
            (Some("ISO-2022-JP"), b"\x1b$B$3$s$K$A$O\x1b(B", "こんにちは"),
            (Some("gb18030"), b"\xc4\xe3\xba\xc3", "你好"),
            (Some("x-unknown"), b"a\xff", "a\u{fffd}"),
            (Some("US-ASCII"), "Grüße".as_bytes(), "Grüße"),
            (Some("us-ascii "), b"Gr\xfc\xdfe", "Grüße"),
            (Some(""), "ä".as_bytes(), "ä"),
            (None, "ä".as_bytes(), "ä"),
            (None, b"\xe4", "ä"),
        ] {
            assert_eq!(text(charset, bytes), expected, "{charset:?}");
        }
    }
}
