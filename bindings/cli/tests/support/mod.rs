//! Runs the real binary, alone or on a sandbox that is itself the real binary.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// What a run left behind.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code().expect("the program was not killed"),
            stdout: String::from_utf8(output.stdout).expect("stdout is text"),
            stderr: String::from_utf8(output.stderr).expect("stderr is text"),
        }
    }

    /// Stdout as one JSON document.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Stdout as JSON lines.
    #[track_caller]
    pub fn lines(&self) -> Vec<Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        self.stdout.lines().map(parse).collect()
    }

    /// The last line of stderr as JSON: the error.
    #[track_caller]
    pub fn error(&self) -> Value {
        let last = self.stderr.lines().last().unwrap_or_default();
        serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }

    #[track_caller]
    pub fn fails(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }
}

/// A home without configuration, and an environment with nothing of the caller's.
#[derive(Debug)]
pub struct Home {
    pub folder: TempDir,
    pub env: HashMap<String, String>,
}

impl Home {
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            env: HashMap::new(),
        }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().expect("in a folder")).expect("folder");
        std::fs::write(&path, content).expect("file");
        path.to_str().expect("a UTF-8 path").to_owned()
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_exomail"));
        command
            .args(args)
            .env_clear()
            .env("HOME", self.path())
            .envs(&self.env)
            .current_dir(self.path())
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, args: &[&str]) -> Run {
        Run::of(self.command(args).output().expect("the binary runs"))
    }

    pub fn run_with_input(&self, args: &[&str], input: &[u8]) -> Run {
        let mut command = self.command(args);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary runs");
        let mut stdin = child.stdin.take().expect("piped");
        stdin.write_all(input).expect("the binary reads");
        drop(stdin);
        Run::of(child.wait_with_output().expect("the binary ends"))
    }

    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.insert(name.to_owned(), value.into());
        self
    }
}

/// `exomail sandbox --json`, and a home whose environment points at it.
#[derive(Debug)]
pub struct Tenant {
    child: Child,
    pub json: Value,
    pub home: Home,
}

impl Tenant {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    pub fn start_with(args: &[&str]) -> Self {
        let home = Home::new();
        let mut command = home.command(&[&["sandbox", "--json"], args].concat());
        let mut child = command
            // Its CA file goes with the home: a sandbox that is killed can't remove it.
            .env("TMPDIR", home.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the sandbox starts");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("piped"))
            .read_line(&mut line)
            .expect("the sandbox speaks");
        let json: Value = serde_json::from_str(&line).expect("one line of JSON");
        let mut tenant = Self { child, json, home };
        tenant.home.env = tenant.environment();
        tenant
    }

    fn environment(&self) -> HashMap<String, String> {
        let endpoint = |name: &str, scheme: &str| {
            let endpoint = &self.json[name];
            let host = endpoint["host"].as_str().expect("host");
            format!("{scheme}://{host}:{}", endpoint["port"])
        };
        HashMap::from([
            ("EXOMAIL_AUTHORITY".to_owned(), self.text("authority")),
            ("EXOMAIL_TENANT".to_owned(), self.text("tenant")),
            ("EXOMAIL_CLIENT_ID".to_owned(), self.text("client_id")),
            ("EXOMAIL_CLIENT_SECRET".to_owned(), self.text("client_secret")),
            ("EXOMAIL_CA_FILE".to_owned(), self.text("ca_file")),
            ("EXOMAIL_IMAP".to_owned(), endpoint("imap", "imaps")),
            ("EXOMAIL_POP3".to_owned(), endpoint("pop3", "pop3s")),
            ("EXOMAIL_SMTP".to_owned(), endpoint("smtp", "smtp")),
            ("EXOMAIL_MAILBOX".to_owned(), self.mailbox(0)),
        ])
    }

    pub fn text(&self, key: &str) -> String {
        let value = self.json[key].as_str();
        value
            .unwrap_or_else(|| panic!("no {key}: {}", self.json))
            .to_owned()
    }

    pub fn mailbox(&self, index: usize) -> String {
        self.json["mailboxes"][index]
            .as_str()
            .expect("a mailbox")
            .to_owned()
    }

    pub fn run(&self, args: &[&str]) -> Run {
        self.home.run(args)
    }

    /// Sends a short mail from the first mailbox to itself.
    pub fn deliver(&self, subject: &str, text: &str) {
        let me = self.mailbox(0);
        self.run(&["send", "--to", &me, "--subject", subject, "--text", text])
            .ok();
    }

    /// SIGTERM, as a service manager would, and the exit code.
    #[cfg(unix)]
    pub fn terminate(mut self) -> i32 {
        let pid = self.child.id().to_string();
        let killed = Command::new("kill").arg(pid).status().expect("kill runs");
        assert!(killed.success());
        self.child
            .wait()
            .expect("the sandbox ends")
            .code()
            .expect("an exit code")
    }
}

impl Drop for Tenant {
    fn drop(&mut self) {
        // Already ended after `terminate`.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
