//! RBAC for Applications: management scopes, role assignments, and the test of what they reach.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use uuid::Uuid;

use super::cmdlet::{Output, Parameters};
use super::error::CmdletError;
use super::service_principal;
use crate::faults::{Fault, Faults};
use crate::state::{ManagementRoleAssignment, ManagementScope, RoleScope, Tenant};

/// Roles for applications, of which only the first says something to a mail protocol (facts §4.2).
const ROLES: [&str; 4] = [
    "Application SMTP.SendAsApp",
    "Application Mail.Send",
    "Application Mail.Read",
    "Application Mail.ReadWrite",
];

/// How many scopes, and how many assignments, there may be.
const MAX: usize = 1_000;

/// The addresses that `PrimarySmtpAddress -eq 'a' -or PrimarySmtpAddress -eq 'b'` names. `MemberOfGroup -eq '…'` is
/// taken too, and reaches nobody: there are no groups here.
fn reached(filter: &str) -> Option<BTreeSet<String>> {
    let mut addresses = BTreeSet::new();
    for condition in filter.split(" -or ") {
        let condition = condition.trim().trim_start_matches('(').trim_end_matches(')');
        let (property, value) = condition.split_once(" -eq ")?;
        let value = value.trim();
        let value = ['\'', '"']
            .into_iter()
            .find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote))?;
        match property.trim().to_ascii_lowercase().as_str() {
            "primarysmtpaddress" => {
                addresses.insert(value.to_ascii_lowercase());
            }
            "memberofgroup" => {}
            _ => return None,
        }
    }
    Some(addresses)
}

pub(super) fn new_scope(tenant: &mut Tenant, given: &Parameters, _: &Faults) -> Result<Output, CmdletError> {
    const FILTER: &str = "RecipientRestrictionFilter";
    let (name, filter) = (given.needed("Name")?, given.needed(FILTER)?);
    let mailboxes = reached(filter).ok_or_else(|| CmdletError::bad_value(FILTER))?;
    if tenant.directory.dehydrated {
        return Err(CmdletError::dehydrated());
    }
    let scopes = &mut tenant.directory.scopes;
    if scopes.iter().any(|known| known.name.eq_ignore_ascii_case(name)) {
        return Err(CmdletError::exists(name));
    }
    if scopes.len() >= MAX {
        return Err(CmdletError::full());
    }
    scopes.push(ManagementScope {
        name: name.to_owned(),
        mailboxes,
    });
    Ok(Output::rows(vec![json!({
        "Name": name,
        "Identity": name,
        "ScopeRestrictionType": "RecipientScope",
        "RecipientFilter": filter,
        "Exclusive": false,
    })]))
}

fn row(tenant: &Tenant, known: &ManagementRoleAssignment) -> Value {
    let assignee = service_principal::find(tenant, &known.object_id)
        .map_or(known.object_id.as_str(), |principal| {
            principal.display_name.as_str()
        });
    json!({
        "Name": known.name,
        "Identity": known.name,
        "Role": known.role,
        "RoleAssignee": known.object_id,
        "RoleAssigneeName": assignee,
        "RoleAssigneeType": "ServicePrincipal",
        "App": known.object_id,
        "CustomResourceScope": known.scope_name,
        "Enabled": true,
    })
}

pub(super) fn new_assignment(
    tenant: &mut Tenant,
    given: &Parameters,
    faults: &Faults,
) -> Result<Output, CmdletError> {
    let (role, app) = (given.needed("Role")?, given.needed("App")?);
    let role = ROLES
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(role))
        .ok_or_else(|| CmdletError::no_object(role))?;
    if tenant.directory.dehydrated {
        return Err(CmdletError::dehydrated());
    }
    if faults.strike(Fault::CmdletNotDelegating).is_some() {
        return Err(CmdletError::not_delegating(role));
    }
    let object_id = service_principal::find(tenant, app)
        .map(|known| known.object_id.clone())
        .ok_or_else(|| CmdletError::no_object(app))?;
    let scope_name = given.text("CustomResourceScope")?;
    let scope = match scope_name {
        None => RoleScope::Organization,
        Some(name) => tenant
            .directory
            .scopes
            .iter()
            .find(|known| known.name.eq_ignore_ascii_case(name))
            .map(|known| RoleScope::Mailboxes(known.mailboxes.clone()))
            .ok_or_else(|| CmdletError::no_object(name))?,
    };
    let name = match given.text("Name")? {
        Some(name) => name.to_owned(),
        None => format!("{role}-{}", Uuid::new_v4().simple()),
    };
    let known = &tenant.management_role_assignments;
    if known.iter().any(|known| known.name.eq_ignore_ascii_case(&name)) {
        return Err(CmdletError::exists(&name));
    }
    if known.len() >= MAX {
        return Err(CmdletError::full());
    }
    let assignment = ManagementRoleAssignment {
        name,
        role: role.to_owned(),
        object_id,
        scope,
        scope_name: scope_name.map(str::to_owned),
    };
    let output = row(tenant, &assignment);
    tenant.add_management_role_assignment(assignment);
    Ok(Output::rows(vec![output]))
}

pub(super) fn get_assignments(
    tenant: &mut Tenant,
    given: &Parameters,
    _: &Faults,
) -> Result<Output, CmdletError> {
    let app = match given.text("App")? {
        Some(app) => Some(app),
        None => given.text("RoleAssignee")?,
    };
    let object_id = match app {
        Some(app) => Some(
            service_principal::find(tenant, app)
                .map(|known| known.object_id.clone())
                .ok_or_else(|| CmdletError::no_object(app))?,
        ),
        None => None,
    };
    let (name, role) = (given.text("Identity")?, given.text("Role")?);
    let is = |own: &str, wanted: Option<&str>| wanted.is_none_or(|wanted| own.eq_ignore_ascii_case(wanted));
    let rows: Vec<Value> = tenant
        .management_role_assignments
        .iter()
        .filter(|known| {
            is(&known.name, name) && is(&known.role, role) && is(&known.object_id, object_id.as_deref())
        })
        .map(|known| row(tenant, known))
        .collect();
    match name {
        Some(name) if rows.is_empty() => Err(CmdletError::no_object(name)),
        _ => Ok(Output::rows(rows)),
    }
}

pub(super) fn remove_assignment(
    tenant: &mut Tenant,
    given: &Parameters,
    _: &Faults,
) -> Result<Output, CmdletError> {
    let name = given.needed("Identity")?;
    let before = tenant.management_role_assignments.len();
    tenant
        .management_role_assignments
        .retain(|known| !known.name.eq_ignore_ascii_case(name));
    if tenant.management_role_assignments.len() == before {
        return Err(CmdletError::no_object(name));
    }
    Ok(Output::default())
}

pub(super) fn test_authorization(
    tenant: &mut Tenant,
    given: &Parameters,
    _: &Faults,
) -> Result<Output, CmdletError> {
    let identity = given.needed("Identity")?;
    let object_id = service_principal::find(tenant, identity)
        .map(|known| known.object_id.clone())
        .ok_or_else(|| CmdletError::no_object(identity))?;
    let resource = match given.text("Resource")? {
        Some(address) => Some(
            tenant
                .mailbox_at(address)
                .map(|mailbox| mailbox.primary().to_owned())
                .ok_or_else(|| CmdletError::no_object(address))?,
        ),
        None => None,
    };
    let rows = tenant
        .management_role_assignments
        .iter()
        .filter(|known| known.object_id.eq_ignore_ascii_case(&object_id))
        .map(|known| {
            let in_scope = match (&resource, &known.scope) {
                (None, _) => "Not Run",
                (Some(_), RoleScope::Organization) => "True",
                (Some(address), RoleScope::Mailboxes(list)) if list.contains(address) => "True",
                (Some(_), RoleScope::Mailboxes(_)) => "False",
            };
            json!({
                "RoleName": known.role,
                "GrantedPermissions": known.role.trim_start_matches("Application "),
                "AllowedResourceScope": known.scope_name.as_deref().unwrap_or("Organization"),
                "ScopeType": if known.scope_name.is_some() { "CustomRecipientScope" } else { "Organization" },
                "InScope": in_scope,
            })
        });
    Ok(Output::rows(rows.collect()))
}

#[cfg(test)]
mod tests {
    use super::reached;

    #[test]
    fn filters_name_addresses() {
        let list = |filter: &str| reached(filter).map(|set| set.into_iter().collect::<Vec<_>>());
        assert_eq!(
            list(
                "(PrimarySmtpAddress -eq 'Joe@contoso.example') -or (PrimarySmtpAddress -eq 'ann@contoso.example')"
            ),
            Some(vec![
                "ann@contoso.example".to_owned(),
                "joe@contoso.example".to_owned()
            ])
        );
        assert_eq!(list("MemberOfGroup -eq 'CN=x,OU=y'"), Some(Vec::new()));
        assert_eq!(list("Department -eq 'x'"), None);
        assert_eq!(list("PrimarySmtpAddress -eq x"), None);
    }
}
