//! The octets that `BODY[section]<partial>` names (RFC 3501 §6.4.5).

use bytes::{BufMut as _, Bytes, BytesMut};

use super::fetch::{Section, SectionItem, SectionText};
use super::header;
use super::mime::Part;

impl Section {
    /// Whether the message's parts must be known to find it.
    pub(crate) fn needs_parts(&self) -> bool {
        !self.path.is_empty()
    }

    /// Its octets, shared with `raw` unless fields are picked; `None` if the message has no such part.
    fn extract(&self, raw: &Bytes, root: Option<&Part>) -> Option<Bytes> {
        if self.path.is_empty() {
            if self.text == SectionText::Whole {
                return Some(raw.clone());
            }
            let split = header::block_length(raw);
            return self.of_message(raw, 0..split, split..raw.len());
        }
        let part = root?.find(&self.path)?;
        match self.text {
            SectionText::Whole => Some(raw.slice(part.body.clone())),
            SectionText::Mime => Some(raw.slice(part.header.clone())),
            // The others are of the message within a message/rfc822 only.
            _ if part.content_type.is_message() => {
                let message = part.children.first()?;
                self.of_message(raw, message.header.clone(), message.body.clone())
            }
            _ => None,
        }
    }

    fn of_message(
        &self,
        raw: &Bytes,
        block: std::ops::Range<usize>,
        body: std::ops::Range<usize>,
    ) -> Option<Bytes> {
        match &self.text {
            SectionText::Header => Some(raw.slice(block)),
            SectionText::Text => Some(raw.slice(body)),
            SectionText::HeaderFields { names, except } => {
                let mut picked = BytesMut::new();
                for field in header::fields(raw.get(block)?) {
                    if names.iter().any(|name| field.is(name)) != *except {
                        picked.put_slice(field.lines);
                    }
                }
                picked.put_slice(b"\r\n");
                Some(picked.freeze())
            }
            SectionText::Whole | SectionText::Mime => None,
        }
    }
}

impl SectionItem {
    /// The octets asked for, cut to the partial range.
    pub(crate) fn extract(&self, raw: &Bytes, root: Option<&Part>) -> Option<Bytes> {
        let octets = self.section.extract(raw, root)?;
        let Some((offset, length)) = self.partial else {
            return Some(octets);
        };
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(octets.len());
        let end = start
            .saturating_add(usize::try_from(length).unwrap_or(usize::MAX))
            .min(octets.len());
        Some(octets.slice(start..end))
    }
}

#[cfg(test)]
mod tests {
    use super::super::arguments::{Arguments, Segment};
    use super::super::fetch::FetchItem;
    use super::*;

    const RAW: &str = "Subject: x\r\nTo: a@b,\r\n c@d\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nX: y\r\n\r\nhi\r\n\
--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\nTo: z\r\n\r\ninner\r\n--b--\r\n";

    fn extract(item: &str) -> Option<String> {
        let segments = [Segment {
            line: item.as_bytes().to_vec(),
            literal: None,
        }];
        let raw = Bytes::from_static(RAW.as_bytes());
        let root = Part::parse(&raw);
        match FetchItem::parse_all(&mut Arguments::new(&segments))
            .unwrap()
            .as_slice()
        {
            [FetchItem::Section(item)] => item
                .extract(&raw, Some(&root))
                .map(|octets| String::from_utf8(octets.to_vec()).unwrap()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn sections_are_the_octets_as_stored() {
        for (item, octets) in [
            ("BODY[]", RAW),
            ("BODY[]<9.4>", "x\r\nT"),
            ("BODY[]<99999.4>", ""),
            ("BODY[HEADER.FIELDS (TO)]", "To: a@b,\r\n c@d\r\n\r\n"),
            ("BODY[HEADER.FIELDS.NOT (to content-type)]", "Subject: x\r\n\r\n"),
            ("BODY[1]", "hi"),
            ("BODY[1.MIME]", "X: y\r\n\r\n"),
            ("BODY[2]", "Subject: in\r\nTo: z\r\n\r\ninner"),
            ("BODY[2.HEADER]", "Subject: in\r\nTo: z\r\n\r\n"),
            ("BODY[2.HEADER.FIELDS (To)]", "To: z\r\n\r\n"),
            ("BODY[2.TEXT]", "inner"),
            ("BODY[2.1]", "inner"),
            ("RFC822.HEADER", &RAW[..RAW.find("--b").unwrap()]),
            ("RFC822.TEXT", &RAW[RAW.find("--b").unwrap()..]),
        ] {
            assert_eq!(extract(item).as_deref(), Some(octets), "{item}");
        }
        for item in ["BODY[3]", "BODY[1.HEADER]", "BODY[1.TEXT]", "BODY[1.1]"] {
            assert_eq!(extract(item), None, "{item}");
        }
    }
}
