//! The token endpoints, v1 and v2.

use axum::extract::{Form, FromRequest as _, Path, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::fault::{Fault, answer, correlation};
use super::grant::{Grant, Parameters, Version, grant};
use super::{Entra, issue};
use crate::faults::{self, Faults};

/// What clients are told about a token's life, in seconds; it really is 5 minutes longer.
const EXPIRES_IN: i64 = 3599;

/// `/{tenant}/oauth2/v2.0/token`
pub(super) async fn v2(state: State<Entra>, Path(tenant): Path<String>, request: Request) -> Response {
    token(state.0, &tenant, Version::V2, request).await
}

/// `/{tenant}/oauth2/token`, with `resource` instead of `scope`.
pub(super) async fn v1(state: State<Entra>, Path(tenant): Path<String>, request: Request) -> Response {
    token(state.0, &tenant, Version::V1, request).await
}

async fn token(entra: Entra, tenant: &str, version: Version, request: Request) -> Response {
    entra.shared.counters.count_token_request();
    let headers = request.headers().clone();
    let now = entra.shared.clock.now();
    if let Some(response) = strike(&entra.shared.faults, &headers, now) {
        return response;
    }
    match issued(&entra, tenant, version, request).await {
        Ok(body) => answer(
            StatusCode::OK,
            &body,
            &Uuid::new_v4().to_string(),
            &correlation(&headers),
        ),
        Err(fault) => {
            tracing::debug!(code = fault.code, "token refused");
            fault.into_response(&headers, now)
        }
    }
}

/// The answer of an Entra that is busy, or out of order.
fn strike(faults: &Faults, headers: &HeaderMap, now: Timestamp) -> Option<Response> {
    if let Some(seconds) = faults.strike(faults::Fault::TokenThrottled) {
        let mut response = Fault::throttled().into_response(headers, now);
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        return Some(response);
    }
    faults.strike(faults::Fault::TokenUnavailable)?;
    Some(Fault::server().into_response(headers, now))
}

async fn issued(entra: &Entra, tenant: &str, version: Version, request: Request) -> Result<Value, Fault> {
    if request.method() != Method::POST {
        return Err(Fault::method(request.method().as_str()));
    }
    let basic = basic(request.headers());
    // A body that is no form has no parameters; Entra then misses the first one.
    let form = Form::<Vec<(String, String)>>::from_request(request, &())
        .await
        .map(|Form(form)| form);
    let mut parameters = Parameters::from_form(form.unwrap_or_default());
    if let Some((client_id, secret)) = basic {
        parameters.client_id.get_or_insert(client_id);
        parameters.client_secret.get_or_insert(secret);
    }
    let granted = grant(
        &entra.shared.tenant(),
        &entra.authority,
        tenant,
        version,
        &parameters,
        entra.shared.clock.now(),
    )?;
    let Grant {
        claims,
        audience,
        issued,
    } = granted;
    let token = issue::sign(claims, issue::minimum_length(&entra.shared))
        .await
        .map_err(|_| Fault::server())?;
    let now = issued.as_second();
    Ok(match version {
        Version::V2 => json!({
            "token_type": "Bearer",
            "expires_in": EXPIRES_IN,
            "ext_expires_in": EXPIRES_IN,
            "access_token": token,
        }),
        // v1's numbers are strings.
        Version::V1 => json!({
            "token_type": "Bearer",
            "expires_in": EXPIRES_IN.to_string(),
            "ext_expires_in": EXPIRES_IN.to_string(),
            "expires_on": (now + EXPIRES_IN).to_string(),
            "not_before": now.to_string(),
            "resource": audience,
            "access_token": token,
        }),
    })
}

/// RFC 6749 §2.3.1: base64 of `urlencode(id):urlencode(secret)`.
fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, value) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("Basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(value.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((form_decode(id)?, form_decode(secret)?))
}

/// `application/x-www-form-urlencoded`: `+` is a blank, `%XX` an octet. `None` if it is not UTF-8 then.
fn form_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = tail
            .get(..2)
            .filter(|_| first == b'%')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match escaped {
            Some(byte) => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(if first == b'+' { b' ' } else { first });
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials_are_form_decoded() {
        let mut headers = HeaderMap::new();
        let value = format!("Basic {}", STANDARD.encode("an-id:a%7Eb%2Bc+d%zz%4"));
        headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        assert_eq!(
            basic(&headers),
            Some(("an-id".to_owned(), "a~b+c d%zz%4".to_owned()))
        );
        headers.insert(header::AUTHORIZATION, "Bearer x".parse().unwrap());
        assert_eq!(basic(&headers), None);
    }
}
