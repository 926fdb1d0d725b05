//! [`RawMessage`]: a ready RFC 5322 message, from memory, a file or a reader.

use std::fmt;
use std::io::Cursor;
use std::path::PathBuf;

use bytes::Bytes;
use tokio::io::AsyncRead;

use crate::error::{Error, ErrorKind, Result};

/// A ready RFC 5322 message to send or to append. It is streamed: a file or reader is never in memory whole.
pub struct RawMessage(Source);

enum Source {
    Bytes(Bytes),
    File(PathBuf),
    Reader {
        reader: Box<dyn AsyncRead + Send + Unpin>,
        size: Option<u64>,
    },
}

/// An opened message.
pub(crate) struct OpenMessage {
    pub(crate) reader: Box<dyn AsyncRead + Send + Unpin>,
    /// Size in bytes as stored, before line ends are normalised; `None` when a reader's size was not told.
    pub(crate) size: Option<u64>,
}

impl RawMessage {
    /// A message in memory.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Self {
        Self(Source::Bytes(bytes.into()))
    }

    /// A message in a file, opened when it is needed.
    pub fn from_file(path: impl Into<PathBuf>) -> Self {
        Self(Source::File(path.into()))
    }

    /// A message from a reader. Tell its size in bytes where it is known: it lets the server refuse early.
    pub fn from_reader(reader: impl AsyncRead + Send + Unpin + 'static, size: Option<u64>) -> Self {
        Self(Source::Reader {
            reader: Box::new(reader),
            size,
        })
    }

    /// The message's bytes, where they are in memory.
    pub(crate) fn in_memory(&self) -> Option<&Bytes> {
        match &self.0 {
            Source::Bytes(bytes) => Some(bytes),
            Source::File(_) | Source::Reader { .. } => None,
        }
    }

    pub(crate) async fn open(self) -> Result<OpenMessage> {
        Ok(match self.0 {
            Source::Bytes(bytes) => {
                let size = Some(bytes.len() as u64);
                OpenMessage {
                    reader: Box::new(Cursor::new(bytes)),
                    size,
                }
            }
            Source::File(path) => {
                let failed = |error: std::io::Error| {
                    Error::new(
                        ErrorKind::LocalIo,
                        "open message",
                        format!("{}: {error}", path.display()),
                    )
                    .with_source(error)
                };
                let file = tokio::fs::File::open(&path).await.map_err(failed)?;
                let size = Some(file.metadata().await.map_err(failed)?.len());
                OpenMessage {
                    reader: Box::new(file),
                    size,
                }
            }
            Source::Reader { reader, size } => OpenMessage { reader, size },
        })
    }
}

impl fmt::Debug for RawMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Bytes(bytes) => write!(f, "RawMessage({} bytes)", bytes.len()),
            Source::File(path) => write!(f, "RawMessage({})", path.display()),
            Source::Reader { size, .. } => write!(f, "RawMessage(reader, {size:?})"),
        }
    }
}
