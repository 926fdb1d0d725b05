//! Entra's refusals: OAuth error, AADSTS number, text, HTTP status.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::time;

/// Why a request is refused. The texts are Entra's (facts §5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// OAuth's `error`.
    pub(super) error: &'static str,
    /// The number behind `AADSTS`.
    pub(super) code: u32,
    /// The text behind `AADSTS…: `.
    pub(super) text: String,
}

impl Fault {
    pub(super) fn new(error: &'static str, code: u32, text: impl Into<String>) -> Self {
        Self {
            error,
            code,
            text: text.into(),
        }
    }

    /// `error` as the token endpoint has it for an unknown tenant; discovery has `invalid_tenant`.
    pub(super) fn unknown_tenant(error: &'static str, name: &str) -> Self {
        Self::new(
            error,
            90002,
            format!(
                "Tenant '{name}' not found. Check to make sure you have the correct tenant ID and are signing into \
                 the correct cloud. Check with your subscription administrator, this may happen if there are no \
                 active subscriptions for the tenant."
            ),
        )
    }

    pub(super) fn bad_tenant_name(name: &str) -> Self {
        Self::new(
            "invalid_request",
            900023,
            format!(
                "Specified tenant identifier '{name}' is neither a valid DNS name, nor a valid external domain."
            ),
        )
    }

    pub(super) fn common() -> Self {
        Self::new(
            "invalid_request",
            9001023,
            "The grant type is not supported over the /common or /consumers endpoints. Please use the \
             /organizations or tenant-specific endpoint.",
        )
    }

    pub(super) fn organizations() -> Self {
        Self::new(
            "invalid_request",
            50059,
            "No tenant-identifying information found in either the request or implied by any provided credentials.",
        )
    }

    pub(super) fn unknown_application(client_id: &str, tenant: &str) -> Self {
        Self::new(
            "unauthorized_client",
            700016,
            format!(
                "Application with identifier '{client_id}' was not found in the directory '{tenant}'. This can \
                 happen if the application has not been installed by the administrator of the tenant or consented \
                 to by any user in the tenant. You may have sent your authentication request to the wrong tenant."
            ),
        )
    }

    pub(super) fn disabled(client_id: &str, name: &str) -> Self {
        Self::new(
            "unauthorized_client",
            7000112,
            format!("Application '{client_id}'({name}) is disabled."),
        )
    }

    /// The application is registered, but its enterprise application is not there (yet).
    pub(super) fn no_principal(client_id: &str, tenant: &str) -> Self {
        Self::new(
            "unauthorized_client",
            7000229,
            format!(
                "The client application {client_id} is missing service principal in the tenant {tenant}. See \
                 instructions here: https://go.microsoft.com/fwlink/?linkid=2225119"
            ),
        )
    }

    pub(super) fn wrong_secret(client_id: &str) -> Self {
        Self::new(
            "invalid_client",
            7000215,
            format!(
                "Invalid client secret provided. Ensure the secret being sent in the request is the client secret \
                 value, not the client secret ID, for a secret added to app '{client_id}'."
            ),
        )
    }

    pub(super) fn expired_secret(client_id: &str) -> Self {
        Self::new(
            "invalid_client",
            7000222,
            format!(
                "The provided client secret keys for app '{client_id}' are expired. Visit the Azure portal to \
                 create new keys for your app: https://aka.ms/NewClientSecret, or consider using certificate \
                 credentials for added security: https://aka.ms/certCreds."
            ),
        )
    }

    pub(super) fn no_credential() -> Self {
        Self::new(
            "invalid_client",
            7000218,
            "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
        )
    }

    pub(super) fn missing(parameter: &str) -> Self {
        Self::new(
            "invalid_request",
            900144,
            format!("The request body must contain the following parameter: '{parameter}'."),
        )
    }

    pub(super) fn unsupported_grant(grant_type: &str) -> Self {
        Self::new(
            "unsupported_grant_type",
            70003,
            format!("The app requested an unsupported grant type '{grant_type}'."),
        )
    }

    pub(super) fn resource_parameter() -> Self {
        Self::new(
            "invalid_request",
            901002,
            "The 'resource' request parameter isn't supported.",
        )
    }

    pub(super) fn not_default_scope(scope: &str) -> Self {
        Self::new(
            "invalid_scope",
            1002012,
            format!(
                "The provided value for scope {scope} is not valid. Client credential flows must have a scope value \
                 with /.default suffixed to the resource identifier (application ID URI)."
            ),
        )
    }

    pub(super) fn bad_scope(scope: &str) -> Self {
        Self::new(
            "invalid_scope",
            70011,
            format!(
                "The provided request must include a 'scope' input parameter. The provided value for the input \
                 parameter 'scope' is not valid. The scope {scope} is not valid."
            ),
        )
    }

    pub(super) fn unknown_resource(resource: &str, tenant: &str) -> Self {
        Self::new(
            "invalid_resource",
            500011,
            format!(
                "The resource principal named {resource} was not found in the tenant named {tenant}. This can \
                 happen if the application has not been installed by the administrator of the tenant or consented \
                 to by any user in the tenant. You might have sent your authentication request to the wrong tenant."
            ),
        )
    }

    pub(super) fn method(method: &str) -> Self {
        Self::new(
            "invalid_request",
            900561,
            format!("The endpoint only accepts POST, OPTIONS requests. Received a {method} request."),
        )
    }

    /// The sandbox itself failed: no key to sign with.
    pub(super) fn server() -> Self {
        Self::new(
            "temporarily_unavailable",
            90033,
            "A transient error has occurred. Please try again.",
        )
    }

    /// Too many requests of the tenant (facts §1.8, §5.1 row 37).
    pub(super) fn throttled() -> Self {
        Self::new(
            "temporarily_unavailable",
            90055,
            "The tenant is throttled: there are too many incoming requests. Please try again later.",
        )
    }

    fn status(&self) -> StatusCode {
        match self.error {
            "invalid_client" => StatusCode::UNAUTHORIZED,
            "temporarily_unavailable" if self.code == 90055 => StatusCode::TOO_MANY_REQUESTS,
            "temporarily_unavailable" => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// The whole answer; `correlation` is the caller's id of the request.
    fn body(&self, trace: &str, correlation: &str, now: &str) -> Value {
        let Self { error, code, text } = self;
        json!({
            "error": error,
            "error_description": format!(
                "AADSTS{code}: {text} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {now}"
            ),
            "error_codes": [code],
            "timestamp": now,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": format!("https://login.microsoftonline.com/error?code={code}"),
        })
    }

    pub(super) fn into_response(self, headers: &HeaderMap, now: Timestamp) -> Response {
        let trace = Uuid::new_v4().to_string();
        let correlation = correlation(headers);
        let body = self.body(&trace, &correlation, &time::entra(now));
        answer(self.status(), &body, &trace, &correlation)
    }
}

/// The caller's `client-request-id`, if it is a GUID; otherwise a new one.
pub(super) fn correlation(headers: &HeaderMap) -> String {
    headers
        .get("client-request-id")
        .and_then(|value| value.to_str().ok())
        .and_then(|value| Uuid::parse_str(value).ok())
        .unwrap_or_else(Uuid::new_v4)
        .to_string()
}

/// An answer with the headers that Entra sends.
pub(super) fn answer(status: StatusCode, body: &Value, trace: &str, correlation: &str) -> Response {
    let mut response = (status, body.to_string()).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json; charset=utf-8"),
    );
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-store, no-cache"),
    );
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    for (name, value) in [("x-ms-request-id", trace), ("client-request-id", correlation)] {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_all_fields_and_the_right_status() {
        let fault = Fault::wrong_secret("app-1");
        assert_eq!(fault.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(Fault::common().status(), StatusCode::BAD_REQUEST);
        let body = fault.body("t", "c", "2022-08-02 12:02:24Z");
        assert_eq!(
            body,
            json!({
                "error": "invalid_client",
                "error_description": "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent \
                    in the request is the client secret value, not the client secret ID, for a secret added to app \
                    'app-1'. Trace ID: t Correlation ID: c Timestamp: 2022-08-02 12:02:24Z",
                "error_codes": [7000215],
                "timestamp": "2022-08-02 12:02:24Z",
                "trace_id": "t",
                "correlation_id": "c",
                "error_uri": "https://login.microsoftonline.com/error?code=7000215",
            })
        );
    }
}
