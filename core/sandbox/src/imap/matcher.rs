//! Whether a message matches a SEARCH (RFC 3501 §6.4.4). Text is compared decoded, and case does not matter.

use jiff::civil::Date;
use mail_parser::parsers::MessageStream;
use mail_parser::{MessageParser, PartType};

use super::date;
use super::header;
use super::mime::Part;
use super::search::{Day, SearchKey};
use crate::state::{Flags, Stored};

/// A message with what only the session knows of it.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) sequence: u32,
    pub(crate) recent: bool,
    pub(crate) stored: Stored,
}

/// The highest numbers in use, which `*` stands for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Largest {
    pub(crate) sequence: u32,
    pub(crate) uid: u32,
}

impl SearchKey {
    /// The places in `candidates` of those that match.
    pub(crate) fn select(&self, candidates: &[Candidate], largest: Largest) -> Vec<usize> {
        let matching = candidates
            .iter()
            .enumerate()
            .filter(|(_, candidate)| self.matches(candidate, largest));
        matching.map(|(index, _)| index).collect()
    }

    fn matches(&self, candidate: &Candidate, largest: Largest) -> bool {
        let stored = &candidate.stored;
        let size = u32::try_from(stored.raw.len()).unwrap_or(u32::MAX);
        match self {
            Self::All => true,
            Self::Flagged(flags) => stored.flags.contains(*flags) && *flags != Flags::NONE,
            Self::Recent => candidate.recent,
            Self::UnknownKeyword => false,
            Self::Larger(octets) => size > *octets,
            Self::Smaller(octets) => size < *octets,
            Self::Uid(set) => set.contains(stored.uid, largest.uid),
            Self::Sequence(set) => set.contains(candidate.sequence, largest.sequence),
            Self::Internal(day, wanted) => day.holds(date::day_of(stored.internal_date), *wanted),
            Self::Sent(day, wanted) => sent_day(&stored.raw).is_some_and(|sent| day.holds(sent, *wanted)),
            Self::Header { field, value } => {
                let value = value.to_lowercase();
                header::fields(&stored.raw)
                    .filter(|known| known.is(field))
                    .any(|known| {
                        value.is_empty() || decode_field(known.value).to_lowercase().contains(&value)
                    })
            }
            Self::Body(text) => body_contains(&stored.raw, &text.to_lowercase()),
            Self::Text(text) => {
                let text = text.to_lowercase();
                header_contains(&stored.raw, &text) || body_contains(&stored.raw, &text)
            }
            Self::Not(key) => !key.matches(candidate, largest),
            Self::Or(first, second) => {
                first.matches(candidate, largest) || second.matches(candidate, largest)
            }
            Self::And(keys) => {
                // Keys that need not read the message are tried first.
                let (slow, quick): (Vec<_>, Vec<_>) = keys.iter().partition(|key| key.reads_messages());
                quick
                    .into_iter()
                    .chain(slow)
                    .all(|key| key.matches(candidate, largest))
            }
        }
    }
}

impl Day {
    fn holds(self, day: Date, wanted: Date) -> bool {
        match self {
            Self::Before => day < wanted,
            Self::On => day == wanted,
            Self::Since => day >= wanted,
        }
    }
}

/// The day of the Date field as its writer saw it: time and zone are disregarded.
fn sent_day(raw: &[u8]) -> Option<Date> {
    let field = header::field(raw, "Date")?;
    let text = String::from_utf8(field.unfolded()).ok()?;
    let moment = mail_parser::DateTime::parse_rfc822(&text)?;
    Date::new(
        i16::try_from(moment.year).ok()?,
        i8::try_from(moment.month).ok()?,
        i8::try_from(moment.day).ok()?,
    )
    .ok()
}

/// A field's value with encoded words decoded.
fn decode_field(value: &[u8]) -> String {
    let mut value = value.to_vec();
    if !value.ends_with(b"\n") {
        value.push(b'\n');
    }
    let decoded = MessageStream::new(&value).parse_unstructured();
    decoded
        .into_text()
        .map(|text| text.into_owned())
        .unwrap_or_default()
}

fn header_contains(text: &[u8], wanted: &str) -> bool {
    header::fields(text).any(|field| {
        let name = String::from_utf8_lossy(field.name).to_lowercase();
        format!("{name}: {}", decode_field(field.value).to_lowercase()).contains(wanted)
    })
}

fn body_contains(raw: &[u8], wanted: &str) -> bool {
    part_contains(raw, &Part::parse(raw), wanted)
}

fn part_contains(raw: &[u8], part: &Part, wanted: &str) -> bool {
    if !part.children.is_empty() {
        return part.children.iter().any(|child| {
            let inner = part.content_type.is_message();
            (inner
                && raw
                    .get(child.header.clone())
                    .is_some_and(|block| header_contains(block, wanted)))
                || part_contains(raw, child, wanted)
        });
    }
    if part.content_type.kind != "text" {
        return false;
    }
    // One leaf at a time is given to the MIME parser, so that the depth of the whole does not matter.
    let Some(leaf) = raw
        .get(part.range())
        .and_then(|leaf| MessageParser::default().parse(leaf))
    else {
        return false;
    };
    leaf.parts.iter().any(|part| match &part.body {
        PartType::Text(text) | PartType::Html(text) => text.to_lowercase().contains(wanted),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::arguments::{Arguments, Segment};
    use super::*;

    const FIRST: &str = "Date: Wed, 7 Feb 2024 23:30:00 -0800\r\nFrom: Joe <joe@example.com>\r\n\
Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe_from_Ulm?=\r\nX-Empty:\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nSGVsbG8gV29ybGQ=\r\n\
--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inside\r\n\r\ndeep text\r\n--b--\r\n";
    const SECOND: &str = "From: ann@example.com\r\nCc: joe@example.com\r\n\r\nplain\r\n";

    fn search(keys: &str) -> Vec<usize> {
        let stored = |uid, flags, date: &str, raw: &'static str| Stored {
            uid,
            flags,
            internal_date: date.parse().unwrap(),
            raw: Bytes::from_static(raw.as_bytes()),
        };
        let candidates = [
            Candidate {
                sequence: 1,
                recent: false,
                stored: stored(7, Flags::SEEN | Flags::MDN_SENT, "2024-02-08T07:31:00Z", FIRST),
            },
            Candidate {
                sequence: 2,
                recent: true,
                stored: stored(9, Flags::FLAGGED, "2024-03-01T00:00:00Z", SECOND),
            },
        ];
        let segments = [Segment {
            line: keys.as_bytes().to_vec(),
            literal: None,
        }];
        let key = SearchKey::parse_all(&mut Arguments::new(&segments)).unwrap();
        key.select(&candidates, Largest { sequence: 2, uid: 9 })
    }

    #[test]
    fn every_key() {
        for (keys, expected) in [
            ("ALL", &[0, 1][..]),
            ("SEEN", &[0]),
            ("UNSEEN", &[1]),
            ("FLAGGED UNDELETED", &[1]),
            ("KEYWORD $MDNSent", &[0]),
            ("UNKEYWORD Junk", &[0, 1]),
            ("NEW", &[1]),
            ("OLD", &[0]),
            ("FROM joe", &[0]),
            ("CC JOE", &[1]),
            ("SUBJECT \"e from ulm\"", &[0]),
            ("HEADER X-Empty \"\"", &[0]),
            ("HEADER X-Empty x", &[]),
            ("BODY \"hello world\"", &[0]),
            ("BODY deep", &[0]),
            ("BODY inside", &[0]),
            ("BODY example.com", &[]),
            ("TEXT example.com", &[0, 1]),
            ("SINCE 1-Mar-2024", &[1]),
            ("BEFORE 1-Mar-2024", &[0]),
            ("ON 8-Feb-2024", &[0]),
            ("SENTON 7-Feb-2024", &[0]),
            ("SENTSINCE 1-Jan-2000", &[0]),
            ("LARGER 100", &[0]),
            ("SMALLER 100", &[1]),
            ("UID 8:*", &[1]),
            ("UID 100:*", &[1]),
            ("1", &[0]),
            ("*", &[1]),
            ("NOT (SEEN)", &[1]),
            ("OR SEEN FLAGGED", &[0, 1]),
            ("SEEN FLAGGED", &[]),
        ] {
            assert_eq!(search(keys), expected, "{keys}");
        }
    }
}
