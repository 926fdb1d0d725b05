//! A front end that loses what travels behind AUTHENTICATE, and one that only takes its time.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use exomail::imap::{Access, ImapSession};
use exomail::{Connector, Endpoint, Security, Timeouts};
use tokio::sync::Notify;

use super::support::{Peer, Scripted, login, serve};
use super::{AFTER, BEFORE, GREETING, SELECTED};

/// The server under a name of its own: what a process has learned of an endpoint stays, and other tests may get the
/// port later.
fn named(server: &Scripted, name: &str) -> (Connector, Endpoint) {
    let mut endpoint = server.endpoint.clone();
    name.clone_into(&mut endpoint.host);
    // The real time limits: the clock only moves where a test moves it.
    let connector = server.connector.clone().with_timeouts(Timeouts::default());
    (connector, endpoint)
}

async fn open(at: &(Connector, Endpoint)) -> ImapSession {
    let (connector, endpoint) = at;
    let (session, inbox) =
        ImapSession::connect_selected(connector, endpoint, &login(), "INBOX", Access::ReadWrite)
            .await
            .unwrap();
    assert_eq!((inbox.exists, inbox.uid_validity), (6995, 14));
    session
}

/// Exchange up to AUTHENTICATE.
async fn authenticate(peer: &mut Peer) {
    peer.send(GREETING).await;
    assert_eq!(peer.line().await, "A1 CAPABILITY");
    peer.send(format!("{BEFORE}A1 OK CAPABILITY completed.\r\n"))
        .await;
    peer.expect("A2 AUTHENTICATE XOAUTH2 ").await;
}

/// Takes the three commands behind it, tagged from `first` on.
async fn commands(peer: &mut Peer, first: u32) {
    for (n, command) in (first..).zip(["CAPABILITY", "NAMESPACE", "SELECT \"INBOX\""]) {
        assert_eq!(peer.line().await, format!("A{n} {command}"));
    }
}

fn answers(first: u32) -> String {
    let (second, third) = (first + 1, first + 2);
    format!(
        "{AFTER}A{first} OK CAPABILITY completed.\r\n* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n\
         A{second} OK NAMESPACE completed.\r\n{SELECTED}A{third} OK [READ-WRITE] SELECT completed.\r\n"
    )
}

const SIGNED_IN: &str = "A2 OK AUTHENTICATE completed.\r\n";

/// Lets time pass once the client has heard the line. No more I/O is under way then.
async fn pass(server: &Scripted, heard: &str, seconds: f32) {
    super::heard(server, heard).await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs_f32(seconds)).await;
    tokio::time::resume();
}

/// A server that runs another script for each connection, by its number.
async fn exchange<F>(script: impl Fn(Peer, usize) -> F + Send + Sync + 'static) -> Scripted
where
    F: Future<Output = ()> + Send + 'static,
{
    let count = AtomicUsize::new(0);
    serve(Security::ImplicitTls, move |peer: Peer| {
        script(peer, count.fetch_add(1, Ordering::SeqCst))
    })
    .await
}

#[tokio::test]
async fn what_was_swallowed_is_sent_again_and_the_endpoint_is_remembered() {
    let server = exchange(|mut peer, number| async move {
        authenticate(&mut peer).await;
        if number == 0 {
            commands(&mut peer, 3).await;
            peer.send(SIGNED_IN).await;
            commands(&mut peer, 6).await;
            peer.send(answers(6)).await;
        } else {
            peer.send(SIGNED_IN).await;
            commands(&mut peer, 3).await;
            peer.send(answers(3)).await;
        }
        peer.silence().await;
    })
    .await;
    let at = named(&server, "LOCALHOST");
    let (session, ()) = tokio::join!(open(&at), pass(&server, "A2 OK", 5.1));
    assert_eq!(session.flights(), 3);
    assert!(session.capabilities().has("MOVE"));
    // The verdict is waited for now, and no time has to pass.
    for _ in 0..2 {
        assert_eq!(open(&at).await.flights(), 3);
    }
    // Another endpoint is another matter.
    let other = named(&server, "localHOST");
    assert_eq!(open(&other).await.flights(), 2);
}

#[tokio::test]
async fn a_slow_server_may_answer_both_times() {
    for late in [false, true] {
        let server = exchange(move |mut peer, number| async move {
            authenticate(&mut peer).await;
            commands(&mut peer, 3).await;
            peer.send(SIGNED_IN).await;
            if number > 0 {
                peer.send(answers(3)).await;
                return peer.silence().await;
            }
            commands(&mut peer, 6).await;
            let both = match late {
                false => [answers(3), answers(6)],
                true => [answers(6), answers(3)],
            };
            peer.send(both.concat()).await;
            assert_eq!(peer.line().await, "A9 NOOP");
            peer.send("A9 OK NOOP completed.\r\n").await;
            peer.silence().await;
        })
        .await;
        let at = named(&server, if late { "LocalHost" } else { "Localhost" });
        let (mut session, ()) = tokio::join!(open(&at), pass(&server, "A2 OK", 5.1));
        session.noop().await.unwrap();
        assert_eq!(session.selected().unwrap().exists, 6995);
        if !late {
            assert_eq!(open(&at).await.flights(), 2, "it is not remembered");
        }
    }
}

/// A large INBOX takes its time; the server has shown that it got the commands.
#[tokio::test]
async fn nothing_is_sent_again_once_the_first_answer_is_here() {
    let go_on = Arc::new(Notify::new());
    let told = go_on.clone();
    let server = exchange(move |mut peer, _| {
        let told = told.clone();
        async move {
            authenticate(&mut peer).await;
            commands(&mut peer, 3).await;
            peer.send(SIGNED_IN).await;
            let answers = answers(3);
            let (first, rest) = answers.split_once("* NAMESPACE").unwrap();
            told.notified().await;
            peer.send(first).await;
            told.notified().await;
            peer.send(format!("* NAMESPACE{rest}")).await;
            assert_eq!(peer.line().await, "A6 NOOP");
            peer.send("A6 OK NOOP completed.\r\n").await;
            peer.silence().await;
        }
    })
    .await;
    let at = named(&server, "localhosT");
    let clock = async {
        pass(&server, "A2 OK", 4.9).await;
        go_on.notify_one();
        pass(&server, "A3 OK", 60.0).await;
        go_on.notify_one();
    };
    let (mut session, ()) = tokio::join!(open(&at), clock);
    assert_eq!(session.flights(), 2);
    session.noop().await.unwrap();
}
