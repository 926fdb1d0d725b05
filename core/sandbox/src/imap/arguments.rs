//! Reading of one command's arguments: atoms, quoted strings, literals, lists (RFC 3501 §9).

use std::fmt;

use bytes::Bytes;

use super::mutf7;

/// One line of a command, and the literal that its end announced.
///
/// A command without literals is one segment. The `{n}` marker is already cut from `line`.
#[derive(Default)]
pub(crate) struct Segment {
    pub(crate) line: Vec<u8>,
    pub(crate) literal: Option<Bytes>,
}

/// Without the octets: they may be a token, a password or somebody's mail.
impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segment")
            .field("line", &self.line.len())
            .field("literal", &self.literal.as_ref().map(Bytes::len))
            .finish()
    }
}

/// Why a command is refused before it is tried, in Exchange's classes (exchange-online.md §3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bad {
    /// Unknown or too long: `BAD Command Error. 10`.
    Command,
    /// An empty list where items are needed: `BAD Command Argument Error. 11`.
    EmptyList,
    /// Any other argument that cannot be read: `BAD Command Argument Error. 12`.
    Argument,
    /// A SEARCH in a charset other than US-ASCII: `NO [BADCHARSET (US-ASCII)] …`.
    Charset,
}

/// A cursor over a command's segments.
#[derive(Debug, Clone)]
pub(crate) struct Arguments<'a> {
    segments: &'a [Segment],
    index: usize,
    offset: usize,
}

/// Octets that may stand in an atom (RFC 3501 `ATOM-CHAR`), with `]` allowed as in `ASTRING-CHAR`.
fn is_astring_char(octet: u8) -> bool {
    is_atom_char(octet) || octet == b']'
}

fn is_atom_char(octet: u8) -> bool {
    octet > 0x20 && octet < 0x7f && !b"(){%*\"\\]".contains(&octet)
}

impl<'a> Arguments<'a> {
    pub(crate) fn new(segments: &'a [Segment]) -> Self {
        Self {
            segments,
            index: 0,
            offset: 0,
        }
    }

    fn rest(&self) -> &'a [u8] {
        self.segments
            .get(self.index)
            .and_then(|segment| segment.line.get(self.offset..))
            .unwrap_or_default()
    }

    /// The next octet, or `None` at the end of a line (where a literal may wait).
    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest().first().copied()
    }

    /// Takes `octet` if it is next.
    pub(crate) fn take(&mut self, octet: u8) -> bool {
        let found = self.peek() == Some(octet);
        if found {
            self.offset += 1;
        }
        found
    }

    pub(crate) fn expect(&mut self, octet: u8) -> Result<(), Bad> {
        if self.take(octet) {
            Ok(())
        } else {
            Err(Bad::Argument)
        }
    }

    /// One space. Some clients send more than one, and Exchange bears it.
    pub(crate) fn space(&mut self) -> Result<(), Bad> {
        self.expect(b' ')?;
        while self.take(b' ') {}
        Ok(())
    }

    /// Nothing but blanks may follow.
    pub(crate) fn end(&mut self) -> Result<(), Bad> {
        while self.take(b' ') {}
        if self.at_end() { Ok(()) } else { Err(Bad::Argument) }
    }

    /// Whether every segment has been read.
    pub(crate) fn at_end(&self) -> bool {
        self.rest().is_empty()
            && self
                .segments
                .get(self.index)
                .is_none_or(|segment| segment.literal.is_none())
    }

    /// The octets as long as `accept` says so; may be empty.
    pub(crate) fn take_while(&mut self, accept: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.rest();
        let length = rest
            .iter()
            .position(|&octet| !accept(octet))
            .unwrap_or(rest.len());
        self.offset += length;
        &rest[..length]
    }

    pub(crate) fn atom(&mut self) -> Result<&'a str, Bad> {
        text(self.take_while(is_atom_char))
    }

    /// An upper-cased word of letters, digits and the dot, such as `RFC822.SIZE`.
    pub(crate) fn keyword(&mut self) -> Result<String, Bad> {
        let word = self.take_while(|octet| {
            octet.is_ascii_alphanumeric() || octet == b'.' || octet == b'-' || octet == b'+'
        });
        text(word).map(str::to_ascii_uppercase)
    }

    pub(crate) fn number(&mut self) -> Result<u32, Bad> {
        text(self.take_while(|octet| octet.is_ascii_digit()))?
            .parse()
            .map_err(|_| Bad::Argument)
    }

    /// A literal's octets, not copied.
    pub(crate) fn literal(&mut self) -> Result<Bytes, Bad> {
        let segment = self.segments.get(self.index).ok_or(Bad::Argument)?;
        match &segment.literal {
            Some(literal) if self.offset == segment.line.len() => {
                self.index += 1;
                self.offset = 0;
                Ok(literal.clone())
            }
            _ => Err(Bad::Argument),
        }
    }

    fn quoted(&mut self) -> Result<Vec<u8>, Bad> {
        self.expect(b'"')?;
        let mut value = Vec::new();
        loop {
            match self.peek().ok_or(Bad::Argument)? {
                b'"' => {
                    self.offset += 1;
                    return Ok(value);
                }
                b'\\' => {
                    self.offset += 1;
                    let octet = self.peek().ok_or(Bad::Argument)?;
                    if octet != b'"' && octet != b'\\' {
                        return Err(Bad::Argument);
                    }
                    value.push(octet);
                    self.offset += 1;
                }
                octet => {
                    value.push(octet);
                    self.offset += 1;
                }
            }
        }
    }

    /// A quoted string or a literal.
    pub(crate) fn string(&mut self) -> Result<Vec<u8>, Bad> {
        match self.peek() {
            Some(b'"') => self.quoted(),
            None => self.literal().map(|literal| literal.to_vec()),
            Some(_) => Err(Bad::Argument),
        }
    }

    /// A string, or a bare word.
    pub(crate) fn astring(&mut self) -> Result<Vec<u8>, Bad> {
        self.string_or(is_astring_char)
    }

    /// A LIST pattern: a string, or a bare word in which `*` and `%` may stand.
    pub(crate) fn pattern(&mut self) -> Result<String, Bad> {
        let pattern = self.string_or(|octet| is_astring_char(octet) || octet == b'*' || octet == b'%')?;
        String::from_utf8(pattern).map_err(|_| Bad::Argument)
    }

    fn string_or(&mut self, bare: impl Fn(u8) -> bool) -> Result<Vec<u8>, Bad> {
        match self.peek() {
            Some(b'"') | None => self.string(),
            Some(_) => match self.take_while(bare) {
                [] => Err(Bad::Argument),
                word => Ok(word.to_vec()),
            },
        }
    }

    /// A folder name, decoded from modified UTF-7. INBOX may be written in any case (RFC 3501 §5.1).
    pub(crate) fn folder(&mut self) -> Result<String, Bad> {
        let name = String::from_utf8(self.astring()?).map_err(|_| Bad::Argument)?;
        let name = mutf7::decode(&name).ok_or(Bad::Argument)?;
        Ok(match name.split_at_checked("INBOX".len()) {
            Some((inbox, rest))
                if inbox.eq_ignore_ascii_case("INBOX") && (rest.is_empty() || rest.starts_with('/')) =>
            {
                format!("INBOX{rest}")
            }
            _ => name,
        })
    }
}

fn text(octets: &[u8]) -> Result<&str, Bad> {
    match std::str::from_utf8(octets) {
        Ok(text) if !text.is_empty() => Ok(text),
        _ => Err(Bad::Argument),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Vec<Segment> {
        vec![Segment {
            line: text.as_bytes().to_vec(),
            literal: None,
        }]
    }

    #[test]
    fn reads_atoms_strings_and_literals() {
        let mut segments = line("abc \"d\\\"\\\\e\" ");
        segments[0].literal = Some(Bytes::from_static(b"x\r\ny"));
        segments.push(Segment {
            line: b" end".to_vec(),
            literal: None,
        });
        let mut arguments = Arguments::new(&segments);
        assert_eq!(arguments.astring().unwrap(), b"abc");
        arguments.space().unwrap();
        assert_eq!(arguments.astring().unwrap(), b"d\"\\e");
        arguments.space().unwrap();
        assert_eq!(arguments.astring().unwrap(), b"x\r\ny");
        arguments.space().unwrap();
        assert!(!arguments.at_end());
        assert_eq!(arguments.atom().unwrap(), "end");
        arguments.end().unwrap();
    }

    #[test]
    fn refuses_what_is_not_closed_or_missing() {
        for text in ["\"abc", "\"abc\\", "\"a\\n\"", "", "(", "{3"] {
            let segments = line(text);
            assert_eq!(Arguments::new(&segments).astring(), Err(Bad::Argument), "{text}");
        }
        let segments = line("99999999999");
        assert_eq!(Arguments::new(&segments).number(), Err(Bad::Argument));
        assert_eq!(Arguments::new(&[]).literal(), Err(Bad::Argument));
    }

    #[test]
    fn folder_names_are_decoded() {
        for (given, name) in [
            ("inBox", "INBOX"),
            ("\"Sent Items\"", "Sent Items"),
            ("inbox/Sub", "INBOX/Sub"),
            ("inboxes", "inboxes"),
            ("&AOk-t&AOk-", "été"),
        ] {
            let segments = line(given);
            assert_eq!(Arguments::new(&segments).folder().as_deref(), Ok(name));
        }
        let segments = line("&AOk");
        assert_eq!(Arguments::new(&segments).folder(), Err(Bad::Argument));
    }
}
