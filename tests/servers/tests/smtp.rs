//! SMTP submission against Postfix.
#![allow(clippy::unwrap_used, reason = "a test that fails should panic")]

mod support;

use exomail::message::RawMessage;
use exomail::smtp::{Dsn, Notify, SendOptions, SmtpSession};
use exomail::{ErrorKind, Layer};
use support::{SECURITIES, Stand, assert_delivered, envelope, message};

#[tokio::test]
async fn mail_arrives_byte_for_byte_over_both_ways_to_tls() {
    let stand = Stand::start().await;
    let login = stand.login(&stand.joe);
    let mut sent = Vec::new();
    for (number, security) in SECURITIES.into_iter().enumerate() {
        let endpoint = stand.endpoint(Layer::Smtp, security);
        let mut session = SmtpSession::connect(&stand.connector, &endpoint, &login)
            .await
            .unwrap();
        let mail = message(&stand, &format!("m{number}"), "Grüße\r\n.\r\n..two dots\r\n\r\n");
        let report = session
            .send(
                &envelope(&stand.joe, &[&stand.ann]),
                RawMessage::from_bytes(mail.clone()),
                &SendOptions::default(),
            )
            .await
            .unwrap();
        assert_eq!(report.accepted().count(), 1);
        assert!(report.queue_id.is_some(), "{:?}", report.reply);
        session.quit().await.unwrap();
        sent.push(mail);
        let received = stand.received(&stand.ann, sent.len()).await;
        assert_delivered(received.last().unwrap(), sent.last().unwrap());
    }
}

/// The connection is used again, and a mail on an open connection is one flight: Postfix offers PIPELINING and CHUNKING.
#[tokio::test]
async fn one_connection_takes_mail_after_mail() {
    let stand = Stand::start().await;
    let mut session = stand.smtp(&stand.joe).await;
    let mails: Vec<_> = (0..20)
        .map(|number| message(&stand, &format!("m{number}"), "one of many\r\n"))
        .collect();
    for mail in &mails {
        let before = session.flights();
        session
            .send(
                &envelope(&stand.joe, &[&stand.ann]),
                RawMessage::from_bytes(mail.clone()),
                &SendOptions::default(),
            )
            .await
            .unwrap();
        assert_eq!(session.flights() - before, 1);
    }
    session.noop().await.unwrap();
    session.reset().await.unwrap();
    session.quit().await.unwrap();
    let received = stand.received(&stand.ann, mails.len()).await;
    for mail in &mails {
        assert_eq!(received.iter().filter(|body| body.ends_with(mail)).count(), 1);
    }
}

#[tokio::test]
async fn one_bad_recipient_of_three_stops_only_itself() {
    let stand = Stand::start().await;
    let nobody = format!("nobody@{}", stand.sandbox.domain());
    let to = [stand.joe.as_str(), &nobody, &stand.ann];
    let mut session = stand.smtp(&stand.joe).await;
    let mail = message(&stand, "three", "for two of you\r\n");
    let report = session
        .send(
            &envelope(&stand.joe, &to),
            RawMessage::from_bytes(mail.clone()),
            &SendOptions::default(),
        )
        .await
        .unwrap();
    let refused: Vec<_> = report.rejected().collect();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].address, nobody);
    assert_eq!(refused[0].reply.code, Some(550));
    assert_eq!(refused[0].reply.enhanced.as_deref(), Some("5.1.1"));
    for mailbox in [&stand.joe, &stand.ann] {
        assert_delivered(&stand.received(mailbox, 1).await[0], &mail);
    }

    // All or none: refused, nothing delivered, and the connection still good.
    let all = SendOptions {
        all_recipients: true,
        ..SendOptions::default()
    };
    let error = session
        .send(
            &envelope(&stand.joe, &to),
            RawMessage::from_bytes(message(&stand, "none", "for nobody\r\n")),
            &all,
        )
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RecipientsRejected, "{error}");
    let error = session
        .send(
            &envelope(&stand.joe, &[&nobody]),
            RawMessage::from_bytes(mail.clone()),
            &SendOptions::default(),
        )
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RecipientsRejected, "{error}");
    let last = message(&stand, "last", "for both of you\r\n");
    session
        .send(
            &envelope(&stand.joe, &[&stand.joe, &stand.ann]),
            RawMessage::from_bytes(last.clone()),
            &all,
        )
        .await
        .unwrap();
    session.quit().await.unwrap();
    for mailbox in [&stand.joe, &stand.ann] {
        let received = stand.received(mailbox, 2).await;
        assert_eq!(received.len(), 2);
        assert_delivered(&received[1], &last);
    }
}

#[tokio::test]
async fn another_sender_is_refused_as_send_as() {
    let stand = Stand::start().await;
    let mut session = stand.smtp(&stand.joe).await;
    let error = session
        .send(
            &envelope(&stand.ann, &[&stand.joe]),
            RawMessage::from_bytes(message(&stand, "as-ann", "not from Ann\r\n")),
            &SendOptions::default(),
        )
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SendAsDenied, "{error}");
    assert!(
        error.server().unwrap().text.contains("not owned by user"),
        "{error}"
    );
    session.quit().await.unwrap();
}

/// "a LF . LF b" is the pattern of SMTP smuggling: sent as it is, Postfix took the dot for the end of the mail.
#[tokio::test]
async fn bare_line_feeds_arrive_as_line_ends_and_the_mail_whole() {
    let stand = Stand::start().await;
    let text = "a\n.\nb\rc\r\n.\r\n.d\n";
    let mut mail = message(&stand, "bare", "");
    mail.extend_from_slice(text.as_bytes());
    stand.send(&[&stand.ann], mail).await;
    let received = stand.received(&stand.ann, 1).await;
    let body = String::from_utf8(received[0].clone()).unwrap();
    let body = body.split_once("\r\n\r\n").unwrap().1;
    let lines: Vec<_> = body.lines().collect();
    assert_eq!(lines, ["a", ".", "b", "c", ".", ".d"], "{body:?}");
    assert_eq!(received.len(), 1);
}

#[tokio::test]
async fn twenty_megabytes_arrive_byte_for_byte() {
    let stand = Stand::start().await;
    let mut mail = message(&stand, "large", "");
    // Lines that begin with a dot, and no two alike.
    for number in 0.. {
        mail.extend_from_slice(format!(".{number:>70}\r\n").as_bytes());
        if mail.len() > 20 * 1024 * 1024 {
            break;
        }
    }
    stand.send(&[&stand.ann], mail.clone()).await;
    let received = stand.received(&stand.ann, 1).await;
    assert!(received[0].ends_with(&mail));
}

/// The server's limit is known from EHLO: nothing is sent.
#[tokio::test]
async fn a_mail_over_the_limit_is_refused_before_it_is_sent() {
    let stand = Stand::start().await;
    let mut session = stand.smtp(&stand.joe).await;
    assert_eq!(session.capabilities().max_size(), Some(157_286_400));
    let before = session.flights();
    let endless = RawMessage::from_reader(tokio::io::repeat(b'a'), Some(157_286_401));
    let error = session
        .send(
            &envelope(&stand.joe, &[&stand.ann]),
            endless,
            &SendOptions::default(),
        )
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    assert_eq!(session.flights(), before);
    session.quit().await.unwrap();
}

#[tokio::test]
async fn a_delivery_notification_comes_back() {
    let stand = Stand::start().await;
    let mut session = stand.smtp(&stand.joe).await;
    let options = SendOptions {
        dsn: Some(Dsn {
            notify: Some(Notify {
                success: true,
                ..Notify::NEVER
            }),
            envelope_id: Some("order-4711".to_owned()),
            ..Dsn::default()
        }),
        ..SendOptions::default()
    };
    session
        .send(
            &envelope(&stand.joe, &[&stand.ann]),
            RawMessage::from_bytes(message(&stand, "dsn", "tell me\r\n")),
            &options,
        )
        .await
        .unwrap();
    session.quit().await.unwrap();
    let received = stand.received(&stand.joe, 1).await;
    let notice = String::from_utf8_lossy(&received[0]).into_owned();
    assert!(notice.contains("Original-Envelope-Id: order-4711"), "{notice}");
    assert!(
        notice.contains("Action: delivered") || notice.contains("Action: relayed"),
        "{notice}"
    );
}
