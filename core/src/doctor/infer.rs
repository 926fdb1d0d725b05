//! From [`Evidence`] to findings: a pure function. What was asked first explains what fails later, so that one cause gives
//! one finding.

use super::command;
use super::evidence::{CredentialKind, Evidence, Failure, MailboxEvidence, Outcome, Protocol, Setup};
use super::explain::Confidence::{Certain, Likely};
use super::finding::{Finding, Severity};
use super::mailbox::Mailboxes;
use super::{DELEGATED, NO_ROLES, OTHER_ROLES, WRONG_AUDIENCE};
use crate::error::{Layer, Step};
use crate::token::Claims;

/// Assertions live 5 to 10 minutes; a clock that is further off breaks them, and TLS later.
const CLOCK_BROKEN: i64 = 300;
/// Further off than any network explains.
const CLOCK_OFF: i64 = 120;
/// What Exchange's POP3 takes.
pub(super) const POP3_TOKEN: usize = 4096;

/// The findings, the worst and earliest first, and what stays unproven.
pub(super) fn infer(evidence: &Evidence) -> (Vec<Finding>, Vec<String>) {
    let mut inference = Inference {
        evidence,
        findings: Vec::new(),
        unproven: Vec::new(),
        rank: 0,
    };
    inference.run();
    let mut findings = inference.findings;
    // Stable, so mailboxes keep their order.
    findings.sort_by_key(|finding| (std::cmp::Reverse(finding.severity), finding.rank));
    (findings, inference.unproven)
}

struct Inference<'a> {
    evidence: &'a Evidence,
    findings: Vec<Finding>,
    unproven: Vec<String>,
    rank: u8,
}

/// A finding that says no more than one failure does.
pub(super) fn of_failure(failure: &Failure, severity: Severity) -> Finding {
    let id = failure.cause().unwrap_or(failure.kind.name());
    let mut finding = Finding::new(id, severity, failure.layer, failure.detail.clone())
        .step(failure.step)
        .seen([failure.words()])
        .sure(if failure.cause().is_some() {
            Certain
        } else {
            Likely
        });
    finding.remedy = failure.hint.clone();
    if failure.is_network()
        && let Some(row) = super::table::rows(Layer::Network).iter().find(|row| row.id == id)
    {
        finding.cause = row.detail.to_owned();
        finding.remedy = Some(row.hint.to_owned());
        finding.step = row.step;
    }
    finding
}

impl Inference<'_> {
    fn add(&mut self, mut finding: Finding) {
        finding.rank = self.rank;
        self.findings.push(finding);
    }

    fn run(&mut self) {
        let evidence = self.evidence;
        if let Some(failure) = &evidence.configuration {
            let mut finding = of_failure(failure, Severity::Error);
            finding.confidence = Certain;
            self.add(finding);
            self.unproven
                .push("everything else: without an app nothing could be asked".to_owned());
            return;
        }
        let Some(setup) = &evidence.setup else {
            return;
        };
        self.discovery(setup);
        self.rank += 1;
        self.clock(setup);
        self.rank += 1;
        self.token(setup);
        self.rank += 1;
        self.servers();
        self.rank += 1;
        let sound = self.claims(setup);
        self.roles(setup, sound);
        self.rank += 1;
        let mut mailboxes = Mailboxes::new(evidence, setup, sound);
        mailboxes.run();
        for mut finding in mailboxes.findings {
            finding.rank += self.rank;
            self.findings.push(finding);
        }
        self.unproven(setup);
    }

    fn discovery(&mut self, setup: &Setup) {
        let evidence = self.evidence;
        match &evidence.discovery {
            Outcome::Passed(found) => {
                let id = found.tenant_id.as_deref().unwrap_or("an unnamed tenant");
                let home = home_cloud(found.cloud_instance.as_deref(), found.region_sub_scope.as_deref());
                match home {
                    Some(home) if setup.cloud != "custom" && home != setup.cloud => self.add(
                        Finding::error(
                            "cloud-mismatch",
                            Layer::Token,
                            format!("the tenant is in the cloud {home}, not in {}", setup.cloud),
                        )
                        .step(Some(Step::Client))
                        .seen([format!(
                            "discovery: cloud_instance_name {}, tenant_region_sub_scope {}",
                            found.cloud_instance.as_deref().unwrap_or("-"),
                            found.region_sub_scope.as_deref().unwrap_or("-")
                        )])
                        .remedy(format!(
                            "use the cloud {home}: its login, mail hosts and scope are others"
                        ))
                        .run([format!("exomail doctor --cloud {home}")]),
                    ),
                    _ => self.add(Finding::ok(
                        "tenant",
                        Layer::Token,
                        format!("the tenant is there: {id}"),
                    )),
                }
            }
            Outcome::Failed(failure) => {
                // The token's refusal says the same with more behind it.
                let same = evidence
                    .token
                    .failure()
                    .is_some_and(|token| token.kind == failure.kind);
                if let Some(cloud) = &evidence.elsewhere {
                    self.add(
                        Finding::error(
                            "cloud-mismatch",
                            Layer::Token,
                            format!("the tenant is in the cloud {cloud}, not in {}", setup.cloud),
                        )
                        .step(Some(Step::Client))
                        .seen([failure.words()])
                        .remedy(format!(
                            "use the cloud {cloud}: its login, mail hosts and scope are others"
                        ))
                        .run([format!("exomail doctor --cloud {cloud}")]),
                    );
                } else if !same {
                    let passed = evidence.token.passed().is_some();
                    let severity = if passed { Severity::Info } else { Severity::Error };
                    self.add(of_failure(failure, severity));
                }
            }
            Outcome::Skipped => {}
        }
    }

    fn clock(&mut self, setup: &Setup) {
        let Some(offset) = self
            .evidence
            .discovery
            .passed()
            .and_then(|found| found.clock_offset)
        else {
            return;
        };
        let distance = offset.saturating_abs();
        let side = if offset < 0 { "behind" } else { "ahead of" };
        let text = format!("this machine's clock is {distance} s {side} Entra's");
        let severity = match (setup.credential, distance) {
            (CredentialKind::Certificate, CLOCK_BROKEN..) => Severity::Error,
            (_, CLOCK_OFF..) => Severity::Warning,
            _ => {
                return self.add(Finding::ok(
                    "clock",
                    Layer::Local,
                    "the clock agrees with Entra's",
                ));
            }
        };
        self.add(
            Finding::new("clock-off", severity, Layer::Local, text)
                .step(Some(Step::Client))
                .remedy("set the clock, and keep it by NTP: assertions and certificates are only good in their time")
                .run(["timedatectl set-ntp true".to_owned()]),
        );
    }

    fn token(&mut self, setup: &Setup) {
        let evidence = self.evidence;
        let failure = match &evidence.token {
            Outcome::Passed(facts) => {
                return self.add(Finding::ok(
                    "token",
                    Layer::Token,
                    format!(
                        "Entra issues a token: {} characters, good for {} minutes",
                        facts.length,
                        facts.remaining / 60
                    ),
                ));
            }
            Outcome::Failed(failure) => failure,
            Outcome::Skipped => return,
        };
        if evidence.elsewhere.is_some() {
            return;
        }
        // The same broken network as in discovery is said once.
        if failure.is_network()
            && self
                .findings
                .iter()
                .any(|finding| Some(finding.id) == failure.cause())
        {
            return;
        }
        let mut finding = of_failure(failure, Severity::Error);
        if let Some(id) = failure
            .oauth
            .as_ref()
            .and_then(|oauth| oauth.correlation_id.as_ref())
        {
            finding = finding.seen([format!("correlation id {id}")]);
        }
        match (failure.step, setup.credential) {
            (Some(Step::CreateCredential), CredentialKind::Secret) => {
                finding = finding.run([command::new_secret(setup)]);
            }
            (Some(Step::GrantPermissions), _) => {
                finding = finding.run(command::grant(setup, &setup.protocols));
            }
            _ => {}
        }
        self.add(finding);
    }

    fn servers(&mut self) {
        for server in &self.evidence.servers {
            let name = format!("{} {}:{}", server.protocol.name(), server.host, server.port);
            match &server.connect {
                Outcome::Passed(()) => self.add(Finding::ok(
                    "server",
                    Layer::Network,
                    format!("{name} can be reached"),
                )),
                Outcome::Failed(failure) => {
                    let mut finding = of_failure(failure, Severity::Error);
                    finding.cause = format!("{name}: {}", finding.cause);
                    self.add(finding);
                }
                Outcome::Skipped => {}
            }
        }
    }

    /// Whether the token is one that Exchange can take at all.
    fn claims(&mut self, setup: &Setup) -> bool {
        let Some(facts) = self.evidence.token.passed() else {
            return false;
        };
        let Some(claims) = &facts.claims else {
            self.add(Finding::new(
                "token-opaque",
                Severity::Info,
                Layer::Token,
                "the token can't be looked into: audience, roles and Object ID stay unknown",
            ));
            return true;
        };
        let audience = claims.aud.as_deref().unwrap_or("none");
        let seen = format!("aud {audience}");
        let wrong = if is_graph(audience) || !claims.is_for_scope(&setup.scope) {
            Some(&WRONG_AUDIENCE)
        } else if !claims.is_app_only() && claims.scp.is_some() {
            Some(&DELEGATED)
        } else {
            None
        };
        if let Some(cause) = wrong {
            let finding = Finding::error(cause.id, Layer::Token, cause.detail)
                .step(cause.step)
                .seen([seen])
                .remedy(cause.hint);
            self.add(finding);
            return false;
        }
        if audience.trim_end_matches('/') == "https://outlook.office.com" {
            self.add(
                Finding::warning(
                    "token-other-audience",
                    Layer::Token,
                    "the token is for outlook.office.com, which Exchange may refuse one day: Microsoft documents only \
                     outlook.office365.com",
                )
                .step(Some(Step::Client))
                .seen([seen])
                .remedy("ask for the scope https://outlook.office365.com/.default"),
            );
        }
        let tenant = self
            .evidence
            .discovery
            .passed()
            .and_then(|found| found.tenant_id.as_deref());
        if let (Some(tenant), Some(tid)) = (tenant, claims.tid.as_deref())
            && !tenant.eq_ignore_ascii_case(tid)
        {
            self.add(
                Finding::warning(
                    "token-other-tenant",
                    Layer::Token,
                    "the token is of another tenant than asked for",
                )
                .step(Some(Step::RegisterApp))
                .seen([format!("asked for {tenant}, tid {tid}")]),
            );
        }
        if facts.length > POP3_TOKEN && setup.protocols.contains(&Protocol::Pop3) {
            // Exchange's POP3 refuses it; another server may not.
            let passed = self
                .evidence
                .mailboxes
                .iter()
                .any(|mailbox| mailbox.pop3.passed().is_some());
            let severity = if passed { Severity::Info } else { Severity::Error };
            self.add(
                Finding::new(
                    "pop3-token-too-long",
                    severity,
                    Layer::Pop3,
                    "the token is longer than the 4096 characters that Exchange's POP3 takes",
                )
                .step(Some(Step::Client))
                .seen([format!("the token has {} characters", facts.length)])
                .seen(words(&self.evidence.mailboxes, Protocol::Pop3))
                .remedy(
                    "read by IMAP, which takes longer tokens; or take permissions and group claims that mail does not need \
                     from the app, so that its token gets shorter",
                ),
            );
        }
        true
    }

    fn roles(&mut self, setup: &Setup, sound: bool) {
        let Some(claims) = self
            .evidence
            .token
            .passed()
            .and_then(|facts| facts.claims.as_ref())
        else {
            return;
        };
        if !sound {
            return;
        }
        let lacking: Vec<Protocol> = setup
            .protocols
            .iter()
            .copied()
            .filter(|protocol| lacks_role(claims, *protocol))
            .collect();
        let missed: Vec<Protocol> = lacking
            .iter()
            .copied()
            .filter(|protocol| self.misses(*protocol, &lacking))
            .collect();
        if let Some(first) = missed.first() {
            let cause = if claims.roles.is_empty() {
                &NO_ROLES
            } else {
                &OTHER_ROLES
            };
            let names: Vec<_> = missed.iter().map(|protocol| protocol.role().0).collect();
            let text = format!("{}: {} is missing", cause.detail, names.join(", "));
            // SMTP may also be opened by RBAC for Applications, where other things can be wrong.
            let only_smtp = *first == Protocol::Smtp;
            let mut finding = Finding::error(cause.id, Layer::Token, text)
                .step(cause.step)
                .sure(if only_smtp { Likely } else { Certain })
                .seen([format!("roles {}", shown(&claims.roles))])
                .seen(
                    missed
                        .iter()
                        .flat_map(|protocol| words(&self.evidence.mailboxes, *protocol)),
                )
                .remedy(cause.hint)
                .run(command::grant(setup, &missed));
            if only_smtp && let (Some(oid), Some(mailbox)) = (&claims.oid, self.evidence.mailboxes.first()) {
                finding = finding
                    .remedy(
                        "grant SMTP.SendAsApp (Application) with admin consent and ask for a new token; or, if the app is \
                         to send by RBAC for Applications, look at what that allows: it takes up to 2 hours",
                    )
                    .run(command::exchange(setup, [command::test_rbac(&mailbox.address, oid)]));
            }
            self.add(finding);
        } else if claims.roles.is_empty() {
            self.add(Finding::new(
                "token-without-roles",
                Severity::Info,
                Layer::Token,
                "the token holds no roles; that is right for SMTP by RBAC for Applications",
            ));
        } else {
            self.add(
                Finding::ok("roles", Layer::Token, "the token holds the roles that are needed")
                    .seen([format!("roles {}", shown(&claims.roles))]),
            );
        }
    }

    /// Whether the missing role stops the protocol: IMAP and POP3 always need it, unless the server is one that does not
    /// ask; SMTP only where it refused, since RBAC for Applications needs none.
    fn misses(&self, protocol: Protocol, lacking: &[Protocol]) -> bool {
        let mailboxes = &self.evidence.mailboxes;
        match protocol {
            Protocol::Imap => !mailboxes.iter().any(|mailbox| mailbox.imap.passed().is_some()),
            Protocol::Pop3 => {
                // Where IMAP lacks its role and is let in, the server asks for none.
                let asks = !lacking.contains(&Protocol::Imap) || self.misses(Protocol::Imap, lacking);
                asks && !mailboxes.iter().any(|mailbox| mailbox.pop3.passed().is_some())
            }
            Protocol::Smtp => {
                let refused = |mailbox: &MailboxEvidence| {
                    let cause = mailbox.smtp.failure().and_then(Failure::cause);
                    matches!(cause, Some("smtp-auth-failed" | "smtp-token-refused"))
                };
                mailboxes.iter().any(refused)
                    && !mailboxes.iter().any(|mailbox| mailbox.smtp.passed().is_some())
            }
        }
    }

    /// Success is only claimed for what was seen.
    fn unproven(&mut self, setup: &Setup) {
        let evidence = self.evidence;
        if evidence.mailboxes.is_empty() {
            self.unproven
                .push("signing in to a mailbox: none was named (--mailbox)".to_owned());
        } else if evidence.token.passed().is_none() {
            self.unproven
                .push("everything about the mailboxes: there is no token to try with".to_owned());
        }
        let sent = evidence
            .mailboxes
            .iter()
            .any(|mailbox| mailbox.round_trip != Outcome::Skipped);
        let signed_in = evidence
            .mailboxes
            .iter()
            .any(|mailbox| mailbox.smtp.passed().is_some());
        if signed_in && !sent {
            self.unproven.push(
                "that a mail is taken and arrives: SMTP took the sign-in and nothing was sent (--send)"
                    .to_owned(),
            );
        }
        for protocol in Protocol::ALL {
            if !setup.protocols.contains(&protocol) {
                self.unproven
                    .push(format!("{}: it was not asked for", protocol.name()));
            }
        }
        let known = |id: &str| self.findings.iter().any(|finding| finding.id == id);
        let refused = self.findings.iter().any(|finding| {
            finding.severity == Severity::Error
                && [NO_ROLES.id, OTHER_ROLES.id, WRONG_AUDIENCE.id, DELEGATED.id].contains(&finding.id)
        });
        if refused && !known("mailbox-open") {
            self.unproven.push(
                "whether Exchange knows the app and lets it open the mailbox: it looks at the token first"
                    .to_owned(),
            );
        }
    }
}

pub(super) fn lacks_role(claims: &Claims, protocol: Protocol) -> bool {
    !claims.has_role(protocol.role().0)
}

fn shown(roles: &[String]) -> String {
    if roles.is_empty() {
        "none".to_owned()
    } else {
        roles.join(" ")
    }
}

/// What the servers of this protocol refused with.
fn words(mailboxes: &[MailboxEvidence], protocol: Protocol) -> Vec<String> {
    mailboxes
        .iter()
        .filter_map(|mailbox| said(mailbox, protocol))
        .collect()
}

/// What this protocol's server refused this mailbox with.
pub(super) fn said(mailbox: &MailboxEvidence, protocol: Protocol) -> Option<String> {
    let failure = match protocol {
        Protocol::Imap => mailbox.imap.failure(),
        Protocol::Pop3 => mailbox.pop3.failure(),
        Protocol::Smtp => mailbox.smtp.failure().or(mailbox.round_trip.failure()),
    }?;
    Some(format!(
        "{} {}: {}",
        protocol.name(),
        mailbox.address,
        failure.words()
    ))
}

/// Microsoft Graph in any cloud, by name or by id.
fn is_graph(audience: &str) -> bool {
    let bare = audience.trim_start_matches("https://").trim_end_matches('/');
    bare == "00000003-0000-0000-c000-000000000000"
        || ["graph.", "dod-graph.", "microsoftgraph."]
            .iter()
            .any(|name| bare.starts_with(name))
}

/// The cloud by what discovery tells; `None` where that is not known.
pub(super) fn home_cloud(instance: Option<&str>, sub_scope: Option<&str>) -> Option<&'static str> {
    match (instance?, sub_scope) {
        (_, Some("DOD")) => Some("dod"),
        (_, Some("DODCON")) => Some("gcc-high"),
        ("microsoftonline.com", _) => Some("global"),
        // Without a sub-scope it may be either.
        ("microsoftonline.us", _) => None,
        ("partner.microsoftonline.cn" | "chinacloudapi.cn", _) => Some("china"),
        _ => None,
    }
}
