//! [`Failure`]: why a command did not finish, and the exit code that says so.

use std::error::Error as _;
use std::io;

use exomail::{Error, ErrorKind};

/// The result of every command.
pub(crate) type Done<T = ()> = Result<T, Failure>;

#[derive(Debug)]
pub(crate) enum Failure {
    /// Something of the library, printed with all it knows.
    Error(Error),
    /// Part of the work was done; the command has printed which.
    Partial,
    /// The demo found something that is not as it must be.
    Mismatch(String),
    /// The command has printed what it found, and this exit code says how bad it is.
    Findings(u8),
    /// Whoever read our output went away: `exomail list | head -1`. Nothing to tell, and nobody to tell it to.
    BrokenPipe,
}

impl Failure {
    /// Documented in `exomail --help` and the README.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Failure::Error(error) => match error.code() / 100 {
                1 => 3,
                2 => 4,
                3 => 5,
                4 => 6,
                5 => 7,
                6 => 8,
                _ => 9,
            },
            Failure::Partial => 10,
            Failure::Mismatch(_) => 1,
            Failure::Findings(code) => *code,
            // What a shell shows for a program that SIGPIPE ended (128 + 13).
            Failure::BrokenPipe => 141,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let mut source = error.source();
        while let Some(cause) = source {
            let broken = cause
                .downcast_ref::<io::Error>()
                .is_some_and(|cause| cause.kind() == io::ErrorKind::BrokenPipe);
            // A server's connection may break too: that is not LocalIo.
            if broken && error.kind() == ErrorKind::LocalIo {
                return Failure::BrokenPipe;
            }
            source = cause.source();
        }
        Failure::Error(error)
    }
}

/// A local file could not be read or written.
pub(crate) fn file_error(operation: &'static str, path: &std::path::Path, error: io::Error) -> Error {
    Error::new(
        ErrorKind::LocalIo,
        operation,
        format!("{}: {error}", path.display()),
    )
    .with_source(error)
}

/// An argument that only turns out wrong after the command line was read.
pub(crate) fn bad_argument(operation: &'static str, detail: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidArgument, operation, detail.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_an_exit_code_by_its_hundreds() {
        let code = |kind: ErrorKind| Failure::from(Error::new(kind, "x", "y")).exit_code();
        assert_eq!(code(ErrorKind::InvalidConfig), 3);
        assert_eq!(code(ErrorKind::CredentialExpired), 4);
        assert_eq!(code(ErrorKind::Tls), 5);
        assert_eq!(code(ErrorKind::MailboxUnavailable), 6);
        assert_eq!(code(ErrorKind::OutcomeUnknown), 7);
        assert_eq!(code(ErrorKind::TimedOut), 8);
        assert_eq!(code(ErrorKind::Internal), 9);
        assert!(ErrorKind::ALL.iter().all(|kind| (3..=9).contains(&code(*kind))));
    }

    #[test]
    fn only_our_own_output_breaks_silently() {
        let broken = || io::Error::from(io::ErrorKind::BrokenPipe);
        let local = Error::new(ErrorKind::LocalIo, "FETCH", "sink").with_source(broken());
        assert!(matches!(Failure::from(local), Failure::BrokenPipe));
        let remote = Error::new(ErrorKind::ConnectionLost, "FETCH", "reset").with_source(broken());
        assert_eq!(Failure::from(remote).exit_code(), 5);
    }
}
