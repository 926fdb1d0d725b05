//! What a sandbox is started with.

use std::time::Duration;

use crate::error::SandboxError;
use crate::faults::{Fault, FaultSwitch};
use crate::mail::authorize::RuleOrder;
use crate::sandbox::Sandbox;
use crate::shared::Options;
use crate::state::{MAIL_ROLES, Tenant};

/// The mailboxes of a sandbox for which none is named.
const MAILBOXES: [&str; 2] = ["joe@contoso.example", "ann@contoso.example"];
/// All mail together, unless told otherwise.
const MAX_OCTETS: usize = 512 * 1024 * 1024;

/// Settings of a sandbox that is to be started. By default everything is set up: an application with a secret, the
/// three roles, the service principal in Exchange, and FullAccess on each mailbox.
#[derive(Debug, Clone)]
#[must_use]
pub struct SandboxBuilder {
    mailboxes: Vec<String>,
    empty: bool,
    options: Options,
}

impl SandboxBuilder {
    pub(crate) fn new() -> Self {
        Self {
            mailboxes: Vec::new(),
            empty: false,
            options: Options {
                rule: RuleOrder::default(),
                faults: Vec::new(),
                // Exchange's figures (facts §3.3, §3.4): half an hour, and a minute before the sign-in.
                idle: Duration::from_secs(30 * 60),
                login: Duration::from_secs(60),
                max_connections: 1024,
                max_octets: MAX_OCTETS,
            },
        }
    }

    /// Adds a mailbox. The first one's domain is the tenant's default domain. Without any there are
    /// `joe@contoso.example` and `ann@contoso.example`.
    pub fn mailbox(mut self, address: impl Into<String>) -> Self {
        self.mailboxes.push(address.into());
        self
    }

    /// Nothing set up: the tenant has its mailboxes, but no application. The client id and the secret are empty.
    pub fn empty(mut self) -> Self {
        self.empty = true;
        self
    }

    /// How much mail is kept in memory, in octets over all mailboxes. Default: 512 MiB. Beyond it, mailboxes are full.
    pub fn max_octets(mut self, octets: usize) -> Self {
        self.options.max_octets = octets;
        self
    }

    /// The order of checks where the real one is not known.
    pub fn rule_order(mut self, order: RuleOrder) -> Self {
        self.options.rule = order;
        self
    }

    /// Switches a fault on, or another way in which Exchange's servers behave, from the start. Later it can be
    /// switched with [`Sandbox::fault`].
    pub fn fault(mut self, fault: impl Into<FaultSwitch>) -> Self {
        self.options.faults.push(fault.into());
        self
    }

    /// [`Fault::ModernFrontEnd`].
    pub fn modern_front_end(self) -> Self {
        self.fault(Fault::ModernFrontEnd)
    }

    /// [`Fault::Pop3Pipelining`].
    pub fn pop3_pipelining(self) -> Self {
        self.fault(Fault::Pop3Pipelining)
    }

    /// [`Fault::SmtpRefuseAtAuth`].
    pub fn smtp_refuse_at_auth(self) -> Self {
        self.fault(Fault::SmtpRefuseAtAuth)
    }

    /// [`Fault::ImapDisabledPlainOk`].
    pub fn imap_plain_ok_when_disabled(self) -> Self {
        self.fault(Fault::ImapDisabledPlainOk)
    }

    /// [`Fault::ImapSpecialUse`].
    pub fn imap_special_use(self) -> Self {
        self.fault(Fault::ImapSpecialUse)
    }

    /// [`Fault::TokenLength`].
    pub fn token_minimum_length(self, characters: usize) -> Self {
        self.fault(Fault::TokenLength.with(characters as u64))
    }

    /// Takes SMTP's limits of a mailbox away: 3 connections that send at a time, and 30 messages a minute.
    pub fn no_smtp_limits(self) -> Self {
        self.fault(Fault::SmtpConnections.with(0))
            .fault(Fault::SmtpRate.with(0))
    }

    /// How long a client may be silent: before it has signed in (default 1 minute), and after (default 30 minutes).
    pub fn idle_limits(mut self, before_login: Duration, after_login: Duration) -> Self {
        self.options.login = before_login;
        self.options.idle = after_login;
        self
    }

    /// How many connections each port takes at a time. Default: 1024.
    pub fn max_connections(mut self, count: usize) -> Self {
        self.options.max_connections = count;
        self
    }

    /// Starts the servers on free ports of 127.0.0.1.
    ///
    /// # Errors
    /// An address that no mailbox can have, or no port can be opened.
    pub async fn start(self) -> Result<Sandbox, SandboxError> {
        let mailboxes = if self.mailboxes.is_empty() {
            MAILBOXES.map(str::to_owned).to_vec()
        } else {
            self.mailboxes
        };
        let domain = mailboxes
            .first()
            .and_then(|address| address.rsplit_once('@'))
            .map_or("", |(_, domain)| domain);
        let mut tenant = Tenant::new(domain, self.options.max_octets);
        for address in &mailboxes {
            tenant.add_mailbox(address)?;
        }
        let mut credentials = None;
        if !self.empty {
            let app = tenant.register_application("Mail bridge");
            let secret = tenant.add_secret(&app.client_id)?;
            for role in MAIL_ROLES {
                tenant.add_role(&app.client_id, role)?;
            }
            tenant.new_service_principal(&app.client_id, &app.enterprise_object_id, "Mail bridge");
            for address in &mailboxes {
                tenant.grant_full_access(address, &app.client_id)?;
            }
            credentials = Some((app.client_id, secret.value));
        }
        Sandbox::open(tenant, credentials, self.options).await
    }
}
