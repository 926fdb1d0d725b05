//! MAIL and RCPT with their parameters. Nothing here talks: what can't be sent is found before a word is said.

use super::body::Body;
use super::{Capabilities, Dsn, Envelope, Notify, ReturnContent, SendOptions};
use crate::error::{Error, ErrorKind, Layer, Result};

/// RFC 3461 §4.4.
const MAX_ENVELOPE_ID: usize = 100;

/// The commands that open a mail.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Opening {
    pub(super) mail: String,
    /// One for each recipient, in their order.
    pub(super) rcpt: Vec<String>,
}

impl Opening {
    /// # Errors
    /// [`ErrorKind::TooLarge`] when the message is larger than the server takes, [`ErrorKind::Unsupported`] when it
    /// does not offer what the mail needs, [`ErrorKind::InvalidArgument`] when an option is not valid.
    pub(super) fn new(
        envelope: &Envelope,
        body: &Body,
        options: &SendOptions,
        server: &Capabilities,
    ) -> Result<Self> {
        let mut mail = format!("MAIL FROM:<{}>", envelope.from().unwrap_or_default());
        if let (Some(size), Some(max)) = (body.size, server.max_size())
            && size > max
        {
            return Err(Error::new(
                ErrorKind::TooLarge,
                "MAIL FROM",
                format!("the message has {size} bytes, the server takes {max}"),
            )
            .with_layer(Layer::Smtp)
            .with_hint("send smaller attachments, or a link"));
        }
        if let (Some(size), true) = (body.size, server.size()) {
            mail.push_str(&format!(" SIZE={size}"));
        }
        if body.eight_bit == Some(true) && !server.eight_bit_mime() {
            return Err(unsupported(
                "the message has bytes beyond ASCII, and the server does not offer 8BITMIME".to_owned(),
                "encode the message's parts as quoted-printable or base64",
            ));
        }
        // A stream that has not been seen whole may hold them.
        if body.eight_bit != Some(false) && server.eight_bit_mime() {
            mail.push_str(" BODY=8BITMIME");
        }
        match envelope.beyond_ascii() {
            Some(address) if !server.smtp_utf8() => {
                return Err(unsupported(
                    format!("{address} is beyond ASCII, and the server does not offer SMTPUTF8"),
                    "use the address's ASCII form, where it has one",
                ));
            }
            Some(_) => mail.push_str(" SMTPUTF8"),
            // Where it is not offered, headers beyond ASCII are left to the server: that is how it always was.
            None if body.utf8_headers && server.smtp_utf8() => mail.push_str(" SMTPUTF8"),
            None => {}
        }
        let mut behind_recipient = String::new();
        if let Some(dsn) = &options.dsn {
            if !server.dsn() {
                return Err(unsupported(
                    "the server does not offer delivery status notifications".to_owned(),
                    "send without them",
                ));
            }
            mail.push_str(&mail_parameters(dsn)?);
            behind_recipient = dsn.notify.map(notify_parameter).unwrap_or_default();
        }
        let original = options.dsn.as_ref().is_some_and(|dsn| dsn.original_recipients);
        let rcpt = envelope
            .to()
            .iter()
            .map(|address| {
                let orcpt = if original {
                    orcpt_parameter(address)
                } else {
                    String::new()
                };
                format!("RCPT TO:<{address}>{behind_recipient}{orcpt}")
            })
            .collect();
        Ok(Self { mail, rcpt })
    }
}

fn mail_parameters(dsn: &Dsn) -> Result<String> {
    let mut out = String::new();
    match dsn.returned {
        Some(ReturnContent::Full) => out.push_str(" RET=FULL"),
        Some(ReturnContent::Headers) => out.push_str(" RET=HDRS"),
        None => {}
    }
    if let Some(id) = &dsn.envelope_id {
        if id.is_empty() || id.len() > MAX_ENVELOPE_ID || id.bytes().any(|byte| !matches!(byte, b' '..=b'~'))
        {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "MAIL FROM",
                format!("the envelope id {id:?} must be 1 to {MAX_ENVELOPE_ID} printable ASCII characters"),
            )
            .with_layer(Layer::Smtp));
        }
        out.push_str(" ENVID=");
        out.push_str(&xtext(id));
    }
    Ok(out)
}

fn notify_parameter(notify: Notify) -> String {
    let chosen: Vec<&str> = [
        (notify.success, "SUCCESS"),
        (notify.failure, "FAILURE"),
        (notify.delay, "DELAY"),
    ]
    .into_iter()
    .filter_map(|(on, name)| on.then_some(name))
    .collect();
    match chosen.is_empty() {
        true => " NOTIFY=NEVER".to_owned(),
        false => format!(" NOTIFY={}", chosen.join(",")),
    }
}

/// RFC 3461 §4.2; beyond ASCII, RFC 6533 §3 with `utf-8-addr-unitext`, as SMTPUTF8 is declared then.
fn orcpt_parameter(address: &str) -> String {
    if address.is_ascii() {
        return format!(" ORCPT=rfc822;{}", xtext(address));
    }
    let mut out = " ORCPT=utf-8;".to_owned();
    for c in address.chars() {
        match c {
            ' ' | '+' | '=' | '\\' => out.push_str(&format!("\\x{{{:02X}}}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

/// RFC 3461 §4: everything but `!` to `~`, and `+` and `=`, is written `+` and two upper-case hex digits.
fn xtext(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'!'..=b'~' if byte != b'+' && byte != b'=' => out.push(char::from(byte)),
            byte => out.push_str(&format!("+{byte:02X}")),
        }
    }
    out
}

fn unsupported(detail: String, hint: &'static str) -> Error {
    Error::new(ErrorKind::Unsupported, "MAIL FROM", detail)
        .with_layer(Layer::Smtp)
        .with_hint(hint)
}

#[cfg(test)]
mod tests {
    use super::super::reply::Reply;
    use super::*;
    use crate::message::RawMessage;

    const FULL: &str = "250-mx\n250-SIZE 1000\n250-8BITMIME\n250-SMTPUTF8\n250 DSN";

    fn server(text: &str) -> Capabilities {
        Capabilities::parse(&Reply::from_lines(text))
    }

    fn envelope(from: Option<&str>, to: &[&str]) -> Envelope {
        let to = to.iter().map(|&address| address.to_owned()).collect();
        Envelope::new(from.map(str::to_owned), to).unwrap()
    }

    async fn open(
        envelope: Envelope,
        message: &'static str,
        options: SendOptions,
        offered: &str,
    ) -> Result<Opening> {
        let body = Body::open(RawMessage::from_bytes(message)).await.unwrap();
        Opening::new(&envelope, &body, &options, &server(offered))
    }

    fn joe() -> Envelope {
        envelope(Some("joe@example.com"), &["ann@example.com"])
    }

    #[tokio::test]
    async fn only_what_is_offered_is_said() {
        let opening = open(joe(), "a: b\r\n\r\nc\r\n", SendOptions::default(), "250 mx")
            .await
            .unwrap();
        assert_eq!(opening.mail, "MAIL FROM:<joe@example.com>");
        assert_eq!(opening.rcpt, ["RCPT TO:<ann@example.com>"]);
        let opening = open(joe(), "a: b\r\n\r\nc\r\n", SendOptions::default(), FULL)
            .await
            .unwrap();
        assert_eq!(opening.mail, "MAIL FROM:<joe@example.com> SIZE=11");
        let null = envelope(None, &["ann@example.com"]);
        let opening = open(null, "ä: b\r\n\r\nc\r\n", SendOptions::default(), FULL)
            .await
            .unwrap();
        assert_eq!(opening.mail, "MAIL FROM:<> SIZE=12 BODY=8BITMIME SMTPUTF8");
    }

    #[tokio::test]
    async fn what_the_server_cant_is_refused() {
        let utf8 = || envelope(Some("jörg@example.com"), &["ann@example.com"]);
        for (envelope, message, offered, kind) in [
            (joe(), "a: b\r\n\r\nä\r\n", "250 mx", ErrorKind::Unsupported),
            (utf8(), "a: b\r\n\r\nc\r\n", "250 mx", ErrorKind::Unsupported),
            (
                joe(),
                "a: b\r\n\r\nc\r\n",
                "250-mx\n250 SIZE 10",
                ErrorKind::TooLarge,
            ),
        ] {
            let error = open(envelope, message, SendOptions::default(), offered)
                .await
                .unwrap_err();
            assert_eq!(error.kind(), kind);
        }
        let dsn = SendOptions {
            dsn: Some(Dsn::default()),
            ..SendOptions::default()
        };
        let error = open(joe(), "a: b\r\n\r\nc\r\n", dsn, "250 mx").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }

    #[tokio::test]
    async fn a_stream_that_was_not_seen_whole_may_hold_anything() {
        let lines = std::io::Cursor::new("line\r\n".repeat(super::super::body::PIECE / 4));
        let body = Body::open(RawMessage::from_reader(lines, Some(900)))
            .await
            .unwrap();
        let opening = Opening::new(&joe(), &body, &SendOptions::default(), &server(FULL)).unwrap();
        assert_eq!(opening.mail, "MAIL FROM:<joe@example.com> SIZE=900 BODY=8BITMIME");
    }

    #[tokio::test]
    async fn dsn_follows_rfc_3461() {
        let options = SendOptions {
            dsn: Some(Dsn {
                notify: Some(Notify {
                    success: true,
                    failure: true,
                    delay: false,
                }),
                returned: Some(ReturnContent::Headers),
                envelope_id: Some("QQ 314+159=x".to_owned()),
                original_recipients: true,
            }),
            ..SendOptions::default()
        };
        let to = envelope(
            None,
            &["a+b@example.com", "\"x y\"@example.com", "jö+rg@example.com"],
        );
        let opening = open(to, "a: b\r\n\r\nc\r\n", options, FULL).await.unwrap();
        assert_eq!(
            opening.mail,
            "MAIL FROM:<> SIZE=11 SMTPUTF8 RET=HDRS ENVID=QQ+20314+2B159+3Dx"
        );
        assert_eq!(
            opening.rcpt,
            [
                "RCPT TO:<a+b@example.com> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;a+2Bb@example.com",
                "RCPT TO:<\"x y\"@example.com> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;\"x+20y\"@example.com",
                "RCPT TO:<jö+rg@example.com> NOTIFY=SUCCESS,FAILURE ORCPT=utf-8;jö\\x{2B}rg@example.com",
            ]
        );
        assert_eq!(notify_parameter(Notify::NEVER), " NOTIFY=NEVER");
        assert_eq!(notify_parameter(Notify::FAILURE), " NOTIFY=FAILURE");
    }

    #[tokio::test]
    async fn an_envelope_id_cant_carry_a_command() {
        let long = "x".repeat(101);
        for id in ["", "a\r\nRSET", "a\n", "a\0", "\u{7f}", "ä", &long] {
            let options = SendOptions {
                dsn: Some(Dsn {
                    envelope_id: Some(id.to_owned()),
                    ..Dsn::default()
                }),
                ..SendOptions::default()
            };
            let error = open(joe(), "a: b\r\n\r\nc\r\n", options, FULL).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{id:?}");
        }
    }
}
