//! APPEND (RFC 3501 §6.3.11): a message goes into a folder. Its exact length comes first.

use std::io::SeekFrom;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use super::command::folder_argument;
use super::date::date_time;
use super::engine::ImapEngine;
use super::flag::{Flag, write_flags};
use super::status::{Code, Condition};
use super::uid::Uid;
use crate::error::{Error, ErrorKind, Layer, Result};
use crate::message::RawMessage;
use crate::message::line_ends::{self, LineEnds};
use crate::message::raw::Progress;

const NAME: &str = "APPEND";
/// A message of unknown length is held in memory up to this size; a longer one in a file without a name.
const IN_MEMORY: usize = 1024 * 1024;
const READ_SIZE: usize = 64 * 1024;

/// Which UID an appended message has (RFC 4315 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct AppendUid {
    /// UIDVALIDITY of the folder.
    pub uid_validity: u32,
    /// The message's UID there.
    pub uid: Uid,
}

/// A message whose length with right line ends is known.
pub(super) struct Measured {
    size: u64,
    source: Source,
}

enum Source {
    /// Right as it is.
    Whole(Bytes, Option<Progress>),
    Reader(Box<dyn AsyncRead + Send + Unpin>),
}

impl Measured {
    /// Measures the message, before anything is said to the server. A file is read twice.
    ///
    /// # Errors
    /// [`ErrorKind::LocalIo`] when it can't be read, [`ErrorKind::InvalidMessage`] when it is empty.
    pub(super) async fn new(message: RawMessage) -> Result<Self> {
        let measured = if let Some(bytes) = message.in_memory() {
            let bytes = bytes.clone();
            if line_ends::is_normal(&bytes) {
                Self {
                    size: bytes.len() as u64,
                    source: Source::Whole(bytes, message.into_progress()),
                }
            } else {
                let size = line_ends::normal_len(&bytes);
                Self {
                    size,
                    source: Source::Reader(message.open().await?.reader),
                }
            }
        } else if let Some(path) = message.path().map(std::path::Path::to_owned) {
            let mut counting = RawMessage::from_file(path).open().await?.reader;
            let size = copy(&mut counting, None).await?;
            Self {
                size,
                source: Source::Reader(message.open().await?.reader),
            }
        } else {
            spool(message.open().await?.reader).await?
        };
        if measured.size == 0 {
            return Err(
                Error::new(ErrorKind::InvalidMessage, NAME, "the message is empty").with_layer(Layer::Imap),
            );
        }
        Ok(measured)
    }
}

fn local(error: std::io::Error) -> Error {
    Error::new(
        ErrorKind::LocalIo,
        "read message",
        format!("the message can't be read: {error}"),
    )
    .with_source(error)
}

/// Reads all of `reader`, writes it with right line ends to `target` if there is one, and returns that length.
async fn copy(
    reader: &mut (dyn AsyncRead + Send + Unpin),
    mut target: Option<&mut tokio::fs::File>,
) -> Result<u64> {
    let (mut line_ends, mut size) = (LineEnds::default(), 0);
    let (mut buffer, mut out) = (Vec::with_capacity(READ_SIZE), Vec::new());
    loop {
        buffer.clear();
        let count = reader.read_buf(&mut buffer).await.map_err(local)?;
        if count == 0 {
            line_ends.finish(&mut out);
        } else {
            line_ends.push(&buffer, &mut out);
        }
        size += out.len() as u64;
        if let Some(target) = &mut target {
            target.write_all(&out).await.map_err(local)?;
        }
        out.clear();
        if count == 0 {
            return Ok(size);
        }
    }
}

/// Keeps what comes from a reader, which can't be read twice: in memory when it is small, else in a file that has no
/// name and goes away by itself.
async fn spool(mut reader: Box<dyn AsyncRead + Send + Unpin>) -> Result<Measured> {
    let mut begin = Vec::new();
    while begin.len() < IN_MEMORY {
        if reader.read_buf(&mut begin).await.map_err(local)? == 0 {
            let (mut line_ends, mut bytes) = (LineEnds::default(), Vec::with_capacity(begin.len()));
            line_ends.push(&begin, &mut bytes);
            line_ends.finish(&mut bytes);
            return Ok(Measured {
                size: bytes.len() as u64,
                source: Source::Whole(bytes.into(), None),
            });
        }
    }
    let file = tokio::task::spawn_blocking(tempfile::tempfile).await;
    let file = file
        .map_err(std::io::Error::other)
        .and_then(|file| file)
        .map_err(local)?;
    let mut file = tokio::fs::File::from_std(file);
    let size = copy(&mut std::io::Cursor::new(begin).chain(reader), Some(&mut file)).await?;
    file.flush().await.map_err(local)?;
    file.seek(SeekFrom::Start(0)).await.map_err(local)?;
    Ok(Measured {
        size,
        source: Source::Reader(Box::new(file)),
    })
}

/// The whole message has gone out, and the answer never came.
fn unknown_outcome(error: Error) -> Error {
    if !matches!(error.kind(), ErrorKind::ConnectionLost | ErrorKind::TimedOut) {
        return error;
    }
    let detail = format!("{}; the message may have been stored or not", error.detail());
    let unknown = Error::new(ErrorKind::OutcomeUnknown, NAME, detail)
        .with_layer(Layer::Imap)
        .with_hint("search the folder for its Message-ID before appending it again");
    match error.server().cloned() {
        Some(reply) => unknown.with_server(reply),
        None => unknown.with_source(error),
    }
}

impl ImapEngine {
    pub(super) async fn append(
        &mut self,
        folder: &str,
        message: Measured,
        flags: &[Flag],
        date: Option<Timestamp>,
    ) -> Result<Option<AppendUid>> {
        let tag = self.tag();
        let mut line = format!("A{tag} {NAME} {} ", folder_argument(folder)?);
        if !flags.is_empty() {
            line.push_str(&write_flags(flags)?);
            line.push(' ');
        }
        if let Some(date) = date {
            line.push_str(&format!("\"{}\" ", date_time(date)));
        }
        self.announce(tag, NAME, &line, message.size).await?;
        self.write_message(message).await?;
        self.wire.command("")?;
        let mut stored = None;
        // The answer comes when the whole message has been taken in: that may last.
        let status = loop {
            if let Some(status) = self.ended(tag) {
                break status;
            }
            let incoming = self.incoming(NAME, false, self.wire.timeouts().message).await;
            incoming.map_err(unknown_outcome)?;
        };
        if status.condition != Condition::Ok {
            return Err(self.refused(NAME, ErrorKind::Rejected, &status));
        }
        if let Some(Code::AppendUid(uid)) = status.code {
            stored = Some(uid);
        }
        Ok(stored)
    }

    /// Writes exactly as many octets as were announced, or gives the connection up.
    async fn write_message(&mut self, message: Measured) -> Result<()> {
        let mut left = message.size;
        let mut reader = match message.source {
            Source::Whole(bytes, progress) => {
                self.body(NAME, &bytes).await?;
                if let Some(mut progress) = progress {
                    progress(message.size);
                }
                return Ok(());
            }
            Source::Reader(reader) => reader,
        };
        let mut line_ends = LineEnds::default();
        let (mut buffer, mut out) = (Vec::with_capacity(READ_SIZE), Vec::new());
        loop {
            buffer.clear();
            let count = match reader.read_buf(&mut buffer).await {
                Ok(count) => count,
                Err(error) => {
                    self.wire.cut();
                    return Err(local(error));
                }
            };
            if count == 0 {
                line_ends.finish(&mut out);
            } else {
                line_ends.push(&buffer, &mut out);
            }
            let fits = left.checked_sub(out.len() as u64);
            match fits {
                Some(rest) if count > 0 || rest == 0 => left = rest,
                _ => {
                    self.wire.cut();
                    return Err(Error::new(
                        ErrorKind::LocalIo,
                        NAME,
                        "the message changed its length while it was sent; the server did not take it",
                    ));
                }
            }
            self.body(NAME, &out).await?;
            out.clear();
            if count == 0 {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn sent(message: RawMessage) -> (u64, Vec<u8>) {
        let measured = Measured::new(message).await.unwrap();
        let mut bytes = Vec::new();
        match measured.source {
            Source::Whole(whole, _) => bytes.extend_from_slice(&whole),
            Source::Reader(mut reader) => {
                let mut raw = Vec::new();
                reader.read_to_end(&mut raw).await.unwrap();
                let mut line_ends = LineEnds::default();
                line_ends.push(&raw, &mut bytes);
                line_ends.finish(&mut bytes);
            }
        }
        (measured.size, bytes)
    }

    #[tokio::test]
    async fn the_length_is_exact_wherever_the_message_comes_from() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.eml");
        for text in [
            "Subject: x\n\na\rb\r\nc".to_owned(),
            "Subject: x\r\n\r\ny\r\n".to_owned(),
            "0123456789\n".repeat(200_000),
        ] {
            tokio::fs::write(&path, &text).await.unwrap();
            let reader = std::io::Cursor::new(text.clone().into_bytes());
            for message in [
                RawMessage::from_bytes(text.clone()),
                RawMessage::from_file(&path),
                RawMessage::from_reader(reader, None),
            ] {
                let (size, bytes) = sent(message).await;
                assert_eq!(size, bytes.len() as u64);
                assert!(line_ends::is_normal(&bytes));
                assert_eq!(size, line_ends::normal_len(text.as_bytes()));
            }
        }
    }

    #[tokio::test]
    async fn an_empty_message_is_refused() {
        for message in [
            RawMessage::from_bytes(""),
            RawMessage::from_reader(tokio::io::empty(), None),
        ] {
            assert_eq!(
                Measured::new(message).await.err().unwrap().kind(),
                ErrorKind::InvalidMessage
            );
        }
    }
}
