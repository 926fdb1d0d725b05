//! Microsoft Graph v1.0 over HTTPS, as far as the set-up of a mail application needs it (facts §4.1): organization,
//! applications and their credentials, service principals, application roles.
//!
//! [`call`] is pure: a request and the tenant in, an answer or a refusal out. Here is what surrounds it.

mod application;
mod assignment;
mod error;
mod principal;
mod query;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, Query as Pairs, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::administrator::{Bearer, bearer};
use crate::faults::{Fault, Faults};
use crate::shared::Shared;
use crate::state::{GRAPH_APP_ID, GRAPH_RESOURCE, Tenant};
use error::GraphError;
use query::Query;

/// The longest request body.
const MAX_BODY: usize = 256 * 1024;

/// What a token's scopes, or an application's roles, must have for each kind of request.
const READ: &[&str] = &[
    "Application.ReadWrite.All",
    "Application.Read.All",
    "Directory.Read.All",
    "Directory.ReadWrite.All",
    "Directory.AccessAsUser.All",
];
const WRITE: &[&str] = &[
    "Application.ReadWrite.All",
    "Directory.ReadWrite.All",
    "Directory.AccessAsUser.All",
];
const ASSIGN: &[&str] = &["AppRoleAssignment.ReadWrite.All", "Directory.AccessAsUser.All"];

#[derive(Debug, Clone)]
struct Graph {
    shared: Arc<Shared>,
    /// `https://localhost:PORT/v1.0`
    base: Arc<str>,
}

/// The routes under `/v1.0`.
pub(crate) fn router(shared: Arc<Shared>, authority: Arc<str>) -> Router {
    Router::new()
        .route("/v1.0/{*path}", any(serve))
        .with_state(Graph {
            shared,
            base: format!("{authority}/v1.0").into(),
        })
}

/// A request whose token was taken.
struct Call<'a> {
    method: &'a Method,
    /// The path behind `/v1.0`, in its segments.
    path: Vec<&'a str>,
    pairs: &'a [(String, String)],
    body: Value,
    bearer: &'a Bearer,
    base: &'a str,
    faults: &'a Faults,
    now: Timestamp,
}

/// A success: its status, and its JSON if it has any.
type Reply = (StatusCode, Option<Value>);

impl Call<'_> {
    fn query(&self) -> Result<Query, GraphError> {
        Query::parse(self.pairs)
    }

    fn need(&self, permissions: &[&str]) -> Result<(), GraphError> {
        if self.bearer.may(permissions) {
            Ok(())
        } else {
            Err(GraphError::denied())
        }
    }

    /// The body, which must be an object.
    fn object(&self) -> Result<&Map<String, Value>, GraphError> {
        self.body.as_object().ok_or_else(GraphError::body)
    }

    /// A property of the body that must be a text.
    fn text(&self, property: &str, resource: &str) -> Result<&str, GraphError> {
        self.object()?
            .get(property)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
            .ok_or_else(|| GraphError::invalid_value(property, resource))
    }

    fn context(&self, what: &str) -> String {
        format!("{}/$metadata#{what}", self.base)
    }

    /// One object, with its context and the selected properties.
    fn entity(&self, status: StatusCode, what: &str, object: Value) -> Result<Reply, GraphError> {
        let mut object = self.query()?.shape(object);
        if let Some(object) = object.as_object_mut() {
            object.insert(
                "@odata.context".to_owned(),
                json!(self.context(&format!("{what}/$entity"))),
            );
        }
        Ok((status, Some(object)))
    }

    /// A list, filtered and in pages.
    fn list(&self, what: &str, all: Vec<Value>) -> Result<Reply, GraphError> {
        let url = format!("{}/{}", self.base, self.path.join("/"));
        let page = self.query()?.page(&self.context(what), &url, self.pairs, all);
        Ok((StatusCode::OK, Some(page)))
    }
}

async fn serve(
    State(graph): State<Graph>,
    Path(path): Path<String>,
    Pairs(pairs): Pairs<Vec<(String, String)>>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let now = graph.shared.clock.now();
    let answer = answer(&graph, &path, &pairs, &parts.method, &parts.headers, body, now).await;
    respond(answer, &parts.headers, now)
}

async fn answer(
    graph: &Graph,
    path: &str,
    pairs: &[(String, String)],
    method: &Method,
    headers: &HeaderMap,
    body: Body,
    now: Timestamp,
) -> Result<Reply, GraphError> {
    let faults = &graph.shared.faults;
    if let Some(seconds) = faults.strike(Fault::GraphThrottled) {
        return Err(GraphError::throttled(seconds));
    }
    if faults.strike(Fault::GraphUnavailable).is_some() {
        return Err(GraphError::unavailable());
    }
    let tenant = graph.shared.tenant().id().to_owned();
    let bearer = bearer(headers, &[GRAPH_RESOURCE, GRAPH_APP_ID], &tenant, now)
        .await
        .map_err(GraphError::token)?;
    let body = to_bytes(body, MAX_BODY).await.map_err(|_| GraphError::body())?;
    let body = if body.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(&body).map_err(|_| GraphError::body())?
    };
    let request = Call {
        method,
        path: path.split('/').filter(|segment| !segment.is_empty()).collect(),
        pairs,
        body,
        bearer: &bearer,
        base: &graph.base,
        faults,
        now,
    };
    call(&mut graph.shared.tenant(), &request)
}

/// Answers a request, changing the tenant if it says so.
fn call(tenant: &mut Tenant, request: &Call<'_>) -> Result<Reply, GraphError> {
    match request.path.as_slice() {
        ["organization"] => organization(tenant, request),
        ["applications", rest @ ..] => application::collection(tenant, request, rest),
        ["servicePrincipals", rest @ ..] => principal::collection(tenant, request, rest),
        [first, rest @ ..] => {
            let app_id = |collection: &str| {
                let key = first.strip_prefix(collection)?.strip_suffix(')')?;
                query::literal(key.strip_prefix("(appId=")?)
            };
            if let Some(app_id) = app_id("applications") {
                let id = tenant.application(&app_id).map(|app| app.object_id.clone());
                let id = id.ok_or_else(|| GraphError::not_found(&app_id))?;
                application::one(tenant, request, &id, rest)
            } else if let Some(app_id) = app_id("servicePrincipals") {
                let id = principal::id_of(tenant, &app_id).ok_or_else(|| GraphError::not_found(&app_id))?;
                principal::one(tenant, request, &id, rest)
            } else {
                Err(GraphError::no_segment(first))
            }
        }
        [] => Err(GraphError::no_segment("")),
    }
}

fn organization(tenant: &Tenant, request: &Call<'_>) -> Result<Reply, GraphError> {
    if request.method != Method::GET {
        return Err(GraphError::method());
    }
    request.need(&[READ, &["Organization.Read.All", "User.Read"]].concat())?;
    let domains: Vec<Value> = tenant
        .domains()
        .iter()
        .enumerate()
        .map(|(index, name)| {
            json!({
                "capabilities": "Email, OfficeCommunicationsOnline",
                "isDefault": index == 0,
                "isInitial": index == 0,
                "name": name,
                "type": "Managed",
            })
        })
        .collect();
    let organization = json!({
        "id": tenant.id(),
        "displayName": "Contoso",
        "tenantType": "AAD",
        "verifiedDomains": domains,
    });
    request.list("organization", vec![organization])
}

fn respond(answer: Result<Reply, GraphError>, headers: &HeaderMap, now: Timestamp) -> Response {
    let request_id = Uuid::new_v4().to_string();
    // Whatever was sent goes into JSON and into a header only if it is an id.
    let client_request_id = headers
        .get("client-request-id")
        .and_then(|value| value.to_str().ok())
        .filter(|value| Uuid::parse_str(value).is_ok())
        .unwrap_or(&request_id)
        .to_owned();
    let (status, body, retry_after) = match answer {
        Ok((status, body)) => (status, body, None),
        Err(error) => {
            tracing::debug!(code = error.code, "Graph refused");
            let body = error.body_json(now, &request_id, &client_request_id);
            (error.status, Some(body), error.retry_after)
        }
    };
    let mut response = match body {
        Some(body) => (status, body.to_string()).into_response(),
        None => status.into_response(),
    };
    let headers = response.headers_mut();
    let mut put = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    put("request-id", &request_id);
    put("client-request-id", &client_request_id);
    if status != StatusCode::NO_CONTENT {
        put(
            header::CONTENT_TYPE.as_str(),
            "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8",
        );
    }
    if status == StatusCode::UNAUTHORIZED {
        put(
            header::WWW_AUTHENTICATE.as_str(),
            "Bearer realm=\"\", authorization_uri=\"https://login.microsoftonline.com/common/oauth2/authorize\", \
             client_id=\"00000003-0000-0000-c000-000000000000\"",
        );
    }
    if let Some(seconds) = retry_after {
        put(header::RETRY_AFTER.as_str(), &seconds.to_string());
    }
    response
}
