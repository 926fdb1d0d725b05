//! Adding a message: streamed to the disk, complete or not there at all.

use std::io::SeekFrom;

use jiff::Timestamp;
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use uuid::Uuid;

use super::entry::State;
use super::file::{self, Head};
use super::id::OutboxId;
use super::spool::{Spool, blocking, failed};
use crate::error::{Error, ErrorKind, Result};
use crate::message::{Message, RawMessage};
use crate::smtp::{Envelope, SendOptions};

/// A header block longer than this is not searched further for the Message-ID.
const MAX_HEADER: usize = 1024 * 1024;
const PIECE: usize = 64 * 1024;

/// How a message is queued.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddOptions {
    /// How it is sent.
    pub send: SendOptions,
    /// Queue it although a message with its Message-ID is or was here: it will be sent once more.
    pub again: bool,
}

/// A message that is safely on the disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Queued {
    /// Its name in the outbox.
    pub id: OutboxId,
    /// Its Message-ID without angle brackets.
    pub message_id: String,
    /// Whether it was added now. If not, it was here already.
    pub is_new: bool,
    /// Where it stands.
    pub state: State,
}

pub(super) async fn add(
    spool: &Spool,
    mailbox: &str,
    envelope: &Envelope,
    message: RawMessage,
    options: &AddOptions,
) -> Result<Queued> {
    // As the worker will do it.
    Envelope::new(Some(mailbox.to_owned()), vec![mailbox.to_owned()])?;
    let mut reader = message.open().await?.reader;
    let mut front = Vec::new();
    while end_of_header(&front).is_none() && front.len() < MAX_HEADER {
        front.reserve(PIECE);
        if reader.read_buf(&mut front).await.map_err(unreadable)? == 0 {
            break;
        }
    }
    if front.is_empty() {
        return Err(Error::new(
            ErrorKind::InvalidMessage,
            "add",
            "the message is empty",
        ));
    }
    let header = front
        .get(..end_of_header(&front).unwrap_or(front.len()))
        .unwrap_or_default();
    let message_id = match Message::parse(header.to_vec())?.message_id() {
        Some(id) if !id.is_empty() => id,
        _ => {
            let domain = mailbox.rsplit_once('@').map_or("localhost", |(_, domain)| domain);
            let id = format!("{}@{domain}", Uuid::new_v4());
            front.splice(..0, format!("Message-ID: <{id}>\r\n").into_bytes());
            id
        }
    };
    // Looked at once more when it gets its name; here to save the work.
    if let (false, Some(queued)) = (options.again, known(spool, &message_id)) {
        return Ok(queued);
    }

    let head = Head {
        mailbox: mailbox.to_owned(),
        from: envelope.from().map(str::to_owned),
        to: envelope.to().to_vec(),
        message_id: message_id.clone(),
        queued: Timestamp::now(),
        options: options.send.clone(),
    };
    let opening = |length| {
        file::opening(&head, length).map_err(|error| {
            Error::new(ErrorKind::Internal, "add", "the head can't be written").with_source(error)
        })
    };
    let temporary = spool.temporary()?;
    let unwritable = |error| failed("write file", temporary.path(), error);
    let file = temporary.as_file().try_clone().map_err(unwritable)?;
    let mut file = tokio::fs::File::from_std(file);
    file.write_all(&opening(0)?).await.map_err(unwritable)?;
    let mut length = 0_u64;
    while !front.is_empty() {
        file.write_all(&front).await.map_err(unwritable)?;
        length += front.len() as u64;
        front.clear();
        front.reserve(PIECE);
        reader.read_buf(&mut front).await.map_err(unreadable)?;
    }
    // Its length is known only now; that of the head is the same.
    file.seek(SeekFrom::Start(0)).await.map_err(unwritable)?;
    file.write_all(&opening(length)?).await.map_err(unwritable)?;
    file.flush().await.map_err(unwritable)?;
    drop(file);

    let (spool, again) = (spool.clone(), options.again);
    blocking(move || {
        let mut temporary = temporary;
        // The slow part is done before the others have to wait.
        temporary
            .as_file()
            .sync_all()
            .map_err(|error| failed("write file", temporary.path(), error))?;
        let _writers = spool.lock_writers()?;
        for copy in 1.. {
            let id = OutboxId::new(&message_id, copy);
            if spool.find(&id).is_some() {
                match known(&spool, &message_id) {
                    Some(queued) if !again => return Ok(queued),
                    _ => continue,
                }
            }
            match spool.enqueue(temporary, &id)? {
                Ok(()) => {
                    return Ok(Queued {
                        id,
                        message_id,
                        is_new: true,
                        state: State::Queued,
                    });
                }
                Err(file) => temporary = file,
            }
        }
        Err(Error::new(ErrorKind::Internal, "add", "there is no free name"))
    })
    .await
}

/// The message with this Message-ID that is or was here.
fn known(spool: &Spool, message_id: &str) -> Option<Queued> {
    let id = OutboxId::new(message_id, 1);
    let state = spool.find(&id)?;
    Some(Queued {
        id,
        message_id: message_id.to_owned(),
        is_new: false,
        state,
    })
}

/// Where the empty line behind the header begins.
fn end_of_header(bytes: &[u8]) -> Option<usize> {
    let mut start = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        if line == b"\n" || line == b"\r\n" {
            return Some(start);
        }
        start += line.len();
    }
    None
}

fn unreadable(error: std::io::Error) -> Error {
    let detail = format!("the message can't be read: {error}");
    Error::new(ErrorKind::LocalIo, "add", detail).with_source(error)
}
