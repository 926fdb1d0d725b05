//! [`Report`]: all findings, what to do first, and the bundle that support can replay.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::evidence::{Evidence, Failure, Outcome};
use super::finding::{Finding, Severity};
use super::infer::infer;
use crate::error::{Error, ErrorKind, Result};
use crate::net::Transcript;

/// The bundle's form; another one can't be replayed.
const FORMAT: u32 = 1;

/// What [`App::doctor`](crate::App::doctor) found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    evidence: Evidence,
    findings: Vec<Finding>,
    unproven: Vec<String>,
}

/// What is read of a bundle; the rest is for people.
#[derive(Deserialize)]
struct Bundle {
    format: u32,
    evidence: Evidence,
}

impl Report {
    /// The report that follows from what the probes saw. Nothing is sent.
    pub fn of(evidence: Evidence) -> Self {
        let (findings, unproven) = infer(&evidence);
        Self {
            evidence,
            findings,
            unproven,
        }
    }

    /// The report on a configuration that makes no [`App`](crate::App), such as one with a Secret ID for a secret.
    pub fn of_configuration(error: &Error) -> Self {
        Self::of(Evidence {
            setup: None,
            configuration: Some(Box::new(Failure::of(error))),
            discovery: Outcome::Skipped,
            elsewhere: None,
            token: Outcome::Skipped,
            servers: Vec::new(),
            mailboxes: Vec::new(),
        })
    }

    /// Everything found, the worst first, and among equals in the order of the walk-through.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The first thing to do; `None` where nothing is to be done.
    pub fn first(&self) -> Option<&Finding> {
        self.findings
            .first()
            .filter(|finding| finding.severity >= Severity::Warning)
    }

    /// The worst severity of all findings.
    pub fn worst(&self) -> Severity {
        self.findings
            .iter()
            .map(|finding| finding.severity)
            .max()
            .unwrap_or(Severity::Ok)
    }

    /// What this run did not prove, one sentence each.
    pub fn unproven(&self) -> &[String] {
        &self.unproven
    }

    /// What the probes saw.
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// The report as JSON: `worst`, `first` (or null), `findings`, `unproven`.
    pub fn to_json(&self) -> Value {
        json!({
            "worst": self.worst(),
            "first": self.first(),
            "findings": self.findings,
            "unproven": self.unproven,
        })
    }

    /// Everything that support needs in one document: this report, what it follows from, the conversations and the
    /// versions. Tokens, secrets and mail are not in it; addresses, ids and the servers' words are.
    pub fn bundle(&self, transcript: &Transcript) -> Value {
        json!({
            "format": FORMAT,
            "exomail": env!("CARGO_PKG_VERSION"),
            "system": { "os": std::env::consts::OS, "architecture": std::env::consts::ARCH },
            "created": jiff::Timestamp::now(),
            "report": self.to_json(),
            "evidence": self.evidence,
            "transcript": transcript.lines(),
            "transcript_dropped": transcript.dropped(),
        })
    }

    /// The same report again from a [`bundle`](Self::bundle), by this version's table. Nothing is sent.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when it is no bundle, or of another form.
    pub fn replay(bundle: &[u8]) -> Result<Self> {
        let refuse = |detail: String| Error::new(ErrorKind::InvalidArgument, "replay", detail);
        let bundle: Bundle =
            serde_json::from_slice(bundle).map_err(|error| refuse(format!("this is no bundle: {error}")))?;
        if bundle.format != FORMAT {
            return Err(
                refuse(format!("the bundle has the form {}, not {FORMAT}", bundle.format))
                    .with_hint("read it with the version of exomail that it names"),
            );
        }
        Ok(Self::of(bundle.evidence))
    }
}

impl Serialize for Report {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}
