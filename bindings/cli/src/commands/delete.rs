//! `exomail delete`: messages away.

use exomail::imap::{Access, Flag, Role, Store, UidSet};
use exomail::{Error, ErrorKind, Layer};
use serde_json::json;

use super::folder::{self, FolderArgs};
use crate::args::ConnectionArgs;
use crate::context::Context;
use crate::failure::Done;
use crate::output::clean;

/// Move messages to Deleted Items, or delete them for good
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  exomail delete 17                      to Deleted Items
  exomail delete 17 --permanently        gone")]
pub(crate) struct Args {
    /// UIDs and ranges: 17, 20:29, 1,4,9
    #[arg(value_name = "UID", required = true, value_parser = folder::uid_set)]
    uids: Vec<UidSet>,
    /// Delete at once instead of moving to Deleted Items
    #[arg(long)]
    permanently: bool,
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
    let set: UidSet = uids.iter().collect();
    let trash = match args.permanently {
        true => None,
        false => {
            let folders = session.folders().await?;
            let trash = folders
                .into_iter()
                .find(|folder| folder.role == Some(Role::Trash));
            let trash = trash.ok_or_else(|| {
                Error::new(
                    ErrorKind::NotFound,
                    "delete",
                    "the mailbox has no folder for deleted items",
                )
                .with_layer(Layer::Imap)
                .with_hint("delete for good with --permanently")
            })?;
            // What is deleted from the trash itself is gone.
            (trash.name != *name).then_some(trash.name)
        }
    };
    match &trash {
        Some(trash) => {
            session.move_to(&set, trash).await?;
        }
        None => {
            session.store(&set, Store::Add, &[Flag::Deleted]).await?;
            // Not EXPUNGE: it would also take what another program has marked.
            session.uid_expunge(&set).await?;
        }
    }
    folder::close(context, session).await;
    let document = json!({ "folder": name, "uids": uids, "moved_to": trash, "permanently": trash.is_none() });
    context.output.result(&document, || match &trash {
        Some(trash) => format!("{} moved to {}", folder::count(uids.len()), clean(trash)),
        None => format!("{} deleted for good", folder::count(uids.len())),
    })?;
    named.verdict()
}
