//! Connections that break and workers that die.

use std::time::Duration;

use exomail::message::{Message, RawMessage};
use exomail::outbox::{DrainOptions, Outbox, State, UnknownPolicy};

use crate::fixture::{End, Fixture, Mail, OK, Plan, add, message};
use crate::tenant::{ANN, JOE, Tenant};

fn check_sent(options: DrainOptions) -> DrainOptions {
    DrainOptions {
        unknown: UnknownPolicy::CheckSent {
            after: Duration::ZERO,
        },
        ..options
    }
}

fn plan(end: End) -> Vec<Plan> {
    vec![Plan { end, ..OK }]
}

#[tokio::test]
async fn a_connection_cut_behind_the_message_is_not_repeated() {
    let fixture = Fixture::start(plan(End::HangUp)).await;
    let queued = fixture.add("one", &[ANN]).await;
    for _ in 0..2 {
        let drained = fixture.drain().await;
        assert_eq!((drained.sent, drained.unknown, drained.waiting), (0, 1, 0));
    }
    assert_eq!(fixture.mails.lock().unwrap().len(), 1);
    let entry = fixture.outbox.entry(&queued.id).unwrap();
    assert_eq!(
        (entry.state, entry.message_id.as_str()),
        (State::Unknown, "one@contoso.example")
    );
    // It counts as here: nothing queues it behind the caller's back.
    assert!(!fixture.add("one", &[ANN]).await.is_new);
    // The caller decides.
    fixture.outbox.retry(&queued.id).unwrap();
    assert_eq!(fixture.drain().await.sent, 1);
    assert_eq!(fixture.mails.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn sent_items_decide_where_asked() {
    let fixture = Fixture::start(vec![
        Plan {
            end: End::HangUp,
            ..OK
        },
        Plan {
            end: End::HangUp,
            ..OK
        },
    ])
    .await;
    let there = fixture.add("there", &[ANN]).await;
    fixture.drain().await;
    let missing = fixture.add("missing", &[ANN]).await;
    fixture.drain().await;
    assert_eq!(fixture.outbox.entries(State::Unknown).unwrap().len(), 2);
    // Both ids are a part of one that is there; only one is there itself.
    for name in ["there", "not-there", "not-missing"] {
        let joe = fixture.app.mailbox(JOE).unwrap();
        let raw = RawMessage::from_bytes(message(name));
        joe.append("Sent Items", raw, &[]).await.unwrap();
    }

    let options = check_sent(fixture.options());
    let drained = fixture.outbox.drain(&fixture.app, &options).await.unwrap();
    assert_eq!((drained.sent, drained.unknown), (2, 0));
    assert_eq!(subjects(&fixture), ["there", "missing", "missing"]);
    for id in [there.id, missing.id] {
        assert_eq!(fixture.outbox.entry(&id).unwrap().state, State::Sent);
    }
}

#[tokio::test]
async fn a_copy_for_others_proves_nothing() {
    let partly = Plan {
        recipients: vec!["250 ok", "451 4.7.0 busy"],
        ..OK
    };
    let cut = Plan {
        end: End::HangUp,
        ..OK
    };
    let fixture = Fixture::start(vec![partly, cut]).await;
    let queued = fixture.add("one", &[ANN, "bob@example.com"]).await;
    assert_eq!(fixture.drain().await.unknown, 1);
    let joe = fixture.app.mailbox(JOE).unwrap();
    let append = async || {
        let raw = RawMessage::from_bytes(message("one"));
        joe.append("Sent Items", raw, &[]).await.unwrap();
    };
    append().await;
    let options = check_sent(fixture.options());
    let drained = fixture.outbox.drain(&fixture.app, &options).await.unwrap();
    assert_eq!((drained.sent, drained.unknown), (0, 1));
    append().await;
    let drained = fixture.outbox.drain(&fixture.app, &options).await.unwrap();
    assert_eq!((drained.sent, drained.unknown), (1, 0));
    assert_eq!(fixture.outbox.entry(&queued.id).unwrap().state, State::Sent);
    assert_eq!(fixture.mails.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_worker_that_dies_before_the_message_leaves_it_queued() {
    let fixture = Fixture::start(plan(End::SilentBefore)).await;
    let queued = fixture.add("one", &[ANN]).await;
    die(&fixture).await;
    assert_eq!(fixture.outbox.entry(&queued.id).unwrap().state, State::Queued);
    assert_eq!(fixture.drain().await.sent, 1);
    assert_eq!(subjects(&fixture), ["one"]);
}

#[tokio::test]
async fn a_worker_that_dies_behind_the_message_leaves_it_unknown() {
    let fixture = Fixture::start(plan(End::SilentBehind)).await;
    let queued = fixture.add("one", &[ANN]).await;
    die(&fixture).await;
    assert_eq!(fixture.outbox.entry(&queued.id).unwrap().state, State::Sending);
    let drained = fixture.drain().await;
    assert_eq!((drained.sent, drained.unknown), (0, 1));
    assert_eq!(fixture.outbox.entry(&queued.id).unwrap().state, State::Unknown);
    assert_eq!(subjects(&fixture), ["one"]);
}

#[tokio::test]
async fn a_worker_that_is_stopped_settles_what_is_under_way() {
    let tenant = Tenant::start().await;
    let folder = tempfile::tempdir().unwrap();
    let outbox = Outbox::open(folder.path()).unwrap();
    for n in 0..10 {
        add(&outbox, &format!("mail-{n}"), &[ANN]).await;
    }
    let options = DrainOptions {
        parallel: 2,
        ..DrainOptions::default()
    };
    let cancel = options.cancel.clone();
    let options = options.with_listener(move |_| cancel.cancel());
    let drained = outbox.drain(&tenant.app, &options).await.unwrap();
    assert!((1..=2).contains(&drained.sent), "{drained:?}");
    assert_eq!((drained.waiting, drained.unknown), (10 - drained.sent, 0));
    assert!(outbox.entries(State::Sending).unwrap().is_empty());
    let rest = outbox.drain(&tenant.app, &DrainOptions::default()).await.unwrap();
    assert_eq!(rest.sent, 10 - drained.sent);
    assert_eq!(tenant.sandbox.messages(ANN, "INBOX").len(), 10);
}

#[tokio::test]
async fn one_look_leaves_what_has_to_wait() {
    let busy = Plan {
        end: End::Say("451 4.7.0 busy"),
        ..OK
    };
    let fixture = Fixture::start(vec![busy]).await;
    fixture.add("one", &[ANN]).await;
    let options = DrainOptions::default();
    let drained = fixture.outbox.drain_once(&fixture.app, &options).await.unwrap();
    assert_eq!((drained.sent, drained.waiting), (0, 1));
    let entry = fixture.outbox.entries(State::Queued).unwrap().remove(0);
    let pause = entry.next_try.unwrap().duration_since(entry.queued);
    assert!((40..=80).contains(&pause.as_secs()), "{pause:?}");
    // Not due yet, also for another worker.
    let drained = fixture.outbox.drain_once(&fixture.app, &options).await.unwrap();
    assert_eq!((drained.sent, drained.waiting), (0, 1));
}

/// A worker that is gone in the moment when the server has fallen silent.
async fn die(fixture: &Fixture) {
    let options = fixture.options();
    tokio::select! {
        drained = fixture.outbox.drain(&fixture.app, &options) => panic!("{drained:?}"),
        () = fixture.silent.notified() => {}
    }
}

fn subjects(fixture: &Fixture) -> Vec<String> {
    let mails = fixture.mails.lock().unwrap();
    let subject = |mail: &Mail| {
        let message = Message::parse(mail.bytes.clone()).unwrap();
        message.subject().unwrap()
    };
    mails.iter().map(subject).collect()
}
