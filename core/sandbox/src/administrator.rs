//! The administrator: the tokens that Graph and Exchange's admin endpoint take, and what their bearer may do.

use axum::http::{HeaderMap, header};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, Validation};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::error::SandboxError;
use crate::keys;
use crate::shared::Shared;
use crate::state::{EXCHANGE_RESOURCE, GRAPH_RESOURCE};

/// For which of the two services an administrator's token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AdminScope {
    /// Microsoft Graph, with the scopes that a set-up needs.
    Graph,
    /// Exchange Online's cmdlets.
    Exchange,
}

/// The directory roles that count here: template ids, the same in all tenants, as the `wids` claim has them.
const GLOBAL_ADMINISTRATOR: &str = "62e90394-69f5-4237-9190-012177145e10";
const PRIVILEGED_ROLE_ADMINISTRATOR: &str = "e8611ab8-c189-46e8-94e1-60213ab1f814";
const APPLICATION_ADMINISTRATOR: &str = "9b895d92-2cd3-44c7-9d02-a6ac2d5ea5c3";
const CLOUD_APPLICATION_ADMINISTRATOR: &str = "158c047a-c907-4556-b7ef-446551a6b5f7";

const EXCHANGE_ADMINISTRATOR: &str = "29232cdf-9323-42fd-ade2-1d097af3e4de";

/// Azure CLI and Exchange Online PowerShell, whose tokens these look like (facts §4.1).
const AZURE_CLI: &str = "04b07795-8ddb-461a-bbee-02f9e1bf7b46";
const EXCHANGE_POWERSHELL: &str = "fb78d390-0c51-40cd-8e17-fdbfab77341b";

/// Signs a delegated token of the tenant's Global Administrator.
pub(crate) async fn issue(shared: &Shared, scope: AdminScope) -> Result<String, SandboxError> {
    let claims = {
        let tenant = shared.tenant();
        let now = shared.clock.now().as_second();
        let domain = tenant.domains().first().cloned().unwrap_or_default();
        let (aud, appid, scp) = match scope {
            AdminScope::Graph => (
                GRAPH_RESOURCE,
                AZURE_CLI,
                "Application.ReadWrite.All AppRoleAssignment.ReadWrite.All Directory.Read.All email openid profile",
            ),
            AdminScope::Exchange => (
                EXCHANGE_RESOURCE,
                EXCHANGE_POWERSHELL,
                "AdminApi.AccessAsUser.All FfoPowerShell.AccessAsUser.All RemotePowerShell.AccessAsUser.All",
            ),
        };
        json!({
            "aud": aud,
            "iss": format!("https://sts.windows.net/{}/", tenant.id()),
            "iat": now,
            "nbf": now,
            "exp": now + 3900,
            "appid": appid,
            "appidacr": "0",
            "idtyp": "user",
            "name": "Administrator",
            "oid": "8d7d4b6c-7e3b-4f0e-9a53-0f1d5a2c6b10",
            "scp": scp,
            "sub": Uuid::new_v4().simple().to_string(),
            "tid": tenant.id(),
            "unique_name": format!("admin@{domain}"),
            "upn": format!("admin@{domain}"),
            "ver": "1.0",
            "wids": [GLOBAL_ADMINISTRATOR, "b79fbf4d-3ef9-4689-8143-76b194e85509"],
        })
    };
    keys::signing_key().await?.get()?.sign(&claims)
}

/// What of a token's claims decides.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Bearer {
    /// Delegated permissions, blank between them; absent in an application's token.
    #[serde(default)]
    scp: String,
    /// Application permissions.
    #[serde(default)]
    roles: Vec<String>,
    /// Directory roles of the person.
    #[serde(default)]
    wids: Vec<String>,
}

impl Bearer {
    /// Whether the token has one of these Graph permissions: as an application, or as a person who also has a
    /// directory role that covers it. A delegated token never gives more than the person has.
    pub(crate) fn may(&self, permissions: &[&str]) -> bool {
        let role = [
            GLOBAL_ADMINISTRATOR,
            PRIVILEGED_ROLE_ADMINISTRATOR,
            APPLICATION_ADMINISTRATOR,
            CLOUD_APPLICATION_ADMINISTRATOR,
        ];
        let delegated = self.scp.split(' ').any(|scope| permissions.contains(&scope))
            && self.wids.iter().any(|wid| role.contains(&wid.as_str()));
        delegated || self.roles.iter().any(|role| permissions.contains(&role.as_str()))
    }

    /// Whether Exchange shows its cmdlets to the bearer: a person who is Exchange or Global Administrator. An
    /// application would need `Exchange.ManageAsApp` and a directory role, which no application has here.
    pub(crate) fn is_exchange_administrator(&self) -> bool {
        let role = [GLOBAL_ADMINISTRATOR, EXCHANGE_ADMINISTRATOR];
        !self.scp.is_empty() && self.wids.iter().any(|wid| role.contains(&wid.as_str()))
    }
}

/// Why a token is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BearerFault {
    Missing,
    Malformed,
    BadSignature,
    Expired,
    NotYetValid,
    WrongAudience,
    WrongTenant,
}

/// Reads and checks the Authorization header of a request to the service with these audiences.
pub(crate) async fn bearer(
    headers: &HeaderMap,
    audiences: &[&str],
    tenant: &str,
    now: Timestamp,
) -> Result<Bearer, BearerFault> {
    let token = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, token)| scheme.eq_ignore_ascii_case("Bearer") && !token.trim().is_empty())
        .map(|(_, token)| token.trim())
        .ok_or(BearerFault::Missing)?;
    let key = keys::signing_key().await.map_err(|_| BearerFault::BadSignature)?;
    let key = key.get().map_err(|_| BearerFault::BadSignature)?;
    let mut validation = Validation::new(Algorithm::RS256);
    // The dates are checked here, against the time that the caller gives.
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.set_required_spec_claims(&["exp"]);
    let claims = jsonwebtoken::decode::<Map<String, Value>>(token, key.decoding(), &validation)
        .map_err(|error| match error.kind() {
            jsonwebtoken::errors::ErrorKind::InvalidSignature => BearerFault::BadSignature,
            _ => BearerFault::Malformed,
        })?
        .claims;
    let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
    let date = |name: &str| claims.get(name).and_then(Value::as_i64);
    if !audiences.contains(&text("aud").trim_end_matches('/')) {
        return Err(BearerFault::WrongAudience);
    }
    if date("exp").is_none_or(|exp| exp <= now.as_second()) {
        return Err(BearerFault::Expired);
    }
    if date("nbf").is_some_and(|nbf| nbf > now.as_second()) {
        return Err(BearerFault::NotYetValid);
    }
    if text("tid") != tenant {
        return Err(BearerFault::WrongTenant);
    }
    serde_json::from_value(Value::Object(claims)).map_err(|_| BearerFault::Malformed)
}
