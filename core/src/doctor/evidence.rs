//! [`Evidence`]: what the probes saw. Findings follow from it alone, so a recorded one gives the same findings again.

use serde::{Deserialize, Serialize};

use super::table::find;
use super::token::cause_of;
use crate::error::{Error, ErrorKind, Layer, OAuthReply, Retry, ServerReply, Step};
use crate::token::Claims;

/// A mail protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// IMAP.
    Imap,
    /// POP3.
    Pop3,
    /// SMTP submission.
    Smtp,
}

impl Protocol {
    /// All three.
    pub const ALL: [Protocol; 3] = [Protocol::Imap, Protocol::Pop3, Protocol::Smtp];

    /// `IMAP`, `POP3` or `SMTP`.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Imap => "IMAP",
            Protocol::Pop3 => "POP3",
            Protocol::Smtp => "SMTP",
        }
    }

    /// The protocol's layer in errors.
    pub fn layer(self) -> Layer {
        match self {
            Protocol::Imap => Layer::Imap,
            Protocol::Pop3 => Layer::Pop3,
            Protocol::Smtp => Layer::Smtp,
        }
    }

    /// The application permission that it needs, and its id, which is the same in every tenant.
    pub(super) fn role(self) -> (&'static str, &'static str) {
        match self {
            Protocol::Imap => ("IMAP.AccessAsApp", "5e5addcd-3e8d-4e90-baf5-964efab2b20a"),
            Protocol::Pop3 => ("POP.AccessAsApp", "cb842b43-da6e-4506-86fe-bb12199c656d"),
            Protocol::Smtp => ("SMTP.SendAsApp", "7146a1f0-8703-45b3-9eae-527a64c00995"),
        }
    }
}

/// What a probe saw.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome<T> {
    /// It went through.
    Passed(T),
    /// It was refused or broke.
    Failed(Box<Failure>),
    /// It was not asked for, or something before it failed.
    #[default]
    Skipped,
}

impl<T> Outcome<T> {
    pub(super) fn of(result: Result<T, Error>) -> Self {
        match result {
            Ok(value) => Outcome::Passed(value),
            Err(error) => Outcome::Failed(Box::new(Failure::of(&error))),
        }
    }

    pub(super) fn passed(&self) -> Option<&T> {
        match self {
            Outcome::Passed(value) => Some(value),
            Outcome::Failed(_) | Outcome::Skipped => None,
        }
    }

    pub(super) fn failure(&self) -> Option<&Failure> {
        match self {
            Outcome::Failed(failure) => Some(failure),
            Outcome::Passed(_) | Outcome::Skipped => None,
        }
    }
}

/// An [`Error`] in the form that can be recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The kind.
    pub kind: ErrorKind,
    /// Where.
    pub layer: Layer,
    /// While doing what.
    pub operation: String,
    /// What went wrong.
    pub detail: String,
    /// What to do.
    pub hint: Option<String>,
    /// The step of the set-up.
    pub step: Option<Step>,
    /// Whether trying again can help.
    pub retry: Retry,
    /// The mail server's words.
    pub server: Option<ServerReply>,
    /// The token endpoint's answer.
    pub oauth: Option<OAuthReply>,
}

impl Failure {
    pub(super) fn of(error: &Error) -> Self {
        Self {
            kind: error.kind(),
            layer: error.layer(),
            operation: error.operation().to_owned(),
            detail: error.detail().to_owned(),
            hint: error.hint().map(str::to_owned),
            step: error.step(),
            retry: error.retry(),
            server: error.server().cloned(),
            oauth: error.oauth().cloned(),
        }
    }

    /// The row of the table that its words find.
    pub(super) fn cause(&self) -> Option<&'static str> {
        if let Some(reply) = &self.oauth {
            return cause_of(reply).map(|cause| cause.id);
        }
        let row = match &self.server {
            Some(reply) => find(self.layer, reply),
            None => find(self.layer, &ServerReply::text(self.detail.clone())),
        };
        row.map(|row| row.id)
    }

    /// Whether no server was reached at all.
    pub(super) fn is_network(&self) -> bool {
        matches!(self.layer, Layer::Network | Layer::Tls)
    }

    /// What was said, by whoever said it.
    pub(super) fn words(&self) -> String {
        if let Some(reply) = &self.oauth {
            return format!("{}: {}", reply.error, reply.description.replace("\r\n", " "));
        }
        let Some(reply) = &self.server else {
            return self.detail.clone();
        };
        let mut words = String::new();
        if let Some(code) = reply.code {
            words += &format!("{code} ");
        }
        // Some texts begin with it, as it stands on the wire.
        if let Some(enhanced) = reply
            .enhanced
            .as_deref()
            .filter(|code| !reply.text.starts_with(code))
        {
            words += &format!("{enhanced} ");
        }
        words += &reply.text.replace('\n', " / ");
        if let Some(challenge) = &reply.challenge {
            words += &format!(" ({challenge})");
        }
        words
    }
}

/// How the app proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialKind {
    /// A client secret.
    Secret,
    /// A certificate.
    Certificate,
}

/// What the app was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    /// Tenant, as given.
    pub tenant: String,
    /// Client id.
    pub client_id: String,
    /// The cloud's name.
    pub cloud: String,
    /// What tokens are asked for.
    pub scope: String,
    /// The credential's kind.
    pub credential: CredentialKind,
    /// The protocols that were to be tried.
    pub protocols: Vec<Protocol>,
}

/// What the tenant says of itself without any sign-in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discovery {
    /// The tenant's id.
    pub tenant_id: Option<String>,
    /// `cloud_instance_name`, such as `microsoftonline.us`.
    pub cloud_instance: Option<String>,
    /// `tenant_region_sub_scope`, such as `GCC`, `DODCON` or `DOD`.
    pub region_sub_scope: Option<String>,
    /// This machine's clock less the server's, in seconds.
    pub clock_offset: Option<i64>,
}

/// What is known of the token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenFacts {
    /// Characters.
    pub length: usize,
    /// Seconds that it is still valid.
    pub remaining: u64,
    /// What it says; `None` where it can't be read.
    pub claims: Option<Claims>,
}

/// One server: its name, its port, TLS where that comes first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// The protocol.
    pub protocol: Protocol,
    /// The host's name.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether it was reached.
    pub connect: Outcome<()>,
}

/// What one mailbox looked like.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxEvidence {
    /// Its address.
    pub address: String,
    /// IMAP: the messages in INBOX, from EXAMINE.
    pub imap: Outcome<u32>,
    /// POP3: the messages, from STAT.
    pub pop3: Outcome<u32>,
    /// SMTP: signed in; nothing was sent.
    pub smtp: Outcome<()>,
    /// A mail to itself.
    pub round_trip: Outcome<RoundTrip>,
}

/// What became of the mail that a mailbox sent to itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoundTrip {
    /// Its Message-ID.
    pub message_id: String,
    /// Whether it was found in INBOX.
    pub arrived: bool,
    /// Seconds until then, or until waiting ended.
    pub seconds: u64,
    /// How many copies were deleted again.
    pub deleted: u32,
    /// Why looking for it or deleting it failed.
    pub trouble: Option<Box<Failure>>,
}

/// What all probes saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// What the app was told; `None` where the configuration did not even make an app.
    pub setup: Option<Setup>,
    /// Why no app could be made.
    pub configuration: Option<Box<Failure>>,
    /// The tenant, without any sign-in.
    pub discovery: Outcome<Discovery>,
    /// The cloud in which the tenant was found instead.
    pub elsewhere: Option<String>,
    /// The token.
    pub token: Outcome<TokenFacts>,
    /// The mail servers.
    pub servers: Vec<Server>,
    /// The mailboxes, in the order asked for.
    pub mailboxes: Vec<MailboxEvidence>,
}
