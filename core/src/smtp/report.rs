//! [`SendReport`]: what became of a mail.

use std::fmt;

use serde::Serialize;

use crate::error::{ServerReply, printable};

/// What the server said of one recipient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecipientResult {
    /// The address, as in the envelope.
    pub address: String,
    /// Whether the server takes mail for it.
    pub accepted: bool,
    /// The server's words.
    pub reply: ServerReply,
}

/// A mail that the server has taken over, for at least one recipient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SendReport {
    /// One result for each recipient, in the order of the envelope.
    pub recipients: Vec<RecipientResult>,
    /// The server's words on the message.
    pub reply: ServerReply,
    /// The name under which the server has the mail, where it told one: Exchange's `OK <…>`, Postfix's `queued as …`,
    /// Exim's `OK id=…`. Quote it to whoever runs the server.
    pub queue_id: Option<String>,
}

impl SendReport {
    pub(super) fn new(recipients: Vec<RecipientResult>, reply: ServerReply) -> Self {
        let queue_id = queue_id(&reply.text);
        Self {
            recipients,
            reply,
            queue_id,
        }
    }

    /// The recipients that the mail goes to; never empty.
    pub fn accepted(&self) -> impl Iterator<Item = &RecipientResult> {
        self.recipients.iter().filter(|result| result.accepted)
    }

    /// The recipients that the server refused.
    pub fn rejected(&self) -> impl Iterator<Item = &RecipientResult> {
        self.recipients.iter().filter(|result| !result.accepted)
    }
}

/// The source of an error of kind [`RecipientsRejected`](crate::ErrorKind::RecipientsRejected): what the server said
/// of each recipient.
///
/// ```
/// use std::error::Error as _;
/// use exomail::smtp::RejectedRecipients;
///
/// fn rejected(error: &exomail::Error) -> Option<&RejectedRecipients> {
///     error.source()?.downcast_ref()
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RejectedRecipients {
    /// One result for each recipient, in the order of the envelope; nothing was sent to those that were accepted.
    pub recipients: Vec<RecipientResult>,
}

impl fmt::Display for RejectedRecipients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for result in self.recipients.iter().filter(|result| !result.accepted) {
            let text = printable(&result.reply.text.replace('\n', " / "));
            write!(f, "{separator}{}: {text}", result.address)?;
            separator = "; ";
        }
        Ok(())
    }
}

impl std::error::Error for RejectedRecipients {}

fn queue_id(text: &str) -> Option<String> {
    let last = text.lines().last()?;
    let word = |rest: &str| -> Option<String> {
        let word = rest.split_whitespace().next()?.trim_end_matches([',', ';', '.']);
        (!word.is_empty()).then(|| word.to_owned())
    };
    if let Some((_, rest)) = last.split_once("queued as ") {
        return word(rest);
    }
    if let Some((_, rest)) = last.split_once("OK id=") {
        return word(rest);
    }
    let (_, rest) = last.split_once(" OK <")?;
    rest.split_once('>').map(|(id, _)| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_id_of_well_known_servers_is_found() {
        for (text, id) in [
            (
                "250 2.0.0 OK <AM0PR02MB1@AM0PR02MB1.eurprd02.prod.outlook.com> [Hostname=AM0PR02MB1.eurprd02.prod.outlook.com]",
                Some("AM0PR02MB1@AM0PR02MB1.eurprd02.prod.outlook.com"),
            ),
            ("250 2.0.0 Ok: queued as 4XyZ1", Some("4XyZ1")),
            ("250-one\n250 OK id=1rXyZ-0001-AB", Some("1rXyZ-0001-AB")),
            ("250 2.0.0 OK", None),
            ("250 OK <", None),
            ("250 queued as ", None),
            ("", None),
        ] {
            assert_eq!(queue_id(text).as_deref(), id, "{text}");
        }
    }
}
