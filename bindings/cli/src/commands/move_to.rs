//! `exomail move`: messages to another folder.

use exomail::imap::{Access, UidSet};
use serde_json::json;

use super::folder::{self, FolderArgs};
use crate::args::ConnectionArgs;
use crate::context::Context;
use crate::failure::Done;
use crate::output::clean;

/// Move messages to another folder
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  exomail move 17 20:29 --to Archive")]
pub(crate) struct Args {
    /// UIDs and ranges: 17, 20:29, 1,4,9
    #[arg(value_name = "UID", required = true, value_parser = folder::uid_set)]
    uids: Vec<UidSet>,
    /// The folder to move to
    #[arg(long, value_name = "FOLDER")]
    to: String,
    /// Make the folder where it is missing
    #[arg(long)]
    create: bool,
    #[command(flatten)]
    folder: FolderArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

pub(crate) async fn run(args: Args, context: &Context) -> Done {
    let (connection, name) = (&args.connection, &args.folder.folder);
    let (mut session, _) = folder::open(context, connection, name, Access::ReadWrite).await?;
    let named = folder::named(&mut session, context, &args.uids).await?;
    let uids = &named.uids;
    if args.create
        && !session
            .folders()
            .await?
            .iter()
            .any(|folder| folder.name == args.to)
    {
        session.create_folder(&args.to).await?;
    }
    let moved = session.move_to(&uids.iter().collect(), &args.to).await?;
    folder::close(context, session).await;
    let document = json!({ "folder": name, "uids": uids, "to": args.to, "copied": moved });
    context.output.result(&document, || {
        format!("{} moved to {}", folder::count(uids.len()), clean(&args.to))
    })?;
    named.verdict()
}
