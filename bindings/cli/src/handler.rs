//! [`Handler`]: a command of the user's that is run for a message.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use exomail::imap::Summary;
use exomail::{Error, ErrorKind, Mailbox, MessageRef, Result};
use tokio::process::Command;

use crate::failure::file_error;

/// How long the command may go on once exomail is told to stop.
const GRACE: Duration = Duration::from_secs(10);
/// Longest value in the command's environment: systems bound it, and a subject has no bound.
const MAX_VALUE: usize = 1_000;

/// Runs a command with the message on its stdin.
#[derive(Debug)]
pub(crate) struct Handler {
    pub(crate) command: String,
    /// Where the command's stdout goes: with JSON on ours, it goes to stderr.
    pub(crate) quiet: bool,
}

/// How it went.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The command has exited with 0.
    Done,
    /// The message is not there any more.
    Gone,
    /// The command has exited otherwise.
    Failed(ExitStatus),
    /// Exomail is to end, and the command was not begun, or did not end in time.
    Stopped,
}

impl Handler {
    /// Fetches the message, then runs the command. `stop` resolves when exomail is to end.
    ///
    /// Only the command itself is a shell's to read; what a mail says comes as a file and as variables.
    ///
    /// # Errors
    /// Those of fetching; [`ErrorKind::LocalIo`] when the command can't be started.
    pub(crate) async fn run(
        &self,
        mailbox: &Mailbox,
        id: &MessageRef,
        summary: &Summary,
        stop: impl Future<Output = ()>,
    ) -> Result<Outcome> {
        let unwritable = |error| file_error("keep message", &std::env::temp_dir(), error);
        // Without a name: nothing of the mail stays, however this ends.
        let file = tempfile::tempfile().map_err(unwritable)?;
        let mut sink = tokio::fs::File::from_std(file.try_clone().map_err(unwritable)?);
        let mut stop = std::pin::pin!(stop);
        let fetched = tokio::select! {
            fetched = mailbox.fetch(id, &mut sink) => fetched,
            () = &mut stop => return Ok(Outcome::Stopped),
        };
        match fetched {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Outcome::Gone),
            Err(error) => return Err(error),
        }
        drop(sink);
        std::io::Seek::rewind(&mut &file).map_err(unwritable)?;
        let mut command = shell(&self.command);
        command
            .stdin(file)
            .envs(variables(mailbox.address(), id, summary))
            .kill_on_drop(true);
        if self.quiet {
            command.stdout(Stdio::from(std::io::stderr()));
        }
        let failed = |error: std::io::Error| {
            Error::new(
                ErrorKind::LocalIo,
                "run command",
                format!("{}: {error}", self.command),
            )
            .with_source(error)
        };
        let mut child = command.spawn().map_err(failed)?;
        let overdue = async {
            stop.await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            status = child.wait() => match status.map_err(failed)? {
                status if status.success() => Ok(Outcome::Done),
                status => Ok(Outcome::Failed(status)),
            },
            () = overdue => Ok(Outcome::Stopped),
        }
    }
}

#[cfg(not(windows))]
fn shell(command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command);
    shell
}

#[cfg(windows)]
fn shell(command: &str) -> Command {
    let mut shell = Command::new("cmd");
    shell.arg("/C").arg(command);
    shell
}

/// What the command learns from its environment. `EXOMAIL_MAILBOX` also makes `exomail` itself, run by the command, open
/// this mailbox.
fn variables(mailbox: &str, id: &MessageRef, summary: &Summary) -> [(&'static str, String); 9] {
    let envelope = &summary.envelope;
    let from = envelope.from.first();
    [
        ("EXOMAIL_MAILBOX", mailbox.to_owned()),
        ("EXOMAIL_MESSAGE", id.to_string()),
        ("EXOMAIL_FOLDER", id.folder().to_owned()),
        ("EXOMAIL_UID_VALIDITY", id.uid_validity().to_string()),
        ("EXOMAIL_UID", id.uid().to_string()),
        ("EXOMAIL_SUBJECT", value(&envelope.subject)),
        ("EXOMAIL_FROM", value(from.map_or("", |address| &address.email))),
        (
            "EXOMAIL_FROM_NAME",
            value(
                from.and_then(|address| address.name.as_deref())
                    .unwrap_or_default(),
            ),
        ),
        (
            "EXOMAIL_MESSAGE_ID",
            value(envelope.message_id.as_deref().unwrap_or_default()),
        ),
    ]
}

/// A text of a mail as a variable's value: one line, no NUL, not endless.
fn value(text: &str) -> String {
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(MAX_VALUE).map(visible).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_makes_harmless_values() {
        assert_eq!(value("a\r\nb\0c\td"), "a  b c d");
        assert_eq!(value("$(reboot) `x` \"y\""), "$(reboot) `x` \"y\"");
        assert_eq!(value(&"ü".repeat(5_000)).chars().count(), MAX_VALUE);
    }
}
