//! Runs each example as a program of its own against a sandbox.

use std::process::{Command, Output};

use exomail_sandbox::Sandbox;

/// Runs an example with the sandbox's variables and nothing else in its environment.
async fn run(sandbox: &Sandbox, program: &'static str, mailbox: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(sandbox.to_env())
        .env("EXOMAIL_MAILBOX", mailbox);
    // On a thread of its own: the sandbox answers on this one.
    let running = tokio::task::spawn_blocking(move || command.output());
    let Output {
        status,
        stdout,
        stderr,
    } = running.await.expect("joined").expect("the example runs");
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{program}: {stderr}");
    String::from_utf8(stdout).expect("UTF-8")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_does_what_it_says() {
    let sandbox = Sandbox::start().await.expect("the sandbox starts");
    let mailboxes = sandbox.mailboxes();
    let (joe, ann) = (&mailboxes[0], &mailboxes[1]);

    let token = run(&sandbox, env!("CARGO_BIN_EXE_token"), joe, &[]).await;
    assert!(
        token.contains(sandbox.tenant()) && token.contains("IMAP.AccessAsApp"),
        "{token}"
    );

    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let sent = run(&sandbox, env!("CARGO_BIN_EXE_send"), joe, &[ann, manifest]).await;
    assert!(sent.contains(ann.as_str()) && sent.contains("250"), "{sent}");

    let read = run(&sandbox, env!("CARGO_BIN_EXE_read"), ann, &[]).await;
    let size = std::fs::metadata(manifest).expect("the manifest").len();
    for part in [
        "1 unread messages",
        "Grüße from exomail",
        "signed in as itself",
        &format!("Cargo.toml: {size} bytes"),
    ] {
        assert!(read.contains(part), "{part} is not in\n{read}");
    }

    let pop3 = run(&sandbox, env!("CARGO_BIN_EXE_pop3"), ann, &[]).await;
    assert!(
        pop3.contains("1 messages") && pop3.contains("Grüße from exomail"),
        "{pop3}"
    );
}

#[test]
fn every_example_is_short() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/bin");
    let files: Vec<_> = std::fs::read_dir(folder).expect("examples").flatten().collect();
    assert_eq!(files.len(), 4);
    for file in files {
        let lines = std::fs::read_to_string(file.path())
            .expect("text")
            .lines()
            .count();
        assert!(lines < 40, "{} has {lines} lines", file.path().display());
    }
}
