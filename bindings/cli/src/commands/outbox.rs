//! `exomail outbox`: a folder of mail to send, drained, looked at and mended.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::{Subcommand, ValueHint};
use console::Style;
use exomail::outbox::{
    Damaged, DrainOptions, Drained, Entry, Event, Outbox, OutboxId, RecipientState, State, UnknownPolicy,
};
use exomail::{Error, ErrorKind, Timestamp};
use indicatif::ProgressBar;

use crate::args::{ConnectionArgs, duration};
use crate::context::Context;
use crate::failure::{Done, Failure};
use crate::output::{Output, Table, Unit, bad, clean, faint, good, size};

/// Send what `send --queue` has put into a folder, and see to what can't be sent
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(ListArgs),
    Drain(Box<DrainArgs>),
    Retry(RetryArgs),
    Dead(DeadArgs),
}

/// List the messages that are not sent yet
#[derive(Debug, clap::Args)]
struct ListArgs {
    /// The folder
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    queue: PathBuf,
    /// Also those that were sent
    #[arg(long)]
    sent: bool,
}

/// Send what is queued
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Ends when nothing is left to send; what the servers can't take for now is tried again for up to two days. Exit code 10: \
some messages are dead, of unknown outcome, or no messages. Only one drain may run on a folder, while any number of \
`exomail send --queue` add to it. It may be killed at any moment: no mail is lost and none is sent twice. A message that \
was under way just then may be of unknown outcome; --check-sent finds out.

Examples:
  exomail outbox drain /var/spool/exomail --watch --check-sent      as a service
  exomail outbox drain /var/spool/exomail --once                    from a timer")]
struct DrainArgs {
    /// The folder
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    queue: PathBuf,
    /// Go on for ever, with what is added later, until SIGINT or SIGTERM
    #[arg(long)]
    watch: bool,
    /// Try what is due, each message once, and leave the rest for the next run
    #[arg(long, conflicts_with = "watch")]
    once: bool,
    /// Look for messages of unknown outcome in Sent Items, and send those again that are not there
    #[arg(long)]
    check_sent: bool,
    /// How long after the interruption to look [default: 2m]: sooner a copy might still be on its way there
    #[arg(long, value_name = "DURATION", requires = "check_sent", value_parser = duration)]
    settle: Option<Duration>,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Queue dead messages again, or those of unknown outcome, which may so be sent twice
#[derive(Debug, clap::Args)]
#[command(after_help = "Recipients that have a message already do not get it again.")]
struct RetryArgs {
    /// The folder
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    queue: PathBuf,
    /// Ids, as `outbox list` shows them
    #[arg(value_name = "ID", required_unless_present = "all")]
    ids: Vec<OutboxId>,
    /// Every dead message
    #[arg(long, conflicts_with = "ids")]
    all: bool,
}

/// Show what can't be sent, and why: dead messages, those of unknown outcome, and files that are no messages
#[derive(Debug, clap::Args)]
struct DeadArgs {
    /// The folder
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    queue: PathBuf,
}

pub(crate) async fn run(args: Args, context: &Context) -> Done {
    match args.command {
        Command::List(args) => list(args, &context.output),
        Command::Drain(args) => drain(*args, context).await,
        Command::Retry(args) => retry(args, &context.output),
        Command::Dead(args) => dead(args, &context.output),
    }
}

/// An outbox that must be there: a mistyped name shall not become an empty one.
fn existing(path: PathBuf) -> exomail::Result<Outbox> {
    if !path.is_dir() {
        let detail = format!("{} is no folder", path.display());
        return Err(Error::new(ErrorKind::LocalIo, "outbox", detail)
            .with_hint("`exomail send --queue DIR` makes it when it queues the first message"));
    }
    Outbox::open(path)
}

fn list(args: ListArgs, output: &Output) -> Done {
    let outbox = existing(args.queue)?;
    let mut table = Table::new(&["ID", "STATE", "QUEUED", "SIZE", "TRIES", "NEXT", "MESSAGE-ID"]);
    let mut count = 0;
    for state in State::ALL {
        if state == State::Sent && !args.sent {
            continue;
        }
        for entry in outbox.entries(state)? {
            count += 1;
            match output.is_json() {
                true => output.json(&entry)?,
                false => table.row(cells(&entry), Style::new()),
            }
        }
    }
    match (output.is_json(), count) {
        (true, _) => Ok(()),
        (false, 0) => {
            output.note("no messages");
            Ok(())
        }
        (false, _) => table.print(output),
    }
}

fn cells(entry: &Entry) -> Vec<String> {
    vec![
        entry.id.to_string(),
        entry.state.to_string(),
        local(entry.queued),
        size(entry.size),
        entry.attempts.to_string(),
        entry.next_try.map(local).unwrap_or_default(),
        entry.message_id.clone(),
    ]
}

fn retry(args: RetryArgs, output: &Output) -> Done {
    let outbox = existing(args.queue)?;
    let ids = match args.all {
        true => outbox
            .entries(State::Dead)?
            .into_iter()
            .map(|entry| entry.id)
            .collect(),
        false => args.ids,
    };
    for id in ids {
        let entry = outbox.retry(&id)?;
        output.result(&entry, || {
            format!("{} {id}  {}", good("queued"), clean(&entry.message_id))
        })?;
    }
    Ok(())
}

fn dead(args: DeadArgs, output: &Output) -> Done {
    let outbox = existing(args.queue)?;
    for state in [State::Dead, State::Unknown] {
        for entry in outbox.entries(state)? {
            output.result(&entry, || describe(&entry))?;
        }
    }
    for damaged in outbox.damaged()? {
        output.result(&damaged, || describe_damaged(&damaged))?;
    }
    Ok(())
}

async fn drain(args: DrainArgs, context: &Context) -> Done {
    let outbox = existing(args.queue)?;
    let connection = context.connection(&args.connection)?;
    let waiting = outbox.entries(State::Queued)?.len() as u64;
    let bar = match args.watch {
        // There is no end that it could move towards.
        true => ProgressBar::hidden(),
        false => context.output.progress(waiting, Unit::Messages),
    };
    let after = args.settle.unwrap_or(UnknownPolicy::SETTLED);
    let failed: Arc<Mutex<Option<Failure>>> = Arc::default();
    let (output, moving, broken, stop) = (
        context.output.clone(),
        bar.clone(),
        failed.clone(),
        context.stop.clone(),
    );
    let options = DrainOptions {
        unknown: match args.check_sent {
            true => UnknownPolicy::CheckSent { after },
            false => UnknownPolicy::Keep,
        },
        cancel: context.stop.clone(),
        listener: Some(Arc::new(move |event: &Event| {
            if let Err(failure) = tell(event, &output, &moving) {
                broken
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .get_or_insert(failure);
                stop.cancel();
            }
        })),
        ..DrainOptions::default()
    };
    let work = async {
        match (args.watch, args.once) {
            (true, _) => outbox.run(&connection.app, &options).await,
            (_, true) => outbox.drain_once(&connection.app, &options).await,
            _ => outbox.drain(&connection.app, &options).await,
        }
    };
    tokio::pin!(work);
    let timeout = async {
        match context.deadline.remaining() {
            Some(remaining) => tokio::time::sleep(remaining).await,
            None => std::future::pending().await,
        }
    };
    let mut timed_out = false;
    let drained = tokio::select! {
        drained = &mut work => drained,
        () = timeout => {
            timed_out = true;
            // What is under way is settled first: a mail that is cut off now would be of unknown outcome.
            context.stop.cancel();
            work.await
        }
    };
    bar.finish_and_clear();
    let drained = drained?;
    if let Some(failure) = failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(failure);
    }
    summarise(&drained, &context.output);
    if drained.waiting > 0 && !args.watch && !args.once && context.stop.is_cancelled() {
        let (kind, why) = match timed_out {
            true => (ErrorKind::TimedOut, "the time is up"),
            false => (ErrorKind::Cancelled, "interrupted"),
        };
        let detail = format!("{why}; {} messages wait", drained.waiting);
        return Err(Error::new(kind, "outbox drain", detail).into());
    }
    match drained.dead + drained.unknown + drained.damaged {
        0 => Ok(()),
        _ => Err(Failure::Partial),
    }
}

fn tell(event: &Event, output: &Output, bar: &ProgressBar) -> Done {
    let text = match event {
        Event::Message(entry) => {
            if !matches!(entry.state, State::Queued) {
                bar.inc(1);
                bar.set_length(bar.length().unwrap_or_default().max(bar.position()));
            }
            describe(entry)
        }
        Event::Damaged(damaged) => describe_damaged(damaged),
    };
    bar.suspend(|| output.result(event, || text))
}

fn summarise(drained: &Drained, output: &Output) {
    output.note(format!(
        "{} sent, {} dead, {} of unknown outcome, {} waiting",
        drained.sent, drained.dead, drained.unknown, drained.waiting
    ));
}

/// One message in a line, and a line for each thing to know.
fn describe(entry: &Entry) -> String {
    let state = match entry.state {
        State::Sent => good("sent"),
        State::Dead => bad("dead"),
        State::Unknown => bad("unknown"),
        State::Queued => "waits".to_owned(),
        State::Sending => "sending".to_owned(),
    };
    let mut out = format!("{state} {}  {}", entry.id, clean(&entry.message_id));
    if let Some(next) = entry.next_try {
        out += &format!("  until {}", local(next));
    }
    for recipient in &entry.recipients {
        if let (RecipientState::Refused, Some(reply)) = (recipient.state, &recipient.reply) {
            out += &format!(
                "\n  {} {}: {}",
                bad("refused"),
                clean(&recipient.address),
                clean(reply)
            );
        }
    }
    if let Some(reason) = &entry.reason {
        out += &format!("\n  {}", clean(&reason.text));
        if let (State::Dead, Some(hint)) = (entry.state, &reason.hint) {
            out += &format!("\n  {} {}", faint("hint:"), clean(hint));
        }
    }
    out
}

fn describe_damaged(damaged: &Damaged) -> String {
    format!(
        "{} {}: {}",
        bad("damaged"),
        clean(&damaged.name),
        clean(&damaged.damage)
    )
}

/// In local time to the minute.
fn local(at: Timestamp) -> String {
    at.to_zoned(jiff::tz::TimeZone::system())
        .strftime("%Y-%m-%d %H:%M")
        .to_string()
}
