//! Postfix: submission by SMTP, handed to Dovecot by LMTP.

use std::fs;
use std::path::Path;

use crate::certificate::Certificate;
use crate::dovecot::Dovecot;
use crate::error::{Doing, ServersError};
use crate::folder::{Folder, fill, give};
use crate::process::{Group, Process, free_ports};
use crate::require;

/// The daemon itself: `postfix start` first checks for seconds what is new here anyway.
const PROGRAM: &str = "/usr/lib/postfix/sbin/master";
const LOG: &str = "postfix.log";
const OUTPUT: &str = "postfix.out";

/// The queue's folders, with their permissions; those of `postdrop`'s group as Postfix's own table has them.
const QUEUE: [(&str, u32); 11] = [
    ("active", 0o700),
    ("bounce", 0o700),
    ("corrupt", 0o700),
    ("defer", 0o700),
    ("deferred", 0o700),
    ("flush", 0o700),
    ("hold", 0o700),
    ("incoming", 0o700),
    ("private", 0o700),
    ("saved", 0o700),
    ("trace", 0o700),
];

#[derive(Debug)]
pub(crate) struct Postfix {
    pub(crate) smtp: u16,
    pub(crate) smtp_tls: u16,
    _process: Process,
}

impl Postfix {
    /// Looks whether the package is there.
    pub(crate) fn check() -> Result<(), ServersError> {
        require(&[
            PROGRAM,
            "/usr/lib/postfix/sbin/smtpd",
            "/usr/lib/postfix/sbin/lmtp",
        ])
    }

    /// `mailboxes` are the recipients it knows; their domain is the first one's.
    pub(crate) fn start(
        folder: &Folder,
        certificate: &Certificate,
        mailboxes: &[String],
        line_length_limit: u32,
    ) -> Result<Self, ServersError> {
        Self::make_queue(folder)?;
        let domain = mailboxes
            .first()
            .and_then(|address| address.rsplit_once('@'))
            .map_or("localhost.example", |(_, domain)| domain);
        let table: Vec<_> = mailboxes.iter().map(|address| format!("{address}=ok")).collect();
        let ports @ [smtp, smtp_tls] = free_ports()?;
        let config = folder.make("postfix")?;
        folder.write_settled(
            "postfix/main.cf",
            &fill(
                include_str!("../templates/main.cf"),
                &[
                    ("dir", &folder.path().display().to_string()),
                    ("domain", domain),
                    ("mailboxes", &table.join(", ")),
                    ("line_length_limit", &line_length_limit.to_string()),
                    ("certificate", &certificate.certificate.display().to_string()),
                    ("key", &certificate.key.display().to_string()),
                    ("lmtp", &Dovecot::lmtp_socket(folder).display().to_string()),
                    ("auth", &Dovecot::auth_socket(folder).display().to_string()),
                ],
            ),
        )?;
        folder.write_settled(
            "postfix/master.cf",
            &fill(
                include_str!("../templates/master.cf"),
                &[("smtp", &smtp.to_string()), ("smtp_tls", &smtp_tls.to_string())],
            ),
        )?;
        // A relative path behind -c fails without a word.
        let process = Process::start(
            "Postfix",
            Group::Own,
            PROGRAM,
            &[Path::new("-s"), Path::new("-c"), &config],
            &folder.path().join(OUTPUT),
            &ports,
            || Self::log(folder),
        )?;
        Ok(Self {
            smtp,
            smtp_tls,
            _process: process,
        })
    }

    fn make_queue(folder: &Folder) -> Result<(), ServersError> {
        let uid = id("/etc/passwd", "postfix")?;
        let postdrop = id("/etc/group", "postdrop")?;
        folder.make("spool/pid")?;
        give(&folder.make("data")?, uid, None, 0o700)?;
        for (name, mode) in QUEUE {
            give(&folder.make(&format!("spool/{name}"))?, uid, None, mode)?;
        }
        give(&folder.make("spool/maildrop")?, uid, Some(postdrop), 0o1730)?;
        give(&folder.make("spool/public")?, uid, Some(postdrop), 0o2710)
    }

    pub(crate) fn log(folder: &Folder) -> String {
        folder.tail(OUTPUT) + &folder.tail(LOG)
    }
}

/// The third field of `/etc/passwd` and `/etc/group`: the number of a name.
fn id(file: &'static str, name: &'static str) -> Result<u32, ServersError> {
    let text = fs::read_to_string(file).doing(|| file.to_owned())?;
    text.lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.first() == Some(&name))
        .and_then(|fields| fields.get(2)?.parse().ok())
        .ok_or(ServersError::NoSuchId { file, name })
}
