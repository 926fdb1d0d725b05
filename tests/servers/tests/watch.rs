//! The watch on Dovecot: mail that Postfix brings while it waits, over connections that are cut again and again.
#![allow(clippy::unwrap_used, reason = "a test that fails should panic")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use exomail::{App, Checkpoint, Cloud, Endpoint, Mailbox, Watch, WatchEvent};
use exomail_test_servers::HOST;
use support::{Stand, message};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// Passes connections on to a port, and cuts them when told to.
struct Proxy {
    port: u16,
    connections: Arc<Mutex<Vec<AbortHandle>>>,
}

impl Proxy {
    async fn start(target: u16) -> Self {
        let listener = TcpListener::bind((HOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(Mutex::new(Vec::new()));
        let kept = connections.clone();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let task = tokio::spawn(async move {
                    let mut server = TcpStream::connect((HOST, target)).await.unwrap();
                    // However it ends, both sides are closed.
                    drop(copy_bidirectional(&mut client, &mut server).await);
                });
                kept.lock().unwrap().push(task.abort_handle());
            }
        });
        Self { port, connections }
    }

    /// Cuts all connections; how many were there.
    fn cut(&self) -> usize {
        let connections: Vec<_> = self.connections.lock().unwrap().drain(..).collect();
        connections.iter().for_each(AbortHandle::abort);
        connections.len()
    }
}

/// Ann's mailbox, reached through the proxy.
fn ann(stand: &Stand, proxy: &Proxy) -> Mailbox {
    let cloud = Cloud::custom(stand.sandbox.authority())
        .unwrap()
        .with_imap(Endpoint::implicit_tls(HOST, proxy.port));
    let trusted = format!("{}\n{}", stand.sandbox.ca_pem(), stand.servers.ca_pem());
    let app = App::builder(stand.sandbox.tenant(), stand.sandbox.client_id())
        .client_secret(stand.sandbox.client_secret())
        .cloud(cloud)
        .extra_ca_pem(trusted.as_bytes())
        .transcript(stand.transcript.clone())
        .build()
        .unwrap();
    app.mailbox(&stand.ann).unwrap()
}

/// The subject of the next message, and where to go on behind it. Pauses are passed over.
async fn next(watch: &mut Watch) -> (String, Checkpoint) {
    loop {
        match watch.next().await.unwrap() {
            WatchEvent::Message {
                summary, checkpoint, ..
            } => return (summary.envelope.subject.clone(), checkpoint),
            WatchEvent::Interrupted { pause, .. } => pass(pause).await,
            WatchEvent::CaughtUp { .. } | WatchEvent::Healed { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn pass(time: Duration) {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

fn subjects(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| format!("mail-{n}")).collect()
}

#[tokio::test]
async fn mail_is_told_as_it_comes_and_once_though_connections_are_cut() {
    const MAILS: usize = 20;
    let stand = Stand::start().await;
    let proxy = Proxy::start(stand.servers.imap_tls()).await;
    let mut watch = ann(&stand, &proxy).watch("INBOX", None);
    let event = watch.next().await.unwrap();
    assert!(matches!(event, WatchEvent::CaughtUp { .. }), "{event:?}");
    let (mut told, mut cuts) = (Vec::new(), 0);
    for (n, subject) in subjects(0..MAILS).iter().enumerate() {
        if n % 4 == 3 {
            cuts += proxy.cut();
        }
        stand.send(&[&stand.ann], message(&stand, subject, "x")).await;
        told.push(next(&mut watch).await.0);
    }
    assert_eq!(cuts, MAILS / 4);
    assert_eq!(told, subjects(0..MAILS));
}

#[tokio::test]
async fn a_program_that_starts_again_goes_on_where_it_stopped() {
    let stand = Stand::start().await;
    let proxy = Proxy::start(stand.servers.imap_tls()).await;
    let ann = ann(&stand, &proxy);
    let mut stored = Checkpoint::beginning("INBOX");
    let mut told = Vec::new();
    for n in 0..6 {
        let subject = &subjects(0..6)[n];
        stand.send(&[&stand.ann], message(&stand, subject, "x")).await;
        let mut watch = ann.watch("INBOX", Some(stored));
        let (subject, checkpoint) = next(&mut watch).await;
        told.push(subject);
        stored = checkpoint;
    }
    assert_eq!(told, subjects(0..6));
}

/// Dovecot gives a folder that is made anew another UIDVALIDITY.
#[tokio::test]
async fn a_folder_that_was_made_anew_is_an_event() {
    let stand = Stand::start().await;
    let proxy = Proxy::start(stand.servers.imap_tls()).await;
    let mut session = stand.imap(&stand.ann).await;
    session.create_folder("Orders").await.unwrap();
    let mut watch = ann(&stand, &proxy).watch("Orders", None);
    let WatchEvent::CaughtUp { checkpoint: old } = watch.next().await.unwrap() else {
        panic!("not caught up");
    };
    drop(watch);
    session.delete_folder("Orders").await.unwrap();
    session.create_folder("Orders").await.unwrap();
    let mail = exomail::message::RawMessage::from_bytes(message(&stand, "new", "x"));
    session.append("Orders", mail, &[], None).await.unwrap();
    session.logout().await.unwrap();
    let mut watch = ann(&stand, &proxy).watch("Orders", Some(old.clone()));
    match watch.next().await.unwrap() {
        WatchEvent::Reset { before, checkpoint } => {
            assert_eq!(before, old);
            assert_ne!(checkpoint.uid_validity(), old.uid_validity());
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(next(&mut watch).await.0, "new");
}
