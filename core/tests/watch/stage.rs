//! A scripted IMAP server with the sandbox for its tokens, and an inbox that a script can serve.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use exomail::imap::Uid;
use exomail::net::Direction;
use exomail::{App, Checkpoint, Cloud, Mailbox, Security, Timeouts, Transcript, Watch, WatchEvent};
use exomail_sandbox::Sandbox;

use crate::support::{Peer, Scripted, serve};

pub const IDLE: &str = "* CAPABILITY IMAP4rev1 AUTH=XOAUTH2 SASL-IR UIDPLUS IDLE LITERAL+\r\n";
pub const NO_IDLE: &str = "* CAPABILITY IMAP4rev1 AUTH=XOAUTH2 SASL-IR UIDPLUS LITERAL+\r\n";

/// What the inbox holds, on every connection. Tests change it while they run.
#[derive(Debug)]
pub struct Inbox {
    pub validity: u32,
    pub uids: Vec<u32>,
    pub capabilities: &'static str,
}

pub struct Stage {
    pub sandbox: Sandbox,
    pub server: Scripted,
    pub inbox: Arc<Mutex<Inbox>>,
    pub mailbox: Mailbox,
    pub transcript: Transcript,
}

/// One connection of the scripted server, signed in, with the inbox open.
pub struct Connection {
    pub peer: Peer,
    /// 1 for the first.
    pub number: usize,
    inbox: Arc<Mutex<Inbox>>,
    /// How many messages the client was told of.
    told: usize,
}

impl Stage {
    /// A server that signs in everybody, opens the inbox with messages 6 and 7, and follows the script from there.
    pub async fn start<F>(script: impl Fn(Connection) -> F + Clone + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let inbox = Arc::new(Mutex::new(Inbox {
            validity: 14,
            uids: vec![6, 7],
            capabilities: IDLE,
        }));
        let (shared, counter) = (inbox.clone(), Arc::new(AtomicUsize::new(0)));
        let server = serve(Security::ImplicitTls, move |mut peer: Peer| {
            let (script, inbox) = (script.clone(), shared.clone());
            let number = counter.fetch_add(1, Ordering::SeqCst) + 1;
            async move {
                if let Some(told) = sign_in(&mut peer, &inbox).await {
                    script(Connection {
                        peer,
                        number,
                        inbox,
                        told,
                    })
                    .await;
                }
            }
        })
        .await;
        let sandbox = Sandbox::start().await.unwrap();
        let transcript = Transcript::new();
        let limit = Duration::from_secs(20);
        let app = App::builder(sandbox.tenant(), sandbox.client_id())
            .client_secret(sandbox.client_secret())
            .cloud(
                Cloud::custom(sandbox.authority())
                    .unwrap()
                    .with_imap(server.endpoint.clone()),
            )
            .extra_ca_pem(format!("{}\n{}", sandbox.ca_pem(), server.ca_pem).as_bytes())
            .timeouts(Timeouts {
                connect: limit,
                step: limit,
                message: limit,
                http: limit,
            })
            .transcript(transcript.clone())
            .build()
            .unwrap();
        let mailbox = app.mailbox("joe@contoso.example").unwrap();
        Self {
            sandbox,
            server,
            inbox,
            mailbox,
            transcript,
        }
    }

    pub fn watch(&self) -> Watch {
        self.mailbox.watch("INBOX", None)
    }

    pub fn arrives(&self, uid: u32) {
        self.inbox.lock().unwrap().uids.push(uid);
    }

    pub fn connections(&self) -> usize {
        *self.server.connections.lock().unwrap()
    }

    /// The lines that the client said behind the login, on all connections, without tags.
    pub fn said(&self) -> Vec<String> {
        let lines = self.transcript.lines().into_iter();
        let client = lines.filter(|line| line.direction == Direction::Client);
        let texts = client.filter_map(|line| {
            let text = match line.text.split_once(' ') {
                Some((tag, rest)) if tag.starts_with('A') => rest.to_owned(),
                _ => line.text.clone(),
            };
            ["UID", "IDLE", "DONE", "NOOP"]
                .iter()
                .any(|command| text.starts_with(command))
                .then_some(text)
        });
        texts.collect()
    }

    /// Waits until the client has said this so many times, behind the login. From then on it waits for the server, or
    /// for time to pass.
    pub async fn until_said(&self, text: &str, times: usize) {
        while self.said().iter().filter(|said| said.starts_with(text)).count() < times {
            tokio::task::yield_now().await;
        }
    }

    /// Waits until every command behind the login has its answer: nobody waits for the network then.
    pub async fn until_answered(&self) {
        let waiting = || {
            let mut tags = std::collections::BTreeSet::new();
            for line in self.transcript.lines() {
                let (tag, rest) = line.text.split_once(' ').unwrap_or_default();
                let begins = ["UID", "NOOP", "IDLE"].iter().any(|name| rest.starts_with(name));
                match line.direction {
                    Direction::Client if begins => tags.insert(tag.to_owned()),
                    Direction::Server => tags.remove(tag),
                    _ => false,
                };
            }
            !tags.is_empty()
        };
        while waiting() {
            tokio::task::yield_now().await;
        }
        settle().await;
    }

    /// Waits until the server has consented to so many IDLEs.
    pub async fn until_idle(&self, times: usize) {
        let idles = || {
            let lines = self.transcript.lines().into_iter();
            lines
                .filter(|line| line.direction == Direction::Server && line.text.starts_with("+ idling"))
                .count()
        };
        while idles() < times {
            tokio::task::yield_now().await;
        }
        settle().await;
    }
}

/// Lets everything run that can run without time passing.
pub async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

/// Lets time pass at once. Only while nobody waits for the network: I/O takes real time.
pub async fn pass(time: Duration) {
    settle().await;
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
    settle().await;
}

impl Connection {
    /// Answers as a server does until the client idles; the tag of that. `None` when it hangs up.
    pub async fn until_idle(&mut self) -> Option<String> {
        loop {
            let line = self.peer.line().await;
            let (tag, command) = line.split_once(' ')?;
            if command == "IDLE" {
                self.peer.send("+ idling\r\n").await;
                return Some(tag.to_owned());
            }
            self.answer(tag, command).await;
        }
    }

    /// Serves the inbox until the client hangs up. News are told at once while it idles.
    pub async fn serve(mut self) {
        while let Some(tag) = self.until_idle().await {
            let inbox = self.inbox.clone();
            let count = move || inbox.lock().unwrap().uids.len();
            let known = self.told;
            let news = async {
                // The script has nobody who wakes it: it looks again and again, without time passing.
                while count() == known {
                    tokio::task::yield_now().await;
                }
                count()
            };
            let line = tokio::select! {
                biased;
                count = news => Err(count),
                line = self.peer.line() => Ok(line),
            };
            let line = match line {
                Ok(line) => line,
                Err(count) => {
                    self.told = count;
                    self.peer.send(format!("* {count} EXISTS\r\n")).await;
                    self.peer.line().await
                }
            };
            if line != "DONE" {
                return;
            }
            self.peer.send(format!("{tag} OK done\r\n")).await;
        }
    }

    /// The usual answer to a command.
    pub async fn answer(&mut self, tag: &str, command: &str) {
        let uids = self.inbox.lock().unwrap().uids.clone();
        let count = uids.len();
        self.told = count;
        let mut text = String::new();
        if let Some(set) = command.strip_prefix("UID SEARCH UID ") {
            // As servers do: `8:*` finds 7 where that is the last.
            let mut found: Vec<u32> = members(set, &uids);
            if set.ends_with(":*") && found.is_empty() {
                found.extend(uids.last());
            }
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            text = format!("* SEARCH {}\r\n", found.join(" "));
        } else if let Some(rest) = command.strip_prefix("UID FETCH ") {
            let (set, _) = rest.split_once(' ').unwrap();
            for uid in members(set, &uids) {
                text += &summary(uid);
            }
        }
        self.peer
            .send(format!("{text}* {count} EXISTS\r\n{tag} OK done\r\n"))
            .await;
    }
}

/// The FETCH response of a message.
pub fn summary(uid: u32) -> String {
    format!(
        "* {uid} FETCH (UID {uid} FLAGS () RFC822.SIZE 100 INTERNALDATE \"22-Nov-2026 10:00:00 +0000\" ENVELOPE \
         (NIL \"Mail {uid}\" NIL NIL NIL NIL NIL NIL NIL \"<{uid}@contoso.example>\") \
         BODYSTRUCTURE (\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 1 1))\r\n"
    )
}

fn members(set: &str, uids: &[u32]) -> Vec<u32> {
    let set: exomail::imap::UidSet = set.parse().unwrap();
    let inside = |uid: &&u32| set.contains(Uid::new(**uid).unwrap());
    uids.iter().filter(inside).copied().collect()
}

/// How many messages the client was told of; `None` when it hangs up.
async fn sign_in(peer: &mut Peer, inbox: &Mutex<Inbox>) -> Option<usize> {
    let capabilities = inbox.lock().unwrap().capabilities;
    peer.send("* OK The Microsoft Exchange IMAP4 service is ready.\r\n")
        .await;
    if peer.line().await != "A1 CAPABILITY" {
        return None;
    }
    peer.send(format!("{capabilities}A1 OK done\r\n")).await;
    peer.expect("A2 AUTHENTICATE XOAUTH2 ").await;
    peer.expect("A3 CAPABILITY").await;
    peer.expect("A4 NAMESPACE").await;
    peer.expect("A5 EXAMINE \"INBOX\"").await;
    let (validity, count, next) = {
        let inbox = inbox.lock().unwrap();
        let next = inbox.uids.iter().max().unwrap_or(&0) + 1;
        (inbox.validity, inbox.uids.len(), next)
    };
    peer.send(format!(
        "A2 OK done\r\n{capabilities}A3 OK done\r\n* NAMESPACE ((\"\" \"/\")) NIL NIL\r\nA4 OK done\r\n\
         * {count} EXISTS\r\n* OK [UIDVALIDITY {validity}] x\r\n* OK [UIDNEXT {next}] x\r\n\
         A5 OK [READ-ONLY] done\r\n"
    ))
    .await;
    Some(count)
}

pub fn at(last_uid: u32) -> Checkpoint {
    Checkpoint::new("INBOX", 14, last_uid)
}

/// The next event, which must be a message; its UID.
#[track_caller]
pub fn uid_of(event: WatchEvent) -> u32 {
    match event {
        WatchEvent::Message {
            id,
            summary,
            checkpoint,
        } => {
            assert_eq!((id.uid(), &Checkpoint::from(&id)), (summary.uid, &checkpoint));
            id.uid().get()
        }
        other => panic!("{other:?} instead of a message"),
    }
}

/// The next event must say that all was told up to here.
pub async fn caught_up(watch: &mut Watch, expected: Checkpoint) {
    match watch.next().await.unwrap() {
        WatchEvent::CaughtUp { checkpoint } => assert_eq!(checkpoint, expected),
        other => panic!("{other:?} instead of having caught up"),
    }
}
