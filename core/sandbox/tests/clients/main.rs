//! Clients that nobody here wrote, run against the sandbox: they succeed and fail as against Exchange.

#![allow(clippy::unwrap_used, reason = "a test that fails should panic")]

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

mod curl;
mod python;

const JOE: &str = "joe@contoso.example";
const ANN: &str = "ann@contoso.example";

/// Runs a client written by others and gives what it printed. One that is missing, or fails, fails the test.
async fn run(command: Command, input: &str) -> Vec<u8> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = outcome(command, input).await;
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {}\n{text}", output.status);
    output.stdout
}

/// Runs a client written by others, however it ends. One that is missing fails the test.
async fn outcome(mut command: Command, input: &str) -> Output {
    let input = input.to_owned();
    let program = command.get_program().to_string_lossy().into_owned();
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run {program}: {error}"));
    // On a thread of its own: the servers that it talks to run on this one.
    let ended = tokio::task::spawn_blocking(move || {
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    });
    ended.await.unwrap()
}
