//! [`Value`]: what IMAP data is made of: NIL, atoms, strings, lists. Any bytes parse to something.
//!
//! A tree of values is read first and looked at afterwards, so that a field too many, a NIL in the wrong place or an
//! unknown item costs that field and not the response (Exchange does all three).

use bytes::Bytes;

/// Lists deeper than this are skipped and stand as [`Value::Cut`]: a server must not choose our stack's depth.
pub(crate) const MAX_DEPTH: usize = 50;
/// Values in the lists of one response: each takes 20 times the room that it takes on the wire. An ENVELOPE with
/// 10,000 recipients has 50,000.
const MAX_VALUES: usize = 200_000;

/// One IMAP value (RFC 3501 §4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Nil,
    Atom(Bytes),
    /// A quoted string, unescaped, or the octets of a literal.
    Text(Bytes),
    List(Vec<Value>),
    /// A list nested deeper than [`MAX_DEPTH`] or beyond [`MAX_VALUES`]; its content was not kept.
    Cut,
}

impl Value {
    /// The bytes of an atom or string.
    pub(crate) fn bytes(&self) -> Option<&Bytes> {
        match self {
            Value::Atom(bytes) | Value::Text(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// An atom or string as text; bytes that are no UTF-8 are replaced.
    pub(crate) fn text(&self) -> Option<String> {
        self.bytes()
            .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    /// An atom or string as a number; some servers quote numbers.
    pub(crate) fn number(&self) -> Option<u64> {
        number(self.bytes()?)
    }

    pub(crate) fn list(&self) -> Option<&[Value]> {
        match self {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// Whether there is a [`Value::Cut`] in it.
    pub(crate) fn is_cut(&self) -> bool {
        match self {
            Value::Cut => true,
            Value::List(items) => items.iter().any(Value::is_cut),
            _ => false,
        }
    }
}

/// Digits as a number.
pub(crate) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// A reader over one whole response. Slices share the response's memory.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    rest: Bytes,
    /// How many values lists may still take.
    room: usize,
}

impl Reader {
    pub(crate) fn new(bytes: Bytes) -> Self {
        Self {
            rest: bytes,
            room: MAX_VALUES,
        }
    }

    /// What was not read yet.
    pub(crate) fn rest(&self) -> &Bytes {
        &self.rest
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    fn take(&mut self, count: usize) -> Bytes {
        self.rest.split_to(count.min(self.rest.len()))
    }

    pub(crate) fn skip_blanks(&mut self) {
        let blanks = self
            .rest
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
            .count();
        self.take(blanks);
    }

    /// Takes `byte` if it is next.
    pub(crate) fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.take(1);
        }
        found
    }

    /// The next run without blanks, for keywords and numbers at the head of a response.
    pub(crate) fn word(&mut self) -> Bytes {
        self.skip_blanks();
        let end = self
            .rest
            .iter()
            .position(u8::is_ascii_whitespace)
            .unwrap_or(self.rest.len());
        self.take(end)
    }

    /// The name of a FETCH item: an atom that may go on in brackets, `BODY[HEADER.FIELDS (FROM TO)]<0>`.
    pub(crate) fn item_name(&mut self) -> Bytes {
        self.skip_blanks();
        let mut in_brackets = false;
        let end = self.rest.iter().position(|byte| match byte {
            b'[' => {
                in_brackets = true;
                false
            }
            b']' => {
                in_brackets = false;
                false
            }
            b'\r' | b'\n' => true,
            b' ' | b'(' | b')' => !in_brackets,
            _ => false,
        });
        self.take(end.unwrap_or(self.rest.len()))
    }

    /// The next value; `None` at the end of the response or of the list around it.
    pub(crate) fn value(&mut self) -> Option<Value> {
        self.value_at(0)
    }

    fn value_at(&mut self, depth: usize) -> Option<Value> {
        self.skip_blanks();
        match self.peek()? {
            b')' => None,
            b'(' if depth >= MAX_DEPTH => {
                self.take(1);
                self.skip_list();
                Some(Value::Cut)
            }
            b'(' => {
                self.take(1);
                let mut items = Vec::new();
                while let Some(item) = self.value_at(depth + 1) {
                    if self.room == 0 {
                        self.skip_list();
                        return Some(Value::Cut);
                    }
                    self.room -= 1;
                    items.push(item);
                }
                self.eat(b')');
                Some(Value::List(items))
            }
            b'"' => Some(Value::Text(self.quoted())),
            b'{' => Some(
                self.literal()
                    .map_or_else(|| Value::Atom(self.atom()), Value::Text),
            ),
            // literal8 (RFC 3516 §4.4).
            b'~' if self.rest.get(1) == Some(&b'{') => {
                self.take(1);
                Some(
                    self.literal()
                        .map_or_else(|| Value::Atom(self.atom()), Value::Text),
                )
            }
            _ => {
                let atom = self.atom();
                Some(if atom.eq_ignore_ascii_case(b"NIL") {
                    Value::Nil
                } else {
                    Value::Atom(atom)
                })
            }
        }
    }

    /// Every value up to the end.
    pub(crate) fn values(&mut self) -> Vec<Value> {
        let mut values = Vec::new();
        loop {
            while let Some(value) = self.value() {
                values.push(value);
            }
            // A closing parenthesis too many is dropped.
            if !self.eat(b')') {
                return values;
            }
        }
    }

    fn atom(&mut self) -> Bytes {
        let end = self
            .rest
            .iter()
            .position(|byte| matches!(byte, b' ' | b'\t' | b'(' | b')' | b'\r' | b'\n'))
            .unwrap_or(self.rest.len());
        self.take(end)
    }

    /// A quoted string. One that the line ends before it is closed ends with the line.
    fn quoted(&mut self) -> Bytes {
        self.take(1);
        let mut escaped = false;
        let mut escapes = false;
        let end = self.rest.iter().position(|&byte| {
            if escaped {
                escaped = false;
                return matches!(byte, b'\r' | b'\n');
            }
            escaped = byte == b'\\';
            escapes |= escaped;
            matches!(byte, b'"' | b'\r' | b'\n')
        });
        let text = self.take(end.unwrap_or(self.rest.len()));
        self.eat(b'"');
        if !escapes {
            return text;
        }
        let mut plain = Vec::with_capacity(text.len());
        let mut bytes = text.iter();
        while let Some(&byte) = bytes.next() {
            match byte {
                b'\\' => plain.extend(bytes.next()),
                _ => plain.push(byte),
            }
        }
        plain.into()
    }

    /// `{n}` CRLF and n octets. `None` (nothing taken) when it is none.
    fn literal(&mut self) -> Option<Bytes> {
        let close = self.rest.iter().take(24).position(|&byte| byte == b'}')?;
        let digits = self.rest.get(1..close)?;
        let size = usize::try_from(number(digits.strip_suffix(b"+").unwrap_or(digits))?).ok()?;
        let line_end = match self.rest.get(close + 1..)? {
            [b'\r', b'\n', ..] => 2,
            [b'\n', ..] => 1,
            _ => return None,
        };
        self.take(close + 1 + line_end);
        Some(self.take(size))
    }

    /// Skips the rest of a list without recursion: parentheses are counted, strings and literals stepped over.
    fn skip_list(&mut self) {
        let mut open = 1_usize;
        loop {
            match self.peek() {
                None => return,
                Some(b'(') => {
                    open += 1;
                    self.take(1);
                }
                Some(b')') => {
                    open -= 1;
                    self.take(1);
                    if open == 0 {
                        return;
                    }
                }
                Some(b'"') => {
                    self.quoted();
                }
                Some(b'{') if self.literal().is_some() => {}
                Some(_) => {
                    self.take(1);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<Value> {
        Reader::new(Bytes::copy_from_slice(text.as_bytes())).values()
    }

    fn text(text: &str) -> Value {
        Value::Text(Bytes::copy_from_slice(text.as_bytes()))
    }

    fn atom(text: &str) -> Value {
        Value::Atom(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn every_kind_of_value_is_read() {
        assert_eq!(
            values("(\\Seen \\*) NIL \"a\\\"b\\\\\" {5}\r\na b)( nil ~{2}\r\n\0x X[1 12\r\n"),
            [
                Value::List(vec![atom("\\Seen"), atom("\\*")]),
                Value::Nil,
                text("a\"b\\"),
                text("a b)("),
                Value::Nil,
                text("\0x"),
                atom("X[1"),
                atom("12"),
            ]
        );
    }

    #[test]
    fn broken_input_still_gives_values() {
        assert_eq!(values("((a"), [Value::List(vec![Value::List(vec![atom("a")])])]);
        assert_eq!(values("a)) b"), [atom("a"), atom("b")]);
        assert_eq!(values("\"open"), [text("open")]);
        assert_eq!(values("{x} {9}"), [atom("{x}"), atom("{9}")]);
        assert_eq!(values("{9}\r\nabc"), [text("abc")]);
        assert_eq!(values("\"a\\"), [text("a")]);
        assert_eq!(values(""), []);
    }

    #[test]
    fn three_thousand_lists_deep_is_skipped_and_the_rest_is_read() {
        let deep = format!(
            "{}x \")\" {{1}}\r\n({} UID 7",
            "(".repeat(3_000),
            ")".repeat(3_000)
        );
        let values = values(&deep);
        assert!(values[0].is_cut());
        assert_eq!(values[1..], [atom("UID"), atom("7")]);
        let mut reader = Reader::new(Bytes::from("(".repeat(1_000_000)));
        assert!(reader.value().unwrap().is_cut());
        assert_eq!(reader.value(), None);
    }

    #[test]
    fn a_list_of_a_million_values_is_skipped_and_the_rest_is_read() {
        let long = format!("((b {} (c)) d) UID 7", "a ".repeat(1_000_000));
        assert_eq!(values(&long), [Value::Cut, atom("UID"), atom("7")]);
        let fits = format!("({})", "a ".repeat(MAX_VALUES));
        assert!(!values(&fits)[0].is_cut());
    }

    #[test]
    fn item_names_keep_their_brackets() {
        let mut reader = Reader::new(Bytes::from_static(b" BODY[HEADER.FIELDS (FROM \"TO\")]<0> NIL"));
        assert_eq!(reader.item_name(), "BODY[HEADER.FIELDS (FROM \"TO\")]<0>");
        assert_eq!(reader.value(), Some(Value::Nil));
    }
}
