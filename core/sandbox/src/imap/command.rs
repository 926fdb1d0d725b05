//! One command, read in full before it is tried.

use bytes::Bytes;
use jiff::Timestamp;

use super::arguments::{Arguments, Bad, Segment};
use super::date;
use super::fetch::FetchItem;
use super::search::SearchKey;
use super::sequence::SequenceSet;
use crate::mail::xoauth2::SaslResponse;
use crate::state::Flags;

/// A command with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    Capability,
    Noop,
    Logout,
    StartTls,
    Authenticate {
        mechanism: String,
        initial: Option<SaslResponse>,
    },
    Login,
    Id,
    Namespace,
    Select {
        folder: String,
        read_only: bool,
    },
    Unselect,
    Close,
    Check,
    Create(String),
    Delete(String),
    Rename {
        from: String,
        to: String,
    },
    Subscribe(String),
    Unsubscribe(String),
    List {
        reference: String,
        pattern: String,
        subscribed: bool,
    },
    Status {
        folder: String,
        items: Vec<StatusItem>,
    },
    Append {
        folder: String,
        flags: Flags,
        date: Option<Timestamp>,
        message: Bytes,
    },
    Idle,
    Expunge {
        only: Option<SequenceSet>,
    },
    Search {
        key: SearchKey,
        by_uid: bool,
    },
    Fetch {
        set: SequenceSet,
        items: Vec<FetchItem>,
        by_uid: bool,
    },
    Store {
        set: SequenceSet,
        change: FlagChange,
        flags: Flags,
        silent: bool,
        by_uid: bool,
    },
    Copy {
        set: SequenceSet,
        folder: String,
        by_uid: bool,
    },
    Move {
        set: SequenceSet,
        folder: String,
        by_uid: bool,
    },
}

/// What a STATUS may tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StatusItem {
    Messages,
    Recent,
    UidNext,
    UidValidity,
    Unseen,
}

impl StatusItem {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Messages => "MESSAGES",
            Self::Recent => "RECENT",
            Self::UidNext => "UIDNEXT",
            Self::UidValidity => "UIDVALIDITY",
            Self::Unseen => "UNSEEN",
        }
    }
}

/// What STORE does with its flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FlagChange {
    Replace,
    Add,
    Remove,
}

/// Names of this many octets or more are refused; it bounds what the state keeps.
const MAX_FOLDER_NAME: usize = 1_024;

/// The tag and the upper-cased command word in front of a line, if both are there.
///
/// The word of `UID FETCH` is `UID`.
pub(crate) fn head(line: &[u8]) -> Option<(&str, String)> {
    let mut words = line.splitn(3, |&octet| octet == b' ');
    let tag = std::str::from_utf8(words.next()?).ok()?;
    if tag.is_empty() || tag.len() > 128 || !tag.bytes().all(is_tag_char) {
        return None;
    }
    let word = std::str::from_utf8(words.next()?).ok()?;
    (!word.is_empty()).then(|| (tag, word.to_ascii_uppercase()))
}

fn is_tag_char(octet: u8) -> bool {
    octet > b' ' && octet < 0x7f && !b"(){%*\"\\+".contains(&octet)
}

impl Command {
    /// Reads the command behind a tag that [`head`] found.
    pub(crate) fn parse(segments: &[Segment]) -> Result<Self, Bad> {
        let mut arguments = Arguments::new(segments);
        arguments.take_while(is_tag_char);
        arguments.space()?;
        let word = arguments.keyword().map_err(|_| Bad::Command)?;
        let command = Self::parse_word(&word, &mut arguments)?;
        arguments.end()?;
        Ok(command)
    }

    fn parse_word(word: &str, arguments: &mut Arguments<'_>) -> Result<Self, Bad> {
        Ok(match word {
            "CAPABILITY" => Self::Capability,
            "NOOP" => Self::Noop,
            "LOGOUT" => Self::Logout,
            "STARTTLS" => Self::StartTls,
            "NAMESPACE" => Self::Namespace,
            "UNSELECT" => Self::Unselect,
            "CLOSE" => Self::Close,
            "CHECK" => Self::Check,
            "IDLE" => Self::Idle,
            "EXPUNGE" => Self::Expunge { only: None },
            "AUTHENTICATE" => Self::authenticate(arguments)?,
            "LOGIN" => {
                arguments.space()?;
                arguments.astring()?;
                arguments.space()?;
                arguments.astring()?;
                Self::Login
            }
            "ID" => Self::id(arguments)?,
            "SELECT" => Self::Select {
                folder: folder(arguments)?,
                read_only: false,
            },
            "EXAMINE" => Self::Select {
                folder: folder(arguments)?,
                read_only: true,
            },
            "CREATE" => Self::Create(folder(arguments)?),
            "DELETE" => Self::Delete(folder(arguments)?),
            "RENAME" => Self::Rename {
                from: folder(arguments)?,
                to: folder(arguments)?,
            },
            "SUBSCRIBE" => Self::Subscribe(folder(arguments)?),
            "UNSUBSCRIBE" => Self::Unsubscribe(folder(arguments)?),
            "LIST" => Self::list(arguments, false)?,
            "LSUB" => Self::list(arguments, true)?,
            "STATUS" => Self::status(arguments)?,
            "APPEND" => Self::append(arguments)?,
            "UID" => {
                arguments.space()?;
                match arguments.keyword()?.as_str() {
                    "EXPUNGE" => Self::Expunge {
                        only: Some(set(arguments)?),
                    },
                    word => Self::numbered(word, arguments, true)?.ok_or(Bad::Argument)?,
                }
            }
            word => Self::numbered(word, arguments, false)?.ok_or(Bad::Command)?,
        })
    }

    /// The commands that exist with message numbers and with UIDs.
    fn numbered(word: &str, arguments: &mut Arguments<'_>, by_uid: bool) -> Result<Option<Self>, Bad> {
        Ok(Some(match word {
            "SEARCH" => {
                arguments.space()?;
                Self::Search {
                    key: SearchKey::parse_all(arguments)?,
                    by_uid,
                }
            }
            "FETCH" => {
                let set = set(arguments)?;
                arguments.space()?;
                Self::Fetch {
                    set,
                    items: FetchItem::parse_all(arguments)?,
                    by_uid,
                }
            }
            "STORE" => Self::store(arguments, by_uid)?,
            "COPY" => Self::Copy {
                set: set(arguments)?,
                folder: folder(arguments)?,
                by_uid,
            },
            "MOVE" => Self::Move {
                set: set(arguments)?,
                folder: folder(arguments)?,
                by_uid,
            },
            _ => return Ok(None),
        }))
    }

    fn authenticate(arguments: &mut Arguments<'_>) -> Result<Self, Bad> {
        arguments.space()?;
        let mechanism = arguments.atom()?.to_ascii_uppercase();
        let initial = if arguments.take(b' ') {
            let response = arguments.take_while(|octet| octet != b' ');
            (!response.is_empty()).then(|| SaslResponse(Bytes::copy_from_slice(response)))
        } else {
            None
        };
        Ok(Self::Authenticate { mechanism, initial })
    }

    /// `ID NIL` or `ID ("name" "value" …)` (RFC 2971); what the client says is read and not used.
    fn id(arguments: &mut Arguments<'_>) -> Result<Self, Bad> {
        arguments.space()?;
        if !arguments.take(b'(') {
            return if arguments.atom()?.eq_ignore_ascii_case("NIL") {
                Ok(Self::Id)
            } else {
                Err(Bad::Argument)
            };
        }
        while !arguments.take(b')') {
            arguments.astring()?;
            arguments.take(b' ');
        }
        Ok(Self::Id)
    }

    fn list(arguments: &mut Arguments<'_>, subscribed: bool) -> Result<Self, Bad> {
        arguments.space()?;
        let reference = String::from_utf8(arguments.astring()?).map_err(|_| Bad::Argument)?;
        arguments.space()?;
        Ok(Self::List {
            reference,
            pattern: arguments.pattern()?,
            subscribed,
        })
    }

    fn status(arguments: &mut Arguments<'_>) -> Result<Self, Bad> {
        let folder = folder(arguments)?;
        arguments.space()?;
        arguments.expect(b'(')?;
        if arguments.take(b')') {
            return Err(Bad::EmptyList);
        }
        let mut items = Vec::new();
        loop {
            items.push(match arguments.keyword()?.as_str() {
                "MESSAGES" => StatusItem::Messages,
                "RECENT" => StatusItem::Recent,
                "UIDNEXT" => StatusItem::UidNext,
                "UIDVALIDITY" => StatusItem::UidValidity,
                "UNSEEN" => StatusItem::Unseen,
                _ => return Err(Bad::Argument),
            });
            if arguments.take(b')') {
                return Ok(Self::Status { folder, items });
            }
            arguments.space()?;
        }
    }

    fn append(arguments: &mut Arguments<'_>) -> Result<Self, Bad> {
        let folder = folder(arguments)?;
        arguments.space()?;
        let mut flags = Flags::NONE;
        if arguments.peek() == Some(b'(') {
            flags = flag_list(arguments)?;
            arguments.space()?;
        }
        let mut date = None;
        if arguments.peek() == Some(b'"') {
            let text = arguments.string()?;
            date = Some(
                std::str::from_utf8(&text)
                    .ok()
                    .and_then(date::parse_instant)
                    .ok_or(Bad::Argument)?,
            );
            arguments.space()?;
        }
        Ok(Self::Append {
            folder,
            flags,
            date,
            message: arguments.literal()?,
        })
    }

    fn store(arguments: &mut Arguments<'_>, by_uid: bool) -> Result<Self, Bad> {
        let set = set(arguments)?;
        arguments.space()?;
        let (change, silent) = match arguments.keyword()?.as_str() {
            "FLAGS" => (FlagChange::Replace, false),
            "FLAGS.SILENT" => (FlagChange::Replace, true),
            "+FLAGS" => (FlagChange::Add, false),
            "+FLAGS.SILENT" => (FlagChange::Add, true),
            "-FLAGS" => (FlagChange::Remove, false),
            "-FLAGS.SILENT" => (FlagChange::Remove, true),
            _ => return Err(Bad::Argument),
        };
        arguments.space()?;
        let flags = if arguments.peek() == Some(b'(') {
            flag_list(arguments)?
        } else {
            let mut flags = flag(arguments)?;
            while arguments.take(b' ') {
                flags |= flag(arguments)?;
            }
            flags
        };
        Ok(Self::Store {
            set,
            change,
            flags,
            silent,
            by_uid,
        })
    }
}

/// A blank and a folder name.
fn folder(arguments: &mut Arguments<'_>) -> Result<String, Bad> {
    arguments.space()?;
    let name = arguments.folder()?;
    let plain = !name.is_empty() && name.len() < MAX_FOLDER_NAME && !name.contains(char::is_control);
    if plain { Ok(name) } else { Err(Bad::Argument) }
}

/// A blank and a set of numbers.
fn set(arguments: &mut Arguments<'_>) -> Result<SequenceSet, Bad> {
    arguments.space()?;
    SequenceSet::parse(arguments)
}

fn flag_list(arguments: &mut Arguments<'_>) -> Result<Flags, Bad> {
    arguments.expect(b'(')?;
    let mut flags = Flags::NONE;
    if arguments.take(b')') {
        return Ok(flags);
    }
    loop {
        flags |= flag(arguments)?;
        if arguments.take(b')') {
            return Ok(flags);
        }
        arguments.space()?;
    }
}

/// One flag; a keyword that Exchange does not keep is read and dropped.
fn flag(arguments: &mut Arguments<'_>) -> Result<Flags, Bad> {
    let system = arguments.take(b'\\');
    let name = arguments.atom()?;
    if !system {
        return Ok(Flags::named(name).unwrap_or_default());
    }
    match Flags::named(&format!("\\{name}")) {
        Some(flag) => Ok(flag),
        // \Recent is the server's to set; clients that copy a FETCH's flags into APPEND send it all the same.
        None if name.eq_ignore_ascii_case("Recent") => Ok(Flags::NONE),
        None => Err(Bad::Argument),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, Bad> {
        Command::parse(&[Segment {
            line: line.as_bytes().to_vec(),
            literal: None,
        }])
    }

    #[test]
    fn head_finds_tag_and_word() {
        assert_eq!(head(b"A1 uid FETCH 1 (UID)"), Some(("A1", "UID".to_owned())));
        assert_eq!(head(b"A1 noop"), Some(("A1", "NOOP".to_owned())));
        for line in [
            &b""[..],
            b"A1",
            b"A1 ",
            b" NOOP",
            b"A* NOOP",
            b"+ NOOP",
            b"A\xff NOOP",
            b"A1 \xff",
        ] {
            assert_eq!(head(line), None, "{line:?}");
        }
        assert_eq!(head(&[b'A'; 200]), None);
    }

    #[test]
    fn commands_are_read_whole() {
        assert_eq!(parse("A1 noop"), Ok(Command::Noop));
        assert_eq!(parse("A1 NOOP x"), Err(Bad::Argument));
        assert_eq!(parse("A1 ID (\"name\" \"x\" \"version\" NIL)"), Ok(Command::Id));
        assert_eq!(
            parse("A1 AUTHENTICATE xoauth2 dXNl"),
            Ok(Command::Authenticate {
                mechanism: "XOAUTH2".into(),
                initial: Some(SaslResponse(Bytes::from_static(b"dXNl")))
            })
        );
        assert_eq!(
            parse("A1 LIST \"\" *"),
            Ok(Command::List {
                reference: String::new(),
                pattern: "*".into(),
                subscribed: false
            })
        );
        assert_eq!(
            parse("A1 RENAME \"a b\" inbox"),
            Ok(Command::Rename {
                from: "a b".into(),
                to: "INBOX".into()
            })
        );
        assert_eq!(parse("A1 STATUS INBOX ()"), Err(Bad::EmptyList));
        assert_eq!(parse("A1 UID FETCH 2 ()"), Err(Bad::EmptyList));
        assert_eq!(parse("A1 XYZZY"), Err(Bad::Command));
        assert_eq!(parse("A1 UID XYZZY 1"), Err(Bad::Argument));
        assert_eq!(parse("A1 SELECT"), Err(Bad::Argument));
        assert_eq!(parse("A1 SELECT \"a\tb\""), Err(Bad::Argument));
        assert_eq!(
            parse(&format!("A1 SELECT {}", "x".repeat(2000))),
            Err(Bad::Argument)
        );
    }

    #[test]
    fn store_takes_lists_and_bare_flags_and_drops_keywords() {
        let store = |change, flags, silent| {
            let set = SequenceSet::parse(&mut Arguments::new(&[Segment {
                line: b"1".to_vec(),
                literal: None,
            }]));
            Ok(Command::Store {
                set: set.unwrap(),
                change,
                flags,
                silent,
                by_uid: true,
            })
        };
        assert_eq!(
            parse("A1 UID STORE 1 +FLAGS.SILENT (\\Seen Custom $mdnsent)"),
            store(FlagChange::Add, Flags::SEEN | Flags::MDN_SENT, true)
        );
        assert_eq!(
            parse("A1 UID STORE 1 FLAGS \\Deleted \\Draft"),
            store(FlagChange::Replace, Flags::DELETED | Flags::DRAFT, false)
        );
        assert_eq!(
            parse("A1 UID STORE 1 -FLAGS ()"),
            store(FlagChange::Remove, Flags::NONE, false)
        );
        for line in [
            "A1 STORE 1 FLAGS",
            "A1 STORE 1 ALL ()",
            "A1 STORE 1 FLAGS (\\Foo)",
            "A1 STORE 1 FLAGS (\\Seen",
        ] {
            assert_eq!(parse(line), Err(Bad::Argument), "{line}");
        }
    }

    #[test]
    fn append_takes_flags_and_date() {
        let segments = [
            Segment {
                line: b"A1 APPEND \"Sent Items\" (\\Seen) \" 7-Feb-1994 21:52:25 -0800\" ".to_vec(),
                literal: Some(Bytes::from_static(b"x\r\n")),
            },
            Segment::default(),
        ];
        let Ok(Command::Append {
            folder,
            flags,
            date,
            message,
        }) = Command::parse(&segments)
        else {
            panic!()
        };
        assert_eq!(
            (folder.as_str(), flags, &message[..]),
            ("Sent Items", Flags::SEEN, &b"x\r\n"[..])
        );
        assert_eq!(
            date.map(date::format_instant).as_deref(),
            Some("08-Feb-1994 05:52:25 +0000")
        );
        assert_eq!(parse("A1 APPEND INBOX \"x\""), Err(Bad::Argument));
    }
}
