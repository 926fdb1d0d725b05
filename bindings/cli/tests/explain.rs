//! `exomail explain`: offline, no configuration needed.

mod support;

use support::Home;

#[test]
fn a_pasted_text_is_explained_without_any_configuration() {
    let home = Home::new();
    let text = "Nov 22 mx1: 535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox.";
    let run = home.run(&["explain", text]).ok();
    assert!(run.stdout.contains("Set-CASMailbox"), "{run:?}");
    assert!(run.stdout.contains("certain"), "{run:?}");
    // Unquoted, and beginning with a dash.
    let run = home
        .run(&[
            "explain",
            "--json",
            "-ERR",
            "Authentication",
            "failure:",
            "unknown",
            "user",
            "name",
            "or",
            "bad",
            "password.",
        ])
        .ok();
    assert_eq!(run.json()["explanations"][0]["id"], "pop3-auth-failed");
}

#[test]
fn stdin_is_read_and_json_of_the_token_endpoint_is_understood() {
    let home = Home::new();
    let body = br#"{"error":"invalid_client","error_description":"AADSTS7000222: The provided client secret keys are expired."}"#;
    let run = home.run_with_input(&["--json", "explain", "-"], body).ok();
    let first = &run.json()["explanations"][0];
    assert_eq!(first["id"], "entra-secret-expired");
    assert_eq!(first["step"], "create_credential");
    assert_eq!(first["confidence"], "certain");
}

#[test]
fn what_is_not_in_the_table_is_said_so() {
    let home = Home::new();
    let run = home.run(&["explain", "the cat sat on the mat"]).fails(1);
    assert!(run.stdout.contains("nothing in the table fits"), "{run:?}");
    let run = home.run(&["explain", "--json", "hello"]).fails(1);
    assert_eq!(run.json()["explanations"].as_array().map(Vec::len), Some(0));
    home.run(&["explain"]).fails(2);
}
