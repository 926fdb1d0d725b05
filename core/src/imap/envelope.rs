//! [`Envelope`]: the headers that the server has parsed (RFC 3501 §7.4.2), made readable.

use jiff::Timestamp;
use serde::Serialize;

use super::date::read_header_date;
use super::text::decode;
use super::value::Value;
use crate::message::Address;
use crate::message::parse::field;

/// More addresses than this in one header are not kept.
const MAX_ADDRESSES: usize = 10_000;

/// A message's main headers, decoded for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Envelope {
    /// Date, where it can be understood.
    pub date: Option<Timestamp>,
    /// Subject; empty when there is none.
    pub subject: String,
    /// From.
    pub from: Vec<Address>,
    /// Sender; servers repeat From here where there is none.
    pub sender: Vec<Address>,
    /// Reply-To; servers repeat From here where there is none.
    pub reply_to: Vec<Address>,
    /// To.
    pub to: Vec<Address>,
    /// Cc.
    pub cc: Vec<Address>,
    /// Bcc.
    pub bcc: Vec<Address>,
    /// Message-ID without its angle brackets, as [`Message::message_id`](crate::message::Message::message_id) gives it.
    pub message_id: Option<String>,
    /// Which messages it answers: ids without angle brackets.
    pub in_reply_to: Vec<String>,
}

impl Envelope {
    /// Reads the value of an ENVELOPE item. Members that are missing or NIL are empty.
    pub(crate) fn read(value: &Value) -> Self {
        let members = value.list().unwrap_or_default();
        let text = |at: usize| members.get(at).and_then(Value::bytes).map(|raw| decode(raw));
        let addresses = |at: usize| members.get(at).map(read_addresses).unwrap_or_default();
        let ids = |at: usize| members.get(at).and_then(Value::bytes).map(|raw| field::ids(raw));
        Self {
            date: text(0).and_then(|date| read_header_date(&date)),
            subject: text(1).unwrap_or_default(),
            from: addresses(2),
            sender: addresses(3),
            reply_to: addresses(4),
            to: addresses(5),
            cc: addresses(6),
            bcc: addresses(7),
            in_reply_to: ids(8).unwrap_or_default(),
            message_id: ids(9).and_then(|ids| ids.into_iter().next()),
        }
    }
}

/// Addresses without the markers that begin and end a group: those have no host.
fn read_addresses(value: &Value) -> Vec<Address> {
    let items = value.list().unwrap_or_default();
    items
        .iter()
        .filter_map(read_address)
        .take(MAX_ADDRESSES)
        .collect()
}

fn read_address(value: &Value) -> Option<Address> {
    let members = value.list()?;
    let text = |at: usize| {
        members
            .get(at)
            .and_then(Value::bytes)
            .map(|raw| decode(raw))
            .filter(|text| !text.is_empty())
    };
    let email = match (text(2), text(3)) {
        (Some(local), Some(host)) => format!("{local}@{host}"),
        (None, Some(host)) => host,
        (Some(_), None) | (None, None) => return None,
    };
    Some(Address { name: text(0), email })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::value::Reader;
    use super::*;

    fn envelope(text: &str) -> Envelope {
        Envelope::read(
            &Reader::new(Bytes::copy_from_slice(text.as_bytes()))
                .value()
                .unwrap(),
        )
    }

    #[test]
    fn the_example_of_rfc_3501_is_read() {
        let envelope = envelope(
            r#"("Wed, 17 Jul 1996 02:23:25 -0700 (PDT)" "IMAP4rev1 WG mtg summary and minutes" (("Terry Gray" NIL "gray" "cac.washington.edu")) (("Terry Gray" NIL "gray" "cac.washington.edu")) (("Terry Gray" NIL "gray" "cac.washington.edu")) ((NIL NIL "imap" "cac.washington.edu")) ((NIL NIL "minutes" "CNRI.Reston.VA.US")("John Klensin" NIL "KLENSIN" "MIT.EDU")) NIL NIL "<B27397-0100000@cac.washington.edu>")"#,
        );
        assert_eq!(envelope.subject, "IMAP4rev1 WG mtg summary and minutes");
        assert_eq!(
            envelope.from[0].to_string(),
            "Terry Gray <gray@cac.washington.edu>"
        );
        assert_eq!(
            envelope.to[0],
            Address {
                name: None,
                email: "imap@cac.washington.edu".to_owned()
            }
        );
        assert_eq!(envelope.cc[1].name.as_deref(), Some("John Klensin"));
        assert_eq!(
            envelope.message_id.as_deref(),
            Some("B27397-0100000@cac.washington.edu")
        );
        assert_eq!(envelope.date.unwrap().to_string(), "1996-07-17T09:23:25Z");
        assert!(envelope.bcc.is_empty() && envelope.in_reply_to.is_empty());
    }

    #[test]
    fn groups_nils_and_missing_members_are_borne() {
        let envelope = envelope(
            r#"(NIL "=?utf-8?B?R3LDvMOfZQ==?=" ((NIL NIL "undisclosed-recipients" NIL)(NIL NIL "joe" "x.example")(NIL NIL NIL NIL)) NIL NIL (("=?utf-8?Q?J=C3=B6?=" NIL "jo" ".MISSING-HOST-NAME.")))"#,
        );
        assert_eq!(envelope.subject, "Grüße");
        assert_eq!(envelope.from.len(), 1);
        assert_eq!(envelope.to[0].name.as_deref(), Some("Jö"));
        let envelope = self::envelope(r#"(NIL NIL NIL NIL NIL NIL NIL NIL "<a@b> <c@d>" " bare@x ")"#);
        assert_eq!(envelope.in_reply_to, ["a@b", "c@d"]);
        assert_eq!(envelope.message_id.as_deref(), Some("bare@x"));
        assert_eq!(Envelope::read(&Value::Nil), Envelope::default());
        assert_eq!(Envelope::read(&Value::Cut), Envelope::default());
    }
}
