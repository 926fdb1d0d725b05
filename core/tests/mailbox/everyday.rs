//! The main job: send, list, read, mark, move, delete, and POP3.

use exomail::imap::{Flag, Query, Role, Store};
use exomail::message::{Attachment, Message, OutgoingMessage, RawMessage};
use exomail::smtp::SendOptions;
use exomail::{ErrorKind, MessageQuery, MessageRef};
use lettre::AsyncTransport;

use crate::tenant::{ANN, JOE, Tenant, deliver, subjects};

#[tokio::test]
async fn a_mail_with_an_attachment_arrives_byte_for_byte() {
    let tenant = Tenant::start().await;
    let (joe, ann) = (tenant.mailbox(JOE), tenant.mailbox(ANN));
    let data: Vec<u8> = (0..=255).cycle().take(200_000).collect();
    let mail = joe
        .compose()
        .to(ANN)
        .subject("Übersicht – 概要")
        .text("Siehe Anlage.\n.\nEnde")
        .attach(Attachment::bytes(
            "übersicht.bin",
            "application/octet-stream",
            data.clone(),
        ))
        .build()
        .unwrap();
    let report = joe.send(&mail).await.unwrap();
    assert_eq!(report.accepted().count(), 1);

    let mut unread = ann.messages(MessageQuery::unseen()).await.unwrap();
    let (id, summary) = unread.next().await.unwrap().unwrap();
    assert!(unread.next().await.unwrap().is_none());
    assert_eq!(summary.envelope.subject, "Übersicht – 概要");
    let message = ann.message(&id).await.unwrap();
    assert_eq!(message.message_id().as_deref(), Some(mail.message_id()));
    assert_eq!(message.text().unwrap().trim_end(), "Siehe Anlage.\r\n.\r\nEnde");
    let attachments: Vec<_> = message.attachments().collect();
    assert_eq!(attachments.len(), 1);
    assert_eq!(attachments[0].name().as_deref(), Some("übersicht.bin"));
    assert_eq!(attachments[0].bytes(), data);

    // What went out is the end of what arrived: servers only put header fields in front.
    let sent = mail.to_bytes().await.unwrap();
    assert!(message.raw().ends_with(&sent));
    // Reading has not marked it, and POP3 sees the same bytes.
    assert_eq!(ann.messages(MessageQuery::unseen()).await.unwrap().remaining(), 1);
    let (mut pop3, mut copy) = (ann.pop3().await.unwrap(), Vec::new());
    pop3.retr(1, &mut copy).await.unwrap();
    assert_eq!(&copy, message.raw());
    pop3.quit().await.unwrap();
}

#[tokio::test]
async fn messages_come_in_the_order_asked_for_and_in_pages() {
    let tenant = Tenant::start().await;
    deliver(&tenant, JOE, 250);
    let joe = tenant.mailbox(JOE);
    let all = subjects(&joe, MessageQuery::inbox()).await;
    assert_eq!(
        (all.len(), all[0].as_str(), all[249].as_str()),
        (250, "Mail 0", "Mail 249")
    );
    let newest = subjects(&joe, MessageQuery::inbox().newest_first().limit(2)).await;
    assert_eq!(newest, ["Mail 249", "Mail 248"]);
    let found = subjects(&joe, MessageQuery::from(Query::all().subject("Mail 77"))).await;
    assert_eq!(found, ["Mail 77"]);
    let mut pages = joe.messages(MessageQuery::inbox()).await.unwrap();
    assert_eq!(pages.next_page().await.unwrap().len(), 100);
    assert_eq!(pages.remaining(), 150);
}

#[tokio::test]
async fn a_message_that_goes_away_while_listing_is_left_out() {
    let tenant = Tenant::start().await;
    deliver(&tenant, JOE, 102);
    let joe = tenant.mailbox(JOE);
    let mut messages = joe.messages(MessageQuery::inbox()).await.unwrap();
    let first = messages.next_page().await.unwrap();
    let (last, _) = messages.next().await.unwrap().unwrap();
    assert_eq!(first.len(), 100);
    let mut again = joe.messages(MessageQuery::inbox()).await.unwrap();
    assert_eq!(again.next_page().await.unwrap().len(), 100);
    joe.delete_forever(&[last]).await.unwrap();
    assert_eq!(again.all().await.unwrap().len(), 1);
}

#[tokio::test]
async fn marking_moving_copying_and_deleting() {
    let tenant = Tenant::start().await;
    deliver(&tenant, JOE, 3);
    let joe = tenant.mailbox(JOE);
    let ids: Vec<MessageRef> = joe
        .messages(MessageQuery::inbox())
        .await
        .unwrap()
        .all()
        .await
        .unwrap()
        .into_iter()
        .map(|m| m.0)
        .collect();

    joe.mark(&ids[..2], Store::Add, &[Flag::Seen, Flag::Flagged])
        .await
        .unwrap();
    assert_eq!(subjects(&joe, MessageQuery::unseen()).await, ["Mail 2"]);
    joe.mark(&ids[..1], Store::Remove, &[Flag::Seen]).await.unwrap();
    assert_eq!(subjects(&joe, MessageQuery::unseen()).await, ["Mail 0", "Mail 2"]);

    joe.copy_to(&ids[2..], "Archive").await.unwrap();
    joe.move_to(&ids[..1], "Archive").await.unwrap();
    assert_eq!(
        subjects(&joe, MessageQuery::folder("Archive")).await,
        ["Mail 2", "Mail 0"]
    );
    assert_eq!(subjects(&joe, MessageQuery::inbox()).await, ["Mail 1", "Mail 2"]);

    let trash = joe.folder_for(Role::Trash).await.unwrap().unwrap().name;
    joe.delete(&ids[1..2]).await.unwrap();
    assert_eq!(subjects(&joe, MessageQuery::folder(&trash)).await, ["Mail 1"]);
    // Deleted from the folder for deleted items, it is gone.
    let in_trash = joe
        .messages(MessageQuery::folder(&trash))
        .await
        .unwrap()
        .next()
        .await
        .unwrap()
        .unwrap()
        .0;
    joe.delete(&[in_trash]).await.unwrap();
    assert_eq!(
        joe.messages(MessageQuery::folder(&trash))
            .await
            .unwrap()
            .remaining(),
        0
    );
    assert_eq!(subjects(&joe, MessageQuery::inbox()).await, ["Mail 2"]);

    // Nothing to do is no error.
    joe.move_to(&[], "Archive").await.unwrap();
    let error = joe.message(&ids[0]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_message_is_appended_and_told_by_name() {
    let tenant = Tenant::start().await;
    let joe = tenant.mailbox(JOE);
    let raw = RawMessage::from_bytes("Subject: Draft\r\n\r\nNot yet.\r\n");
    let id = joe
        .append("Drafts", raw, &[Flag::Draft, Flag::Seen])
        .await
        .unwrap()
        .unwrap();
    assert_eq!(id.folder(), "Drafts");
    let mut bytes = Vec::new();
    assert_eq!(joe.fetch(&id, &mut bytes).await.unwrap(), bytes.len() as u64);
    assert_eq!(bytes, b"Subject: Draft\r\n\r\nNot yet.\r\n");
    let parsed: MessageRef = id.to_string().parse().unwrap();
    assert_eq!(
        joe.message(&parsed).await.unwrap().subject().as_deref(),
        Some("Draft")
    );
}

#[tokio::test]
async fn a_program_written_for_lettre_sends_through_the_mailbox() {
    let tenant = Tenant::start().await;
    let message = lettre::Message::builder()
        .from(JOE.parse().unwrap())
        .to(ANN.parse().unwrap())
        .subject("From lettre")
        .body("Hello\r\n".to_owned())
        .unwrap();
    let joe = tenant.mailbox(JOE);
    let report = AsyncTransport::send(&joe, message).await.unwrap();
    assert_eq!(report.accepted().count(), 1);
    let stored = tenant.sandbox.messages(ANN, "INBOX");
    assert_eq!(
        Message::parse(stored[0].raw.clone())
            .unwrap()
            .subject()
            .as_deref(),
        Some("From lettre")
    );
}

#[tokio::test]
async fn one_refused_recipient_does_not_keep_the_mail_from_the_others() {
    let tenant = Tenant::start().await;
    let joe = tenant.mailbox(JOE);
    let mail = |text: &str| {
        let nobody = "nobody@contoso.example";
        joe.compose()
            .to(ANN)
            .to(nobody)
            .bcc(JOE)
            .subject("Three")
            .text(text)
            .build()
            .unwrap()
    };
    let report = joe.send(&mail("to those that are there")).await.unwrap();
    assert_eq!((report.accepted().count(), report.rejected().count()), (2, 1));
    assert_eq!(
        report.rejected().next().unwrap().address,
        "nobody@contoso.example"
    );
    assert_eq!(tenant.sandbox.messages(ANN, "INBOX").len(), 1);

    let all = SendOptions {
        all_recipients: true,
        ..SendOptions::default()
    };
    let error = joe.send_with(&mail("to all or to none"), &all).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RecipientsRejected);
    assert_eq!(tenant.sandbox.messages(ANN, "INBOX").len(), 1);
    // The session is still good for the next mail.
    joe.send(&mail("again")).await.unwrap();
    assert_eq!(tenant.sandbox.messages(ANN, "INBOX").len(), 2);
}

#[tokio::test]
async fn a_ready_message_needs_no_builder() {
    let tenant = Tenant::start().await;
    let mail = OutgoingMessage::builder()
        .from(JOE)
        .to(ANN)
        .subject("Ready")
        .text("made")
        .build()
        .unwrap();
    let bytes = mail.to_bytes().await.unwrap();
    let joe = tenant.mailbox(JOE);
    let raw = RawMessage::from_bytes(bytes.clone());
    joe.send_raw(mail.envelope(), raw, &SendOptions::default())
        .await
        .unwrap();
    assert!(tenant.sandbox.messages(ANN, "INBOX")[0].raw.ends_with(&bytes));
    assert!(
        tenant.sandbox.messages(JOE, "Sent Items")[0]
            .raw
            .ends_with(&bytes)
    );
}
