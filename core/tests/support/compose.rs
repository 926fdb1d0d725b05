//! What the tests of composing share.

use exomail::message::{Attachment, Message, OutgoingMessage, OutgoingMessageBuilder};

/// Bytes that are no text.
pub const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\x00\xff";

/// From joe to ann.
pub fn minimal() -> OutgoingMessageBuilder {
    OutgoingMessage::builder()
        .from("joe@contoso.example")
        .to("ann@example.com")
}

/// The bytes of a message, checked.
pub async fn bytes(builder: OutgoingMessageBuilder) -> Vec<u8> {
    let message = builder.build().unwrap();
    let bytes = message.to_bytes().await.unwrap();
    assert_eq!(bytes.len() as u64, message.size());
    check_lines(&bytes);
    bytes.to_vec()
}

/// RFC 5322 §2.1.1 and §2.3: no line over 998, no bare CR or LF, no NUL.
pub fn check_lines(bytes: &[u8]) {
    assert!(bytes.ends_with(b"\r\n"));
    for line in bytes.split(|&byte| byte == b'\n') {
        assert!(line.len() <= 999, "a line of {} bytes", line.len());
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        assert!(
            !line.contains(&b'\r') && !line.contains(&0),
            "{:?}",
            String::from_utf8_lossy(line)
        );
    }
    let crlf = bytes.windows(2).filter(|pair| pair == b"\r\n").count();
    assert_eq!(crlf, bytes.iter().filter(|&&byte| byte == b'\n').count());
}

/// What is read from what was composed.
pub async fn read(builder: OutgoingMessageBuilder) -> Message {
    Message::parse(bytes(builder).await).unwrap()
}

/// Everything at once, always with the same bytes.
pub fn full() -> OutgoingMessageBuilder {
    OutgoingMessage::builder()
        .from(("Müller, Jörg", "joerg@contoso.example"))
        .from("Ann Ex <ann@contoso.example>")
        .sender("\"The \\\"Bot\\\"\" <bot@contoso.example>")
        .to("Bob <bob@example.com>")
        .to(("李小龙", "bruce@example.com"))
        .cc("chef@müller.example")
        .bcc("secret@example.com")
        .bcc("BOB@example.com")
        .reply_to("answers@contoso.example")
        .subject(
            "Grüße: 价格 und ein recht langer Betreff, der in mehr als eine Zeile gefaltet werden muß 😀",
        )
        .text("Hallo,\n\nsiehe Anhang. Viele Grüße\n-- \n.\nFrom here\n")
        .html("<p>Hallo <img src=\"cid:logo@x\"> größer</p>")
        .inline("logo@x", Attachment::bytes("logo.png", "image/png", PNG))
        .attach(Attachment::bytes(
            "Übersicht \"2026\" – Entwurf für alle Beteiligten.pdf",
            "application/pdf",
            PNG.repeat(50),
        ))
        .attach(Attachment::bytes("empty.txt", "text/plain; charset=utf-8", ""))
        .header("X-Priority", "1")
        .header(
            "List-Unsubscribe",
            "<mailto:leave@contoso.example>, <https://contoso.example/leave>",
        )
        .message_id("<fixed.id@contoso.example>")
        .date("2026-11-22T18:25:23Z".parse().unwrap())
}
