//! [`CheckpointFile`]: how far a folder has been handled, kept over restarts.

use std::io::Write;
use std::path::{Path, PathBuf};

use exomail::{Checkpoint, Result};
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use crate::failure::{bad_argument, file_error};

/// A file with one checkpoint. It is replaced as a whole and on disk before it is replaced, so that after a crash there is
/// the old one or the new one.
#[derive(Debug)]
pub(crate) struct CheckpointFile {
    path: PathBuf,
    mailbox: String,
    /// What is in the file.
    stored: Option<Checkpoint>,
}

/// What is in the file: UIDs mean nothing in another mailbox.
#[derive(Serialize, Deserialize)]
struct Content {
    mailbox: String,
    #[serde(flatten)]
    checkpoint: Checkpoint,
}

impl CheckpointFile {
    /// Reads the file, if it is there.
    pub(crate) fn open(path: &Path, mailbox: &str) -> Result<Self> {
        let mut file = Self {
            path: path.to_owned(),
            mailbox: mailbox.to_owned(),
            stored: None,
        };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(file),
            Err(error) => return Err(file_error("read checkpoint", path, error)),
        };
        let wrong = |what: String| {
            bad_argument("read checkpoint", format!("{}: {what}", path.display()))
                .with_hint("name another file, or remove this one to begin anew")
        };
        let content: Content = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        if !content.mailbox.eq_ignore_ascii_case(mailbox) {
            return Err(wrong(format!("it is of {}, not of {mailbox}", content.mailbox)));
        }
        file.stored = Some(content.checkpoint);
        Ok(file)
    }

    pub(crate) fn stored(&self) -> Option<&Checkpoint> {
        self.stored.as_ref()
    }

    /// Replaces what is in the file, unless it is that already.
    pub(crate) fn store(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        if self.stored.as_ref() == Some(checkpoint) {
            return Ok(());
        }
        let content = Content {
            mailbox: self.mailbox.clone(),
            checkpoint: checkpoint.clone(),
        };
        let failed = |error| file_error("write checkpoint", &self.path, error);
        let text = serde_json::to_string(&content).map_err(|error| failed(error.into()))?;
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut file = NamedTempFile::new_in(folder).map_err(failed)?;
        file.write_all(text.as_bytes())
            .and_then(|()| file.write_all(b"\n"))
            .and_then(|()| file.as_file().sync_all())
            .map_err(failed)?;
        file.persist(&self.path).map_err(|error| failed(error.error))?;
        sync_folder(folder).map_err(failed)?;
        self.stored = Some(checkpoint.clone());
        Ok(())
    }
}

/// The new name, too, must be on disk.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    std::fs::File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use exomail::ErrorKind;

    use super::*;

    #[test]
    fn a_checkpoint_is_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("inbox.json");
        let mut file = CheckpointFile::open(&path, "joe@contoso.com").unwrap();
        assert_eq!(file.stored(), None);
        for uid in [1, 2] {
            let checkpoint = Checkpoint::new("Entwürfe", 14, uid);
            file.store(&checkpoint).unwrap();
            let again = CheckpointFile::open(&path, "Joe@contoso.com").unwrap();
            assert_eq!(again.stored(), Some(&checkpoint));
        }
        // No leftovers.
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_checkpoint_of_the_mailbox_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("inbox.json");
        let mut file = CheckpointFile::open(&path, "joe@contoso.com").unwrap();
        file.store(&Checkpoint::new("INBOX", 14, 1)).unwrap();
        let error = CheckpointFile::open(&path, "ann@contoso.com").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        for text in ["", "{}", "{\"mailbox\":\"joe@contoso.com\",\"folder\":\"INBOX\""] {
            std::fs::write(&path, text).unwrap();
            let error = CheckpointFile::open(&path, "joe@contoso.com").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{text}");
        }
        let missing = folder.path().join("no/such/folder.json");
        let mut file = CheckpointFile::open(&missing, "joe@contoso.com").unwrap();
        let error = file.store(&Checkpoint::new("INBOX", 14, 1)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LocalIo);
    }
}
