//! Messages that are composed, as other programs read and write them.
#![allow(clippy::unwrap_used, reason = "a test that fails should panic")]

mod support;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine as _;
use exomail::message::{Address, Message, OutgoingMessage};
use support::compose::{bytes, full};

/// `EXOMAIL_BLESS=1` writes the vector anew, for review.
#[tokio::test]
async fn the_golden_message_has_not_changed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/mime/composed.eml");
    let composed = bytes(full()).await;
    if std::env::var_os("EXOMAIL_BLESS").is_some() {
        std::fs::write(&path, &composed).unwrap();
    }
    let golden = std::fs::read(&path).unwrap();
    assert_eq!(
        String::from_utf8_lossy(&composed),
        String::from_utf8_lossy(&golden)
    );
}

/// What Python's parser makes of a message, as JSON.
fn python(raw: &[u8]) -> serde_json::Value {
    const SCRIPT: &str = r#"
import base64, email, email.policy, json, sys
message = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
def people(name):
    return [[a.display_name, a.addr_spec] for h in message.get_all(name, []) for a in h.addresses]
parts = list(message.walk())
body = lambda kind: (lambda part: part.get_content() if part else None)(message.get_body((kind,)))
json.dump({
    "subject": message["subject"],
    "from": people("from"), "sender": people("sender"), "to": people("to"), "cc": people("cc"), "bcc": people("bcc"),
    "date": message["date"].datetime.timestamp(),
    "message_id": message["message-id"],
    "text": body("plain"), "html": body("html"),
    "attachments": [
        [part.get_filename(), part.get_content_type(), part.get_content_disposition(), part["content-id"],
         base64.b64encode(part.get_payload(decode=True)).decode()]
        for part in parts if part.get_content_disposition() and part.get_content_type() != "message/rfc822"],
    "forwarded": [part.get_content()["subject"] for part in parts if part.get_content_type() == "message/rfc822"],
    "structure": [part.get_content_type() for part in parts],
    "defects": [str(d) for part in parts for d in part.defects]
        + [f"{name}: {d}" for part in parts for name, value in part.items() for d in value.defects],
}, sys.stdout)
"#;
    let mut child = Command::new("python3")
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is part of the tool chain");
    child.stdin.take().unwrap().write_all(raw).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn python_reads_the_same() {
    let original = Message::parse(
        b"From: a@b.example\nSubject: =?utf-8?q?=C3=BC?=\n\ntext in ISO-8859-1: \xfc\n".as_slice(),
    );
    let raw = bytes(full().forward(&original.unwrap())).await;
    let theirs = python(&raw);
    let ours = Message::parse(raw).unwrap();
    let people = |list: Vec<Address>| -> serde_json::Value {
        list.into_iter()
            .map(|a| serde_json::json!([a.name.unwrap_or_default(), a.email]))
            .collect()
    };
    // The names in Content-Type are encoded words in quotes, which RFC 2047 forbids and Outlook wants.
    let defects = theirs["defects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|defect| defect.as_str().unwrap());
    let others: Vec<_> = defects
        .filter(|defect| !defect.starts_with("Content-Type: "))
        .collect();
    assert_eq!(others, Vec::<&str>::new());
    assert_eq!(theirs["subject"], serde_json::json!(ours.subject()));
    assert_eq!(theirs["from"], people(ours.from()));
    assert_eq!(theirs["sender"], people(ours.sender().into_iter().collect()));
    assert_eq!(theirs["to"], people(ours.to()));
    assert_eq!(theirs["cc"], people(ours.cc()));
    assert_eq!(theirs["bcc"], serde_json::json!([]));
    assert_eq!(theirs["date"], serde_json::json!(1_795_371_923.0));
    assert_eq!(theirs["message_id"], "<fixed.id@contoso.example>");
    assert_eq!(theirs["text"], serde_json::json!(ours.text()));
    assert_eq!(theirs["html"], serde_json::json!(ours.html()));
    assert_eq!(theirs["forwarded"], serde_json::json!(["ü"]));
    assert_eq!(
        theirs["structure"],
        serde_json::json!([
            "multipart/mixed",
            "multipart/alternative",
            "text/plain",
            "multipart/related",
            "text/html",
            "image/png",
            "application/pdf",
            "text/plain",
            "message/rfc822",
            "text/plain",
        ])
    );
    let attachments = ours
        .attachments()
        .filter(|attachment| attachment.message().is_none());
    let expected: serde_json::Value = attachments
        .map(|attachment| {
            serde_json::json!([
                attachment.name(),
                attachment.content_type(),
                if attachment.is_inline() {
                    "inline"
                } else {
                    "attachment"
                },
                attachment.content_id().map(|id| format!("<{id}>")),
                base64::prelude::BASE64_STANDARD.encode(attachment.bytes()),
            ])
        })
        .collect();
    assert_eq!(theirs["attachments"], expected);
}

#[tokio::test]
async fn lettres_messages_are_taken_as_they_are() {
    let build = |id: bool| {
        let mut builder = lettre::Message::builder()
            .from("Joe <joe@contoso.example>".parse().unwrap())
            .to("ann@example.com".parse().unwrap())
            .bcc("secret@example.com".parse().unwrap())
            .subject("Grüße");
        if id {
            builder = builder.message_id(Some("<lettre@contoso.example>".to_owned()));
        }
        builder.body("hello".to_owned()).unwrap()
    };
    let message = OutgoingMessage::from_lettre(&build(true)).unwrap();
    assert_eq!(message.message_id(), "lettre@contoso.example");
    assert_eq!(message.envelope().to(), ["ann@example.com", "secret@example.com"]);
    assert_eq!(message.to_bytes().await.unwrap(), build(true).formatted());
    let message = OutgoingMessage::try_from(&build(false)).unwrap();
    assert!(message.message_id().ends_with("@contoso.example"));
    let read = Message::parse(message.to_bytes().await.unwrap()).unwrap();
    assert_eq!(read.message_id().as_deref(), Some(message.message_id()));
    assert_eq!(read.subject().as_deref(), Some("Grüße"));
    assert!(!String::from_utf8_lossy(read.raw()).contains("secret@"));
}
