//! `/servicePrincipals`: enterprise applications, and those of Exchange and of Graph itself.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::error::GraphError;
use super::{Call, READ, Reply, WRITE, assignment};
use crate::faults::Fault;
use crate::state::{
    AppRole, EXCHANGE_APP_ID, EXCHANGE_ROLES, GRAPH_APP_ID, GRAPH_ROLES, ServicePrincipal, Tenant,
};
use crate::time;

/// The delegated permissions with which the mail protocols are confused (facts §4.1): id and value.
const EXCHANGE_SCOPES: [(&str, &str); 1] = [("ab4f2b77-0b06-4fc1-a9de-02113fc2ab7c", "Exchange.Manage")];
const GRAPH_SCOPES: [(&str, &str); 4] = [
    ("652390e4-393a-48de-9484-05f9b1212954", "IMAP.AccessAsUser.All"),
    ("d7b7f2d9-0f45-4ea1-9d42-e50810c06991", "POP.AccessAsUser.All"),
    ("258f6531-6087-4cc4-bb90-092c5fb3ed3f", "SMTP.Send"),
    ("e1fe6dd8-ba31-4d61-89e7-88639da4683d", "User.Read"),
];

/// `/servicePrincipals` and everything below it.
pub(super) fn collection(tenant: &mut Tenant, call: &Call<'_>, rest: &[&str]) -> Result<Reply, GraphError> {
    match (rest, call.method) {
        ([], &Method::GET) => {
            call.need(READ)?;
            let mut all = vec![
                microsoft(tenant, EXCHANGE_APP_ID),
                microsoft(tenant, GRAPH_APP_ID),
            ];
            all.extend(tenant.service_principals.iter().map(|sp| json(tenant, sp)));
            call.list("servicePrincipals", all)
        }
        ([], &Method::POST) => create(tenant, call),
        ([], _) => Err(GraphError::method()),
        ([id, rest @ ..], _) => one(tenant, call, id, rest),
    }
}

/// The object id of an application's service principal.
pub(super) fn id_of(tenant: &Tenant, app_id: &str) -> Option<String> {
    match app_id {
        EXCHANGE_APP_ID => Some(tenant.directory.exchange_object_id.clone()),
        GRAPH_APP_ID => Some(tenant.directory.graph_object_id.clone()),
        _ => tenant.enterprise_object_id(app_id).map(str::to_owned),
    }
}

/// `/servicePrincipals/{id}` and everything below it.
pub(super) fn one(
    tenant: &mut Tenant,
    call: &Call<'_>,
    id: &str,
    rest: &[&str],
) -> Result<Reply, GraphError> {
    if let [kind @ ("appRoleAssignments" | "appRoleAssignedTo"), rest @ ..] = rest {
        return assignment::collection(tenant, call, id, kind, rest);
    }
    if let [segment, ..] = rest {
        return Err(GraphError::no_segment(segment));
    }
    call.need(if call.method == Method::GET { READ } else { WRITE })?;
    if call.faults.strike(Fault::GraphNotReplicated).is_some() {
        return Err(GraphError::not_found(id));
    }
    let at = tenant
        .service_principals
        .iter()
        .position(|sp| sp.object_id.eq_ignore_ascii_case(id));
    let object = if id.eq_ignore_ascii_case(&tenant.directory.exchange_object_id) {
        microsoft(tenant, EXCHANGE_APP_ID)
    } else if id.eq_ignore_ascii_case(&tenant.directory.graph_object_id) {
        microsoft(tenant, GRAPH_APP_ID)
    } else {
        let found = at.and_then(|at| tenant.service_principals.get(at));
        json(tenant, found.ok_or_else(|| GraphError::not_found(id))?)
    };
    match (call.method, at) {
        (&Method::GET, _) => call.entity(StatusCode::OK, "servicePrincipals", object),
        (&Method::PATCH, Some(at)) => {
            for (name, value) in call.object()? {
                let enabled = value.as_bool().filter(|_| name == "accountEnabled");
                let enabled = enabled.ok_or_else(|| GraphError::invalid_value(name, "ServicePrincipal"))?;
                if let Some(sp) = tenant.service_principals.get_mut(at) {
                    sp.enabled = enabled;
                }
            }
            Ok((StatusCode::NO_CONTENT, None))
        }
        (&Method::DELETE, Some(at)) => {
            tenant.service_principals.remove(at);
            Ok((StatusCode::NO_CONTENT, None))
        }
        // Nobody takes Microsoft's own away.
        (&Method::PATCH | &Method::DELETE, None) => Err(GraphError::denied()),
        _ => Err(GraphError::method()),
    }
}

fn create(tenant: &mut Tenant, call: &Call<'_>) -> Result<Reply, GraphError> {
    call.need(WRITE)?;
    let app_id = call.text("appId", "ServicePrincipal")?;
    if Uuid::parse_str(app_id).is_err() {
        return Err(GraphError::invalid_value("appId", "ServicePrincipal"));
    }
    if call.faults.strike(Fault::GraphNoBackingApplication).is_some() {
        return Err(GraphError::no_backing_application(app_id));
    }
    if call.faults.strike(Fault::GraphNotInLocalTenant).is_some() {
        return Err(GraphError::not_in_local_tenant());
    }
    if id_of(tenant, app_id).is_some() {
        return Err(GraphError::principal_exists(app_id));
    }
    let app_id = tenant
        .application(app_id)
        .map(|app| app.client_id.clone())
        .ok_or_else(|| GraphError::no_backing_application(app_id))?;
    let principal = ServicePrincipal::new(&app_id, call.now);
    let body = json(tenant, &principal);
    tenant.service_principals.push(principal);
    call.entity(StatusCode::CREATED, "servicePrincipals", body)
}

/// Its name: that of the application.
pub(super) fn display_name<'a>(tenant: &'a Tenant, principal: &ServicePrincipal) -> &'a str {
    tenant
        .application(&principal.client_id)
        .map(|app| app.display_name.as_str())
        .unwrap_or_default()
}

fn json(tenant: &Tenant, principal: &ServicePrincipal) -> Value {
    let name = display_name(tenant, principal);
    json!({
        "id": principal.object_id,
        "accountEnabled": principal.enabled,
        "appDisplayName": name,
        "appId": principal.client_id,
        "appOwnerOrganizationId": tenant.id(),
        "appRoleAssignmentRequired": false,
        "appRoles": [],
        "createdDateTime": time::graph_property(principal.created),
        "displayName": name,
        "oauth2PermissionScopes": [],
        "servicePrincipalNames": [principal.client_id],
        "servicePrincipalType": "Application",
        "tags": ["WindowsAzureActiveDirectoryIntegratedApp"],
    })
}

/// Exchange's service principal, or Graph's.
fn microsoft(tenant: &Tenant, app_id: &str) -> Value {
    let (id, name, roles, scopes): (_, _, &[AppRole], &[(&str, &str)]) = if app_id == EXCHANGE_APP_ID {
        (
            &tenant.directory.exchange_object_id,
            assignment::EXCHANGE_NAME,
            &EXCHANGE_ROLES,
            &EXCHANGE_SCOPES,
        )
    } else {
        (
            &tenant.directory.graph_object_id,
            assignment::GRAPH_NAME,
            &GRAPH_ROLES,
            &GRAPH_SCOPES,
        )
    };
    let roles: Vec<Value> = roles
        .iter()
        .map(|role| {
            json!({
                "allowedMemberTypes": ["Application"],
                "description": role.display_name,
                "displayName": role.display_name,
                "id": role.id,
                "isEnabled": true,
                "origin": "Application",
                "value": role.value,
            })
        })
        .collect();
    let scopes: Vec<Value> = scopes
        .iter()
        .map(|(id, value)| json!({"id": id, "isEnabled": true, "type": "User", "value": value}))
        .collect();
    json!({
        "id": id,
        "accountEnabled": true,
        "appDisplayName": name,
        "appId": app_id,
        "appOwnerOrganizationId": "f8cdef31-a31e-4b4a-93e4-5f571e91255a",
        "appRoleAssignmentRequired": false,
        "appRoles": roles,
        "displayName": name,
        "oauth2PermissionScopes": scopes,
        "servicePrincipalNames": [app_id],
        "servicePrincipalType": "Application",
        "tags": [],
    })
}
