//! The access token that an application gets.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::error::SandboxError;
use crate::faults::Fault;
use crate::keys::{self, TokenOverrides};
use crate::shared::Shared;
use crate::state::{EXCHANGE_RESOURCE, GRAPH_RESOURCE, Tenant};

/// `exp` − `nbf` of Entra's tokens, in seconds; clients are told 3599.
const LIFE: i64 = 3900;

/// How the application proved who it is; the `appidacr` claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    Secret,
    Certificate,
}

/// The claims of an app-only token for `audience`, issued at `now`.
pub(crate) fn claims(
    tenant: &Tenant,
    client_id: &str,
    audience: &str,
    proof: Proof,
    now: Timestamp,
) -> Map<String, Value> {
    let now = now.as_second();
    let oid = tenant.enterprise_object_id(client_id).unwrap_or_default();
    let name = tenant
        .application(client_id)
        .map(|app| app.display_name.as_str())
        .unwrap_or_default();
    let filler = || URL_SAFE_NO_PAD.encode(Uuid::new_v4().as_bytes());
    let mut claims = Map::new();
    let mut put = |name: &str, value: Value| {
        claims.insert(name.to_owned(), value);
    };
    put("aud", json!(audience));
    put("iss", json!(format!("https://sts.windows.net/{}/", tenant.id)));
    put("iat", json!(now));
    put("nbf", json!(now));
    put("exp", json!(now + LIFE));
    put("aio", json!(filler()));
    put("app_displayname", json!(name));
    put("appid", json!(client_id));
    put(
        "appidacr",
        json!(match proof {
            Proof::Secret => "1",
            Proof::Certificate => "2",
        }),
    );
    put("idp", json!(format!("https://sts.windows.net/{}/", tenant.id)));
    put("idtyp", json!("app"));
    put("oid", json!(oid));
    put("rh", json!(format!("1.{}.", filler())));
    // Without consent there is no such claim, and the token is issued all the same.
    let roles = tenant
        .service_principal(client_id)
        .map(|sp| {
            if audience.trim_end_matches('/') == GRAPH_RESOURCE {
                &sp.graph_roles
            } else {
                &sp.roles
            }
        })
        .filter(|roles| !roles.is_empty());
    if let Some(roles) = roles {
        put("roles", json!(roles));
    }
    put("sid", json!(Uuid::new_v4().to_string()));
    put("sub", json!(oid));
    put("tid", json!(tenant.id));
    put("uti", json!(filler()));
    put("ver", json!("1.0"));
    put("wids", json!(["0997a1d0-0d1d-4acb-b408-d5ca73121e90"]));
    claims
}

/// Pads the claims so that the signed token has at least `characters` characters.
pub(crate) fn pad(claims: &mut Map<String, Value>, characters: usize) {
    // base64url makes 4 of 3; header and signature come on top of it.
    let payload = serde_json::to_string(claims).map_or(0, |text| text.len());
    let missing = (characters.saturating_mul(3) / 4).saturating_sub(payload);
    if characters > 0 && missing > 0 {
        claims.insert("xms_padding".to_owned(), Value::String("x".repeat(missing)));
    }
}

/// Signs claims with the trusted key.
pub(crate) async fn sign(
    mut claims: Map<String, Value>,
    minimum_length: usize,
) -> Result<String, SandboxError> {
    pad(&mut claims, minimum_length);
    keys::signing_key().await?.get()?.sign(&Value::Object(claims))
}

/// How long tokens are at least, in characters.
pub(super) fn minimum_length(shared: &Shared) -> usize {
    let characters = shared.faults.value(Fault::TokenLength).unwrap_or(0);
    usize::try_from(characters).unwrap_or(usize::MAX)
}

/// A token made to order.
pub(crate) async fn mint(
    shared: &Shared,
    client_id: &str,
    overrides: &TokenOverrides,
) -> Result<String, SandboxError> {
    let now = shared.clock.now();
    let issued = if overrides.expired {
        now - jiff::SignedDuration::from_hours(2)
    } else {
        now
    };
    let mut claims = claims(
        &shared.tenant(),
        client_id,
        EXCHANGE_RESOURCE,
        Proof::Secret,
        issued,
    );
    for (name, value) in &overrides.claims {
        if value.is_null() {
            claims.remove(name);
        } else {
            claims.insert(name.clone(), value.clone());
        }
    }
    if !overrides.bad_signature {
        return sign(claims, overrides.minimum_length.max(minimum_length(shared))).await;
    }
    pad(&mut claims, overrides.minimum_length);
    let trusted = keys::signing_key().await?;
    keys::stranger()
        .await?
        .get()?
        .sign_as(trusted.get()?.kid(), &Value::Object(claims))
}
