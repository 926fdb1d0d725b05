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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{EXCHANGE_RESOURCE, MAIL_ROLES};

    const JOE: &str = "joe@contoso.example";
    const ALL: [Protocol; 3] = [Protocol::Imap, Protocol::Pop3, Protocol::Smtp];

    /// Everything set up for Joe; what the token would say.
    fn tenant() -> (Tenant, AccessClaims, String) {
        let mut tenant = Tenant::new("contoso.example", 1 << 20);
        tenant.add_mailbox(JOE).unwrap();
        let app = tenant.register_application("x");
        tenant.new_service_principal(&app.client_id, &app.enterprise_object_id, "x");
        tenant.grant_full_access(JOE, &app.client_id).unwrap();
        let claims = AccessClaims {
            aud: EXCHANGE_RESOURCE.to_owned(),
            iss: format!("https://sts.windows.net/{}/", tenant.id()),
            oid: app.enterprise_object_id,
            appid: app.client_id.clone(),
            tid: tenant.id().to_owned(),
            roles: MAIL_ROLES.map(str::to_owned).to_vec(),
        };
        (tenant, claims, app.client_id)
    }

    fn ask(tenant: &Tenant, claims: &AccessClaims, protocol: Protocol, user: &str) -> Outcome {
        authorize(tenant, Ok(claims), protocol, user, RuleOrder::default())
    }

    fn granted(claims: &AccessClaims) -> Outcome {
        Outcome::Granted {
            mailbox: JOE.to_owned(),
            oid: claims.oid.clone(),
        }
    }

    fn not_connected(claims: &AccessClaims) -> Outcome {
        Outcome::NotConnected {
            oid: claims.oid.clone(),
        }
    }

    #[test]
    fn all_set_up_opens_the_mailbox() {
        let (tenant, claims, _) = tenant();
        for protocol in ALL {
            assert_eq!(
                ask(&tenant, &claims, protocol, "JOE@Contoso.example"),
                granted(&claims)
            );
        }
    }

    #[test]
    fn check_1_the_token() {
        let (tenant, claims, _) = tenant();
        for protocol in ALL {
            for fault in [
                TokenFault::Expired,
                TokenFault::BadSignature,
                TokenFault::Malformed,
            ] {
                let outcome = authorize(&tenant, Err(fault), protocol, JOE, RuleOrder::default());
                assert_eq!(outcome, Outcome::Refused(Refusal::Token(fault)));
            }
            let graph = AccessClaims {
                aud: "https://graph.microsoft.com".to_owned(),
                ..claims.clone()
            };
            let outcome = ask(&tenant, &graph, protocol, JOE);
            assert_eq!(
                outcome,
                Outcome::Refused(Refusal::Token(TokenFault::WrongAudience))
            );
            let other = AccessClaims {
                tid: "another".to_owned(),
                ..claims.clone()
            };
            let outcome = ask(&tenant, &other, protocol, JOE);
            assert_eq!(outcome, Outcome::Refused(Refusal::Token(TokenFault::WrongTenant)));
        }
    }

    #[test]
    fn check_2_exchange_knows_the_enterprise_object_id_only() {
        let (mut tenant, claims, app) = tenant();
        tenant.remove_service_principal(&claims.oid).unwrap();
        let wrong = tenant.application_object_id(&app).unwrap().to_owned();
        tenant.new_service_principal(&app, &wrong, "the classical mistake");
        tenant.grant_full_access(JOE, &wrong).unwrap();
        for protocol in ALL {
            assert_eq!(
                ask(&tenant, &claims, protocol, JOE),
                Outcome::Refused(Refusal::NoServicePrincipal)
            );
        }
    }

    #[test]
    fn check_3_each_protocol_wants_its_own_role() {
        let (tenant, claims, _) = tenant();
        for protocol in ALL {
            let roles = claims
                .roles
                .iter()
                .filter(|role| *role != protocol.role())
                .cloned()
                .collect();
            let claims = AccessClaims {
                roles,
                ..claims.clone()
            };
            for other in ALL {
                let expected = if other == protocol {
                    Outcome::Refused(Refusal::NoRole)
                } else {
                    granted(&claims)
                };
                assert_eq!(ask(&tenant, &claims, other, JOE), expected);
            }
        }
    }

    #[test]
    fn check_4_the_mailboxs_switch_beats_the_tenants() {
        let (mut tenant, claims, _) = tenant();
        for (mailbox, of_tenant, expected) in [
            (None, false, granted(&claims)),
            (None, true, Outcome::SmtpDisabledForTenant),
            (Some(false), true, granted(&claims)),
            (Some(true), false, Outcome::SmtpDisabledForMailbox),
            (Some(true), true, Outcome::SmtpDisabledForMailbox),
        ] {
            tenant.set_smtp_disabled(JOE, mailbox).unwrap();
            tenant.set_tenant_smtp_disabled(of_tenant);
            assert_eq!(ask(&tenant, &claims, Protocol::Smtp, JOE), expected);
            assert_eq!(ask(&tenant, &claims, Protocol::Imap, JOE), granted(&claims));
            assert_eq!(ask(&tenant, &claims, Protocol::Pop3, JOE), granted(&claims));
        }
    }

    #[test]
    fn check_4_may_come_before_check_1() {
        let (mut tenant, _, _) = tenant();
        tenant.set_tenant_smtp_disabled(true);
        let order = RuleOrder {
            smtp_switch_before_token: true,
            ..RuleOrder::default()
        };
        let fault = Err(TokenFault::Expired);
        let outcome = authorize(&tenant, fault, Protocol::Smtp, JOE, order);
        assert_eq!(outcome, Outcome::SmtpDisabledForTenant);
        let refused = Outcome::Refused(Refusal::Token(TokenFault::Expired));
        assert_eq!(authorize(&tenant, fault, Protocol::Imap, JOE, order), refused);
        assert_eq!(
            authorize(&tenant, fault, Protocol::Smtp, JOE, RuleOrder::default()),
            refused
        );
    }

    #[test]
    fn check_5_a_protocol_that_is_off() {
        let (mut tenant, claims, _) = tenant();
        tenant.set_imap_enabled(JOE, false).unwrap();
        assert_eq!(ask(&tenant, &claims, Protocol::Imap, JOE), Outcome::Disabled);
        assert_eq!(ask(&tenant, &claims, Protocol::Pop3, JOE), granted(&claims));
        tenant.set_imap_enabled(JOE, true).unwrap();
        tenant.set_pop_enabled(JOE, false).unwrap();
        assert_eq!(ask(&tenant, &claims, Protocol::Imap, JOE), granted(&claims));
        assert_eq!(ask(&tenant, &claims, Protocol::Pop3, JOE), Outcome::Disabled);
    }

    #[test]
    fn check_6_the_mailbox_and_full_access() {
        let (mut tenant, claims, app) = tenant();
        tenant.add_alias(JOE, "joseph@contoso.example").unwrap();
        for protocol in ALL {
            for user in ["nobody@contoso.example", "joseph@contoso.example"] {
                assert_eq!(
                    ask(&tenant, &claims, protocol, user),
                    not_connected(&claims),
                    "{user}"
                );
            }
        }
        tenant.revoke_full_access(JOE, &app).unwrap();
        for protocol in ALL {
            assert_eq!(ask(&tenant, &claims, protocol, JOE), not_connected(&claims));
        }
    }

    #[test]
    fn check_6_may_come_before_check_3() {
        let (mut tenant, claims, app) = tenant();
        let claims = AccessClaims {
            roles: Vec::new(),
            ..claims
        };
        let order = RuleOrder {
            mailbox_before_role: true,
            ..RuleOrder::default()
        };
        for protocol in ALL {
            let outcome = authorize(&tenant, Ok(&claims), protocol, JOE, order);
            assert_eq!(
                outcome,
                Outcome::Refused(Refusal::NoRole),
                "FullAccess alone is not enough"
            );
        }
        tenant.revoke_full_access(JOE, &app).unwrap();
        for protocol in ALL {
            assert_eq!(
                authorize(&tenant, Ok(&claims), protocol, JOE, order),
                not_connected(&claims)
            );
            assert_eq!(
                ask(&tenant, &claims, protocol, JOE),
                Outcome::Refused(Refusal::NoRole)
            );
        }
    }

    #[test]
    fn check_7_send_as() {
        let (mut tenant, claims, app) = tenant();
        tenant.add_mailbox("ann@contoso.example").unwrap();
        tenant.add_alias(JOE, "joseph@contoso.example").unwrap();
        assert!(may_send_as(&tenant, &claims.oid, JOE, "Joe@contoso.example"));
        assert!(may_send_as(&tenant, &claims.oid, JOE, "joseph@contoso.example"));
        assert!(!may_send_as(&tenant, &claims.oid, JOE, "ann@contoso.example"));
        assert!(!may_send_as(&tenant, &claims.oid, JOE, "nobody@contoso.example"));
        tenant.grant_send_as("ann@contoso.example", &app).unwrap();
        assert!(may_send_as(&tenant, &claims.oid, JOE, "ann@contoso.example"));
        tenant.revoke_send_as("ann@contoso.example", &app).unwrap();
        assert!(!may_send_as(&tenant, &claims.oid, JOE, "ann@contoso.example"));
    }

    #[test]
    fn check_8_rbac_for_applications() {
        let (mut tenant, claims, app) = tenant();
        tenant.revoke_full_access(JOE, &app).unwrap();
        tenant.add_mailbox("ann@contoso.example").unwrap();
        let scope = RoleScope::Mailboxes(["Joe@contoso.example".to_owned()].into());
        tenant.new_management_role_assignment(RBAC_SMTP, &app, scope);
        let bare = AccessClaims {
            roles: Vec::new(),
            ..claims.clone()
        };
        assert_eq!(
            ask(&tenant, &bare, Protocol::Smtp, JOE),
            granted(&bare),
            "no FullAccess needed"
        );
        let outcome = ask(&tenant, &bare, Protocol::Smtp, "ann@contoso.example");
        assert_eq!(outcome, Outcome::Refused(Refusal::OutOfScope));
        assert_eq!(
            ask(&tenant, &bare, Protocol::Imap, JOE),
            Outcome::Refused(Refusal::NoRole),
            "SMTP only"
        );
        // The permission in the token makes Exchange demand FullAccess as well (facts row 68).
        assert_eq!(ask(&tenant, &claims, Protocol::Smtp, JOE), not_connected(&claims));
        tenant.remove_management_role_assignments(&app);
        tenant.new_management_role_assignment(RBAC_SMTP, &app, RoleScope::Organization);
        assert!(matches!(
            ask(&tenant, &bare, Protocol::Smtp, "ann@contoso.example"),
            Outcome::Granted { .. }
        ));
    }
}
