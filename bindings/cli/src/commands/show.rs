//! `exomail show`: one message: headers, text, attachments.

use std::path::PathBuf;

use clap::ValueHint;
use exomail::imap::{Access, Section, Uid};
use exomail::message::{Address, AttachmentSummary, AttachmentView, Message};
use serde::Serialize;
use serde_json::json;

use super::folder::{self, FolderArgs};
use crate::args::ConnectionArgs;
use crate::context::Context;
use crate::failure::Done;
use crate::files::OutputFolder;
use crate::output::{clean, clean_lines, faint, heading, size};

/// Show a message; it stays unread
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  exomail show 17
  exomail show 17 --save-attachments .
  exomail show 17 --json | jq -r .text
  exomail show 17 --raw > mail.eml")]
pub(crate) struct Args {
    /// UID, as `exomail list` shows it
    uid: Uid,
    #[command(flatten)]
    folder: FolderArgs,
    /// Save the attachments into this folder, made where it is missing; nothing there is overwritten
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    save_attachments: Option<PathBuf>,
    /// Print the message's bytes as they are
    #[arg(long, conflicts_with_all = ["json", "save_attachments"])]
    raw: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

pub(crate) async fn run(args: Args, context: &Context) -> Done {
    let (connection, name) = (&args.connection, &args.folder.folder);
    let (mut session, selected) = folder::open(context, connection, name, Access::ReadOnly).await?;
    if args.raw {
        session
            .fetch(args.uid, &Section::whole(), &mut tokio::io::stdout())
            .await?;
        folder::close(context, session).await;
        return Ok(());
    }
    let mut bytes = Vec::new();
    session.fetch(args.uid, &Section::whole(), &mut bytes).await?;
    folder::close(context, session).await;
    let message = Message::parse(bytes)?;
    let saved = save(&args, &message)?;
    let summary = message.summary();
    let attachments: Vec<Line<'_>> = summary
        .attachments
        .iter()
        .enumerate()
        .map(|(at, summary)| Line {
            summary,
            path: saved.get(at),
        })
        .collect();
    let document = json!({
        "folder": name,
        "uid": args.uid,
        "uid_validity": selected.uid_validity,
        "size": summary.size,
        "message_id": summary.message_id,
        "date": summary.date,
        "from": summary.from,
        "to": summary.to,
        "cc": summary.cc,
        "subject": summary.subject,
        "text": message.text(),
        "html": message.html(),
        "attachments": attachments,
        "headers": headers(&message),
    });
    context
        .output
        .result(&document, || describe(&message, &attachments))
}

/// An attachment, and where it was saved.
#[derive(Debug, Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    summary: &'a AttachmentSummary,
    path: Option<&'a PathBuf>,
}

/// The files, in the order of the attachments; none when not asked for.
fn save(args: &Args, message: &Message) -> exomail::Result<Vec<PathBuf>> {
    let Some(path) = &args.save_attachments else {
        return Ok(Vec::new());
    };
    let folder = OutputFolder::new(path, false)?;
    let save = |attachment: AttachmentView<'_>| folder.save(&attachment.file_name(), &attachment.bytes());
    message.attachments().map(save).collect()
}

fn headers(message: &Message) -> Vec<serde_json::Value> {
    message
        .headers()
        .map(|header| json!({ "name": header.name, "value": header.value }))
        .collect()
}

fn describe(message: &Message, attachments: &[Line<'_>]) -> String {
    let mut out = String::new();
    let mut row = |label: &str, value: &str| {
        if !value.is_empty() {
            out += &format!("{} {}\n", heading(format!("{label:>8}:")), clean(value));
        }
    };
    let list = |addresses: Vec<Address>| {
        let all: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        all.join(", ")
    };
    row("From", &list(message.from()));
    row("To", &list(message.to()));
    row("Cc", &list(message.cc()));
    row(
        "Date",
        &message.date().map(|date| date.to_string()).unwrap_or_default(),
    );
    row("Subject", &message.subject().unwrap_or_default());
    for Line { summary, path } in attachments {
        let length = size(summary.size as u64);
        let mut text = format!("{}  {}  {length}", summary.file_name, summary.content_type);
        if let Some(path) = path {
            text += &format!("  saved as {}", path.display());
        }
        row("Attached", &text);
    }
    out.push('\n');
    match message.readable() {
        Some(text) => out += &clean_lines(&text),
        None => out += &faint("(no text)"),
    }
    out.trim_end().to_owned()
}
