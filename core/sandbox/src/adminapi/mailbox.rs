//! Cmdlets for mailboxes: the mailboxes themselves, FullAccess, SendAs, and the protocols' switches.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::cmdlet::{Output, Parameters};
use super::error::CmdletError;
use super::service_principal;
use crate::faults::Faults;
use crate::state::{Mailbox, Tenant};

/// Access control entries of a mailbox (facts §4.2).
const MAX_ENTRIES: usize = 500;

/// The mailbox's user in the directory: always the same for one address.
fn user_id(mailbox: &Mailbox) -> String {
    let digest = Sha256::digest(mailbox.primary());
    let bytes: [u8; 16] = std::array::from_fn(|at| digest.get(at).copied().unwrap_or_default());
    Uuid::from_bytes(bytes).to_string()
}

/// The name in front of the address's `@`, by which Exchange calls a mailbox.
fn name(mailbox: &Mailbox) -> &str {
    mailbox.primary().split('@').next().unwrap_or_default()
}

/// The mailbox that an identity names: an address, the name, or the user's object id.
fn find<'a>(tenant: &'a Tenant, identity: &str) -> Option<&'a Mailbox> {
    tenant.mailbox_at(identity).or_else(|| {
        tenant.mailboxes().iter().find(|mailbox| {
            name(mailbox).eq_ignore_ascii_case(identity) || user_id(mailbox).eq_ignore_ascii_case(identity)
        })
    })
}

/// The mailboxes that `-Identity` names: one, or all without it.
fn chosen<'a>(tenant: &'a Tenant, given: &Parameters) -> Result<Vec<&'a Mailbox>, CmdletError> {
    match given.text("Identity")? {
        Some(identity) => find(tenant, identity)
            .map(|mailbox| vec![mailbox])
            .ok_or_else(|| CmdletError::no_object(identity)),
        None => Ok(tenant.mailboxes().iter().collect()),
    }
}

pub(super) fn get(tenant: &mut Tenant, given: &Parameters, _: &Faults) -> Result<Output, CmdletError> {
    let rows = chosen(tenant, given)?.into_iter().map(|mailbox| {
        let mut addresses = vec![format!("SMTP:{}", mailbox.primary())];
        addresses.extend(mailbox.aliases.iter().map(|alias| format!("smtp:{alias}")));
        json!({
            "Identity": name(mailbox),
            "Id": name(mailbox),
            "Name": name(mailbox),
            "Alias": name(mailbox),
            "DisplayName": name(mailbox),
            "PrimarySmtpAddress": mailbox.primary(),
            "UserPrincipalName": mailbox.primary(),
            "WindowsEmailAddress": mailbox.primary(),
            "EmailAddresses": addresses,
            "ExternalDirectoryObjectId": user_id(mailbox),
            "RecipientType": "UserMailbox",
            "RecipientTypeDetails": "UserMailbox",
            "ProhibitSendReceiveQuota": size(mailbox.quota),
        })
    });
    Ok(Output::rows(rows.collect()))
}

/// Exchange's form of a size: `99 GB (106,300,440,576 bytes)`.
fn size(octets: usize) -> String {
    let digits = octets.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let (unit, name) = [(1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "KB")]
        .into_iter()
        .find(|(unit, _)| octets >= *unit)
        .unwrap_or((1, "B"));
    #[allow(clippy::cast_precision_loss, reason = "four digits are shown")]
    let short = (octets as f64 / unit as f64 * 100.0).round() / 100.0;
    format!("{short} {name} ({grouped} bytes)")
}

/// Who is to get a right, or has it: an object id as permissions keep it.
fn trustee(tenant: &Tenant, identity: &str) -> Result<String, CmdletError> {
    // Not the application id: Exchange's documentation names object id, identity and display name.
    let principal = service_principal::find(tenant, identity)
        .filter(|known| !known.client_id.eq_ignore_ascii_case(identity) || known.object_id == known.client_id)
        .map(|known| known.object_id.to_ascii_lowercase());
    principal
        .or_else(|| find(tenant, identity).map(user_id))
        .ok_or_else(|| CmdletError::no_object(identity))
}

/// How an entry names its owner: the SID of a service principal, the address of a mailbox's user, or the bare id of
/// one that is gone.
fn shown(tenant: &Tenant, object_id: &str) -> String {
    let principal = tenant
        .service_principals()
        .iter()
        .find(|known| known.object_id.eq_ignore_ascii_case(object_id));
    match principal {
        Some(known) => known.sid.clone(),
        None => find(tenant, object_id)
            .map_or(object_id, Mailbox::primary)
            .to_owned(),
    }
}

/// FullAccess or SendAs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Right {
    FullAccess,
    SendAs,
}

impl Right {
    fn name(self) -> &'static str {
        match self {
            Self::FullAccess => "FullAccess",
            Self::SendAs => "SendAs",
        }
    }

    /// The parameter that names who gets it.
    fn parameter(self) -> &'static str {
        match self {
            Self::FullAccess => "User",
            Self::SendAs => "Trustee",
        }
    }

    fn holders(self, mailbox: &Mailbox) -> impl Iterator<Item = &String> {
        match self {
            Self::FullAccess => mailbox.full_access.iter(),
            Self::SendAs => mailbox.send_as.iter(),
        }
    }

    fn mailbox(self, tenant: &Tenant, identity: &str) -> Result<String, CmdletError> {
        find(tenant, identity)
            .map(|mailbox| mailbox.primary().to_owned())
            .ok_or_else(|| match self {
                Self::FullAccess => CmdletError::no_mailbox(),
                Self::SendAs => CmdletError::no_object(identity),
            })
    }

    fn row(self, mailbox: &Mailbox, who: &str) -> Value {
        match self {
            Self::FullAccess => json!({
                "Identity": name(mailbox),
                "User": who,
                "AccessRights": ["FullAccess"],
                "IsInherited": false,
                "Deny": false,
                "InheritanceType": "All",
                "IsValid": true,
            }),
            Self::SendAs => json!({
                "Identity": name(mailbox),
                "Trustee": who,
                "AccessControlType": "Allow",
                "AccessRights": ["SendAs"],
                "IsInherited": false,
                "InheritanceType": "None",
                "IsValid": true,
            }),
        }
    }

    fn add(self, tenant: &mut Tenant, given: &Parameters) -> Result<Output, CmdletError> {
        let primary = self.mailbox(tenant, given.needed("Identity")?)?;
        let object_id = trustee(tenant, given.needed(self.parameter())?)?;
        given.rights(self.name())?;
        let who = shown(tenant, &object_id);
        let mailbox = tenant.mailbox(&primary).ok_or_else(CmdletError::no_mailbox)?;
        if self.holders(mailbox).any(|own| *own == object_id) {
            return Ok(Output::warning(format!(
                "The appropriate access control entry is already present on the object \"{}\" for account \"{who}\".",
                name(mailbox)
            )));
        }
        if self.holders(mailbox).count() >= MAX_ENTRIES {
            return Err(CmdletError::full());
        }
        let row = self.row(mailbox, &who);
        let done = match self {
            Self::FullAccess => tenant.grant_full_access(&primary, &object_id),
            Self::SendAs => tenant.grant_send_as(&primary, &object_id),
        };
        done.map_err(|_| CmdletError::no_mailbox())?;
        Ok(Output::rows(vec![row]))
    }

    fn remove(self, tenant: &mut Tenant, given: &Parameters) -> Result<Output, CmdletError> {
        let primary = self.mailbox(tenant, given.needed("Identity")?)?;
        let user = given.needed(self.parameter())?;
        given.rights(self.name())?;
        let mailbox = tenant.mailbox(&primary).ok_or_else(CmdletError::no_mailbox)?;
        // An entry of a principal that is gone still goes by its id.
        let object_id = match trustee(tenant, user) {
            Ok(id) => id,
            Err(error) => {
                let bare = user.to_ascii_lowercase();
                if !self.holders(mailbox).any(|own| *own == bare) {
                    return Err(error);
                }
                bare
            }
        };
        if !self.holders(mailbox).any(|own| *own == object_id) {
            return Ok(Output::warning(format!(
                "Can't remove the access control entry on the object \"{}\" for account \"{}\" because the ACE \
                 isn't present.",
                name(mailbox),
                shown(tenant, &object_id)
            )));
        }
        let done = match self {
            Self::FullAccess => tenant.revoke_full_access(&primary, &object_id),
            Self::SendAs => tenant.revoke_send_as(&primary, &object_id),
        };
        done.map_err(|_| CmdletError::no_mailbox())?;
        Ok(Output::default())
    }

    fn list(self, tenant: &Tenant, given: &Parameters) -> Result<Output, CmdletError> {
        let primary = self.mailbox(tenant, given.needed("Identity")?)?;
        let only = match given.text(self.parameter())? {
            Some(user) => Some(shown(tenant, &trustee(tenant, user)?)),
            None => None,
        };
        let mailbox = tenant.mailbox(&primary).ok_or_else(CmdletError::no_mailbox)?;
        // The owner's own entry is on every mailbox.
        let own = std::iter::once("NT AUTHORITY\\SELF".to_owned());
        let rows = own
            .chain(self.holders(mailbox).map(|id| shown(tenant, id)))
            .filter(|who| only.as_ref().is_none_or(|only| only == who))
            .map(|who| self.row(mailbox, &who));
        Ok(Output::rows(rows.collect()))
    }
}

pub(super) fn add_permission(
    tenant: &mut Tenant,
    given: &Parameters,
    _: &Faults,
) -> Result<Output, CmdletError> {
    Right::FullAccess.add(tenant, given)
}

pub(super) fn get_permission(
    tenant: &mut Tenant,
    given: &Parameters,
    _: &Faults,
) -> Result<Output, CmdletError> {
    Right::FullAccess.list(tenant, given)
}

pub(super) fn remove_permission(
    tenant: &mut Tenant,
    given: &Parameters,
    _: &Faults,
) -> Result<Output, CmdletError> {
    Right::FullAccess.remove(tenant, given)
}

pub(super) fn add_send_as(
    tenant: &mut Tenant,
    given: &Parameters,
    _: &Faults,
) -> Result<Output, CmdletError> {
    Right::SendAs.add(tenant, given)
}

pub(super) fn get_send_as(
    tenant: &mut Tenant,
    given: &Parameters,
    _: &Faults,
) -> Result<Output, CmdletError> {
    Right::SendAs.list(tenant, given)
}

pub(super) fn remove_send_as(
    tenant: &mut Tenant,
    given: &Parameters,
    _: &Faults,
) -> Result<Output, CmdletError> {
    Right::SendAs.remove(tenant, given)
}

pub(super) fn get_cas(tenant: &mut Tenant, given: &Parameters, _: &Faults) -> Result<Output, CmdletError> {
    let rows = chosen(tenant, given)?.into_iter().map(|mailbox| {
        json!({
            "Identity": name(mailbox),
            "Name": name(mailbox),
            "DisplayName": name(mailbox),
            "PrimarySmtpAddress": mailbox.primary(),
            "ImapEnabled": mailbox.imap_enabled,
            "PopEnabled": mailbox.pop_enabled,
            "SmtpClientAuthenticationDisabled": mailbox.smtp_disabled,
        })
    });
    Ok(Output::rows(rows.collect()))
}

pub(super) fn set_cas(tenant: &mut Tenant, given: &Parameters, _: &Faults) -> Result<Output, CmdletError> {
    const SMTP: &str = "SmtpClientAuthenticationDisabled";
    let identity = given.needed("Identity")?;
    let mailbox = find(tenant, identity).ok_or_else(|| CmdletError::no_object(identity))?;
    let imap = given.flag("ImapEnabled")?.unwrap_or(mailbox.imap_enabled);
    let pop = given.flag("PopEnabled")?.unwrap_or(mailbox.pop_enabled);
    let smtp = match given.value(SMTP) {
        None => mailbox.smtp_disabled,
        // Back to what the tenant says.
        Some(Value::Null) => None,
        Some(_) => given.flag(SMTP)?,
    };
    if (imap, pop, smtp) == (mailbox.imap_enabled, mailbox.pop_enabled, mailbox.smtp_disabled) {
        return Ok(Output::warning(format!(
            "The command completed successfully but no settings of '{}' have been modified.",
            name(mailbox)
        )));
    }
    let primary = mailbox.primary().to_owned();
    tenant
        .set_imap_enabled(&primary, imap)
        .and_then(|()| tenant.set_pop_enabled(&primary, pop))
        .and_then(|()| tenant.set_smtp_disabled(&primary, smtp))
        .map_err(|_| CmdletError::no_object(identity))?;
    Ok(Output::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_exchanges() {
        assert_eq!(size(106_300_440_576), "99 GB (106,300,440,576 bytes)");
        assert_eq!(size(1_536), "1.5 KB (1,536 bytes)");
        assert_eq!(size(12), "12 B (12 bytes)");
    }
}
