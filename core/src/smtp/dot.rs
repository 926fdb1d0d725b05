//! Dot-stuffing (RFC 5321 §4.5.2).

/// What ends a message whose last line has ended.
pub(super) const END: &[u8] = b".\r\n";

/// Doubles the dot at the beginning of a line, wherever the message is cut into pieces. Line ends must be right.
#[derive(Debug)]
pub(super) struct DotStuffer {
    at_line_start: bool,
}

impl Default for DotStuffer {
    fn default() -> Self {
        Self { at_line_start: true }
    }
}

impl DotStuffer {
    /// Appends `input` to `out`.
    pub(super) fn push(&mut self, input: &[u8], out: &mut Vec<u8>) {
        for line in input.split_inclusive(|&byte| byte == b'\n') {
            if self.at_line_start && line.first() == Some(&b'.') {
                out.push(b'.');
            }
            out.extend_from_slice(line);
            self.at_line_start = line.last() == Some(&b'\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cut_into_three_pieces_gives_the_same() {
        for (input, expected) in [
            ("", ""),
            (".", ".."),
            (".\r\n", "..\r\n"),
            ("a.b\r\n.c\r\n..\r\n", "a.b\r\n..c\r\n...\r\n"),
            ("\r\n.\r\n\r\n.x\r\n", "\r\n..\r\n\r\n..x\r\n"),
        ] {
            for first in 0..=input.len() {
                for second in first..=input.len() {
                    let (mut stuffer, mut out) = (DotStuffer::default(), Vec::new());
                    for piece in [&input[..first], &input[first..second], &input[second..]] {
                        stuffer.push(piece.as_bytes(), &mut out);
                    }
                    assert_eq!(out, expected.as_bytes(), "{input:?} cut at {first}, {second}");
                }
            }
        }
    }
}
