//! What the IMAP server says is read by imap-proto, a strict parser that nobody here wrote. (It knows neither
//! NAMESPACE nor BODY without a section.)

use exomail_sandbox::{Sandbox, TokenOverrides};
use imap_proto::{AttributeValue, BodyStructure, Response};

use super::JOE;
use super::client::{Client, xoauth2};

/// Messages that make answers hard to write.
const MESSAGES: [&str; 7] = [
    "",
    "no header at all",
    "Subject: \"quoted\" \\ and back\r\nFrom: \"A \\\"B\\\" C\" <a@b>, Team: x@y, <z@w>;, broken\r\nTo: undisclosed:;\r\n\r\n",
    "Subject: Grüße, raw\r\nFrom: Jörg <j@x>\r\nDate: whenever\r\nMessage-ID: <1@x>\r\nIn-Reply-To: <0@x>\r\n\r\nhi\r\n",
    "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: image/png; name=\"ä\"\r\n\
Content-Disposition: attachment; filename*=utf-8''%C3%A4\r\nContent-Language: de\r\nContent-Location: x\r\n\r\nAA\r\n--b\r\n\
Content-Type: message/rfc822\r\nContent-Description: the \"other\"\r\n\r\nSubject: in\r\n\r\nin\r\n--b--\r\n",
    "Content-Type: multipart/alternative; boundary=b\r\n\r\nnothing in it",
    "Content-Type: message/rfc822\r\n\r\nContent-Type: message/rfc822\r\n\r\nSubject: two deep\r\n\r\nx",
];

const COMMANDS: [&str; 27] = [
    "CAPABILITY",
    "ID NIL",
    "LIST \"\" \"\"",
    "LIST \"\" *",
    "CREATE \"Entw&APw-rfe (\\\"neu\\\")/a b\"",
    "LIST \"\" Entw*",
    "LSUB \"\" *",
    "STATUS \"Sent Items\" (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN)",
    "SELECT INBOX",
    "FETCH 1:* ALL",
    "FETCH 1:* (UID BODYSTRUCTURE RFC822.SIZE)",
    "FETCH 1:* (BODY.PEEK[] BODY.PEEK[HEADER.FIELDS (SUBJECT \"X]\")] BODY.PEEK[1] BODY.PEEK[1.MIME] BODY.PEEK[TEXT]<1.5>)",
    "FETCH 1:* (RFC822 RFC822.HEADER RFC822.TEXT)",
    "SEARCH TEXT hi",
    "SEARCH DELETED",
    "STORE 1:2 +FLAGS (\\Deleted $MDNSent)",
    "UID STORE 3 FLAGS.SILENT ()",
    "COPY 1:3 Drafts",
    "EXPUNGE",
    "UID MOVE 3:4 Drafts",
    "MOVE 99 Drafts",
    "COPY 1 Missing",
    "FETCH 1 ()",
    "XYZZY",
    "SEARCH CHARSET UTF-8 ALL",
    "CLOSE",
    "LOGOUT",
];

#[tokio::test]
async fn every_answer_is_read_to_its_end() {
    let sandbox = Sandbox::builder()
        .mailbox(JOE)
        .imap_special_use()
        .start()
        .await
        .unwrap();
    for message in MESSAGES {
        sandbox.deliver(JOE, message).unwrap();
    }
    let mut client = Client::tls(&sandbox, sandbox.imap()).await;
    let response = xoauth2(&sandbox, JOE, &TokenOverrides::new()).await;
    let mut commands = format!("A AUTHENTICATE XOAUTH2 {response}\r\n");
    for command in COMMANDS {
        commands.push_str(&format!("T {command}\r\n"));
    }
    client.send(commands).await;
    let said = client.rest().await;

    let mut rest = &said[..];
    let (mut tagged, mut structures) = (0, Vec::new());
    while !rest.is_empty() {
        let line = String::from_utf8_lossy(rest)
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned();
        let Ok((after, response)) = Response::parse(rest) else {
            panic!("cannot be read: {line:?}")
        };
        match response {
            Response::Done { .. } => tagged += 1,
            Response::Fetch(_, attributes) => {
                for attribute in attributes {
                    if let AttributeValue::BodyStructure(structure) = attribute {
                        structures.push(structure.into_owned());
                    }
                }
            }
            _ => {}
        }
        rest = after;
    }
    assert_eq!(tagged, COMMANDS.len() + 1);
    assert_eq!(structures.len(), MESSAGES.len());
    let BodyStructure::Multipart { common, bodies, .. } = &structures[4] else {
        panic!("{:?}", structures[4])
    };
    assert_eq!(common.ty.subtype, "mixed");
    let BodyStructure::Message { envelope, .. } = &bodies[1] else {
        panic!("{:?}", bodies[1])
    };
    assert_eq!(envelope.subject.as_deref(), Some(&b"in"[..]));
}
