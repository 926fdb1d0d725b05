//! Looking for a message among the sent items.

use crate::error::{Error, ErrorKind, Layer, Result};
use crate::imap::{Query, Role};
use crate::mailbox::{Mailbox, MessageQuery};

/// How many messages with this Message-ID the folder for sent items holds.
pub(super) async fn copies(mailbox: &Mailbox, message_id: &str) -> Result<usize> {
    let folder = mailbox.folder_for(Role::Sent).await?.ok_or_else(|| {
        let detail = format!("{} has no folder for sent items", mailbox.address());
        Error::new(ErrorKind::NotFound, "sent items", detail).with_layer(Layer::Imap)
    })?;
    let query = MessageQuery::folder(folder.name).matching(Query::all().message_id(message_id));
    let mut found = mailbox.messages(query).await?;
    let mut copies = 0;
    while let Some((_, summary)) = found.next().await? {
        // The server finds ids that this one is a part of, too.
        let id = summary.envelope.message_id.unwrap_or_default();
        copies += usize::from(id.trim().trim_matches(['<', '>']) == message_id);
    }
    Ok(copies)
}
