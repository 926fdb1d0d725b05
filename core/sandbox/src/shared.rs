//! What every server of one sandbox holds.

use std::sync::atomic::AtomicUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::mail::authorize::RuleOrder;
use crate::pki::Pki;
use crate::state::Tenant;
use crate::stats::Counters;

/// Exchange's largest message, in octets (SMTP's `SIZE 157286400`).
pub(crate) const MAX_MESSAGE: usize = 157_286_400;

/// How the servers behave, fixed at the start.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) rule: RuleOrder,
    pub(crate) greeting: GreetingStyle,
    pub(crate) pop3_pipelining: bool,
    /// Answer 535 at AUTH instead of 430 after DATA when the mailbox cannot be opened.
    pub(crate) smtp_refuse_at_auth: bool,
    /// Print `[Error="UserDisabled" …]` behind the OK when IMAP is switched off.
    pub(crate) imap_user_disabled_code: bool,
    /// Show in LIST what folders are for (`\Sent`, `\Trash`, …).
    pub(crate) imap_special_use: bool,
    pub(crate) token_minimum_length: usize,
    pub(crate) idle: Duration,
    pub(crate) login: Duration,
    pub(crate) max_connections: usize,
    /// Octets of mail in memory: stored, and once more as much on its way in.
    pub(crate) max_octets: usize,
}

/// Which of the greetings seen at Exchange is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GreetingStyle {
    /// `The Microsoft Exchange … service is ready.`
    Classic,
    /// POP3's 2025 front end with `tcpproxy`, IMAP's `LOGINDISABLED` capability list.
    Modern,
}

/// One per sandbox, behind an `Arc`.
#[derive(Debug)]
pub(crate) struct Shared {
    tenant: Mutex<Tenant>,
    pub(crate) counters: Counters,
    /// Octets of messages on their way in, over all connections.
    pub(crate) spooled: AtomicUsize,
    pub(crate) options: Options,
    pub(crate) pki: Pki,
}

impl Shared {
    pub(crate) fn new(tenant: Tenant, options: Options, pki: Pki) -> Self {
        Self {
            tenant: Mutex::new(tenant),
            counters: Counters::default(),
            spooled: AtomicUsize::new(0),
            options,
            pki,
        }
    }

    /// The tenant, locked. Never hold it across an `.await`: the guard is not `Send`, so the compiler watches.
    pub(crate) fn tenant(&self) -> MutexGuard<'_, Tenant> {
        self.tenant.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
