//! What can go wrong while the servers start.

use std::io;
use std::path::PathBuf;

/// Why the servers did not start. A test shows it and fails; nothing is skipped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServersError {
    /// Postfix binds its daemons to users of the system and Dovecot opens mailboxes as another user.
    #[error("the test servers must be started as root")]
    NotRoot,
    /// A program is not there.
    #[error("{path} is missing; run: apt-get install dovecot-imapd dovecot-pop3d dovecot-lmtpd postfix")]
    Missing {
        /// The file that is not there.
        path: PathBuf,
    },
    /// The configuration is for Dovecot 2.3; 2.4 changed its grammar.
    #[error("Dovecot 2.3 is needed, this is {version:?}")]
    Version {
        /// What `dovecot --version` printed.
        version: String,
    },
    /// A user or group that the package makes is not there.
    #[error("{file} has no {name}; reinstall the package postfix")]
    NoSuchId {
        /// `/etc/passwd` or `/etc/group`.
        file: &'static str,
        /// The name that is not there.
        name: &'static str,
    },
    /// The servers' own users can't reach the temporary folder.
    #[error("{path} can't be entered by other users; set TMPDIR to a folder that can, such as /tmp")]
    Unreachable {
        /// The folder that is closed.
        path: PathBuf,
    },
    /// A file or a process of this machine.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The certificate could not be made.
    #[error("certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// A server ended, or did not take connections in time.
    #[error("{name} did not start: {reason}\n{log}")]
    NotReady {
        /// The server.
        name: &'static str,
        /// What was seen.
        reason: String,
        /// What it wrote.
        log: String,
    },
}

/// Adds what was being done to an I/O error.
pub(crate) trait Doing<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, ServersError>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, ServersError> {
        self.map_err(|source| ServersError::Io { what: what(), source })
    }
}
