//! curl, which nobody here wrote, gets a token, sends by SMTP, and reads by IMAP and POP3.

use std::process::Command;

use super::{JOE, outcome, run};
use exomail_sandbox::Sandbox;

const MAIL: &str = "From: <joe@contoso.example>\r\nTo: <joe@contoso.example>\r\nSubject: by curl\r\n\r\n.\r\n..dots\r\nbye\r\n";

/// Runs curl. Options with secrets go by its standard input, as they should.
async fn curl(sandbox: &Sandbox, url: &str, options: &[&str], secret_options: &str) -> String {
    let mut command = Command::new("curl");
    command.args([
        "--silent",
        "--show-error",
        "--max-time",
        "60",
        "--config",
        "-",
        "--cacert",
    ]);
    command.arg(sandbox.ca_file()).args(options).arg(url);
    String::from_utf8(run(command, secret_options).await).unwrap()
}

async fn token(sandbox: &Sandbox) -> String {
    let url = format!("{}/{}/oauth2/v2.0/token", sandbox.authority(), sandbox.tenant());
    let client_id = format!("client_id={}", sandbox.client_id());
    let options = [
        "--data-urlencode",
        "grant_type=client_credentials",
        "--data-urlencode",
        &client_id,
        "--data-urlencode",
        "scope=https://outlook.office365.com/.default",
        "--fail",
    ];
    let secret = format!("data-urlencode = \"client_secret={}\"\n", sandbox.client_secret());
    let answer: serde_json::Value =
        serde_json::from_str(&curl(sandbox, &url, &options, &secret).await).unwrap();
    answer["access_token"].as_str().unwrap().to_owned()
}

/// The options that sign in with a token.
fn bearer(token: &str) -> String {
    format!("user = \"{JOE}\"\noauth2-bearer = \"{token}\"\nlogin-options = \"AUTH=XOAUTH2\"\n")
}

fn url(scheme: &str, (host, port): (&str, u16), path: &str) -> String {
    format!("{scheme}://{host}:{port}/{path}")
}

#[tokio::test]
async fn send_by_smtp_and_read_by_imap_and_pop3() {
    let sandbox = Sandbox::start().await.unwrap();
    let bearer = bearer(&token(&sandbox).await);

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mail.eml");
    std::fs::write(&file, MAIL).unwrap();
    let upload = [
        "--ssl-reqd",
        "--mail-from",
        JOE,
        "--mail-rcpt",
        JOE,
        "--upload-file",
        file.to_str().unwrap(),
    ];
    curl(
        &sandbox,
        &url("smtp", sandbox.smtp(), "client.example"),
        &upload,
        &bearer,
    )
    .await;
    let stored = sandbox.messages(JOE, "INBOX")[0].raw.clone();
    assert!(stored.ends_with(MAIL.as_bytes()), "{stored:?}");
    let stored = String::from_utf8(stored.to_vec()).unwrap();

    // Two lines, and one line (SASL-IR).
    for options in [&[][..], &["--sasl-ir"]] {
        let whole = curl(
            &sandbox,
            &url("imaps", sandbox.imap(), "INBOX;UID=1"),
            options,
            &bearer,
        )
        .await;
        assert_eq!(whole, stored);
    }
    let plain_port = url("imap", sandbox.imap_starttls(), "INBOX;MAILINDEX=1;SECTION=TEXT");
    let text = curl(&sandbox, &plain_port, &["--ssl-reqd"], &bearer).await;
    assert_eq!(text, ".\r\n..dots\r\nbye\r\n");
    let folders = curl(&sandbox, &url("imaps", sandbox.imap(), ""), &[], &bearer).await;
    // Marked: the copy of what was sent has not been seen.
    let sent_items = "* LIST (\\Marked \\HasNoChildren) \"/\" \"Sent Items\"\r\n";
    assert!(folders.contains(sent_items), "{folders}");
    let found = curl(
        &sandbox,
        &url("imaps", sandbox.imap(), "INBOX?SUBJECT%20curl"),
        &[],
        &bearer,
    )
    .await;
    assert_eq!(found, "* SEARCH 1\r\n");
    let uploaded = ["--upload-file", file.to_str().unwrap()];
    curl(
        &sandbox,
        &url("imaps", sandbox.imap(), "Drafts"),
        &uploaded,
        &bearer,
    )
    .await;
    assert_eq!(sandbox.messages(JOE, "Drafts")[0].raw, MAIL.as_bytes());

    // Without --sasl-ir curl sends AUTH and the response apart, as Exchange wants it.
    let retrieved = curl(&sandbox, &url("pop3s", sandbox.pop3(), "1"), &[], &bearer).await;
    assert_eq!(retrieved, stored);
    let listed = curl(&sandbox, &url("pop3s", sandbox.pop3(), ""), &[], &bearer).await;
    assert_eq!(listed, format!("1 {}\r\n", stored.len()));
}

#[tokio::test]
async fn refusals_end_in_curls_login_error() {
    let sandbox = Sandbox::start().await.unwrap();
    let bearer = bearer(&token(&sandbox).await);
    sandbox
        .state()
        .remove_role(sandbox.client_id(), "IMAP.AccessAsApp")
        .unwrap();
    let enterprise = sandbox
        .state()
        .enterprise_object_id(sandbox.client_id())
        .unwrap()
        .to_owned();
    sandbox.state().remove_service_principal(&enterprise).unwrap();
    for (scheme, address, options) in [
        ("imaps", sandbox.imap(), ""),
        ("pop3s", sandbox.pop3(), ""),
        // One line, which Exchange's POP3 never takes.
        ("pop3s", sandbox.pop3(), "sasl-ir\n"),
        ("smtp", sandbox.smtp(), "ssl-reqd\n"),
    ] {
        let mut command = Command::new("curl");
        command.args(["--silent", "--max-time", "60", "--config", "-", "--cacert"]);
        command.arg(sandbox.ca_file()).arg(url(scheme, address, ""));
        // 67: login denied.
        let said = outcome(command, &format!("{bearer}{options}")).await;
        assert_eq!(said.status.code(), Some(67), "{scheme} {options}: {said:?}");
    }
}
