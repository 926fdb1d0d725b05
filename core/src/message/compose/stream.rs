//! [`Segments`]: a composed message as a stream, base64 made on the way.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures_util::stream::{self, Stream};
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_util::io::StreamReader;

/// Bytes in a line of base64: 76 characters (RFC 2045 §6.8).
const LINE: usize = 57;
/// Read and encoded at once.
const PIECE: usize = LINE * 512;

#[derive(Clone, Debug)]
pub(super) enum Segment {
    /// Goes out as it is.
    Text(Bytes),
    /// Goes out as lines of base64.
    Base64(Bytes),
    /// The same, from a file of this size.
    Base64File { path: PathBuf, size: u64 },
}

impl Segment {
    fn size(&self) -> u64 {
        match self {
            Segment::Text(bytes) => bytes.len() as u64,
            Segment::Base64(bytes) => encoded_size(bytes.len() as u64),
            Segment::Base64File { size, .. } => encoded_size(*size),
        }
    }
}

/// A composed message. Clones share the bytes.
#[derive(Clone, Debug)]
pub(super) struct Segments {
    segments: VecDeque<Segment>,
    size: u64,
}

impl Segments {
    pub(super) fn new(segments: VecDeque<Segment>) -> Self {
        Self {
            size: segments.iter().map(Segment::size).sum(),
            segments,
        }
    }

    /// The exact number of bytes that [`Segments::reader`] will give.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn has_files(&self) -> bool {
        self.segments
            .iter()
            .any(|segment| matches!(segment, Segment::Base64File { .. }))
    }

    /// Everything at once. Files are left out: ask [`Segments::has_files`] first.
    pub(super) fn into_bytes(self) -> Bytes {
        let mut out = Vec::with_capacity(usize::try_from(self.size).unwrap_or_default());
        for segment in &self.segments {
            match segment {
                Segment::Text(bytes) => out.extend_from_slice(bytes),
                Segment::Base64(bytes) => out.extend_from_slice(&encode(bytes, true)),
                Segment::Base64File { .. } => {}
            }
        }
        Bytes::from(out)
    }

    pub(super) fn reader(self) -> impl AsyncRead + Send + Unpin + 'static {
        StreamReader::new(self.stream())
    }

    fn stream(self) -> Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>> {
        let cursor = Cursor {
            segments: self.segments,
            open: None,
        };
        Box::pin(stream::try_unfold(cursor, |mut cursor| async move {
            Ok(cursor.next().await?.map(|bytes| (bytes, cursor)))
        }))
    }
}

struct Cursor {
    segments: VecDeque<Segment>,
    open: Option<Encoding>,
}

/// A segment of base64 that is going out.
struct Encoding {
    source: Reading,
    first: bool,
}

enum Reading {
    Bytes(Bytes),
    File { file: File, path: PathBuf, left: u64 },
}

impl Cursor {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            if let Some(encoding) = &mut self.open {
                let piece = encoding.source.piece().await?;
                if !piece.is_empty() {
                    let first = std::mem::replace(&mut encoding.first, false);
                    return Ok(Some(encode(&piece, first)));
                }
                self.open = None;
            }
            let source = match self.segments.pop_front() {
                None => return Ok(None),
                Some(Segment::Text(bytes)) => return Ok(Some(bytes)),
                Some(Segment::Base64(bytes)) => Reading::Bytes(bytes),
                Some(Segment::Base64File { path, size }) => {
                    let file = File::open(&path).await.map_err(|error| named(&path, error))?;
                    Reading::File {
                        file,
                        path,
                        left: size,
                    }
                }
            };
            self.open = Some(Encoding { source, first: true });
        }
    }
}

impl Reading {
    /// The next bytes, whole lines of them but at the end; empty at the end.
    async fn piece(&mut self) -> io::Result<Bytes> {
        match self {
            Reading::Bytes(bytes) => Ok(bytes.split_to(PIECE.min(bytes.len()))),
            Reading::File { file, path, left } => {
                let mut piece = Vec::with_capacity(PIECE);
                let mut limited = file.take(PIECE as u64);
                limited
                    .read_to_end(&mut piece)
                    .await
                    .map_err(|error| named(path, error))?;
                // The size was announced to the server: what comes must be as long.
                let came = piece.len() as u64;
                if came > *left || (came < PIECE as u64 && came < *left) {
                    let changed =
                        io::Error::new(io::ErrorKind::InvalidData, "its size changed while it was sent");
                    return Err(named(path, changed));
                }
                *left -= came;
                Ok(Bytes::from(piece))
            }
        }
    }
}

fn named(path: &std::path::Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("attachment {}: {error}", path.display()))
}

/// Lines with a line end between them; `first` says that none was written before.
fn encode(piece: &[u8], first: bool) -> Bytes {
    let mut out = String::with_capacity(piece.len() / LINE * 78 + 80);
    for (index, line) in piece.chunks(LINE).enumerate() {
        if index > 0 || !first {
            out.push_str("\r\n");
        }
        BASE64_STANDARD.encode_string(line, &mut out);
    }
    Bytes::from(out)
}

fn encoded_size(size: u64) -> u64 {
    size.div_ceil(3) * 4 + size.div_ceil(LINE as u64).saturating_sub(1) * 2
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(segments: Segments) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        segments.reader().read_to_end(&mut out).await?;
        Ok(out)
    }

    #[tokio::test]
    async fn sizes_are_exact_and_lines_short() {
        let folder = tempfile::tempdir().unwrap();
        for size in [
            0,
            1,
            2,
            3,
            56,
            57,
            58,
            114,
            PIECE - 1,
            PIECE,
            PIECE + 1,
            3 * PIECE + 5,
        ] {
            let bytes: Vec<u8> = (0..size).map(|n| u8::try_from(n % 251).unwrap()).collect();
            let path = folder.path().join("file");
            std::fs::write(&path, &bytes).unwrap();
            let file = Segments::new(
                [Segment::Base64File {
                    path,
                    size: size as u64,
                }]
                .into(),
            );
            let memory = Segments::new([Segment::Base64(Bytes::from(bytes.clone()))].into());
            let expected = file.size();
            let text = read(file).await.unwrap();
            assert_eq!(text.len() as u64, expected, "{size}");
            assert_eq!(text, read(memory).await.unwrap(), "{size}");
            let text = String::from_utf8(text).unwrap();
            assert!(text.split("\r\n").all(|line| line.len() <= 76));
            assert_eq!(BASE64_STANDARD.decode(text.replace("\r\n", "")).unwrap(), bytes);
        }
    }

    #[tokio::test]
    async fn a_file_that_changes_is_not_sent() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "12345").unwrap();
        for size in [4, 6] {
            let segments = Segments::new(
                [Segment::Base64File {
                    path: path.clone(),
                    size,
                }]
                .into(),
            );
            let error = read(segments).await.unwrap_err();
            assert!(error.to_string().contains("changed"), "{error}");
        }
        let gone = Segments::new(
            [Segment::Base64File {
                path: folder.path().join("gone"),
                size: 1,
            }]
            .into(),
        );
        assert!(read(gone).await.unwrap_err().to_string().contains("gone"));
    }
}
