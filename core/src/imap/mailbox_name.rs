//! Folder names on the wire: modified UTF-7 (RFC 3501 §5.1.3).

use base64::Engine as _;
use base64::alphabet::IMAP_MUTF7;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::error::{Error, ErrorKind, Layer, Result};

/// Longest folder name in bytes that is sent.
const MAX_NAME: usize = 1_000;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &IMAP_MUTF7,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        // Some servers leave set bits behind the last character.
        .with_decode_allow_trailing_bits(true),
);

/// The name as it is sent: printable ASCII only.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`] when the name is empty, too long or holds a control character.
pub(crate) fn encode(name: &str) -> Result<String> {
    if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            "folder name",
            format!("a folder name has 1 to {MAX_NAME} bytes and no control characters"),
        )
        .with_layer(Layer::Local));
    }
    // INBOX is the one name without regard to case (RFC 3501 §5.1).
    if name.eq_ignore_ascii_case("INBOX") {
        return Ok("INBOX".to_owned());
    }
    let mut encoded = String::with_capacity(name.len());
    let mut units: Vec<u8> = Vec::new();
    let shift_back = |encoded: &mut String, units: &mut Vec<u8>| {
        if !units.is_empty() {
            encoded.push('&');
            BASE64.encode_string(&*units, encoded);
            encoded.push('-');
            units.clear();
        }
    };
    for c in name.chars() {
        if matches!(c, ' '..='~') {
            shift_back(&mut encoded, &mut units);
            encoded.push(c);
            if c == '&' {
                encoded.push('-');
            }
        } else {
            let mut pair = [0; 2];
            units.extend(
                c.encode_utf16(&mut pair)
                    .iter()
                    .flat_map(|unit| unit.to_be_bytes()),
            );
        }
    }
    shift_back(&mut encoded, &mut units);
    Ok(encoded)
}

/// The name for people. What is no modified UTF-7 (plain UTF-8, a stray `&`) is left as it is.
pub(crate) fn decode(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name);
    let mut decoded = String::with_capacity(name.len());
    let mut rest = &*name;
    while let Some((before, shifted)) = rest.split_once('&') {
        decoded.push_str(before);
        // Up to the first character that can't be in it: looking for the `-` anywhere would look through the rest of
        // the name for each `&`, and a server chooses how many there are.
        let end = shifted.find(|c: char| !(c.is_ascii_alphanumeric() || "+,=".contains(c)));
        let (base64, after) = shifted.split_at(end.unwrap_or(shifted.len()));
        let text = after.strip_prefix('-').and_then(|after| match base64 {
            "" => Some(("&".to_owned(), after)),
            _ => Some((units(base64)?, after)),
        });
        if let Some((text, after)) = text {
            decoded.push_str(&text);
            rest = after;
        } else {
            decoded.push('&');
            rest = shifted;
        }
    }
    decoded.push_str(rest);
    decoded
}

fn units(base64: &str) -> Option<String> {
    let bytes = BASE64.decode(base64).ok()?;
    let pairs = bytes.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    let units: Vec<u16> = pairs
        .map(|pair| pair.iter().fold(0, |unit, &byte| unit << 8 | u16::from(byte)))
        .collect();
    String::from_utf16(&units).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors() {
        for (name, wire) in [
            ("Sent Items", "Sent Items"),
            // RFC 3501 §5.1.3 and RFC 9051 appendix A.1.
            ("~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
            ("&", "&-"),
            ("Tom & Jerry", "Tom &- Jerry"),
            ("Entwürfe", "Entw&APw-rfe"),
            ("Gelöschte Elemente", "Gel&APY-schte Elemente"),
            ("Отправленные", "&BB4EQgQ,BEAEMAQyBDsENQQ9BD0ESwQ1-"),
            ("Éléments envoyés", "&AMk-l&AOk-ments envoy&AOk-s"),
            ("📁", "&2D3cwQ-"),
            ("INBOX", "INBOX"),
        ] {
            assert_eq!(encode(name).unwrap(), wire, "{name}");
            assert_eq!(decode(wire.as_bytes()), name, "{wire}");
        }
        assert_eq!(encode("inbox").unwrap(), "INBOX");
    }

    #[test]
    fn what_is_no_modified_utf7_stays_readable() {
        for (wire, name) in [
            ("a&b", "a&b"),
            ("&!!-x", "&!!-x"),
            ("Entwürfe", "Entwürfe"),
            // Half a code unit, and half a surrogate pair.
            ("&AA-", "&AA-"),
            ("&2D0-", "&2D0-"),
        ] {
            assert_eq!(decode(wire.as_bytes()), name);
        }
        assert_eq!(decode(b"\xff"), "\u{fffd}");
    }

    #[test]
    fn a_hostile_name_takes_no_time_with_the_square_of_its_length() {
        for name in ["&".repeat(1 << 20), "&AA".repeat(1 << 18)] {
            assert_eq!(decode(name.as_bytes()), name);
        }
    }

    #[test]
    fn nothing_gets_out_of_the_name() {
        for name in ["", "a\r\nA1 LOGOUT", "a\0", "\t", &"x".repeat(1_001)] {
            assert_eq!(encode(name).unwrap_err().kind(), ErrorKind::InvalidArgument);
        }
    }
}
