//! Exchange's admin endpoint, as the PowerShell module uses it (facts §4.3): `InvokeCommand` runs one cmdlet on the
//! tenant, `EXOModuleFile` lists those that the caller may run. Microsoft has not documented it.

mod cmdlet;
mod error;
mod mailbox;
mod organization;
mod rbac;
mod service_principal;

use std::sync::Arc;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::administrator::bearer;
use crate::faults::Fault;
use crate::shared::Shared;
use crate::state::{EXCHANGE_APP_ID, EXCHANGE_RESOURCE};
use error::CmdletError;

/// The longest request body.
const MAX_BODY: usize = 256 * 1024;
/// The most rows of one page, and how many there are unless asked for fewer.
const PAGE: usize = 1_000;

#[derive(Debug, Clone)]
struct AdminApi {
    shared: Arc<Shared>,
    authority: Arc<str>,
}

/// The routes under `/adminapi`, and the regional one that redirects lead to.
pub(crate) fn router(shared: Arc<Shared>, authority: Arc<str>) -> Router {
    Router::new()
        .route("/adminapi/beta/{tenant}/InvokeCommand", post(invoke))
        .route(
            "/regional/adminapi/beta/{tenant}/InvokeCommand",
            post(invoke_here),
        )
        // Of v1.0 there is only the listing; POST is 405.
        .route(
            "/adminapi/v1.0/{tenant}/InvokeCommand",
            get(|| async { StatusCode::NOT_FOUND }),
        )
        .route("/adminapi/v1.0/{tenant}/EXOModuleFile", get(module_file))
        .with_state(AdminApi { shared, authority })
}

type Pairs = Query<Vec<(String, String)>>;

async fn invoke(state: State<AdminApi>, path: Path<String>, pairs: Pairs, request: Request) -> Response {
    if let Some(status) = state.shared.faults.strike(Fault::CmdletRedirect) {
        let query = request
            .uri()
            .query()
            .map(|query| format!("?{query}"))
            .unwrap_or_default();
        let to = format!(
            "{}/regional/adminapi/beta/{}/InvokeCommand{query}",
            state.authority, path.0
        );
        let status = match status {
            302 => StatusCode::FOUND,
            308 => StatusCode::PERMANENT_REDIRECT,
            _ => StatusCode::TEMPORARY_REDIRECT,
        };
        return (status, [(header::LOCATION, to)]).into_response();
    }
    invoke_here(state, path, pairs, request).await
}

async fn invoke_here(
    State(api): State<AdminApi>,
    Path(tenant): Path<String>,
    Query(pairs): Pairs,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let faults = &api.shared.faults;
    if let Some(seconds) = faults.strike(Fault::CmdletThrottled) {
        let mut response = StatusCode::TOO_MANY_REQUESTS.into_response();
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        return limited(response, "0");
    }
    if faults.strike(Fault::CmdletUnavailable).is_some() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    match may_run(&api, &tenant, &parts.headers).await {
        Ok(true) => {}
        Ok(false) => return forbidden(),
        Err(response) => return *response,
    }
    let body = to_bytes(body, MAX_BODY).await.unwrap_or_default();
    let input = serde_json::from_slice::<Value>(&body).unwrap_or_default();
    let input = input.get("CmdletInput").unwrap_or(&Value::Null);
    let none = Map::new();
    let parameters = match input.get("Parameters") {
        None | Some(Value::Null) => Some(&none),
        Some(given) => given.as_object(),
    };
    let name = input.get("CmdletName").and_then(Value::as_str);
    let (Some(name), Some(parameters)) = (name, parameters) else {
        return limited(
            json_response(
                CmdletError::unreadable().status,
                &CmdletError::unreadable().json(),
            ),
            "29999",
        );
    };
    let result = cmdlet::run(&mut api.shared.tenant(), faults, name, parameters);
    let response = match result {
        None => return forbidden(),
        Some(Err(error)) => {
            tracing::debug!(name, ?error, "cmdlet failed");
            json_response(error.status, &error.json())
        }
        Some(Ok(output)) => json_response(
            StatusCode::OK,
            &page(&api.authority, &tenant, &pairs, &parts.headers, output),
        ),
    };
    limited(response, "29999")
}

/// One page of a cmdlet's rows. The next one is got by sending the same body to its link.
fn page(
    authority: &str,
    tenant: &str,
    pairs: &[(String, String)],
    headers: &HeaderMap,
    output: cmdlet::Output,
) -> Value {
    let option = |name: &str| pairs.iter().find(|(own, _)| own == name).map(|(_, value)| value);
    let size = headers
        .get("prefer")
        .and_then(|value| value.to_str().ok())
        .and_then(|value| {
            value
                .split([',', ';'])
                .find_map(|part| part.trim().strip_prefix("odata.maxpagesize="))
        })
        .and_then(|size| size.parse().ok())
        .map_or(PAGE, |size: usize| size.clamp(1, PAGE));
    let skip: usize = option("$skiptoken").and_then(|at| at.parse().ok()).unwrap_or(0);
    let selected: Vec<&str> = option("$select")
        .map(|names| names.split(',').map(str::trim).collect())
        .unwrap_or_default();
    let select = |row: Value| match row {
        Value::Object(row) if !selected.is_empty() => Value::Object(
            row.into_iter()
                .filter(|(name, _)| selected.iter().any(|own| own.eq_ignore_ascii_case(name)))
                .collect(),
        ),
        other => other,
    };
    let mut rows = output.rows.into_iter().skip(skip);
    let value: Vec<Value> = rows.by_ref().take(size).map(select).map(cmdlet::typed).collect();
    let base = format!("{authority}/adminapi/beta/{tenant}");
    let mut answer = json!({
        "@odata.context": format!("{base}/$metadata#Collection(Exchange.GenericHashTable)"),
        "adminapi.warnings@odata.type": "#Collection(String)",
        "@adminapi.warnings": output.warnings,
        "value": value,
    });
    if rows.next().is_some()
        && let Some(answer) = answer.as_object_mut()
    {
        let mut next = format!("{base}/InvokeCommand?$skiptoken={}", skip.saturating_add(size));
        if !selected.is_empty() {
            next += &format!("&$select={}", selected.join(","));
        }
        answer.insert("@odata.nextLink".to_owned(), json!(next));
    }
    answer
}

/// `EXOModuleFile`: what the caller may run, in one text.
async fn module_file(
    State(api): State<AdminApi>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
) -> Response {
    let names = match may_run(&api, &tenant, &headers).await {
        Ok(true) => cmdlet::names().join(","),
        Ok(false) => String::new(),
        Err(response) => return *response,
    };
    json_response(
        StatusCode::OK,
        &json!({
            "@odata.context": format!("{}/adminapi/v1.0/{tenant}/$metadata#EXOModuleFile", api.authority),
            "value": [{"exportedCmdlets": names}],
        }),
    )
}

/// Whether the bearer of a good token may run cmdlets.
async fn may_run(api: &AdminApi, name: &str, headers: &HeaderMap) -> Result<bool, Box<Response>> {
    let tenant = api.shared.tenant().id().to_owned();
    let audiences = [EXCHANGE_RESOURCE, EXCHANGE_APP_ID];
    let bearer = bearer(headers, &audiences, &tenant, api.shared.clock.now()).await;
    match bearer {
        Ok(bearer)
            if name.eq_ignore_ascii_case(&tenant)
                && api.shared.faults.strike(Fault::CmdletUnauthorized).is_none() =>
        {
            Ok(bearer.is_exchange_administrator()
                && api.shared.faults.strike(Fault::CmdletForbidden).is_none())
        }
        _ => {
            let challenge =
                "Bearer client_id=\"00000002-0000-0ff1-ce00-000000000000\", error=\"invalid_token\"";
            Err(Box::new(
                (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)]).into_response(),
            ))
        }
    }
}

/// Unknown and not allowed are the same: a NUL that is called gzip and is not (facts §5.6, row 96).
fn forbidden() -> Response {
    (StatusCode::FORBIDDEN, [(header::CONTENT_ENCODING, "gzip")], "\0").into_response()
}

fn json_response(status: StatusCode, body: &Value) -> Response {
    let kind = "application/json;odata.metadata=minimal;odata.streaming=true;charset=utf-8";
    (status, [(header::CONTENT_TYPE, kind)], body.to_string()).into_response()
}

/// With the headers that tell what is left of the caller's budget.
fn limited(mut response: Response, left: &'static str) -> Response {
    let headers = response.headers_mut();
    headers.insert("rate-limit-limit", HeaderValue::from_static("30000"));
    headers.insert("rate-limit-remaining", HeaderValue::from_static(left));
    if let Ok(id) = HeaderValue::from_str(&Uuid::new_v4().to_string()) {
        headers.insert("request-id", id);
    }
    response
}
