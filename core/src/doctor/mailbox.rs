//! What the three protocols say of the mailboxes together (facts of each alone are in the tables of texts).

use super::command;
use super::evidence::{Evidence, Failure, MailboxEvidence, Outcome, Protocol, Setup};
use super::explain::Confidence::{Certain, Likely, Possible};
use super::finding::{Finding, Severity};
use super::infer::{POP3_TOKEN, lacks_role, of_failure, said};
use crate::error::{Layer, Step};

/// What one protocol says of one mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Not asked, or not reached.
    Unknown,
    Open,
    /// The general refusal, which each protocol has for many causes.
    Refused,
    /// The general refusal, and the token itself explains it.
    Explained,
    /// The app is known, the mailbox does not open.
    NotConnected,
    /// The protocol's switch.
    Off,
    /// A cause of its own.
    Other,
}

pub(super) struct Mailboxes<'a> {
    evidence: &'a Evidence,
    setup: &'a Setup,
    /// Whether the token is one that Exchange can take at all.
    sound: bool,
    oid: Option<&'a str>,
    long_token: bool,
    pub(super) findings: Vec<Finding>,
}

impl<'a> Mailboxes<'a> {
    pub(super) fn new(evidence: &'a Evidence, setup: &'a Setup, sound: bool) -> Self {
        let facts = evidence.token.passed();
        Self {
            evidence,
            setup,
            sound,
            oid: facts.and_then(|facts| facts.claims.as_ref()?.oid.as_deref()),
            long_token: facts.is_some_and(|facts| facts.length > POP3_TOKEN),
            findings: Vec::new(),
        }
    }

    pub(super) fn run(&mut self) {
        // A sign-in that got past the token proves that Exchange has the service principal under the right Object ID.
        let known = self.evidence.mailboxes.iter().any(|mailbox| {
            let past = |verdict| matches!(verdict, Verdict::Open | Verdict::NotConnected);
            let [imap, pop3, smtp] = Protocol::ALL.map(|protocol| self.verdict(mailbox, protocol));
            past(imap) || imap == Verdict::Off || past(pop3) || past(smtp)
        });
        let mut suspects = Vec::new();
        for mailbox in &self.evidence.mailboxes {
            self.open(mailbox);
            if !self.imap(mailbox, known) | !self.pop3(mailbox, known) | !self.smtp(mailbox, known) {
                suspects.push(mailbox);
            }
            self.round_trip(mailbox);
        }
        if !suspects.is_empty() {
            self.service_principal(&suspects);
        }
    }

    fn add(&mut self, rank: u8, mut finding: Finding) {
        finding.rank = rank;
        self.findings.push(finding);
    }

    fn verdict(&self, mailbox: &MailboxEvidence, protocol: Protocol) -> Verdict {
        let (open, failure) = match protocol {
            Protocol::Imap => (mailbox.imap.passed().is_some(), mailbox.imap.failure()),
            Protocol::Pop3 => (mailbox.pop3.passed().is_some(), mailbox.pop3.failure()),
            Protocol::Smtp => (mailbox.smtp.passed().is_some(), mailbox.smtp.failure()),
        };
        if open {
            return Verdict::Open;
        }
        let Some(failure) = failure else {
            return Verdict::Unknown;
        };
        // The token and the servers have findings of their own.
        if failure.layer == Layer::Token || self.is_down(protocol, failure) {
            return Verdict::Unknown;
        }
        match failure.cause() {
            Some("imap-not-connected" | "imap-not-authorized" | "smtp-mailbox-logon") => {
                Verdict::NotConnected
            }
            Some(
                "imap-disabled"
                | "smtp-auth-off-for-tenant"
                | "smtp-auth-off-for-mailbox"
                | "smtp-auth-off"
                | "smtp-security-defaults",
            ) => Verdict::Off,
            Some("pop3-protocol-error") if self.long_token => Verdict::Explained,
            Some(
                "imap-auth-failed" | "imap-token-refused" | "imap-challenged" | "pop3-auth-failed"
                | "pop3-token-refused" | "smtp-auth-failed" | "smtp-token-refused",
            ) => {
                if self.is_explained(protocol) {
                    Verdict::Explained
                } else {
                    Verdict::Refused
                }
            }
            _ => Verdict::Other,
        }
    }

    fn is_down(&self, protocol: Protocol, failure: &Failure) -> bool {
        failure.is_network()
            && self
                .evidence
                .servers
                .iter()
                .any(|server| server.protocol == protocol && server.connect.failure().is_some())
    }

    /// Whether what the token says of itself is enough for the refusal.
    fn is_explained(&self, protocol: Protocol) -> bool {
        let claims = self
            .evidence
            .token
            .passed()
            .and_then(|facts| facts.claims.as_ref());
        !self.sound
            || claims.is_some_and(|claims| lacks_role(claims, protocol))
            || protocol == Protocol::Pop3 && self.long_token
    }

    fn open(&mut self, mailbox: &MailboxEvidence) {
        let address = &mailbox.address;
        if let Some(messages) = mailbox.imap.passed() {
            let text = format!("IMAP opens {address}: {messages} messages in INBOX");
            self.add(0, Finding::ok("mailbox-open", Layer::Imap, text).mailbox(address));
        }
        if let Some(messages) = mailbox.pop3.passed() {
            let text = format!("POP3 opens {address}: {messages} messages");
            self.add(0, Finding::ok("mailbox-open", Layer::Pop3, text).mailbox(address));
        }
        if mailbox.smtp.passed().is_some() {
            let text = format!("SMTP takes the sign-in as {address}");
            self.add(0, Finding::ok("signed-in", Layer::Smtp, text).mailbox(address));
        }
    }

    /// Each protocol's part gives `false` where only the service principal is left to blame.
    fn imap(&mut self, mailbox: &MailboxEvidence, known: bool) -> bool {
        let address = &mailbox.address;
        let [imap, pop3, smtp] = Protocol::ALL.map(|protocol| self.verdict(mailbox, protocol));
        match imap {
            Verdict::Refused if !known => return false,
            Verdict::Refused => {
                // With another mailbox or by another protocol the same token is taken.
                if pop3 == Verdict::Open || smtp == Verdict::Open {
                    self.refused_alone(mailbox, Protocol::Imap);
                } else {
                    self.refused_here(mailbox);
                }
            }
            Verdict::NotConnected if pop3 == Verdict::Open => self.imap_off(mailbox, Likely),
            Verdict::NotConnected => {
                let certain =
                    mailbox.round_trip.failure().and_then(Failure::cause) == Some("smtp-mailbox-logon");
                self.full_access(mailbox, if certain { Certain } else { Likely });
            }
            Verdict::Off => self.imap_off(mailbox, Certain),
            Verdict::Other => self.other(address, mailbox.imap.failure()),
            Verdict::Unknown | Verdict::Open | Verdict::Explained => {}
        }
        true
    }

    fn pop3(&mut self, mailbox: &MailboxEvidence, known: bool) -> bool {
        let [imap, pop3, smtp] = Protocol::ALL.map(|protocol| self.verdict(mailbox, protocol));
        match (pop3, imap) {
            (Verdict::Refused, Verdict::Open) => self.pop3_off(mailbox, Likely),
            // IMAP's switch hides whether the mailbox would open.
            (Verdict::Refused, Verdict::Off) => self.pop3_off(mailbox, Possible),
            // Their causes are POP3's, too.
            (Verdict::Refused, Verdict::NotConnected | Verdict::Refused) => {}
            (Verdict::Refused, _) if !known => return false,
            (Verdict::Refused, _) if smtp == Verdict::Open => self.pop3_off(mailbox, Possible),
            (Verdict::Refused, _) => self.refused_here(mailbox),
            (Verdict::Other, _) => self.other(&mailbox.address, mailbox.pop3.failure()),
            _ => {}
        }
        true
    }

    fn smtp(&mut self, mailbox: &MailboxEvidence, known: bool) -> bool {
        let [imap, pop3, smtp] = Protocol::ALL.map(|protocol| self.verdict(mailbox, protocol));
        match (smtp, imap) {
            (Verdict::Off, _) => self.smtp_off(mailbox),
            (Verdict::Refused, Verdict::Open) => self.refused_alone(mailbox, Protocol::Smtp),
            (Verdict::Refused, _) if pop3 == Verdict::Open => self.refused_alone(mailbox, Protocol::Smtp),
            // Some front ends refuse at AUTH what others refuse after DATA.
            (Verdict::Refused, Verdict::NotConnected | Verdict::Refused) => {}
            (Verdict::Refused, Verdict::Off) => self.full_access(mailbox, Possible),
            (Verdict::Refused, _) if !known => return false,
            (Verdict::Refused, _) => self.refused_here(mailbox),
            (Verdict::NotConnected, Verdict::NotConnected) => {}
            (Verdict::NotConnected, _) => self.full_access(mailbox, Certain),
            (Verdict::Other, _) => self.other(&mailbox.address, mailbox.smtp.failure()),
            _ => {}
        }
        true
    }

    fn round_trip(&mut self, mailbox: &MailboxEvidence) {
        let address = &mailbox.address;
        match &mailbox.round_trip {
            Outcome::Passed(trip) if trip.arrived => {
                let text = format!(
                    "a mail that {address} sent to itself was in INBOX after {} s; {} copies were deleted again",
                    trip.seconds, trip.deleted
                );
                self.add(3, Finding::ok("round-trip", Layer::Smtp, text).mailbox(address));
                if let Some(failure) = &trip.trouble {
                    let mut finding = of_failure(failure, Severity::Info).mailbox(address);
                    finding.cause = format!("the test mail could not be cleared away: {}", finding.cause);
                    self.add(3, finding.seen([format!("Message-ID {}", trip.message_id)]));
                }
            }
            Outcome::Passed(trip) => {
                let mut finding = Finding::warning(
                    "not-arrived",
                    Layer::Smtp,
                    format!(
                        "the server took a mail that {address} sent to itself, and after {} s it was not in INBOX",
                        trip.seconds
                    ),
                )
                .mailbox(address)
                .sure(Possible)
                .seen([format!("Message-ID {}", trip.message_id)])
                .remedy("look for it in Junk Email, by inbox rules and by a message trace; it may still arrive")
                .run(command::exchange(
                    self.setup,
                    [format!("Get-MessageTraceV2 -MessageId '<{}>'", trip.message_id)],
                ));
                if let Some(failure) = &trip.trouble {
                    finding = finding.seen([failure.words()]);
                }
                self.add(3, finding);
            }
            Outcome::Failed(failure) if failure.cause() == Some("smtp-mailbox-logon") => {
                let told = self.verdict(mailbox, Protocol::Imap) == Verdict::NotConnected;
                if !told {
                    self.full_access(mailbox, Certain);
                }
            }
            Outcome::Failed(failure) => self.other(address, Some(failure)),
            Outcome::Skipped => {}
        }
    }

    fn other(&mut self, address: &str, failure: Option<&Failure>) {
        let Some(failure) = failure else {
            return;
        };
        let finding = of_failure(failure, Severity::Error).mailbox(address);
        // An unknown address: its right form is the way out.
        let finding = match failure.cause() {
            Some("imap-no-such-mailbox" | "smtp-bad-xoauth2") => {
                finding.run(command::exchange(self.setup, command::look_at(address)))
            }
            _ => finding,
        };
        self.add(3, finding);
    }

    /// Step 4b, for the app: one finding for all mailboxes.
    fn service_principal(&mut self, suspects: &[&MailboxEvidence]) {
        let evidence: Vec<String> = suspects
            .iter()
            .flat_map(|mailbox| Protocol::ALL.map(|protocol| said(mailbox, protocol)))
            .flatten()
            .collect();
        let mut finding = Finding::error(
            "service-principal",
            Layer::Local,
            "Exchange does not know the app: its service principal is not registered, or under another Object ID than the \
             Enterprise application's",
        )
        .step(Some(Step::RegisterServicePrincipal))
        // POP3 alone says nothing; IMAP's and SMTP's refusals together leave little else.
        .sure(if evidence.len() > 1 { Likely } else { Possible })
        .seen(evidence);
        finding.mailboxes = suspects.iter().map(|mailbox| mailbox.address.clone()).collect();
        let finding = match self.oid {
            Some(oid) => {
                let rights = suspects.iter().map(|mailbox| command::full_access(&mailbox.address, oid));
                finding
                    .seen([format!("oid {oid}: ObjectId in Exchange must be this")])
                    .remedy(
                        "register the app in Exchange with the token's oid, which is the Enterprise application's Object \
                         ID (the app registration has another), and give it the mailboxes anew",
                    )
                    .run(command::register(self.setup, oid))
                    .run(rights)
            }
            None => finding.remedy(
                "compare Get-ServicePrincipal in Exchange with the Object ID of the Enterprise application in Entra",
            ),
        };
        self.add(0, finding);
    }

    fn full_access(&mut self, mailbox: &MailboxEvidence, sure: super::explain::Confidence) {
        let address = &mailbox.address;
        let others = self.evidence.mailboxes.iter().any(|other| {
            other.address != *address && (other.imap.passed().is_some() || other.pop3.passed().is_some())
        });
        let cause = if others {
            format!("the app may open other mailboxes, but not {address}: FullAccess is missing on this one")
        } else {
            format!("the app is known to Exchange but can't open {address}: FullAccess is missing")
        };
        let mut finding = Finding::error("full-access", Layer::Imap, cause)
            .step(Some(Step::GrantMailboxAccess))
            .mailbox(address)
            .sure(sure)
            .seen(Protocol::ALL.iter().filter_map(|protocol| said(mailbox, *protocol)))
            .remedy(
                "give the app FullAccess on the mailbox. If it has that already: name the mailbox by its primary address, \
                 and look whether IMAP is on",
            );
        if let Some(oid) = self.oid {
            finding = finding.run(command::exchange(
                self.setup,
                [command::full_access(address, oid)],
            ));
        }
        self.add(1, finding.run(command::look_at(address)));
    }

    fn imap_off(&mut self, mailbox: &MailboxEvidence, sure: super::explain::Confidence) {
        let address = &mailbox.address;
        let finding = Finding::error(
            "imap-disabled",
            Layer::Imap,
            format!("IMAP is switched off for {address}"),
        )
        .step(Some(Step::TenantSetting))
        .mailbox(address)
        .sure(sure)
        .seen(said(mailbox, Protocol::Imap))
        .remedy("switch it on")
        .run(command::exchange(
            self.setup,
            [command::switch(address, "-ImapEnabled $true")],
        ));
        self.add(2, finding);
    }

    fn pop3_off(&mut self, mailbox: &MailboxEvidence, sure: super::explain::Confidence) {
        let address = &mailbox.address;
        let mut finding = Finding::error(
            "pop3-disabled",
            Layer::Pop3,
            format!("POP3 is switched off for {address}"),
        )
        .step(Some(Step::TenantSetting))
        .mailbox(address)
        .sure(sure)
        .seen(said(mailbox, Protocol::Pop3))
        .remedy(
            "switch it on; POP3 has one text for every refusal, and the rest of what could be wrong works",
        )
        .run(command::exchange(
            self.setup,
            [command::switch(address, "-PopEnabled $true")],
        ));
        if sure == Possible {
            finding.remedy =
                Some("switch it on; if it stays, FullAccess on the mailbox is missing".to_owned());
            finding = finding.run(self.oid.map(|oid| command::full_access(address, oid)));
        }
        self.add(2, finding);
    }

    fn smtp_off(&mut self, mailbox: &MailboxEvidence) {
        let Some(failure) = mailbox.smtp.failure() else {
            return;
        };
        let address = &mailbox.address;
        let finding = of_failure(failure, Severity::Error)
            .mailbox(address)
            .run(command::exchange(
                self.setup,
                [command::switch(
                    address,
                    "-SmtpClientAuthenticationDisabled $false",
                )],
            ));
        self.add(2, finding);
    }

    /// The mailbox opens by another protocol, and the token has the role.
    fn refused_alone(&mut self, mailbox: &MailboxEvidence, protocol: Protocol) {
        let address = &mailbox.address;
        let (role, _) = protocol.role();
        let mut finding = Finding::error(
            "refused-by-one-protocol",
            protocol.layer(),
            format!(
                "{} refuses {address}, which opens otherwise; the token holds {role}: most likely it was granted only just \
                 now",
                protocol.name()
            ),
        )
        .step(Some(Step::GrantPermissions))
        .mailbox(address)
        .sure(Possible)
        .seen(said(mailbox, protocol))
        .remedy("wait, and run this again");
        if protocol == Protocol::Smtp
            && let Some(oid) = self.oid
        {
            finding.propagation = Some("up to 2 hours with RBAC for Applications");
            finding = finding.run(command::exchange(
                self.setup,
                [
                    command::test_rbac(address, oid),
                    command::full_access(address, oid),
                ],
            ));
        }
        self.add(2, finding);
    }

    /// The token is good elsewhere; something about this mailbox is not.
    fn refused_here(&mut self, mailbox: &MailboxEvidence) {
        let address = &mailbox.address;
        if self
            .findings
            .iter()
            .any(|finding| finding.id == "mailbox-refused" && finding.mailboxes.contains(address))
        {
            return;
        }
        let mut finding = Finding::error(
            "mailbox-refused",
            Layer::Imap,
            format!("Exchange takes the token for other mailboxes, but not for {address}"),
        )
        .step(Some(Step::GrantMailboxAccess))
        .mailbox(address)
        .sure(Possible)
        .seen(
            Protocol::ALL
                .iter()
                .filter_map(|protocol| said(mailbox, *protocol)),
        )
        .remedy("check that this is the primary address of a mailbox of this tenant, then FullAccess on it")
        .run(command::exchange(self.setup, command::look_at(address)));
        if let Some(oid) = self.oid {
            finding = finding.run([command::full_access(address, oid)]);
        }
        self.add(1, finding);
    }
}
