//! Graph's errors: status, code, text, and the JSON around them.

use axum::http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::administrator::BearerFault;
use crate::time;

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GraphError {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) message: String,
    /// Code, text and target of the one detail.
    pub(super) detail: Option<(&'static str, String, &'static str)>,
    /// Seconds for the `Retry-After` header.
    pub(super) retry_after: Option<u64>,
}

impl GraphError {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            detail: None,
            retry_after: None,
        }
    }

    fn detailed(mut self, code: &'static str, target: &'static str) -> Self {
        self.detail = Some((code, self.message.clone(), target));
        self
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "Request_BadRequest", message)
    }

    pub(super) fn invalid_value(property: &str, resource: &str) -> Self {
        Self::bad_request(format!(
            "Invalid value specified for property '{property}' of resource '{resource}'."
        ))
    }

    pub(super) fn body() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "BadRequest",
            "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid \
             JSON format.",
        )
    }

    pub(super) fn filter() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "Request_UnsupportedQuery",
            "Unsupported or invalid query filter clause specified.",
        )
    }

    pub(super) fn token(fault: BearerFault) -> Self {
        let message = match fault {
            BearerFault::Missing => "Access token is empty.",
            BearerFault::Malformed => "CompactToken parsing failed with error code: 80049217",
            BearerFault::BadSignature => "Signature is invalid.",
            BearerFault::Expired => "Lifetime validation failed, the token is expired.",
            BearerFault::NotYetValid => "Lifetime validation failed, the token is not yet valid.",
            BearerFault::WrongAudience => "Access token validation failure. Invalid audience.",
            BearerFault::WrongTenant => "Access token validation failure. Invalid issuer.",
        };
        Self::new(StatusCode::UNAUTHORIZED, "InvalidAuthenticationToken", message)
    }

    pub(super) fn denied() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "Authorization_RequestDenied",
            "Insufficient privileges to complete the operation.",
        )
    }

    pub(super) fn not_found(id: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "Request_ResourceNotFound",
            format!(
                "Resource '{id}' does not exist or one of its queried reference-property objects are not present."
            ),
        )
    }

    pub(super) fn no_segment(segment: &str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "BadRequest",
            format!("Resource not found for the segment '{segment}'."),
        )
    }

    pub(super) fn method() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "Request_BadRequest",
            "Specified HTTP method is not allowed for the request target.",
        )
    }

    pub(super) fn no_backing_application(app_id: &str) -> Self {
        Self::bad_request(format!(
            "The appId '{app_id}' of the service principal does not reference a valid application object."
        ))
        .detailed("NoBackingApplicationObject", "appId")
    }

    pub(super) fn not_in_local_tenant() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "Authorization_RequestDenied",
            "When using this permission, the backing application of the service principal being created must be in \
             the local tenant",
        )
    }

    /// The service principal of this application is there already.
    pub(super) fn principal_exists(app_id: &str) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "Request_MultipleObjectsWithSameKeyValue",
            format!(
                "The service principal cannot be created, updated, or restored because the service principal name \
                 {app_id} is already in use."
            ),
        )
        .detailed("ObjectConflict", "servicePrincipalNames")
    }

    pub(super) fn assigned_already() -> Self {
        Self::bad_request("Permission being assigned already exists on the object")
            .detailed("InvalidUpdate", "principalId")
    }

    pub(super) fn no_such_role(resource: &str) -> Self {
        Self::bad_request(format!(
            "Permission being assigned was not found on application '{resource}'."
        ))
        .detailed("InvalidUpdate", "appRoleId")
    }

    pub(super) fn credential_policy() -> Self {
        Self::bad_request("Credential type not allowed as per assigned policy.")
            .detailed("CredentialTypeNotAllowedAsPerAppPolicy", "passwordCredentials")
    }

    pub(super) fn full() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "Directory_QuotaExceeded",
            "The directory object quota limit for the Tenant has been exceeded. Please ask your administrator to \
             increase the quota limit or delete objects to reduce the used quota.",
        )
    }

    pub(super) fn throttled(seconds: u64) -> Self {
        let mut error = Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "TooManyRequests",
            "Too Many Requests",
        );
        error.retry_after = Some(seconds);
        error
    }

    pub(super) fn unavailable() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "serviceNotAvailable",
            "The service is unavailable.",
        )
    }

    /// The JSON that goes with it.
    pub(super) fn body_json(&self, now: Timestamp, request: &str, client_request: &str) -> Value {
        let mut error = json!({
            "code": self.code,
            "message": self.message,
            "innerError": {
                "date": time::graph(now),
                "request-id": request,
                "client-request-id": client_request,
            },
        });
        if let (Some((code, message, target)), Some(error)) = (&self.detail, error.as_object_mut()) {
            error.insert(
                "details".to_owned(),
                json!([{"code": code, "message": message, "target": target}]),
            );
        }
        json!({"error": error})
    }
}
