//! `exomail watch` on a sandbox: what it prints and runs, how it stops, and that nothing is lost or comes twice.
#![cfg(unix)]

mod support;

use std::io::{BufRead, BufReader, Lines};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::Tenant;

/// A running `exomail watch --json`.
struct Watching {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Watching {
    fn start(tenant: &Tenant, args: &[&str]) -> Self {
        let mut command = tenant.home.command(&[&["watch", "--json"], args].concat());
        command.env("PATH", std::env::var_os("PATH").expect("a PATH"));
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        Self { child, lines }
    }

    /// The next line, which must be of this event.
    #[track_caller]
    fn next(&mut self, event: &str) -> Value {
        let line = self.lines.next().expect("one more line").expect("text");
        let value: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(value["event"], event, "{value}");
        value
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args([name, &pid]).status();
        assert!(status.expect("kill runs").success());
    }

    fn code(mut self) -> Option<i32> {
        self.child.wait().expect("it ends").code()
    }
}

/// A test that fails leaves nothing running.
impl Drop for Watching {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn deliver(tenant: &Tenant, subjects: std::ops::Range<usize>) {
    for n in subjects {
        tenant.deliver(&format!("Mail {n}"), "x");
    }
}

/// What the commands wrote into `log`, line by line.
fn log(tenant: &Tenant) -> Vec<String> {
    let text = std::fs::read_to_string(tenant.home.path().join("log")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn mails(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| format!("Mail {n}")).collect()
}

fn last_uid(tenant: &Tenant) -> Option<u64> {
    let text = std::fs::read_to_string(tenant.home.path().join("at.json")).ok()?;
    let value: Value = serde_json::from_str(&text).expect("whole at any moment");
    value["last_uid"].as_u64()
}

/// Waits for what another process does.
#[track_caller]
fn until(done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "it never happens");
        std::thread::yield_now();
    }
}

/// Runs with a PATH, for the commands' sake.
fn run(tenant: &Tenant, args: &[&str]) -> support::Run {
    let mut command = tenant.home.command(args);
    command.env("PATH", std::env::var_os("PATH").expect("a PATH"));
    support::Run::of(command.output().expect("the binary runs"))
}

/// How long something may take that takes a moment.
const PATIENCE: Duration = Duration::from_secs(120);
const LOG: &str = "echo \"$EXOMAIL_SUBJECT\" >> log";
const CHECKPOINT: [&str; 2] = ["--checkpoint", "at.json"];

#[test]
fn mail_is_printed_as_it_comes_until_a_signal() {
    let tenant = Tenant::start();
    deliver(&tenant, 0..1);
    for signal in ["-TERM", "-INT"] {
        let mut watching = Watching::start(&tenant, &[]);
        let before = watching.next("caught_up")["checkpoint"]["last_uid"].clone();
        tenant.deliver("Grüße", "x");
        let message = watching.next("message");
        assert_eq!(message["envelope"]["subject"], "Grüße");
        assert_eq!(message["folder"], "INBOX");
        assert_eq!(message["checkpoint"]["last_uid"], message["uid"]);
        assert!(message["uid"].as_u64() > before.as_u64());
        watching.next("caught_up");
        watching.signal(signal);
        assert_eq!(watching.code(), Some(0));
    }
    let run = tenant.run(&["watch", "--from-beginning", "--once"]).ok();
    assert_eq!(run.stdout.lines().count(), 3, "{run:?}");
    assert!(run.stdout.contains("Mail 0"), "{run:?}");
    let ended = tenant.run(&["watch", "--timeout", "100ms"]).ok();
    assert_eq!(ended.stdout, "");
}

#[test]
fn a_command_gets_the_message_and_what_it_says_harms_nobody() {
    let tenant = Tenant::start();
    let subject = "$(touch pwned) `touch pwned`\"; touch pwned; ' #";
    tenant.deliver(subject, "Hello");
    let exec = "cat > \"$EXOMAIL_UID.eml\"; echo chatter; printf '%s\\n' \"$EXOMAIL_MAILBOX\" \"$EXOMAIL_FOLDER\" \
                \"$EXOMAIL_SUBJECT\" \"$EXOMAIL_FROM\" \"$EXOMAIL_MESSAGE\" \"$EXOMAIL_MESSAGE_ID\" > log";
    let args = ["watch", "--json", "--from-beginning", "--once", "--exec", exec];
    let run = run(&tenant, &args).ok();
    // The command's own words are not among the events.
    assert_eq!(run.lines().len(), 2);
    assert!(run.stderr.contains("chatter"), "{run:?}");
    let listed = &tenant.run(&["list", "--json"]).ok().lines()[0];
    let uid = listed["uid"].to_string();
    let me = tenant.mailbox(0);
    let validity = &listed["uid_validity"];
    let id = format!("INBOX;UIDVALIDITY={validity}/;UID={uid}");
    let message_id = listed["envelope"]["message_id"].as_str().expect("an id");
    assert_eq!(log(&tenant), [&*me, "INBOX", subject, &*me, &*id, message_id]);
    let raw = tenant.run(&["show", &uid, "--raw"]).ok().stdout;
    let path = tenant.home.path().join(format!("{uid}.eml"));
    assert_eq!(std::fs::read_to_string(path).expect("the message"), raw);
    assert!(!tenant.home.path().join("pwned").exists());
    // It stays unread.
    assert_eq!(tenant.run(&["list", "--unseen", "--json"]).ok().lines().len(), 1);
}

#[test]
fn a_killed_watch_loses_nothing_and_repeats_nothing() {
    let tenant = Tenant::start();
    deliver(&tenant, 0..2);
    let args = [&CHECKPOINT[..], &["--from-beginning", "--exec", LOG]].concat();
    for round in 1..4 {
        let mut watching = Watching::start(&tenant, &args);
        deliver(&tenant, 2 * round..2 * round + 1);
        let done = 2 * round + 1;
        until(|| last_uid(&tenant) == Some(done as u64));
        watching.child.kill().expect("killed");
        drop(watching);
        deliver(&tenant, done..done + 1);
    }
    let once = [&["watch", "--once"], &args[..]].concat();
    run(&tenant, &once).ok();
    assert_eq!(log(&tenant), mails(0..8));
    run(&tenant, &once).ok();
    assert_eq!(log(&tenant), mails(0..8));
}

#[test]
fn a_watch_killed_amid_a_command_runs_it_again() {
    let tenant = Tenant::start();
    deliver(&tenant, 0..1);
    let wait = "echo begin >> log; until [ -e go ]; do sleep 0.01; done; echo end >> log";
    let args = [&CHECKPOINT[..], &["--from-beginning", "--exec", wait]].concat();
    let mut watching = Watching::start(&tenant, &args);
    until(|| log(&tenant) == ["begin"]);
    watching.child.kill().expect("killed");
    drop(watching);
    assert_eq!(last_uid(&tenant), None);
    // Lets the orphan end, too.
    tenant.home.write("go", "");
    until(|| log(&tenant) == ["begin", "end"]);
    run(&tenant, &[&["watch", "--once"], &args[..]].concat()).ok();
    assert_eq!(log(&tenant), ["begin", "end", "begin", "end"]);
    assert_eq!(last_uid(&tenant), Some(1));
}

#[test]
fn a_signal_lets_the_command_end() {
    let tenant = Tenant::start();
    deliver(&tenant, 0..2);
    let wait = "echo begin >> log; until [ -e go ]; do sleep 0.01; done";
    let args = [&CHECKPOINT[..], &["--from-beginning", "--exec", wait]].concat();
    let mut watching = Watching::start(&tenant, &args);
    until(|| log(&tenant) == ["begin"]);
    watching.signal("-TERM");
    tenant.home.write("go", "");
    // The first is done with; the second was not begun.
    assert_eq!(watching.next("message")["uid"], 1);
    assert_eq!(watching.code(), Some(0));
    assert_eq!(last_uid(&tenant), Some(1));
    assert_eq!(log(&tenant), ["begin"]);
}

#[test]
fn a_command_that_fails_is_run_again_before_anything_else() {
    let tenant = Tenant::start();
    deliver(&tenant, 0..3);
    let fails = "echo \"$EXOMAIL_SUBJECT\" >> log; [ \"$EXOMAIL_UID\" != 2 ] || [ -e go ]";
    let args = [&CHECKPOINT[..], &["--from-beginning", "--exec", fails]].concat();
    let once = run(&tenant, &[&["watch", "--once"], &args[..]].concat()).fails(10);
    assert!(once.stderr.contains("UID=2: the command ended with"), "{once:?}");
    assert_eq!(last_uid(&tenant), Some(1));
    assert_eq!(log(&tenant), mails(0..2));
    let mut watching = Watching::start(&tenant, &args);
    assert_eq!(watching.next("failed")["pause"], 1.0);
    assert_eq!(last_uid(&tenant), Some(1));
    tenant.home.write("go", "");
    for uid in [2, 3] {
        assert_eq!(watching.next("message")["uid"], uid);
    }
    watching.next("caught_up");
    watching.signal("-TERM");
    assert_eq!(watching.code(), Some(0));
    assert_eq!(log(&tenant), ["Mail 0", "Mail 1", "Mail 1", "Mail 1", "Mail 2"]);
}

#[test]
fn a_checkpoint_of_something_else_is_refused() {
    let tenant = Tenant::start();
    let watch = |args: &[&str]| tenant.run(&[&["watch", "--once", "--json"], &CHECKPOINT[..], args].concat());
    watch(&[]).ok();
    assert_eq!(last_uid(&tenant), Some(0));
    let other = watch(&["--mailbox", &tenant.mailbox(1)]).fails(3);
    assert_eq!(other.error()["kind"], "invalid_argument");
    watch(&["--folder", "Archive"]).fails(3);
    tenant.home.write("at.json", "nonsense");
    assert_eq!(watch(&[]).fails(3).error()["operation"], "read checkpoint");
    let path: PathBuf = tenant.home.path().join("at.json");
    std::fs::remove_file(path).expect("removed");
    // No such folder.
    assert_eq!(
        watch(&["--folder", "Nowhere"]).fails(7).error()["kind"],
        "not_found"
    );
}
