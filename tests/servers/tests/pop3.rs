//! POP3 against Dovecot.
#![allow(clippy::unwrap_used, reason = "a test that fails should panic")]

mod support;

use std::collections::BTreeMap;

use exomail::pop3::{Pop3Session, RetrievedEvent};
use exomail::{ErrorKind, Layer};
use support::{SECURITIES, Stand, assert_delivered, message};

#[tokio::test]
async fn mail_is_read_byte_for_byte_over_both_ways_to_tls() {
    let stand = Stand::start().await;
    let mail = message(
        &stand,
        "dots",
        "Grüße\r\n.\r\n..\r\n...three\r\n\r\nend without line end",
    );
    stand.send(&[&stand.ann], mail.clone()).await;
    stand.received(&stand.ann, 1).await;
    let login = stand.login(&stand.ann);
    for security in SECURITIES {
        let endpoint = stand.endpoint(Layer::Pop3, security);
        let mut session = Pop3Session::connect(&stand.connector, &endpoint, &login)
            .await
            .unwrap();
        let mut body = Vec::new();
        let octets = session.retr(1, &mut body).await.unwrap();
        assert_eq!(octets, body.len() as u64);
        assert_eq!(session.stat().await.unwrap().octets, octets);
        session.quit().await.unwrap();
        // SMTP ends every message with a line end.
        assert_delivered(&body, &[mail.as_slice(), b"\r\n"].concat());
    }
}

#[tokio::test]
async fn every_verb_does_what_it_says() {
    let stand = Stand::start().await;
    let mails: Vec<_> = (0..5)
        .map(|number| message(&stand, &format!("m{number}"), "line 1\r\nline 2\r\nline 3\r\n"))
        .collect();
    for mail in &mails {
        stand.send(&[&stand.ann], mail.clone()).await;
    }
    stand.received(&stand.ann, 5).await;

    let mut session = stand.pop3(&stand.ann).await;
    let stat = session.stat().await.unwrap();
    let list = session.list().await.unwrap();
    let uidl: BTreeMap<_, _> = session.uidl().await.unwrap().into_iter().collect();
    assert_eq!(stat.messages, 5);
    assert_eq!(list.iter().map(|entry| entry.octets).sum::<u64>(), stat.octets);
    assert_eq!(uidl.keys().copied().collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert_eq!(uidl.values().collect::<std::collections::BTreeSet<_>>().len(), 5);

    let mut top = Vec::new();
    session.top(2, 1, &mut top).await.unwrap();
    let top = String::from_utf8(top).unwrap();
    assert!(top.ends_with("\r\n\r\nline 1\r\n"), "{top:?}");

    session.dele(2).await.unwrap();
    let error = session.retr(2, &mut Vec::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    session.reset().await.unwrap();
    session.retr(2, &mut Vec::new()).await.unwrap();
    session.noop().await.unwrap();
    let error = session.retr(99, &mut Vec::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    session.dele(1).await.unwrap();
    session.dele(5).await.unwrap();
    // Without QUIT nothing is deleted.
    drop(session);

    let mut session = stand.pop3(&stand.ann).await;
    assert_eq!(session.stat().await.unwrap().messages, 5);
    session.dele(1).await.unwrap();
    session.dele(5).await.unwrap();
    session.quit().await.unwrap();

    let mut session = stand.pop3(&stand.ann).await;
    let left: Vec<_> = session
        .uidl()
        .await
        .unwrap()
        .into_iter()
        .map(|(_, uid)| uid)
        .collect();
    assert_eq!(left, [2, 3, 4].map(|number| uidl[&number].clone()));
    session.quit().await.unwrap();
}

/// Dovecot offers PIPELINING: many messages come in one flight, a missing one between them is told and stops nothing.
#[tokio::test]
async fn many_messages_come_in_one_flight() {
    let stand = Stand::start().await;
    let mut smtp = stand.smtp(&stand.joe).await;
    let mails: Vec<_> = (0..50)
        .map(|number| {
            message(
                &stand,
                &format!("m{number}"),
                &("line\r\n".repeat(number * 20) + "end"),
            )
        })
        .collect();
    for mail in &mails {
        smtp.send(
            &support::envelope(&stand.joe, &[&stand.ann]),
            exomail::message::RawMessage::from_bytes(mail.clone()),
            &exomail::smtp::SendOptions::default(),
        )
        .await
        .unwrap();
    }
    stand.received(&stand.ann, mails.len()).await;

    let mut session = stand.pop3(&stand.ann).await;
    assert!(session.capabilities().pipelining());
    let mut numbers: Vec<u32> = (1..=50).collect();
    numbers.insert(10, 77);
    let before = session.flights();
    let mut bodies: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
    let mut refused = Vec::new();
    let mut current = 0;
    let mut retrieved = session.retr_many(&numbers).unwrap();
    while let Some(event) = retrieved.next().await.unwrap() {
        match event {
            RetrievedEvent::Begin { number } => current = number,
            RetrievedEvent::Chunk(chunk) => bodies.entry(current).or_default().extend_from_slice(&chunk),
            RetrievedEvent::End { number, octets } => assert_eq!(bodies[&number].len() as u64, octets),
            RetrievedEvent::Refused { number, error } => refused.push((number, error.kind())),
        }
    }
    drop(retrieved);
    assert_eq!(session.flights() - before, 1);
    assert_eq!(refused, [(77, ErrorKind::NotFound)]);
    assert_eq!(bodies.len(), 50);
    for mail in &mails {
        let sent = [mail.as_slice(), b"\r\n"].concat();
        assert_eq!(bodies.values().filter(|body| body.ends_with(&sent)).count(), 1);
    }
    session.quit().await.unwrap();
}
