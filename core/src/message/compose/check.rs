//! What may stand in a header. Nothing of a caller's gets into another field.

use std::borrow::Cow;

use crate::error::{Error, ErrorKind, Layer, Result};
use crate::message::Address;
use crate::smtp::Envelope;

/// RFC 5322 §2.1.1 allows 998 for a line; an id or word stays far below.
const MAX_TOKEN: usize = 900;

/// The error for an argument that can't be part of a message.
pub(super) fn invalid(
    operation: impl Into<Cow<'static, str>>,
    detail: impl Into<Cow<'static, str>>,
) -> Error {
    Error::new(ErrorKind::InvalidMessage, operation, detail).with_layer(Layer::Message)
}

/// A text for a header: any characters but control characters; a tab is a blank.
pub(super) fn text(operation: &str, text: &str) -> Result<()> {
    match text.chars().find(|&c| c.is_control() && c != '\t') {
        None => Ok(()),
        Some(c) => Err(invalid(
            operation.to_owned(),
            format!("the value holds the control character {c:?}"),
        )
        .with_hint("header values are one line: take line ends and control characters out")),
    }
}

/// The local part and domain of an address as they go into headers and envelope: the domain in ASCII (RFC 5891).
pub(super) fn address(operation: &'static str, address: &Address) -> Result<Address> {
    if let Some(name) = &address.name {
        text(operation, name)?;
    }
    let email = ascii_domain(&address.email);
    match Envelope::new(None, vec![email.clone()]) {
        Ok(_) => Ok(Address {
            name: address.name.clone(),
            email,
        }),
        Err(error) => Err(invalid(operation, error.detail().to_owned())
            .with_hint("give an address as `joe@example.com` or `Joe <joe@example.com>`, one in each call")),
    }
}

fn ascii_domain(email: &str) -> String {
    match email.rsplit_once('@') {
        Some((local, domain)) if !domain.is_ascii() => match url::Host::parse(domain) {
            Ok(url::Host::Domain(ascii)) => format!("{local}@{ascii}"),
            _ => email.to_owned(),
        },
        _ => email.to_owned(),
    }
}

/// A Message-ID or Content-ID, given with or without angle brackets; returned without.
pub(super) fn id<'a>(operation: &'static str, id: &'a str) -> Result<&'a str> {
    let bare = id
        .strip_prefix('<')
        .and_then(|id| id.strip_suffix('>'))
        .unwrap_or(id);
    if is_id(bare) {
        Ok(bare)
    } else {
        Err(invalid(
            operation,
            format!("{id:?} is no id: it must be printable ASCII without blanks and brackets"),
        ))
    }
}

pub(super) fn is_id(id: &str) -> bool {
    (1..=MAX_TOKEN).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"<>".contains(&byte))
}

/// A field that the caller may set himself.
pub(super) fn header(name: &str, value: &str) -> Result<()> {
    // RFC 5322 §3.6.8.
    let valid =
        (1..=76).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
    if !valid {
        return Err(invalid("header", format!("{name:?} is no header name")));
    }
    let lower = name.to_ascii_lowercase();
    let hint = match lower.as_str() {
        "from" | "sender" | "to" | "cc" | "bcc" | "reply-to" | "subject" | "date" | "message-id" => {
            "the builder has a method for it"
        }
        "in-reply-to" | "references" => "reply_to_message sets it",
        "mime-version" | "return-path" | "received" => "it is written on the way",
        _ if lower.starts_with("content-") => "it follows from bodies and attachments",
        _ => return text("header", value),
    };
    Err(invalid("header", format!("{name} can't be set as a free header")).with_hint(hint))
}

/// `type/subtype`, with parameters that are plain tokens. In the message it is written as given.
pub(super) fn content_type(value: &str) -> Result<()> {
    let is_token = |text: &str| {
        (1..=127).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+*'%`{|}~".contains(&byte))
    };
    let mut parts = value.split(';');
    let media = parts.next().and_then(|media| media.split_once('/'));
    let parameters_valid = parts.all(|parameter| {
        let parameter = parameter.trim_matches(' ').split_once('=');
        parameter.is_some_and(|(name, value)| {
            is_token(name) && is_token(value) && !name.eq_ignore_ascii_case("name")
        })
    });
    match media {
        Some((kind, _)) if kind.eq_ignore_ascii_case("multipart") || kind.eq_ignore_ascii_case("message") => {
            Err(
                invalid("attachment", format!("{value:?} can't be an attachment's type"))
                    .with_hint("attach messages with forward"),
            )
        }
        Some((kind, subtype))
            if is_token(kind)
                && is_token(subtype.trim_end_matches(' '))
                && parameters_valid
                && value.len() <= 500 =>
        {
            Ok(())
        }
        _ => Err(invalid("attachment", format!("{value:?} is no media type"))
            .with_hint("give one such as application/pdf")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_written_in_ascii() {
        let checked = address("to", &Address::from("Jörg <jörg@müller.example>")).unwrap();
        assert_eq!(checked.email, "jörg@xn--mller-kva.example");
    }

    #[test]
    fn media_types_are_checked() {
        for valid in [
            "text/plain",
            "text/csv; charset=utf-8",
            "application/vnd.ms-excel",
            "image/svg+xml",
        ] {
            assert!(content_type(valid).is_ok(), "{valid}");
        }
        for wrong in [
            "",
            "pdf",
            "a/b/c",
            "text/",
            "/plain",
            "text/plain\r\nX: y",
            "text/plain; charset",
            "text/plain; a=\"b\"",
            "multipart/mixed; boundary=x",
            "message/rfc822",
            "text/plain;name=x",
            "text/plain ; \0=1",
        ] {
            assert!(content_type(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn structural_headers_are_refused() {
        for name in [
            "From",
            "bcc",
            "Content-Type",
            "CONTENT-ID",
            "MIME-Version",
            "References",
            "",
            "a b",
            "a:b",
            "ä",
        ] {
            assert!(header(name, "x").is_err(), "{name}");
        }
        assert!(header("X-Priority", "1").is_ok());
        assert!(header("List-Unsubscribe", "<mailto:a@b>, <https://x/>").is_ok());
    }
}
