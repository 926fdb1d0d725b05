//! [`OutputFolder`]: messages and attachments as files, whole or not at all, nothing overwritten unasked.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use exomail::{Error, Result};
use tempfile::NamedTempFile;

use crate::failure::file_error;

/// Longer names do not fit into every file system, together with an added number.
const MAX_NAME: usize = 200;

/// Where files go.
#[derive(Debug)]
pub(crate) struct OutputFolder {
    path: PathBuf,
    overwrite: bool,
}

/// A file that gets its name when it is complete; until then, and after a failure, nothing is seen of it.
#[derive(Debug)]
pub(crate) struct NewFile {
    temporary: NamedTempFile,
    path: PathBuf,
    overwrite: bool,
}

impl OutputFolder {
    /// The folder, made where it is missing.
    pub(crate) fn new(path: &Path, overwrite: bool) -> Result<Self> {
        std::fs::create_dir_all(path).map_err(|error| file_error("create folder", path, error))?;
        Ok(Self {
            path: path.to_owned(),
            overwrite,
        })
    }

    /// A file of exactly this name, which must not be there yet unless overwriting was asked for.
    pub(crate) fn create(&self, name: &str) -> Result<NewFile> {
        let path = self.path.join(safe_name(name));
        if !self.overwrite && path.exists() {
            return Err(taken(&path));
        }
        let temporary = NamedTempFile::new_in(&self.path)
            .map_err(|error| file_error("create file", &self.path, error))?;
        Ok(NewFile {
            temporary,
            path,
            overwrite: self.overwrite,
        })
    }

    /// A file under the name that a sender chose: made harmless, and numbered when it is taken.
    pub(crate) fn save(&self, name: &str, bytes: &[u8]) -> Result<PathBuf> {
        let name = safe_name(name);
        let (stem, extension) = match name.rsplit_once('.') {
            Some((stem, extension)) if !stem.is_empty() => (stem, format!(".{extension}")),
            _ => (name.as_str(), String::new()),
        };
        let free = (0_u32..)
            .map(|number| match number {
                0 => name.clone(),
                number => format!("{stem} ({number}){extension}"),
            })
            .find(|name| self.overwrite || !self.path.join(name).exists())
            .unwrap_or_default();
        let mut file = self.create(&free)?;
        file.write(bytes)?;
        file.finish()
    }
}

impl NewFile {
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.temporary
            .write_all(bytes)
            .map_err(|error| file_error("write file", &self.path, error))
    }

    pub(crate) fn finish(self) -> Result<PathBuf> {
        let Self {
            temporary,
            path,
            overwrite,
        } = self;
        let persisted = match overwrite {
            true => temporary.persist(&path),
            false => temporary.persist_noclobber(&path),
        };
        match persisted {
            Ok(_) => Ok(path),
            Err(error) if error.error.kind() == ErrorKind::AlreadyExists => Err(taken(&path)),
            Err(error) => Err(file_error("write file", &path, error.error)),
        }
    }
}

fn taken(path: &Path) -> Error {
    file_error("create file", path, ErrorKind::AlreadyExists.into())
        .with_hint("choose another --output folder, or overwrite with --force")
}

/// A sender's file name as one harmless path component: no separators, no control characters, not hidden, no device
/// of Windows.
fn safe_name(name: &str) -> String {
    let mut safe: String = name
        .chars()
        .map(|c| match c {
            '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|' => '_',
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '_',
            c if c.is_control() => '_',
            c => c,
        })
        .collect();
    safe = safe
        .trim_start_matches('.')
        .trim()
        .trim_end_matches('.')
        .to_owned();
    while safe.len() > MAX_NAME {
        safe.pop();
    }
    let stem = safe.split('.').next().unwrap_or_default().to_ascii_uppercase();
    let numbered = |device: &str| {
        stem.strip_prefix(device)
            .is_some_and(|digit| digit.len() == 1 && digit.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let device = ["CON", "PRN", "AUX", "NUL"].contains(&stem.as_str()) || numbered("COM") || numbered("LPT");
    match (safe.is_empty(), device) {
        (true, _) => "unnamed".to_owned(),
        (_, true) => format!("_{safe}"),
        _ => safe,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_senders_name_stays_inside_the_folder() {
        for (name, expected) in [
            ("report.pdf", "report.pdf"),
            ("../../etc/passwd", "_.._etc_passwd"),
            ("/etc/passwd", "_etc_passwd"),
            ("C:\\autoexec.bat", "C__autoexec.bat"),
            (".bashrc", "bashrc"),
            ("..", "unnamed"),
            ("", "unnamed"),
            ("a\r\nb\0", "a__b_"),
            ("con.txt", "_con.txt"),
            ("com1", "_com1"),
            ("comma", "comma"),
            ("evil\u{202e}fdp.exe", "evil_fdp.exe"),
        ] {
            assert_eq!(safe_name(name), expected, "{name:?}");
        }
        assert!(safe_name(&"ü".repeat(300)).len() <= MAX_NAME);
    }

    #[test]
    fn nothing_is_overwritten_unasked_and_a_dropped_file_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let output = OutputFolder::new(&folder.path().join("new"), false).unwrap();
        let mut file = output.create("1.eml").unwrap();
        file.write(b"one").unwrap();
        assert_eq!(std::fs::read(file.finish().unwrap()).unwrap(), b"one");
        let error = output.create("1.eml").unwrap_err();
        assert_eq!(error.kind(), exomail::ErrorKind::LocalIo);
        assert!(output.save("1.eml", b"two").unwrap().ends_with("1 (1).eml"));
        assert!(output.save("1.eml", b"three").unwrap().ends_with("1 (2).eml"));
        output.create("half").unwrap().write(b"x").unwrap();
        assert_eq!(std::fs::read_dir(folder.path().join("new")).unwrap().count(), 3);
        let force = OutputFolder::new(&folder.path().join("new"), true).unwrap();
        let mut file = force.create("1.eml").unwrap();
        file.write(b"again").unwrap();
        assert_eq!(std::fs::read(file.finish().unwrap()).unwrap(), b"again");
    }
}
