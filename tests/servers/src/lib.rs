//! Dovecot and Postfix as throw-away instances on loopback: the servers that nobody here wrote, against which the
//! whole client is tested.
//!
//! Mail goes in by SMTP submission to Postfix, from there by LMTP to Dovecot, and is read by IMAP and POP3. Every
//! sign-in is by a token that Dovecot checks itself: signature, expiry, issuer, audience.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that fails should panic"))]

mod certificate;
mod dovecot;
mod error;
mod folder;
mod postfix;
mod process;

use std::path::Path;

use certificate::Certificate;
use dovecot::Dovecot;
pub use error::ServersError;
use folder::Folder;
use postfix::Postfix;

/// The name to connect to; the certificate bears it.
pub const HOST: &str = "localhost";

/// Which tokens the servers take.
#[derive(Clone, Debug)]
pub struct Trust {
    /// The `iss` claim.
    pub issuer: String,
    /// The `aud` claim.
    pub audience: String,
    /// Public keys: `kid` and PEM.
    pub keys: Vec<(String, String)>,
}

/// What to start.
#[derive(Clone, Debug)]
pub struct Builder {
    trust: Trust,
    mailboxes: Vec<String>,
    line_length_limit: u32,
}

impl Builder {
    /// Adds a recipient that Postfix knows. All are of one domain.
    #[must_use]
    pub fn mailbox(mut self, address: impl Into<String>) -> Self {
        self.mailboxes.push(address.into());
        self
    }

    /// Postfix's `line_length_limit`; 16384 unless set, where Postfix's own default is 2048.
    #[must_use]
    pub fn line_length_limit(mut self, limit: u32) -> Self {
        self.line_length_limit = limit;
        self
    }

    /// Starts both servers and returns once they take connections: some 50 ms.
    ///
    /// # Errors
    /// What is missing, or what a server said when it did not start.
    pub fn start(&self) -> Result<Servers, ServersError> {
        if !rustix::process::geteuid().is_root() {
            return Err(ServersError::NotRoot);
        }
        Dovecot::check()?;
        Postfix::check()?;
        // A free port can be gone before the server binds it, so once more with others.
        self.attempt().or_else(|error| match error {
            ServersError::NotReady { .. } => self.attempt(),
            other => Err(other),
        })
    }

    fn attempt(&self) -> Result<Servers, ServersError> {
        let folder = Folder::new()?;
        let certificate = Certificate::new(&folder)?;
        let dovecot = Dovecot::start(&folder, &certificate, &self.trust)?;
        let postfix = Postfix::start(&folder, &certificate, &self.mailboxes, self.line_length_limit)?;
        Ok(Servers {
            postfix,
            dovecot,
            ca_pem: certificate.ca_pem,
            folder,
        })
    }
}

/// The running servers. Dropping it ends them and removes their files.
#[derive(Debug)]
pub struct Servers {
    // Dropped in this order: the one that needs the other first, their files last.
    postfix: Postfix,
    dovecot: Dovecot,
    ca_pem: String,
    folder: Folder,
}

impl Servers {
    /// Servers that take the tokens of `trust`.
    pub fn builder(trust: Trust) -> Builder {
        Builder {
            trust,
            mailboxes: Vec::new(),
            line_length_limit: 16_384,
        }
    }

    /// The authority that signed the servers' certificate.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// IMAP with STARTTLS.
    pub fn imap(&self) -> u16 {
        self.dovecot.imap
    }

    /// IMAP with TLS from the first byte.
    pub fn imap_tls(&self) -> u16 {
        self.dovecot.imap_tls
    }

    /// POP3 with STLS.
    pub fn pop3(&self) -> u16 {
        self.dovecot.pop3
    }

    /// POP3 with TLS from the first byte.
    pub fn pop3_tls(&self) -> u16 {
        self.dovecot.pop3_tls
    }

    /// Submission with STARTTLS.
    pub fn smtp(&self) -> u16 {
        self.postfix.smtp
    }

    /// Submission with TLS from the first byte.
    pub fn smtp_tls(&self) -> u16 {
        self.postfix.smtp_tls
    }

    /// The folder of all their files, gone after drop.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The end of what the servers wrote, for a test that fails.
    pub fn log(&self) -> String {
        Dovecot::log(&self.folder) + &Postfix::log(&self.folder)
    }
}

/// All files must be there.
fn require(paths: &[&str]) -> Result<(), ServersError> {
    match paths.iter().find(|path| !Path::new(path).exists()) {
        Some(path) => Err(ServersError::Missing { path: path.into() }),
        None => Ok(()),
    }
}
