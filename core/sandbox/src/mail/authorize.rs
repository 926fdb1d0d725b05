//! Who may open which mailbox: Exchange's rule, as a pure function.
//!
//! The order of the checks is that of the specification in `exchange-online.md` §7; the two places where the real
//! order is not known are switches in [`RuleOrder`].

use serde::Serialize;

use super::token::{AccessClaims, TokenFault, check_tenant};
use crate::state::{Mailbox, RoleScope, Tenant};

/// One of the three mail protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// IMAP4rev1.
    Imap,
    /// POP3.
    Pop3,
    /// SMTP submission.
    Smtp,
}

impl Protocol {
    /// The application permission that opens it.
    pub const fn role(self) -> &'static str {
        match self {
            Self::Imap => "IMAP.AccessAsApp",
            Self::Pop3 => "POP.AccessAsApp",
            Self::Smtp => "SMTP.SendAsApp",
        }
    }
}

/// The management role of RBAC for Applications. There is none for IMAP and POP3.
pub(crate) const RBAC_SMTP: &str = "Application SMTP.SendAsApp";

/// Where the real service's order of checks is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RuleOrder {
    /// Look at the mailbox (checks 5 and 6) before the role (check 3). Default: the role first.
    pub mailbox_before_role: bool,
    /// Look at SMTP's switch (check 4) before the token (checks 1 to 3). Default: the token first.
    pub smtp_switch_before_token: bool,
}

/// Why a sign-in fails with the protocol's general refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// Check 1.
    Token(TokenFault),
    /// Check 2: Exchange has no service principal whose object id is the token's `oid`.
    NoServicePrincipal,
    /// Check 3: the token has not the protocol's role, and no RBAC assignment stands in for it.
    NoRole,
    /// Check 8: there is an RBAC assignment, but the mailbox is not in its scope.
    OutOfScope,
}

/// What becomes of a sign-in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Checks 1 to 3, 8: IMAP `NO AUTHENTICATE failed.`, POP3 `-ERR Authentication failure: …`, SMTP `535 5.7.3`.
    Refused(Refusal),
    /// Check 4: SMTP `535 5.7.139 … for the Tenant.`
    SmtpDisabledForTenant,
    /// Check 4: SMTP `535 5.7.139 … for the Mailbox.`
    SmtpDisabledForMailbox,
    /// Check 5: IMAP `OK [Error="UserDisabled" …]` and then not connected, POP3 `-ERR`.
    Disabled,
    /// Check 6: IMAP `OK` and then `BAD User is authenticated but not connected.`, POP3 `-ERR`, SMTP `235` and then
    /// `430 4.2.0` at the end of the data.
    NotConnected {
        /// Object id of the service principal that signed in.
        oid: String,
    },
    /// The mailbox is open.
    Granted {
        /// Primary address of the mailbox.
        mailbox: String,
        /// Object id of the service principal that signed in.
        oid: String,
    },
}

/// Applies the rule: `token` as it was verified, `user` as XOAUTH2's `user=` names it.
pub fn authorize(
    tenant: &Tenant,
    token: Result<&AccessClaims, TokenFault>,
    protocol: Protocol,
    user: &str,
    order: RuleOrder,
) -> Outcome {
    // Only the primary address opens a mailbox; an alias or a UPN that differs is "not connected".
    let mailbox = tenant.mailbox(user);
    let switch = || {
        if protocol == Protocol::Smtp {
            smtp_switch(tenant, mailbox)
        } else {
            None
        }
    };
    if order.smtp_switch_before_token
        && let Some(disabled) = switch()
    {
        return disabled;
    }
    // 1. The token itself.
    let claims = match token.and_then(|claims| check_tenant(tenant, claims).map(|()| claims)) {
        Ok(claims) => claims,
        Err(fault) => return Outcome::Refused(Refusal::Token(fault)),
    };
    // 2. Exchange's service principal, by object id: the app registration's does not match.
    let oid = claims.oid.as_str();
    let known = tenant
        .exchange_service_principals
        .iter()
        .any(|sp| sp.object_id.eq_ignore_ascii_case(oid));
    if oid.is_empty() || !known {
        return Outcome::Refused(Refusal::NoServicePrincipal);
    }
    // 3. The role; for SMTP without it, RBAC for Applications (8).
    let has_role = claims.roles.iter().any(|role| role == protocol.role());
    let needs_full_access;
    let mut refusal = None;
    if has_role {
        needs_full_access = true;
    } else if protocol == Protocol::Smtp {
        needs_full_access = false;
        refusal = rbac(tenant, mailbox, oid).err();
    } else {
        needs_full_access = true;
        refusal = Some(Refusal::NoRole);
    }
    if let Some(refusal) = refusal
        && !order.mailbox_before_role
    {
        return Outcome::Refused(refusal);
    }
    // 4. SMTP's switch.
    if let Some(disabled) = switch() {
        return disabled;
    }
    // 5. IMAP's and POP3's.
    if let Some(mailbox) = mailbox {
        let enabled = match protocol {
            Protocol::Imap => mailbox.imap_enabled,
            Protocol::Pop3 => mailbox.pop_enabled,
            Protocol::Smtp => true,
        };
        if !enabled {
            return Outcome::Disabled;
        }
    }
    // 6. The mailbox and FullAccess.
    let outcome = match mailbox {
        Some(mailbox)
            if mailbox.full_access.contains(&oid.to_ascii_lowercase())
                || (!needs_full_access && refusal.is_none()) =>
        {
            Outcome::Granted {
                mailbox: mailbox.primary.clone(),
                oid: oid.to_owned(),
            }
        }
        _ => return Outcome::NotConnected { oid: oid.to_owned() },
    };
    // With the mailbox first, the role is what is left to refuse.
    refusal.map_or(outcome, Outcome::Refused)
}

fn smtp_switch(tenant: &Tenant, mailbox: Option<&Mailbox>) -> Option<Outcome> {
    match mailbox.and_then(|mailbox| mailbox.smtp_disabled) {
        Some(true) => Some(Outcome::SmtpDisabledForMailbox),
        Some(false) => None,
        None => tenant
            .smtp_auth_disabled
            .then_some(Outcome::SmtpDisabledForTenant),
    }
}

fn rbac(tenant: &Tenant, mailbox: Option<&Mailbox>, oid: &str) -> Result<(), Refusal> {
    let mut assignments = tenant
        .management_role_assignments
        .iter()
        .filter(|known| known.role == RBAC_SMTP && known.object_id.eq_ignore_ascii_case(oid))
        .peekable();
    if assignments.peek().is_none() {
        return Err(Refusal::NoRole);
    }
    let mailbox = mailbox.ok_or(Refusal::OutOfScope)?;
    let reached = assignments.any(|known| match &known.scope {
        RoleScope::Organization => true,
        RoleScope::Mailboxes(list) => list.contains(&mailbox.primary),
    });
    if reached { Ok(()) } else { Err(Refusal::OutOfScope) }
}

/// Whether one who has `mailbox` open may send with this From address (check 7): the mailbox's own addresses, and
/// those of mailboxes on which the service principal has SendAs.
pub(crate) fn may_send_as(tenant: &Tenant, oid: &str, mailbox: &str, from: &str) -> bool {
    let Some(owner) = tenant.mailbox_at(from) else {
        return false;
    };
    owner.primary.eq_ignore_ascii_case(mailbox) || owner.send_as.contains(&oid.to_ascii_lowercase())
}
