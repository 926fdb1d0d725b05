//! Takes the transparency of RFC 1939 §3 back out of a multi-line answer: whole buffers at a time, nothing copied.

use memchr::memmem::Finder;

/// What to do with the head of the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// So many bytes belong to the message.
    Data(usize),
    /// So many bytes are only on the wire: a stuffed dot.
    Skip(usize),
    /// So many bytes end the answer.
    End(usize),
    /// More bytes are needed to tell.
    More,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    LineStart,
    AfterCr,
    Within,
}

/// The state between two buffers.
///
/// Only CRLF ends a line here. Were a bare LF taken for one, a mail that holds `\n.\n` and comes through a server that
/// stuffs only behind CRLF would end early, and its sender could write the server's next answers.
#[derive(Debug)]
pub(crate) struct Unstuff {
    position: Position,
    dot: Finder<'static>,
}

impl Unstuff {
    pub(crate) fn new() -> Self {
        Self {
            position: Position::LineStart,
            dot: Finder::new(b"\r\n."),
        }
    }

    /// Looks at what is buffered. The caller then takes that many bytes off and calls again.
    pub(crate) fn next(&mut self, buffer: &[u8]) -> Piece {
        let Some(&last) = buffer.last() else {
            return Piece::More;
        };
        match (self.position, buffer) {
            (Position::LineStart, [b'.', b'\r', b'\n', ..]) => return Piece::End(3),
            (Position::LineStart, [b'.'] | [b'.', b'\r']) => return Piece::More,
            (Position::LineStart, [b'.', ..]) => {
                self.position = Position::Within;
                return Piece::Skip(1);
            }
            (Position::AfterCr, [b'\n', ..]) => {
                self.position = Position::LineStart;
                return Piece::Data(1);
            }
            _ => {}
        }
        if let Some(at) = self.dot.find(buffer) {
            self.position = Position::LineStart;
            return Piece::Data(at + 2);
        }
        self.position = match last {
            b'\r' => Position::AfterCr,
            b'\n' if buffer.ends_with(b"\r\n") => Position::LineStart,
            _ => Position::Within,
        };
        Piece::Data(buffer.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `wire` in pieces of `size`; returns the message and what was left behind the end.
    fn decode(wire: &[u8], size: usize) -> Option<(Vec<u8>, Vec<u8>)> {
        let (mut unstuff, mut buffer, mut out) = (Unstuff::new(), Vec::new(), Vec::new());
        for (index, piece) in wire.chunks(size).enumerate() {
            buffer.extend_from_slice(piece);
            loop {
                match unstuff.next(&buffer) {
                    Piece::Data(count) => out.extend(buffer.drain(..count)),
                    Piece::Skip(count) => drop(buffer.drain(..count)),
                    Piece::End(count) => {
                        buffer.drain(..count);
                        buffer.extend(wire.chunks(size).skip(index + 1).flatten());
                        return Some((out, buffer));
                    }
                    Piece::More => break,
                }
            }
        }
        None
    }

    #[test]
    fn every_split_gives_the_same() {
        let cases: &[(&str, &str)] = &[
            (".\r\n", ""),
            ("a\r\n.\r\n", "a\r\n"),
            ("..\r\n.\r\n", ".\r\n"),
            ("...\r\n..x\r\n.\r\n", "..\r\n.x\r\n"),
            ("a\r\n..\r\n\r\n..b.\r\n.\r\n", "a\r\n.\r\n\r\n.b.\r\n"),
            ("a\n.\nb\r\n.\r\n", "a\n.\nb\r\n"),
            ("a\r.\r\n.\r\n", "a\r.\r\n"),
            ("a\r\r\n.\r\n", "a\r\r\n"),
            ("a\n\n.\n\r\n.\r\n", "a\n\n.\n\r\n"),
            (".x\r\n.\r\n", "x\r\n"),
            (".\rx\r\n.\r\n", "\rx\r\n"),
        ];
        for (wire, message) in cases {
            let wire = format!("{wire}+OK next\r\n");
            for size in 1..=wire.len() {
                let (out, rest) = decode(wire.as_bytes(), size).unwrap_or_else(|| panic!("{wire:?} {size}"));
                assert_eq!(
                    String::from_utf8_lossy(&out),
                    *message,
                    "{wire:?} in pieces of {size}"
                );
                assert_eq!(rest, b"+OK next\r\n", "{wire:?} in pieces of {size}");
            }
        }
    }

    #[test]
    fn without_an_end_there_is_none() {
        for wire in ["", "a\r\n", "a\r\n.", "a\r\n.\r", "a\n.\n", "\n.\r\n", "a.\r\n"] {
            assert_eq!(decode(wire.as_bytes(), 3), None, "{wire:?}");
        }
    }
}
