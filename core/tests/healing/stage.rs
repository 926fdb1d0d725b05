//! An app whose token is the sandbox's and whose mail servers do what the test says.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use exomail::{App, Cloud, Endpoint, Limits, Mailbox, Security, Timeouts};
use exomail_sandbox::Sandbox;

use crate::support::{Peer, Scripted, serve};

pub(crate) const JOE: &str = "joe@contoso.example";
pub(crate) const ANN: &str = "ann@contoso.example";

/// What the IMAP server does with the next command of this name; without one it answers as it should.
pub(crate) struct Cue {
    pub(crate) verb: &'static str,
    /// What it sends; `TAG` becomes the command's tag.
    pub(crate) says: Vec<u8>,
    /// Whether it hangs up then.
    pub(crate) ends: bool,
}

pub(crate) fn says(verb: &'static str, text: impl Into<Vec<u8>>) -> Cue {
    let says = text.into();
    Cue {
        verb,
        says,
        ends: false,
    }
}

pub(crate) fn ends(verb: &'static str, text: impl Into<Vec<u8>>) -> Cue {
    let says = text.into();
    Cue {
        verb,
        says,
        ends: true,
    }
}

/// What becomes of the next mail.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Plan {
    /// The server's last word; it takes the mail if that is a 250.
    Verdict(&'static str),
    /// It hangs up at MAIL.
    CutBefore,
    /// It takes the mail and hangs up instead of saying so.
    CutBehind,
    /// It loses the mail, and hangs up.
    Lost,
}

#[derive(Default)]
pub(crate) struct Log {
    /// The commands that the IMAP server got, without tags.
    pub(crate) commands: Vec<String>,
    /// The mails that the SMTP server took: recipients and text.
    pub(crate) mails: Vec<(Vec<String>, String)>,
    pub(crate) open: usize,
    pub(crate) most: usize,
}

pub(crate) struct Stage {
    pub(crate) sandbox: Sandbox,
    pub(crate) imap: Scripted,
    pub(crate) smtp: Scripted,
    pub(crate) log: Arc<Mutex<Log>>,
    limits: Limits,
}

pub(crate) const UNPACED: Limits = Limits {
    smtp_connections: 3,
    imap_connections: 4,
    messages_per_minute: u32::MAX,
    recipients_per_day: 10_000,
    recipients_per_message: 500,
};

/// On a paused clock the time runs while bytes are on their way; no limit of a step may pass meanwhile.
const PATIENT: Timeouts = Timeouts {
    connect: Duration::from_secs(3600),
    step: Duration::from_secs(3600),
    message: Duration::from_secs(3600),
    http: Duration::from_secs(3600),
};

/// Lets a paused clock go in steps of 10 ms where it would jump to the next time limit: bytes that are on
/// their way on a real socket arrive within a few of them.
pub(crate) fn small_steps() {
    tokio::spawn(async {
        loop {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
}

impl Stage {
    pub(crate) async fn new(limits: Limits, cues: Vec<Cue>, plans: Vec<Plan>) -> Self {
        let sandbox = Sandbox::builder()
            .mailbox(JOE)
            .mailbox(ANN)
            .start()
            .await
            .unwrap();
        let log = Arc::new(Mutex::new(Log::default()));
        let (cues, plans) = (
            Arc::new(Mutex::new(VecDeque::from(cues))),
            Arc::new(Mutex::new(VecDeque::from(plans))),
        );
        let seen = log.clone();
        let imap = serve(Security::ImplicitTls, move |peer| {
            imap(peer, cues.clone(), seen.clone())
        })
        .await;
        let seen = log.clone();
        let smtp = serve(Security::ImplicitTls, move |peer| {
            let (plans, seen) = (plans.clone(), seen.clone());
            async move {
                {
                    let mut log = seen.lock().unwrap();
                    log.open += 1;
                    log.most = log.most.max(log.open);
                }
                smtp(peer, plans, seen.clone()).await;
                seen.lock().unwrap().open -= 1;
            }
        })
        .await;
        Self {
            sandbox,
            imap,
            smtp,
            log,
            limits,
        }
    }

    /// Another app each time: what they share is the mailbox.
    pub(crate) fn app(&self) -> App {
        let endpoint = |server: &Scripted| Endpoint::implicit_tls("localhost", server.endpoint.port);
        let cloud = Cloud::custom(self.sandbox.authority())
            .unwrap()
            .with_imap(endpoint(&self.imap))
            .with_smtp(endpoint(&self.smtp))
            .with_limits(self.limits.clone());
        let ca = [self.sandbox.ca_pem(), &self.imap.ca_pem, &self.smtp.ca_pem].join("\n");
        App::builder(self.sandbox.tenant(), self.sandbox.client_id())
            .client_secret(self.sandbox.client_secret())
            .cloud(cloud)
            .extra_ca_pem(ca.as_bytes())
            .timeouts(PATIENT)
            .build()
            .unwrap()
    }

    pub(crate) fn joe(&self) -> Mailbox {
        self.app().mailbox(JOE).unwrap()
    }

    pub(crate) fn tokens(&self) -> u64 {
        self.sandbox.stats().token_requests
    }

    /// The IMAP commands that began with this.
    pub(crate) fn commands(&self, verb: &str) -> Vec<String> {
        let log = self.log.lock().unwrap();
        log.commands
            .iter()
            .filter(|line| line.starts_with(verb))
            .cloned()
            .collect()
    }

    pub(crate) fn mails(&self) -> Vec<(Vec<String>, String)> {
        self.log.lock().unwrap().mails.clone()
    }

    pub(crate) fn imap_connections(&self) -> usize {
        *self.imap.connections.lock().unwrap()
    }
}

async fn imap(mut peer: Peer, cues: Arc<Mutex<VecDeque<Cue>>>, log: Arc<Mutex<Log>>) {
    const ABLE: &str = "[CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2 UIDPLUS MOVE]";
    peer.send(format!("* OK {ABLE} ready\r\n")).await;
    loop {
        let line = peer.line().await;
        let Some((tag, command)) = line.split_once(' ') else {
            return;
        };
        log.lock().unwrap().commands.push(command.to_owned());
        let cue = {
            let mut cues = cues.lock().unwrap();
            let fits = cues.front().is_some_and(|cue| command.starts_with(cue.verb));
            if fits { cues.pop_front() } else { None }
        };
        if let Some(cue) = cue {
            let (mut rest, mut out) = (cue.says.as_slice(), Vec::new());
            while let Some(at) = rest.windows(3).position(|three| three == b"TAG") {
                out.extend_from_slice(&rest[..at]);
                out.extend_from_slice(tag.as_bytes());
                rest = &rest[at + 3..];
            }
            out.extend_from_slice(rest);
            peer.send(out).await;
            if cue.ends {
                return;
            }
            continue;
        }
        let untagged = match command.split(' ').next().unwrap() {
            "SELECT" => "* 1 EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n* OK [UIDNEXT 6] ok\r\n",
            "LIST" => "* LIST () \"/\" INBOX\r\n* LIST (\\Sent) \"/\" \"Sent Items\"\r\n",
            "UID" if command.starts_with("UID SEARCH") => "* SEARCH 5\r\n",
            _ => "",
        };
        let code = if command.starts_with("AUTH") { ABLE } else { "" };
        peer.send(format!("{untagged}{tag} OK {code} done\r\n")).await;
        if command.starts_with("LOGOUT") {
            return;
        }
    }
}

async fn smtp(mut peer: Peer, plans: Arc<Mutex<VecDeque<Plan>>>, log: Arc<Mutex<Log>>) {
    peer.send("220 mx ESMTP\r\n").await;
    let (mut to, mut plan) = (Vec::new(), Plan::Verdict("250 2.0.0 ok"));
    loop {
        let line = peer.line().await;
        match line.split(' ').next().unwrap() {
            "" => return,
            "EHLO" => peer.send("250-mx\r\n250-8BITMIME\r\n250 AUTH XOAUTH2\r\n").await,
            "AUTH" => peer.send("235 2.7.0 in\r\n").await,
            "MAIL" => {
                plan = plans
                    .lock()
                    .unwrap()
                    .pop_front()
                    .unwrap_or(Plan::Verdict("250 2.0.0 ok"));
                to.clear();
                if matches!(plan, Plan::CutBefore) {
                    return;
                }
                peer.send("250 2.1.0 ok\r\n").await;
            }
            "RCPT" => {
                let address = line.trim_start_matches("RCPT TO:<");
                to.push(address.split('>').next().unwrap().to_owned());
                peer.send("250 2.1.5 ok\r\n").await;
            }
            "DATA" => {
                peer.send("354 go\r\n").await;
                let text = peer.until(b"\r\n.\r\n").await;
                let mail = (to.clone(), String::from_utf8_lossy(&text).into_owned());
                match plan {
                    Plan::Verdict(reply) => {
                        if reply.starts_with('2') {
                            log.lock().unwrap().mails.push(mail);
                        }
                        peer.send(format!("{reply}\r\n")).await;
                    }
                    Plan::CutBehind => {
                        log.lock().unwrap().mails.push(mail);
                        return;
                    }
                    Plan::Lost | Plan::CutBefore => return,
                }
            }
            "QUIT" => {
                peer.send("221 bye\r\n").await;
                return;
            }
            _ => peer.send("250 2.0.0 ok\r\n").await,
        }
    }
}
