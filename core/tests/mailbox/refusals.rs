//! Each missing step of the set-up, seen through the façade: the kind, the step, the server's own words.

use exomail::{Error, ErrorKind, MessageQuery, Step};

use crate::tenant::{ANN, JOE, Tenant};

/// What reading by IMAP, reading by POP3 and sending meet.
async fn attempts(tenant: &Tenant) -> [Error; 3] {
    let joe = tenant.mailbox(JOE);
    let mail = joe.compose().to(ANN).subject("x").text("x").build().unwrap();
    [
        joe.messages(MessageQuery::inbox()).await.unwrap_err(),
        joe.pop3().await.unwrap_err(),
        joe.send(&mail).await.unwrap_err(),
    ]
}

fn said(error: &Error) -> &str {
    &error.server().expect("the server's words are kept").text
}

#[tokio::test]
async fn without_full_access_the_mailbox_is_not_connected() {
    let tenant = Tenant::start().await;
    let app = tenant.sandbox.client_id().to_owned();
    tenant.sandbox.state().revoke_full_access(JOE, &app).unwrap();
    let [imap, pop3, smtp] = attempts(&tenant).await;
    assert_eq!(
        (imap.kind(), imap.step()),
        (ErrorKind::MailboxUnavailable, Some(Step::GrantMailboxAccess))
    );
    assert!(
        said(&imap).contains("User is authenticated but not connected."),
        "{imap}"
    );
    assert_eq!(pop3.kind(), ErrorKind::AuthRejected);
    assert!(
        said(&pop3).contains("Authentication failure: unknown user name or bad password."),
        "{pop3}"
    );
    assert_eq!(
        (smtp.kind(), smtp.step()),
        (ErrorKind::MailboxUnavailable, Some(Step::GrantMailboxAccess))
    );
    assert!(said(&smtp).contains("STOREDRV"), "{smtp}");
}

#[tokio::test]
async fn without_a_service_principal_in_exchange_the_token_is_refused() {
    let tenant = Tenant::start().await;
    let app = tenant.sandbox.client_id().to_owned();
    let enterprise = tenant
        .sandbox
        .state()
        .enterprise_object_id(&app)
        .unwrap()
        .to_owned();
    tenant
        .sandbox
        .state()
        .remove_service_principal(&enterprise)
        .unwrap();
    let [imap, pop3, smtp] = attempts(&tenant).await;
    assert_eq!(
        (imap.kind(), imap.step()),
        (ErrorKind::AuthRejected, Some(Step::RegisterServicePrincipal))
    );
    assert_eq!(said(&imap), "AUTHENTICATE failed.");
    assert_eq!(pop3.kind(), ErrorKind::AuthRejected);
    assert_eq!(
        (smtp.kind(), smtp.server().unwrap().code),
        (ErrorKind::AuthRejected, Some(535))
    );
    assert_eq!(smtp.server().unwrap().enhanced.as_deref(), Some("5.7.3"));

    // The classical mistake: the Object ID of the app registration. It is stored, and never matches.
    let registration = tenant
        .sandbox
        .state()
        .application_object_id(&app)
        .unwrap()
        .to_owned();
    tenant
        .sandbox
        .state()
        .new_service_principal(&app, &registration, "wrong");
    let [imap, ..] = attempts(&tenant).await;
    assert_eq!(imap.kind(), ErrorKind::AuthRejected);
}

#[tokio::test]
async fn switches_of_mailbox_and_tenant_are_named() {
    let tenant = Tenant::start().await;
    tenant.sandbox.state().set_imap_enabled(JOE, false).unwrap();
    tenant.sandbox.state().set_pop_enabled(JOE, false).unwrap();
    tenant.sandbox.state().set_tenant_smtp_disabled(true);
    let [imap, _, smtp] = attempts(&tenant).await;
    assert_eq!(
        (imap.kind(), imap.step()),
        (ErrorKind::ProtocolDisabled, Some(Step::TenantSetting))
    );
    assert!(said(&imap).contains("UserDisabled"), "{imap}");
    assert_eq!(smtp.kind(), ErrorKind::ProtocolDisabled);
    assert!(
        said(&smtp).contains("SmtpClientAuthentication is disabled for the Tenant"),
        "{smtp}"
    );
}

#[tokio::test]
async fn a_foreign_from_is_denied() {
    let tenant = Tenant::start().await;
    let joe = tenant.mailbox(JOE);
    let mail = joe
        .compose()
        .from(ANN)
        .to(JOE)
        .subject("x")
        .text("x")
        .build()
        .unwrap();
    let error = joe.send(&mail).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SendAsDenied);
    let app = tenant.sandbox.client_id().to_owned();
    tenant.sandbox.state().grant_send_as(ANN, &app).unwrap();
    joe.send(&mail).await.unwrap();
}

#[tokio::test]
async fn what_is_no_address_and_no_folder_is_told() {
    let tenant = Tenant::start().await;
    assert_eq!(
        tenant.app.mailbox("joe").unwrap_err().kind(),
        ErrorKind::InvalidArgument
    );
    let joe = tenant.mailbox(JOE);
    let error = joe
        .messages(MessageQuery::folder("No such folder"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    // The session that was told so still serves.
    joe.messages(MessageQuery::inbox()).await.unwrap();
    assert!(
        tenant
            .transcript
            .lines()
            .iter()
            .any(|line| line.text.contains("No such folder"))
    );
}
