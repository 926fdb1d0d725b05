//! BODY and BODYSTRUCTURE (RFC 3501 §7.4.2).

use super::envelope;
use super::header;
use super::mime::{self, Part};
use super::output::Output;

/// How well the structure keeps to the grammar. Exchange was seen not to (facts §3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Correct,
    /// A NIL too many behind the basic fields of a part.
    ExtraNil,
    /// Multiparts without their parts.
    MissingParts,
}

/// Writes a message's structure, with extension data for BODYSTRUCTURE.
pub(crate) fn write(output: &mut Output, raw: &[u8], part: &Part, extended: bool, shape: Shape) {
    output.push("(");
    if part.content_type.is_multipart() && !part.children.is_empty() {
        if shape != Shape::MissingParts {
            for child in &part.children {
                write(output, raw, child, extended, shape);
            }
            output.push(" ");
        }
        output.nstring(Some(part.content_type.subtype.as_bytes()));
        if extended {
            output.push(" ");
            write_parameters(output, &part.content_type.parameters);
            write_extension(output, raw, part);
        }
    } else {
        write_single(output, raw, part, extended, shape);
    }
    output.push(")");
}

fn write_single(output: &mut Output, raw: &[u8], part: &Part, extended: bool, shape: Shape) {
    let value = |name: &str| {
        part.field(raw, name)
            .map(|field| field.unfolded())
            .filter(|value| !value.is_empty())
    };
    let message = part.children.first().filter(|_| part.content_type.is_message());
    // A multipart or message that could not be looked into is shown as octets: the grammar wants children of both.
    let opaque = part.content_type.is_multipart() || (part.content_type.is_message() && message.is_none());
    let (kind, subtype) = match opaque {
        true => ("application", "octet-stream"),
        false => (
            part.content_type.kind.as_str(),
            part.content_type.subtype.as_str(),
        ),
    };
    output.nstring(Some(kind.as_bytes()));
    output.push(" ");
    output.nstring(Some(subtype.as_bytes()));
    output.push(" ");
    let default_charset = [("charset".to_owned(), b"us-ascii".to_vec())];
    let parameters = &part.content_type.parameters;
    let bare = kind == "text" && parameters.is_empty();
    write_parameters(output, if bare { &default_charset } else { parameters });
    for name in ["Content-ID", "Content-Description"] {
        output.push(" ");
        output.nstring(value(name).as_deref());
    }
    output.push(" ");
    output.nstring(Some(
        value("Content-Transfer-Encoding").as_deref().unwrap_or(b"7bit"),
    ));
    let body = raw.get(part.body.clone()).unwrap_or_default();
    output.push(format!(" {}", body.len()));
    if let Some(message) = message {
        output.push(" ");
        envelope::write(output, raw.get(message.header.clone()).unwrap_or_default());
        output.push(" ");
        write(output, raw, message, extended, shape);
    }
    if kind == "text" || message.is_some() {
        output.push(format!(" {}", count_lines(body)));
    }
    if shape == Shape::ExtraNil {
        output.push(" NIL");
    }
    if extended {
        output.push(" ");
        output.nstring(value("Content-MD5").as_deref());
        write_extension(output, raw, part);
    }
}

/// Disposition, language, location: the same for all kinds of parts.
fn write_extension(output: &mut Output, raw: &[u8], part: &Part) {
    let value = |name: &str| {
        part.field(raw, name)
            .map(|field| field.unfolded())
            .filter(|value| !value.is_empty())
    };
    output.push(" ");
    match value("Content-Disposition") {
        Some(disposition) => {
            let (kind, parameters) = mime::split_parameters(&disposition);
            output.push("(");
            output.nstring(Some(kind.as_bytes()));
            output.push(" ");
            write_parameters(output, &parameters);
            output.push(")");
        }
        None => output.push("NIL"),
    }
    for name in ["Content-Language", "Content-Location"] {
        output.push(" ");
        output.nstring(value(name).as_deref());
    }
}

fn write_parameters(output: &mut Output, parameters: &[(String, Vec<u8>)]) {
    if parameters.is_empty() {
        return output.push("NIL");
    }
    output.push("(");
    for (index, (name, value)) in parameters.iter().enumerate() {
        if index > 0 {
            output.push(" ");
        }
        output.nstring(Some(name.as_bytes()));
        output.push(" ");
        output.nstring(Some(value));
    }
    output.push(")");
}

fn count_lines(mut text: &[u8]) -> usize {
    let mut lines = 0;
    while !text.is_empty() {
        text = &text[header::line_length(text)..];
        lines += 1;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn structure(raw: &str, extended: bool) -> String {
        let mut output = Output::default();
        write(
            &mut output,
            raw.as_bytes(),
            &Part::parse(raw.as_bytes()),
            extended,
            Shape::Correct,
        );
        output.into_text()
    }

    #[test]
    fn single_text() {
        assert_eq!(
            structure("Subject: x\r\n\r\none\r\ntwo\r\n", false),
            "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 10 2)"
        );
        let raw = "Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\nContent-ID: <1@x>\r\n\
Content-Language: de\r\n\r\nPA==\r\n";
        assert_eq!(
            structure(raw, true),
            "(\"text\" \"html\" (\"charset\" \"utf-8\") \"<1@x>\" NIL \"base64\" 6 1 NIL NIL \"de\" NIL)"
        );
    }

    #[test]
    fn multipart_with_attachment_and_message() {
        let raw = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhi\r\n--b\r\n\
Content-Type: application/pdf; name=\"a b.pdf\"\r\nContent-Disposition: attachment; filename=\"a b.pdf\"\r\n\
Content-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nx\r\n\r\n--b--\r\n";
        assert_eq!(
            structure(raw, true),
            "((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 2 1 NIL NIL NIL NIL)\
(\"application\" \"pdf\" (\"name\" \"a b.pdf\") NIL NIL \"base64\" 4 NIL (\"attachment\" (\"filename\" \"a b.pdf\")) NIL NIL)\
(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 18 (NIL \"in\" NIL NIL NIL NIL NIL NIL NIL NIL) \
(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 3 1 NIL NIL NIL NIL) 3 NIL NIL NIL NIL) \
\"mixed\" (\"boundary\" \"b\") NIL NIL NIL)"
        );
    }

    #[test]
    fn what_cannot_be_looked_into_is_octets() {
        let wire = structure("Content-Type: multipart/mixed; boundary=b\r\n\r\nno parts", false);
        assert_eq!(
            wire,
            "(\"application\" \"octet-stream\" (\"boundary\" \"b\") NIL NIL \"7bit\" 8)"
        );
        let deep = structure(&"Content-Type: message/rfc822\r\n\r\n".repeat(3000), true);
        assert!(deep.contains("octet-stream"));
        assert_eq!(deep.matches('(').count(), deep.matches(')').count());
    }
}
