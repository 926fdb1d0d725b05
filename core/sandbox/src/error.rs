//! What can go wrong when a sandbox is started or administered.

use std::io;

use crate::state::StateError;

/// Why the sandbox could not be started, or did not do what the administrator asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// No port could be opened on 127.0.0.1, or the file with the certificate authority could not be written.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// The certificate authority or the server's certificate could not be made.
    #[error("cannot make the sandbox's certificates: {0}")]
    Certificate(String),
    /// The key that signs tokens could not be made, or a token could not be signed with it.
    #[error("cannot sign a token: {0}")]
    Signing(String),
    /// The state does not hold what was asked for.
    #[error(transparent)]
    State(#[from] StateError),
}
