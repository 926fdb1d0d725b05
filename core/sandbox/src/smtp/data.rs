//! The end of data and the doubled dots (RFC 5321 §4.5.2).
//!
//! Only CR LF `.` CR LF ends a message. A bare LF is a character like others: taking `LF . LF` for the end is what
//! SMTP smuggling lives on.

/// Where in a line the decoder stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    LineStart,
    Middle,
    /// Behind a CR.
    Cr,
    /// Behind a dot at the start of a line; it is not passed on yet.
    Dot,
    /// Behind dot and CR at the start of a line; neither is passed on yet.
    DotCr,
}

/// Decodes DATA, in whatever pieces it comes.
#[derive(Debug)]
pub(super) struct DotDecoder {
    at: At,
}

impl DotDecoder {
    /// Behind the CR LF of the DATA command.
    pub(super) fn new() -> Self {
        Self { at: At::LineStart }
    }

    /// Passes what belongs to the message on to `out`. Gives how many octets were used, and whether the end was
    /// reached; if it was not, all were used.
    pub(super) fn decode(&mut self, input: &[u8], mut out: impl FnMut(&[u8])) -> (usize, bool) {
        let mut used = 0;
        while let Some(rest) = input.get(used..)
            && let Some(&byte) = rest.first()
        {
            match (self.at, byte) {
                (At::Middle, _) => {
                    let run = memchr::memchr(b'\r', rest).map_or(rest.len(), |cr| {
                        self.at = At::Cr;
                        cr + 1
                    });
                    out(rest.get(..run).unwrap_or_default());
                    used += run;
                    continue;
                }
                (At::Cr, b'\n') => {
                    out(b"\n");
                    self.at = At::LineStart;
                }
                (At::Cr, b'\r') => out(b"\r"),
                (At::LineStart, b'.') => self.at = At::Dot,
                (At::Dot, b'\r') => self.at = At::DotCr,
                (At::DotCr, b'\n') => return (used + 1, true),
                (At::DotCr, _) => {
                    // The line was a dot and a bare CR: the dot was a doubled one's first half.
                    out(b"\r");
                    self.at = At::Cr;
                    continue;
                }
                (At::Cr | At::LineStart | At::Dot, _) => {
                    self.at = At::Middle;
                    continue;
                }
            }
            used += 1;
        }
        (used, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(input: &[u8], piece: usize) -> (Vec<u8>, bool, usize) {
        let mut decoder = DotDecoder::new();
        let mut out = Vec::new();
        let mut used = 0;
        for chunk in input.chunks(piece) {
            let (count, done) = decoder.decode(chunk, |bytes| out.extend_from_slice(bytes));
            used += count;
            if done {
                return (out, true, used);
            }
        }
        (out, false, used)
    }

    #[test]
    fn messages_end_at_crlf_dot_crlf_only() {
        for (input, message) in [
            (&b".\r\n"[..], &b""[..]),
            (b"a\r\n.\r\n", b"a\r\n"),
            (b"a\r\n..b\r\n.\r\n", b"a\r\n.b\r\n"),
            (b"...\r\n.\r\n", b"..\r\n"),
            (b".b\r\n.\r\n", b"b\r\n"),
            (b"a\n.\n\r\n.\r\n", b"a\n.\n\r\n"),
            (b"a\n.\r\nb\r\n.\r\n", b"a\n.\r\nb\r\n"),
            (b"a\r\n.\nb\r\n.\r\n", b"a\r\n\nb\r\n"),
            (b"a\r.\r\n\r\n.\r\n", b"a\r.\r\n\r\n"),
            (b"a\r\n.\rb\r\n.\r\n", b"a\r\n\rb\r\n"),
            (b"a\r\r\n.\r\n", b"a\r\r\n"),
            (b".\r\r\n.\r\n", b"\r\r\n"),
        ] {
            for piece in [1, 2, 3, 1000] {
                let (out, done, used) = decode(input, piece);
                assert_eq!(out, message, "{:?} by {piece}", String::from_utf8_lossy(input));
                assert!(done);
                assert_eq!(used, input.len());
            }
        }
    }

    #[test]
    fn what_follows_the_end_is_left_alone() {
        let (out, done, used) = decode(b"a\r\n.\r\nQUIT\r\n", 1000);
        assert_eq!((out.as_slice(), done, used), (&b"a\r\n"[..], true, 6));
    }
}
