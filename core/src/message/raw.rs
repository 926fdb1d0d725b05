//! [`RawMessage`]: a ready RFC 5322 message, from memory, a file or a reader.

use std::fmt;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, ReadBuf};

use crate::error::{Error, ErrorKind, Result};

/// A ready RFC 5322 message to send or to append. It is streamed: a file or reader is never in memory whole.
pub struct RawMessage {
    source: Source,
    progress: Option<Progress>,
    before_end: Option<BeforeEnd>,
}

/// Called with the number of bytes read so far.
pub(crate) type Progress = Box<dyn FnMut(u64) + Send>;

/// Awaited once, before the last of the message goes out over SMTP. Where it fails, the message is not ended.
pub(crate) type BeforeEnd = Box<dyn FnOnce() -> BoxFuture<'static, Result<()>> + Send>;

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
        Self::new(Source::Bytes(bytes.into()))
    }

    /// A message in a file, opened when it is needed.
    pub fn from_file(path: impl Into<PathBuf>) -> Self {
        Self::new(Source::File(path.into()))
    }

    /// A message from a reader. Tell its size in bytes where it is known: it lets the server refuse early.
    pub fn from_reader(reader: impl AsyncRead + Send + Unpin + 'static, size: Option<u64>) -> Self {
        Self::new(Source::Reader {
            reader: Box::new(reader),
            size,
        })
    }

    fn new(source: Source) -> Self {
        Self {
            source,
            progress: None,
            before_end: None,
        }
    }

    /// Calls `progress` with the number of bytes taken from the message so far, as it goes out. A message in memory
    /// may go out at once. `progress` runs on a library task: it must not block.
    #[must_use]
    pub fn with_progress(mut self, progress: impl FnMut(u64) + Send + 'static) -> Self {
        self.progress = Some(Box::new(progress));
        self
    }

    /// Awaits `before_end` before the last of the message goes out over SMTP: until then it is certain that nothing
    /// was delivered.
    #[must_use]
    pub(crate) fn with_before_end(mut self, before_end: BeforeEnd) -> Self {
        self.before_end = Some(before_end);
        self
    }

    pub(crate) fn take_before_end(&mut self) -> Option<BeforeEnd> {
        self.before_end.take()
    }

    /// The same message once more, where its bytes can be had again: not those of a reader, and not where somebody waits
    /// for its end, who does that once. Both report their progress.
    pub(crate) fn again(&mut self) -> Option<Self> {
        if self.before_end.is_some() {
            return None;
        }
        let source = match &self.source {
            Source::Bytes(bytes) => Source::Bytes(bytes.clone()),
            Source::File(path) => Source::File(path.clone()),
            Source::Reader { .. } => return None,
        };
        let mut again = Self::new(source);
        if let Some(progress) = self.progress.take() {
            let progress = Arc::new(Mutex::new(progress));
            for message in [&mut *self, &mut again] {
                let progress = progress.clone();
                message.progress = Some(Box::new(move |taken| {
                    (progress.lock().unwrap_or_else(PoisonError::into_inner))(taken);
                }));
            }
        }
        Some(again)
    }

    /// The message's bytes, where they are in memory.
    pub(crate) fn in_memory(&self) -> Option<&Bytes> {
        match &self.source {
            Source::Bytes(bytes) => Some(bytes),
            Source::File(_) | Source::Reader { .. } => None,
        }
    }

    /// What is to be told how far it is, for whoever takes the bytes from memory.
    pub(crate) fn into_progress(self) -> Option<Progress> {
        self.progress
    }

    /// The message's file, where it is in one.
    pub(crate) fn path(&self) -> Option<&Path> {
        match &self.source {
            Source::File(path) => Some(path),
            Source::Bytes(_) | Source::Reader { .. } => None,
        }
    }

    pub(crate) async fn open(self) -> Result<OpenMessage> {
        let mut open = match self.source {
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
        };
        if let Some(progress) = self.progress {
            let reader = open.reader;
            open.reader = Box::new(Counted {
                reader,
                progress,
                taken: 0,
            });
        }
        Ok(open)
    }
}

/// A reader that tells how far it is.
struct Counted {
    reader: Box<dyn AsyncRead + Send + Unpin>,
    progress: Progress,
    taken: u64,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.reader).poll_read(context, buffer);
        let read = buffer.filled().len() - before;
        if read > 0 {
            self.taken += read as u64;
            let taken = self.taken;
            (self.progress)(taken);
        }
        result
    }
}

impl fmt::Debug for RawMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::Bytes(bytes) => write!(f, "RawMessage({} bytes)", bytes.len()),
            Source::File(path) => write!(f, "RawMessage({})", path.display()),
            Source::Reader { size, .. } => write!(f, "RawMessage(reader, {size:?})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn progress_rises_to_the_size() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let told = seen.clone();
        let message = RawMessage::from_bytes(vec![b'x'; 100_000])
            .with_progress(move |taken| told.lock().unwrap().push(taken));
        let mut open = message.open().await.unwrap();
        assert_eq!(open.size, Some(100_000));
        let mut chunk = [0; 4096];
        while open.reader.read(&mut chunk).await.unwrap() > 0 {}
        let seen = seen.lock().unwrap();
        assert!(seen.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(seen.last(), Some(&100_000));
        assert!(seen.len() > 20);
    }
}
