//! `send --queue` and `outbox`: what they do, print and leave behind.

mod support;

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::json;
use support::{Home, Tenant};

fn queue(tenant: &Tenant, subject: &str) -> String {
    let run = tenant.run(&[
        "send",
        "--json",
        "--queue",
        "outbox",
        "--to",
        &tenant.mailbox(1),
        "--subject",
        subject,
        "--text",
        "x",
    ]);
    let queued = run.ok().json();
    assert_eq!(
        (&queued["is_new"], &queued["state"]),
        (&json!(true), &json!("queued"))
    );
    queued["id"].as_str().expect("an id").to_owned()
}

fn received(tenant: &Tenant) -> Vec<String> {
    let run = tenant
        .run(&["list", "--json", "--limit", "0", "--mailbox", &tenant.mailbox(1)])
        .ok();
    let subject = |line: &serde_json::Value| line["envelope"]["subject"].as_str().map(str::to_owned);
    run.lines().iter().filter_map(subject).collect()
}

#[test]
fn a_mail_is_queued_without_network_or_credential() {
    let home = Home::new().with("EXOMAIL_MAILBOX", "joe@contoso.example");
    let send = [
        "send",
        "--queue",
        "outbox",
        "--to",
        "ann@contoso.example",
        "--subject",
        "x",
        "--text",
        "y",
    ];
    let run = home.run(&send).ok();
    assert!(run.stdout.starts_with("queued "), "{run:?}");
    let eml = home.write(
        "ready.eml",
        "From: joe@contoso.example\nTo: ann@contoso.example\nMessage-ID: <1@contoso.example>\n\nHi\n",
    );
    let eml = ["send", "--json", "--queue", "outbox", "--eml", &eml];
    let first = home.run(&eml).ok().json();
    let second = home.run(&eml).ok().json();
    assert_eq!(first["message_id"], "1@contoso.example");
    assert_eq!(
        (&first["is_new"], &second["is_new"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(first["id"], second["id"]);
    let again = home.run(&[&eml[..], &["--again"]].concat()).ok().json();
    assert_eq!(again["is_new"], true);

    let listed = home.run(&["outbox", "list", "outbox", "--json"]).ok().lines();
    assert_eq!(listed.len(), 3);
    assert!(listed.iter().all(|line| line["state"] == "queued"), "{listed:?}");
    let table = home.run(&["outbox", "list", "outbox"]).ok().stdout;
    assert!(
        table.contains("MESSAGE-ID") && table.contains("1@contoso.example"),
        "{table}"
    );
    home.run(&["outbox", "list", "outbocks"]).fails(3);
    home.run(&["send", "--again", "--eml", "ready.eml"]).fails(2);
}

#[test]
fn what_is_queued_is_sent_once() {
    let tenant = Tenant::start();
    let ids = [queue(&tenant, "One"), queue(&tenant, "Two")];
    let drained = tenant.run(&["outbox", "drain", "outbox", "--json"]).ok().lines();
    let mut sent: Vec<_> = drained
        .iter()
        .map(|line| (line["state"].as_str(), line["id"].as_str()))
        .collect();
    sent.sort();
    let mut expected: Vec<_> = ids.iter().map(|id| (Some("sent"), Some(id.as_str()))).collect();
    expected.sort();
    assert_eq!(sent, expected);
    let nothing = tenant.run(&["outbox", "drain", "outbox"]).ok();
    assert_eq!(nothing.stdout, "");
    let mut subjects = received(&tenant);
    subjects.sort();
    assert_eq!(subjects, ["One", "Two"]);
    assert_eq!(
        tenant.run(&["outbox", "list", "outbox", "--json"]).ok().stdout,
        ""
    );
    let sent = tenant.run(&["outbox", "list", "outbox", "--sent", "--json"]).ok();
    assert_eq!(sent.lines().len(), 2);
}

#[test]
fn what_can_not_be_sent_is_shown_and_tried_again() {
    let tenant = Tenant::start();
    let eml = tenant.home.write(
        "fine.eml",
        format!("From: {}\nSubject: Fine\n\nx\n", tenant.mailbox(0)),
    );
    let options = ["--queue", "outbox", "--eml", &eml, "--to", &tenant.mailbox(1)];
    tenant.run(&[&["send"][..], &options].concat()).ok();
    // A header that is too large is refused for good.
    let huge = format!("X-Filler: {}\n", "x".repeat(900)).repeat(300);
    let eml = tenant.home.write(
        "huge.eml",
        format!("From: {}\n{huge}Subject: Huge\n\nx\n", tenant.mailbox(0)),
    );
    let to = tenant.mailbox(1);
    let queued = tenant
        .run(&["send", "--json", "--queue", "outbox", "--eml", &eml, "--to", &to])
        .ok()
        .json();
    let id = queued["id"].as_str().expect("an id");
    tenant.home.write("outbox/new/notes.txt", "not a message");

    let run = tenant.run(&["outbox", "drain", "outbox"]).fails(10);
    for part in [
        "sent ",
        "dead ",
        "552 5.3.4",
        "damaged notes.txt",
        "1 sent, 1 dead",
    ] {
        assert!(
            run.stdout.contains(part) || run.stderr.contains(part),
            "{part}: {run:?}"
        );
    }
    let dead = tenant.run(&["outbox", "dead", "outbox", "--json"]).ok().lines();
    assert_eq!(dead.len(), 2);
    assert_eq!(
        (dead[0]["id"].as_str(), dead[0]["state"].as_str()),
        (Some(id), Some("dead"))
    );
    assert_eq!(dead[0]["reason"]["kind"], "too_large");
    assert_eq!(dead[1]["name"], "notes.txt");

    tenant
        .run(&["outbox", "retry", "outbox", "0123456789abcdef0123456789abcdef"])
        .fails(7);
    tenant
        .run(&["outbox", "retry", "outbox", "../../etc/passwd"])
        .fails(2);
    let retried = tenant
        .run(&["outbox", "retry", "outbox", id, "--json"])
        .ok()
        .lines();
    assert_eq!(
        (&retried[0]["state"], &retried[0]["reason"]),
        (&json!("queued"), &json!(null))
    );
    tenant.run(&["outbox", "drain", "outbox", "--once"]).fails(10);
    assert_eq!(
        tenant
            .run(&["outbox", "retry", "outbox", "--all", "--json"])
            .ok()
            .lines()
            .len(),
        1
    );
    assert_eq!(received(&tenant), ["Fine"]);
}

#[cfg(unix)]
#[test]
fn a_watcher_sends_what_comes_later_and_ends_on_a_signal() {
    let tenant = Tenant::start();
    queue(&tenant, "One");
    let mut command = tenant
        .home
        .command(&["outbox", "drain", "outbox", "--watch", "--json"]);
    let mut watcher = command.stdout(Stdio::piped()).spawn().expect("the binary runs");
    let mut lines = BufReader::new(watcher.stdout.take().expect("piped")).lines();
    let mut next = || lines.next().expect("a line").expect("text");
    assert!(next().contains("\"sent\""));
    let second = tenant
        .run(&["outbox", "drain", "outbox", "--json"])
        .fails(3)
        .error();
    assert_eq!(second["kind"], "busy");
    queue(&tenant, "Two");
    assert!(next().contains("\"sent\""));
    let killed = std::process::Command::new("kill")
        .arg(watcher.id().to_string())
        .status()
        .expect("kill runs");
    assert!(killed.success());
    assert_eq!(watcher.wait().expect("it ends").code(), Some(0));
    assert_eq!(received(&tenant).len(), 2);
}
