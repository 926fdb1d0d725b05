//! [`Folder`]: a temporary folder that the servers' own users can enter, and files made from templates.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use crate::error::{Doing, ServersError};

/// Everything the servers read and write. Removed on drop.
#[derive(Debug)]
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Result<Self, ServersError> {
        let folder = tempfile::Builder::new()
            .prefix("exomail-servers-")
            .permissions(Permissions::from_mode(0o755))
            .tempdir()
            .doing(|| "temporary folder".to_owned())?;
        // Dovecot and Postfix say "permission denied" for a file deep inside, or nothing at all.
        for path in folder.path().ancestors() {
            let mode = fs::metadata(path)
                .doing(|| path.display().to_string())?
                .permissions()
                .mode();
            if mode & 0o001 == 0 {
                return Err(ServersError::Unreachable { path: path.into() });
            }
        }
        Ok(Self(folder))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Makes a folder (and those above it) that all may enter, and returns its path.
    pub(crate) fn make(&self, name: &str) -> Result<PathBuf, ServersError> {
        let path = self.path().join(name);
        fs::create_dir_all(&path).doing(|| path.display().to_string())?;
        Ok(path)
    }

    /// Writes a file and returns its path.
    pub(crate) fn write(&self, name: &str, content: &str) -> Result<PathBuf, ServersError> {
        let path = self.path().join(name);
        fs::write(&path, content).doing(|| path.display().to_string())?;
        Ok(path)
    }

    /// As [`Folder::write`], dated an hour back: Postfix reads a fresh configuration again and again until it is two
    /// seconds old, in case somebody is writing it.
    pub(crate) fn write_settled(&self, name: &str, content: &str) -> Result<PathBuf, ServersError> {
        let path = self.write(name, content)?;
        File::options()
            .write(true)
            .open(&path)
            .and_then(|file| file.set_modified(SystemTime::now() - Duration::from_secs(3600)))
            .doing(|| path.display().to_string())?;
        Ok(path)
    }

    /// The end of a log, for messages. Empty when there is none.
    pub(crate) fn tail(&self, name: &str) -> String {
        let bytes = fs::read(self.path().join(name)).unwrap_or_default();
        let start = bytes.len().saturating_sub(4096);
        String::from_utf8_lossy(&bytes[start..]).into_owned()
    }
}

/// Gives `path` to a user and group, with these permissions.
pub(crate) fn give(path: &Path, uid: u32, gid: Option<u32>, mode: u32) -> Result<(), ServersError> {
    chown(path, Some(uid), gid).doing(|| format!("chown {}", path.display()))?;
    // After chown: that clears set-group-ID.
    fs::set_permissions(path, Permissions::from_mode(mode)).doing(|| format!("chmod {}", path.display()))
}

/// Fills the `{{names}}` of a template.
///
/// # Panics
/// When a name of the template has no value or a value no name: a mistake in this crate.
pub(crate) fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut text = template.to_owned();
    for (name, value) in values {
        let name = format!("{{{{{name}}}}}");
        assert!(text.contains(&name), "the template has no {name}");
        text = text.replace(&name, value);
    }
    let names = text.replace("{{names}}", "");
    assert!(!names.contains("{{"), "a name of the template was not filled");
    text
}
