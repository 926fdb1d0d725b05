//! Messages: what is read, whatever was sent; what is composed, as other programs read it.
#![allow(clippy::unwrap_used, reason = "a test that fails should panic")]

use std::path::{Path, PathBuf};

use bytes::Bytes;
use exomail::message::{Message, MessageSummary};
use serde::Serialize;

/// Golden messages: `<name>.eml` and, as `<name>.json`, what must be read from it.
fn vectors() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/mime");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "eml"));
    files.sort();
    assert!(!files.is_empty());
    files
}

#[derive(Serialize)]
struct Everything {
    summary: MessageSummary,
    text: Option<String>,
    html: Option<String>,
    /// Base64 would be hard to review: bytes that are text are shown as text.
    attachments: Vec<String>,
    nested: Vec<Everything>,
}

fn everything(message: &Message) -> Everything {
    let show = |bytes: Bytes| match String::from_utf8(bytes.to_vec()) {
        Ok(text) => text,
        Err(error) => format!("{:02x?}", error.as_bytes()),
    };
    Everything {
        summary: message.summary(),
        text: message.text(),
        html: message.html(),
        attachments: message
            .attachments()
            .map(|attachment| show(attachment.bytes()))
            .collect(),
        nested: message
            .attachments()
            .filter_map(|attachment| attachment.message())
            .map(|nested| everything(&nested))
            .collect(),
    }
}

/// `EXOMAIL_BLESS=1` writes what is read now into the vectors, for review.
#[test]
fn golden_messages_are_read_as_before() {
    for path in vectors() {
        let message = Message::parse(std::fs::read(&path).unwrap()).unwrap();
        let read = serde_json::to_value(everything(&message)).unwrap();
        let golden = path.with_extension("json");
        if std::env::var_os("EXOMAIL_BLESS").is_some() {
            std::fs::write(
                &golden,
                format!("{}\n", serde_json::to_string_pretty(&read).unwrap()),
            )
            .unwrap();
        }
        let expected: serde_json::Value = serde_json::from_slice(&std::fs::read(&golden).unwrap()).unwrap();
        assert_eq!(read, expected, "{}", path.display());
    }
}

/// mail-parser overflows a 2 MiB stack when it drops such messages, and aborts the process.
fn on_a_small_stack(test: fn()) {
    std::thread::Builder::new()
        .stack_size(512 * 1024)
        .spawn(test)
        .unwrap()
        .join()
        .unwrap();
}

fn first_nested(message: &Message) -> Option<Message> {
    message.attachments().next()?.message()
}

#[test]
fn forty_thousand_messages_within_messages_are_borne() {
    on_a_small_stack(|| {
        const DEPTH: usize = 40_000;
        let raw =
            "Content-Type: message/rfc822\r\n\r\n".repeat(DEPTH) + "Subject: the innermost\r\n\r\nhere\r\n";
        let mut message = Message::parse(raw).unwrap();
        let clone = message.clone();
        assert!(format!("{message:?}").contains("parts: 1"));
        let mut depth = 0;
        while let Some(inner) = first_nested(&message) {
            message = inner;
            depth += 1;
        }
        assert_eq!(depth, DEPTH);
        assert_eq!(message.subject().as_deref(), Some("the innermost"));
        drop(clone);
    });
}

#[test]
fn three_thousand_multiparts_within_multiparts_are_borne() {
    on_a_small_stack(|| {
        let mut raw = String::new();
        for n in 0..3_000 {
            raw += &format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n");
        }
        raw += "\r\nhere\r\n";
        for n in (0..3_000).rev() {
            raw += &format!("--b{n}--\r\n");
        }
        let message = Message::parse(raw).unwrap();
        assert!(message.is_truncated());
        assert_eq!(message.text(), None);
        let attachments: Vec<_> = message.attachments().collect();
        assert_eq!(attachments.len(), 1, "the part that was not opened");
        assert!(attachments[0].bytes().ends_with(b"--b64--"), "{attachments:?}");
    });
}

/// mail-parser takes hours: it looks for each announced boundary through the whole rest.
#[test]
fn boundaries_that_never_come_cost_nothing() {
    let mut raw = String::from("Content-Type: multipart/mixed; boundary=b\r\n\r\n");
    for n in 0..9_000 {
        raw += &format!(
            "--b\r\nContent-Type: multipart/mixed; boundary=never{n}\r\n\r\n{}\r\n",
            "--x\r\n".repeat(100)
        );
    }
    let message = Message::parse(raw).unwrap();
    assert_eq!(message.attachments().count(), 9_000);
}

#[test]
fn every_reading_of_a_broken_message_ends() {
    let touch = |raw: Vec<u8>| {
        if let Ok(message) = Message::parse(raw) {
            let read = everything(&message);
            assert!(
                read.summary
                    .attachments
                    .iter()
                    .all(|attachment| !attachment.file_name.is_empty())
            );
            for header in message.headers() {
                message.address_groups(&header.name);
                message.header_all(&header.name);
            }
            let _ = (
                message.references(),
                message.readable(),
                message.sender(),
                message.bcc(),
                message.reply_to(),
            );
        }
    };
    // Numerical Recipes' generator: the same mutations on each run.
    let mut seed = 1_u64;
    let mut random = move |below: usize| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % below.max(1)
    };
    let snippets: &[&[u8]] = &[
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b"--",
        b"=?utf-8?b?",
        b"?=",
        b"\"",
        b"(",
        b"<",
        b";",
        b"=",
        b":",
        b"\xff\xfe",
        b"\r\n\r\n",
        b"Content-Type: message/rfc822\r\n\r\n",
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n",
        b"filename*0*=utf-8''%",
        b"base64",
        b"quoted-printable",
        b"iso-2022-jp",
        b"utf-7",
        b"utf-16",
    ];
    for path in vectors() {
        let original = std::fs::read(&path).unwrap();
        let step = (original.len() / 200).max(1);
        for end in (0..original.len()).step_by(step) {
            touch(original[..end].to_vec());
            touch(original[end..].to_vec());
        }
        for _ in 0..300 {
            let mut mutant = original.clone();
            for _ in 0..=random(8) {
                let at = random(mutant.len());
                match random(4) {
                    0 => mutant[at] = u8::try_from(random(256)).unwrap(),
                    1 => drop(mutant.splice(at..at, snippets[random(snippets.len())].iter().copied())),
                    2 => {
                        let end = (at + random(40)).min(mutant.len());
                        mutant.drain(at..end);
                    }
                    _ => {
                        let end = (at + random(200)).min(mutant.len());
                        let piece = mutant[at..end].to_vec();
                        let to = random(mutant.len());
                        mutant.splice(to..to, piece);
                    }
                }
                if mutant.is_empty() {
                    mutant.push(b'x');
                }
            }
            touch(mutant);
        }
    }
}

#[test]
fn parts_without_encoding_are_not_copied() {
    let body = "x".repeat(1 << 20);
    let raw = Bytes::from(format!(
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: application/octet-stream\r\n\r\n{body}\r\n--b--\r\n"
    ));
    let message = Message::parse(raw.clone()).unwrap();
    let bytes = message.attachments().next().unwrap().bytes();
    assert_eq!(bytes.len(), body.len());
    assert!(raw.as_ptr_range().contains(&bytes.as_ptr()));
    assert_eq!(
        Message::parse("").unwrap_err().kind(),
        exomail::ErrorKind::InvalidMessage
    );
}
