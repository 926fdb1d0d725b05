//! Microsoft Graph.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use exomail_sandbox::{AdminScope, Fault, Sandbox, TokenOverrides};
use serde_json::{Value, json};

use super::{Answer, claims, curl};

pub(crate) const EXCHANGE: &str = "00000002-0000-0ff1-ce00-000000000000";

/// An administrator with curl.
pub(crate) struct Admin<'a> {
    sandbox: &'a Sandbox,
    token: String,
}

impl<'a> Admin<'a> {
    pub(crate) async fn new(sandbox: &'a Sandbox) -> Self {
        Self {
            sandbox,
            token: sandbox.admin_token(AdminScope::Graph).await.unwrap(),
        }
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let url = format!("{}/v1.0/{path}", self.sandbox.authority());
        curl(self.sandbox, method, &url, &self.token, body.as_ref()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = self.call("GET", path, None).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    pub(crate) async fn post(&self, path: &str, status: u16, body: Value) -> Value {
        let answer = self.call("POST", path, Some(body)).await;
        assert_eq!(answer.status, status, "{answer:?}");
        answer.json()
    }

    /// An application with its service principal: object id, client id, enterprise object id.
    pub(crate) async fn register(&self, name: &str) -> [String; 3] {
        let app = self.post("applications", 201, json!({"displayName": name})).await;
        let sp = self
            .post("servicePrincipals", 201, json!({"appId": app["appId"]}))
            .await;
        [&app["id"], &app["appId"], &sp["id"]].map(|id| id.as_str().unwrap().to_owned())
    }

    /// The ids of Exchange's service principal and of one of its roles, found by value.
    pub(crate) async fn role(&self, value: &str) -> (String, String) {
        let found = self
            .get(&format!(
                "servicePrincipals?$filter=appId%20eq%20'{EXCHANGE}'&$select=id,appRoles"
            ))
            .await;
        let [exchange] = found["value"].as_array().unwrap().as_slice() else {
            panic!("{found}")
        };
        let role = exchange["appRoles"]
            .as_array()
            .unwrap()
            .iter()
            .find(|role| role["value"] == value)
            .unwrap();
        (
            exchange["id"].as_str().unwrap().to_owned(),
            role["id"].as_str().unwrap().to_owned(),
        )
    }

    pub(crate) async fn consent(&self, enterprise: &str, value: &str) -> Answer {
        let (resource, role) = self.role(value).await;
        let body = json!({"principalId": enterprise, "resourceId": resource, "appRoleId": role});
        self.call(
            "POST",
            &format!("servicePrincipals/{resource}/appRoleAssignedTo"),
            Some(body),
        )
        .await
    }
}

/// A token of the application from the token endpoint.
pub(crate) async fn app_token(sandbox: &Sandbox, client_id: &str, secret: &str, resource: &str) -> Answer {
    let url = format!("{}/{}/oauth2/v2.0/token", sandbox.authority(), sandbox.tenant());
    // Nothing in these needs escaping: ids, and a secret of letters, digits and `-._~`.
    let form = format!(
        "grant_type=client_credentials&client_id={client_id}&client_secret={secret}&scope={resource}/.default"
    );
    let mut command = std::process::Command::new("curl");
    command.args(["--silent", "--include", "--data", &form, "--cacert"]);
    command.arg(sandbox.ca_file()).arg(url);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (headers, body) = text.split_once("\r\n\r\n").unwrap();
    Answer {
        status: headers.split(' ').nth(1).unwrap().parse().unwrap(),
        headers: headers.to_owned(),
        text: body.to_owned(),
    }
}

#[tokio::test]
async fn a_mail_application_is_made_from_nothing() {
    let sandbox = Sandbox::builder().empty().start().await.unwrap();
    let admin = Admin::new(&sandbox).await;
    let organization = admin.get("organization?$select=id,verifiedDomains").await;
    assert_eq!(organization["value"][0]["id"], sandbox.tenant());
    assert_eq!(
        organization["value"][0]["verifiedDomains"][0]["name"],
        sandbox.domain()
    );
    assert_eq!(organization["value"][0].as_object().unwrap().len(), 2);

    let wanted = json!([{"resourceAppId": EXCHANGE, "resourceAccess": [{"id": "x", "type": "Role"}]}]);
    let body = json!({"displayName": "Mail bridge", "signInAudience": "AzureADMyOrg", "requiredResourceAccess": wanted});
    let app = admin.post("applications", 201, body).await;
    assert_eq!(app["requiredResourceAccess"], wanted);
    let (id, client_id) = (app["id"].as_str().unwrap(), app["appId"].as_str().unwrap());
    let found = admin
        .get("applications?$filter=displayName%20eq%20'mail%20bridge'&$select=id")
        .await;
    assert_eq!(found["value"], json!([{"id": id}]));
    let found = admin.get(&format!("applications(appId='{client_id}')")).await;
    assert_eq!(found["id"], id);

    // Entra names the missing enterprise application before it looks at the secret.
    let exchange = "https://outlook.office365.com";
    let refused = app_token(&sandbox, client_id, "x", exchange).await;
    assert!(refused.text.contains("AADSTS7000229"), "{refused:?}");
    let sp = admin
        .post("servicePrincipals", 201, json!({"appId": client_id}))
        .await;
    let enterprise = sp["id"].as_str().unwrap();
    assert_ne!(enterprise, id);
    let found = admin
        .get(&format!("servicePrincipals(appId='{client_id}')?$select=id"))
        .await;
    assert_eq!(found["id"], enterprise);

    let body = json!({"passwordCredential": {"displayName": "one", "endDateTime": "2099-01-01T00:00:00Z"}});
    let secret = admin
        .post(&format!("applications/{id}/addPassword"), 200, body)
        .await;
    let value = secret["secretText"].as_str().unwrap();
    assert_eq!(secret["endDateTime"], "2099-01-01T00:00:00Z");
    assert_eq!(secret["hint"], value[..3]);
    let shown = admin.get(&format!("applications/{id}")).await;
    assert_eq!(shown["passwordCredentials"][0]["keyId"], secret["keyId"]);
    assert_eq!(shown["passwordCredentials"][0]["secretText"], Value::Null);

    // Without consent there is a token, and no roles in it.
    let token = app_token(&sandbox, client_id, value, exchange).await.json();
    assert!(
        claims(token["access_token"].as_str().unwrap())
            .get("roles")
            .is_none()
    );
    for role in ["IMAP.AccessAsApp", "POP.AccessAsApp", "SMTP.SendAsApp"] {
        let granted = admin.consent(enterprise, role).await;
        assert_eq!(granted.status, 201, "{granted:?}");
        assert_eq!(granted.json()["principalId"], enterprise);
        let (status, code, message) = admin.consent(enterprise, role).await.error();
        assert_eq!((status, code.as_str()), (400, "Request_BadRequest"));
        assert_eq!(message, "Permission being assigned already exists on the object");
    }
    let list = admin
        .get(&format!("servicePrincipals/{enterprise}/appRoleAssignments"))
        .await;
    assert_eq!(list["value"].as_array().unwrap().len(), 3);
    let token = app_token(&sandbox, client_id, value, exchange).await.json();
    let told = claims(token["access_token"].as_str().unwrap());
    assert_eq!(
        told["roles"],
        json!(["IMAP.AccessAsApp", "POP.AccessAsApp", "SMTP.SendAsApp"])
    );
    assert_eq!(told["oid"], enterprise);

    // And back.
    for assignment in list["value"].as_array().unwrap() {
        assert_eq!(assignment["resourceDisplayName"], "Office 365 Exchange Online");
        let key = assignment["id"].as_str().unwrap();
        let path = format!("servicePrincipals/{enterprise}/appRoleAssignments/{key}");
        assert_eq!(admin.call("DELETE", &path, None).await.status, 204);
        assert_eq!(admin.call("DELETE", &path, None).await.status, 404);
    }
    let path = format!("applications/{id}/removePassword");
    let body = json!({"keyId": secret["keyId"]});
    assert_eq!(admin.call("POST", &path, Some(body.clone())).await.status, 204);
    let (status, _, message) = admin.call("POST", &path, Some(body)).await.error();
    assert_eq!(
        (status, message.as_str()),
        (400, "No password credential found with keyId.")
    );
    assert_eq!(
        admin
            .call("DELETE", &format!("applications/{id}"), None)
            .await
            .status,
        204
    );
    assert_eq!(
        admin
            .call("GET", &format!("servicePrincipals/{enterprise}"), None)
            .await
            .status,
        404
    );
    let refused = app_token(&sandbox, client_id, value, exchange).await;
    assert!(refused.text.contains("AADSTS700016"), "{refused:?}");
}

#[tokio::test]
async fn graphs_roles_do_not_open_exchange() {
    let sandbox = Sandbox::builder().empty().start().await.unwrap();
    let admin = Admin::new(&sandbox).await;
    let [id, client_id, enterprise] = admin.register("Mail bridge").await;
    let secret = admin
        .post(&format!("applications/{id}/addPassword"), 200, json!({}))
        .await;
    let secret = secret["secretText"].as_str().unwrap();
    let graph = admin
        .get("servicePrincipals(appId='00000003-0000-0000-c000-000000000000')")
        .await;
    let role = graph["appRoles"]
        .as_array()
        .unwrap()
        .iter()
        .find(|role| role["value"] == "Mail.Send")
        .unwrap();
    let body = json!({"principalId": enterprise, "resourceId": graph["id"], "appRoleId": role["id"]});
    let path = format!("servicePrincipals/{enterprise}/appRoleAssignments");
    admin.post(&path, 201, body).await;
    for (resource, roles) in [
        ("https://outlook.office365.com", Value::Null),
        ("https://graph.microsoft.com", json!(["Mail.Send"])),
    ] {
        let token = app_token(&sandbox, &client_id, secret, resource).await.json();
        assert_eq!(claims(token["access_token"].as_str().unwrap())["roles"], roles);
    }
    // A role of one resource is none of the other.
    let (exchange, _) = admin.role("IMAP.AccessAsApp").await;
    let body = json!({"principalId": enterprise, "resourceId": exchange, "appRoleId": role["id"]});
    let (status, _, message) = admin.call("POST", &path, Some(body)).await.error();
    assert_eq!(status, 400);
    assert_eq!(
        message,
        "Permission being assigned was not found on application 'Office 365 Exchange Online'."
    );
}

#[tokio::test]
async fn certificates_are_replaced_as_a_whole() {
    let sandbox = Sandbox::builder().empty().start().await.unwrap();
    let admin = Admin::new(&sandbox).await;
    let [id, ..] = admin.register("Mail bridge").await;
    let key = |der: &[u8]| json!({"type": "AsymmetricX509Cert", "usage": "Verify", "key": STANDARD.encode(der), "displayName": "CN=x"});
    let certificate = |name: &str| {
        rcgen::generate_simple_self_signed(vec![name.to_owned()])
            .unwrap()
            .cert
            .der()
            .to_vec()
    };
    let path = format!("applications/{id}");
    let patch = |list: Value| admin.call("PATCH", &path, Some(json!({"keyCredentials": list})));
    assert_eq!(patch(json!([key(&certificate("one"))])).await.status, 204);
    let first = admin.get(&path).await["keyCredentials"].clone();
    assert_eq!(first[0]["key"], Value::Null, "shown to who selects it only");
    let selected = admin.get(&format!("{path}?$select=keyCredentials")).await;
    assert!(selected["keyCredentials"][0]["key"].is_string());
    // The old one stays when it is sent along.
    assert_eq!(
        patch(json!([first[0], key(&certificate("two"))])).await.status,
        204
    );
    let both = admin.get(&path).await["keyCredentials"].clone();
    assert_eq!(both.as_array().unwrap().len(), 2);
    assert_eq!(both[0], first[0]);
    assert_eq!(patch(json!([key(&certificate("three"))])).await.status, 204);
    let last = admin.get(&path).await["keyCredentials"].clone();
    assert_eq!(last.as_array().unwrap().len(), 1);
    assert_ne!(last[0]["keyId"], first[0]["keyId"]);
    for bad in [json!([key(b"no certificate")]), json!([first[0]]), json!("x")] {
        assert_eq!(patch(bad).await.status, 400);
    }
    assert_eq!(
        admin.get(&path).await["keyCredentials"],
        last,
        "a refused change changes nothing"
    );
}

#[tokio::test]
async fn federated_credentials_are_kept() {
    let sandbox = Sandbox::builder().empty().start().await.unwrap();
    let admin = Admin::new(&sandbox).await;
    let [id, ..] = admin.register("Mail bridge").await;
    let path = format!("applications/{id}/federatedIdentityCredentials");
    let body = json!({"name": "ci", "issuer": "https://token.example", "subject": "repo:x", "audiences": ["api://AzureADTokenExchange"]});
    let made = admin.post(&path, 201, body.clone()).await;
    assert_eq!(admin.call("POST", &path, Some(body)).await.status, 400);
    assert_eq!(admin.get(&path).await["value"][0]["id"], made["id"]);
    assert_eq!(admin.get(&format!("{path}/ci")).await["subject"], "repo:x");
    assert_eq!(
        admin.call("DELETE", &format!("{path}/ci"), None).await.status,
        204
    );
    assert_eq!(admin.get(&path).await["value"], json!([]));
}

#[tokio::test]
async fn who_may_not_is_told_so() {
    let sandbox = Sandbox::start().await.unwrap();
    let url = format!("{}/v1.0/applications", sandbox.authority());
    let graph = TokenOverrides::new().audience("https://graph.microsoft.com");
    let wids = json!(["62e90394-69f5-4237-9190-012177145e10"]);
    let cases = [
        (
            TokenOverrides::new(),
            401,
            "Access token validation failure. Invalid audience.",
        ),
        (
            graph.clone().expired(),
            401,
            "Lifetime validation failed, the token is expired.",
        ),
        (graph.clone().bad_signature(), 401, "Signature is invalid."),
        (
            graph.clone(),
            403,
            "Insufficient privileges to complete the operation.",
        ),
        // The scope without the role in the directory, and the role without the scope.
        (
            graph.clone().claim("scp", "Application.ReadWrite.All"),
            403,
            "Insufficient privileges to complete the operation.",
        ),
        (
            graph
                .clone()
                .claim("wids", wids.clone())
                .claim("scp", "User.Read"),
            403,
            "Insufficient privileges to complete the operation.",
        ),
    ];
    for (overrides, status, message) in cases {
        let token = sandbox.mint_token(&overrides).await.unwrap();
        let answer = curl(&sandbox, "GET", &url, &token, None).await;
        let code = if status == 401 {
            "InvalidAuthenticationToken"
        } else {
            "Authorization_RequestDenied"
        };
        assert_eq!(answer.error(), (status, code.to_owned(), message.to_owned()));
        let inner = &answer.json()["error"]["innerError"];
        assert_eq!(inner["request-id"], answer.header("request-id").unwrap());
    }
    let answer = curl(&sandbox, "GET", &url, "x.y", None).await;
    assert!(answer.error().2.starts_with("CompactToken parsing failed"));
    // Reading is not writing, and writing applications is not assigning roles.
    let reader = graph.claim("wids", wids).claim("scp", "Directory.Read.All");
    let token = sandbox.mint_token(&reader).await.unwrap();
    assert_eq!(curl(&sandbox, "GET", &url, &token, None).await.status, 200);
    let body = json!({"displayName": "x"});
    assert_eq!(
        curl(&sandbox, "POST", &url, &token, Some(&body)).await.status,
        403
    );
}

#[tokio::test]
async fn replication_takes_its_time() {
    let sandbox = Sandbox::builder().empty().start().await.unwrap();
    let admin = Admin::new(&sandbox).await;
    let app = admin.post("applications", 201, json!({"displayName": "x"})).await;
    let body = json!({"appId": app["appId"]});
    let create = || admin.call("POST", "servicePrincipals", Some(body.clone()));
    sandbox.fault(Fault::GraphNoBackingApplication.times(2));
    sandbox.fault(Fault::GraphNotInLocalTenant.times(1));
    for _ in 0..2 {
        let answer = create().await;
        let (status, code, message) = answer.error();
        assert_eq!((status, code.as_str()), (400, "Request_BadRequest"));
        assert!(message.contains("does not reference a valid application object"));
        assert_eq!(
            answer.json()["error"]["details"][0]["code"],
            "NoBackingApplicationObject"
        );
    }
    let (status, code, message) = create().await.error();
    assert_eq!((status, code.as_str()), (403, "Authorization_RequestDenied"));
    assert!(message.contains("must be in the local tenant"));
    assert_eq!(create().await.status, 201);
    let (status, code, _) = create().await.error();
    assert_eq!(
        (status, code.as_str()),
        (409, "Request_MultipleObjectsWithSameKeyValue")
    );

    let id = app["id"].as_str().unwrap();
    sandbox.fault(Fault::GraphNotReplicated.times(1));
    let (status, code, message) = admin
        .call("GET", &format!("applications/{id}"), None)
        .await
        .error();
    assert_eq!((status, code.as_str()), (404, "Request_ResourceNotFound"));
    assert_eq!(
        message,
        format!(
            "Resource '{id}' does not exist or one of its queried reference-property objects are not present."
        )
    );
    // The wrong kind of id reads the same.
    let client_id = app["appId"].as_str().unwrap();
    assert_eq!(
        admin
            .call("GET", &format!("applications/{client_id}"), None)
            .await
            .status,
        404
    );

    sandbox.fault(Fault::GraphCredentialPolicy.times(1));
    let path = format!("applications/{id}/addPassword");
    let (status, _, message) = admin.call("POST", &path, Some(json!({}))).await.error();
    assert_eq!(
        (status, message.as_str()),
        (400, "Credential type not allowed as per assigned policy.")
    );
    sandbox.fault(Fault::GraphThrottled.times(1));
    let answer = admin.call("GET", "organization", None).await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("2")));
    sandbox.fault(Fault::GraphUnavailable.times(1));
    assert_eq!(admin.call("GET", "organization", None).await.status, 503);
}

#[tokio::test]
async fn what_is_no_request_is_refused() {
    let sandbox = Sandbox::builder().empty().start().await.unwrap();
    let admin = Admin::new(&sandbox).await;
    let cases = [
        ("GET", "nothing", None, 400),
        ("GET", "applications?$filter=appId%20gt%20'x'", None, 400),
        ("PUT", "applications", None, 405),
        ("POST", "applications", Some(json!({})), 400),
        (
            "POST",
            "applications",
            Some(json!({"displayName": "x", "passwordCredentials": []})),
            400,
        ),
        ("POST", "applications", None, 400),
        ("POST", "servicePrincipals", Some(json!({"appId": "x"})), 400),
        (
            "DELETE",
            "servicePrincipals(appId='00000002-0000-0ff1-ce00-000000000000')",
            None,
            403,
        ),
    ];
    for (method, path, body, status) in cases {
        let answer = admin.call(method, path, body).await;
        assert_eq!(answer.error().0, status, "{method} {path}: {answer:?}");
    }
    assert_eq!(admin.get("applications").await["value"], json!([]));
}
