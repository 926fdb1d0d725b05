//! What a SEARCH asks for (RFC 3501 §6.4.4).

use jiff::civil::Date;

use super::arguments::{Arguments, Bad};
use super::date;
use super::sequence::SequenceSet;
use crate::state::Flags;

/// One key of a SEARCH, or several joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SearchKey {
    All,
    /// All these flags set.
    Flagged(Flags),
    Recent,
    /// A keyword that Exchange does not keep: no message has it.
    UnknownKeyword,
    Header {
        field: String,
        value: String,
    },
    Body(String),
    Text(String),
    /// Internal date earlier than, on, or on and after a day.
    Internal(Day, Date),
    /// The same of the Date field.
    Sent(Day, Date),
    Larger(u32),
    Smaller(u32),
    Uid(SequenceSet),
    Sequence(SequenceSet),
    Not(Box<SearchKey>),
    Or(Box<SearchKey>, Box<SearchKey>),
    And(Vec<SearchKey>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Day {
    Before,
    On,
    Since,
}

/// Parentheses, NOT and OR may be nested this deep; the limit keeps parsing and evaluation off the end of the stack.
const MAX_DEPTH: usize = 32;

impl SearchKey {
    /// Reads the whole argument of SEARCH: an optional CHARSET, then keys that must all hold.
    pub(crate) fn parse_all(arguments: &mut Arguments<'_>) -> Result<Self, Bad> {
        let mut ahead = arguments.clone();
        if ahead.keyword().is_ok_and(|word| word == "CHARSET") {
            ahead.space()?;
            let charset = ahead.astring()?;
            // Read the rest first: what cannot be read is BAD whatever the charset.
            ahead.space()?;
            *arguments = ahead;
            let key = Self::list(arguments, 0)?;
            return if charset.eq_ignore_ascii_case(b"US-ASCII") {
                Ok(key)
            } else {
                Err(Bad::Charset)
            };
        }
        // Without CHARSET the strings are US-ASCII (RFC 3501 §6.4.4).
        Self::list(arguments, 0)
    }

    fn list(arguments: &mut Arguments<'_>, depth: usize) -> Result<Self, Bad> {
        let mut keys = vec![Self::parse(arguments, depth)?];
        while arguments.take(b' ') {
            while arguments.take(b' ') {}
            if arguments.at_end() {
                break;
            }
            keys.push(Self::parse(arguments, depth)?);
        }
        Ok(Self::And(keys))
    }

    fn parse(arguments: &mut Arguments<'_>, depth: usize) -> Result<Self, Bad> {
        if depth == MAX_DEPTH {
            return Err(Bad::Argument);
        }
        if arguments.take(b'(') {
            let key = Self::list(arguments, depth + 1)?;
            arguments.expect(b')')?;
            return Ok(key);
        }
        if arguments
            .peek()
            .is_some_and(|octet| octet.is_ascii_digit() || octet == b'*')
        {
            return Ok(Self::Sequence(SequenceSet::parse(arguments)?));
        }
        let word = arguments.keyword()?;
        if let Some(key) = Self::flag(&word) {
            return Ok(key);
        }
        arguments.space()?;
        Ok(match word.as_str() {
            "BCC" | "CC" | "FROM" | "SUBJECT" | "TO" => Self::Header {
                field: word,
                value: string(arguments)?,
            },
            "HEADER" => {
                let field = string(arguments)?;
                arguments.space()?;
                Self::Header {
                    field,
                    value: string(arguments)?,
                }
            }
            "BODY" => Self::Body(string(arguments)?),
            "TEXT" => Self::Text(string(arguments)?),
            "BEFORE" => Self::Internal(Day::Before, day(arguments)?),
            "ON" => Self::Internal(Day::On, day(arguments)?),
            "SINCE" => Self::Internal(Day::Since, day(arguments)?),
            "SENTBEFORE" => Self::Sent(Day::Before, day(arguments)?),
            "SENTON" => Self::Sent(Day::On, day(arguments)?),
            "SENTSINCE" => Self::Sent(Day::Since, day(arguments)?),
            "LARGER" => Self::Larger(arguments.number()?),
            "SMALLER" => Self::Smaller(arguments.number()?),
            "KEYWORD" => Self::keyword(arguments.atom()?),
            "UNKEYWORD" => Self::Not(Box::new(Self::keyword(arguments.atom()?))),
            "UID" => Self::Uid(SequenceSet::parse(arguments)?),
            "NOT" => Self::Not(Box::new(Self::parse(arguments, depth + 1)?)),
            "OR" => {
                let first = Self::parse(arguments, depth + 1)?;
                arguments.space()?;
                Self::Or(Box::new(first), Box::new(Self::parse(arguments, depth + 1)?))
            }
            _ => return Err(Bad::Argument),
        })
    }

    fn flag(word: &str) -> Option<Self> {
        let unless = |key| Self::Not(Box::new(key));
        Some(match word {
            "ALL" => Self::All,
            "ANSWERED" => Self::Flagged(Flags::ANSWERED),
            "DELETED" => Self::Flagged(Flags::DELETED),
            "DRAFT" => Self::Flagged(Flags::DRAFT),
            "FLAGGED" => Self::Flagged(Flags::FLAGGED),
            "SEEN" => Self::Flagged(Flags::SEEN),
            "UNANSWERED" => unless(Self::Flagged(Flags::ANSWERED)),
            "UNDELETED" => unless(Self::Flagged(Flags::DELETED)),
            "UNDRAFT" => unless(Self::Flagged(Flags::DRAFT)),
            "UNFLAGGED" => unless(Self::Flagged(Flags::FLAGGED)),
            "UNSEEN" => unless(Self::Flagged(Flags::SEEN)),
            "RECENT" => Self::Recent,
            "OLD" => unless(Self::Recent),
            "NEW" => Self::And(vec![Self::Recent, unless(Self::Flagged(Flags::SEEN))]),
            _ => return None,
        })
    }

    fn keyword(name: &str) -> Self {
        Flags::named(name).map_or(Self::UnknownKeyword, Self::Flagged)
    }

    /// Whether a message's text must be read to decide; that may take long on large messages.
    pub(crate) fn reads_messages(&self) -> bool {
        match self {
            Self::Header { .. } | Self::Body(_) | Self::Text(_) | Self::Sent(..) => true,
            Self::Not(key) => key.reads_messages(),
            Self::Or(first, second) => first.reads_messages() || second.reads_messages(),
            Self::And(keys) => keys.iter().any(Self::reads_messages),
            _ => false,
        }
    }
}

fn string(arguments: &mut Arguments<'_>) -> Result<String, Bad> {
    let value = String::from_utf8(arguments.astring()?).map_err(|_| Bad::Charset)?;
    if value.is_ascii() {
        Ok(value)
    } else {
        Err(Bad::Charset)
    }
}

fn day(arguments: &mut Arguments<'_>) -> Result<Date, Bad> {
    let text = arguments.astring()?;
    std::str::from_utf8(&text)
        .ok()
        .and_then(date::parse_day)
        .ok_or(Bad::Argument)
}

#[cfg(test)]
mod tests {
    use super::super::arguments::Segment;
    use super::*;

    fn parse(text: &str) -> Result<SearchKey, Bad> {
        let segments = [Segment {
            line: text.as_bytes().to_vec(),
            literal: None,
        }];
        let mut arguments = Arguments::new(&segments);
        let key = SearchKey::parse_all(&mut arguments)?;
        arguments.end()?;
        Ok(key)
    }

    #[test]
    fn keys_are_joined_and_nested() {
        let SearchKey::And(keys) =
            parse("CHARSET us-ascii UNSEEN FROM joe OR (LARGER 5 SMALLER 9) NOT 1:3 SINCE 1-Feb-2024")
                .unwrap()
        else {
            panic!()
        };
        assert_eq!(keys.len(), 4);
        assert_eq!(keys[0], SearchKey::Not(Box::new(SearchKey::Flagged(Flags::SEEN))));
        assert_eq!(
            keys[1],
            SearchKey::Header {
                field: "FROM".into(),
                value: "joe".into()
            }
        );
        assert!(matches!(&keys[2], SearchKey::Or(_, second) if matches!(**second, SearchKey::Not(_))));
        assert_eq!(
            keys[3],
            SearchKey::Internal(Day::Since, jiff::civil::date(2024, 2, 1))
        );
        assert!(parse("HEADER Message-ID \"<a@b>\"").unwrap().reads_messages());
        assert!(
            !parse("(UID 1:* KEYWORD $MDNSent UNKEYWORD Junk)")
                .unwrap()
                .reads_messages()
        );
    }

    #[test]
    fn other_charsets_are_named_as_such() {
        assert_eq!(parse("CHARSET UTF-8 SUBJECT x"), Err(Bad::Charset));
        assert_eq!(parse("SUBJECT \"é\""), Err(Bad::Charset));
        assert_eq!(parse("CHARSET UTF-8 XYZ"), Err(Bad::Argument));
    }

    #[test]
    fn refuses_what_is_no_key_and_nesting_without_end() {
        for text in [
            "",
            "XYZ",
            "FROM",
            "OR ALL",
            "NOT",
            "(ALL",
            "SINCE 31-Feb-2024",
            "SINCE x",
            "UID",
            "LARGER -1",
        ] {
            assert_eq!(parse(text), Err(Bad::Argument), "{text}");
        }
        assert_eq!(parse(&"(".repeat(5000)), Err(Bad::Argument));
        assert_eq!(parse(&"NOT ".repeat(2000)), Err(Bad::Argument));
        assert!(parse(&format!("{}ALL{}", "(".repeat(20), ")".repeat(20))).is_ok());
    }
}
