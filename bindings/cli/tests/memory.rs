//! A message of 150 MB goes out from a file and comes back to a file within 16 MiB above an idle program.
#![cfg(target_os = "linux")]

mod support;

use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::Path;
use std::process::Stdio;

use support::Tenant;

const MESSAGE: usize = 150_000_000;
const QUEUED: usize = 60_000_000;
/// In KiB, as /proc tells it.
const ALLOWED: u64 = 16 * 1024;

#[test]
fn a_huge_message_passes_through_little_memory() {
    let tenant = Tenant::start();
    let me = tenant.mailbox(0);
    let message = tenant.home.path().join("huge.eml");
    write_message(&message, &me, MESSAGE);
    let path = message.to_str().expect("a UTF-8 path");

    // Idle: everything that the others do, but for the message.
    let idle = peak(&tenant, &["folders"]).max(peak(&tenant, &["pop3", "list"]));
    let sending = peak(&tenant, &["send", "--eml", path]);
    assert!(
        sending < idle + ALLOWED,
        "sending took {sending} KiB, idle is {idle} KiB"
    );
    for (command, folder) in [(&["fetch"][..], "imap"), (&["pop3", "fetch", "--all"], "pop3")] {
        let fetching = peak(&tenant, &[command, &["--output", folder]].concat());
        assert!(
            fetching < idle + ALLOWED,
            "{command:?} took {fetching} KiB, idle is {idle} KiB"
        );
        let fetched = fs::read_dir(tenant.home.path().join(folder))
            .expect("the folder")
            .next();
        assert_ends_with(&fetched.expect("one file").expect("readable").path(), &message);
    }
}

#[test]
fn a_large_message_is_queued_in_little_memory() {
    let tenant = Tenant::start();
    let message = tenant.home.path().join("large.eml");
    write_message(&message, &tenant.mailbox(0), QUEUED);
    let path = message.to_str().expect("a UTF-8 path");
    let idle = peak(&tenant, &["folders"]);
    for args in [
        &["send", "--queue", "outbox", "--eml", path][..],
        &["outbox", "drain", "outbox"],
    ] {
        let queued = peak(&tenant, args);
        assert!(
            queued < idle + ALLOWED,
            "{args:?} took {queued} KiB, idle is {idle} KiB"
        );
    }
}

/// The largest resident set of a run in KiB.
fn peak(tenant: &Tenant, args: &[&str]) -> u64 {
    let mut command = tenant.home.command(args);
    let mut child = command.stdout(Stdio::null()).spawn().expect("the binary runs");
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    // The high-water mark only rises, so looking often enough to see the end of it is all that matters.
    let exit = loop {
        let high = fs::read_to_string(&status).ok().and_then(|status| {
            let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
            line.split_whitespace().nth(1)?.parse().ok()
        });
        peak = peak.max(high.unwrap_or(0));
        if let Some(exit) = child.try_wait().expect("the child") {
            break exit;
        }
        std::thread::yield_now();
    };
    assert!(exit.success(), "{args:?}: {exit}");
    assert_ne!(peak, 0, "{args:?} was never seen");
    peak
}

fn write_message(path: &Path, address: &str, size: usize) {
    let mut file = BufWriter::new(File::create(path).expect("a file"));
    write!(file, "From: {address}\r\nTo: {address}\r\nSubject: Huge\r\n\r\n").expect("written");
    for n in 0..size / 80 {
        write!(file, "{n:078}\r\n").expect("written");
    }
    file.flush().expect("written");
}

/// Compares from the end, piece by piece: the server has put header fields in front.
fn assert_ends_with(whole: &Path, end: &Path) {
    let (mut whole, mut end) = (
        File::open(whole).expect("a file"),
        File::open(end).expect("a file"),
    );
    let size = |file: &File| file.metadata().expect("metadata").len();
    let extra = size(&whole).checked_sub(size(&end)).expect("nothing is missing");
    std::io::copy(&mut Read::by_ref(&mut whole).take(extra), &mut std::io::sink()).expect("read");
    let (mut a, mut b) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        let count = end.read(&mut a).expect("read");
        if count == 0 {
            break;
        }
        whole.read_exact(&mut b[..count]).expect("as long");
        assert!(a[..count] == b[..count], "the bytes differ");
    }
}
