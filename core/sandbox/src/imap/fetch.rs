//! What a FETCH asks for (RFC 3501 §6.4.5).

use super::arguments::{Arguments, Bad};

/// One item of a FETCH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FetchItem {
    Flags,
    Uid,
    InternalDate,
    Size,
    Envelope,
    /// `BODY` without a section: the structure without extension data.
    Body,
    BodyStructure,
    Section(SectionItem),
}

/// A text of the message, and the name under which the client asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SectionItem {
    pub(crate) section: Section,
    /// Offset and most octets wanted: `<o.n>`.
    pub(crate) partial: Option<(u32, u32)>,
    /// Reading it does not set `\Seen`.
    pub(crate) peek: bool,
    /// `RFC822`, `RFC822.HEADER` or `RFC822.TEXT` when the old name was used.
    pub(crate) alias: Option<&'static str>,
}

/// `part.part.TEXT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Section {
    /// Part numbers, outermost first; empty means the message itself.
    pub(crate) path: Vec<u32>,
    pub(crate) text: SectionText,
}

/// What of a part is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SectionText {
    Whole,
    Header,
    /// Names as the client wrote them, since they are echoed.
    HeaderFields {
        names: Vec<String>,
        except: bool,
    },
    Text,
    Mime,
}

/// Deeper part paths are refused; no message is parsed deeper (see `mime`).
const MAX_PATH: usize = 64;

impl FetchItem {
    /// Reads one item, a macro, or a list of items.
    pub(crate) fn parse_all(arguments: &mut Arguments<'_>) -> Result<Vec<Self>, Bad> {
        let mut items = Vec::new();
        if !arguments.take(b'(') {
            let mut ahead = arguments.clone();
            let macro_items = match ahead.keyword()?.as_str() {
                "ALL" => Some(vec![Self::Flags, Self::InternalDate, Self::Size, Self::Envelope]),
                "FAST" => Some(vec![Self::Flags, Self::InternalDate, Self::Size]),
                "FULL" => Some(vec![
                    Self::Flags,
                    Self::InternalDate,
                    Self::Size,
                    Self::Envelope,
                    Self::Body,
                ]),
                _ => None,
            };
            if let Some(items) = macro_items {
                *arguments = ahead;
                return Ok(items);
            }
            items.push(Self::parse(arguments)?);
            return Ok(items);
        }
        if arguments.take(b')') {
            return Err(Bad::EmptyList);
        }
        loop {
            items.push(Self::parse(arguments)?);
            if arguments.take(b')') {
                return Ok(items);
            }
            arguments.space()?;
        }
    }

    fn parse(arguments: &mut Arguments<'_>) -> Result<Self, Bad> {
        let alias = |name, text, peek| {
            Self::Section(SectionItem {
                section: Section {
                    path: Vec::new(),
                    text,
                },
                partial: None,
                peek,
                alias: Some(name),
            })
        };
        Ok(match arguments.keyword()?.as_str() {
            "FLAGS" => Self::Flags,
            "UID" => Self::Uid,
            "INTERNALDATE" => Self::InternalDate,
            "ENVELOPE" => Self::Envelope,
            "BODYSTRUCTURE" => Self::BodyStructure,
            "RFC822.SIZE" => Self::Size,
            "RFC822" => alias("RFC822", SectionText::Whole, false),
            "RFC822.HEADER" => alias("RFC822.HEADER", SectionText::Header, true),
            "RFC822.TEXT" => alias("RFC822.TEXT", SectionText::Text, false),
            "BODY" if arguments.peek() == Some(b'[') => Self::section(arguments, false)?,
            "BODY.PEEK" => Self::section(arguments, true)?,
            "BODY" => Self::Body,
            _ => return Err(Bad::Argument),
        })
    }

    fn section(arguments: &mut Arguments<'_>, peek: bool) -> Result<Self, Bad> {
        arguments.expect(b'[')?;
        let section = Section::parse(arguments)?;
        arguments.expect(b']')?;
        let partial = if arguments.take(b'<') {
            let offset = arguments.number()?;
            arguments.expect(b'.')?;
            let length = arguments.number()?;
            arguments.expect(b'>')?;
            if length == 0 {
                return Err(Bad::Argument);
            }
            Some((offset, length))
        } else {
            None
        };
        Ok(Self::Section(SectionItem {
            section,
            partial,
            peek,
            alias: None,
        }))
    }
}

impl Section {
    fn parse(arguments: &mut Arguments<'_>) -> Result<Self, Bad> {
        let mut path = Vec::new();
        if arguments.peek() == Some(b']') {
            return Ok(Self {
                path,
                text: SectionText::Whole,
            });
        }
        while arguments.peek().is_some_and(|octet| octet.is_ascii_digit()) {
            let part = arguments.number()?;
            if part == 0 || path.len() == MAX_PATH {
                return Err(Bad::Argument);
            }
            path.push(part);
            if !arguments.take(b'.') {
                return Ok(Self {
                    path,
                    text: SectionText::Whole,
                });
            }
        }
        let text = match arguments.keyword()?.as_str() {
            "HEADER" => SectionText::Header,
            "TEXT" => SectionText::Text,
            "MIME" if !path.is_empty() => SectionText::Mime,
            "HEADER.FIELDS" => Self::fields(arguments, false)?,
            "HEADER.FIELDS.NOT" => Self::fields(arguments, true)?,
            _ => return Err(Bad::Argument),
        };
        Ok(Self { path, text })
    }

    fn fields(arguments: &mut Arguments<'_>, except: bool) -> Result<SectionText, Bad> {
        arguments.space()?;
        arguments.expect(b'(')?;
        if arguments.take(b')') {
            return Err(Bad::EmptyList);
        }
        let mut names = Vec::new();
        loop {
            names.push(String::from_utf8(arguments.astring()?).map_err(|_| Bad::Argument)?);
            if arguments.take(b')') {
                break;
            }
            arguments.space()?;
        }
        // The names are echoed in the answer, where nothing but a field name may stand (RFC 5322 §3.6.8).
        let printable = |name: &String| {
            name.bytes()
                .all(|octet| octet > b' ' && octet < 0x7f && octet != b':')
        };
        if names.iter().all(printable) {
            Ok(SectionText::HeaderFields { names, except })
        } else {
            Err(Bad::Argument)
        }
    }
}

impl SectionItem {
    /// The item's name in the answer: `BODY[1.HEADER.FIELDS (TO)]<0>`.
    pub(crate) fn label(&self) -> String {
        if let Some(alias) = self.alias {
            return alias.to_owned();
        }
        let mut label = "BODY[".to_owned();
        for (index, part) in self.section.path.iter().enumerate() {
            if index > 0 {
                label.push('.');
            }
            label.push_str(&part.to_string());
        }
        if self.section.text != SectionText::Whole && !self.section.path.is_empty() {
            label.push('.');
        }
        match &self.section.text {
            SectionText::Whole => {}
            SectionText::Header => label.push_str("HEADER"),
            SectionText::Text => label.push_str("TEXT"),
            SectionText::Mime => label.push_str("MIME"),
            SectionText::HeaderFields { names, except } => {
                label.push_str(if *except {
                    "HEADER.FIELDS.NOT ("
                } else {
                    "HEADER.FIELDS ("
                });
                for (index, name) in names.iter().enumerate() {
                    if index > 0 {
                        label.push(' ');
                    }
                    if name.bytes().any(|octet| b"(){%*\"\\]".contains(&octet)) {
                        label.push('"');
                        label.push_str(&name.replace('\\', "\\\\").replace('"', "\\\""));
                        label.push('"');
                    } else {
                        label.push_str(name);
                    }
                }
                label.push(')');
            }
        }
        label.push(']');
        if let Some((offset, _)) = self.partial {
            label.push_str(&format!("<{offset}>"));
        }
        label
    }
}

#[cfg(test)]
mod tests {
    use super::super::arguments::Segment;
    use super::*;

    fn parse(text: &str) -> Result<Vec<FetchItem>, Bad> {
        let segments = [Segment {
            line: text.as_bytes().to_vec(),
            literal: None,
        }];
        let mut arguments = Arguments::new(&segments);
        let items = FetchItem::parse_all(&mut arguments)?;
        arguments.end()?;
        Ok(items)
    }

    fn label(text: &str) -> String {
        match parse(text).unwrap().as_slice() {
            [FetchItem::Section(item)] => item.label(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn macros_and_lists() {
        assert_eq!(
            parse("fast").unwrap(),
            [FetchItem::Flags, FetchItem::InternalDate, FetchItem::Size]
        );
        assert_eq!(parse("ALL").unwrap().len(), 4);
        assert_eq!(parse("full").unwrap().last(), Some(&FetchItem::Body));
        assert_eq!(
            parse("(FLAGS UID body)").unwrap(),
            [FetchItem::Flags, FetchItem::Uid, FetchItem::Body]
        );
        assert_eq!(parse("()"), Err(Bad::EmptyList));
        assert_eq!(parse("(BODY[HEADER.FIELDS ()])"), Err(Bad::EmptyList));
    }

    #[test]
    fn sections_are_named_as_asked() {
        for text in [
            "BODY[]",
            "BODY[TEXT]",
            "BODY[HEADER]",
            "BODY[1]",
            "BODY[1.2.3]",
            "BODY[1.MIME]",
            "BODY[2.HEADER]",
            "BODY[HEADER.FIELDS (From to)]",
            "BODY[3.HEADER.FIELDS.NOT (RECEIVED)]",
            "RFC822",
            "RFC822.HEADER",
            "RFC822.TEXT",
        ] {
            assert_eq!(label(text), text);
        }
        assert_eq!(
            label("body.peek[header.fields (\"A]\")]<5.10>"),
            "BODY[HEADER.FIELDS (\"A]\")]<5>"
        );
    }

    #[test]
    fn refuses_what_is_no_item() {
        for text in [
            "",
            "(",
            "(FLAGS",
            "FLAGS)",
            "(FLAGS ALL)",
            "BODY[",
            "BODY[0]",
            "BODY[1.]",
            "BODY[MIME]",
            "BODY[]<1>",
            "BODY[]<0.0>",
            "BODY.PEEK",
            "BODY[HEADER.FIELDS]",
            "XYZ",
            "MODSEQ",
            "BODY[HEADER.FIELDS (\"a b\")]",
        ] {
            assert_eq!(parse(text), Err(Bad::Argument), "{text}");
        }
        assert_eq!(parse(&format!("BODY[{}1]", "1.".repeat(200))), Err(Bad::Argument));
    }
}
