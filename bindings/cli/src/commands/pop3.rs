//! `exomail pop3`: the inbox by POP3.

use std::collections::HashMap;
use std::path::PathBuf;

use clap::{Subcommand, ValueHint};
use console::Style;
use exomail::pop3::{Pop3Session, RetrievedEvent};
use serde_json::json;

use crate::args::ConnectionArgs;
use crate::context::Context;
use crate::failure::{Done, Failure};
use crate::files::OutputFolder;
use crate::output::{Table, Unit, size};

/// Read the inbox by POP3
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(ListArgs),
    Fetch(FetchArgs),
}

/// List the messages: number, size, unique id
#[derive(Debug, clap::Args)]
struct ListArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Write messages to .eml files named after their unique id
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  exomail pop3 fetch 1 2 --output inbox/
  exomail pop3 fetch --all --delete --output inbox/     empty the inbox")]
struct FetchArgs {
    /// Numbers, as `pop3 list` shows them
    #[arg(value_name = "NUMBER", required_unless_present = "all", value_parser = clap::value_parser!(u32).range(1..))]
    numbers: Vec<u32>,
    /// Every message
    #[arg(long, conflicts_with = "numbers")]
    all: bool,
    /// Folder for the files, made where it is missing
    #[arg(long, short, value_name = "DIR", default_value = ".", value_hint = ValueHint::DirPath)]
    output: PathBuf,
    /// Overwrite files that are there
    #[arg(long)]
    force: bool,
    /// Delete from the server what was fetched, once every file is complete
    #[arg(long)]
    delete: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

pub(crate) async fn run(args: Args, context: &Context) -> Done {
    match args.command {
        Command::List(args) => list(&args, context).await,
        Command::Fetch(args) => fetch(args, context).await,
    }
}

async fn connect(args: &ConnectionArgs, context: &Context) -> Done<Pop3Session> {
    let connection = context.connection(args)?;
    let (app, login) = (&connection.app, connection.login()?);
    Ok(Pop3Session::connect(app.connector(), app.cloud().pop3(), &login).await?)
}

async fn list(args: &ListArgs, context: &Context) -> Done {
    let output = &context.output;
    let mut session = connect(&args.connection, context).await?;
    let listings = session.list().await?;
    let uids: HashMap<u32, String> = session.uidl().await?.into_iter().collect();
    session.quit().await?;
    let mut table = Table::new(&["NUMBER", "SIZE", "UNIQUE ID"]);
    for listing in listings {
        let uid = uids.get(&listing.number);
        if output.is_json() {
            output.json(&json!({ "number": listing.number, "octets": listing.octets, "uid": uid }))?;
        } else {
            let uid = uid.cloned().unwrap_or_default();
            table.row(
                vec![listing.number.to_string(), size(listing.octets), uid],
                Style::new(),
            );
        }
    }
    if output.is_json() {
        Ok(())
    } else {
        table.print(output)
    }
}

async fn fetch(args: FetchArgs, context: &Context) -> Done {
    let output = &context.output;
    let folder = OutputFolder::new(&args.output, args.force)?;
    let mut session = connect(&args.connection, context).await?;
    let uids = session.uidl().await?;
    let numbers: Vec<u32> = match args.all {
        true => uids.iter().map(|(number, _)| *number).collect(),
        false => args.numbers,
    };
    let uids: HashMap<u32, String> = uids.into_iter().collect();
    // Numbers begin anew in every session; only the unique id still names the same message tomorrow.
    let name = |number: u32| match uids.get(&number) {
        Some(uid) => format!("{uid}.eml"),
        None => format!("{number}.eml"),
    };
    let bar = output.progress(numbers.len() as u64, Unit::Messages);
    let (mut fetched, mut refused, mut file) = (Vec::new(), None, None);
    let mut messages = session.retr_many(&numbers)?;
    while let Some(event) = messages.next().await? {
        match event {
            RetrievedEvent::Begin { number } => file = Some(folder.create(&name(number))?),
            RetrievedEvent::Chunk(bytes) => {
                if let Some(file) = &mut file {
                    file.write(&bytes)?;
                }
            }
            RetrievedEvent::End { number, octets } => {
                let Some(file) = file.take() else { continue };
                let path = file.finish()?;
                fetched.push(number);
                bar.inc(1);
                let document = json!({ "number": number, "octets": octets, "path": path });
                bar.suspend(|| {
                    output.result(&document, || {
                        format!("{number}: {} {}", size(octets), path.display())
                    })
                })?;
            }
            RetrievedEvent::Refused { number, error } => {
                bar.suspend(|| output.warn(format!("message {number} was not fetched: {error}")));
                refused = Some(error);
            }
        }
    }
    drop(messages);
    bar.finish_and_clear();
    if args.delete {
        for number in &fetched {
            session.dele(*number).await?;
        }
    }
    session.quit().await?;
    match refused {
        None => Ok(()),
        // One missing message of many must not look like success, nor like nothing was done.
        Some(_) if !fetched.is_empty() => Err(Failure::Partial),
        Some(error) => Err(error.into()),
    }
}
