//! What is sent back: text that is built here, and stored octets that are only referred to.

use bytes::{Bytes, BytesMut};

/// Octets of a message from this size on are not copied into the text around them.
const SHARE_FROM: usize = 4_096;

/// The pieces of an answer, in their order.
#[derive(Debug, Default)]
pub(crate) struct Output {
    done: Vec<Bytes>,
    text: BytesMut,
}

impl Output {
    pub(crate) fn push(&mut self, text: impl AsRef<[u8]>) {
        self.text.extend_from_slice(text.as_ref());
    }

    /// A line; its ending is added.
    pub(crate) fn line(&mut self, line: impl AsRef<[u8]>) {
        self.push(line);
        self.push("\r\n");
    }

    /// Stored octets as a literal.
    pub(crate) fn literal(&mut self, octets: &Bytes) {
        self.push(format!("{{{}}}\r\n", octets.len()));
        if octets.len() < SHARE_FROM {
            self.push(octets);
        } else {
            self.done.push(self.text.split().freeze());
            self.done.push(octets.clone());
        }
    }

    /// A `nstring`: NIL, a quoted string, or a literal where quoting cannot say it (RFC 3501 §4.3).
    pub(crate) fn nstring(&mut self, value: Option<&[u8]>) {
        let Some(value) = value else {
            return self.push("NIL");
        };
        if value.len() > 1_000 || !value.iter().all(|octet| (b' '..=b'~').contains(octet)) {
            self.push(format!("{{{}}}\r\n", value.len()));
            return self.push(value);
        }
        self.push("\"");
        for &octet in value {
            if octet == b'"' || octet == b'\\' {
                self.push("\\");
            }
            self.push([octet]);
        }
        self.push("\"");
    }

    /// Octets that wait to be sent.
    pub(crate) fn waiting(&self) -> usize {
        self.done.iter().map(Bytes::len).sum::<usize>() + self.text.len()
    }

    /// All pieces; the output is empty afterwards.
    pub(crate) fn take(&mut self) -> Vec<Bytes> {
        let mut pieces = std::mem::take(&mut self.done);
        if !self.text.is_empty() {
            pieces.push(self.text.split().freeze());
        }
        pieces
    }

    #[cfg(test)]
    pub(crate) fn into_text(mut self) -> String {
        String::from_utf8(self.take().concat()).unwrap()
    }
}

/// A folder name in an answer: an atom where it can be one, as Exchange writes `INBOX`; else quoted.
pub(crate) fn mailbox_name(name: &str) -> String {
    let wire = super::mutf7::encode(name);
    if !wire.is_empty()
        && wire
            .bytes()
            .all(|octet| octet > b' ' && octet < 0x7f && !b"(){%*\"\\]".contains(&octet))
    {
        wire
    } else {
        format!("\"{}\"", wire.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_quoted_or_literals() {
        for (value, wire) in [
            (None, "NIL"),
            (Some("a \"b\" \\c"), "\"a \\\"b\\\" \\\\c\""),
            (Some(""), "\"\""),
            (Some("é"), "{2}\r\né"),
            (Some("a\tb"), "{3}\r\na\tb"),
        ] {
            let mut output = Output::default();
            output.nstring(value.map(str::as_bytes));
            assert_eq!(output.into_text(), wire);
        }
        assert_eq!(mailbox_name("INBOX"), "INBOX");
        assert_eq!(mailbox_name("Sent \"x\""), "\"Sent \\\"x\\\"\"");
        assert_eq!(mailbox_name("Entwürfe"), "Entw&APw-rfe");
    }

    #[test]
    fn large_octets_are_shared_not_copied() {
        let large = Bytes::from(vec![b'x'; 100_000]);
        let mut output = Output::default();
        output.push("* 1 FETCH (BODY[] ");
        output.literal(&large);
        output.line(")");
        let pieces = output.take();
        assert_eq!(pieces.len(), 3);
        assert_eq!(pieces[1].as_ptr(), large.as_ptr());
        assert_eq!(output.waiting(), 0);
    }
}
