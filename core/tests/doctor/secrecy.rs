//! Neither secret nor token is in a report or bundle, whatever was refused.

use exomail::doctor::Report;
use exomail::sasl;

use crate::net::{assert_absent, log};
use crate::tenant::{JOE, Tenant, both};

#[tokio::test]
async fn a_bundle_holds_no_secret() {
    log();
    let tenant = Tenant::start().await;
    let app = tenant.healthy_app();
    let mut texts = Vec::new();
    let mut keep = |report: &Report| {
        texts.push(report.bundle(&tenant.transcript).to_string());
        texts.push(format!("{report:?}"));
    };
    keep(&tenant.run(&app, &both().send(true)).await);
    let (token, oid) = (app.token().await.unwrap(), tenant.oid());
    tenant.sandbox.state().remove_service_principal(&oid).unwrap();
    keep(&tenant.run(&app, &both()).await);
    let wrong = tenant.app(
        tenant.sandbox.tenant(),
        &tenant.client(),
        "8Q~wrongwrongwrong",
        tenant.cloud(),
    );
    keep(&tenant.run(&wrong, &both()).await);
    let later = app.token().await.unwrap();
    let whole = texts.concat();
    // The conversations are there, and the credentials in them are not.
    for said in [
        "AUTHENTICATE XOAUTH2 [redacted",
        "AUTHENTICATE failed.",
        "AADSTS7000215",
    ] {
        assert!(whole.contains(said), "{said:?} is not in the bundles");
    }
    let response = sasl::xoauth2(JOE, token.secret()).unwrap();
    let secrets = [
        tenant.sandbox.client_secret(),
        "8Q~wrongwrongwrong",
        token.secret().expose(),
        later.secret().expose(),
        token.secret().expose().rsplit('.').next().unwrap(),
        response.secret().expose(),
    ];
    assert_absent(&secrets, &[("a bundle", &whole), ("the log", &log().text())]);
    assert_absent(&["It deletes this mail again"], &[("a bundle", &whole)]);
}
