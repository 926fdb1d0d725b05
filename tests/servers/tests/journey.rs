//! The main job as a program does it, over servers that nobody here wrote: a token, a mail with attachments, read by
//! IMAP and by POP3, put away.
#![allow(clippy::unwrap_used, reason = "a test that fails should panic")]

mod support;

use exomail::MessageQuery;
use exomail::imap::{Flag, Query, Role, Store};
use exomail::message::{Attachment, Message, OutgoingMessage};
use support::{Stand, assert_delivered};

#[tokio::test]
async fn a_mail_with_attachments_is_sent_read_and_put_away() {
    let stand = Stand::start().await;
    let (joe, ann) = (
        stand.app.mailbox(&stand.joe).unwrap(),
        stand.app.mailbox(&stand.ann).unwrap(),
    );
    let pdf: Vec<u8> = (0..300_000u32).map(|number| (number % 251) as u8).collect();
    let file = stand.servers.folder().join("Übersicht.csv");
    std::fs::write(&file, "a;b\n1;2\n").unwrap();
    let compose = || {
        OutgoingMessage::builder()
            .from(stand.joe.as_str())
            .to(stand.ann.as_str())
            .bcc(stand.joe.as_str())
            .subject("Grüße aus Köln – 日本")
            .text("Hallo Ann,\n.\nbis bald\n")
            .html("<p>Hallo <b>Ann</b></p><img src=\"cid:logo\">")
            .inline(
                "logo",
                Attachment::bytes("logo.png", "image/png", &b"\x89PNG\r\n"[..]),
            )
            .attach(Attachment::bytes("report.pdf", "application/pdf", pdf.clone()))
            .attach(Attachment::file(&file))
    };
    let mail = compose().build().unwrap();
    let message_id = mail.message_id().to_owned();
    let report = joe.send(&mail).await.unwrap();
    assert_eq!(report.accepted().count(), 2);
    stand.arrived(&stand.ann, 1).await;
    stand.arrived(&stand.joe, 1).await;

    let mut unseen = ann.messages(MessageQuery::unseen()).await.unwrap();
    let (id, summary) = unseen.next().await.unwrap().unwrap();
    assert!(unseen.next().await.unwrap().is_none());
    assert_eq!(summary.envelope.subject, "Grüße aus Köln – 日本");
    assert_eq!(summary.envelope.from[0].email, stand.joe);
    assert_eq!(summary.structure.unwrap().attachments().len(), 2);

    let message = ann.message(&id).await.unwrap();
    assert_eq!(
        message.message_id().unwrap().trim_matches(['<', '>']),
        message_id.trim_matches(['<', '>'])
    );
    assert_eq!(
        message.text().unwrap().replace("\r\n", "\n").trim_end(),
        "Hallo Ann,\n.\nbis bald"
    );
    assert!(message.html().unwrap().contains("<b>Ann</b>"));
    // The other recipient stays hidden.
    assert!(message.bcc().is_empty());
    let attachment = |name: &str| {
        message
            .attachments()
            .find(|attachment| attachment.name().as_deref() == Some(name))
            .unwrap()
            .bytes()
    };
    assert!(attachment("report.pdf") == pdf);
    assert_eq!(attachment("Übersicht.csv"), "a;b\n1;2\n");
    assert_eq!(attachment("logo.png"), &b"\x89PNG\r\n"[..]);

    // IMAP, POP3 and what was sent agree on every byte.
    let mut by_imap = Vec::new();
    ann.fetch(&id, &mut by_imap).await.unwrap();
    let mut pop3 = ann.pop3().await.unwrap();
    let mut by_pop3 = Vec::new();
    pop3.retr(1, &mut by_pop3).await.unwrap();
    pop3.quit().await.unwrap();
    assert!(by_imap == by_pop3);
    assert!(by_imap == *message.raw());
    assert_eq!(Message::parse(by_pop3).unwrap().subject(), message.subject());

    // Ready bytes go out as they are.
    let ready = b"From: joe\r\nSubject: ready\r\nMessage-ID: <ready@contoso.example>\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\n\r\nx\r\n";
    joe.send_raw(
        &support::envelope(&stand.joe, &[&stand.ann]),
        exomail::message::RawMessage::from_bytes(&ready[..]),
        &exomail::smtp::SendOptions::default(),
    )
    .await
    .unwrap();
    assert_delivered(&stand.received(&stand.ann, 2).await[1], ready);

    let ids = [id];
    ann.mark(&ids, Store::Add, &[Flag::Seen, Flag::Flagged])
        .await
        .unwrap();
    ann.move_to(&ids, "Drafts").await.unwrap();
    let flagged = MessageQuery::folder("Drafts").matching(Query::all().flag(&Flag::Flagged));
    let moved = ann.messages(flagged).await.unwrap().all().await.unwrap();
    assert_eq!(moved.len(), 1);
    ann.delete(std::slice::from_ref(&moved[0].0)).await.unwrap();
    let trash = ann.folder_for(Role::Trash).await.unwrap().unwrap();
    assert_eq!(trash.name, "Deleted Items");
    let deleted = ann.messages(MessageQuery::folder(&trash.name)).await.unwrap();
    assert_eq!(deleted.remaining(), 1);
    joe.close().await;
    ann.close().await;

    // All of that with one token.
    assert_eq!(stand.sandbox.stats().token_requests, 1);
    let token = stand.app.token().await.unwrap();
    let secret = token.secret().expose();
    for line in stand.transcript.lines() {
        assert!(!line.text.contains(&secret[..20]), "{line}");
        assert!(!line.text.contains(stand.sandbox.client_secret()), "{line}");
    }
}

/// The session that looks is one that had the folder open before the mail came.
#[tokio::test]
async fn a_mail_is_found_as_soon_as_it_is_there() {
    let stand = Stand::start().await;
    let joe = stand.app.mailbox(&stand.joe).unwrap();
    for count in 0..3 {
        if count > 0 {
            let mail = joe.compose().to(stand.joe.as_str()).subject("News").text("x");
            joe.send(&mail.build().unwrap()).await.unwrap();
            stand.arrived(&stand.joe, count).await;
        }
        let found = joe.messages(MessageQuery::inbox()).await.unwrap();
        assert_eq!(found.remaining(), count);
    }
}
