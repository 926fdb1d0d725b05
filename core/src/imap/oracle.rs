//! Our reader of responses against imap-proto's, the parser of async-imap: the same data wherever it is well-formed,
//! and data where imap-proto gives up the response, which is why it is the oracle here and not the reader
//! (`docs/adr/0004-own-imap-parser.md`).

use bytes::Bytes;
use imap_proto::{AttributeValue, MailboxDatum, Response as Theirs, StatusAttribute};

use super::response::{Response, Untagged};
use super::status::Condition;

fn ours(text: &str) -> Untagged {
    match Response::read(Bytes::copy_from_slice(text.as_bytes())) {
        Response::Untagged(data) => data,
        other => panic!("{other:?}"),
    }
}

fn theirs(text: &str) -> Option<Theirs<'_>> {
    match Theirs::parse(text.as_bytes()) {
        Ok((b"", response)) => Some(response),
        _ => None,
    }
}

/// The value in a form that both sides can be brought to.
fn name(value: impl std::fmt::Debug) -> String {
    format!("{value:?}")
}

#[test]
fn well_formed_responses_are_read_as_imap_proto_reads_them() {
    for text in [
        "* 6995 EXISTS\r\n",
        "* 12 EXPUNGE\r\n",
        "* SEARCH 2 84 882\r\n",
        "* SEARCH\r\n",
        "* LIST (\\Marked \\HasNoChildren) \"/\" INBOX\r\n",
        "* LIST (\\Noselect) NIL {3}\r\na b\r\n",
        "* STATUS \"Sent Items\" (MESSAGES 231 UIDNEXT 44292)\r\n",
        "* CAPABILITY IMAP4rev1 AUTH=XOAUTH2 SASL-IR\r\n",
        "* 5 FETCH (UID 7 FLAGS (\\Seen Work) RFC822.SIZE 77 INTERNALDATE \"17-Jul-1996 02:44:25 -0700\")\r\n",
        "* 5 FETCH (BODY[] {3}\r\na)b UID 9)\r\n",
        "* 5 FETCH (UID 8 ENVELOPE (\"d\" \"s\" ((\"n\" NIL \"m\" \"h\")) NIL NIL ((NIL NIL \"a\" \"b\")) NIL NIL NIL \"<i>\"))\r\n",
        "* BYE Connection closed. 14\r\n",
    ] {
        let expected = theirs(text).unwrap_or_else(|| panic!("imap-proto does not read {text:?}"));
        match (ours(text), expected) {
            (Untagged::Exists(a), Theirs::MailboxData(MailboxDatum::Exists(b))) => assert_eq!(a, b),
            (Untagged::Expunge(a), Theirs::Expunge(b)) => assert_eq!(a, b),
            (Untagged::Search(a), Theirs::MailboxData(MailboxDatum::Search(b))) => {
                assert_eq!(a.into_iter().map(|uid| uid.get()).collect::<Vec<_>>(), b);
            }
            (
                Untagged::List {
                    delimiter,
                    name: a,
                    attributes,
                },
                Theirs::MailboxData(MailboxDatum::List(list)),
            ) => {
                assert_eq!(a, list.name.as_bytes());
                assert_eq!(delimiter.map(String::from).as_deref(), list.delimiter.as_deref());
                assert_eq!(attributes.len(), list.name_attributes.len());
            }
            (
                Untagged::Counts { name: a, items },
                Theirs::MailboxData(MailboxDatum::Status { mailbox, status }),
            ) => {
                assert_eq!(a, mailbox.as_bytes());
                assert_eq!(items.len(), status.len());
                assert_eq!((items[0].1, &status[0]), (231, &StatusAttribute::Messages(231)));
            }
            (Untagged::Capability(a), Theirs::Capabilities(b)) => assert_eq!(a.len(), b.len()),
            (Untagged::Status(a), Theirs::Data { outcome, .. }) => {
                assert_eq!(a.condition, Condition::Bye);
                assert_eq!(Some(a.text), outcome.information.map(String::from));
            }
            (Untagged::Fetch(fetch), Theirs::Fetch(number, items)) => {
                assert_eq!(fetch.number, number);
                for item in items {
                    match item {
                        AttributeValue::Uid(uid) => assert_eq!(fetch.uid.unwrap().get(), uid),
                        AttributeValue::Rfc822Size(size) => assert_eq!(fetch.size, Some(u64::from(size))),
                        AttributeValue::InternalDate(date) => {
                            assert_eq!(fetch.internal_date.as_deref(), Some(date.as_bytes()));
                        }
                        AttributeValue::Flags(flags) => {
                            let ours: Vec<&str> =
                                fetch.flags.iter().flatten().map(super::Flag::as_str).collect();
                            assert_eq!(ours, flags);
                        }
                        AttributeValue::BodySection { data, .. } => {
                            let body = fetch.body.as_ref().and_then(super::value::Value::bytes);
                            assert_eq!(body.map(|body| &body[..]), data.as_deref());
                        }
                        AttributeValue::Envelope(envelope) => {
                            let ours = super::Envelope::read(fetch.envelope.as_ref().unwrap());
                            assert_eq!(Some(ours.subject.as_bytes()), envelope.subject.as_deref());
                            assert_eq!(ours.from.len(), envelope.from.unwrap().len());
                            assert_eq!(
                                format!("<{}>", ours.message_id.unwrap()).as_bytes(),
                                &*envelope.message_id.unwrap()
                            );
                        }
                        other => panic!("{}", name(other)),
                    }
                }
            }
            (ours, theirs) => panic!("{} and {}", name(ours), name(theirs)),
        }
    }
}

#[test]
fn what_imap_proto_gives_up_is_read() {
    for text in [
        "* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n",
        "* ESEARCH (TAG \"A3\") UID COUNT 5\r\n",
        "* THREAD (2)(3 6)\r\n",
        "* STATUS x (MESSAGES 1 SIZE 8589934592)\r\n",
        "* 1 FETCH (UID 7 BINARY.SIZE[1] 77)\r\n",
    ] {
        assert!(
            theirs(text).is_none(),
            "imap-proto has learned {text:?}: move it to the test above"
        );
        match ours(text) {
            Untagged::Other => {}
            Untagged::Fetch(fetch) => assert_eq!(fetch.uid.unwrap().get(), 7),
            Untagged::Counts { items, .. } => assert_eq!(items.len(), 2),
            other => panic!("{}", name(other)),
        }
    }
}

#[test]
fn backslashes_of_quoted_strings_are_resolved() {
    let text = "* LIST () \"/\" \"a\\\"b\"\r\n";
    let Some(Theirs::MailboxData(MailboxDatum::List(list))) = theirs(text) else {
        panic!("imap-proto does not read {text:?}");
    };
    assert_eq!(list.name, "a\\\"b", "imap-proto has learned it");
    let Untagged::List { name, .. } = ours(text) else {
        panic!("{text:?}");
    };
    assert_eq!(name, b"a\"b"[..]);
}
