//! What clients look up without signing in.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::json;
use uuid::Uuid;

use super::Entra;
use super::fault::{Fault, answer, correlation};
use super::grant::check_tenant_name;
use crate::keys;

/// `/{tenant}/v2.0/.well-known/openid-configuration` (facts §1.9). The tenant in the answer's URLs is always the
/// GUID, also when a domain was asked for.
pub(super) async fn configuration(
    State(entra): State<Entra>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    let (id, issuer) = match name.as_str() {
        // Entra answers these with a placeholder for the issuer.
        "common" | "organizations" => (name, "{tenantid}".to_owned()),
        _ => {
            let tenant = entra.shared.tenant();
            match check_tenant_name(&tenant, &name, "invalid_tenant") {
                Ok(()) => (tenant.id.clone(), tenant.id.clone()),
                Err(fault) => return fault.into_response(&headers, tenant.now()),
            }
        }
    };
    let base = format!("{}/{id}", entra.authority);
    let body = json!({
        "token_endpoint": format!("{base}/oauth2/v2.0/token"),
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "jwks_uri": format!("{base}/discovery/v2.0/keys"),
        "response_modes_supported": ["query", "fragment", "form_post"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["code"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "issuer": format!("{}/{issuer}/v2.0", entra.authority),
        "authorization_endpoint": format!("{base}/oauth2/v2.0/authorize"),
        "device_authorization_endpoint": format!("{base}/oauth2/v2.0/devicecode"),
        "tenant_region_scope": "WW",
        "cloud_instance_name": "microsoftonline.com",
        "cloud_graph_host_name": "graph.windows.net",
        "msgraph_host": "graph.microsoft.com",
        "rbac_url": "https://pas.windows.net",
    });
    answer(
        StatusCode::OK,
        &body,
        &Uuid::new_v4().to_string(),
        &correlation(&headers),
    )
}

/// `/{tenant}/discovery/v2.0/keys`: the same keys for all tenants.
pub(super) async fn keys(State(entra): State<Entra>, headers: HeaderMap) -> Response {
    let jwks = match keys::signing_key().await {
        Ok(key) => key.get().map(|key| key.jwks()),
        Err(error) => Err(error),
    };
    match jwks {
        Ok(jwks) => answer(
            StatusCode::OK,
            &jwks,
            &Uuid::new_v4().to_string(),
            &correlation(&headers),
        ),
        Err(_) => Fault::server().into_response(&headers, entra.shared.clock.now()),
    }
}
