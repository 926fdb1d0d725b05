//! No token and no secret is ever printed unasked, also not with `--trace`, nor taken from the command line.

mod support;

use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use support::Tenant;

/// What base64 of a text that holds `secret` must hold, whatever stands in front of it: the characters that depend on
/// `secret` alone, for each of the three ways it can fall on the groups.
fn base64_cores(secret: &str) -> Vec<String> {
    (0..3)
        .map(|shift| {
            let encoded = BASE64_STANDARD_NO_PAD.encode([&b"xyz"[..shift], secret.as_bytes()].concat());
            let (skip, end) = ([0, 2, 3][shift], encoded.len() - 1);
            encoded[skip..end].to_owned()
        })
        .collect()
}

#[track_caller]
fn assert_clean(text: &str, client_secret: &str) {
    // A token begins with its header, `{"typ":"JWT"` or `{"alg":`, and the SASL string around it with `user=`.
    for known in [client_secret, "auth=Bearer", "{\"typ\"", "{\"alg\""] {
        assert!(!text.contains(known), "{known} is in\n{text}");
        for core in base64_cores(known) {
            assert!(!text.contains(&core), "base64 of {known} is in\n{text}");
        }
    }
    // The header again, as it stands in a token that was put into base64 a second time.
    for core in ["eyJ0eX", "eyJhbG"]
        .iter()
        .flat_map(|header| base64_cores(header))
    {
        assert!(!text.contains(&core), "a token is in\n{text}");
    }
    let part_of_token = |c: char| c.is_ascii_alphanumeric() || "-_.+/=".contains(c);
    let longest = text
        .split(|c| !part_of_token(c))
        .map(str::len)
        .max()
        .unwrap_or_default();
    assert!(longest < 300, "a run of {longest} characters is in\n{text}");
}

#[test]
fn the_search_finds_what_it_looks_for() {
    let sasl = base64::prelude::BASE64_STANDARD
        .encode("user=joe@contoso.example\x01auth=Bearer eyJ0eXAi.x.y\x01\x01");
    let token = base64::prelude::BASE64_STANDARD.encode("{\"typ\":\"JWT\",\"alg\":\"RS256\"}");
    for leak in [sasl.as_str(), &token, "secret s3cr3t~value!", &"A".repeat(300)] {
        assert!(
            std::panic::catch_unwind(|| assert_clean(leak, "s3cr3t~value")).is_err(),
            "{leak}"
        );
    }
    assert_clean(
        "S: * OK The Microsoft Exchange IMAP4 service is ready.",
        "s3cr3t~value",
    );
}

#[test]
fn a_trace_shows_the_conversation_and_nothing_secret() {
    let tenant = Tenant::start();
    let (me, secret) = (tenant.mailbox(0), tenant.text("client_secret"));
    let traced = |args: &[&str]| {
        let run = tenant.run(&[args, &["--trace"]].concat()).ok();
        assert_clean(&run.stderr, &secret);
        run.stderr
    };
    let token = traced(&["token"]);
    assert!(token.contains("token"), "{token}");
    let smtp = traced(&[
        "send",
        "--to",
        &me,
        "--subject",
        "traced",
        "--text",
        "the body itself",
    ]);
    assert!(
        smtp.contains("smtp#") && smtp.contains("C: AUTH XOAUTH2") && smtp.contains("S: 235"),
        "{smtp}"
    );
    assert!(!smtp.contains("the body itself"), "{smtp}");
    let imap = traced(&["list"]);
    assert!(
        imap.contains("imap#") && imap.contains("AUTHENTICATE XOAUTH2"),
        "{imap}"
    );
    let shown = traced(&["show", "1"]);
    assert!(!shown.contains("the body itself"), "{shown}");
    let pop3 = traced(&["pop3", "list"]);
    assert!(pop3.contains("pop3#") && pop3.contains("AUTH XOAUTH2"), "{pop3}");
    let demo = tenant.run(&["demo", "--trace"]).ok().stderr;
    assert_clean(&demo, &secret);
    for part in ["token#", "smtp#", "imap#", "pop3#"] {
        assert!(demo.contains(part), "{part} is not in\n{demo}");
    }
    let json = tenant.run(&["list", "--trace", "--json"]).ok();
    assert_clean(&json.stderr, &secret);
    for line in json.stderr.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON lines");
        assert!(line["trace"]["text"].is_string(), "{line}");
    }
}

#[test]
fn failures_show_nothing_secret_either() {
    let tenant = Tenant::start();
    let secret = "qX8~wrong.but-secret_value";
    let mut home = support::Home::new();
    home.env = tenant.home.env.clone();
    home.env
        .insert("EXOMAIL_CLIENT_SECRET".to_owned(), secret.to_owned());
    for args in [&["token", "--trace"][..], &["token", "--trace", "--json"]] {
        let run = home.run(args).fails(4);
        assert_clean(&(run.stdout + &run.stderr), secret);
    }
    let refused = tenant
        .run(&["list", "--trace", "--mailbox", "stranger@contoso.example"])
        .fails(6);
    assert_clean(&refused.stderr, &tenant.text("client_secret"));
}

#[test]
fn the_token_is_printed_only_when_asked() {
    let tenant = Tenant::start();
    for args in [&["token"][..], &["token", "--json"], &["token", "--claims"]] {
        let run = tenant.run(args).ok();
        assert_clean(&(run.stdout + &run.stderr), &tenant.text("client_secret"));
    }
    let json = tenant.run(&["token", "--json"]).ok().json();
    assert!(
        json["expires_in_seconds"]
            .as_u64()
            .is_some_and(|seconds| seconds > 60),
        "{json}"
    );
    assert_eq!(json["claims"]["tid"], tenant.json["tenant"]);
    let claims = tenant.run(&["token", "--claims"]).ok().json();
    assert_eq!(claims["appid"], tenant.json["client_id"]);
    let people = tenant.run(&["token"]).ok().stdout;
    assert!(
        people.contains("IMAP.AccessAsApp") && people.contains("Object ID"),
        "{people}"
    );
    let raw = tenant.run(&["token", "--raw"]).ok().stdout;
    assert_eq!(raw.trim_end().split('.').count(), 3, "{raw}");
}

#[test]
fn the_secret_is_not_on_the_command_line_of_a_running_program() {
    let tenant = Tenant::start();
    // A server that never answers keeps the program alive while its command line is looked at.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!(
        "imap://127.0.0.1:{}",
        silent.local_addr().expect("an address").port()
    );
    let mut child = tenant
        .home
        .command(&["list", "--imap", &url])
        .spawn()
        .expect("runs");
    let connected = silent.accept();
    let command_line = std::fs::read(format!("/proc/{}/cmdline", child.id())).expect("procfs");
    child.kill().expect("killed");
    child.wait().expect("ended");
    connected.expect("the program connects");
    let command_line = String::from_utf8_lossy(&command_line).into_owned();
    assert!(command_line.contains("--imap"), "{command_line}");
    assert!(
        !command_line.contains(&tenant.text("client_secret")),
        "{command_line}"
    );
}
