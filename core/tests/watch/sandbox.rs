//! On the sandbox: mail that comes while it is watched for, and programs that stop and start again.

use exomail::{App, Checkpoint, Cloud, Endpoint, Mailbox, Watch, WatchEvent};
use exomail_sandbox::{Fault, Sandbox};

use crate::stage::pass;

const JOE: &str = "joe@contoso.example";
const ANN: &str = "ann@contoso.example";

async fn start() -> (Sandbox, App) {
    let sandbox = Sandbox::start().await.unwrap();
    let (host, port) = sandbox.imap();
    let cloud = Cloud::custom(sandbox.authority())
        .unwrap()
        .with_imap(Endpoint::implicit_tls(host, port));
    let app = App::builder(sandbox.tenant(), sandbox.client_id())
        .client_secret(sandbox.client_secret())
        .cloud(cloud)
        .extra_ca_pem(sandbox.ca_pem().as_bytes())
        .build()
        .unwrap();
    (sandbox, app)
}

fn deliver(sandbox: &Sandbox, mailbox: &str, subjects: std::ops::Range<usize>) {
    for n in subjects {
        sandbox
            .deliver(mailbox, format!("Subject: {n}\r\n\r\nx\r\n"))
            .unwrap();
    }
}

/// The subjects of the next `count` messages, and the last checkpoint.
async fn subjects(watch: &mut Watch, count: usize) -> (Vec<usize>, Checkpoint) {
    let (mut subjects, mut last) = (Vec::new(), None);
    while subjects.len() < count {
        match watch.next().await.unwrap() {
            WatchEvent::Message {
                summary, checkpoint, ..
            } => {
                subjects.push(summary.envelope.subject.parse().unwrap());
                last = Some(checkpoint);
            }
            WatchEvent::CaughtUp { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    (subjects, last.unwrap())
}

async fn started(mailbox: &Mailbox) -> Watch {
    let mut watch = mailbox.watch("INBOX", None);
    let event = watch.next().await.unwrap();
    assert!(matches!(event, WatchEvent::CaughtUp { .. }), "{event:?}");
    watch
}

#[tokio::test]
async fn mail_that_comes_is_told_at_once_and_once() {
    let (sandbox, app) = start().await;
    deliver(&sandbox, JOE, 0..3);
    let mut joe = started(&app.mailbox(JOE).unwrap()).await;
    let mut ann = started(&app.mailbox(ANN).unwrap()).await;
    for n in 3..8 {
        deliver(&sandbox, JOE, n..n + 1);
        assert_eq!(subjects(&mut joe, 1).await.0, [n]);
    }
    deliver(&sandbox, ANN, 0..1);
    deliver(&sandbox, JOE, 8..250);
    assert_eq!(subjects(&mut joe, 242).await.0, (8..250).collect::<Vec<_>>());
    assert_eq!(subjects(&mut ann, 1).await.0, [0]);
    // Each on a connection of its own.
    assert_eq!(sandbox.stats().connections.len(), 2);
}

#[tokio::test]
async fn a_program_that_starts_again_goes_on_where_it_stopped() {
    let (sandbox, app) = start().await;
    let joe = app.mailbox(JOE).unwrap();
    deliver(&sandbox, JOE, 0..300);
    let (mut told, mut stored) = (Vec::new(), Checkpoint::beginning("INBOX"));
    // Stopped at odd points, within a page and between two.
    for (round, count) in [1, 99, 100, 57].into_iter().enumerate() {
        let mut watch = joe.watch("INBOX", Some(stored));
        let (subjects, checkpoint) = subjects(&mut watch, count).await;
        told.extend(subjects);
        // As it goes through a file.
        stored = checkpoint.to_string().parse().unwrap();
        deliver(&sandbox, JOE, 300 + round..301 + round);
    }
    let mut watch = joe.watch("INBOX", Some(stored));
    told.extend(subjects(&mut watch, 304 - 257).await.0);
    assert_eq!(told, (0..304).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_folder_that_was_rebuilt_meanwhile() {
    let (sandbox, app) = start().await;
    let joe = app.mailbox(JOE).unwrap();
    deliver(&sandbox, JOE, 0..3);
    let mut watch = joe.watch("INBOX", Some(Checkpoint::beginning("INBOX")));
    let (_, stored) = subjects(&mut watch, 3).await;
    drop(watch);
    sandbox.state().renumber_folders(JOE).unwrap();
    let mut watch = joe.watch("INBOX", Some(stored.clone()));
    match watch.next().await.unwrap() {
        WatchEvent::Reset { before, checkpoint } => {
            assert_eq!(before, stored);
            assert_ne!(checkpoint.uid_validity(), stored.uid_validity());
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(subjects(&mut watch, 3).await.0, [0, 1, 2]);
}

#[tokio::test]
async fn a_folder_that_is_not_there() {
    let (_sandbox, app) = start().await;
    let mut watch = app.mailbox(JOE).unwrap().watch("Nowhere", None);
    let error = watch.next().await.unwrap_err();
    assert_eq!(error.kind(), exomail::ErrorKind::NotFound);
}

#[tokio::test]
async fn every_fault_of_the_server_heals_and_no_mail_is_missed() {
    for fault in [
        Fault::ImapThrottled,
        Fault::ImapUnavailable,
        Fault::ImapBye,
        Fault::ImapExpired,
        Fault::ImapExpiredInIdle,
        Fault::ImapExpiredInFetch,
        Fault::ImapByeInFetch,
        Fault::Reset,
    ] {
        let (sandbox, app) = start().await;
        let joe = app.mailbox(JOE).unwrap();
        deliver(&sandbox, JOE, 0..20);
        sandbox.fault(fault.times(2));
        let mut watch = joe.watch("INBOX", Some(Checkpoint::beginning("INBOX")));
        let (mut told, mut interruptions) = (Vec::new(), 0);
        while told.len() < 25 {
            match watch.next().await.unwrap() {
                WatchEvent::Message { summary, .. } => {
                    told.push(summary.envelope.subject.parse::<usize>().unwrap());
                    if told.len() == 20 {
                        deliver(&sandbox, JOE, 20..25);
                    }
                }
                WatchEvent::Interrupted { pause, .. } => {
                    interruptions += 1;
                    pass(pause).await;
                }
                WatchEvent::CaughtUp { .. } | WatchEvent::Healed { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(told, (0..25).collect::<Vec<_>>(), "{fault:?}");
        assert!(interruptions > 0, "{fault:?}");
    }
}
