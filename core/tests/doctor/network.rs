//! What stands between this machine and the servers.

use exomail::doctor::Severity;
use exomail::{App, Cloud, Endpoint, Step};

use crate::tenant::{Tenant, both, first, only};

/// A port on which nobody listens.
async fn closed_port() -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

#[tokio::test]
async fn a_closed_port_is_one_finding_and_the_rest_is_still_looked_at() {
    let tenant = Tenant::start().await;
    let cloud = tenant
        .cloud()
        .with_imap(Endpoint::implicit_tls("127.0.0.1", closed_port().await));
    let sandbox = &tenant.sandbox;
    let app = tenant.app(sandbox.tenant(), &tenant.client(), sandbox.client_secret(), cloud);
    let report = tenant.run(&app, &both()).await;
    let finding = only(&report, "network-port-refused");
    assert!(finding.cause.starts_with("IMAP 127.0.0.1:"), "{finding:?}");
    let errors = report
        .findings()
        .iter()
        .filter(|finding| finding.severity == Severity::Error);
    assert_eq!(errors.count(), 1);
    assert!(report.findings().iter().any(|finding| finding.id == "signed-in"));
}

#[tokio::test]
async fn a_certificate_of_an_unknown_ca_is_named() {
    let tenant = Tenant::start().await;
    // Without the sandbox's CA it looks as it does behind a proxy that opens TLS.
    let app = App::builder(tenant.sandbox.tenant(), tenant.sandbox.client_id())
        .client_secret(tenant.sandbox.client_secret())
        .cloud(tenant.cloud())
        .build()
        .unwrap();
    let report = tenant.run(&app, &both()).await;
    let finding = first(&report, "tls-unknown-ca");
    assert_eq!(finding.step, Some(Step::Client));
    assert!(
        finding.remedy.as_deref().unwrap().contains("--ca-file"),
        "{finding:?}"
    );
}

#[tokio::test]
async fn without_any_network_it_ends_and_says_so() {
    let tenant = Tenant::start().await;
    let port = closed_port().await;
    let dead = Endpoint::implicit_tls("127.0.0.1", port);
    let cloud = Cloud::custom(&format!("https://127.0.0.1:{port}"))
        .unwrap()
        .with_imap(dead.clone())
        .with_pop3(dead.clone())
        .with_smtp(dead);
    let sandbox = &tenant.sandbox;
    let app = tenant.app(sandbox.tenant(), &tenant.client(), sandbox.client_secret(), cloud);
    let report = tenant.run(&app, &both()).await;
    first(&report, "network-port-refused");
    // Login host, said once, and three servers.
    assert_eq!(report.findings().len(), 4, "{:#?}", report.findings());
}
