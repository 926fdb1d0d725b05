//! What a POP3 server answers: status lines, response codes, listings (RFC 1939, RFC 2449, RFC 3206).

use serde::Serialize;

use crate::error::ErrorKind;

/// The answer to STAT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Stat {
    /// How many messages the inbox holds.
    pub messages: u32,
    /// Their size together in bytes, as the server counts.
    pub octets: u64,
}

/// One line of the answer to LIST.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Listing {
    /// The message's number in this session, from 1.
    pub number: u32,
    /// Its size in bytes. Exchange estimates it unless told otherwise by its administrator.
    pub octets: u64,
}

/// A status line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// `+OK`, with the text behind it.
    Ok(String),
    /// `-ERR`, with the text behind it.
    Err(String),
    /// `+`: a SASL challenge (RFC 5034), with the text behind it.
    Continue(String),
}

impl Status {
    /// `None` when the line is none of the three. Servers differ in case and blanks.
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        let line = String::from_utf8_lossy(line);
        let (word, text) = line.split_once(' ').unwrap_or((line.as_ref(), ""));
        let text = text.trim().to_owned();
        match word {
            "+" => Some(Status::Continue(text)),
            _ if word.eq_ignore_ascii_case("+OK") => Some(Status::Ok(text)),
            _ if word.eq_ignore_ascii_case("-ERR") => Some(Status::Err(text)),
            _ => None,
        }
    }
}

/// What kind of refusal a response code means; `fallback` where there is none or an unknown one.
///
/// RFC 2449 §8 (LOGIN-DELAY, IN-USE), RFC 3206 (SYS/TEMP, SYS/PERM, AUTH). Looked for without asking whether CAPA
/// listed RESP-CODES: a text that begins with such a bracket means nothing else.
pub(crate) fn refusal_kind(text: &str, fallback: ErrorKind) -> ErrorKind {
    let code = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    match code.map(|(code, _)| code.trim().to_ascii_uppercase()).as_deref() {
        Some("AUTH") => ErrorKind::AuthRejected,
        Some("IN-USE" | "SYS/TEMP") => ErrorKind::Unavailable,
        Some("SYS/PERM") => ErrorKind::Rejected,
        Some("LOGIN-DELAY") => ErrorKind::Throttled,
        _ => fallback,
    }
}

/// `2 320`: two numbers, whatever follows.
pub(crate) fn parse_stat(text: &str) -> Option<Stat> {
    let (messages, octets) = two_numbers(text)?;
    Some(Stat { messages, octets })
}

/// A line of LIST. RFC 1939 allows more text behind the size.
pub(crate) fn parse_listing(line: &str) -> Option<Listing> {
    let (number, octets) = two_numbers(line)?;
    (number > 0).then_some(Listing { number, octets })
}

/// A line of UIDL: number, blank, unique id.
pub(crate) fn parse_uid(line: &str) -> Option<(u32, String)> {
    let (number, uid) = line.split_once(' ')?;
    let number: u32 = number.parse().ok().filter(|&number| number > 0)?;
    let uid = uid.trim();
    (!uid.is_empty()).then(|| (number, uid.to_owned()))
}

fn two_numbers(text: &str) -> Option<(u32, u64)> {
    let mut words = text.split_ascii_whitespace();
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_lines_are_read_leniently() {
        let ok = |text: &str| Some(Status::Ok(text.to_owned()));
        assert_eq!(Status::parse(b"+OK"), ok(""));
        assert_eq!(Status::parse(b"+ok  2 320 "), ok("2 320"));
        assert_eq!(
            Status::parse(b"-ERR no such message"),
            Some(Status::Err("no such message".to_owned()))
        );
        assert_eq!(Status::parse(b"+"), Some(Status::Continue(String::new())));
        assert_eq!(
            Status::parse(b"+ eyJ9"),
            Some(Status::Continue("eyJ9".to_owned()))
        );
        for line in [
            "",
            "OK",
            "+OKAY",
            "* OK",
            "220 x ESMTP",
            "HTTP/1.1 400 Bad Request",
        ] {
            assert_eq!(Status::parse(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn response_codes_choose_the_kind() {
        let kind = |text| refusal_kind(text, ErrorKind::Rejected);
        assert_eq!(kind("[AUTH] bad token"), ErrorKind::AuthRejected);
        assert_eq!(kind("[in-use] locked"), ErrorKind::Unavailable);
        assert_eq!(kind("[SYS/TEMP] later"), ErrorKind::Unavailable);
        assert_eq!(kind("[LOGIN-DELAY] slow down"), ErrorKind::Throttled);
        assert_eq!(kind("[X-NEW] ?"), ErrorKind::Rejected);
        assert_eq!(kind("[AUTH without an end"), ErrorKind::Rejected);
        assert_eq!(kind("plain text"), ErrorKind::Rejected);
    }

    #[test]
    fn listings_bear_extra_text_and_refuse_nonsense() {
        assert_eq!(
            parse_stat("2 320 extra"),
            Some(Stat {
                messages: 2,
                octets: 320
            })
        );
        assert_eq!(
            parse_stat("0 0"),
            Some(Stat {
                messages: 0,
                octets: 0
            })
        );
        assert_eq!(
            parse_listing("1 120 x"),
            Some(Listing {
                number: 1,
                octets: 120
            })
        );
        assert_eq!(parse_uid("1 AAMkAD=="), Some((1, "AAMkAD==".to_owned())));
        for line in [
            "",
            "1",
            "x y",
            "0 12",
            "-1 12",
            "1 99999999999999999999999",
            "4294967296 1",
        ] {
            assert_eq!(parse_listing(line), None, "{line}");
        }
        for line in ["", "1", "1 ", "0 a", "x a"] {
            assert_eq!(parse_uid(line), None, "{line}");
        }
    }
}
