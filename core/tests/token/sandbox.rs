//! Against the sandbox's Entra.

use exomail::token::Claims;
use exomail::{App, AppBuilder, Cloud, ErrorKind, Retry, Step, Token};
use exomail_sandbox::Sandbox;

use crate::certificate::{PEM, certificate};

fn builder(sandbox: &Sandbox, tenant: &str, client_id: &str) -> AppBuilder {
    App::builder(tenant, client_id)
        .cloud(Cloud::custom(sandbox.authority()).unwrap())
        .extra_ca_pem(sandbox.ca_pem().as_bytes())
}

fn app(sandbox: &Sandbox) -> AppBuilder {
    builder(sandbox, sandbox.tenant(), sandbox.client_id())
}

fn claims(sandbox: &Sandbox, token: &Token) -> Claims {
    let claims = token.claims().unwrap();
    assert_eq!(claims.tid.as_deref(), Some(sandbox.tenant()));
    assert_eq!(claims.appid.as_deref(), Some(sandbox.client_id()));
    assert!(claims.is_app_only());
    assert!(claims.is_for_exchange(&Cloud::global()));
    claims
}

#[tokio::test]
async fn a_secret_gets_a_token_with_all_roles() {
    let sandbox = Sandbox::start().await.unwrap();
    let token = app(&sandbox)
        .client_secret(sandbox.client_secret())
        .build()
        .unwrap()
        .token()
        .await
        .unwrap();
    assert!((3500..=3600).contains(&token.remaining().as_secs()));
    let claims = claims(&sandbox, &token);
    for role in ["IMAP.AccessAsApp", "POP.AccessAsApp", "SMTP.SendAsApp"] {
        claims.require_role(&Cloud::global(), role).unwrap();
    }
    let state = sandbox.state();
    assert_eq!(
        claims.oid.as_deref(),
        state.enterprise_object_id(sandbox.client_id())
    );
    assert_eq!(claims.appidacr.as_deref(), Some("1"));
}

#[tokio::test]
async fn a_domain_names_the_tenant_as_well() {
    let sandbox = Sandbox::start().await.unwrap();
    let app = builder(&sandbox, sandbox.domain(), sandbox.client_id()).client_secret(sandbox.client_secret());
    claims(&sandbox, &app.build().unwrap().token().await.unwrap());
}

#[tokio::test]
async fn a_certificate_signs_in_in_both_forms() {
    let sandbox = Sandbox::start().await.unwrap();
    sandbox
        .state()
        .add_certificate(sandbox.client_id(), PEM.0.as_bytes())
        .unwrap();
    for certificate in [certificate(), certificate().with_rs256()] {
        let app = app(&sandbox).certificate(certificate).build().unwrap();
        // Forced: a second form of the same certificate shares the first one's token.
        let claims = claims(&sandbox, &app.refresh_token().await.unwrap());
        assert_eq!(claims.appidacr.as_deref(), Some("2"));
    }
    assert_eq!(sandbox.stats().token_requests, 2);
}

#[tokio::test]
async fn a_certificate_that_was_not_uploaded_may_be_on_its_way() {
    let sandbox = Sandbox::start().await.unwrap();
    let app = app(&sandbox).certificate(certificate()).build().unwrap();
    let error = app.token().await.unwrap_err();
    assert_eq!(error.oauth().unwrap().codes, [700_027]);
    assert_eq!(
        (error.kind(), error.step()),
        (ErrorKind::CredentialRejected, Some(Step::CreateCredential))
    );
    assert_eq!(error.retry(), Retry::Backoff);
    sandbox
        .state()
        .add_certificate(sandbox.client_id(), PEM.0.as_bytes())
        .unwrap();
    app.token().await.unwrap();
}

#[tokio::test]
async fn each_refusal_names_what_is_wrong() {
    let sandbox = Sandbox::start().await.unwrap();
    let nobody = "99999999-9999-4999-8999-999999999999";
    let old = {
        let mut state = sandbox.state();
        let old = state.add_secret(sandbox.client_id()).unwrap().value;
        state.expire_secret(sandbox.client_id(), &old).unwrap();
        old
    };
    let good = sandbox.client_secret();
    let graph = Cloud::custom(sandbox.authority())
        .unwrap()
        .with_scope("https://no.such.resource/.default");
    for (app, code, kind, step) in [
        (
            app(&sandbox).client_secret("8Q~wrong"),
            7_000_215,
            ErrorKind::CredentialRejected,
            Step::CreateCredential,
        ),
        (
            app(&sandbox).client_secret(old.as_str()),
            7_000_222,
            ErrorKind::CredentialExpired,
            Step::CreateCredential,
        ),
        (
            builder(&sandbox, sandbox.tenant(), nobody).client_secret(good),
            700_016,
            ErrorKind::AppNotFound,
            Step::RegisterApp,
        ),
        (
            builder(&sandbox, nobody, sandbox.client_id()).client_secret(good),
            90_002,
            ErrorKind::TenantNotFound,
            Step::RegisterApp,
        ),
        (
            app(&sandbox).client_secret(good).cloud(graph),
            500_011,
            ErrorKind::TokenRefused,
            Step::Client,
        ),
    ] {
        let error = app.build().unwrap().token().await.unwrap_err();
        assert_eq!(
            (error.kind(), error.step(), error.retry()),
            (kind, Some(step), Retry::Never),
            "{error}"
        );
        let reply = error.oauth().unwrap();
        assert_eq!(reply.codes, [code]);
        assert!(reply.correlation_id.is_some() && reply.trace_id.is_some() && reply.timestamp.is_some());
        assert!(error.hint().is_some());
    }
}

#[tokio::test]
async fn without_consent_there_is_a_token_without_roles() {
    let sandbox = Sandbox::start().await.unwrap();
    for role in ["IMAP.AccessAsApp", "POP.AccessAsApp", "SMTP.SendAsApp"] {
        sandbox.state().remove_role(sandbox.client_id(), role).unwrap();
    }
    let app = app(&sandbox)
        .client_secret(sandbox.client_secret())
        .build()
        .unwrap();
    let claims = claims(&sandbox, &app.token().await.unwrap());
    assert!(claims.roles.is_empty());
    let error = claims.require_role(app.cloud(), "IMAP.AccessAsApp").unwrap_err();
    assert_eq!(
        (error.kind(), error.step()),
        (ErrorKind::ConsentMissing, Some(Step::GrantPermissions))
    );
    // Granted now: the cached token stays as it is, a new one has it.
    sandbox
        .state()
        .add_role(sandbox.client_id(), "IMAP.AccessAsApp")
        .unwrap();
    assert!(
        !app.token()
            .await
            .unwrap()
            .claims()
            .unwrap()
            .has_role("IMAP.AccessAsApp")
    );
    assert!(
        app.refresh_token()
            .await
            .unwrap()
            .claims()
            .unwrap()
            .has_role("IMAP.AccessAsApp")
    );
    assert!(
        app.token()
            .await
            .unwrap()
            .claims()
            .unwrap()
            .has_role("IMAP.AccessAsApp")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_tasks_make_one_request() {
    let sandbox = Sandbox::start().await.unwrap();
    let app = app(&sandbox)
        .client_secret(sandbox.client_secret())
        .build()
        .unwrap();
    let tasks: Vec<_> = (0..200)
        .map(|_| {
            let app = app.clone();
            tokio::spawn(async move { app.token().await.unwrap() })
        })
        .collect();
    let mut texts = std::collections::HashSet::new();
    for task in tasks {
        texts.insert(task.await.unwrap().secret().expose().to_owned());
    }
    assert_eq!((texts.len(), sandbox.stats().token_requests), (1, 1));
}
