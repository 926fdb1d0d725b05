//! The fields of a header block, as octets (RFC 5322 §2.2).

use std::io::BufRead as _;

/// The length of the first line of `text`, its line feed included.
///
/// `skip_until` searches word by word, which matters for messages of many megabytes.
pub(crate) fn line_length(mut text: &[u8]) -> usize {
    text.skip_until(b'\n').unwrap_or_default()
}

/// Whether a line is empty but for its ending.
pub(crate) fn is_blank(line: &[u8]) -> bool {
    matches!(line, b"" | b"\n" | b"\r\n")
}

/// The length of the header block at the start of `text`, with the empty line that ends it.
pub(crate) fn block_length(text: &[u8]) -> usize {
    let mut length = 0;
    while let Some(rest) = text.get(length..).filter(|rest| !rest.is_empty()) {
        let line = line_length(rest);
        length += line;
        if is_blank(&rest[..line]) {
            break;
        }
    }
    length
}

/// One field: its lines as they stand, and the parts of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field<'a> {
    /// All its lines, with their endings.
    pub(crate) lines: &'a [u8],
    pub(crate) name: &'a [u8],
    /// What stands behind the colon, folded.
    pub(crate) value: &'a [u8],
}

impl Field<'_> {
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// The value on one line, without the blanks around it.
    pub(crate) fn unfolded(&self) -> Vec<u8> {
        let value: Vec<u8> = self
            .value
            .iter()
            .copied()
            .filter(|octet| !b"\r\n\0".contains(octet))
            .collect();
        value.trim_ascii().to_vec()
    }
}

/// The fields of a header block in their order. Lines that are no field are passed over.
pub(crate) fn fields(block: &[u8]) -> impl Iterator<Item = Field<'_>> {
    let mut rest = block;
    std::iter::from_fn(move || {
        loop {
            let mut length = line_length(rest);
            if length == 0 || is_blank(&rest[..length]) {
                return None;
            }
            while let Some(b' ' | b'\t') = rest.get(length) {
                length += line_length(&rest[length..]);
            }
            let (lines, after) = rest.split_at(length);
            rest = after;
            if let Some(colon) = lines.iter().position(|&octet| octet == b':') {
                let (name, value) = (lines[..colon].trim_ascii_end(), &lines[colon + 1..]);
                return Some(Field { lines, name, value });
            }
        }
    })
}

/// The first field of this name.
pub(crate) fn field<'a>(block: &'a [u8], name: &str) -> Option<Field<'a>> {
    fields(block).find(|field| field.is(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_lines_and_unfold() {
        let text = b"Subject: one\r\n two\r\nnonsense\r\nX :\tthree \nY:\r\n\r\nbody: no\r\n";
        assert_eq!(block_length(text), text.len() - b"body: no\r\n".len());
        let found: Vec<(&[u8], Vec<u8>)> = fields(text).map(|field| (field.name, field.unfolded())).collect();
        assert_eq!(
            found,
            [
                (&b"Subject"[..], b"one two".to_vec()),
                (&b"X"[..], b"three".to_vec()),
                (&b"Y"[..], Vec::new()),
            ]
        );
        assert_eq!(field(text, "SUBJECT").unwrap().lines, b"Subject: one\r\n two\r\n");
    }

    #[test]
    fn header_without_an_end_or_without_anything() {
        assert_eq!(block_length(b"A: b"), 4);
        assert_eq!(block_length(b""), 0);
        assert_eq!(block_length(b"\r\nbody"), 2);
        assert!(fields(b"\r\n").next().is_none());
        assert!(fields(b"").next().is_none());
        assert!(fields(b" folded start").next().is_none());
    }
}
