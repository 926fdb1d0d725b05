//! A folder that is opened, shared by the commands that work on messages of one.

use exomail::imap::{Access, ImapSession, Query, Selected, Uid, UidSet};
use exomail::{Error, ErrorKind, Layer, Result};

use crate::args::ConnectionArgs;
use crate::context::Context;
use crate::failure::{Done, Failure, bad_argument};

/// Where the messages are.
#[derive(Debug, clap::Args)]
pub(crate) struct FolderArgs {
    /// The folder that the messages are in
    #[arg(long, short, value_name = "FOLDER", default_value = "INBOX")]
    pub(crate) folder: String,
}

/// Signs in and opens the folder: two flights after the greeting.
pub(crate) async fn open(
    context: &Context,
    connection: &ConnectionArgs,
    folder: &str,
    access: Access,
) -> Done<(ImapSession, Selected)> {
    let connection = context.connection(connection)?;
    let (app, login) = (&connection.app, connection.login()?);
    let endpoint = app.cloud().imap();
    Ok(ImapSession::connect_selected(app.connector(), endpoint, &login, folder, access).await?)
}

/// One argument: `17`, `20:29` or `1,4,9`.
pub(crate) fn uid_set(text: &str) -> Result<UidSet> {
    let set: UidSet = text.parse()?;
    if set.is_empty() {
        return Err(bad_argument("UID", "the set of UIDs is empty"));
    }
    Ok(set)
}

/// The messages named on the command line that are there.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) uids: Vec<Uid>,
    complete: bool,
}

impl Named {
    /// How the command ends once these are done with.
    pub(crate) fn verdict(&self) -> Done {
        if self.complete {
            Ok(())
        } else {
            Err(Failure::Partial)
        }
    }
}

/// Looks up the messages named on the command line. IMAP says nothing of UIDs that are not there; whoever mistyped
/// one wants to know.
///
/// # Errors
/// [`ErrorKind::NotFound`] when none is.
pub(crate) async fn named(session: &mut ImapSession, context: &Context, sets: &[UidSet]) -> Result<Named> {
    let texts: Vec<String> = sets.iter().map(ToString::to_string).collect();
    let text = texts.join(",");
    let uids = session.search(&Query::all().uid(&text.parse()?)).await?;
    if uids.is_empty() {
        let detail = format!("the folder has no message with UID {text}");
        return Err(Error::new(ErrorKind::NotFound, "find messages", detail)
            .with_layer(Layer::Imap)
            .with_hint("`exomail list` shows the UIDs; each folder has its own"));
    }
    // A range is a wish for whatever is in it; a single number is a wish for that message.
    let mut complete = true;
    for single in text.split(',').filter(|range| !range.contains(':')) {
        let uid: Uid = single.parse()?;
        if !uids.contains(&uid) {
            context
                .output
                .warn(format!("the folder has no message with UID {uid}"));
            complete = false;
        }
    }
    Ok(Named { uids, complete })
}

/// Says goodbye. What was asked for is done by now, so a server that does not answer is only worth a warning.
pub(crate) async fn close(context: &Context, session: ImapSession) {
    if let Err(error) = session.logout().await {
        context.output.warn(error);
    }
}

/// `1 message`, `2 messages`.
pub(crate) fn count(messages: usize) -> String {
    if messages == 1 {
        "1 message".to_owned()
    } else {
        format!("{messages} messages")
    }
}
