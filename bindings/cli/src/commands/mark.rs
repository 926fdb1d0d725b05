//! `exomail mark`: sets and clears flags.

use exomail::imap::{Access, Flag, Store, UidSet};
use serde_json::json;

use super::folder::{self, FolderArgs};
use crate::args::ConnectionArgs;
use crate::context::Context;
use crate::failure::Done;

/// Mark messages as read, flagged and so on
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  exomail mark 17 18 --seen
  exomail mark 20:29 --unseen --flagged --folder Archive")]
#[command(group = clap::ArgGroup::new("flags").required(true).multiple(true))]
pub(crate) struct Args {
    /// UIDs and ranges: 17, 20:29, 1,4,9
    #[arg(value_name = "UID", required = true, value_parser = folder::uid_set)]
    uids: Vec<UidSet>,
    /// Read
    #[arg(long, group = "flags", conflicts_with = "unseen")]
    seen: bool,
    /// Not read
    #[arg(long, group = "flags")]
    unseen: bool,
    /// Flagged
    #[arg(long, group = "flags", conflicts_with = "unflagged")]
    flagged: bool,
    /// Not flagged
    #[arg(long, group = "flags")]
    unflagged: bool,
    /// Answered
    #[arg(long, group = "flags", conflicts_with = "unanswered")]
    answered: bool,
    /// Not answered
    #[arg(long, group = "flags")]
    unanswered: bool,
    #[command(flatten)]
    folder: FolderArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

impl Args {
    /// The flags to add and those to take away.
    fn changes(&self) -> (Vec<Flag>, Vec<Flag>) {
        let chosen = |pairs: [(bool, Flag); 3]| -> Vec<Flag> {
            pairs
                .into_iter()
                .filter(|(chosen, _)| *chosen)
                .map(|(_, flag)| flag)
                .collect()
        };
        let add = [
            (self.seen, Flag::Seen),
            (self.flagged, Flag::Flagged),
            (self.answered, Flag::Answered),
        ];
        let remove = [
            (self.unseen, Flag::Seen),
            (self.unflagged, Flag::Flagged),
            (self.unanswered, Flag::Answered),
        ];
        (chosen(add), chosen(remove))
    }
}

pub(crate) async fn run(args: Args, context: &Context) -> Done {
    let (connection, name) = (&args.connection, &args.folder.folder);
    let (mut session, _) = folder::open(context, connection, name, Access::ReadWrite).await?;
    let named = folder::named(&mut session, context, &args.uids).await?;
    let uids = &named.uids;
    let set: UidSet = uids.iter().collect();
    let (add, remove) = args.changes();
    for (store, flags) in [(Store::Add, &add), (Store::Remove, &remove)] {
        if !flags.is_empty() {
            session.store(&set, store, flags).await?;
        }
    }
    folder::close(context, session).await;
    let document = json!({ "folder": name, "uids": uids, "added": add, "removed": remove });
    context
        .output
        .result(&document, || format!("{} marked", folder::count(uids.len())))?;
    named.verdict()
}
