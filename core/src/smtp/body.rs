//! [`Body`]: a message on its way out, with right line ends, in bounded pieces.

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::error::{Error, ErrorKind, Layer, Result};
use crate::message::RawMessage;
use crate::message::line_ends::{self, LineEnds};
use crate::message::raw::{BeforeEnd, Progress};

/// A piece is about this long: one BDAT chunk. Also the longest message that is held in memory.
pub(super) const PIECE: usize = 1024 * 1024;
/// How much is read from a file or reader at once.
const READ_SIZE: usize = 64 * 1024;

/// An opened message.
pub(super) struct Body {
    /// Length with right line ends. Of a file or reader that does not fit into one piece: as it was told, if it was.
    pub(super) size: Option<u64>,
    /// Whether there is a byte beyond ASCII; `None` when the message was not seen whole.
    pub(super) eight_bit: Option<bool>,
    /// Whether the header block is UTF-8 beyond ASCII (RFC 6532).
    pub(super) utf8_headers: bool,
    source: Source,
    /// Awaited before the last piece is handed out.
    before_end: Option<BeforeEnd>,
}

enum Source {
    /// Right as it is: no byte is copied.
    Whole {
        rest: Bytes,
        taken: u64,
        progress: Option<Progress>,
    },
    Stream(Stream),
}

struct Stream {
    reader: Box<dyn AsyncRead + Send + Unpin>,
    line_ends: LineEnds,
    /// What was read ahead.
    ready: Vec<u8>,
    /// How much was read.
    taken: u64,
    ended: bool,
}

/// A part of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) bytes: Bytes,
    pub(super) is_last: bool,
}

impl Body {
    /// Opens a message and looks at its beginning, before anything is said to the server.
    ///
    /// # Errors
    /// [`ErrorKind::LocalIo`] when it can't be read, [`ErrorKind::InvalidMessage`] when it is empty.
    pub(super) async fn open(mut message: RawMessage) -> Result<Self> {
        let before_end = message.take_before_end();
        let body = Self::read(message).await?;
        Ok(Self { before_end, ..body })
    }

    async fn read(message: RawMessage) -> Result<Self> {
        let in_memory = message.in_memory().cloned();
        if let Some(bytes) = in_memory.as_ref().filter(|bytes| line_ends::is_normal(bytes)) {
            return Self::whole(bytes.clone(), message.into_progress());
        }
        let open = message.open().await?;
        let mut stream = Stream::new(open.reader);
        stream.read_piece().await?;
        if let Some(bytes) = in_memory {
            return Ok(Self {
                size: Some(line_ends::normal_len(&bytes)),
                eight_bit: Some(!bytes.is_ascii()),
                utf8_headers: has_utf8_headers(&bytes),
                source: Source::Stream(stream),
                before_end: None,
            });
        }
        if stream.ended {
            return Self::whole(stream.ready.into(), None);
        }
        Ok(Self {
            size: open.size,
            eight_bit: (!stream.ready.is_ascii()).then_some(true),
            utf8_headers: has_utf8_headers(&stream.ready),
            source: Source::Stream(stream),
            before_end: None,
        })
    }

    fn whole(rest: Bytes, progress: Option<Progress>) -> Result<Self> {
        if rest.is_empty() {
            return Err(
                Error::new(ErrorKind::InvalidMessage, "send", "the message is empty").with_layer(Layer::Smtp),
            );
        }
        Ok(Self {
            size: Some(rest.len() as u64),
            eight_bit: Some(!rest.is_ascii()),
            utf8_headers: has_utf8_headers(&rest),
            source: Source::Whole {
                rest,
                taken: 0,
                progress,
            },
            before_end: None,
        })
    }

    /// The next piece. Not to be called behind the last one.
    ///
    /// # Errors
    /// [`ErrorKind::LocalIo`] when the caller's reader fails; what `before_end` met.
    pub(super) async fn next(&mut self) -> Result<Piece> {
        let piece = self.take_piece().await?;
        if piece.is_last
            && let Some(before_end) = self.before_end.take()
        {
            before_end().await?;
        }
        Ok(piece)
    }

    async fn take_piece(&mut self) -> Result<Piece> {
        match &mut self.source {
            Source::Whole {
                rest,
                taken,
                progress,
            } => {
                let bytes = rest.split_to(rest.len().min(PIECE));
                *taken += bytes.len() as u64;
                if let Some(progress) = progress {
                    progress(*taken);
                }
                Ok(Piece {
                    bytes,
                    is_last: rest.is_empty(),
                })
            }
            Source::Stream(stream) => {
                stream.read_piece().await?;
                Ok(Piece {
                    bytes: std::mem::take(&mut stream.ready).into(),
                    is_last: stream.ended,
                })
            }
        }
    }
}

impl Stream {
    fn new(reader: Box<dyn AsyncRead + Send + Unpin>) -> Self {
        Self {
            reader,
            line_ends: LineEnds::default(),
            ready: Vec::new(),
            taken: 0,
            ended: false,
        }
    }

    /// Reads until a piece is ready, or the end.
    async fn read_piece(&mut self) -> Result<()> {
        let mut buffer = Vec::with_capacity(READ_SIZE);
        while !self.ended && self.ready.len() < PIECE {
            buffer.clear();
            let count = self.reader.read_buf(&mut buffer).await.map_err(|error| {
                Error::new(
                    ErrorKind::LocalIo,
                    "read message",
                    format!("the message can't be read behind byte {}: {error}", self.taken),
                )
                .with_source(error)
            })?;
            self.taken += count as u64;
            if count == 0 {
                self.line_ends.finish(&mut self.ready);
                self.ended = true;
            } else {
                self.line_ends.push(&buffer, &mut self.ready);
            }
        }
        Ok(())
    }
}

/// Looks into the header block: everything up to the first empty line. Headers in another charset (there are such
/// messages) are not UTF-8, so SMTPUTF8 would be a lie.
fn has_utf8_headers(message: &[u8]) -> bool {
    let mut end = 0;
    for line in message.split_inclusive(|&byte| byte == b'\n') {
        if matches!(line, b"\n" | b"\r\n") {
            break;
        }
        end += line.len();
    }
    let headers = message.get(..end).unwrap_or_default();
    !headers.is_ascii() && std::str::from_utf8(headers).is_ok()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::sync::{Arc, Mutex};

    use super::*;

    async fn pieces(body: &mut Body) -> Vec<Bytes> {
        let mut all = Vec::new();
        loop {
            let piece = body.next().await.unwrap();
            all.push(piece.bytes);
            if piece.is_last {
                return all;
            }
        }
    }

    fn reader(bytes: Vec<u8>) -> RawMessage {
        RawMessage::from_reader(Cursor::new(bytes), None)
    }

    #[tokio::test]
    async fn what_is_right_in_memory_is_not_copied() {
        let message = Bytes::from("line\r\n".repeat(PIECE / 4));
        let mut body = Body::open(RawMessage::from_bytes(message.clone())).await.unwrap();
        assert_eq!(body.size, Some(message.len() as u64));
        assert_eq!(body.eight_bit, Some(false));
        let pieces = pieces(&mut body).await;
        assert_eq!(pieces.len(), 2);
        assert_eq!(pieces[0].as_ptr(), message.as_ptr());
        assert_eq!(pieces[1].as_ptr(), message[PIECE..].as_ptr());
    }

    #[tokio::test]
    async fn a_small_message_is_one_piece_whatever_it_comes_from() {
        let text = b"Subject: x\n\na\n.\nb".to_vec();
        for message in [RawMessage::from_bytes(text.clone()), reader(text)] {
            let mut body = Body::open(message).await.unwrap();
            assert_eq!(body.size, Some(23));
            assert_eq!(body.eight_bit, Some(false));
            assert_eq!(pieces(&mut body).await, ["Subject: x\r\n\r\na\r\n.\r\nb\r\n"]);
        }
    }

    #[tokio::test]
    async fn a_large_stream_comes_in_bounded_pieces() {
        let text = "0123456789\n".repeat(3 * PIECE / 10);
        let mut body = Body::open(reader(text.clone().into_bytes())).await.unwrap();
        assert_eq!(body.size, None);
        assert_eq!(body.eight_bit, None);
        let pieces = pieces(&mut body).await;
        assert!(pieces.iter().all(|piece| piece.len() < PIECE + 2 * READ_SIZE));
        assert_eq!(pieces.concat(), text.replace('\n', "\r\n").into_bytes());
    }

    #[tokio::test]
    async fn eight_bit_and_utf8_headers_are_seen() {
        for (text, eight_bit, utf8) in [
            ("Subject: x\r\n\r\nbody\r\n".as_bytes(), false, false),
            ("Subject: x\r\n\r\nbödy\r\n".as_bytes(), true, false),
            ("Subject: ä\r\n\r\nbody\r\n".as_bytes(), true, true),
            ("Subject: ä\n\nbody\n".as_bytes(), true, true),
            (b"Subject: \xe4\r\n\r\nbody\r\n", true, false),
        ] {
            let body = Body::open(RawMessage::from_bytes(text)).await.unwrap();
            assert_eq!(
                (body.eight_bit, body.utf8_headers),
                (Some(eight_bit), utf8),
                "{text:?}"
            );
        }
    }

    #[tokio::test]
    async fn an_empty_message_is_refused() {
        for message in [RawMessage::from_bytes(""), reader(Vec::new())] {
            let error = Body::open(message).await.err().unwrap();
            assert_eq!(error.kind(), ErrorKind::InvalidMessage);
        }
    }

    #[tokio::test]
    async fn progress_is_told_whatever_the_message_comes_from() {
        let right = "line\r\n".repeat(PIECE / 4);
        let (path, bare) = (
            tempfile::NamedTempFile::new().unwrap(),
            right.replace("\r\n", "\n"),
        );
        std::fs::write(&path, &right).unwrap();
        for (message, size) in [
            (RawMessage::from_bytes(right.clone()), right.len()),
            (RawMessage::from_bytes(bare.clone()), bare.len()),
            (RawMessage::from_file(path.path()), right.len()),
        ] {
            let told = Arc::new(Mutex::new(Vec::new()));
            let ears = told.clone();
            let message = message.with_progress(move |taken| ears.lock().unwrap().push(taken));
            pieces(&mut Body::open(message).await.unwrap()).await;
            let told = told.lock().unwrap();
            assert!(told.len() > 1 && told.is_sorted(), "{told:?}");
            assert_eq!(told.last(), Some(&(size as u64)));
        }
    }
}
