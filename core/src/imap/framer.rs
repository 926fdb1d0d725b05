//! [`Framer`]: finds where one response ends: line, literals, line (RFC 3501 §4.3). Pure: bytes in, lengths out.
//!
//! Everything a server may announce is checked against a bound before a byte is kept for it.

/// Longest line of a response, literals not counted: an ENVELOPE with thousands of recipients fits.
pub(crate) const MAX_LINE: usize = 1024 * 1024;
/// Longest line of a SEARCH result: a million UIDs of 7 digits fit.
pub(crate) const MAX_SEARCH_LINE: usize = 8 * 1024 * 1024;
/// Largest literal that is kept in memory (a subject, a file name, a folder name). Bodies are streamed.
pub(crate) const MAX_LITERAL: u64 = 1024 * 1024;
/// All that one response may keep in memory.
pub(crate) const MAX_RESPONSE: usize = 8 * 1024 * 1024 + 64 * 1024;
/// What stands in the response for a literal that was streamed.
const STAND_IN: &[u8] = b"\"\"";

/// What the framer found in the bytes that have arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framed {
    /// Nothing whole yet: more bytes are needed.
    More,
    /// A response ends behind so many bytes.
    Whole(usize),
    /// Behind `head` bytes begins a message body of `size` octets, to be streamed.
    Body { head: usize, size: u64 },
}

/// The state between two looks at the same buffer.
#[derive(Debug, Default)]
pub(crate) struct Framer {
    /// Beginning of the response that was already taken from the buffer, with stand-ins for streamed bodies.
    head: Vec<u8>,
    /// Bytes of the buffer that were looked at.
    scanned: usize,
    /// Where the current line begins in the buffer.
    line: usize,
    /// Octets of a literal still to be stepped over.
    literal: usize,
    /// The response is one of text, in which braces mean nothing.
    text: Option<bool>,
}

impl Framer {
    /// Looks at `buffered`: all that has arrived and was not taken, the same bytes as last time and perhaps more.
    /// With `bodies`, literals of `BODY[...]` items are reported instead of kept.
    ///
    /// # Errors
    /// What bound was passed, in words.
    pub(crate) fn scan(&mut self, buffered: &[u8], bodies: bool) -> Result<Framed, String> {
        loop {
            let there = buffered.len() - self.scanned.min(buffered.len());
            let step = self.literal.min(there);
            self.scanned += step;
            self.literal -= step;
            if self.literal > 0 {
                return Ok(Framed::More);
            }
            if step > 0 {
                self.line = self.scanned;
            }
            let fresh = buffered.get(self.scanned..).unwrap_or_default();
            let Some(at) = fresh.iter().position(|&byte| byte == b'\n') else {
                self.scanned = buffered.len();
                self.check_line(buffered)?;
                return Ok(Framed::More);
            };
            self.scanned += at + 1;
            self.check_line(buffered)?;
            let line = buffered.get(self.line..self.scanned).unwrap_or_default();
            let text = *self.text.get_or_insert_with(|| is_text(line));
            let announced = if text { None } else { literal_size(line) };
            let Some((size, announcement)) = announced else {
                let end = self.scanned;
                (self.scanned, self.line, self.text) = (0, 0, None);
                return Ok(Framed::Whole(end));
            };
            if bodies && is_body(announcement) {
                return Ok(Framed::Body {
                    head: self.scanned,
                    size,
                });
            }
            if size > MAX_LITERAL {
                return Err(format!(
                    "the server announced {size} octets where at most {MAX_LITERAL} are taken"
                ));
            }
            // Fits: it is at most MAX_LITERAL.
            self.literal = size as usize;
            self.line = self.scanned;
            if self.head.len() + self.scanned + self.literal > MAX_RESPONSE {
                return Err(format!(
                    "the server sent a response of more than {MAX_RESPONSE} bytes"
                ));
            }
        }
    }

    /// Takes over the bytes that end in a body's announcement; the body itself is the caller's. The next scan begins
    /// behind the body.
    pub(crate) fn body_taken(&mut self, head: &[u8]) {
        let kept = head.iter().rposition(|&byte| byte == b'{').unwrap_or(head.len());
        let kept = head.get(..kept).unwrap_or_default();
        self.head
            .extend_from_slice(kept.strip_suffix(b"~").unwrap_or(kept));
        self.head.extend_from_slice(STAND_IN);
        (self.scanned, self.line) = (0, 0);
    }

    /// The beginning of the response as far as it was taken from the buffer before, such as `* 5 FETCH (UID 7 BODY[] `.
    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }

    /// Gives away that beginning; the response is whole.
    pub(crate) fn take_head(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.head)
    }

    fn check_line(&self, buffered: &[u8]) -> Result<(), String> {
        let length = self.scanned - self.line;
        let max = if self.head.is_empty() && self.line == 0 && is_search(buffered) {
            MAX_SEARCH_LINE
        } else {
            MAX_LINE
        };
        if length > max {
            return Err(format!("the server sent a line of more than {max} bytes"));
        }
        if self.head.len() + self.scanned > MAX_RESPONSE {
            return Err(format!(
                "the server sent a response of more than {MAX_RESPONSE} bytes"
            ));
        }
        Ok(())
    }
}

fn starts_with(line: &[u8], prefix: &[u8]) -> bool {
    line.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn is_search(line: &[u8]) -> bool {
    [&b"* SEARCH"[..], b"* ESEARCH", b"* SORT"]
        .iter()
        .any(|prefix| starts_with(line, prefix))
}

/// Whether the response ends with its first line whatever that ends in: `+ …`, `* OK …`, `A1 NO …`, and lines that are
/// no IMAP at all.
fn is_text(line: &[u8]) -> bool {
    let Some(data) = line.strip_prefix(b"* ") else {
        return true;
    };
    [&b"OK"[..], b"NO", b"BAD", b"BYE", b"PREAUTH"]
        .iter()
        .any(|name| starts_with(data, name) && data.get(name.len()).is_none_or(u8::is_ascii_whitespace))
}

/// The size of the literal that a line announces at its end, and the line before the announcement.
fn literal_size(line: &[u8]) -> Option<(u64, &[u8])> {
    let line = line.strip_suffix(b"\n")?;
    let line = line.strip_suffix(b"\r").unwrap_or(line).strip_suffix(b"}")?;
    let open = line.iter().rposition(|&byte| byte == b'{')?;
    let digits = line.get(open + 1..)?;
    let digits = digits.strip_suffix(b"+").unwrap_or(digits);
    Some((super::value::number(digits)?, line.get(..open)?))
}

/// Whether the announcement is that of a message body: the line ends in `BODY[...]` or `BODY[...]<n>`.
fn is_body(before: &[u8]) -> bool {
    let before = before.strip_suffix(b"~").unwrap_or(before).trim_ascii_end();
    let name = match before.iter().rposition(|&byte| byte == b'<') {
        Some(at) if before.ends_with(b">") => before.get(..at).unwrap_or_default(),
        _ => before,
    };
    name.ends_with(b"]")
        && name.iter().rposition(|&byte| byte == b'[').is_some_and(|at| {
            let name = name.get(..at).unwrap_or_default();
            name.len() >= 4 && starts_with(&name[name.len() - 4..], b"BODY")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `input` in two pieces, split at `split`, and returns responses and bodies in order.
    fn frame(input: &[u8], split: usize, bodies: bool) -> Vec<String> {
        let mut framer = Framer::default();
        let mut found = Vec::new();
        let mut buffer: Vec<u8> = Vec::new();
        for piece in [&input[..split], &input[split..]] {
            buffer.extend_from_slice(piece);
            loop {
                match framer.scan(&buffer, bodies).unwrap() {
                    Framed::More => break,
                    Framed::Whole(length) => {
                        let mut whole = framer.take_head();
                        whole.extend(buffer.drain(..length));
                        found.push(String::from_utf8(whole).unwrap());
                    }
                    Framed::Body { head, size } => {
                        // The rest of the test input is at hand, so that the body can be taken at once.
                        let head: Vec<u8> = buffer.drain(..head).collect();
                        framer.body_taken(&head);
                        if buffer.len() < size as usize {
                            buffer.extend_from_slice(&input[split..]);
                            let body: Vec<u8> = buffer.drain(..size as usize).collect();
                            found.push(format!("body {}", String::from_utf8(body).unwrap()));
                            continue_with(&mut framer, &mut buffer, &mut found, bodies);
                            return found;
                        }
                        let body: Vec<u8> = buffer.drain(..size as usize).collect();
                        found.push(format!("body {}", String::from_utf8(body).unwrap()));
                    }
                }
            }
        }
        found
    }

    fn continue_with(framer: &mut Framer, buffer: &mut Vec<u8>, found: &mut Vec<String>, bodies: bool) {
        while let Framed::Whole(length) = framer.scan(buffer, bodies).unwrap() {
            let mut whole = framer.take_head();
            whole.extend(buffer.drain(..length));
            found.push(String::from_utf8(whole).unwrap());
        }
    }

    #[test]
    fn responses_are_found_at_every_split() {
        let input = b"* OK ready {5}\r\n+\r\n* 1 FETCH (UID 1 ENVELOPE (\"a\" {3}\r\n)\r\n {1+}\r\n\"))\n* SEARCH\r\nA1 OK x\r\n";
        let expected = [
            "* OK ready {5}\r\n",
            "+\r\n",
            "* 1 FETCH (UID 1 ENVELOPE (\"a\" {3}\r\n)\r\n {1+}\r\n\"))\n",
            "* SEARCH\r\n",
            "A1 OK x\r\n",
        ];
        for split in 0..=input.len() {
            assert_eq!(frame(input, split, true), expected, "split at {split}");
        }
    }

    #[test]
    fn bodies_are_streamed_at_every_split() {
        let input = b"* 2 FETCH (UID 9 BODY[1.2]<0> {6}\r\n{9}\r\n\n FLAGS (\\Seen))\r\nA1 OK done\r\n";
        let expected = [
            "body {9}\r\n\n",
            "* 2 FETCH (UID 9 BODY[1.2]<0> \"\" FLAGS (\\Seen))\r\n",
            "A1 OK done\r\n",
        ];
        for split in 0..=input.len() {
            assert_eq!(frame(input, split, true), expected, "split at {split}");
        }
        assert_eq!(
            frame(input, 5, false).len(),
            2,
            "kept in memory when no body is expected"
        );
    }

    #[test]
    fn what_is_announced_is_bounded_before_it_comes() {
        let scan = |text: &str, bodies| Framer::default().scan(text.as_bytes(), bodies);
        assert!(scan("* 1 FETCH (ENVELOPE ({500000000}\r\n", true).is_err());
        assert!(scan("* 1 FETCH (BODY[] {500000000}\r\n", false).is_err());
        assert_eq!(
            scan("* 1 FETCH (BODY[] {500000000}\r\n", true),
            Ok(Framed::Body {
                head: 31,
                size: 500_000_000
            })
        );
        // No number at all: then it is no literal.
        assert_eq!(
            scan("* X {99999999999999999999999}\r\n", true),
            Ok(Framed::Whole(31))
        );
    }

    #[test]
    fn lines_are_bounded_and_search_may_be_longer() {
        let long = "1234567 ".repeat(200_000);
        assert!(
            Framer::default()
                .scan(format!("* LIST {long}").as_bytes(), false)
                .is_err()
        );
        let search = format!("* SEARCH {long}\r\n");
        assert_eq!(
            Framer::default().scan(search.as_bytes(), false),
            Ok(Framed::Whole(search.len()))
        );
        let endless = format!("* SEARCH {}", "1234567 ".repeat(1_100_000));
        assert!(Framer::default().scan(endless.as_bytes(), false).is_err());
    }

    #[test]
    fn many_literals_together_are_bounded() {
        let literal = format!("{{1048576}}\r\n{}", "x".repeat(1_048_576));
        let response = format!("* 1 FETCH (ENVELOPE ({}", literal.repeat(9));
        assert!(Framer::default().scan(response.as_bytes(), false).is_err());
    }

    #[test]
    fn only_body_items_are_bodies() {
        for yes in [
            "(UID 1 BODY[] ",
            "(body[HEADER.FIELDS (FROM)] ",
            "(BODY[TEXT]<0> ",
            "(BODY[1] ~",
        ] {
            assert!(is_body(yes.as_bytes()), "{yes}");
        }
        for no in [
            "(UID 1 ENVELOPE (\"x[]\" ",
            "(BODYSTRUCTURE (",
            "] ",
            "[] ",
            "(X[] ",
        ] {
            assert!(!is_body(no.as_bytes()), "{no}");
        }
    }
}
