//! [`BodyStructure`]: which parts a message has (RFC 3501 §7.4.2), so that one can be fetched without the rest.

use bytes::Bytes;
use serde::Serialize;

use super::text::{decode, decode_parameters};
use super::value::Value;
use crate::message::parse::field;

/// Parts of one message that are listed; a structure with more is not given.
const MAX_PARTS: usize = 10_000;

/// One part of a message, and the parts in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BodyStructure {
    /// The part's path for [`Section::part`](super::Section::part), such as `1.2`. Empty for a multipart at the top:
    /// that is the whole message.
    pub path: String,
    /// The content type in lower case, such as `text/plain`.
    pub content_type: String,
    /// The content type's parameters; names in lower case, values decoded.
    pub parameters: Vec<(String, String)>,
    /// Content-ID without its angle brackets: what an HTML body calls it by (`cid:`).
    pub content_id: Option<String>,
    /// Content-Description.
    pub description: Option<String>,
    /// Content-Transfer-Encoding in lower case, such as `base64`.
    pub encoding: String,
    /// Size in octets as encoded; `None` for a multipart.
    pub size: Option<u64>,
    /// Content-Disposition in lower case: `attachment` or `inline`.
    pub disposition: Option<String>,
    /// The file name, from the disposition or else from the content type.
    pub file_name: Option<String>,
    /// The parts of a multipart, or the one body of a nested message.
    pub parts: Vec<BodyStructure>,
}

impl BodyStructure {
    /// Reads the value of a BODYSTRUCTURE item. `None` when it can't be understood: Exchange is known to send
    /// structures with fields too many or parts missing.
    pub(crate) fn read(value: &Value) -> Option<Self> {
        if value.is_cut() {
            return None;
        }
        let mut count = 0;
        read_part(value, "", true, &mut count)
    }

    /// This part and all in it, outer before inner.
    pub fn walk(&self) -> Vec<&BodyStructure> {
        let mut all = vec![self];
        let mut at = 0;
        while let Some(part) = all.get(at).copied() {
            all.splice(at + 1..at + 1, part.parts.iter());
            at += 1;
        }
        all
    }

    /// The parts that people would call attachments: with that disposition, or with a file name and no text to show
    /// inline.
    pub fn attachments(&self) -> Vec<&BodyStructure> {
        let is_attachment = |part: &&BodyStructure| match part.disposition.as_deref() {
            Some("attachment") => true,
            Some("inline") => part.file_name.is_some() && part.content_id.is_none(),
            _ => part.file_name.is_some(),
        };
        self.walk()
            .into_iter()
            .filter(|part| !part.content_type.starts_with("multipart/"))
            .filter(is_attachment)
            .collect()
    }
}

/// `path` is that of the part itself; empty at the top. A single part at the top of a message is `1`, a multipart's
/// parts are numbered from 1 within it (RFC 3501 §6.4.5). `top` says that the part is a message's whole body.
fn read_part(value: &Value, path: &str, top: bool, count: &mut usize) -> Option<BodyStructure> {
    *count += 1;
    let fields = value.list().filter(|_| *count <= MAX_PARTS)?;
    match fields.first()? {
        Value::List(_) => read_multipart(fields, path, count),
        _ => read_single(fields, path, top, count),
    }
}

fn join(path: &str, number: usize) -> String {
    if path.is_empty() {
        number.to_string()
    } else {
        format!("{path}.{number}")
    }
}

fn read_multipart(fields: &[Value], path: &str, count: &mut usize) -> Option<BodyStructure> {
    let inner = fields
        .iter()
        .take_while(|field| matches!(field, Value::List(_)))
        .count();
    let (inner, rest) = fields.split_at_checked(inner)?;
    // Exchange sometimes leaves the subtype out or puts a NIL there.
    let subtype = rest
        .first()
        .and_then(Value::text)
        .unwrap_or_else(|| "mixed".to_owned());
    let mut parts = Vec::with_capacity(inner.len());
    for (at, part) in inner.iter().enumerate() {
        parts.push(read_part(part, &join(path, at + 1), false, count)?);
    }
    let mut structure = BodyStructure {
        path: path.to_owned(),
        content_type: format!("multipart/{}", subtype.to_ascii_lowercase()),
        parameters: rest.get(1).map(parameters).unwrap_or_default(),
        parts,
        ..BodyStructure::default()
    };
    take_disposition(&mut structure, rest.get(2..).unwrap_or_default());
    Some(structure)
}

fn read_single(fields: &[Value], path: &str, top: bool, count: &mut usize) -> Option<BodyStructure> {
    let text = |at: usize| {
        fields
            .get(at)
            .and_then(Value::bytes)
            .map(|raw| decode(raw))
            .filter(|text| !text.is_empty())
    };
    let path = if top { join(path, 1) } else { path.to_owned() };
    let content_type = format!("{}/{}", text(0)?, text(1)?).to_ascii_lowercase();
    let mut structure = BodyStructure {
        parameters: fields.get(2).map(parameters).unwrap_or_default(),
        content_id: fields
            .get(3)
            .and_then(Value::bytes)
            .and_then(|raw| field::ids(raw).into_iter().next()),
        description: text(4),
        encoding: text(5).unwrap_or_else(|| "7bit".to_owned()).to_ascii_lowercase(),
        size: fields.get(6).and_then(Value::number),
        ..BodyStructure::default()
    };
    // Behind the basic fields: text has lines; a message has envelope, structure and lines; then md5, disposition.
    // Where exactly is not relied upon: the known misplaced NILs stand here.
    let mut extension = fields.get(7..).unwrap_or_default();
    if content_type == "message/rfc822"
        && let Some(body @ Value::List(inner)) = extension.get(1)
        && !inner.is_empty()
    {
        // A multipart directly in a message has the message's own path; a single part is .1 of it.
        structure.parts.push(read_part(body, &path, true, count)?);
        extension = extension.get(2..).unwrap_or_default();
    }
    take_disposition(&mut structure, extension);
    structure.path = path;
    structure.content_type = content_type;
    Some(structure)
}

/// The pairs of a parameter list.
fn parameters(value: &Value) -> Vec<(String, String)> {
    let pairs = value
        .list()
        .unwrap_or_default()
        .chunks(2)
        .filter_map(|pair| match pair {
            [name, value] => Some((name.text()?, value.bytes().cloned().unwrap_or_else(Bytes::new))),
            _ => None,
        });
    decode_parameters(pairs.collect())
}

/// Finds the disposition among the extension fields by its shape: a list of a string and a list or NIL. A language
/// list, the other list that may stand there, has strings only.
fn take_disposition(structure: &mut BodyStructure, extension: &[Value]) {
    let named = |pairs: &[(String, String)], name: &str| {
        pairs
            .iter()
            .find(|pair| pair.0 == name)
            .map(|pair| pair.1.clone())
            .filter(|text| !text.is_empty())
    };
    let found = extension.iter().find_map(|field| match field.list()? {
        [
            kind @ (Value::Text(_) | Value::Atom(_)),
            pairs @ (Value::List(_) | Value::Nil),
        ] => Some((kind.text()?.to_ascii_lowercase(), parameters(pairs))),
        _ => None,
    });
    let (disposition, pairs) = found.map_or((None, Vec::new()), |(kind, pairs)| (Some(kind), pairs));
    structure.file_name = named(&pairs, "filename").or_else(|| named(&structure.parameters, "name"));
    structure.disposition = disposition;
}

#[cfg(test)]
mod tests {
    use super::super::value::Reader;
    use super::*;

    fn structure(text: &str) -> Option<BodyStructure> {
        BodyStructure::read(
            &Reader::new(Bytes::copy_from_slice(text.as_bytes()))
                .value()
                .unwrap(),
        )
    }

    fn paths(structure: &BodyStructure) -> Vec<String> {
        structure
            .walk()
            .iter()
            .map(|part| format!("{}:{}", part.path, part.content_type))
            .collect()
    }

    #[test]
    fn a_single_part_is_part_one() {
        let part = structure(r#"("TEXT" "PLAIN" ("CHARSET" "utf-8") NIL NIL "7BIT" 2279 48)"#).unwrap();
        assert_eq!(paths(&part), ["1:text/plain"]);
        assert_eq!((part.encoding.as_str(), part.size), ("7bit", Some(2279)));
        assert_eq!(part.parameters, [("charset".to_owned(), "utf-8".to_owned())]);
    }

    #[test]
    fn paths_follow_rfc_3501() {
        // The example of RFC 3501 §6.4.5: a message with a nested message with parts of its own.
        let text = r#"("TEXT" "PLAIN" NIL NIL NIL "7BIT" 1 1)"#;
        let image = r#"("IMAGE" "GIF" NIL NIL NIL "BASE64" 1)"#;
        let envelope = "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)";
        let three = format!(
            r#"("MESSAGE" "RFC822" NIL NIL NIL "7BIT" 9 {envelope} ({text}("APPLICATION" "OCTET-STREAM" NIL NIL NIL "BASE64" 1) "MIXED") 7)"#
        );
        let four = format!(
            r#"({image}("MESSAGE" "RFC822" NIL NIL NIL "7BIT" 9 {envelope} ({text}({text}("TEXT" "RICHTEXT" NIL NIL NIL "7BIT" 1 1) "ALTERNATIVE") "MIXED") 7) "MIXED")"#
        );
        let whole =
            format!(r#"({text}("APPLICATION" "OCTET-STREAM" NIL NIL NIL "BASE64" 1){three}{four} "MIXED")"#);
        assert_eq!(
            paths(&structure(&whole).unwrap()),
            [
                ":multipart/mixed",
                "1:text/plain",
                "2:application/octet-stream",
                "3:message/rfc822",
                "3:multipart/mixed",
                "3.1:text/plain",
                "3.2:application/octet-stream",
                "4:multipart/mixed",
                "4.1:image/gif",
                "4.2:message/rfc822",
                "4.2:multipart/mixed",
                "4.2.1:text/plain",
                "4.2.2:multipart/alternative",
                "4.2.2.1:text/plain",
                "4.2.2.2:text/richtext",
            ]
        );
        let single =
            format!(r#"({text}("MESSAGE" "RFC822" NIL NIL NIL "7BIT" 9 {envelope} {text} 7) "MIXED")"#);
        assert_eq!(
            paths(&structure(&single).unwrap())[2..],
            ["2:message/rfc822", "2.1:text/plain"]
        );
    }

    #[test]
    fn attachments_are_found_with_their_names() {
        let whole = structure(
            r#"(("text" "plain" ("charset" "utf-8") NIL NIL "7bit" 5 1 NIL NIL NIL NIL)("application" "pdf" ("name" "=?utf-8?Q?=C3=BC.pdf?=") "<a@b>" "d" "base64" 100 NIL ("attachment" ("filename*" "utf-8''%c3%bc.pdf" "size" "73")) NIL NIL)("image" "png" NIL "<logo>" NIL "base64" 9 NIL ("inline" ("filename" "l.png")) NIL NIL) "mixed" ("boundary" "x") NIL ("en" "de") NIL)"#,
        )
        .unwrap();
        let attachments = whole.attachments();
        assert_eq!(attachments.len(), 1);
        assert_eq!(attachments[0].file_name.as_deref(), Some("ü.pdf"));
        assert_eq!(
            (attachments[0].path.as_str(), attachments[0].size),
            ("2", Some(100))
        );
        assert_eq!(whole.parts[2].file_name.as_deref(), Some("l.png"));
        assert_eq!(whole.parts[2].content_id.as_deref(), Some("logo"));
        assert_eq!(whole.disposition, None);
    }

    #[test]
    fn exchanges_malformed_structures_are_borne() {
        // A NIL too many behind the basic fields, and a multipart without a subtype.
        let odd = structure(
            r#"("APPLICATION" "PDF" NIL NIL NIL "BASE64" 10 NIL NIL NIL ("attachment" ("filename" "a.pdf")) NIL)"#,
        );
        assert_eq!(odd.unwrap().file_name.as_deref(), Some("a.pdf"));
        let odd = structure(r#"(("TEXT" "PLAIN" NIL NIL NIL NIL NIL NIL) NIL)"#).unwrap();
        assert_eq!(paths(&odd), [":multipart/mixed", "1:text/plain"]);
        // Parts that are no parts: no structure, no failure.
        for text in [
            "()",
            "NIL",
            "(())",
            r#"(NIL NIL)"#,
            r#"("TEXT")"#,
            r#"((("x")) "MIXED")"#,
        ] {
            assert_eq!(structure(text), None, "{text}");
        }
    }

    #[test]
    fn too_deep_or_too_many_is_no_structure() {
        assert_eq!(
            structure(&format!("{}{}", "(".repeat(3_000), ")".repeat(3_000))),
            None
        );
        let many = format!("({} \"MIXED\")", r#"("A" "B")"#.repeat(MAX_PARTS));
        assert_eq!(structure(&many), None);
    }
}
