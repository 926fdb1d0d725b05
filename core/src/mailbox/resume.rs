//! [`Download`]: a message on its way to a sink, over as many connections as it takes.

use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::error::{Error, ErrorKind, Layer, Result};
use crate::imap::{BodyEvent, ImapSession, Section, Uid, UidSet};

const NAME: &str = "UID FETCH";

/// How far a message has come. A message never changes under its UID (RFC 3501 §2.3.1.1), so what is missing can be
/// fetched on another connection.
#[derive(Debug, Default)]
pub(super) struct Download {
    /// The message's size, once the server has told it.
    size: Option<u64>,
    written: u64,
}

impl Download {
    /// Fetches what is missing. After an error of the connection it can be called again with another session.
    pub(super) async fn run(
        &mut self,
        session: &mut ImapSession,
        uid: Uid,
        sink: &mut (impl AsyncWrite + Unpin + Send),
    ) -> Result<u64> {
        let section = match self.size {
            Some(size) if self.written < size => match self.rest(size) {
                Some(section) => section,
                None => Section::whole(),
            },
            // The connection was cut behind the last byte.
            Some(_) => return self.finish(sink).await,
            None => Section::whole(),
        };
        let mut bodies = session.fetch_many(&UidSet::from(uid), &section);
        let (mut skip, mut left, mut is_complete) = (0, 0, false);
        while let Some(event) = bodies.next().await? {
            match event {
                BodyEvent::Begin { size, .. } if !is_complete => {
                    let known = *self.size.get_or_insert(size);
                    left = known - self.written;
                    skip = match size {
                        _ if size == left => 0,
                        // A server that does not know of partial fetches sends all of it again.
                        _ if size == known => self.written,
                        _ => return Err(changed(known, self.written, size)),
                    };
                }
                // A server that sends it once more does not get it into the sink twice.
                BodyEvent::Chunk(chunk) if !is_complete => {
                    let seen = skip.min(chunk.len() as u64);
                    skip -= seen;
                    let fresh = chunk.slice(usize::try_from(seen).unwrap_or(chunk.len())..);
                    // Counted piece by piece: a sink that fails is not asked again.
                    sink.write_all(&fresh).await.map_err(failed)?;
                    self.written += fresh.len() as u64;
                    left = left.saturating_sub(fresh.len() as u64);
                }
                BodyEvent::End { .. } => is_complete = true,
                BodyEvent::Begin { .. } | BodyEvent::Chunk(_) => {}
            }
        }
        if !is_complete || left > 0 {
            return Err(Error::new(
                ErrorKind::NotFound,
                NAME,
                format!("there is no message with UID {uid}"),
            )
            .with_layer(Layer::Imap)
            .with_hint("it may have been moved or deleted: search again"));
        }
        self.finish(sink).await
    }

    /// What is missing, as far as an offset can be told in a FETCH.
    fn rest(&self, size: u64) -> Option<Section> {
        let offset = u32::try_from(self.written).ok().filter(|offset| *offset > 0)?;
        let length = u32::try_from(size - self.written).ok()?;
        Some(Section::whole().partial(offset, length))
    }

    async fn finish(&self, sink: &mut (impl AsyncWrite + Unpin + Send)) -> Result<u64> {
        sink.flush().await.map_err(failed)?;
        Ok(self.written)
    }
}

fn failed(error: std::io::Error) -> Error {
    Error::new(
        ErrorKind::LocalIo,
        NAME,
        format!("the message can't be written: {error}"),
    )
    .with_source(error)
}

fn changed(size: u64, written: u64, came: u64) -> Error {
    Error::new(
        ErrorKind::Protocol,
        NAME,
        format!(
            "of a message of {size} bytes {written} are here, and instead of the rest the server sends {came}"
        ),
    )
    .with_layer(Layer::Imap)
}
