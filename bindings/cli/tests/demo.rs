//! `exomail demo` and `exomail sandbox`.

mod support;

use support::{Home, Tenant};

#[test]
fn the_demo_does_the_whole_job() {
    let run = Home::new().run(&["demo"]).ok();
    for part in [
        "tenant",
        "token",
        "SMTP.SendAsApp",
        "smtp",
        "imap",
        "pop3",
        "agree",
        "everything matches",
    ] {
        assert!(run.stdout.contains(part), "{part} is not in\n{}", run.stdout);
    }
    assert!(run.stderr.is_empty(), "{run:?}");
}

#[test]
fn the_demo_counts_flights_exactly() {
    let json = Home::new().run(&["demo", "--json"]).ok().json();
    assert_eq!(json["ok"], true);
    let flights = |name: &str| {
        let steps = json["steps"].as_array().expect("steps");
        let step = steps.iter().find(|step| step["name"] == name).expect(name);
        step["flights"].as_u64().expect("a number")
    };
    // EHLO, STARTTLS, EHLO, AUTH, and the whole mail in one.
    assert_eq!(flights("smtp"), 5, "{json}");
    // CAPABILITY, then login and EXAMINE in one, SEARCH, FETCH.
    assert_eq!(flights("imap"), 4, "{json}");
    // CAPA, AUTH, the token, STAT, RETR.
    assert_eq!(flights("pop3"), 5, "{json}");
    assert!(
        json["claims"]["roles"].as_array().expect("roles").len() >= 3,
        "{json}"
    );
    assert_eq!(json["claims"]["idtyp"], "app");
}

#[test]
fn the_sandbox_says_all_that_is_needed_and_ends_on_a_signal() {
    let tenant = Tenant::start_with(&[
        "--mailbox",
        "ann@contoso.example",
        "--mailbox",
        "bob@contoso.example",
    ]);
    for key in ["authority", "tenant", "client_id", "client_secret", "ca_file"] {
        assert!(!tenant.text(key).is_empty());
    }
    for key in ["imap", "pop3", "smtp"] {
        assert!(tenant.json[key]["host"].is_string(), "{}", tenant.json);
        assert!(
            tenant.json[key]["port"].as_u64().is_some_and(|port| port > 0),
            "{}",
            tenant.json
        );
    }
    let mailboxes = serde_json::json!(["ann@contoso.example", "bob@contoso.example"]);
    assert_eq!(tenant.json["mailboxes"], mailboxes);
    let ca_file = tenant.text("ca_file");
    assert!(std::path::Path::new(&ca_file).exists());
    assert_eq!(tenant.terminate(), 0);
    assert!(
        !std::path::Path::new(&ca_file).exists(),
        "the CA file is left behind"
    );
}

#[test]
fn an_empty_sandbox_has_nothing_set_up() {
    let tenant = Tenant::start_with(&["--empty"]);
    let run = tenant.run(&["token", "--json"]).fails(3);
    assert_eq!(run.error()["kind"], "invalid_config", "{run:?}");
}

#[test]
fn the_sandboxs_faults_are_listed_and_switched_on_by_name() {
    let help = Home::new().run(&["sandbox", "--help"]).ok().stdout;
    for fault in exomail_sandbox::Fault::ALL {
        assert!(help.contains(&fault.usage()), "{fault} is not in\n{help}");
    }
    let run = Home::new().run(&["sandbox", "--fault", "smtp-999"]).fails(2);
    assert!(run.stderr.contains("no fault is named 'smtp-999'"), "{run:?}");
    assert!(run.stderr.contains("smtp-432"), "{run:?}");

    let tenant = Tenant::start_with(&["--fault", "token-throttled:3600"]);
    let run = tenant.run(&["token", "--json"]).fails(7);
    assert_eq!(run.error()["kind"], "throttled", "{run:?}");
    assert_eq!(run.error()["retry_after_seconds"], 3600.0, "{run:?}");
}

#[test]
fn the_sandbox_ends_by_its_timeout() {
    Home::new().run(&["sandbox", "--env", "--timeout", "100ms"]).ok();
}
