//! `appRoleAssignments` and `appRoleAssignedTo`: admin consent, role by role.

use axum::http::{Method, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::error::GraphError;
use super::principal::display_name;
use super::{ASSIGN, Call, READ, Reply};
use crate::faults::Fault;
use crate::state::{AppRole, EXCHANGE_ROLES, GRAPH_ROLES, ServicePrincipal, Tenant};
use crate::time;

/// Names of the two service principals that offer roles here.
pub(super) const EXCHANGE_NAME: &str = "Office 365 Exchange Online";
pub(super) const GRAPH_NAME: &str = "Microsoft Graph";

/// Whose roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resource {
    Exchange,
    Graph,
}

impl Resource {
    const ALL: [Self; 2] = [Self::Exchange, Self::Graph];

    fn find(tenant: &Tenant, id: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|resource| resource.object_id(tenant).eq_ignore_ascii_case(id))
    }

    fn object_id(self, tenant: &Tenant) -> &str {
        match self {
            Self::Exchange => &tenant.directory.exchange_object_id,
            Self::Graph => &tenant.directory.graph_object_id,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Exchange => EXCHANGE_NAME,
            Self::Graph => GRAPH_NAME,
        }
    }

    fn roles(self) -> &'static [AppRole] {
        match self {
            Self::Exchange => &EXCHANGE_ROLES,
            Self::Graph => &GRAPH_ROLES,
        }
    }

    fn has(self, principal: &ServicePrincipal, role: &AppRole) -> bool {
        match self {
            Self::Exchange => principal.roles.contains(role.value),
            Self::Graph => principal.graph_roles.contains(role.value),
        }
    }
}

/// One role that one service principal has.
struct Assignment<'a> {
    principal: &'a ServicePrincipal,
    resource: Resource,
    role: &'static AppRole,
}

/// All there are. They are not stored as such: roles are, and an assignment's id follows from what it assigns.
fn all(tenant: &Tenant) -> impl Iterator<Item = Assignment<'_>> {
    tenant.service_principals.iter().flat_map(|principal| {
        Resource::ALL.into_iter().flat_map(move |resource| {
            resource
                .roles()
                .iter()
                .filter(move |role| resource.has(principal, role))
                .map(move |role| Assignment {
                    principal,
                    resource,
                    role,
                })
        })
    })
}

impl Assignment<'_> {
    fn id(&self) -> String {
        let text = format!(
            "{}/{:?}/{}",
            self.principal.object_id, self.resource, self.role.id
        );
        URL_SAFE_NO_PAD.encode(Sha256::digest(text))
    }

    fn json(&self, tenant: &Tenant) -> Value {
        json!({
            "id": self.id(),
            "appRoleId": self.role.id,
            // When consent was given is not kept; it was not before this.
            "createdDateTime": time::graph_property(self.principal.created),
            "deletedDateTime": null,
            "principalDisplayName": display_name(tenant, self.principal),
            "principalId": self.principal.object_id,
            "principalType": "ServicePrincipal",
            "resourceDisplayName": self.resource.name(),
            "resourceId": self.resource.object_id(tenant),
        })
    }
}

/// `/servicePrincipals/{id}/appRoleAssignments` (what it has) and `…/appRoleAssignedTo` (who has what of it).
pub(super) fn collection(
    tenant: &mut Tenant,
    call: &Call<'_>,
    id: &str,
    kind: &str,
    rest: &[&str],
) -> Result<Reply, GraphError> {
    call.need(if call.method == Method::GET { READ } else { ASSIGN })?;
    let is_principal = tenant
        .service_principals
        .iter()
        .any(|sp| sp.object_id.eq_ignore_ascii_case(id));
    if call.faults.strike(Fault::GraphNotReplicated).is_some()
        || (!is_principal && Resource::find(tenant, id).is_none())
    {
        return Err(GraphError::not_found(id));
    }
    let belongs = |tenant: &Tenant, assignment: &Assignment<'_>| {
        let owner = if kind == "appRoleAssignments" {
            assignment.principal.object_id.as_str()
        } else {
            assignment.resource.object_id(tenant)
        };
        owner.eq_ignore_ascii_case(id)
    };
    let what = format!("servicePrincipals('{id}')/{kind}");
    match (rest, call.method) {
        ([], &Method::GET) => {
            let list = all(tenant)
                .filter(|assignment| belongs(tenant, assignment))
                .map(|assignment| assignment.json(tenant))
                .collect();
            call.list(&what, list)
        }
        ([], &Method::POST) => create(tenant, call, id, kind, &what),
        ([key], &Method::GET | &Method::DELETE) => {
            let found = all(tenant)
                .find(|assignment| assignment.id() == *key && belongs(tenant, assignment))
                .ok_or_else(|| GraphError::not_found(key))?;
            if call.method == Method::GET {
                return call.entity(StatusCode::OK, &what, found.json(tenant));
            }
            let (resource, role) = (found.resource, found.role);
            let (object_id, app_id) = (
                found.principal.object_id.clone(),
                found.principal.client_id.clone(),
            );
            match resource {
                Resource::Exchange => tenant
                    .remove_role(&app_id, role.value)
                    .map_err(|_| GraphError::not_found(&object_id))?,
                Resource::Graph => {
                    principal(tenant, &object_id)?.graph_roles.remove(role.value);
                }
            }
            Ok((StatusCode::NO_CONTENT, None))
        }
        _ => Err(GraphError::method()),
    }
}

fn principal<'a>(tenant: &'a mut Tenant, id: &str) -> Result<&'a mut ServicePrincipal, GraphError> {
    tenant
        .service_principals
        .iter_mut()
        .find(|sp| sp.object_id.eq_ignore_ascii_case(id))
        .ok_or_else(|| GraphError::not_found(id))
}

fn create(
    tenant: &mut Tenant,
    call: &Call<'_>,
    id: &str,
    kind: &str,
    what: &str,
) -> Result<Reply, GraphError> {
    const NAME: &str = "AppRoleAssignment";
    let principal_id = call.text("principalId", NAME)?;
    let resource_id = call.text("resourceId", NAME)?;
    let role_id = call.text("appRoleId", NAME)?;
    let (owner, property) = match kind {
        "appRoleAssignments" => (principal_id, "principalId"),
        _ => (resource_id, "resourceId"),
    };
    if !owner.eq_ignore_ascii_case(id) {
        return Err(GraphError::invalid_value(property, NAME));
    }
    let client_id = principal(tenant, principal_id)?.client_id.clone();
    let resource = match Resource::find(tenant, resource_id) {
        Some(resource) => resource,
        // Another application offers no roles here; what is no service principal is not there.
        None => {
            principal(tenant, resource_id)?;
            return Err(GraphError::no_such_role(resource_id));
        }
    };
    let role = resource
        .roles()
        .iter()
        .find(|role| role.id.eq_ignore_ascii_case(role_id))
        .ok_or_else(|| GraphError::no_such_role(resource.name()))?;
    let receiver = principal(tenant, principal_id)?;
    if resource.has(receiver, role) {
        return Err(GraphError::assigned_already());
    }
    let receiver = receiver.clone();
    let body = Assignment {
        principal: &receiver,
        resource,
        role,
    }
    .json(tenant);
    match resource {
        Resource::Exchange => tenant
            .add_role(&client_id, role.value)
            .map_err(|_| GraphError::not_found(principal_id))?,
        Resource::Graph => {
            principal(tenant, principal_id)?
                .graph_roles
                .insert(role.value.to_owned());
        }
    }
    call.entity(StatusCode::CREATED, what, body)
}
