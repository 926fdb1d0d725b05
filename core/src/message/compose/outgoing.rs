//! [`OutgoingMessage`]: a message that is ready to go.

use std::fmt;

use bytes::Bytes;
use tokio::io::AsyncReadExt;
use uuid::Uuid;

use super::builder::OutgoingMessageBuilder;
use super::check::is_id;
use super::stream::{Segment, Segments};
use crate::error::{Error, ErrorKind, Layer, Result};
use crate::message::{Message, RawMessage};
use crate::smtp::Envelope;

/// Above this a message in memory is encoded on its way out instead of before.
const MAX_READY: u64 = 1 << 20;

/// A message that is ready to go: its envelope, its id, its bytes. Clones share the bytes, so keeping one for another
/// try costs nothing.
///
/// ```
/// use exomail::message::{Attachment, OutgoingMessage};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> exomail::Result<()> {
/// let message = OutgoingMessage::builder()
///     .from("Jörg <joerg@contoso.example>")
///     .to("ann@example.com")
///     .bcc("archive@contoso.example")
///     .subject("Übersicht")
///     .text("See the attachment.")
///     .attach(Attachment::bytes("übersicht.csv", "text/csv", "a;b\n"))
///     .build()?;
/// assert_eq!(message.envelope().to(), ["ann@example.com", "archive@contoso.example"]);
/// let bytes = message.to_bytes().await?;
/// assert!(!String::from_utf8_lossy(&bytes).contains("archive@contoso.example"));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct OutgoingMessage {
    pub(super) envelope: Envelope,
    pub(super) message_id: String,
    pub(super) segments: Segments,
}

impl OutgoingMessage {
    /// Starts a message.
    pub fn builder() -> OutgoingMessageBuilder {
        OutgoingMessageBuilder::default()
    }

    /// Takes a message that was built with lettre, and gives it a Message-ID if it has none.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when its envelope holds what SMTP can't say.
    pub fn from_lettre(message: &lettre::Message) -> Result<Self> {
        let envelope = Envelope::try_from(message.envelope())?;
        let bytes = Bytes::from(message.formatted());
        let given = Message::parse(bytes.clone())?.message_id().filter(|id| is_id(id));
        let (message_id, segments) = match given {
            Some(id) => (id, vec![Segment::Text(bytes)]),
            None => {
                let id = new_id(envelope.from().unwrap_or_default());
                let header = Bytes::from(format!("Message-ID: <{id}>\r\n"));
                (id, vec![Segment::Text(header), Segment::Text(bytes)])
            }
        };
        Ok(Self {
            envelope,
            message_id,
            segments: Segments::new(segments.into()),
        })
    }

    /// The Message-ID without angle brackets: what to look for when it is unknown whether the message was sent.
    pub fn message_id(&self) -> &str {
        &self.message_id
    }

    /// From whom and to whom, hidden recipients among them.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// Its exact size in bytes.
    pub fn size(&self) -> u64 {
        self.segments.size()
    }

    /// The message for a session to send or append. Files are read, and big attachments encoded, on the way.
    pub fn into_raw(self) -> RawMessage {
        let size = self.size();
        if size <= MAX_READY && !self.segments.has_files() {
            // Nothing here waits: the bytes are in memory.
            return RawMessage::from_bytes(self.segments.into_bytes());
        }
        RawMessage::from_reader(self.segments.reader(), Some(size))
    }

    /// The whole message in memory, files too.
    ///
    /// # Errors
    /// [`ErrorKind::LocalIo`] when a file can't be read or has changed.
    pub async fn to_bytes(&self) -> Result<Bytes> {
        let mut bytes = Vec::new();
        self.segments
            .clone()
            .reader()
            .read_to_end(&mut bytes)
            .await
            .map_err(|error| {
                Error::new(ErrorKind::LocalIo, "compose", error.to_string())
                    .with_layer(Layer::Message)
                    .with_source(error)
            })?;
        Ok(Bytes::from(bytes))
    }
}

/// A new Message-ID in the domain of an address (RFC 5322 §3.6.4).
pub(super) fn new_id(address: &str) -> String {
    let domain = address
        .rsplit_once('@')
        .map(|(_, domain)| domain)
        .filter(|domain| is_id(domain));
    format!("{}@{}", Uuid::new_v4(), domain.unwrap_or("localhost"))
}

impl From<OutgoingMessage> for RawMessage {
    fn from(message: OutgoingMessage) -> Self {
        message.into_raw()
    }
}

impl TryFrom<&lettre::Message> for OutgoingMessage {
    type Error = Error;

    fn try_from(message: &lettre::Message) -> Result<Self> {
        Self::from_lettre(message)
    }
}

impl fmt::Debug for OutgoingMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutgoingMessage")
            .field("message_id", &self.message_id)
            .field("envelope", &self.envelope)
            .field("size", &self.size())
            .finish()
    }
}
