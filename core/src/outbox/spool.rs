//! [`Spool`]: the folders. All of it blocks, on a local disk, for as long as that takes.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind as Io};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use tempfile::NamedTempFile;

use super::OutboxId;
use super::entry::{Damaged, State};
use super::file::{self, Damage, Message, Record};
use crate::error::{Error, ErrorKind, Result};

const TMP: &str = "tmp";
const DAMAGED: &str = "damaged";
const REASON: &str = "reason";
/// Held by the one worker.
const WORKER_LOCK: &str = "worker.lock";
/// Held while a message gets its name, and while one goes back to the queue.
const WRITERS_LOCK: &str = "writers.lock";
/// What nobody has written to for so long is not being added any more.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);

#[derive(Clone, Debug)]
pub(super) struct Spool {
    root: Arc<Path>,
}

/// What was found under a name.
#[derive(Debug)]
pub(super) enum Loaded {
    Message(Box<Message>),
    /// It went elsewhere meanwhile.
    Gone,
    Damaged(String),
}

impl Spool {
    pub(super) fn open(root: PathBuf) -> Result<Self> {
        let spool = Self { root: root.into() };
        for folder in State::ALL.map(State::folder).into_iter().chain([TMP, DAMAGED]) {
            let path = spool.root.join(folder);
            make_private(&path).map_err(|error| failed("make folder", &path, error))?;
        }
        Ok(spool)
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn path(&self, state: State, id: &OutboxId) -> PathBuf {
        self.root.join(state.folder()).join(id.as_str())
    }

    /// The lock of the worker. It ends with the process, whatever ends that.
    pub(super) fn lock_worker(&self) -> Result<File> {
        let (file, path) = self.lock_file(WORKER_LOCK)?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(fs::TryLockError::WouldBlock) => {
                let detail = format!("another worker sends from {}", self.root.display());
                Err(Error::new(ErrorKind::Busy, "drain", detail)
                    .with_hint("let that one do it, or end it first"))
            }
            Err(fs::TryLockError::Error(error)) => Err(failed("lock", &path, error)),
        }
    }

    pub(super) fn lock_writers(&self) -> Result<File> {
        let (file, path) = self.lock_file(WRITERS_LOCK)?;
        file.lock().map_err(|error| failed("lock", &path, error))?;
        Ok(file)
    }

    fn lock_file(&self, name: &str) -> Result<(File, PathBuf)> {
        let path = self.root.join(name);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path);
        Ok((file.map_err(|error| failed("lock", &path, error))?, path))
    }

    /// Every name in the folder of a state, whatever it is.
    pub(super) fn names(&self, state: State) -> Result<Vec<OsString>> {
        self.names_in(state.folder())
    }

    fn names_in(&self, folder: &str) -> Result<Vec<OsString>> {
        let path = self.root.join(folder);
        let list = || -> io::Result<Vec<OsString>> {
            fs::read_dir(&path)?.map(|entry| Ok(entry?.file_name())).collect()
        };
        list().map_err(|error| failed("list folder", &path, error))
    }

    pub(super) fn load(&self, state: State, id: &OutboxId) -> Result<Loaded> {
        let path = self.path(state, id);
        // Not followed: a link could name a pipe, on which opening waits for ever.
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_file() => {}
            Ok(_) => return Ok(Loaded::Damaged("it is no file".into())),
            Err(error) if error.kind() == Io::NotFound => return Ok(Loaded::Gone),
            Err(error) => return Ok(Loaded::Damaged(error.to_string())),
        }
        let read = || Message::read(id.clone(), &mut File::open(&path)?);
        Ok(match read() {
            Ok(message) => Loaded::Message(Box::new(message)),
            Err(Damage::Io(error)) if error.kind() == Io::NotFound => Loaded::Gone,
            Err(Damage::Io(error)) if error.kind() == Io::UnexpectedEof => {
                Loaded::Damaged("it is cut short".into())
            }
            Err(Damage::Io(error)) => Loaded::Damaged(error.to_string()),
            Err(Damage::Content(what)) => Loaded::Damaged(what.into()),
        })
    }

    /// In which state there is a message of this name, if in any.
    pub(super) fn find(&self, id: &OutboxId) -> Option<State> {
        State::ALL
            .into_iter()
            .find(|state| self.path(*state, id).symlink_metadata().is_ok())
    }

    /// A file for a message that is being added; gone again when it is dropped.
    pub(super) fn temporary(&self) -> Result<NamedTempFile> {
        let path = self.root.join(TMP);
        NamedTempFile::new_in(&path).map_err(|error| failed("create file", &path, error))
    }

    /// Gives a complete file its name in the queue. `false` where there is one of that name.
    pub(super) fn enqueue(&self, file: NamedTempFile, id: &OutboxId) -> Result<Result<(), NamedTempFile>> {
        let path = self.path(State::Queued, id);
        file.as_file()
            .sync_all()
            .map_err(|error| failed("write file", &path, error))?;
        match file.persist_noclobber(&path) {
            Ok(_) => {
                self.sync(State::Queued.folder())?;
                Ok(Ok(()))
            }
            Err(error) if error.error.kind() == Io::AlreadyExists => Ok(Err(error.file)),
            Err(error) => Err(failed("create file", &path, error.error)),
        }
    }

    pub(super) fn append(&self, state: State, id: &OutboxId, record: &Record) -> Result<()> {
        let path = self.path(state, id);
        OpenOptions::new()
            .append(true)
            .open(&path)
            .and_then(|mut file| file::append(&mut file, record))
            .map_err(|error| failed("write file", &path, error))
    }

    /// Changes the state of a message. `false` when it is not there any more.
    pub(super) fn shift(&self, id: &OutboxId, from: State, to: State) -> Result<bool> {
        let (old, new) = (self.path(from, id), self.path(to, id));
        // A message that moves back could be missed by a writer who looks for it in one state after the other.
        let _writers = match to {
            State::Queued => Some(self.lock_writers()?),
            _ => None,
        };
        match fs::rename(&old, &new) {
            Ok(()) => {}
            Err(error) if error.kind() == Io::NotFound => return Ok(false),
            Err(error) => return Err(failed("move file", &old, error)),
        }
        // The new place first: a crash between may show the message twice, never not at all.
        self.sync(to.folder())?;
        self.sync(from.folder())?;
        Ok(true)
    }

    /// Replaces a sent message by a record of it without its bytes.
    pub(super) fn slim(&self, message: &Message, record: &Record) -> Result<()> {
        let path = self.path(State::Sent, &message.id);
        let mut temporary = self.temporary()?;
        let write = |file: &mut File| -> io::Result<()> {
            io::Write::write_all(file, &file::opening(&message.head, 0)?)?;
            file::append(file, record)
        };
        write(temporary.as_file_mut()).map_err(|error| failed("write file", &path, error))?;
        temporary
            .persist(&path)
            .map_err(|error| failed("write file", &path, error.error))?;
        self.sync(State::Sent.folder())
    }

    /// Moves a file that is no message out of the worker's way.
    pub(super) fn set_aside(&self, state: State, name: &OsStr, damage: &str) -> Result<Option<Damaged>> {
        let old = self.root.join(state.folder()).join(name);
        let name = name.to_string_lossy();
        let free = (1_u32..)
            .map(|number| match number {
                1 => name.to_string(),
                number => format!("{name}.{number}"),
            })
            .find(|name| self.root.join(DAMAGED).join(name).symlink_metadata().is_err())
            .unwrap_or_default();
        let new = self.root.join(DAMAGED).join(&free);
        match fs::rename(&old, &new) {
            Ok(()) => {}
            Err(error) if error.kind() == Io::NotFound => return Ok(None),
            Err(error) => return Err(failed("move file", &old, error)),
        }
        // Only for people; the move is what counts.
        let reason = self.root.join(DAMAGED).join(format!("{free}.{REASON}"));
        drop(fs::write(reason, format!("from {}: {damage}\n", state.folder())));
        self.sync(DAMAGED)?;
        Ok(Some(Damaged {
            name: free,
            damage: damage.to_owned(),
        }))
    }

    pub(super) fn damaged(&self) -> Result<Vec<Damaged>> {
        let names = self.names_in(DAMAGED)?;
        let mut names: Vec<String> = names
            .iter()
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        names.sort();
        let is_reason = |name: &String| name.ends_with(&format!(".{REASON}"));
        let found = names.iter().filter(|name| !is_reason(name));
        let damage = |name: &String| {
            let reason = self.root.join(DAMAGED).join(format!("{name}.{REASON}"));
            fs::read_to_string(reason).map_or_else(|_| String::new(), |text| text.trim_end().to_owned())
        };
        Ok(found
            .map(|name| Damaged {
                name: name.clone(),
                damage: damage(name),
            })
            .collect())
    }

    /// Removes what was given up while being added, and records of what was sent long ago.
    pub(super) fn tidy(&self, keep_sent: Duration) -> Result<()> {
        for (folder, age) in [(TMP, ABANDONED), (State::Sent.folder(), keep_sent)] {
            let Some(before) = SystemTime::now().checked_sub(age) else {
                continue;
            };
            for name in self.names_in(folder)? {
                let path = self.root.join(folder).join(name);
                let modified = path.symlink_metadata().and_then(|metadata| metadata.modified());
                if modified.is_ok_and(|modified| modified < before) {
                    // Tried again the next time; nothing hangs on it.
                    drop(fs::remove_file(path));
                }
            }
        }
        Ok(())
    }

    /// Sorts out what was being sent when the last worker died. To be called by the worker alone. Returns the
    /// messages whose outcome is unknown, and what was set aside.
    pub(super) fn recover(&self) -> Result<(Vec<Message>, Vec<Damaged>)> {
        let (mut unknown, mut damaged) = (Vec::new(), Vec::new());
        for name in self.names(State::Sending)? {
            let loaded = match name.to_str().and_then(|name| name.parse::<OutboxId>().ok()) {
                Some(id) => self.load(State::Sending, &id)?,
                None => Loaded::Damaged("its name is not that of a message".into()),
            };
            let mut message = match loaded {
                Loaded::Message(message) => *message,
                Loaded::Gone => continue,
                Loaded::Damaged(damage) => {
                    damaged.extend(self.set_aside(State::Sending, &name, &damage)?);
                    continue;
                }
            };
            let to = match &message.history.last {
                // The outcome was written down; only the move is missing.
                Some(Record::Tried(tried)) if tried.next.is_some() => State::Queued,
                Some(Record::Tried(_)) => State::Dead,
                Some(Record::Unknown { .. }) => State::Unknown,
                _ => {
                    let record = Record::Unknown { at: Timestamp::now() };
                    self.append(State::Sending, &message.id, &record)?;
                    message.history.note(record);
                    State::Unknown
                }
            };
            self.shift(&message.id, State::Sending, to)?;
            if to == State::Unknown {
                unknown.push(message);
            }
        }
        Ok((unknown, damaged))
    }

    /// Makes the names in a folder last through a power failure.
    fn sync(&self, folder: &str) -> Result<()> {
        let path = self.root.join(folder);
        // Elsewhere a folder can't be opened as a file, and its changes are journalled.
        if cfg!(unix) {
            File::open(&path)
                .and_then(|folder| folder.sync_all())
                .map_err(|error| failed("write folder", &path, error))?;
        }
        Ok(())
    }
}

/// Runs what blocks where it may.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        Error::new(
            ErrorKind::Internal,
            "outbox",
            "a task that works on the disk was lost",
        )
        .with_source(error)
    })?
}

fn make_private(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

pub(super) fn failed(operation: &'static str, path: &Path, error: io::Error) -> Error {
    let detail = format!("{}: {error}", path.display());
    Error::new(ErrorKind::LocalIo, operation, detail).with_source(error)
}
