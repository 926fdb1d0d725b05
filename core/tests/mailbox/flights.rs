//! Flights, counted by the sandbox: exactly as many as the design says.

use exomail::imap::{Access, BodyEvent, ImapSession, Section, UidSet};
use exomail_sandbox::{Protocol, Sandbox};

use crate::tenant::{ANN, JOE, Tenant, deliver, subjects};

#[tokio::test]
async fn the_second_mail_on_an_open_connection_is_one_flight() {
    let tenant = Tenant::start().await;
    let joe = tenant.mailbox(JOE);
    let mail = joe
        .compose()
        .to(ANN)
        .to(JOE)
        .subject("One flight")
        .text("x")
        .build()
        .unwrap();
    joe.send(&mail).await.unwrap();
    let before = tenant.flights(Protocol::Smtp);
    joe.send(&mail).await.unwrap();
    assert_eq!(tenant.flights(Protocol::Smtp) - before, 1);
    assert_eq!(tenant.sandbox.messages(ANN, "INBOX").len(), 2);
}

#[tokio::test]
async fn login_and_select_are_two_flights() {
    let tenant = Tenant::start().await;
    deliver(&tenant, JOE, 7);
    let (connector, endpoint) = (tenant.app.connector(), tenant.app.cloud().imap());
    let login = tenant.app.login(JOE).unwrap();
    let (session, selected) =
        ImapSession::connect_selected(connector, endpoint, &login, "INBOX", Access::ReadWrite)
            .await
            .unwrap();
    assert_eq!(selected.exists, 7);
    assert_eq!(tenant.flights(Protocol::Imap), 2);
    assert_eq!(session.flights(), 2);
}

#[tokio::test]
async fn a_hundred_bodies_are_one_flight() {
    let tenant = Tenant::start().await;
    deliver(&tenant, JOE, 100);
    let login = tenant.app.login(JOE).unwrap();
    let (connector, endpoint) = (tenant.app.connector(), tenant.app.cloud().imap());
    let (mut session, _) =
        ImapSession::connect_selected(connector, endpoint, &login, "INBOX", Access::ReadOnly)
            .await
            .unwrap();
    let before = tenant.flights(Protocol::Imap);
    let (whole, everything) = (Section::whole(), UidSet::all());
    let mut bodies = session.fetch_many(&everything, &whole);
    let mut ended = 0;
    while let Some(event) = bodies.next().await.unwrap() {
        ended += usize::from(matches!(event, BodyEvent::End { .. }));
    }
    assert_eq!(ended, 100);
    assert_eq!(tenant.flights(Protocol::Imap) - before, 1);
}

#[tokio::test]
async fn a_hundred_pop3_messages_are_one_flight_where_the_server_pipelines() {
    let tenant = Tenant::with(Sandbox::builder().pop3_pipelining()).await;
    deliver(&tenant, JOE, 100);
    let mut session = tenant.mailbox(JOE).pop3().await.unwrap();
    let before = tenant.flights(Protocol::Pop3);
    let numbers: Vec<u32> = (1..=100).collect();
    let mut messages = session.retr_many(&numbers).unwrap();
    let mut events = 0;
    while messages.next().await.unwrap().is_some() {
        events += 1;
    }
    assert!(events >= 200, "{events}");
    assert_eq!(tenant.flights(Protocol::Pop3) - before, 1);
}

#[tokio::test]
async fn a_page_of_messages_is_connect_search_and_fetch() {
    let tenant = Tenant::start().await;
    deliver(&tenant, JOE, 50);
    let joe = tenant.mailbox(JOE);
    let page = joe
        .messages(exomail::MessageQuery::inbox())
        .await
        .unwrap()
        .next_page()
        .await
        .unwrap();
    assert_eq!(page.len(), 50);
    assert_eq!(tenant.flights(Protocol::Imap), 4);
}

/// A NOOP that travels in front of the search lets it see new mail; it costs no flight.
#[tokio::test]
async fn the_next_page_shows_what_came_in_meanwhile() {
    let tenant = Tenant::start().await;
    let joe = tenant.mailbox(JOE);
    for count in 1..=3 {
        deliver(&tenant, JOE, 1);
        let before = match count {
            1 => 0,
            _ => tenant.flights(Protocol::Imap),
        };
        assert_eq!(subjects(&joe, exomail::MessageQuery::inbox()).await.len(), count);
        let expected = if count == 1 { 4 } else { 2 };
        assert_eq!(tenant.flights(Protocol::Imap) - before, expected);
    }
    let noops = tenant.transcript.lines().into_iter();
    let noops = noops.filter(|line| line.text.ends_with(" NOOP")).count();
    assert_eq!(noops, 2);
}
