//! `exomail fetch`: messages to .eml files.

use std::path::PathBuf;

use clap::ValueHint;
use exomail::imap::{Access, BodyEvent, Section, UidSet};
use serde_json::json;

use super::folder::{self, FolderArgs};
use super::query::QueryArgs;
use crate::args::ConnectionArgs;
use crate::context::Context;
use crate::failure::Done;
use crate::files::OutputFolder;
use crate::output::{Unit, size};

/// Write messages to .eml files named after their UID; they stay unread
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without UIDs, all messages that the conditions select; without conditions, the whole folder.

Examples:
  exomail fetch 17 20:29 --output inbox/
  exomail fetch --unseen --since 2026-01-01 --output inbox/
  exomail fetch --folder Archive --output archive/ --json | jq -r .path")]
pub(crate) struct Args {
    /// UIDs and ranges: 17, 20:29, 1,4,9
    #[arg(value_name = "UID", value_parser = folder::uid_set)]
    uids: Vec<UidSet>,
    #[command(flatten)]
    folder: FolderArgs,
    /// Folder for the files, made where it is missing
    #[arg(long, short, value_name = "DIR", default_value = ".", value_hint = ValueHint::DirPath)]
    output: PathBuf,
    /// Overwrite files that are there
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    query: QueryArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

pub(crate) async fn run(args: Args, context: &Context) -> Done {
    let output = &context.output;
    let files = OutputFolder::new(&args.output, args.force)?;
    let (connection, name) = (&args.connection, &args.folder.folder);
    let (mut session, selected) = folder::open(context, connection, name, Access::ReadOnly).await?;
    let named = match args.uids.is_empty() {
        true => None,
        false => Some(folder::named(&mut session, context, &args.uids).await?),
    };
    let uids = match &named {
        Some(named) => named.uids.clone(),
        None => session.search(&args.query.query()).await?,
    };
    let bar = output.progress(uids.len() as u64, Unit::Messages);
    let mut file = None;
    let set: UidSet = uids.iter().collect();
    let mut bodies = session.fetch_many(&set, &Section::whole());
    while let Some(event) = bodies.next().await? {
        match event {
            BodyEvent::Begin { uid, size } => file = Some((files.create(&format!("{uid}.eml"))?, size)),
            BodyEvent::Chunk(bytes) => {
                if let Some((file, _)) = &mut file {
                    file.write(&bytes)?;
                }
            }
            BodyEvent::End { uid } => {
                let Some((file, octets)) = file.take() else {
                    continue;
                };
                let path = file.finish()?;
                bar.inc(1);
                let document = json!({
                    "folder": name, "uid": uid, "uid_validity": selected.uid_validity, "size": octets, "path": path,
                });
                bar.suspend(|| {
                    output.result(&document, || {
                        format!("{uid}: {} {}", size(octets), path.display())
                    })
                })?;
            }
        }
    }
    drop(bodies);
    bar.finish_and_clear();
    folder::close(context, session).await;
    named.map_or(Ok(()), |named| named.verdict())
}
