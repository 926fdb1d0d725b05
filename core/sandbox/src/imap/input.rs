//! Reading one command off the connection: its line, the literals that it announces, the lines between them.

use bytes::Bytes;

use super::arguments::{Bad, Segment};
use super::command;
use super::reply::{Reply, UNAVAILABLE};
use super::session::{Session, State};
use crate::mail::conn::ConnError;
use crate::mail::spool::{Overflow, Reservation, Spool, Spooled};
use crate::mail::xoauth2::MAX_RESPONSE;
use crate::shared::MAX_MESSAGE;
use crate::state::StoreError;

/// Exchange's MaxCommandSize: longer commands are refused, AUTHENTICATE and the message of APPEND excepted.
const MAX_COMMAND: usize = 10_240;
/// No line is read beyond this. AUTHENTICATE's may be the longest.
pub(crate) const MAX_LINE: usize = MAX_RESPONSE + 256;
const TOO_LARGE: &str = "Message size exceeds fixed maximum message size.";

/// What came.
#[derive(Debug)]
pub(crate) enum Incoming {
    Command {
        tag: String,
        segments: Vec<Segment>,
        /// The memory that APPEND's message takes, until it is stored.
        held: Option<Reservation>,
    },
    /// Refused before all of it was read.
    Refused { tag: String, reply: Reply },
    /// Nothing that has a tag: an empty line, for example.
    Untagged,
}

/// A literal that the end of a line announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Marker {
    /// Where in the line it starts.
    at: usize,
    size: usize,
    /// Whether the client waits for a `+` before it sends (RFC 7888 has the other kind).
    waits: bool,
}

impl Session {
    pub(crate) async fn read_command(&mut self) -> Result<Incoming, ConnError> {
        let line = self.conn.read_line(MAX_LINE).await?;
        let Some((tag, word)) = command::head(&line).map(|(tag, word)| (tag.to_owned(), word)) else {
            return Ok(Incoming::Untagged);
        };
        self.conn.count_command();
        Ok(match self.read_segments(line, &word).await? {
            Ok((segments, held)) => Incoming::Command { tag, segments, held },
            Err(reply) => Incoming::Refused { tag, reply },
        })
    }

    async fn read_segments(
        &mut self,
        first: Bytes,
        word: &str,
    ) -> Result<Result<(Vec<Segment>, Option<Reservation>), Reply>, ConnError> {
        let mut segments: Vec<Segment> = Vec::new();
        let mut held = None;
        let mut line = first.to_vec();
        let mut octets = 0;
        loop {
            octets += line.len();
            if octets > MAX_COMMAND && word != "AUTHENTICATE" {
                self.pass_over(line).await?;
                return Ok(Err(Bad::Command.into()));
            }
            let Some(marker) = marker(&line) else {
                segments.push(Segment { line, literal: None });
                return Ok(Ok((segments, held)));
            };
            let is_message = word == "APPEND"
                && matches!(self.state, State::Connected(_))
                && stands_for_message(&segments, line.get(..marker.at).unwrap_or_default());
            if let Some(refusal) = self.refuse_literal(marker.size, octets, is_message) {
                self.pass_over(line).await?;
                return Ok(Err(refusal));
            }
            if marker.waits {
                self.conn
                    .prompt("+ Ready for additional command text.\r\n")
                    .await?;
            }
            let literal = if is_message {
                match self.read_message(marker.size).await? {
                    Ok(spooled) => {
                        held = Some(spooled.reservation);
                        spooled.raw
                    }
                    Err(overflow) => {
                        let rest = self.conn.read_line(MAX_LINE).await?;
                        self.pass_over(rest).await?;
                        return Ok(Err(match overflow {
                            Overflow::TooLarge => Reply::no(TOO_LARGE),
                            Overflow::NoMemory => Reply::no(UNAVAILABLE),
                        }));
                    }
                }
            } else {
                octets += marker.size;
                self.read_literal(marker.size).await?
            };
            line.truncate(marker.at);
            segments.push(Segment {
                line,
                literal: Some(literal),
            });
            line = self.conn.read_line(MAX_LINE).await?.to_vec();
        }
    }

    fn refuse_literal(&self, size: usize, octets: usize, is_message: bool) -> Option<Reply> {
        if !is_message {
            return (octets.saturating_add(size) > MAX_COMMAND).then(|| Bad::Command.into());
        }
        let State::Connected(connected) = &self.state else {
            return None;
        };
        if size > MAX_MESSAGE {
            return Some(Reply::no(TOO_LARGE));
        }
        let room = self.shared.tenant().has_room(&connected.mailbox, size);
        (!room).then(|| Reply::refused(StoreError::Full, ""))
    }

    /// APPEND's message. What the client announces is not reserved: it has to come first.
    async fn read_message(&mut self, size: usize) -> Result<Result<Spooled, Overflow>, ConnError> {
        let mut spool = Spool::new(self.shared.clone(), "");
        let mut left = size;
        while left > 0 {
            let piece = self.conn.read_some(left).await?;
            left -= piece.len();
            spool.push(&piece);
        }
        Ok(spool.finish())
    }

    async fn read_literal(&mut self, size: usize) -> Result<Bytes, ConnError> {
        let mut octets = Vec::with_capacity(size);
        while octets.len() < size {
            let piece = self.conn.read_some(size - octets.len()).await?;
            octets.extend_from_slice(&piece);
        }
        Ok(octets.into())
    }

    /// Passes over the rest of a refused command: literals that the client sends without waiting are no commands.
    async fn pass_over(&mut self, line: impl AsRef<[u8]>) -> Result<(), ConnError> {
        let mut announced = marker(line.as_ref());
        while let Some(marker) = announced.filter(|marker| !marker.waits) {
            if marker.size > MAX_MESSAGE {
                // Beyond all measure; this ends the session.
                return Err(ConnError::LineTooLong);
            }
            let mut left = marker.size;
            while left > 0 {
                left -= self.conn.read_some(left).await?.len();
            }
            announced = self::marker(&self.conn.read_line(MAX_LINE).await?);
        }
        Ok(())
    }
}

/// Whether the next literal of an APPEND is the message: the folder, in front of it, may be a literal too.
fn stands_for_message(before: &[Segment], line: &[u8]) -> bool {
    let has_folder = |line: &[u8]| {
        line.split(|&octet| octet == b' ')
            .filter(|word| !word.is_empty())
            .count()
            > 2
    };
    match before {
        [] => has_folder(line),
        [folder] => !has_folder(&folder.line),
        _ => false,
    }
}

/// `{n}` or `{n+}` at the end of a line.
fn marker(line: &[u8]) -> Option<Marker> {
    let inner = line.strip_suffix(b"}")?;
    let at = inner.iter().rposition(|&octet| octet == b'{')?;
    let digits = inner.get(at + 1..)?;
    let (digits, waits) = match digits.strip_suffix(b"+") {
        Some(digits) => (digits, false),
        None => (digits, true),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // A number that no machine can hold is larger than any limit all the same.
    let size = std::str::from_utf8(digits).ok()?.parse().unwrap_or(usize::MAX);
    Some(Marker { at, size, waits })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literal_markers() {
        assert_eq!(
            marker(b"A1 APPEND x {310}"),
            Some(Marker {
                at: 12,
                size: 310,
                waits: true
            })
        );
        assert_eq!(
            marker(b"{5+}"),
            Some(Marker {
                at: 0,
                size: 5,
                waits: false
            })
        );
        assert_eq!(
            marker(b"{99999999999999999999999}"),
            Some(Marker {
                at: 0,
                size: usize::MAX,
                waits: true
            })
        );
        for line in [
            &b"A1 NOOP"[..],
            b"{}",
            b"{+}",
            b"{-1}",
            b"{1",
            b"1}",
            b"{1}x",
            b"",
        ] {
            assert_eq!(marker(line), None, "{line:?}");
        }
    }

    #[test]
    fn only_the_message_of_an_append_may_be_large() {
        let segment = |line: &str| Segment {
            line: line.as_bytes().to_vec(),
            literal: Some(Bytes::new()),
        };
        assert!(stands_for_message(&[], b"A APPEND INBOX "));
        assert!(!stands_for_message(&[], b"A APPEND "));
        assert!(stands_for_message(&[segment("A APPEND ")], b" (\\Seen) "));
        assert!(!stands_for_message(&[segment("A APPEND INBOX ")], b" "));
        assert!(!stands_for_message(&[segment("A APPEND "), segment(" ")], b" "));
    }
}
