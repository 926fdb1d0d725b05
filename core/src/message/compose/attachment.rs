//! [`Attachment`]: bytes or a file, with a name and a type.

use std::fmt;
use std::path::PathBuf;

use bytes::Bytes;

/// Something to attach. A file is read while the message goes out; it is never in memory whole.
///
/// ```
/// use exomail::message::Attachment;
///
/// let report = Attachment::bytes("report.csv", "text/csv", "a;b\n");
/// let picture = Attachment::file("/srv/pictures/IMG_1.png").with_name("Übersicht.png");
/// ```
#[derive(Clone)]
pub struct Attachment {
    pub(super) source: Source,
    pub(super) name: String,
    pub(super) content_type: String,
}

#[derive(Clone)]
pub(super) enum Source {
    Bytes(Bytes),
    File(PathBuf),
}

impl Attachment {
    /// Bytes, with the name that the recipient sees and a media type such as `application/pdf`.
    pub fn bytes(name: impl Into<String>, content_type: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        Self {
            source: Source::Bytes(bytes.into()),
            name: name.into(),
            content_type: content_type.into(),
        }
    }

    /// A file, under its own name. Its type follows from the extension; [`with_content_type`](Self::with_content_type)
    /// sets another. The file must not change until the message was sent.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        let path: PathBuf = path.into();
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let content_type = guess(&name).to_owned();
        Self {
            source: Source::File(path),
            name,
            content_type,
        }
    }

    /// Sets the name that the recipient sees.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the media type.
    #[must_use]
    pub fn with_content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = content_type.into();
        self
    }
}

impl fmt::Debug for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Attachment");
        out.field("name", &self.name)
            .field("content_type", &self.content_type);
        match &self.source {
            Source::Bytes(bytes) => out.field("size", &bytes.len()),
            Source::File(path) => out.field("path", path),
        };
        out.finish()
    }
}

/// The media type of the extensions that are mailed most. A wrong guess is worse than none.
fn guess(name: &str) -> &'static str {
    let extension = name
        .rsplit_once('.')
        .map(|(_, extension)| extension.to_ascii_lowercase());
    match extension.as_deref() {
        Some("pdf") => "application/pdf",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("gif") => "image/gif",
        Some("webp") => "image/webp",
        Some("svg") => "image/svg+xml",
        Some("txt" | "log") => "text/plain",
        Some("csv") => "text/csv",
        Some("htm" | "html") => "text/html",
        Some("ics") => "text/calendar",
        Some("json") => "application/json",
        Some("xml") => "application/xml",
        Some("zip") => "application/zip",
        Some("gz") => "application/gzip",
        Some("docx") => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        Some("xlsx") => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        Some("pptx") => "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        _ => "application/octet-stream",
    }
}
