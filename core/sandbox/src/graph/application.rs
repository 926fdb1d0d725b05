//! `/applications`: registrations and their credentials.

use axum::http::{Method, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::error::GraphError;
use super::{Call, READ, Reply, WRITE};
use crate::faults::Fault;
use crate::state::{AppCertificate, Application, ClientSecret, Tenant};
use crate::time;

/// How many applications a tenant takes, and how many credentials of each kind an application.
const MAX_APPLICATIONS: usize = 1_000;
const MAX_CREDENTIALS: usize = 50;

/// Properties that are stored as they come. `displayName` and `keyCredentials` have homes of their own.
const STORED: [&str; 16] = [
    "api",
    "appRoles",
    "description",
    "groupMembershipClaims",
    "identifierUris",
    "info",
    "isFallbackPublicClient",
    "notes",
    "optionalClaims",
    "publicClient",
    "requiredResourceAccess",
    "serviceManagementReference",
    "signInAudience",
    "spa",
    "tags",
    "uniqueName",
];

/// `/applications` and everything below it.
pub(super) fn collection(tenant: &mut Tenant, call: &Call<'_>, rest: &[&str]) -> Result<Reply, GraphError> {
    match (rest, call.method) {
        ([], &Method::GET) => {
            call.need(READ)?;
            let with_keys = call.query()?.selects("keyCredentials");
            let all = tenant
                .applications
                .iter()
                .map(|app| json(tenant, app, with_keys))
                .collect();
            call.list("applications", all)
        }
        ([], &Method::POST) => create(tenant, call),
        ([], _) => Err(GraphError::method()),
        ([id, rest @ ..], _) => one(tenant, call, id, rest),
    }
}

/// `/applications/{id}` and everything below it.
pub(super) fn one(
    tenant: &mut Tenant,
    call: &Call<'_>,
    id: &str,
    rest: &[&str],
) -> Result<Reply, GraphError> {
    call.need(if call.method == Method::GET { READ } else { WRITE })?;
    if call.faults.strike(Fault::GraphNotReplicated).is_some() {
        return Err(GraphError::not_found(id));
    }
    let index = tenant
        .applications
        .iter()
        .position(|app| app.object_id.eq_ignore_ascii_case(id))
        .ok_or_else(|| GraphError::not_found(id))?;
    match (rest, call.method) {
        ([], &Method::GET) => {
            let with_keys = call.query()?.selects("keyCredentials");
            let app = find(tenant, index, id)?;
            let body = json(tenant, app, with_keys);
            call.entity(StatusCode::OK, "applications", body)
        }
        ([], &Method::PATCH) => patch(tenant, call, index, id),
        ([], &Method::DELETE) => {
            let app = tenant.applications.remove(index);
            // The enterprise application goes with it, in the application's own tenant.
            tenant
                .service_principals
                .retain(|sp| !sp.client_id.eq_ignore_ascii_case(&app.client_id));
            Ok((StatusCode::NO_CONTENT, None))
        }
        (["addPassword"], &Method::POST) => add_password(tenant, call, index, id),
        (["removePassword"], &Method::POST) => {
            let key_id = call.text("keyId", "Application")?;
            let secrets = &mut find_mut(tenant, index, id)?.secrets;
            let before = secrets.len();
            secrets.retain(|secret| !secret.key_id.eq_ignore_ascii_case(key_id));
            if secrets.len() == before {
                return Err(GraphError::bad_request(
                    "No password credential found with keyId.",
                ));
            }
            Ok((StatusCode::NO_CONTENT, None))
        }
        (["federatedIdentityCredentials", rest @ ..], _) => federated(tenant, call, index, id, rest),
        ([], _) | (["addPassword" | "removePassword"], _) => Err(GraphError::method()),
        ([segment, ..], _) => Err(GraphError::no_segment(segment)),
    }
}

fn find<'a>(tenant: &'a Tenant, index: usize, id: &str) -> Result<&'a Application, GraphError> {
    tenant
        .applications
        .get(index)
        .ok_or_else(|| GraphError::not_found(id))
}

fn find_mut<'a>(tenant: &'a mut Tenant, index: usize, id: &str) -> Result<&'a mut Application, GraphError> {
    tenant
        .applications
        .get_mut(index)
        .ok_or_else(|| GraphError::not_found(id))
}

fn create(tenant: &mut Tenant, call: &Call<'_>) -> Result<Reply, GraphError> {
    call.need(WRITE)?;
    let name = call.text("displayName", "Application")?;
    if tenant.applications.len() >= MAX_APPLICATIONS {
        return Err(GraphError::full());
    }
    let mut application = Application::new(name, call.now);
    update(&mut application, call)?;
    let body = json(tenant, &application, false);
    tenant.applications.push(application);
    call.entity(StatusCode::CREATED, "applications", body)
}

fn patch(tenant: &mut Tenant, call: &Call<'_>, index: usize, id: &str) -> Result<Reply, GraphError> {
    let application = find_mut(tenant, index, id)?;
    // All or nothing.
    let mut changed = application.clone();
    update(&mut changed, call)?;
    *application = changed;
    Ok((StatusCode::NO_CONTENT, None))
}

/// Takes over what the body says.
fn update(application: &mut Application, call: &Call<'_>) -> Result<(), GraphError> {
    let invalid = |name: &str| GraphError::invalid_value(name, "Application");
    for (name, value) in call.object()? {
        match name.as_str() {
            "displayName" => {
                let text = value
                    .as_str()
                    .filter(|text| !text.is_empty() && text.len() <= 256);
                application.display_name = text.ok_or_else(|| invalid(name))?.to_owned();
            }
            "keyCredentials" => {
                if call.faults.strike(Fault::GraphCredentialPolicy).is_some() {
                    return Err(GraphError::credential_policy());
                }
                application.certificates = certificates(value, &application.certificates)?;
            }
            name if STORED.contains(&name) => {
                application.properties.insert(name.to_owned(), value.clone());
            }
            // Properties of the request itself.
            name if name.starts_with("@odata.") => {}
            // passwordCredentials among them: only addPassword makes secrets.
            _ => return Err(invalid(name)),
        }
    }
    Ok(())
}

/// The new list in place of the old one. An entry that names an old one by its `keyId` and has no `key` keeps it.
fn certificates(list: &Value, old: &[AppCertificate]) -> Result<Vec<AppCertificate>, GraphError> {
    let invalid = || GraphError::invalid_value("keyCredentials", "Application");
    let list = list
        .as_array()
        .filter(|list| list.len() <= MAX_CREDENTIALS)
        .ok_or_else(invalid)?;
    list.iter()
        .map(|entry| {
            let text = |name: &str| entry.get(name).and_then(Value::as_str);
            let known =
                text("keyId").and_then(|id| old.iter().find(|known| known.key_id.eq_ignore_ascii_case(id)));
            let Some(key) = text("key").filter(|key| !key.is_empty()) else {
                return known.cloned().ok_or_else(invalid);
            };
            if text("type") != Some("AsymmetricX509Cert") || text("usage") != Some("Verify") {
                return Err(invalid());
            }
            let der = STANDARD.decode(key).map_err(|_| invalid())?;
            let mut certificate = AppCertificate::from_der(&der).map_err(|_| {
                GraphError::bad_request(
                    "Key credential end date is invalid or the certificate cannot be read.",
                )
            })?;
            certificate.display_name = text("displayName").map(str::to_owned);
            if let Some(id) = text("keyId") {
                certificate.key_id = Uuid::parse_str(id).map_err(|_| invalid())?.to_string();
            }
            Ok(certificate)
        })
        .collect()
}

fn add_password(tenant: &mut Tenant, call: &Call<'_>, index: usize, id: &str) -> Result<Reply, GraphError> {
    if call.faults.strike(Fault::GraphCredentialPolicy).is_some() {
        return Err(GraphError::credential_policy());
    }
    let given = call.body.get("passwordCredential").unwrap_or(&Value::Null);
    let date = |name: &str| -> Result<Option<Timestamp>, GraphError> {
        match given.get(name).and_then(Value::as_str) {
            None => Ok(None),
            Some(text) => text
                .parse()
                .map(Some)
                .map_err(|_| GraphError::invalid_value(name, "PasswordCredential")),
        }
    };
    let (start, end) = (date("startDateTime")?, date("endDateTime")?);
    let secrets = &mut find_mut(tenant, index, id)?.secrets;
    if secrets.len() >= MAX_CREDENTIALS {
        return Err(GraphError::full());
    }
    let mut secret = ClientSecret::generate(call.now);
    secret.display_name = given
        .get("displayName")
        .and_then(Value::as_str)
        .map(str::to_owned);
    secret.start = start.unwrap_or(secret.start);
    secret.end = end.unwrap_or(secret.end);
    if secret.end <= secret.start {
        return Err(GraphError::invalid_value("endDateTime", "PasswordCredential"));
    }
    let mut shown = secret_json(&secret);
    if let Some(shown) = shown.as_object_mut() {
        shown.insert("secretText".to_owned(), json!(secret.value));
        shown.insert(
            "@odata.context".to_owned(),
            json!(call.context("microsoft.graph.passwordCredential")),
        );
    }
    secrets.push(secret);
    Ok((StatusCode::OK, Some(shown)))
}

/// Trust in tokens of somebody else: kept and shown, and used by nothing here.
fn federated(
    tenant: &mut Tenant,
    call: &Call<'_>,
    index: usize,
    id: &str,
    rest: &[&str],
) -> Result<Reply, GraphError> {
    const RESOURCE: &str = "FederatedIdentityCredential";
    const MAX_FEDERATED: usize = 20;
    let what = format!("applications('{id}')/federatedIdentityCredentials");
    let list = &mut find_mut(tenant, index, id)?.federated;
    let has = |credential: &Map<String, Value>, name: &str, value: &str| {
        credential.get(name).and_then(Value::as_str) == Some(value)
    };
    match (rest, call.method) {
        ([], &Method::GET) => call.list(&what, list.iter().cloned().map(Value::Object).collect()),
        ([], &Method::POST) => {
            let name = call.text("name", RESOURCE)?;
            let issuer = call.text("issuer", RESOURCE)?;
            let subject = call.text("subject", RESOURCE)?;
            let audiences = call.object()?.get("audiences").and_then(Value::as_array);
            if audiences.is_none_or(|list| list.len() != 1 || !list.iter().all(Value::is_string)) {
                return Err(GraphError::invalid_value("audiences", RESOURCE));
            }
            if list.iter().any(|known| {
                has(known, "name", name) || (has(known, "issuer", issuer) && has(known, "subject", subject))
            }) {
                return Err(GraphError::bad_request(
                    "FederatedIdentityCredential with the same issuer and subject, or the same name, already exists \
                     on the object.",
                ));
            }
            if list.len() >= MAX_FEDERATED {
                return Err(GraphError::full());
            }
            let mut credential = call.object()?.clone();
            credential.insert("id".to_owned(), json!(Uuid::new_v4().to_string()));
            list.push(credential.clone());
            call.entity(StatusCode::CREATED, &what, Value::Object(credential))
        }
        ([key], &Method::GET | &Method::DELETE) => {
            let at = list
                .iter()
                .position(|known| has(known, "id", key) || has(known, "name", key))
                .ok_or_else(|| GraphError::not_found(key))?;
            if call.method == Method::DELETE {
                list.remove(at);
                return Ok((StatusCode::NO_CONTENT, None));
            }
            let credential = list.get(at).cloned().unwrap_or_default();
            call.entity(StatusCode::OK, &what, Value::Object(credential))
        }
        _ => Err(GraphError::method()),
    }
}

/// A secret as Graph shows it afterwards: never the value.
fn secret_json(secret: &ClientSecret) -> Value {
    json!({
        "customKeyIdentifier": null,
        "displayName": secret.display_name,
        "endDateTime": time::graph_property(secret.end),
        "hint": secret.value.chars().take(3).collect::<String>(),
        "keyId": secret.key_id,
        "secretText": null,
        "startDateTime": time::graph_property(secret.start),
    })
}

/// A registration. Graph shows the certificates themselves only to those who select `keyCredentials`.
fn json(tenant: &Tenant, application: &Application, with_keys: bool) -> Value {
    let keys: Vec<Value> = application
        .certificates
        .iter()
        .map(|certificate| {
            json!({
                "customKeyIdentifier": certificate.thumbprint,
                "displayName": certificate.display_name,
                "endDateTime": time::graph_property(certificate.end),
                "key": with_keys.then(|| STANDARD.encode(&certificate.der)),
                "keyId": certificate.key_id,
                "startDateTime": time::graph_property(certificate.start),
                "type": "AsymmetricX509Cert",
                "usage": "Verify",
            })
        })
        .collect();
    let secrets: Vec<Value> = application.secrets.iter().map(secret_json).collect();
    let mut object = json!({
        "id": application.object_id,
        "appId": application.client_id,
        "createdDateTime": time::graph_property(application.created),
        "displayName": application.display_name,
        "identifierUris": [],
        "keyCredentials": keys,
        "passwordCredentials": secrets,
        "publisherDomain": tenant.domains().first(),
        "requiredResourceAccess": [],
        "signInAudience": "AzureADMyOrg",
        "tags": [],
    });
    if let Some(object) = object.as_object_mut() {
        object.extend(application.properties.clone());
    }
    object
}
