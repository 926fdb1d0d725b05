//! Python's imaplib, poplib, smtplib and urllib, which nobody here wrote, succeed and fail as against Exchange.

use std::path::Path;
use std::process::Command;

use super::{ANN, JOE, run};
use exomail_sandbox::{Sandbox, TokenOverrides};
use serde_json::Value;

const IMAP_REFUSED: &str = "NO AUTHENTICATE failed.";
const POP3_REFUSED: &str = "-ERR Authentication failure: unknown user name or bad password.";
const SMTP_REFUSED: &str = "535 5.7.3 Authentication unsuccessful [";

/// Runs a script of `tests/clients` against the sandbox.
async fn python(sandbox: &Sandbox, script: &str, arguments: &[&str], token: Option<&str>) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
    let mut described = sandbox.to_json();
    let (host, port) = sandbox.imap_starttls();
    described["imap_starttls"] = serde_json::json!({"host": host, "port": port});
    let mut command = Command::new("python3");
    command
        .arg("-B")
        .arg(folder.join(script))
        .args(arguments)
        .env("SANDBOX", described.to_string());
    if let Some(token) = token {
        command.env("TOKEN", token);
    }
    run(command, "").await
}

/// What each protocol says to this user.
async fn attempt(sandbox: &Sandbox, user: &str, token: Option<&str>) -> Value {
    serde_json::from_slice(&python(sandbox, "attempt.py", &[user, ANN], token).await).unwrap()
}

/// All three protocols refuse the sign-in in their general words, and IMAP goes on.
fn assert_refused(said: &Value) {
    assert_eq!(said["imap"]["authenticate"], IMAP_REFUSED, "{said}");
    assert_eq!(said["imap"]["stray"], "* BAD Command Error. 12", "{said}");
    assert_eq!(said["imap"]["noop"], "OK", "{said}");
    assert_eq!(said["pop3"], POP3_REFUSED, "{said}");
    assert!(
        said["smtp"]["auth"].as_str().unwrap().starts_with(SMTP_REFUSED),
        "{said}"
    );
}

/// IMAP's OK that is none: two commands refused, then the end.
fn assert_not_connected(said: &Value) {
    for refused in said["imap"]["commands"].as_array().unwrap() {
        assert!(
            refused
                .as_str()
                .unwrap()
                .contains("BAD [b'User is authenticated but not connected.']"),
            "{said}"
        );
    }
    assert_eq!(said["imap"]["bye"], "* BYE Connection closed. 14", "{said}");
}

#[tokio::test]
async fn main_job() {
    let sandbox = Sandbox::start().await.unwrap();
    python(&sandbox, "main_job.py", &[ANN, JOE], None).await;
    assert_eq!(sandbox.stats().token_requests, 1);
}

#[tokio::test]
async fn all_set_up_opens_everything_but_passwords_and_one_line_pop3() {
    let sandbox = Sandbox::start().await.unwrap();
    let said = attempt(&sandbox, JOE, None).await;
    assert_eq!(
        said["imap"]["authenticate"], "OK AUTHENTICATE completed.",
        "{said}"
    );
    assert_eq!(said["imap"]["commands"][0], "OK ((\"\" \"/\")) NIL NIL", "{said}");
    assert_eq!(said["imap_login"], "LOGIN failed.", "{said}");
    assert_eq!(said["pop3"], "+OK User successfully authenticated.", "{said}");
    assert_eq!(
        said["pop3_one_line"], "-ERR Protocol error. Connection is closed. 10",
        "{said}"
    );
    assert_eq!(
        said["smtp"]["auth"], "235 2.7.0 Authentication successful",
        "{said}"
    );
    assert_eq!(said["smtp"]["mail"], "sent", "{said}");
    assert_eq!(said["claims"]["roles"].as_array().unwrap().len(), 3, "{said}");
    assert_eq!(sandbox.messages(ANN, "INBOX").len(), 1);
}

#[tokio::test]
async fn roles_that_are_missing() {
    let sandbox = Sandbox::start().await.unwrap();
    for role in ["IMAP.AccessAsApp", "POP.AccessAsApp", "SMTP.SendAsApp"] {
        sandbox.state().remove_role(sandbox.client_id(), role).unwrap();
    }
    // Entra issues the token all the same, without the claim.
    let said = attempt(&sandbox, JOE, None).await;
    assert!(said["claims"].get("roles").is_none(), "{said}");
    assert_refused(&said);
}

#[tokio::test]
async fn service_principal_that_exchange_does_not_know() {
    let sandbox = Sandbox::start().await.unwrap();
    let enterprise = sandbox
        .state()
        .enterprise_object_id(sandbox.client_id())
        .unwrap()
        .to_owned();
    let registration = sandbox
        .state()
        .application_object_id(sandbox.client_id())
        .unwrap()
        .to_owned();
    sandbox.state().remove_service_principal(&enterprise).unwrap();
    assert_refused(&attempt(&sandbox, JOE, None).await);
    // The classical mistake: the object id of the app registration, not of the enterprise application.
    sandbox
        .state()
        .new_service_principal(sandbox.client_id(), &registration, "wrong");
    assert_refused(&attempt(&sandbox, JOE, None).await);
    sandbox
        .state()
        .new_service_principal(sandbox.client_id(), &enterprise, "right");
    let said = attempt(&sandbox, JOE, None).await;
    assert_eq!(
        said["imap"]["authenticate"], "OK AUTHENTICATE completed.",
        "{said}"
    );
}

#[tokio::test]
async fn mailbox_without_full_access_or_that_is_not_there() {
    let sandbox = Sandbox::start().await.unwrap();
    sandbox
        .state()
        .revoke_full_access(JOE, sandbox.client_id())
        .unwrap();
    for user in [JOE, "nobody@contoso.example"] {
        let said = attempt(&sandbox, user, None).await;
        assert_eq!(
            said["imap"]["authenticate"], "OK AUTHENTICATE completed.",
            "{said}"
        );
        assert_not_connected(&said);
        assert_eq!(said["pop3"], POP3_REFUSED, "{said}");
        assert_eq!(
            said["smtp"]["auth"], "235 2.7.0 Authentication successful",
            "{said}"
        );
        let mail = said["smtp"]["mail"].as_str().unwrap();
        assert!(
            mail.starts_with("430 4.2.0 STOREDRV; mailbox logon failure; STOREDRV.Submission.Exception:"),
            "{said}"
        );
    }
}

#[tokio::test]
async fn protocols_that_are_switched_off_on_the_mailbox() {
    let sandbox = Sandbox::start().await.unwrap();
    sandbox.state().set_imap_enabled(JOE, false).unwrap();
    sandbox.state().set_pop_enabled(JOE, false).unwrap();
    sandbox.state().set_smtp_disabled(JOE, Some(true)).unwrap();
    let said = attempt(&sandbox, JOE, None).await;
    let disabled = said["imap"]["authenticate"].as_str().unwrap();
    assert!(
        disabled.starts_with("OK [Error=\"UserDisabled\" AuthResult=27 Proxy="),
        "{said}"
    );
    assert!(
        disabled.ends_with(" Service=Imap4] AUTHENTICATE completed."),
        "{said}"
    );
    assert_not_connected(&said);
    assert_eq!(said["pop3"], POP3_REFUSED, "{said}");
    assert!(
        said["smtp"]["auth"].as_str().unwrap().starts_with(
            "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox. Visit \
             https://aka.ms/smtp_auth_disabled for more information. ["
        ),
        "{said}"
    );
}

#[tokio::test]
async fn smtp_that_is_switched_off_in_the_tenant() {
    let sandbox = Sandbox::start().await.unwrap();
    sandbox.state().set_tenant_smtp_disabled(true);
    // One mailbox is an exception.
    sandbox.state().set_smtp_disabled(ANN, Some(false)).unwrap();
    let said = attempt(&sandbox, JOE, None).await;
    let refused = said["smtp"]["auth"].as_str().unwrap();
    assert!(
        refused.contains("SmtpClientAuthentication is disabled for the Tenant."),
        "{said}"
    );
    let said = attempt(&sandbox, ANN, None).await;
    assert_eq!(said["smtp"]["mail"], "sent", "{said}");
}

#[tokio::test]
async fn tokens_that_are_no_good() {
    let sandbox = Sandbox::start().await.unwrap();
    for overrides in [
        TokenOverrides::new().expired(),
        TokenOverrides::new().audience("https://graph.microsoft.com"),
        TokenOverrides::new().bad_signature(),
    ] {
        let token = sandbox.mint_token(&overrides).await.unwrap();
        assert_refused(&attempt(&sandbox, JOE, Some(&token)).await);
    }
    assert_refused(&attempt(&sandbox, JOE, Some("not-a-token")).await);
}
