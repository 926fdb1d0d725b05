//! [`Finding`]: one thing that was found, and what to do about it.

use serde::Serialize;

use super::explain::Confidence;
use super::link::link;
use crate::error::{Layer, Step};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Info,
    /// Works today, or could not be proven.
    Warning,
    /// Does not work.
    Error,
}

impl Severity {
    /// One lower-case word, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Ok => "ok",
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// Its name, stable: a row of the table of causes, or a cause that only shows from several answers together.
    pub id: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Where.
    pub layer: Layer,
    /// The step of the set-up that is missing or wrong.
    pub step: Option<Step>,
    /// The mailboxes it is about; empty where it is about the app or the network.
    pub mailboxes: Vec<String>,
    /// The cause in one sentence.
    pub cause: String,
    /// What it was told from: the servers' own words, claims, counts.
    pub evidence: Vec<String>,
    /// How sure it is.
    pub confidence: Confidence,
    /// What to do.
    pub remedy: Option<String>,
    /// What to run, with the real ids, in this order.
    pub commands: Vec<String>,
    /// Microsoft's page on it.
    pub link: Option<&'static str>,
    /// How long a change takes until it works: what was just put right may be refused until then.
    pub propagation: Option<&'static str>,
    /// Place in the order of decision: what is asked first explains what fails later.
    #[serde(skip)]
    pub(super) rank: u8,
}

impl Finding {
    pub(super) fn new(id: &'static str, severity: Severity, layer: Layer, cause: impl Into<String>) -> Self {
        Self {
            id,
            severity,
            layer,
            step: None,
            mailboxes: Vec::new(),
            cause: cause.into(),
            evidence: Vec::new(),
            confidence: Confidence::Certain,
            remedy: None,
            commands: Vec::new(),
            link: None,
            propagation: None,
            rank: 0,
        }
    }

    pub(super) fn ok(id: &'static str, layer: Layer, cause: impl Into<String>) -> Self {
        Self::new(id, Severity::Ok, layer, cause)
    }

    pub(super) fn error(id: &'static str, layer: Layer, cause: impl Into<String>) -> Self {
        Self::new(id, Severity::Error, layer, cause)
    }

    pub(super) fn warning(id: &'static str, layer: Layer, cause: impl Into<String>) -> Self {
        Self::new(id, Severity::Warning, layer, cause)
    }

    /// Sets the step, and the page and the waiting time that belong to it.
    pub(super) fn step(mut self, step: Option<Step>) -> Self {
        self.step = step;
        self.link = link(self.layer, step);
        self.propagation = match step {
            Some(Step::RegisterServicePrincipal | Step::GrantMailboxAccess) => Some("minutes, up to an hour"),
            Some(Step::GrantPermissions) => Some("minutes; only a new token has it"),
            Some(Step::TenantSetting) if self.layer != Layer::Token => Some("minutes, up to an hour"),
            _ => None,
        };
        self
    }

    pub(super) fn sure(mut self, confidence: Confidence) -> Self {
        self.confidence = confidence;
        self
    }

    pub(super) fn mailbox(mut self, address: &str) -> Self {
        self.mailboxes.push(address.to_owned());
        self
    }

    pub(super) fn seen(mut self, evidence: impl IntoIterator<Item = String>) -> Self {
        self.evidence.extend(evidence);
        self
    }

    pub(super) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    pub(super) fn run(mut self, commands: impl IntoIterator<Item = String>) -> Self {
        self.commands.extend(commands);
        self
    }
}
