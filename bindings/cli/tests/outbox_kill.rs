//! A worker is killed at random moments, again and again: no mail is lost, and none is sent twice.

mod support;

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use exomail::message::{Message, RawMessage};
use exomail::outbox::{AddOptions, Outbox, State};
use exomail::smtp::Envelope;
use exomail_sandbox::Sandbox;
use support::{Home, Run};

const MAILS: usize = 100;
/// More often it is not killed, so that a slow machine comes to an end too.
const RUNS: usize = 25;
/// So many that none comes near the 30 mails a minute that Exchange takes from one.
const SENDERS: [&str; 5] = [
    "joe@contoso.example",
    "bob@contoso.example",
    "eve@contoso.example",
    "kim@contoso.example",
    "lee@contoso.example",
];
const ANN: &str = "ann@contoso.example";

/// splitmix64: the same moments for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

#[test]
fn a_worker_may_be_killed_at_any_moment() {
    let seed = match std::env::var("EXOMAIL_SEED") {
        Ok(seed) => seed.parse().expect("EXOMAIL_SEED is a number"),
        Err(_) => std::process::id().into(),
    };
    println!("EXOMAIL_SEED={seed}");
    let mut random = Random(seed);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let sandbox = runtime.block_on(async {
        // A connection of a worker that was just killed must not count against the next one.
        let mut builder = Sandbox::builder().mailbox(ANN).no_smtp_limits();
        for sender in SENDERS {
            builder = builder.mailbox(sender);
        }
        builder.start().await.expect("the sandbox starts")
    });
    let mut home = Home::new();
    home.env.extend(
        sandbox
            .to_env()
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value)),
    );
    let folder = home.path().join("outbox");
    runtime.block_on(fill(&folder));

    let mut killed = 0;
    for _ in 0..RUNS {
        // Some die early, others somewhere amid the mails.
        let (lines, pause) = match random.below(3) {
            0 => (0, random.below(200)),
            _ => (1 + random.below(4), random.below(5)),
        };
        let command = home.command(&["outbox", "drain", "outbox", "--json"]);
        match run_until(command, lines, Duration::from_millis(pause)) {
            true => killed += 1,
            false => break,
        }
    }
    println!("killed {killed} times");
    assert!(killed > 0, "it ended before it could be killed");

    let drained = home.run(&["outbox", "drain", "outbox", "--json"]);
    let outbox = Outbox::open(&folder).expect("the outbox");
    let unknown = outbox.entries(State::Unknown).expect("unknown");
    println!("{} of unknown outcome", unknown.len());
    assert_eq!(
        drained.code,
        if unknown.is_empty() { 0 } else { 10 },
        "{drained:?}"
    );
    for state in [State::Queued, State::Sending, State::Dead] {
        assert!(outbox.entries(state).expect("entries").is_empty(), "{state}");
    }
    let sent = outbox.entries(State::Sent).expect("sent");
    assert_eq!(sent.len() + unknown.len(), MAILS);
    settle(&sandbox);
    let arrived = arrivals(&sandbox);
    for entry in &sent {
        assert_eq!(arrived.get(&entry.message_id), Some(&1), "sent: {entry:?}");
    }
    for entry in &unknown {
        let count = arrived.get(&entry.message_id).copied().unwrap_or_default();
        assert!(count <= 1, "unknown, but there {count} times: {entry:?}");
    }

    // The sent items decide on the rest.
    home.run(&[
        "outbox",
        "drain",
        "outbox",
        "--json",
        "--check-sent",
        "--settle",
        "1ms",
    ])
    .ok();
    assert_eq!(outbox.entries(State::Sent).expect("sent").len(), MAILS);
    let arrived = arrivals(&sandbox);
    assert_eq!(arrived.len(), MAILS);
    assert!(arrived.values().all(|count| *count == 1), "{arrived:?}");
}

async fn fill(folder: &Path) {
    let outbox = Outbox::open(folder).expect("the outbox");
    for n in 0..MAILS {
        let sender = SENDERS[n % SENDERS.len()];
        let text =
            format!("From: {sender}\r\nMessage-ID: <{n}@contoso.example>\r\nSubject: {n}\r\n\r\nx\r\n");
        let envelope = Envelope::new(Some(sender.to_owned()), vec![ANN.to_owned()]).expect("an envelope");
        let raw = RawMessage::from_bytes(text);
        let queued = outbox
            .add_raw(sender, &envelope, raw, &AddOptions::default())
            .await;
        assert!(queued.expect("queued").is_new);
    }
}

/// Runs a command until it has told so many lines and some time has passed; then it is killed. `false` where it came
/// to its end before.
fn run_until(mut command: Command, lines: u64, pause: Duration) -> bool {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let stdout = BufReader::new(child.stdout.take().expect("piped"));
    let (said, heard) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        for line in stdout.lines() {
            // Nobody listens any more once it is killed.
            drop(said.send(line));
        }
    });
    let mut ended = false;
    for _ in 0..lines {
        ended |= heard.recv().is_err();
    }
    // Until the end of its output, but no longer than this.
    let after = std::time::Instant::now() + pause;
    while !ended {
        match heard.recv_timeout(after.saturating_duration_since(std::time::Instant::now())) {
            Ok(_) => {}
            Err(mpsc::RecvTimeoutError::Timeout) => break,
            Err(mpsc::RecvTimeoutError::Disconnected) => ended = true,
        }
    }
    if !ended {
        // SIGKILL on Unix.
        child.kill().expect("it runs");
    }
    let output = child.wait_with_output().expect("it ends");
    reader.join().expect("the reader");
    if ended {
        let run = Run::of(output);
        assert!([0, 10].contains(&run.code), "{run:?}");
    }
    !ended
}

/// Waits until the sandbox has taken in all that the dead have left on its connections.
fn settle(sandbox: &Sandbox) {
    while sandbox
        .stats()
        .connections
        .iter()
        .any(|connection| connection.open)
    {
        std::thread::yield_now();
    }
}

/// How often each Message-ID is in the target.
fn arrivals(sandbox: &Sandbox) -> HashMap<String, usize> {
    let mut arrivals = HashMap::new();
    for stored in sandbox.messages(ANN, "INBOX") {
        let message = Message::parse(stored.raw.to_vec()).expect("a message");
        let id = message.message_id().expect("a Message-ID");
        *arrivals.entry(id).or_default() += 1;
    }
    arrivals
}
