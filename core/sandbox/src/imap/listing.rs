//! LIST and LSUB: which folders a pattern names (RFC 3501 §6.3.8).

use super::output::{Output, mailbox_name};
use crate::state::Mailbox;

/// Whether a folder name matches a pattern: `*` is anything, `%` anything within one level.
///
/// Works in time of the product of the lengths, whatever the number of wildcards.
fn matches(pattern: &str, name: &str) -> bool {
    // reach[i]: the pattern read so far matches the first i octets of the name.
    let name = name.as_bytes();
    let mut reach = vec![false; name.len() + 1];
    reach[0] = true;
    for octet in pattern.bytes() {
        let mut next = vec![false; name.len() + 1];
        let wildcard = octet == b'*' || octet == b'%';
        next[0] = wildcard && reach[0];
        for (index, &letter) in name.iter().enumerate() {
            next[index + 1] = if wildcard {
                reach[index + 1] || (next[index] && (octet == b'*' || letter != b'/'))
            } else {
                reach[index] && octet == letter
            };
        }
        reach = next;
    }
    reach.last().copied().unwrap_or(false)
}

/// What LIST is asked.
#[derive(Debug)]
pub(crate) struct Listing<'a> {
    /// Reference and pattern, joined, as on the wire.
    pub(crate) pattern: &'a str,
    /// LSUB: only subscribed folders.
    pub(crate) subscribed: bool,
    /// Show what a folder is for; Exchange does for some mailboxes only.
    pub(crate) special_use: bool,
}

impl Listing<'_> {
    /// Writes the lines of the answer.
    pub(crate) fn write(&self, mailbox: &Mailbox, output: &mut Output) {
        let verb = if self.subscribed { "LSUB" } else { "LIST" };
        if self.pattern.is_empty() {
            // Asks for the delimiter and the root.
            output.line(format!("* {verb} (\\Noselect \\HasChildren) \"/\" \"\""));
            return;
        }
        let inbox = self.pattern.eq_ignore_ascii_case("INBOX");
        for folder in mailbox.folders() {
            let name = folder.name();
            if self.subscribed && !mailbox.is_subscribed(name) {
                continue;
            }
            let named = if name == "INBOX" {
                inbox || matches(&self.pattern.to_ascii_uppercase(), name)
            } else {
                matches(self.pattern, &super::mutf7::encode(name))
            };
            if !named {
                continue;
            }
            let mut attributes = Vec::new();
            if folder.uid_next() > folder.first_recent {
                attributes.push("\\Marked");
            }
            attributes.push(if mailbox.has_children(name) {
                "\\HasChildren"
            } else {
                "\\HasNoChildren"
            });
            if let Some(special_use) = folder.special_use().filter(|_| self.special_use) {
                attributes.push(special_use.attribute());
            }
            output.line(format!(
                "* {verb} ({}) \"/\" {}",
                attributes.join(" "),
                mailbox_name(name)
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::connected::Connected;
    use super::super::reply::Reply;
    use super::*;
    use crate::state::Tenant;

    #[test]
    fn wildcards() {
        for (pattern, name, expected) in [
            ("*", "a/b", true),
            ("%", "a/b", false),
            ("%", "a", true),
            ("%/%", "a/b", true),
            ("a/*", "a/b/c", true),
            ("a/%", "a/b/c", false),
            ("Sent*", "Sent Items", true),
            ("*Items", "Sent Items", true),
            ("%b%", "abc", true),
            ("", "", true),
            ("a", "", false),
            ("A", "a", false),
            (
                "*a*a*a*a*a*a*a*a*b",
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                false,
            ),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn answers_have_exchanges_form() {
        let mut tenant = Tenant::new("contoso.example", 1_000);
        tenant.add_mailbox("joe@contoso.example").unwrap();
        let created = Connected::new("joe@contoso.example").create(&mut tenant, "Projekte/Übung");
        assert_eq!(created, Reply::completed("CREATE"));
        let mailbox = tenant.mailbox("joe@contoso.example").unwrap();
        let list = |pattern: &str, special_use| {
            let mut output = Output::default();
            Listing {
                pattern,
                subscribed: false,
                special_use,
            }
            .write(mailbox, &mut output);
            output.into_text()
        };
        assert_eq!(list("inbox", true), "* LIST (\\HasNoChildren) \"/\" INBOX\r\n");
        assert_eq!(
            list("Sent%", false),
            "* LIST (\\HasNoChildren) \"/\" \"Sent Items\"\r\n"
        );
        assert_eq!(
            list("Sent%", true),
            "* LIST (\\HasNoChildren \\Sent) \"/\" \"Sent Items\"\r\n"
        );
        assert_eq!(
            list("Proj*", true),
            "* LIST (\\HasChildren) \"/\" Projekte\r\n* LIST (\\HasNoChildren) \"/\" Projekte/&ANw-bung\r\n"
        );
        assert_eq!(list("", true), "* LIST (\\Noselect \\HasChildren) \"/\" \"\"\r\n");
        assert_eq!(
            list("%", false)
                .lines()
                .filter(|line| line.contains("INBOX"))
                .count(),
            1
        );
    }
}
