//! The servers come up, answer, and leave nothing behind.

#![allow(clippy::unwrap_used, reason = "a test that fails should panic")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use exomail_test_servers::{Servers, Trust};

fn start() -> Servers {
    Servers::builder(Trust {
        issuer: "https://sts.contoso.example/".to_owned(),
        audience: "https://outlook.office365.com".to_owned(),
        keys: vec![],
    })
    .mailbox("joe@contoso.example")
    .start()
    .unwrap()
}

fn greeting(port: u16) -> String {
    let mut line = String::new();
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line
}

/// Process groups and command lines of all processes that fit. Those that have ended and wait for process 1 to notice
/// do not count.
fn processes(fits: impl Fn(&str, &str) -> bool) -> Vec<(String, String)> {
    let output = Command::new("ps")
        .args(["-eo", "pgid=,stat=,args="])
        .output()
        .unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .filter_map(|line| line.trim_start().split_once(' '))
        .filter(|(_, rest)| !rest.trim_start().starts_with('Z'))
        .filter(|(group, arguments)| fits(group, arguments))
        .map(|(group, arguments)| (group.to_owned(), arguments.to_owned()))
        .collect()
}

/// The process groups of both servers.
fn groups(folder: &Path) -> BTreeSet<String> {
    let folder = folder.to_str().unwrap();
    processes(|_, arguments| arguments.contains(folder))
        .into_iter()
        .map(|(group, _)| group)
        .collect()
}

fn check_gone(folder: &Path, groups: &BTreeSet<String>) {
    check_ended(groups);
    assert!(!folder.exists());
}

fn check_ended(groups: &BTreeSet<String>) {
    assert_eq!(groups.len(), 2);
    // A killed process takes a moment to go.
    let until = Instant::now() + Duration::from_secs(30);
    while !processes(|group, _| groups.contains(group)).is_empty() {
        assert!(
            Instant::now() < until,
            "{:?}",
            processes(|group, _| groups.contains(group))
        );
        thread::yield_now();
    }
}

#[test]
fn each_server_greets() {
    let servers = start();
    assert!(greeting(servers.imap()).starts_with("* OK "), "{}", servers.log());
    assert!(greeting(servers.pop3()).starts_with("+OK "), "{}", servers.log());
    assert!(
        greeting(servers.smtp()).starts_with("220 mail.contoso.example"),
        "{}",
        servers.log()
    );
    assert!(servers.ca_pem().contains("BEGIN CERTIFICATE"));
}

#[test]
fn nothing_is_left_after_drop() {
    let servers = start();
    greeting(servers.smtp());
    greeting(servers.imap());
    let folder = servers.folder().to_owned();
    let groups = groups(&folder);
    drop(servers);
    check_gone(&folder, &groups);
}

#[test]
fn nothing_is_left_after_a_panic() {
    let mut seen = None;
    let result = catch_unwind(AssertUnwindSafe(|| {
        let servers = start();
        seen = Some((servers.folder().to_owned(), groups(servers.folder())));
        panic!("on purpose");
    }));
    assert!(result.is_err());
    let (folder, groups) = seen.unwrap();
    check_gone(&folder, &groups);
}

/// The first process starts servers and waits to be killed; the second kills it and looks.
#[test]
fn nothing_is_left_after_a_kill() {
    const ROLE: &str = "EXOMAIL_TEST_SERVERS_WAIT";
    if std::env::var_os(ROLE).is_some() {
        let servers = start();
        println!("\n{}", servers.folder().display());
        std::io::stdin().read_line(&mut String::new()).unwrap();
        return;
    }
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "nothing_is_left_after_a_kill", "--nocapture"])
        .env(ROLE, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let folder = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap)
        .find(|line| line.contains("exomail-servers-"))
        .unwrap();
    let groups = groups(Path::new(&folder));
    child.kill().unwrap();
    child.wait().unwrap();
    // Nobody is left to remove the files.
    check_ended(&groups);
    std::fs::remove_dir_all(folder).unwrap();
}
