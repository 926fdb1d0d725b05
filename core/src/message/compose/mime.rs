//! The MIME tree, and how it becomes segments.

use std::collections::VecDeque;

use bytes::Bytes;
use lettre::message::Body;
use lettre::message::header::ContentTransferEncoding;
use memchr::memmem;
use sha2::{Digest as _, Sha256};

use super::attachment::{Attachment, Source};
use super::encode::{filename_parameter, name_parameter};
use super::stream::{Segment, Segments};
use crate::error::{Error, ErrorKind, Layer, Result};
use crate::message::line_ends::LineEnds;

/// RFC 5322 §2.1.1: the longest line without its line end.
const MAX_LINE: usize = 998;

/// A part of a message.
pub(super) enum Node {
    /// A text body; it is complete but for its place in the tree.
    Text { subtype: &'static str, body: Body },
    /// An attachment, or with a Content-ID an inline one.
    Attachment {
        attachment: Attachment,
        content_id: Option<String>,
    },
    /// A whole message, with right line ends.
    Message { bytes: Bytes },
    /// A multipart.
    Multi { subtype: &'static str, parts: Vec<Node> },
}

impl Node {
    /// A text, encoded as it needs: 7bit, quoted-printable or base64.
    pub(super) fn text(subtype: &'static str, text: &str) -> Self {
        let (mut line_ends, mut normal) = (LineEnds::default(), Vec::with_capacity(text.len()));
        line_ends.push(text.as_bytes(), &mut normal);
        // Line ends are single bytes, so whole characters stay whole.
        let text = String::from_utf8_lossy(&normal).into_owned();
        let control = text
            .bytes()
            .any(|byte| byte.is_ascii_control() && !b"\r\n\t".contains(&byte));
        let body = if control {
            // 7bit would let NUL and the like through.
            let forced = Body::new_with_encoding(text, ContentTransferEncoding::QuotedPrintable);
            forced.unwrap_or_else(Body::new)
        } else {
            Body::new(text)
        };
        Node::Text { subtype, body }
    }

    /// A message to forward. RFC 2046 §5.2.1 allows no encoding for it, so one that can't go as it is becomes a file.
    pub(super) fn message(raw: &Bytes) -> Self {
        let (mut line_ends, mut normal) = (LineEnds::default(), Vec::with_capacity(raw.len()));
        line_ends.push(raw, &mut normal);
        line_ends.finish(&mut normal);
        let long = normal
            .split(|&byte| byte == b'\n')
            .any(|line| line.len() > MAX_LINE + 1);
        if long || normal.contains(&0) {
            let attachment = Attachment::bytes("message.eml", "application/octet-stream", raw.clone());
            return Node::Attachment {
                attachment,
                content_id: None,
            };
        }
        Node::Message {
            bytes: Bytes::from(normal),
        }
    }

    fn is_eight_bit(&self) -> bool {
        match self {
            Node::Text { .. } | Node::Attachment { .. } => false,
            Node::Message { bytes } => !bytes.is_ascii(),
            Node::Multi { parts, .. } => parts.iter().any(Node::is_eight_bit),
        }
    }

    /// Whether `boundary` is in anything that goes out as it is; in base64 and quoted-printable it can't be.
    fn holds(&self, boundary: &str) -> bool {
        match self {
            Node::Text { body, .. } => memmem::find(body.as_ref(), boundary.as_bytes()).is_some(),
            Node::Message { bytes } => memmem::find(bytes, boundary.as_bytes()).is_some(),
            Node::Attachment { .. } => false,
            Node::Multi { parts, .. } => parts.iter().any(|part| part.holds(boundary)),
        }
    }
}

/// Writes header and tree. Sizes of files are taken here.
pub(super) fn write(header: String, root: &Node, message_id: &str) -> Result<Segments> {
    let mut writer = Writer {
        segments: VecDeque::new(),
        text: header.into_bytes(),
        root,
        seed: message_id,
        boundaries: 0,
    };
    writer.text.extend_from_slice(b"MIME-Version: 1.0\r\n");
    writer.node(root)?;
    if !writer.text.ends_with(b"\r\n") {
        writer.text.extend_from_slice(b"\r\n");
    }
    writer.end_text();
    Ok(Segments::new(writer.segments))
}

struct Writer<'a> {
    segments: VecDeque<Segment>,
    text: Vec<u8>,
    root: &'a Node,
    seed: &'a str,
    boundaries: usize,
}

impl Writer<'_> {
    fn line(&mut self, line: &str) {
        self.text.extend_from_slice(line.as_bytes());
        self.text.extend_from_slice(b"\r\n");
    }

    fn end_text(&mut self) {
        if !self.text.is_empty() {
            self.segments
                .push_back(Segment::Text(Bytes::from(std::mem::take(&mut self.text))));
        }
    }

    /// Header, empty line and body of a part, without the line end that belongs to the next boundary. Recursion is as
    /// deep as the tree that the builder makes: three levels.
    fn node(&mut self, node: &Node) -> Result<()> {
        match node {
            Node::Text { subtype, body } => {
                self.line(&format!("Content-Type: text/{subtype}; charset=utf-8"));
                self.line(&format!("Content-Transfer-Encoding: {}", body.encoding()));
                self.line("");
                self.text.extend_from_slice(body.as_ref());
            }
            Node::Attachment {
                attachment,
                content_id,
            } => self.attachment(attachment, content_id.as_deref())?,
            Node::Message { bytes } => {
                self.line("Content-Type: message/rfc822");
                self.line("Content-Disposition: attachment; filename=\"message.eml\"");
                self.line(if bytes.is_ascii() {
                    "Content-Transfer-Encoding: 7bit"
                } else {
                    "Content-Transfer-Encoding: 8bit"
                });
                self.line("");
                self.text.extend_from_slice(bytes);
            }
            Node::Multi { subtype, parts } => {
                let boundary = self.boundary();
                self.line(&format!(
                    "Content-Type: multipart/{subtype};\r\n boundary=\"{boundary}\""
                ));
                if node.is_eight_bit() {
                    self.line("Content-Transfer-Encoding: 8bit");
                }
                for part in parts {
                    self.text.extend_from_slice(b"\r\n");
                    self.line(&format!("--{boundary}"));
                    self.node(part)?;
                }
                self.text.extend_from_slice(b"\r\n");
                self.line(&format!("--{boundary}--"));
            }
        }
        Ok(())
    }

    fn attachment(&mut self, attachment: &Attachment, content_id: Option<&str>) -> Result<()> {
        let Attachment {
            source,
            name,
            content_type,
        } = attachment;
        let (name_parameter, filename_parameter) = match name.is_empty() {
            true => (String::new(), String::new()),
            false => (name_parameter(name), filename_parameter(name)),
        };
        self.line(&format!("Content-Type: {content_type}{name_parameter}"));
        let disposition = if content_id.is_some() {
            "inline"
        } else {
            "attachment"
        };
        self.line(&format!("Content-Disposition: {disposition}{filename_parameter}"));
        if let Some(id) = content_id {
            self.line(&format!("Content-ID: <{id}>"));
        }
        self.line("Content-Transfer-Encoding: base64");
        self.line("");
        self.end_text();
        self.segments.push_back(match source {
            Source::Bytes(bytes) => Segment::Base64(bytes.clone()),
            Source::File(path) => {
                let failed = |detail: String| {
                    Error::new(
                        ErrorKind::LocalIo,
                        "attachment",
                        format!("{}: {detail}", path.display()),
                    )
                    .with_layer(Layer::Message)
                };
                let metadata =
                    std::fs::metadata(path).map_err(|error| failed(error.to_string()).with_source(error))?;
                if !metadata.is_file() {
                    return Err(failed("it is no file".to_owned()));
                }
                Segment::Base64File {
                    path: path.clone(),
                    size: metadata.len(),
                }
            }
        });
        Ok(())
    }

    /// A boundary that is in no part. `=_` is in no base64 or quoted-printable text (RFC 2045 §6.7); the rest follows
    /// from the Message-ID, so that the same message has the same bytes.
    fn boundary(&mut self) -> String {
        loop {
            self.boundaries += 1;
            let hash = Sha256::digest(format!("{} {}", self.boundaries, self.seed));
            let hex: String = hash.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
            let boundary = format!("=_{hex}");
            if !self.root.holds(&boundary) {
                return boundary;
            }
        }
    }
}
