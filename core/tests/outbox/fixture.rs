//! A sandbox for tokens, a server that does as it is told, and an outbox.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use exomail::message::RawMessage;
use exomail::outbox::{AddOptions, DrainOptions, Drained, Event, Outbox, Queued, RetryPolicy};
use exomail::smtp::Envelope;
use exomail::{App, Cloud, Endpoint, Security};
use exomail_sandbox::Sandbox;
use tempfile::TempDir;
use tokio::sync::Notify;

use crate::support::{Peer, serve};
use crate::tenant::{ANN, JOE};

/// What the server does with one mail.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// To each RCPT in turn; 250 when they have run out.
    pub(crate) recipients: Vec<&'static str>,
    pub(crate) end: End,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// This reply to the message.
    Say(&'static str),
    /// Takes the message and hangs up without a word.
    HangUp,
    /// Says nothing to DATA.
    SilentBefore,
    /// Says nothing to the message.
    SilentBehind,
}

pub(crate) const OK: Plan = Plan {
    recipients: Vec::new(),
    end: End::Say("250 2.0.0 OK"),
};

/// A mail that the server took, or would have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mail {
    pub(crate) to: Vec<String>,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) struct Fixture {
    sandbox: Sandbox,
    pub(crate) app: App,
    pub(crate) outbox: Outbox,
    pub(crate) mails: Arc<Mutex<Vec<Mail>>>,
    pub(crate) events: Arc<Mutex<Vec<Event>>>,
    /// The server has fallen silent.
    pub(crate) silent: Arc<Notify>,
    folder: TempDir,
}

impl Fixture {
    /// The server follows `plans`, one a mail, and then takes everything.
    pub(crate) async fn start(plans: Vec<Plan>) -> Self {
        let sandbox = Sandbox::builder()
            .mailbox(JOE)
            .mailbox(ANN)
            .start()
            .await
            .unwrap();
        let mails: Arc<Mutex<Vec<Mail>>> = Arc::default();
        let silent = Arc::new(Notify::new());
        let plans = Arc::new(Mutex::new(VecDeque::from(plans)));
        let (taken, quiet) = (mails.clone(), silent.clone());
        let server = serve(Security::ImplicitTls, move |peer| {
            converse(peer, plans.clone(), taken.clone(), quiet.clone())
        })
        .await;
        let cloud = Cloud::custom(sandbox.authority())
            .unwrap()
            .with_smtp(Endpoint::implicit_tls("localhost", server.endpoint.port))
            .with_imap(Endpoint::implicit_tls("localhost", sandbox.imap().1));
        let app = App::builder(sandbox.tenant(), sandbox.client_id())
            .client_secret(sandbox.client_secret())
            .cloud(cloud)
            .extra_ca_pem(format!("{}\n{}", sandbox.ca_pem(), server.ca_pem).as_bytes())
            .build()
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let outbox = Outbox::open(folder.path().join("outbox")).unwrap();
        Self {
            sandbox,
            app,
            outbox,
            mails,
            events: Arc::default(),
            silent,
            folder,
        }
    }

    pub(crate) fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    pub(crate) async fn add(&self, name: &str, to: &[&str]) -> Queued {
        add(&self.outbox, name, to).await
    }

    /// No pause worth the name, and every event kept.
    pub(crate) fn options(&self) -> DrainOptions {
        let events = self.events.clone();
        let options = DrainOptions {
            retry: quick(),
            ..DrainOptions::default()
        };
        options.with_listener(move |event| events.lock().unwrap().push(event.clone()))
    }

    pub(crate) async fn drain(&self) -> Drained {
        self.outbox.drain(&self.app, &self.options()).await.unwrap()
    }

    /// To whom each mail went.
    pub(crate) fn recipients(&self) -> Vec<Vec<String>> {
        let mails = self.mails.lock().unwrap();
        mails.iter().map(|mail| mail.to.clone()).collect()
    }

    pub(crate) fn path(&self, state: &str) -> PathBuf {
        self.outbox.path().join(state)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// Pauses of a millisecond.
pub(crate) fn quick() -> RetryPolicy {
    RetryPolicy {
        first: Duration::from_millis(1),
        longest: Duration::from_millis(1),
        setup_tries: 3,
        ..RetryPolicy::default()
    }
}

pub(crate) fn message(name: &str) -> String {
    format!(
        "From: {JOE}\r\nMessage-ID: <{name}@contoso.example>\r\nSubject: {name}\r\n\r\nThe text of {name}.\r\n"
    )
}

pub(crate) async fn add(outbox: &Outbox, name: &str, to: &[&str]) -> Queued {
    let raw = RawMessage::from_bytes(message(name));
    outbox
        .add_raw(JOE, &envelope(to), raw, &AddOptions::default())
        .await
        .unwrap()
}

pub(crate) fn envelope(to: &[&str]) -> Envelope {
    let to = to.iter().map(|address| (*address).to_owned()).collect();
    Envelope::new(Some(JOE.to_owned()), to).unwrap()
}

async fn converse(
    mut peer: Peer,
    plans: Arc<Mutex<VecDeque<Plan>>>,
    mails: Arc<Mutex<Vec<Mail>>>,
    silent: Arc<Notify>,
) {
    peer.send("220 mx ESMTP\r\n").await;
    let mut to = Vec::new();
    let mut plan = OK;
    let mut verdicts = Vec::new().into_iter();
    loop {
        let line = peer.line().await;
        let verb = line.split(' ').next().unwrap().to_owned();
        match verb.as_str() {
            "" => return,
            "EHLO" => peer.send("250-mx\r\n250-8BITMIME\r\n250 AUTH XOAUTH2\r\n").await,
            "AUTH" => peer.send("235 2.7.0 in\r\n").await,
            "MAIL" => {
                plan = plans.lock().unwrap().pop_front().unwrap_or(OK);
                verdicts = plan.recipients.clone().into_iter();
                to.clear();
                peer.send("250 2.1.0 ok\r\n").await;
            }
            "RCPT" => {
                let verdict = verdicts.next().unwrap_or("250 2.1.5 ok");
                if verdict.starts_with('2') {
                    let address = line.trim_start_matches("RCPT TO:<");
                    to.push(address.split('>').next().unwrap().to_owned());
                }
                peer.send(format!("{verdict}\r\n")).await;
            }
            "DATA" if matches!(plan.end, End::SilentBefore) => {
                silent.notify_one();
                return peer.silence().await;
            }
            "DATA" => {
                peer.send("354 go\r\n").await;
                let bytes = peer.until(b"\r\n.\r\n").await;
                let bytes = bytes.strip_suffix(b".\r\n").unwrap_or(&bytes).to_vec();
                let mail = Mail {
                    to: to.clone(),
                    bytes,
                };
                match plan.end {
                    End::Say(reply) => {
                        if reply.starts_with('2') {
                            mails.lock().unwrap().push(mail);
                        }
                        peer.send(format!("{reply}\r\n")).await;
                    }
                    _ => {
                        mails.lock().unwrap().push(mail);
                        silent.notify_one();
                        match plan.end {
                            End::SilentBehind => return peer.silence().await,
                            _ => return,
                        }
                    }
                }
            }
            _ => peer.send("250 2.0.0 ok\r\n").await,
        }
    }
}
