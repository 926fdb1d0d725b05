//! `exomail doctor` on a sandbox: exit codes, text, JSON, bundle and replay.

mod support;

use support::{Home, Tenant};

#[test]
fn a_healthy_tenant_exits_with_0_and_says_what_was_not_proven() {
    let tenant = Tenant::start();
    let run = tenant.run(&["doctor"]).ok();
    assert!(run.stdout.contains("Nothing to do."), "{run:?}");
    assert!(run.stdout.contains("nothing was sent (--send)"), "{run:?}");
    let (joe, ann) = (tenant.mailbox(0), tenant.mailbox(1));
    let run = tenant
        .run(&[
            "doctor",
            "--json",
            "-m",
            &joe,
            "--mailbox",
            &ann,
            "--protocol",
            "imap,smtp",
            "--send",
        ])
        .ok();
    let report = run.json();
    assert_eq!(report["first"], serde_json::Value::Null);
    let findings = report["findings"].as_array().expect("findings");
    let trips = findings.iter().filter(|finding| finding["id"] == "round-trip");
    assert_eq!(trips.count(), 2, "{report}");
    assert!(
        findings.iter().all(|finding| finding["layer"] != "pop3"),
        "{report}"
    );
}

#[test]
fn a_fault_exits_with_1_and_its_bundle_gives_the_same_findings_without_network() {
    let mut tenant = Tenant::start();
    let secret = "8Q~wrong-and-long-enough";
    tenant
        .home
        .env
        .insert("EXOMAIL_CLIENT_SECRET".to_owned(), secret.to_owned());
    let run = tenant.run(&["doctor", "--bundle", "out.json"]).fails(1);
    assert!(
        run.stdout.starts_with("First: the client secret is wrong"),
        "{run:?}"
    );
    assert!(run.stdout.contains("az ad app credential reset"), "{run:?}");
    let bundle = std::fs::read_to_string(tenant.home.path().join("out.json")).expect("the bundle");
    assert!(!bundle.contains(secret));
    assert!(bundle.contains("client_secret=[redacted]"), "{bundle}");

    let elsewhere = Home::new();
    elsewhere.write("in.json", &bundle);
    let replayed = elsewhere.run(&["doctor", "--replay", "in.json"]).fails(1);
    assert_eq!(replayed.stdout, run.stdout);
    elsewhere.write("bad.json", "{}");
    elsewhere.run(&["doctor", "--replay", "bad.json"]).fails(3);
    elsewhere.run(&["doctor", "--replay", "none.json"]).fails(3);
}

#[test]
fn a_configuration_that_makes_no_app_is_a_finding() {
    let home = Home::new()
        .with("EXOMAIL_TENANT", "contoso.example")
        .with("EXOMAIL_CLIENT_ID", "22222222-2222-4222-8222-222222222222")
        .with("EXOMAIL_CLIENT_SECRET", "33333333-3333-4333-8333-333333333333");
    let run = home.run(&["doctor", "--json"]).fails(1);
    let first = &run.json()["first"];
    assert_eq!(first["step"], "create_credential");
    assert!(
        first["remedy"]
            .as_str()
            .is_some_and(|text| text.contains("Secret ID")),
        "{first}"
    );
    home.run(&["doctor", "--protocol", "nntp"]).fails(2);
}
