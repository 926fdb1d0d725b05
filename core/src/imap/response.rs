//! [`Response`]: one response of the server as data (RFC 3501 §7). Unknown ones are values too, not errors.

use bytes::Bytes;

use super::flag::{Flag, read_flags};
use super::status::{Condition, StatusLine};
use super::uid::Uid;
use super::value::{Reader, Value, number};

/// The tag of a command: `A` and this number.
pub(crate) type Tag = u64;

/// One response.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Response {
    /// `+`, with the text behind it. Exchange sends it without the blank.
    Continuation(Bytes),
    /// The end of a command.
    Tagged(Tag, StatusLine),
    Untagged(Untagged),
    /// A line that is no IMAP, such as Exchange's `Server Unavailable. 15`.
    Stray(String),
}

/// Data, or a status without tag.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Untagged {
    Status(StatusLine),
    Capability(Vec<String>),
    Exists(u32),
    Expunge(u32),
    Flags(Vec<Flag>),
    /// UIDs in the order sent; may be one of several.
    Search(Vec<Uid>),
    List {
        attributes: Vec<String>,
        delimiter: Option<char>,
        name: Bytes,
    },
    /// STATUS: the folder's name on the wire, and the counts.
    Counts {
        name: Bytes,
        items: Vec<(String, u64)>,
    },
    Fetch(Fetch),
    Id(Vec<(String, String)>),
    /// What is not looked at: RECENT, NAMESPACE, LSUB, ESEARCH, THREAD and whatever comes.
    Other,
}

/// One FETCH response.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Fetch {
    pub(crate) number: u32,
    pub(crate) uid: Option<Uid>,
    pub(crate) flags: Option<Vec<Flag>>,
    pub(crate) size: Option<u64>,
    pub(crate) internal_date: Option<Bytes>,
    pub(crate) envelope: Option<Value>,
    pub(crate) structure: Option<Value>,
    /// The value of a `BODY[...]` item. Empty for one that was streamed.
    pub(crate) body: Option<Value>,
}

impl Response {
    /// Reads one whole response, as the framer gives it. Never fails: what can't be read is [`Response::Stray`] or
    /// [`Untagged::Other`].
    pub(crate) fn read(bytes: Bytes) -> Self {
        if bytes.first() == Some(&b'+') {
            return Response::Continuation(bytes.slice(1..));
        }
        let mut reader = Reader::new(bytes.clone());
        let first = reader.word();
        if first == "*" {
            return Response::Untagged(read_untagged(&mut reader));
        }
        let tag = first.strip_prefix(b"A").and_then(number);
        let condition = Condition::read(&reader.word());
        match (tag, condition) {
            (Some(tag), Some(condition)) => Response::Tagged(tag, StatusLine::read(condition, reader.rest())),
            _ => Response::Stray(String::from_utf8_lossy(&bytes).trim().to_owned()),
        }
    }
}

fn read_untagged(reader: &mut Reader) -> Untagged {
    let word = reader.word();
    if let Some(condition) = Condition::read(&word) {
        return Untagged::Status(StatusLine::read(condition, reader.rest()));
    }
    if let Some(count) = number(&word) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let name = reader.word().to_ascii_uppercase();
        return match name.as_slice() {
            b"EXISTS" => Untagged::Exists(count),
            b"EXPUNGE" => Untagged::Expunge(count),
            b"FETCH" => Untagged::Fetch(read_fetch(count, reader)),
            _ => Untagged::Other,
        };
    }
    match word.to_ascii_uppercase().as_slice() {
        b"CAPABILITY" => Untagged::Capability(texts(&reader.values())),
        b"FLAGS" => reader
            .value()
            .map_or(Untagged::Other, |flags| Untagged::Flags(read_flags(&flags))),
        b"SEARCH" => Untagged::Search(read_search(reader)),
        b"LIST" => read_list(reader).unwrap_or(Untagged::Other),
        b"STATUS" => read_status(reader).unwrap_or(Untagged::Other),
        b"ID" => Untagged::Id(read_id(reader)),
        _ => Untagged::Other,
    }
}

fn texts(values: &[Value]) -> Vec<String> {
    values.iter().filter_map(Value::text).collect()
}

/// Numbers up to the first thing that is none, such as the `(MODSEQ n)` of RFC 7162.
fn read_search(reader: &mut Reader) -> Vec<Uid> {
    let digits = std::iter::from_fn(|| Some(reader.word()).filter(|word| !word.is_empty()));
    digits
        .map_while(|word| number(&word))
        .filter_map(|uid| Uid::new(u32::try_from(uid).ok()?))
        .collect()
}

fn read_list(reader: &mut Reader) -> Option<Untagged> {
    let attributes = texts(reader.value()?.list()?);
    let delimiter = reader.value()?.text().and_then(|text| text.chars().next());
    let name = match reader.value()? {
        Value::Nil => Bytes::from_static(b"NIL"),
        value => value.bytes()?.clone(),
    };
    Some(Untagged::List {
        attributes,
        delimiter,
        name,
    })
}

fn read_status(reader: &mut Reader) -> Option<Untagged> {
    let name = reader.value()?.bytes()?.clone();
    let items = reader.value()?;
    let pairs = items.list()?.chunks(2).filter_map(|pair| match pair {
        [name, count] => Some((name.text()?.to_ascii_uppercase(), count.number()?)),
        _ => None,
    });
    Some(Untagged::Counts {
        name,
        items: pairs.collect(),
    })
}

fn read_id(reader: &mut Reader) -> Vec<(String, String)> {
    let Some(Value::List(items)) = reader.value() else {
        return Vec::new();
    };
    let pairs = items.chunks(2).filter_map(|pair| match pair {
        [name, value] => Some((name.text()?, value.text()?)),
        _ => None,
    });
    pairs.collect()
}

fn read_fetch(sequence: u32, reader: &mut Reader) -> Fetch {
    let mut fetch = Fetch {
        number: sequence,
        ..Fetch::default()
    };
    reader.skip_blanks();
    reader.eat(b'(');
    loop {
        let name = reader.item_name().to_ascii_uppercase();
        if name.is_empty() {
            return fetch;
        }
        let Some(value) = reader.value() else {
            return fetch;
        };
        match name.as_slice() {
            b"UID" => fetch.uid = value.number().and_then(|uid| Uid::new(u32::try_from(uid).ok()?)),
            b"FLAGS" => fetch.flags = Some(read_flags(&value)),
            b"RFC822.SIZE" => fetch.size = value.number(),
            b"INTERNALDATE" => fetch.internal_date = value.bytes().cloned(),
            b"ENVELOPE" => fetch.envelope = Some(value),
            b"BODYSTRUCTURE" => fetch.structure = Some(value),
            name if name.starts_with(b"BODY[") => fetch.body = Some(value),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Response {
        Response::read(Bytes::copy_from_slice(text.as_bytes()))
    }

    fn untagged(text: &str) -> Untagged {
        match read(text) {
            Response::Untagged(untagged) => untagged,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn lines_are_told_apart() {
        assert_eq!(read("+\r\n"), Response::Continuation("\r\n".into()));
        assert!(matches!(read("A12 OK done\r\n"), Response::Tagged(12, _)));
        assert!(matches!(
            read("A12 BAD\r\n"),
            Response::Tagged(
                12,
                StatusLine {
                    condition: Condition::Bad,
                    ..
                }
            )
        ));
        assert_eq!(
            read("Server Unavailable. 15\r\n"),
            Response::Stray("Server Unavailable. 15".to_owned())
        );
        assert_eq!(read("A12 MAYBE x\r\n"), Response::Stray("A12 MAYBE x".to_owned()));
        assert!(matches!(
            untagged("* BYE Connection closed. 14\r\n"),
            Untagged::Status(_)
        ));
        assert_eq!(untagged("* 6995 EXISTS\r\n"), Untagged::Exists(6995));
        assert_eq!(untagged("* 3 expunge\r\n"), Untagged::Expunge(3));
    }

    #[test]
    fn unknown_responses_are_values() {
        for text in [
            "* ESEARCH (TAG \"A3\") UID COUNT 5 ALL 4:18,21",
            "* NAMESPACE ((\"\" \"/\")) NIL NIL",
            "* THREAD (2)(3 6 (4 23)(44 7 96))",
            "* 6995 RECENT",
            "* VANISHED (EARLIER) 41,43:116",
            "* QUOTA \"\" (STORAGE 10 512)",
            "*",
            "* ",
            "* 12",
        ] {
            assert_eq!(untagged(text), Untagged::Other, "{text}");
        }
        let status = untagged("* STATUS blurdybloop (MESSAGES 231 SIZE 8589934592 X (y) UIDNEXT 44292)\r\n");
        let Untagged::Counts { name, items } = status else {
            panic!("{status:?}")
        };
        assert_eq!(name, "blurdybloop");
        assert_eq!(items.len(), 3);
        assert_eq!(items[1], ("SIZE".to_owned(), 8_589_934_592));
    }

    #[test]
    fn an_unknown_fetch_item_costs_only_itself() {
        let fetch = untagged(
            "* 12 FETCH (BINARY.SIZE[1.2] 77 X-GUID {3}\r\na)b UID 7 PREVIEW (x (y)) FLAGS (\\Seen))\r\n",
        );
        let Untagged::Fetch(fetch) = fetch else {
            panic!("{fetch:?}")
        };
        assert_eq!(fetch.uid, Uid::new(7));
        assert_eq!(fetch.flags, Some(vec![Flag::Seen]));
    }

    #[test]
    fn a_bomb_of_a_structure_costs_only_itself() {
        let bomb = "(".repeat(3_000);
        let text = format!(
            "* 1 FETCH (UID 7 BODYSTRUCTURE {bomb}{} RFC822.SIZE 9)",
            ")".repeat(3_000)
        );
        let Untagged::Fetch(fetch) = untagged(&text) else {
            panic!()
        };
        assert!(fetch.structure.unwrap().is_cut());
        assert_eq!((fetch.uid, fetch.size), (Uid::new(7), Some(9)));
    }

    #[test]
    fn search_stops_at_what_is_no_number() {
        let uids: Vec<Uid> = [2, 84, 882].into_iter().filter_map(Uid::new).collect();
        assert_eq!(
            untagged("* SEARCH 2 84 882 (MODSEQ 917162500)\r\n"),
            Untagged::Search(uids)
        );
        assert_eq!(untagged("* SEARCH\r\n"), Untagged::Search(vec![]));
    }

    #[test]
    fn list_is_read() {
        let list = untagged("* LIST (\\Marked \\HasNoChildren) \"/\" INBOX\r\n");
        let Untagged::List {
            attributes,
            delimiter,
            name,
        } = list
        else {
            panic!()
        };
        assert_eq!(
            (attributes.len(), delimiter, &name[..]),
            (2, Some('/'), &b"INBOX"[..])
        );
        let list = untagged("* LIST () NIL {5}\r\na\"(b)\r\n");
        let Untagged::List { delimiter, name, .. } = list else {
            panic!()
        };
        assert_eq!((delimiter, &name[..]), (None, &b"a\"(b)"[..]));
    }
}
