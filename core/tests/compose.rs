//! Messages that are composed: as this library reads them, whatever callers put in.
#![allow(clippy::unwrap_used, reason = "a test that fails should panic")]

mod support;

use exomail::ErrorKind;
use exomail::message::{Address, Attachment, Message, OutgoingMessage, OutgoingMessageBuilder};
use support::compose::{PNG, bytes, check_lines, full, minimal, read};

#[tokio::test]
async fn what_is_composed_is_read() {
    let built = full().build().unwrap();
    assert_eq!(built.message_id(), "fixed.id@contoso.example");
    assert_eq!(built.envelope().from(), Some("bot@contoso.example"));
    assert_eq!(
        built.envelope().to(),
        [
            "bob@example.com",
            "bruce@example.com",
            "chef@xn--mller-kva.example",
            "secret@example.com"
        ],
        "each once"
    );
    let raw = bytes(full()).await;
    assert!(
        !String::from_utf8_lossy(&raw).contains("secret@"),
        "Bcc is in the envelope only"
    );
    assert!(raw.is_ascii());
    let message = Message::parse(raw).unwrap();
    assert_eq!(
        message.from(),
        [
            Address::new("Müller, Jörg", "joerg@contoso.example"),
            Address::new("Ann Ex", "ann@contoso.example")
        ]
    );
    assert_eq!(
        message.sender(),
        Some(Address::new("The \"Bot\"", "bot@contoso.example"))
    );
    assert_eq!(
        message.to(),
        [
            Address::new("Bob", "bob@example.com"),
            Address::new("李小龙", "bruce@example.com")
        ]
    );
    assert_eq!(message.cc(), [Address::new("", "chef@xn--mller-kva.example")]);
    assert_eq!(message.reply_to(), [Address::new("", "answers@contoso.example")]);
    assert_eq!(message.bcc(), []);
    assert_eq!(
        message.subject().as_deref(),
        Some("Grüße: 价格 und ein recht langer Betreff, der in mehr als eine Zeile gefaltet werden muß 😀")
    );
    assert_eq!(message.message_id().as_deref(), Some("fixed.id@contoso.example"));
    assert_eq!(message.date().unwrap().to_string(), "2026-11-22T18:25:23Z");
    assert_eq!(message.header("x-priority").as_deref(), Some("1"));
    assert_eq!(
        message.text().as_deref(),
        Some("Hallo,\r\n\r\nsiehe Anhang. Viele Grüße\r\n-- \r\n.\r\nFrom here\r\n")
    );
    assert_eq!(
        message.html().as_deref(),
        Some("<p>Hallo <img src=\"cid:logo@x\"> größer</p>")
    );
    let attachments: Vec<_> = message.attachments().collect();
    let names: Vec<_> = attachments
        .iter()
        .map(|attachment| attachment.name().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "logo.png",
            "Übersicht \"2026\" – Entwurf für alle Beteiligten.pdf",
            "empty.txt"
        ]
    );
    assert_eq!(attachments[0].content_id().as_deref(), Some("logo@x"));
    assert_eq!(
        attachments.iter().map(|a| a.is_inline()).collect::<Vec<_>>(),
        [true, false, false]
    );
    assert_eq!(attachments[0].bytes(), PNG);
    assert_eq!(attachments[1].bytes(), PNG.repeat(50));
    assert_eq!(attachments[2].bytes(), "");
    assert!(attachments[1].file_name().starts_with("Übersicht _2026_ – "));
}

#[tokio::test]
async fn texts_of_every_kind_survive() {
    for text in [
        "",
        "short",
        "two\r\nlines\n",
        "trailing blanks  \nand\ttabs\t\n",
        "--=_not-a-boundary\n--\n",
        "=41 = equals\n",
        "öäü ß €\n",
        "控制\n",
        "NUL \0, bell \x07, DEL \x7f\n",
        "😀".repeat(400).as_str(),
        "x".repeat(5_000).as_str(),
        ("word ".repeat(1_000) + "\n").as_str(),
        "mixed\rline\nends\r\n\r\r\n",
    ] {
        // Line ends become CRLF, and a text that is the whole body ends with one.
        let normal = text
            .replace("\r\n", "\n")
            .replace('\r', "\n")
            .replace('\n', "\r\n");
        for alone in [true, false] {
            let builder = minimal().text(text);
            let builder = if alone { builder } else { builder.html(text) };
            let message = read(builder).await;
            let read = message.text().unwrap();
            if alone {
                assert_eq!(
                    read.trim_end_matches("\r\n"),
                    normal.trim_end_matches("\r\n"),
                    "{text:.60?}"
                );
            } else {
                assert_eq!(read, normal, "{text:.60?}");
                assert_eq!(message.html().unwrap(), normal, "{text:.60?}");
            }
        }
    }
}

/// What a setter is given must be in the value that it sets, or be refused; never anywhere else.
#[tokio::test]
async fn nothing_gets_into_another_field() {
    type Setter = fn(OutgoingMessageBuilder, &str) -> OutgoingMessageBuilder;
    let setters: &[(&str, Setter)] = &[
        ("from name", |b, v| {
            b.from((v, "x@example.com")).sender("s@example.com")
        }),
        ("from", |b, v| {
            b.from(("", format!("x{v}@example.com"))).sender("s@example.com")
        }),
        ("from text", |b, v| {
            b.from(format!("x@example.com{v}")).sender("s@example.com")
        }),
        ("sender", |b, v| b.sender((v, "x@example.com"))),
        ("sender address", |b, v| {
            b.sender(("", format!("x@{v}example.com")))
        }),
        ("to name", |b, v| b.to((v, "x@example.com"))),
        ("to", |b, v| b.to(format!("{v}x@example.com"))),
        ("cc name", |b, v| b.cc((v, "x@example.com"))),
        ("cc", |b, v| b.cc(("", format!("x@example.com{v}")))),
        ("bcc", |b, v| b.bcc(("", format!("x@example.com{v}")))),
        ("bcc name", |b, v| b.bcc((v, "x@example.com"))),
        ("reply_to name", |b, v| b.reply_to((v, "x@example.com"))),
        ("reply_to", |b, v| b.reply_to(("", format!("x{v}@example.com")))),
        ("subject", |b, v| b.subject(v)),
        ("header value", |b, v| b.header("X-Test", v)),
        ("header name", |b, v| b.header(format!("X-Test{v}"), "x")),
        ("message_id", |b, v| b.message_id(format!("a{v}b@example.com"))),
        ("attachment name", |b, v| {
            b.attach(Attachment::bytes(v, "text/plain", "x"))
        }),
        ("attachment type", |b, v| {
            b.attach(Attachment::bytes("x", format!("text/plain{v}"), "x"))
        }),
        ("inline id", |b, v| {
            b.html("x")
                .inline(format!("a{v}"), Attachment::bytes("x", "image/png", "x"))
        }),
        ("inline name", |b, v| {
            b.html("x").inline("a", Attachment::bytes(v, "image/png", "x"))
        }),
    ];
    let line_ends = ["\r", "\n", "\r\n", "\0", "\x1b", "\u{85}", "\r\n "];
    for (name, set) in setters {
        for bad in line_ends {
            for value in [
                format!("a{bad}X-Injected: yes"),
                format!("{bad}X-Injected: yes"),
                format!("a{bad}"),
            ] {
                let error = set(minimal(), &value).build().expect_err(name);
                assert_eq!(error.kind(), ErrorKind::InvalidMessage, "{name} {value:?}");
            }
        }
        // Allowed or not, these must not change the header's shape.
        let long = "X-Injected: yes ".repeat(100);
        for value in [
            "\u{2028}X-Injected: yes",
            "\",<evil@example.com>,\"",
            "(",
            "?=",
            "=?utf-8?q?=0D=0AX-Injected:_yes?=",
            "\\",
            "; X-Injected=yes",
            &long,
        ] {
            let Ok(message) = set(minimal(), value).build() else {
                continue;
            };
            let raw = message.to_bytes().await.unwrap();
            check_lines(&raw);
            let text = String::from_utf8_lossy(&raw);
            assert!(!text.contains("\nX-Injected"), "{name} {value:?}: {text}");
            let message = Message::parse(raw.clone()).unwrap();
            assert!(message.header("X-Injected").is_none(), "{name} {value:?}");
            let known = ["ann@example.com", "joe@contoso.example", "s@example.com"];
            for header in ["From", "Sender", "To", "Cc", "Reply-To"] {
                for address in message.addresses(header) {
                    let email = address.email.as_str();
                    assert!(
                        known.contains(&email) || email.contains("x@") || email.starts_with('x'),
                        "{name} {value:?}: {text}"
                    );
                }
            }
        }
    }
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let no_author = OutgoingMessage::builder().to("a@b.example").build();
    let cases: Vec<(&str, exomail::Result<OutgoingMessage>)> = vec![
        ("from", no_author),
        ("to", OutgoingMessage::builder().from("a@b.example").build()),
        ("sender", minimal().from("second@contoso.example").build()),
        ("to", minimal().to("no address").build()),
        ("cc", minimal().cc("a@b.example, c@d.example").build()),
        ("header", minimal().header("Bcc", "x@example.com").build()),
        ("header", minimal().header("Content-Type", "text/html").build()),
        ("header", minimal().header("X Y", "z").build()),
        (
            "inline",
            minimal()
                .inline("x", Attachment::bytes("x", "image/png", "x"))
                .build(),
        ),
        (
            "attachment",
            minimal()
                .attach(Attachment::bytes("x", "multipart/mixed", "x"))
                .build(),
        ),
        ("message_id", minimal().message_id("").build()),
    ];
    for (operation, result) in cases {
        let error = result.unwrap_err();
        assert_eq!(
            (error.kind(), error.operation()),
            (ErrorKind::InvalidMessage, operation),
            "{error}"
        );
    }
    let error = minimal()
        .attach(Attachment::file("/no/such/file.pdf"))
        .build()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LocalIo);
    assert!(error.to_string().contains("/no/such/file.pdf"), "{error}");
    let error = minimal()
        .attach(Attachment::file(env!("CARGO_MANIFEST_DIR")))
        .build()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LocalIo);
}

#[tokio::test]
async fn ids_and_dates_are_made() {
    let (one, two) = (minimal().build().unwrap(), minimal().build().unwrap());
    assert!(one.message_id().ends_with("@contoso.example"));
    assert_ne!(one.message_id(), two.message_id());
    let before = jiff::Timestamp::now().as_second();
    let message = read(minimal()).await;
    assert!((before..=before + 60).contains(&message.date().unwrap().as_second()));
    assert_eq!(message.text().as_deref(), Some(""));
    assert_eq!(message.subject(), None);
    // A local part beyond ASCII goes as it is: the SMTP session asks for SMTPUTF8.
    let message = read(minimal().to("jörg@example.com")).await;
    assert_eq!(message.to()[1].email, "jörg@example.com");
}

#[tokio::test]
async fn boundaries_are_in_no_part() {
    let builder = minimal().message_id("known@contoso.example").html("x");
    let raw = String::from_utf8(bytes(builder.clone().text("x")).await).unwrap();
    let boundary = raw
        .split("boundary=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    // Who knows the id knows the boundary that would be taken, and may try to end the part.
    let attack =
        format!("x\r\n--{boundary}\r\nContent-Type: text/html\r\n\r\n<script>\r\n--{boundary}--\r\n");
    let message = read(builder.clone().text(&attack)).await;
    assert_eq!(message.text().unwrap(), attack);
    assert_eq!(message.html().as_deref(), Some("x"));
    let forwarded = Message::parse(format!("Subject: y\r\n\r\n--{boundary}--\r\n")).unwrap();
    let message = read(builder.text("x").forward(&forwarded)).await;
    assert_eq!(
        message
            .attachments()
            .next()
            .unwrap()
            .message()
            .unwrap()
            .subject()
            .as_deref(),
        Some("y")
    );
    assert_eq!(
        bytes(full()).await,
        bytes(full()).await,
        "the same message has the same bytes"
    );
}

#[tokio::test]
async fn answers_are_threaded() {
    let original = Message::parse(
        "From: Ann <ann@example.com>\r\nReply-To: desk@example.com\r\nMessage-ID: <3@x>\r\nReferences: <1@x> <2@x>\r\n\
         Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\nx",
    )
    .unwrap();
    let joe = || OutgoingMessage::builder().from("joe@contoso.example");
    let reply = read(joe().reply_to_message(&original).text("x")).await;
    assert_eq!(reply.in_reply_to(), ["3@x"]);
    assert_eq!(reply.references(), ["1@x", "2@x", "3@x"]);
    assert_eq!(reply.subject().as_deref(), Some("Re: Grüße"));
    assert_eq!(reply.to(), [Address::new("", "desk@example.com")]);

    // An answer to an answer gets no second Re:, and what the caller says goes first.
    let again = read(joe().reply_to_message(&reply).to("other@example.com")).await;
    assert_eq!(again.subject().as_deref(), Some("Re: Grüße"));
    assert_eq!(again.to(), [Address::new("", "other@example.com")]);
    assert_eq!(again.references().len(), 4);
    assert_eq!(
        read(joe().reply_to_message(&original).subject("New"))
            .await
            .subject()
            .as_deref(),
        Some("New")
    );

    // What others wrote can neither break the header nor make it endless.
    let hostile = Message::parse(format!(
        "From: =?utf-8?q?A=0D=0AX-Injected:_yes?= <a@example.com>\r\nSubject: =?utf-8?q?B=0D=0AX-Injected:_yes?=\r\n\
         Message-ID: <a b>\r\nReferences: {}\r\n\r\nx",
        (0..1_000).map(|n| format!("<{n}@x>\r\n ")).collect::<String>()
    ))
    .unwrap();
    let reply = read(joe().reply_to_message(&hostile)).await;
    assert!(reply.header("X-Injected").is_none());
    assert_eq!(reply.references().len(), 50);
    assert_eq!(reply.references()[0], "0@x");
    assert_eq!(reply.references()[49], "999@x");
}

#[tokio::test]
async fn messages_are_forwarded_whole() {
    for (raw, kind) in [
        ("Subject: inner\r\n\r\nhello\r\n".to_owned(), "message/rfc822"),
        ("Subject: inner\r\n\r\nhellö\r\n".to_owned(), "message/rfc822"),
        ("Subject: inner\n\nbare\n".to_owned(), "message/rfc822"),
        (
            format!("Subject: inner\r\n\r\n{}\r\n", "x".repeat(2_000)),
            "application/octet-stream",
        ),
        (
            "Subject: inner\r\n\r\nNUL \0\r\n".to_owned(),
            "application/octet-stream",
        ),
    ] {
        let original = Message::parse(raw.clone()).unwrap();
        let message = read(minimal().forward(&original).text("see below")).await;
        assert_eq!(message.subject().as_deref(), Some("Fwd: inner"));
        let attachment = message.attachments().next().unwrap();
        assert_eq!(attachment.content_type(), kind);
        let inner = Message::parse(attachment.bytes()).unwrap();
        assert_eq!(inner.subject().as_deref(), Some("inner"));
        assert_eq!(
            inner.text().unwrap().trim_end(),
            original.text().unwrap().trim_end()
        );
        assert_eq!(attachment.file_name(), "message.eml");
    }
}

/// A file is read and encoded on its way; one that has changed since is not sent.
#[tokio::test]
async fn files_go_out_as_they_were_found() {
    use tokio::io::AsyncReadExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("größ.bin");
    let content: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
    std::fs::write(&path, &content).unwrap();
    let message = minimal()
        .text("x")
        .attach(Attachment::file(&path))
        .build()
        .unwrap();
    assert!(format!("{:?}", message.clone().into_raw()).contains(&message.size().to_string()));
    let read = Message::parse(message.to_bytes().await.unwrap()).unwrap();
    let attachment = read.attachments().next().unwrap();
    assert_eq!(attachment.name().as_deref(), Some("größ.bin"));
    assert_eq!(attachment.content_type(), "application/octet-stream");
    assert!(attachment.bytes() == content);

    std::fs::write(&path, "changed").unwrap();
    assert_eq!(message.to_bytes().await.unwrap_err().kind(), ErrorKind::LocalIo);
    let mut file = tokio::fs::File::open(&path).await.unwrap();
    let mut still = String::new();
    file.read_to_string(&mut still).await.unwrap();
    assert_eq!(still, "changed");
}
