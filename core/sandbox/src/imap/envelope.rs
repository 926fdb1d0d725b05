//! ENVELOPE (RFC 3501 §7.4.2).

use super::address::{self, Address};
use super::header;
use super::output::Output;

/// Writes the envelope that a message's header block tells.
pub(crate) fn write(output: &mut Output, block: &[u8]) {
    let text = |name: &str| header::field(block, name).map(|field| field.unfolded());
    output.push("(");
    output.nstring(text("Date").as_deref());
    output.push(" ");
    output.nstring(text("Subject").as_deref());
    let list = |name: &str| {
        text(name)
            .map(|value| address::parse_list(&value))
            .filter(|list| !list.is_empty())
    };
    let from = list("From");
    // A missing Sender or Reply-To is the From field's content.
    let (sender, reply_to) = (list("Sender").or(from.clone()), list("Reply-To").or(from.clone()));
    for addresses in [from, sender, reply_to, list("To"), list("Cc"), list("Bcc")] {
        output.push(" ");
        write_addresses(output, addresses.as_deref());
    }
    for name in ["In-Reply-To", "Message-ID"] {
        output.push(" ");
        output.nstring(text(name).filter(|value| !value.is_empty()).as_deref());
    }
    output.push(")");
}

fn write_addresses(output: &mut Output, addresses: Option<&[Address]>) {
    let Some(addresses) = addresses else {
        return output.push("NIL");
    };
    output.push("(");
    for address in addresses {
        match address {
            Address::Mailbox { name, local, host } => {
                output.push("(");
                output.nstring(name.as_deref());
                output.push(" NIL ");
                output.nstring(Some(local));
                output.push(" ");
                // A NIL host would be read as the start of a group.
                output.nstring(Some(if host.is_empty() {
                    b".MISSING-HOST-NAME."
                } else {
                    host.as_slice()
                }));
                output.push(")");
            }
            Address::GroupStart(name) => {
                output.push("(NIL NIL ");
                output.nstring(Some(name));
                output.push(" NIL)");
            }
            Address::GroupEnd => output.push("(NIL NIL NIL NIL)"),
        }
    }
    output.push(")");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(block: &str) -> String {
        let mut output = Output::default();
        write(&mut output, block.as_bytes());
        output.into_text()
    }

    #[test]
    fn rfc_example() {
        let block = "Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r\nFrom: Terry Gray <gray@cac.washington.edu>\r\n\
Subject: IMAP4rev1 WG mtg summary\r\n and minutes\r\nTo: imap@cac.washington.edu\r\n\
cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>\r\nMessage-Id: <B27397-0100000@cac.washington.edu>\r\n\r\n";
        let from = "((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\"))";
        assert_eq!(
            envelope(block),
            format!(
                "(\"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\" \"IMAP4rev1 WG mtg summary and minutes\" {from} {from} {from} \
((NIL NIL \"imap\" \"cac.washington.edu\")) ((NIL NIL \"minutes\" \"CNRI.Reston.VA.US\")\
(\"John Klensin\" NIL \"KLENSIN\" \"MIT.EDU\")) NIL NIL \"<B27397-0100000@cac.washington.edu>\")"
            )
        );
    }

    #[test]
    fn missing_fields_are_nil_and_groups_are_shown() {
        assert_eq!(envelope("\r\n"), "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)");
        assert_eq!(
            envelope("To: Team: joe@x;\r\nSubject: \r\n\r\n"),
            "(NIL \"\" NIL NIL NIL ((NIL NIL \"Team\" NIL)(NIL NIL \"joe\" \"x\")(NIL NIL NIL NIL)) NIL NIL NIL NIL)"
        );
        assert_eq!(
            envelope("From: joe\r\nSubject: é\r\n\r\n").split(" ((").nth(1),
            Some("NIL NIL \"joe\" \".MISSING-HOST-NAME.\"))")
        );
    }
}
