//! Line ends of outgoing mail: CRLF, and never a bare CR or LF.
//!
//! RFC 5321 §2.3.8 forbids bare CR and LF. Servers disagree on what they mean, and that disagreement is how a second
//! mail is smuggled into the first (CVE-2023-51764 and its kin), so none is ever passed on.

/// Whether every line of `bytes` ends in CRLF, the last one too, and no bare CR or LF is in it.
pub(crate) fn is_normal(bytes: &[u8]) -> bool {
    if bytes.last().is_some_and(|&last| last != b'\n') {
        return false;
    }
    let mut previous = 0;
    for &byte in bytes {
        if (byte == b'\n') != (previous == b'\r') {
            return false;
        }
        previous = byte;
    }
    true
}

/// How long `bytes` become when their line ends are made right, the last one too.
pub(crate) fn normal_len(bytes: &[u8]) -> u64 {
    let (mut length, mut previous) = (0, 0);
    for &byte in bytes {
        // Each CR and each LF begins a line end of two, except the LF of a CRLF.
        length += match byte {
            b'\r' => 2,
            b'\n' if previous == b'\r' => 0,
            b'\n' => 2,
            _ => 1,
        };
        previous = byte;
    }
    if matches!(bytes.last(), None | Some(b'\r' | b'\n')) {
        length
    } else {
        length + 2
    }
}

/// Makes line ends right in a stream, wherever it is cut into pieces.
#[derive(Debug)]
pub(crate) struct LineEnds {
    /// The last byte was a CR: its line end has been written, an LF that follows belongs to it.
    after_cr: bool,
    at_line_start: bool,
}

impl Default for LineEnds {
    fn default() -> Self {
        Self {
            after_cr: false,
            at_line_start: true,
        }
    }
}

impl LineEnds {
    /// Appends `input` to `out` with right line ends.
    pub(crate) fn push(&mut self, input: &[u8], out: &mut Vec<u8>) {
        let mut rest = input;
        while let Some(at) = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
            let (line, end) = rest.split_at(at);
            out.extend_from_slice(line);
            let is_cr = end.first() == Some(&b'\r');
            if is_cr || at > 0 || !self.after_cr {
                out.extend_from_slice(b"\r\n");
            }
            self.after_cr = is_cr;
            self.at_line_start = true;
            rest = end.get(1..).unwrap_or_default();
        }
        if !rest.is_empty() {
            out.extend_from_slice(rest);
            self.after_cr = false;
            self.at_line_start = false;
        }
    }

    /// Ends the last line, where it has no end yet.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        if !self.at_line_start {
            out.extend_from_slice(b"\r\n");
        }
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normalised(bytes: &[u8]) -> Vec<u8> {
        let (mut line_ends, mut out) = (LineEnds::default(), Vec::new());
        line_ends.push(bytes, &mut out);
        line_ends.finish(&mut out);
        out
    }

    const CASES: &[(&str, &str)] = &[
        ("", ""),
        ("a", "a\r\n"),
        ("a\r\n", "a\r\n"),
        ("a\n", "a\r\n"),
        ("a\r", "a\r\n"),
        ("a\n.\nb", "a\r\n.\r\nb\r\n"),
        ("a\r.\rb", "a\r\n.\r\nb\r\n"),
        ("a\r\n.\r\nb\r\n", "a\r\n.\r\nb\r\n"),
        ("\n\n", "\r\n\r\n"),
        ("\r\r\n\n\r", "\r\n\r\n\r\n\r\n"),
        ("a\r\n\rb\n\r\nc\r\r", "a\r\n\r\nb\r\n\r\nc\r\n\r\n"),
        ("\0\n", "\0\r\n"),
    ];

    #[test]
    fn every_cut_into_three_pieces_gives_the_same() {
        for (input, expected) in CASES {
            let input = input.as_bytes();
            for first in 0..=input.len() {
                for second in first..=input.len() {
                    let (mut line_ends, mut out) = (LineEnds::default(), Vec::new());
                    line_ends.push(&input[..first], &mut out);
                    line_ends.push(&input[first..second], &mut out);
                    line_ends.push(&input[second..], &mut out);
                    line_ends.finish(&mut out);
                    assert_eq!(
                        out,
                        expected.as_bytes(),
                        "{:?} cut at {first}, {second}",
                        String::from_utf8_lossy(input)
                    );
                }
            }
        }
    }

    #[test]
    fn every_short_text_comes_out_normal_and_as_long_as_foretold() {
        // All texts of up to 6 characters over this alphabet.
        let alphabet = b"\r\n.a";
        for length in 0..=6_u32 {
            for number in 0..4_usize.pow(length) {
                let text: Vec<u8> = (0..length)
                    .map(|digit| alphabet[number / 4_usize.pow(digit) % 4])
                    .collect();
                let out = normalised(&text);
                assert!(is_normal(&out), "{text:?} became {out:?}");
                assert_eq!(normal_len(&text), out.len() as u64, "{text:?}");
                assert_eq!(is_normal(&text), out == text, "{text:?}");
                let content = |bytes: &[u8]| -> Vec<u8> {
                    bytes.iter().copied().filter(|b| !b"\r\n".contains(b)).collect()
                };
                assert_eq!(content(&text), content(&out));
            }
        }
    }
}
