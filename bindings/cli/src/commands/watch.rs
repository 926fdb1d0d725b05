//! `exomail watch`: the new messages of a folder as they come.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ValueEnum, ValueHint};
use exomail::imap::Summary;
use exomail::{AfterReset, Checkpoint, Error, ErrorKind, Mailbox, MessageRef, Retry, WatchEvent};
use serde::Serialize;
use serde_json::json;

use super::folder::FolderArgs;
use crate::args::{self, ConnectionArgs};
use crate::checkpoint::CheckpointFile;
use crate::context::Context;
use crate::failure::{Done, Failure};
use crate::handler::{Handler, Outcome};
use crate::output::clean;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// A server that does not say goodbye is not waited for.
const FAREWELL: Duration = Duration::from_secs(2);

/// Print each new message of a folder as it comes, or run a command for it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Runs until SIGINT or SIGTERM, or for --timeout, and then exits with 0. Sessions that end come back by themselves.

The command of --exec is run by the shell for one message after the other, in their order, with the whole message on \
its stdin and EXOMAIL_MAILBOX, _FOLDER, _UID, _UID_VALIDITY, _MESSAGE, _SUBJECT, _FROM, _FROM_NAME and _MESSAGE_ID in \
its environment. Where it exits with another code than 0, it is run again after growing pauses; the messages behind it \
wait. Put the variables in double quotes: a mail can say anything.

The checkpoint is stored once a message is printed, and its command has exited with 0. Started again with the same file, \
no message is missed, and none comes twice but the one that was being handled when exomail was killed.

Examples:
  exomail watch --checkpoint inbox.json --exec './import.sh'
  exomail watch --json | jq -r 'select(.event == \"message\") | .envelope.subject'
  exomail watch --checkpoint inbox.json --from-beginning --once --exec 'cat > \"$EXOMAIL_UID.eml\"'")]
pub(crate) struct Args {
    #[command(flatten)]
    folder: FolderArgs,
    /// File that keeps how far the folder has been handled
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    checkpoint: Option<PathBuf>,
    /// Without a checkpoint yet, begin with the oldest message instead of the next that comes
    #[arg(long)]
    from_beginning: bool,
    /// Command to run for each message
    #[arg(long, value_name = "CMD", value_hint = ValueHint::CommandString)]
    exec: Option<String>,
    /// End once all that is there is handled; a command that fails ends it, too, with exit code 10
    #[arg(long)]
    once: bool,
    /// How often to look where the server has no IDLE
    #[arg(long, value_name = "DURATION", value_parser = args::duration, default_value = "1m")]
    poll: Duration,
    /// Where to go on when the server has rebuilt the folder
    #[arg(long, value_name = "WHERE", value_enum, default_value_t = Restart::Beginning)]
    after_reset: Restart,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Restart {
    Beginning,
    Now,
}

pub(crate) async fn run(args: Args, context: &Context) -> Done {
    let connection = context.connection(&args.connection)?;
    let mailbox = connection.app.mailbox(connection.mailbox()?)?;
    let result = watch(args, context, &mailbox).await;
    drop(tokio::time::timeout(FAREWELL, mailbox.close()).await);
    result
}

async fn watch(args: Args, context: &Context, mailbox: &Mailbox) -> Done {
    let (output, folder) = (&context.output, &args.folder.folder);
    let mut file = match &args.checkpoint {
        Some(path) => Some(CheckpointFile::open(path, mailbox.address())?),
        None => None,
    };
    let stored = file.as_ref().and_then(CheckpointFile::stored).cloned();
    let since = stored.or_else(|| args.from_beginning.then(|| Checkpoint::beginning(folder)));
    let after_reset = match args.after_reset {
        Restart::Beginning => AfterReset::Beginning,
        Restart::Now => AfterReset::Now,
    };
    let mut watch = mailbox
        .watch(folder, since)
        .poll_every(args.poll)
        .after_reset(after_reset);
    let worker = Worker {
        context,
        mailbox,
        once: args.once,
        handler: args.exec.map(|command| Handler {
            command,
            quiet: output.is_json(),
        }),
    };
    loop {
        let event = match context.deadline.limit("watch", watch.next()).await {
            Ok(event) => event,
            Err(error) if is_the_end(&error) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let caught_up = matches!(event, WatchEvent::CaughtUp { .. });
        let Some(checkpoint) = worker.handle(event).await? else {
            return Ok(());
        };
        if let (Some(file), Some(checkpoint)) = (&mut file, checkpoint) {
            file.store(&checkpoint)?;
        }
        if caught_up && args.once {
            return Ok(());
        }
    }
}

/// The signal and the deadline are how a watch ends, not how it fails.
fn is_the_end(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Cancelled | ErrorKind::TimedOut)
}

/// What happened, as a line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    event: &'static str,
    folder: &'a str,
    uid_validity: u32,
    checkpoint: &'a Checkpoint,
    #[serde(flatten)]
    summary: &'a Summary,
}

struct Worker<'a> {
    context: &'a Context,
    mailbox: &'a Mailbox,
    once: bool,
    handler: Option<Handler>,
}

impl Worker<'_> {
    /// Does what the event asks for; the checkpoint to store, if any. `None` when exomail was told to stop first.
    async fn handle(&self, event: WatchEvent) -> Done<Option<Option<Checkpoint>>> {
        let output = &self.context.output;
        let checkpoint = match event {
            WatchEvent::Message {
                id,
                summary,
                checkpoint,
            } => {
                if !self.handler_is_done(&id, &summary).await? {
                    return Ok(None);
                }
                let line = Line {
                    event: "message",
                    folder: id.folder(),
                    uid_validity: id.uid_validity(),
                    checkpoint: &checkpoint,
                    summary: &summary,
                };
                output.result(&line, || describe(&summary))?;
                Some(checkpoint)
            }
            WatchEvent::CaughtUp { checkpoint } => {
                if output.is_json() {
                    output.json(&json!({ "event": "caught_up", "checkpoint": checkpoint }))?;
                }
                Some(checkpoint)
            }
            WatchEvent::Reset { before, checkpoint } => {
                let document = json!({ "event": "reset", "before": before, "checkpoint": checkpoint });
                self.report(&document, || {
                    format!("the server has rebuilt the folder: {before} is now {checkpoint}")
                })?;
                Some(checkpoint)
            }
            WatchEvent::Interrupted { error, pause } => {
                let document =
                    json!({ "event": "interrupted", "error": error.to_json(), "pause": pause.as_secs_f64() });
                self.report(&document, || format!("{error}; {}", again(pause)))?;
                None
            }
            WatchEvent::Healed { checkpoint } => {
                if output.is_json() {
                    output.json(&json!({ "event": "healed", "checkpoint": checkpoint }))?;
                } else {
                    output.note("connected again");
                }
                None
            }
            _ => None,
        };
        Ok(Some(checkpoint))
    }

    /// Runs the command, where there is one, until it has succeeded. False when exomail was told to stop first.
    async fn handler_is_done(&self, id: &MessageRef, summary: &Summary) -> Done<bool> {
        let Some(handler) = &self.handler else {
            return Ok(true);
        };
        let mut pause = FIRST_PAUSE;
        loop {
            let (detail, wait) = match handler.run(self.mailbox, id, summary, self.stopped()).await {
                Ok(Outcome::Done) => return Ok(true),
                Ok(Outcome::Gone) => {
                    let document = json!({ "event": "gone", "message": id.to_string() });
                    self.report(&document, || format!("{id} is not there any more"))?;
                    return Ok(true);
                }
                Ok(Outcome::Stopped) => return Ok(false),
                Ok(Outcome::Failed(status)) => (format!("the command ended with {status}"), pause),
                Err(error) => match error.retry() {
                    Retry::Never => return Err(error.into()),
                    Retry::After(asked) => (error.to_string(), asked.clamp(pause, LONGEST_PAUSE)),
                    Retry::Backoff | Retry::FreshToken => (error.to_string(), pause),
                },
            };
            let mut document = json!({ "event": "failed", "message": id.to_string(), "detail": detail });
            if self.once {
                self.report(&document, || format!("{id}: {detail}"))?;
                return Err(Failure::Partial);
            }
            document["pause"] = json!(wait.as_secs_f64());
            self.report(&document, || format!("{id}: {detail}; {}", again(wait)))?;
            tokio::select! {
                biased;
                () = self.stopped() => return Ok(false),
                () = tokio::time::sleep(wait) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Resolves when a signal has come or the deadline has passed.
    async fn stopped(&self) {
        let forever = std::future::pending::<exomail::Result<()>>();
        drop(self.context.deadline.limit("watch", forever).await);
    }

    /// Something that is not a message: an event for programs, a warning for people.
    fn report(&self, document: &impl Serialize, people: impl FnOnce() -> String) -> Done {
        if self.context.output.is_json() {
            self.context.output.json(document)
        } else {
            self.context.output.warn(people());
            Ok(())
        }
    }
}

fn again(pause: Duration) -> String {
    format!("again in {} s", pause.as_secs_f64().ceil())
}

fn describe(summary: &Summary) -> String {
    let envelope = &summary.envelope;
    let from = envelope.from.first().map_or("", |address| &address.email);
    format!("{}: {}  {}", summary.uid, clean(from), clean(&envelope.subject))
}
