//! Whether a token request is granted: pure, from the request and the tenant to claims or a refusal.

use jiff::Timestamp;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::assertion;
use super::fault::Fault;
use super::issue::{self, Proof};
use crate::state::{EXCHANGE_APP_ID, Tenant};

/// The one `client_assertion_type` there is.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Which of the two token endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    V1,
    V2,
}

/// A token request's parameters, from the body and from HTTP Basic. No Debug: it holds credentials.
#[derive(Default)]
pub(super) struct Parameters {
    pub(super) grant_type: Option<String>,
    pub(super) client_id: Option<String>,
    pub(super) client_secret: Option<String>,
    pub(super) client_assertion: Option<String>,
    pub(super) client_assertion_type: Option<String>,
    pub(super) scope: Option<String>,
    pub(super) resource: Option<String>,
}

impl Parameters {
    /// Of a parameter that comes twice the first counts; an empty one is as good as missing.
    pub(super) fn from_form(form: Vec<(String, String)>) -> Self {
        let mut parameters = Self::default();
        for (name, value) in form {
            let slot = match name.as_str() {
                "grant_type" => &mut parameters.grant_type,
                "client_id" => &mut parameters.client_id,
                "client_secret" => &mut parameters.client_secret,
                "client_assertion" => &mut parameters.client_assertion,
                "client_assertion_type" => &mut parameters.client_assertion_type,
                "scope" => &mut parameters.scope,
                "resource" => &mut parameters.resource,
                _ => continue,
            };
            if !value.is_empty() {
                slot.get_or_insert(value);
            }
        }
        parameters
    }
}

/// A granted request.
#[derive(Debug)]
pub(super) struct Grant {
    pub(super) claims: Map<String, Value>,
    pub(super) audience: String,
    pub(super) issued: Timestamp,
}

/// Checks the tenant in the path; `error` is what an unknown one is called there.
pub(super) fn check_tenant_name(tenant: &Tenant, name: &str, error: &'static str) -> Result<(), Fault> {
    if tenant.is_named(name) {
        Ok(())
    } else if Uuid::parse_str(name).is_ok() || is_domain(name) {
        Err(Fault::unknown_tenant(error, name))
    } else {
        Err(Fault::bad_tenant_name(name))
    }
}

fn is_domain(name: &str) -> bool {
    name.contains('.')
        && name.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        })
}

/// Decides on a request to `{authority}/{name}/oauth2/…`.
pub(super) fn grant(
    tenant: &Tenant,
    authority: &str,
    name: &str,
    version: Version,
    parameters: &Parameters,
    now: Timestamp,
) -> Result<Grant, Fault> {
    // The shape of the request comes first: its errors do not depend on who asks.
    let grant_type = parameters
        .grant_type
        .as_deref()
        .ok_or_else(|| Fault::missing("grant_type"))?;
    match name {
        "common" | "consumers" => return Err(Fault::common()),
        "organizations" => return Err(Fault::organizations()),
        _ => check_tenant_name(tenant, name, "invalid_request")?,
    }
    if grant_type != "client_credentials" {
        return Err(Fault::unsupported_grant(grant_type));
    }
    let client_id = parameters
        .client_id
        .as_deref()
        .ok_or_else(|| Fault::missing("client_id"))?;
    let audience = match version {
        Version::V1 => parameters
            .resource
            .as_deref()
            .ok_or_else(|| Fault::missing("resource"))?,
        Version::V2 => audience(parameters)?,
    };

    let application = tenant
        .application(client_id)
        .ok_or_else(|| Fault::unknown_application(client_id, name))?;
    let principal = tenant
        .service_principal(client_id)
        .ok_or_else(|| Fault::no_principal(client_id, tenant.id()))?;
    if !principal.enabled {
        return Err(Fault::disabled(client_id, &application.display_name));
    }
    let proof = if let Some(jwt) = &parameters.client_assertion {
        match parameters.client_assertion_type.as_deref() {
            None => return Err(Fault::missing("client_assertion_type")),
            Some(JWT_BEARER) => assertion::verify(jwt, tenant, application, authority, now)?,
            Some(_) => return Err(Fault::no_credential()),
        }
        Proof::Certificate
    } else {
        let given = parameters
            .client_secret
            .as_deref()
            .ok_or_else(Fault::no_credential)?;
        let mut matching = application
            .secrets
            .iter()
            .filter(|secret| same(&secret.value, given))
            .peekable();
        if matching.peek().is_none() {
            return Err(Fault::wrong_secret(client_id));
        }
        if matching.all(|secret| secret.end <= now) {
            return Err(Fault::expired_secret(client_id));
        }
        Proof::Secret
    };

    let bare = audience.trim_end_matches('/');
    if bare != EXCHANGE_APP_ID && !tenant.resources.contains(bare) {
        return Err(Fault::unknown_resource(audience, name));
    }
    let claims = issue::claims(tenant, &application.client_id, audience, proof, now);
    Ok(Grant {
        claims,
        audience: audience.to_owned(),
        issued: now,
    })
}

/// The resource of v2's scope: exactly one, with `/.default` behind it.
fn audience(parameters: &Parameters) -> Result<&str, Fault> {
    if parameters.resource.is_some() {
        return Err(Fault::resource_parameter());
    }
    let scope = parameters
        .scope
        .as_deref()
        .ok_or_else(|| Fault::missing("scope"))?;
    let mut scopes = scope.split_whitespace();
    let first = scopes.next().ok_or_else(|| Fault::missing("scope"))?;
    if scopes.next().is_some() {
        return Err(Fault::bad_scope(scope));
    }
    match first.strip_suffix("/.default") {
        Some("") => Err(Fault::bad_scope(scope)),
        Some(resource) => Ok(resource),
        None => Err(Fault::not_default_scope(scope)),
    }
}

/// Compares without telling by the time taken how much of a secret was right.
fn same(a: &str, b: &str) -> bool {
    a.len() == b.len()
        && a.bytes()
            .zip(b.bytes())
            .fold(0, |differ, (x, y)| differ | (x ^ y))
            == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::MAIL_ROLES;

    const AUTHORITY: &str = "https://localhost:1";

    fn tenant() -> (Tenant, String, String) {
        let mut tenant = Tenant::new("contoso.example", 1 << 20);
        let app = tenant.register_application("Mail bridge").client_id;
        let secret = tenant.add_secret(&app).unwrap().value;
        for role in MAIL_ROLES {
            tenant.add_role(&app, role).unwrap();
        }
        (tenant, app, secret)
    }

    fn parameters(app: &str, secret: &str) -> Parameters {
        Parameters {
            grant_type: Some("client_credentials".to_owned()),
            client_id: Some(app.to_owned()),
            client_secret: Some(secret.to_owned()),
            scope: Some("https://outlook.office365.com/.default".to_owned()),
            ..Parameters::default()
        }
    }

    fn v2(tenant: &Tenant, name: &str, parameters: &Parameters) -> Result<Grant, Fault> {
        grant(tenant, AUTHORITY, name, Version::V2, parameters, Timestamp::now())
    }

    #[test]
    fn claims_are_those_of_an_app_only_token() {
        let (tenant, app, secret) = tenant();
        let now = Timestamp::now();
        let granted = grant(
            &tenant,
            AUTHORITY,
            "Contoso.Example",
            Version::V2,
            &parameters(&app, &secret),
            now,
        )
        .unwrap();
        let claims = Value::Object(granted.claims);
        assert_eq!(claims["aud"], "https://outlook.office365.com");
        assert_eq!(claims["iss"], format!("https://sts.windows.net/{}/", tenant.id()));
        assert_eq!(claims["appid"], app);
        assert_eq!(claims["appidacr"], "1");
        assert_eq!(claims["idtyp"], "app");
        assert_eq!(claims["oid"], tenant.enterprise_object_id(&app).unwrap());
        assert_eq!(claims["sub"], claims["oid"]);
        assert_eq!(claims["roles"], serde_json::json!(MAIL_ROLES));
        assert_eq!(claims["ver"], "1.0");
        assert_eq!(
            claims["exp"].as_i64().unwrap() - claims["nbf"].as_i64().unwrap(),
            3900
        );
    }

    #[test]
    fn without_consent_the_token_has_no_roles_claim() {
        let (mut tenant, app, secret) = tenant();
        for role in MAIL_ROLES {
            tenant.remove_role(&app, role).unwrap();
        }
        let granted = v2(&tenant, tenant.id(), &parameters(&app, &secret)).unwrap();
        assert!(!granted.claims.contains_key("roles"));
    }

    #[test]
    fn each_refusal_has_its_number() {
        let (mut tenant, app, secret) = tenant();
        let id = tenant.id().to_owned();
        let good = || parameters(&app, &secret);
        let with = |change: &dyn Fn(&mut Parameters)| {
            let mut parameters = good();
            change(&mut parameters);
            parameters
        };
        let cases: [(&str, Parameters, &str, u32); 17] = [
            (
                "7b0d7d3f-5b0e-4f8a-9b5a-0d9c2d6f1a11",
                good(),
                "invalid_request",
                90002,
            ),
            ("fabrikam.example", good(), "invalid_request", 90002),
            ("YOUR_TENANT", good(), "invalid_request", 900023),
            ("common", good(), "invalid_request", 9001023),
            ("organizations", good(), "invalid_request", 50059),
            (&id, with(&|p| p.grant_type = None), "invalid_request", 900144),
            (&id, with(&|p| p.client_id = None), "invalid_request", 900144),
            (&id, with(&|p| p.scope = None), "invalid_request", 900144),
            (
                &id,
                with(&|p| p.grant_type = Some("password".into())),
                "unsupported_grant_type",
                70003,
            ),
            (
                &id,
                with(&|p| p.client_id = Some("nobody".into())),
                "unauthorized_client",
                700016,
            ),
            (&id, with(&|p| p.client_secret = None), "invalid_client", 7000218),
            (
                &id,
                with(&|p| p.client_secret = Some("wrong".into())),
                "invalid_client",
                7000215,
            ),
            (
                &id,
                with(&|p| p.resource = Some("https://outlook.office365.com".into())),
                "invalid_request",
                901002,
            ),
            (
                &id,
                with(&|p| p.scope = Some("IMAP.AccessAsApp".into())),
                "invalid_scope",
                1002012,
            ),
            (
                &id,
                with(&|p| p.scope = Some("https%3A%2F%2Foutlook.office365.com%2F.default/x".into())),
                "invalid_scope",
                1002012,
            ),
            (
                &id,
                with(&|p| p.scope = Some("https://outlook.office365.com/.default https://b/.default".into())),
                "invalid_scope",
                70011,
            ),
            (
                &id,
                with(&|p| p.scope = Some("https://nowhere.example/.default".into())),
                "invalid_resource",
                500011,
            ),
        ];
        for (name, parameters, error, code) in cases {
            let fault = v2(&tenant, name, &parameters).unwrap_err();
            assert_eq!((fault.error, fault.code), (error, code), "{name}");
        }
        tenant.expire_secret(&app, &secret).unwrap();
        assert_eq!(v2(&tenant, &id, &good()).unwrap_err().code, 7000222);
        tenant.set_application_enabled(&app, false).unwrap();
        assert_eq!(v2(&tenant, &id, &good()).unwrap_err().code, 7000112);
    }

    #[test]
    fn the_secrets_id_is_not_its_value() {
        let (mut tenant, app, _) = tenant();
        let secret = tenant.add_secret(&app).unwrap();
        let fault = v2(&tenant, tenant.id(), &parameters(&app, &secret.key_id)).unwrap_err();
        assert_eq!(fault.code, 7000215);
        assert!(!fault.text.contains(&secret.key_id));
    }
}
