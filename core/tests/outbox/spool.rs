//! What lies on the disk.

use std::fs;
use std::sync::Arc;

use exomail::message::RawMessage;
use exomail::outbox::{AddOptions, DrainOptions, Outbox, OutboxId, State};
use exomail::{CancelToken, ErrorKind};

use crate::fixture::{Fixture, add, envelope, message};
use crate::tenant::{ANN, JOE, Tenant};

#[tokio::test]
async fn a_message_is_queued_once_and_arrives_byte_for_byte() {
    let fixture = Fixture::start(Vec::new()).await;
    let first = fixture.add("one", &[ANN]).await;
    let again = fixture.add("one", &[ANN]).await;
    assert!(first.is_new && !again.is_new);
    assert_eq!(
        (&again.id, again.state, again.message_id.as_str()),
        (&first.id, State::Queued, "one@contoso.example")
    );
    assert_eq!(fixture.drain().await.sent, 1);
    assert_eq!(
        fixture.mails.lock().unwrap()[0].bytes,
        message("one").into_bytes()
    );

    // It is remembered, without its bytes.
    let late = fixture.add("one", &[ANN]).await;
    assert_eq!((late.is_new, late.state), (false, State::Sent));
    let record = fs::read_to_string(fixture.path("sent").join(first.id.as_str())).unwrap();
    assert!(!record.contains("The text of"), "{record}");
    assert_eq!(fixture.drain().await.sent, 0);

    // Unless it is asked for.
    let options = AddOptions {
        again: true,
        ..AddOptions::default()
    };
    let raw = RawMessage::from_bytes(message("one"));
    let copy = fixture
        .outbox
        .add_raw(JOE, &envelope(&[ANN]), raw, &options)
        .await
        .unwrap();
    assert!(copy.is_new && copy.id.as_str().ends_with("-2"));
    assert_eq!(fixture.drain().await.sent, 1);
    assert_eq!(fixture.mails.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_large_file_arrives_and_one_without_message_id_gets_one() {
    let fixture = Fixture::start(Vec::new()).await;
    let body = "0123456789abcdef\r\n".repeat(200_000);
    let path = fixture.folder().join("large.eml");
    fs::write(&path, format!("Subject: large\r\n\r\n{body}")).unwrap();
    let raw = RawMessage::from_file(&path);
    let queued = fixture
        .outbox
        .add_raw(JOE, &envelope(&[ANN]), raw, &AddOptions::default())
        .await
        .unwrap();
    // It was copied: the caller's file may go.
    fs::remove_file(&path).unwrap();
    assert_eq!(fixture.drain().await.sent, 1);
    let bytes = fixture.mails.lock().unwrap()[0].bytes.clone();
    let expected = format!(
        "Message-ID: <{}>\r\nSubject: large\r\n\r\n{body}",
        queued.message_id
    );
    assert!(bytes == expected.as_bytes());
    assert!(queued.message_id.ends_with("@contoso.example"));
}

#[tokio::test]
async fn what_can_not_be_sent_is_not_queued() {
    let fixture = Fixture::start(Vec::new()).await;
    let options = AddOptions::default();
    let add = |mailbox: &'static str, raw| {
        let (outbox, options) = (fixture.outbox.clone(), options.clone());
        async move { outbox.add_raw(mailbox, &envelope(&[ANN]), raw, &options).await }
    };
    let empty = add(JOE, RawMessage::from_bytes("")).await.unwrap_err();
    assert_eq!(empty.kind(), ErrorKind::InvalidMessage);
    let nobody = add("joe", RawMessage::from_bytes("x")).await.unwrap_err();
    assert_eq!(nobody.kind(), ErrorKind::InvalidArgument);
    let missing = RawMessage::from_file(fixture.folder().join("missing.eml"));
    assert_eq!(add(JOE, missing).await.unwrap_err().kind(), ErrorKind::LocalIo);
    for folder in ["tmp", "new"] {
        assert_eq!(fs::read_dir(fixture.path(folder)).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn damaged_and_foreign_files_stop_nobody() {
    let fixture = Fixture::start(Vec::new()).await;
    let cut = fixture.add("cut", &[ANN]).await;
    let changed = fixture.add("changed", &[ANN]).await;
    fixture.add("good", &[ANN]).await;
    let new = fixture.path("new");
    let path = new.join(cut.id.as_str());
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
    let path = new.join(changed.id.as_str());
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("ann@", "a n@", 1)).unwrap();
    fs::write(new.join("README"), "hello").unwrap();
    fs::create_dir(new.join("0123456789abcdef0123456789abcdef")).unwrap();
    fs::write(fixture.path("sending").join("core"), "x").unwrap();
    let mut expected = 5;
    #[cfg(unix)]
    {
        // Opening it would wait for ever.
        std::os::unix::fs::symlink("/dev/stdin", new.join("f123456789abcdef0123456789abcdef")).unwrap();
        expected += 1;
    }
    let drained = fixture.drain().await;
    assert_eq!((drained.sent, drained.damaged), (1, expected));
    let damaged = fixture.outbox.damaged().unwrap();
    assert_eq!(damaged.len() as u64, expected);
    let damage = |name: &str| {
        let found = damaged.iter().find(|damaged| damaged.name == name);
        found.map(|damaged| damaged.damage.clone()).unwrap_or_default()
    };
    assert!(damage(cut.id.as_str()).contains("cut short"), "{damaged:?}");
    assert!(damage(changed.id.as_str()).contains("envelope"), "{damaged:?}");
    assert!(damage("README").contains("name"), "{damaged:?}");
}

#[tokio::test]
async fn one_worker_and_many_writers() {
    let tenant = Tenant::start().await;
    let folder = tempfile::tempdir().unwrap();
    let outbox = Outbox::open(folder.path()).unwrap();
    let cancel = CancelToken::new();
    let sent = Arc::new(std::sync::Mutex::new(0));
    let (counted, stop) = (sent.clone(), cancel.clone());
    let options = DrainOptions {
        cancel: cancel.clone(),
        ..DrainOptions::default()
    };
    let options = options.with_listener(move |_| {
        let mut sent = counted.lock().unwrap();
        *sent += 1;
        if *sent == 20 {
            stop.cancel();
        }
    });
    // Made before the worker runs, so that it has taken its lock by the time of the first event.
    let writers = async {
        let tasks: Vec<_> = (0..40)
            .map(|n| {
                let outbox = outbox.clone();
                // Each message twice.
                tokio::spawn(async move { add(&outbox, &format!("mail-{}", n / 2), &[ANN]).await.is_new })
            })
            .collect();
        let mut fresh = 0;
        for task in tasks {
            fresh += usize::from(task.await.unwrap());
        }
        fresh
    };
    let (drained, fresh) = tokio::join!(outbox.run(&tenant.app, &options), writers);
    assert_eq!(fresh, 20);
    assert_eq!(drained.unwrap().sent, 20);
    assert_eq!(tenant.sandbox.messages(ANN, "INBOX").len(), 20);
    assert_eq!(outbox.entries(State::Sent).unwrap().len(), 20);
}

#[tokio::test]
async fn a_second_worker_is_told_so() {
    let fixture = Fixture::start(Vec::new()).await;
    let lock = fs::File::create(fixture.outbox.path().join("worker.lock")).unwrap();
    lock.lock().unwrap();
    let error = fixture
        .outbox
        .drain(&fixture.app, &DrainOptions::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    drop(lock);
    assert_eq!(fixture.drain().await.sent, 0);
}

#[tokio::test]
async fn only_what_is_there_is_queued_again() {
    let fixture = Fixture::start(Vec::new()).await;
    let queued = fixture.add("one", &[ANN]).await;
    let error = fixture.outbox.retry(&queued.id).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    let nobody: OutboxId = "0123456789abcdef0123456789abcdef".parse().unwrap();
    let error = fixture.outbox.retry(&nobody).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[cfg(unix)]
#[tokio::test]
async fn others_can_not_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let fixture = Fixture::start(Vec::new()).await;
    let queued = fixture.add("one", &[ANN]).await;
    let mode = |path: std::path::PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(fixture.outbox.path().to_owned()), 0o700);
    assert_eq!(mode(fixture.path("new")), 0o700);
    assert_eq!(mode(fixture.path("new").join(queued.id.as_str())), 0o600);
}
