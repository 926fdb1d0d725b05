//! `exomail list`: the messages of a folder, newest first.

use console::Style;
use exomail::imap::{Access, Flag, Summary, UidSet};
use serde::Serialize;

use super::folder;
use super::query::QueryArgs;
use crate::args::ConnectionArgs;
use crate::context::Context;
use crate::failure::Done;
use crate::output::{Table, size};

/// List the messages of a folder, newest first
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Marks: N not read, ! flagged, R answered, D deleted, d draft, @ has attachments

Examples:
  exomail list --unseen
  exomail list 'Sent Items' --since 2026-01-01 --limit 10
  exomail list --from ann --json | jq -r '.uid'")]
pub(crate) struct Args {
    /// Folder
    #[arg(default_value = "INBOX")]
    folder: String,
    /// At most this many, the newest; 0 is all
    #[arg(long, short = 'n', value_name = "N", default_value_t = 50)]
    limit: usize,
    #[command(flatten)]
    query: QueryArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

pub(crate) async fn run(args: Args, context: &Context) -> Done {
    let output = &context.output;
    let (mut session, selected) =
        folder::open(context, &args.connection, &args.folder, Access::ReadOnly).await?;
    let mut uids = session.search(&args.query.query()).await?;
    let found = uids.len();
    if args.limit > 0 && found > args.limit {
        uids.drain(..found - args.limit);
    }
    let mut summaries = match uids.is_empty() {
        true => Vec::new(),
        false => session.summaries(&UidSet::from_iter(uids)).await?,
    };
    folder::close(context, session).await;
    summaries.sort_unstable_by_key(|summary| std::cmp::Reverse(summary.uid));
    if output.is_json() {
        return summaries.iter().try_for_each(|summary| {
            output.json(&Line {
                folder: &args.folder,
                uid_validity: selected.uid_validity,
                summary,
            })
        });
    }
    if summaries.is_empty() {
        output.note("no messages");
        return Ok(());
    }
    let mut table = Table::new(&["UID", "", "DATE", "SIZE", "FROM", "SUBJECT"]);
    for summary in &summaries {
        let style = if summary.flags.contains(&Flag::Seen) {
            Style::new()
        } else {
            Style::new().bold()
        };
        table.row(cells(summary), style);
    }
    table.print(output)?;
    if found > summaries.len() {
        output.note(format!("{} of {found}; --limit 0 shows all", summaries.len()));
    }
    Ok(())
}

/// A summary together with what makes its UID unique.
#[derive(Serialize)]
struct Line<'a> {
    folder: &'a str,
    uid_validity: u32,
    #[serde(flatten)]
    summary: &'a Summary,
}

fn cells(summary: &Summary) -> Vec<String> {
    let envelope = &summary.envelope;
    let from = envelope
        .from
        .first()
        .map(|address| address.name.clone().unwrap_or_else(|| address.email.clone()));
    vec![
        summary.uid.to_string(),
        marks(summary),
        date(summary),
        size(summary.size),
        from.unwrap_or_default(),
        envelope.subject.clone(),
    ]
}

/// One letter for each thing worth seeing in a list.
fn marks(summary: &Summary) -> String {
    let mut marks = String::new();
    let mut mark = |shown: bool, letter: char| {
        if shown {
            marks.push(letter)
        }
    };
    mark(!summary.flags.contains(&Flag::Seen), 'N');
    for (flag, letter) in [
        (Flag::Flagged, '!'),
        (Flag::Answered, 'R'),
        (Flag::Deleted, 'D'),
        (Flag::Draft, 'd'),
    ] {
        mark(summary.flags.contains(&flag), letter);
    }
    mark(
        summary
            .structure
            .as_ref()
            .is_some_and(|structure| !structure.attachments().is_empty()),
        '@',
    );
    marks
}

/// When it arrived, in local time to the minute.
fn date(summary: &Summary) -> String {
    summary
        .internal_date
        .map(|date| {
            date.to_zoned(jiff::tz::TimeZone::system())
                .strftime("%Y-%m-%d %H:%M")
                .to_string()
        })
        .unwrap_or_default()
}
