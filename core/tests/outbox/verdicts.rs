//! What a server's words do to a message.

use exomail::message::RawMessage;
use exomail::outbox::{
    AddOptions, DrainOptions, Event, Outbox, OutboxId, RecipientState, RetryPolicy, State,
};
use exomail::smtp::SendOptions;

use crate::fixture::{End, Fixture, OK, Plan, add, envelope, message, quick};
use crate::tenant::{ANN, JOE, Tenant};

const BOB: &str = "bob@example.com";
const EVE: &str = "eve@example.com";

#[tokio::test]
async fn only_those_whose_refusal_may_pass_are_tried_again() {
    let fixture = Fixture::start(vec![Plan {
        recipients: vec!["250 ok", "550 5.1.1 no such user", "451 4.7.0 busy"],
        ..OK
    }])
    .await;
    let queued = fixture.add("partly", &[ANN, BOB, EVE]).await;
    let drained = fixture.drain().await;
    assert_eq!((drained.sent, drained.dead, drained.waiting), (0, 1, 0));
    assert_eq!(fixture.recipients(), [[ANN], [EVE]]);

    let entry = fixture.outbox.entry(&queued.id).unwrap();
    assert_eq!((entry.state, entry.attempts), (State::Dead, 2));
    let states: Vec<_> = entry
        .recipients
        .iter()
        .map(|recipient| (recipient.state, recipient.reply.as_deref()))
        .collect();
    assert_eq!(
        states,
        [
            (RecipientState::Delivered, None),
            (RecipientState::Refused, Some("550 5.1.1 no such user")),
            (RecipientState::Delivered, None),
        ]
    );

    // Queued again it goes to the one that is left, and to nobody else.
    fixture.outbox.retry(&queued.id).unwrap();
    let drained = fixture.drain().await;
    assert_eq!((drained.sent, drained.dead), (1, 0));
    assert_eq!(fixture.recipients(), [[ANN], [EVE], [BOB]]);
    assert!(fixture.outbox.retry(&queued.id).is_err());
}

#[tokio::test]
async fn all_or_none_means_none() {
    let refused = Plan {
        recipients: vec!["250 ok", "550 5.1.1 no such user"],
        ..OK
    };
    let fixture = Fixture::start(vec![refused]).await;
    let options = AddOptions {
        send: SendOptions {
            all_recipients: true,
            ..SendOptions::default()
        },
        ..AddOptions::default()
    };
    let raw = RawMessage::from_bytes(message("all"));
    let queued = fixture
        .outbox
        .add_raw(JOE, &envelope(&[ANN, BOB]), raw, &options)
        .await
        .unwrap();
    assert_eq!(fixture.drain().await.dead, 1);
    let entry = fixture.outbox.entry(&queued.id).unwrap();
    assert!(
        entry
            .recipients
            .iter()
            .all(|recipient| recipient.state == RecipientState::Pending)
    );
    assert!(
        entry.reason.unwrap().text.contains("no such user"),
        "the server's words"
    );
    assert!(fixture.recipients().is_empty());
}

#[tokio::test]
async fn a_passing_refusal_is_tried_again_and_a_lasting_one_is_not() {
    let say = |reply| Plan {
        end: End::Say(reply),
        ..OK
    };
    let fixture = Fixture::start(vec![
        say("451 4.7.0 Temporary server error. Please try again later."),
        say("432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded"),
        say("250 2.0.0 OK"),
        say("554 5.6.0 Invalid message content"),
    ])
    .await;
    fixture.add("one", &[ANN]).await;
    let drained = fixture.drain().await;
    assert_eq!((drained.sent, drained.dead), (1, 0));
    let attempts: Vec<_> = fixture.events.lock().unwrap().iter().map(state).collect();
    assert_eq!(attempts, [State::Queued, State::Queued, State::Sent]);

    let queued = fixture.add("two", &[ANN]).await;
    let drained = fixture.drain().await;
    assert_eq!((drained.sent, drained.dead), (0, 1));
    let entry = fixture.outbox.entry(&queued.id).unwrap();
    assert_eq!(entry.attempts, 1);
    assert!(entry.reason.unwrap().text.contains("Invalid message content"));
}

#[tokio::test]
async fn what_is_too_old_is_given_up() {
    let busy = Plan {
        end: End::Say("451 4.7.0 busy"),
        ..OK
    };
    let fixture = Fixture::start(vec![busy]).await;
    let queued = fixture.add("old", &[ANN]).await;
    let mut options = fixture.options();
    options.retry = RetryPolicy {
        max_age: std::time::Duration::ZERO,
        ..quick()
    };
    let drained = fixture.outbox.drain(&fixture.app, &options).await.unwrap();
    assert_eq!(drained.dead, 1);
    let reason = fixture.outbox.entry(&queued.id).unwrap().reason.unwrap();
    assert!(reason.text.starts_with("given up after"), "{reason:?}");
}

#[tokio::test]
async fn a_missing_permission_is_no_endless_queue() {
    let tenant = Tenant::start().await;
    let client_id = tenant.sandbox.client_id().to_owned();
    tenant
        .sandbox
        .state()
        .revoke_full_access(JOE, &client_id)
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let outbox = Outbox::open(folder.path()).unwrap();
    let mut ids: Vec<OutboxId> = Vec::new();
    for n in 0..10 {
        ids.push(add(&outbox, &format!("mail-{n}"), &[ANN]).await.id);
    }
    let options = DrainOptions {
        retry: quick(),
        ..DrainOptions::default()
    };
    let drained = outbox.drain(&tenant.app, &options).await.unwrap();
    assert_eq!((drained.dead, drained.waiting), (10, 0));
    let dead = outbox.entries(State::Dead).unwrap();
    assert_eq!(dead.len(), 10);
    for entry in &dead {
        let reason = entry.reason.as_ref().unwrap();
        assert_eq!(reason.kind, "mailbox_unavailable", "{reason:?}");
        assert!(reason.text.contains("MapiExceptionLogonFailed"), "{reason:?}");
        assert!(reason.hint.as_ref().unwrap().contains("Add-MailboxPermission"));
        assert!(entry.attempts <= 3);
    }
    // The first was tried as often as it takes to believe it.
    assert!(dead.iter().any(|entry| entry.attempts == 3));

    tenant.sandbox.state().grant_full_access(JOE, &client_id).unwrap();
    for id in &ids {
        outbox.retry(id).unwrap();
    }
    assert_eq!(outbox.drain(&tenant.app, &options).await.unwrap().sent, 10);
    assert_eq!(tenant.sandbox.messages(ANN, "INBOX").len(), 10);
}

fn state(event: &Event) -> State {
    match event {
        Event::Message(entry) => entry.state,
        Event::Damaged(damaged) => panic!("{damaged:?}"),
    }
}
