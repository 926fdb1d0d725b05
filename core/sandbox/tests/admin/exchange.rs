//! Exchange's `InvokeCommand`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use exomail_sandbox::{AdminScope, Fault, Sandbox, TokenOverrides};
use serde_json::{Value, json};

use super::graph::{Admin, app_token};
use super::support::{Client, JOE};
use super::{Answer, curl};

/// An Exchange administrator with curl.
struct Shell<'a> {
    sandbox: &'a Sandbox,
    token: String,
}

impl<'a> Shell<'a> {
    async fn new(sandbox: &'a Sandbox) -> Self {
        Self {
            sandbox,
            token: sandbox.admin_token(AdminScope::Exchange).await.unwrap(),
        }
    }

    fn url(&self) -> String {
        format!(
            "{}/adminapi/beta/{}/InvokeCommand",
            self.sandbox.authority(),
            self.sandbox.tenant()
        )
    }

    async fn call(&self, name: &str, parameters: Value) -> Answer {
        let body = json!({"CmdletInput": {"CmdletName": name, "Parameters": parameters}});
        curl(self.sandbox, "POST", &self.url(), &self.token, Some(&body)).await
    }

    /// The rows and the warnings of a cmdlet that succeeds.
    async fn run(&self, name: &str, parameters: Value) -> (Vec<Value>, Vec<Value>) {
        let answer = self.call(name, parameters).await;
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
        let json = answer.json();
        let list = |name: &str| json[name].as_array().unwrap().clone();
        (list("value"), list("@adminapi.warnings"))
    }

    /// Status, short code, exception and text of a cmdlet that fails.
    async fn fail(&self, name: &str, parameters: Value) -> (u16, [String; 3]) {
        let answer = self.call(name, parameters).await;
        let json = answer.json();
        let message = json["error"]["details"][0]["message"].as_str().unwrap();
        assert_eq!(json["error"]["message"], "Error executing cmdlet");
        let mut parts = message.splitn(3, '|').map(str::to_owned);
        let parts = std::array::from_fn(|_| parts.next().unwrap());
        assert_eq!(
            json["error"]["innererror"]["internalexception"]["message"],
            parts[2]
        );
        (answer.status, parts)
    }
}

/// What IMAP says to a token: the tagged lines of AUTHENTICATE and of STATUS.
async fn imap(sandbox: &Sandbox, user: &str, token: &str) -> (String, String) {
    let mut client = Client::tls(sandbox, sandbox.imap()).await;
    client.line().await.unwrap();
    let response = STANDARD.encode(format!("user={user}\u{1}auth=Bearer {token}\u{1}\u{1}"));
    client
        .send(format!("a AUTHENTICATE XOAUTH2 {response}\r\n"))
        .await;
    let mut answers = Vec::new();
    for tag in ["a ", "b "] {
        loop {
            let Some(line) = client.line().await else {
                return (answers.pop().unwrap_or_default(), String::new());
            };
            if line.starts_with("+ ") {
                client.send("\r\n").await;
            }
            if line.starts_with(tag) {
                answers.push(line);
                break;
            }
        }
        if tag == "a " {
            client.send("b STATUS INBOX (MESSAGES)\r\n").await;
        }
    }
    let second = answers.pop().unwrap();
    (answers.pop().unwrap(), second)
}

#[tokio::test]
async fn the_walk_through_opens_a_mailbox() {
    let sandbox = Sandbox::builder().empty().start().await.unwrap();
    let (admin, shell) = (Admin::new(&sandbox).await, Shell::new(&sandbox).await);
    // Steps 1 to 3, in Entra.
    let [id, client_id, enterprise] = admin.register("Mail bridge").await;
    let secret = admin
        .post(&format!("applications/{id}/addPassword"), 200, json!({}))
        .await;
    let secret = secret["secretText"].as_str().unwrap();
    assert_eq!(admin.consent(&enterprise, "IMAP.AccessAsApp").await.status, 201);
    let answer = app_token(&sandbox, &client_id, secret, "https://outlook.office365.com").await;
    let token = answer.json()["access_token"].as_str().unwrap().to_owned();
    assert!(imap(&sandbox, JOE, &token).await.0.starts_with("a NO"));

    // Step 4, in Exchange; first with the wrong object id, which nobody notices.
    let wrong = json!({"AppId": client_id, "ObjectId": id, "DisplayName": "Mail bridge"});
    shell.run("New-ServicePrincipal", wrong).await;
    let grant = |user: &str| json!({"Identity": JOE, "User": user, "AccessRights": ["FullAccess"], "AutoMapping": false});
    shell.run("Add-MailboxPermission", grant(&id)).await;
    assert!(imap(&sandbox, JOE, &token).await.0.starts_with("a NO"));
    let right = json!({"AppId": client_id, "ObjectId": enterprise, "DisplayName": "Mail bridge"});
    let (status, [_, kind, text]) = shell.fail("New-ServicePrincipal", right.clone()).await;
    assert_eq!(status, 400);
    assert!(kind.ends_with("ADObjectAlreadyExistsException") && text.ends_with("already exists."));
    let revoke = json!({"Identity": JOE, "User": id, "AccessRights": ["FullAccess"]});
    shell.run("Remove-MailboxPermission", revoke).await;
    shell
        .run("Remove-ServicePrincipal", json!({"Identity": id}))
        .await;
    let (rows, _) = shell.run("New-ServicePrincipal", right).await;
    assert_eq!(rows[0]["ObjectId"], enterprise.as_str());
    assert_eq!(rows[0]["ObjectId@data.type"], "System.String");
    // Signed in, and no mailbox.
    let (first, second) = imap(&sandbox, JOE, &token).await;
    assert!(first.starts_with("a OK"), "{first}");
    assert_eq!(second, "b BAD User is authenticated but not connected.");
    shell.run("Add-MailboxPermission", grant(&enterprise)).await;
    let (first, second) = imap(&sandbox, JOE, &token).await;
    assert!(
        first.starts_with("a OK") && second.starts_with("b OK"),
        "{first} {second}"
    );
}

#[tokio::test]
async fn service_principals_of_an_unknown_identity_are_all() {
    let sandbox = Sandbox::start().await.unwrap();
    let shell = Shell::new(&sandbox).await;
    shell
        .run(
            "New-ServicePrincipal",
            json!({"AppId": "app", "ServiceId": "object"}),
        )
        .await;
    for (identity, count) in [
        (json!("object"), 1),
        (json!("APP"), 1),
        (json!("nobody"), 2),
        (Value::Null, 2),
    ] {
        let (rows, _) = shell
            .run("Get-ServicePrincipal", json!({"Identity": identity}))
            .await;
        assert_eq!(rows.len(), count, "{identity}");
    }
    let (status, [code, kind, text]) = shell
        .fail("Remove-ServicePrincipal", json!({"Identity": "nobody"}))
        .await;
    assert_eq!((status, code.as_str()), (404, "Ex6F9304"));
    assert_eq!(
        kind,
        "Microsoft.Exchange.Configuration.Tasks.ManagementObjectNotFoundException"
    );
    assert!(
        text.starts_with(
            "The operation couldn't be performed because object 'nobody' couldn't be found on '"
        )
    );
    let (_, [_, kind, text]) = shell.fail("New-ServicePrincipal", json!({"AppId": "x"})).await;
    assert_eq!(kind, "System.Management.Automation.ParameterBindingException");
    assert!(text.ends_with("missing mandatory parameters: ObjectId."));
    let (_, [.., text]) = shell.fail("Get-ServicePrincipal", json!({"Nonsense": 1})).await;
    assert_eq!(
        text,
        "A parameter cannot be found that matches parameter name 'Nonsense'."
    );
}

#[tokio::test]
async fn permissions_name_their_owner_by_sid() {
    let sandbox = Sandbox::start().await.unwrap();
    let shell = Shell::new(&sandbox).await;
    let principal = sandbox.state().service_principals()[0].clone();
    let user = |right: &str, who: &str, parameter: &str| json!({"Identity": JOE, parameter: who, "AccessRights": [right]});
    let (rows, _) = shell.run("Get-MailboxPermission", json!({"Identity": JOE})).await;
    let users: Vec<_> = rows.iter().map(|row| row["User"].as_str().unwrap()).collect();
    assert_eq!(users, ["NT AUTHORITY\\SELF", &principal.sid]);
    let full = user("FullAccess", &principal.object_id, "User");
    let (rows, warnings) = shell.run("Add-MailboxPermission", full.clone()).await;
    assert!(rows.is_empty());
    assert!(
        warnings[0].as_str().unwrap().contains("already present"),
        "{warnings:?}"
    );
    shell.run("Remove-MailboxPermission", full.clone()).await;
    let (_, warnings) = shell.run("Remove-MailboxPermission", full).await;
    assert!(warnings[0].as_str().unwrap().contains("isn't present"));
    // Neither the application id nor one that Exchange has not heard of is a user.
    for nobody in [
        principal.client_id.as_str(),
        "00000000-0000-0000-0000-000000000001",
    ] {
        let (status, [code, _, text]) = shell
            .fail("Add-MailboxPermission", user("FullAccess", nobody, "User"))
            .await;
        assert_eq!((status, code.as_str()), (404, "Ex6F9304"));
        assert!(text.contains(nobody));
    }
    let nowhere = json!({"Identity": "nobody@contoso.example", "User": principal.object_id, "AccessRights": "FullAccess"});
    let (status, [code, _, text]) = shell.fail("Add-MailboxPermission", nowhere).await;
    assert_eq!((status, code.as_str()), (404, "Ex41BAF5"));
    assert_eq!(text, "The specified mailbox doesn't exist.");

    let send_as = user("SendAs", &principal.object_id, "Trustee");
    let (rows, _) = shell.run("Add-RecipientPermission", send_as.clone()).await;
    assert_eq!(rows[0]["Trustee"], principal.sid.as_str());
    let (_, warnings) = shell.run("Add-RecipientPermission", send_as.clone()).await;
    assert_eq!(warnings.len(), 1);
    shell.run("Remove-RecipientPermission", send_as).await;
    let (rows, _) = shell
        .run("Get-RecipientPermission", json!({"Identity": JOE}))
        .await;
    assert_eq!(rows.len(), 1);
}

#[tokio::test]
async fn switches_are_switched() {
    let sandbox = Sandbox::start().await.unwrap();
    let shell = Shell::new(&sandbox).await;
    let (rows, _) = shell.run("Get-CASMailbox", json!({"Identity": JOE})).await;
    assert_eq!(rows[0]["ImapEnabled"], true);
    assert_eq!(rows[0]["SmtpClientAuthenticationDisabled"], Value::Null);
    let change = json!({"Identity": JOE, "ImapEnabled": false, "SmtpClientAuthenticationDisabled": true});
    shell.run("Set-CASMailbox", change.clone()).await;
    let (_, warnings) = shell.run("Set-CASMailbox", change).await;
    assert!(
        warnings[0]
            .as_str()
            .unwrap()
            .contains("no settings of 'joe' have been modified")
    );
    let (rows, _) = shell.run("Get-CASMailbox", json!({"Identity": JOE})).await;
    assert_eq!(rows[0]["ImapEnabled"], false);
    assert_eq!(rows[0]["SmtpClientAuthenticationDisabled"], true);
    let token = sandbox.mint_token(&TokenOverrides::new()).await.unwrap();
    assert!(imap(&sandbox, JOE, &token).await.0.contains("UserDisabled"));
    let name = "SmtpClientAuthenticationDisabled";
    shell.run("Set-TransportConfig", json!({name: true})).await;
    let (rows, _) = shell.run("Get-TransportConfig", json!({})).await;
    assert_eq!(rows[0][name], true);
}

#[tokio::test]
async fn role_assignments_reach_what_their_scope_names() {
    let sandbox = Sandbox::start().await.unwrap();
    let shell = Shell::new(&sandbox).await;
    let app = sandbox.state().service_principals()[0].object_id.clone();
    let scope =
        json!({"Name": "Joe's", "RecipientRestrictionFilter": format!("PrimarySmtpAddress -eq '{JOE}'")});
    let assignment = json!({"Name": "x", "Role": "Application SMTP.SendAsApp", "App": app, "CustomResourceScope": "Joe's"});
    sandbox.state().set_dehydrated(true);
    let (_, [_, kind, _]) = shell.fail("New-ManagementScope", scope.clone()).await;
    assert!(kind.ends_with("InvalidOperationInDehydratedContextException"));
    shell.run("Enable-OrganizationCustomization", json!({})).await;
    let (_, [.., text]) = shell.fail("Enable-OrganizationCustomization", json!({})).await;
    assert!(text.contains("already enabled for customization"));
    shell.run("New-ManagementScope", scope).await;
    sandbox.fault(Fault::CmdletNotDelegating.times(1));
    let (_, [.., text]) = shell
        .fail("New-ManagementRoleAssignment", assignment.clone())
        .await;
    assert!(text.contains("must be assigned a delegating role assignment"));
    shell
        .run("New-ManagementRoleAssignment", assignment.clone())
        .await;
    let (_, [_, kind, _]) = shell.fail("New-ManagementRoleAssignment", assignment).await;
    assert!(kind.ends_with("ADObjectAlreadyExistsException"));
    for (resource, in_scope) in [
        (json!(JOE), "True"),
        (json!("ann@contoso.example"), "False"),
        (Value::Null, "Not Run"),
    ] {
        let test = json!({"Identity": app, "Resource": resource});
        let (rows, _) = shell.run("Test-ServicePrincipalAuthorization", test).await;
        assert_eq!(rows[0]["InScope"], in_scope);
        assert_eq!(rows[0]["GrantedPermissions"], "SMTP.SendAsApp");
    }
    let (rows, _) = shell
        .run("Get-ManagementRoleAssignment", json!({"App": app}))
        .await;
    assert_eq!(rows[0]["CustomResourceScope"], "Joe's");
    shell
        .run("Remove-ManagementRoleAssignment", json!({"Identity": "x"}))
        .await;
    let (status, _) = shell
        .fail("Get-ManagementRoleAssignment", json!({"Identity": "x"}))
        .await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn pages_redirects_and_refusals() {
    let sandbox = Sandbox::start().await.unwrap();
    let shell = Shell::new(&sandbox).await;
    sandbox.state().add_mailbox("eve@contoso.example").unwrap();
    // Pages of 2: the same body to the next link.
    let body = json!({"CmdletInput": {"CmdletName": "Get-Mailbox"}});
    let (mut url, mut found) = (
        format!("{}?$select=Name,PrimarySmtpAddress", shell.url()),
        Vec::new(),
    );
    loop {
        let config = format!("{}\"\nheader = \"Prefer: odata.maxpagesize=2", shell.token);
        let answer = curl(&sandbox, "POST", &url, &config, Some(&body)).await.json();
        for row in answer["value"].as_array().unwrap() {
            assert!(row.get("Alias").is_none());
            found.push(row["PrimarySmtpAddress"].as_str().unwrap().to_owned());
        }
        match answer["@odata.nextLink"].as_str() {
            Some(next) => url = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(
        found,
        [
            "joe@contoso.example",
            "ann@contoso.example",
            "eve@contoso.example"
        ]
    );

    for status in [302, 307] {
        sandbox.fault(Fault::CmdletRedirect.with(status).times(1));
        shell.run("Get-Mailbox", json!({"Identity": JOE})).await;
        assert!(sandbox.faults().is_empty());
    }
    sandbox.fault(Fault::CmdletThrottled.times(1));
    let answer = shell.call("Get-Mailbox", json!({})).await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("5")));
    for (fault, status) in [
        (Fault::CmdletUnavailable, 503),
        (Fault::CmdletUnauthorized, 401),
        (Fault::CmdletForbidden, 403),
    ] {
        sandbox.fault(fault.times(1));
        assert_eq!(shell.call("Get-Mailbox", json!({})).await.status, status);
    }
    // A cmdlet that there is not, and a caller who may not, read the same.
    let mail_app = sandbox.mint_token(&TokenOverrides::new()).await.unwrap();
    let other = Shell {
        sandbox: &sandbox,
        token: mail_app.clone(),
    };
    for answer in [
        shell.call("Get-Nothing", json!({})).await,
        other.call("Get-Mailbox", json!({})).await,
    ] {
        assert_eq!((answer.status, answer.text.as_str()), (403, "\0"));
        assert_eq!(answer.header("content-encoding"), Some("gzip"));
    }
    let graph = Shell {
        sandbox: &sandbox,
        token: sandbox.admin_token(AdminScope::Graph).await.unwrap(),
    };
    assert_eq!(graph.call("Get-Mailbox", json!({})).await.status, 401);

    let base = format!("{}/adminapi/v1.0/{}", sandbox.authority(), sandbox.tenant());
    let url = format!("{base}/EXOModuleFile?Version=3.9.2");
    let list = curl(&sandbox, "GET", &url, &shell.token, None).await.json();
    let names = list["value"][0]["exportedCmdlets"].as_str().unwrap();
    assert!(names.split(',').any(|name| name == "New-ServicePrincipal"));
    let list = curl(&sandbox, "GET", &url, &mail_app, None).await.json();
    assert_eq!(list["value"][0]["exportedCmdlets"], "");
    let url = format!("{base}/InvokeCommand");
    assert_eq!(
        curl(&sandbox, "POST", &url, &shell.token, Some(&body))
            .await
            .status,
        405
    );
}
