//! Dovecot: IMAP, POP3, and for Postfix LMTP and the check of tokens.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::certificate::Certificate;
use crate::error::{Doing, ServersError};
use crate::folder::{Folder, fill, give};
use crate::process::{Group, Process, free_ports};
use crate::{Trust, require};

const PROGRAM: &str = "/usr/sbin/dovecot";
/// One of each package.
const PARTS: [&str; 4] = [
    PROGRAM,
    "/usr/lib/dovecot/imap-login",
    "/usr/lib/dovecot/pop3-login",
    "/usr/lib/dovecot/lmtp",
];
const LOG: &str = "dovecot.log";
const OUTPUT: &str = "dovecot.out";
/// The owner of the mail files, as in the template.
const MAIL_ID: u32 = 5000;

#[derive(Debug)]
pub(crate) struct Dovecot {
    pub(crate) imap: u16,
    pub(crate) imap_tls: u16,
    pub(crate) pop3: u16,
    pub(crate) pop3_tls: u16,
    _process: Process,
}

impl Dovecot {
    /// Looks whether the packages are there.
    pub(crate) fn check() -> Result<(), ServersError> {
        require(&PARTS)?;
        let output = Command::new(PROGRAM)
            .arg("--version")
            .output()
            .doing(|| PROGRAM.to_owned())?;
        let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if version.starts_with("2.3.") {
            Ok(())
        } else {
            Err(ServersError::Version { version })
        }
    }

    pub(crate) fn start(
        folder: &Folder,
        certificate: &Certificate,
        trust: &Trust,
    ) -> Result<Self, ServersError> {
        folder.make("run")?;
        folder.make("state")?;
        give(&folder.make("mail")?, MAIL_ID, Some(MAIL_ID), 0o700)?;
        // Tokens of Entra for Exchange are of version 1.0 and have no azp, which Dovecot calls "default".
        let keys = folder.make("keys/default/RS256")?;
        for (kid, pem) in &trust.keys {
            std::fs::write(keys.join(kid), pem).doing(|| format!("the key {kid}"))?;
        }
        let dir = folder.path().display().to_string();
        let oauth2 = [
            ("dir", dir.as_str()),
            ("issuer", &trust.issuer),
            ("audience", &trust.audience),
        ];
        folder.write(
            "oauth2.conf",
            &fill(include_str!("../templates/oauth2.conf"), &oauth2),
        )?;

        let ports @ [imap, imap_tls, pop3, pop3_tls] = free_ports()?;
        let text = ports.map(|port| port.to_string());
        let config = folder.write(
            "dovecot.conf",
            &fill(
                include_str!("../templates/dovecot.conf"),
                &[
                    ("dir", &dir),
                    ("certificate", &certificate.certificate.display().to_string()),
                    ("key", &certificate.key.display().to_string()),
                    ("imap", &text[0]),
                    ("imap_tls", &text[1]),
                    ("pop3", &text[2]),
                    ("pop3_tls", &text[3]),
                ],
            ),
        )?;
        let process = Process::start(
            "Dovecot",
            Group::New,
            PROGRAM,
            &[Path::new("-F"), Path::new("-c"), &config],
            &folder.path().join(OUTPUT),
            &ports,
            || Self::log(folder),
        )?;
        Ok(Self {
            imap,
            imap_tls,
            pop3,
            pop3_tls,
            _process: process,
        })
    }

    /// Where Postfix hands mail over.
    pub(crate) fn lmtp_socket(folder: &Folder) -> PathBuf {
        folder.path().join("run/lmtp")
    }

    /// Where Postfix has sign-ins checked.
    pub(crate) fn auth_socket(folder: &Folder) -> PathBuf {
        folder.path().join("run/auth-smtp")
    }

    pub(crate) fn log(folder: &Folder) -> String {
        folder.tail(OUTPUT) + &folder.tail(LOG)
    }
}
