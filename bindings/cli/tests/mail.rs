//! The mail commands against a sandbox: what they do, what they print, how they end.

mod support;

use serde_json::{Value, json};
use support::Tenant;

/// The UIDs of `list --json`, in its order.
fn uids(tenant: &Tenant, args: &[&str]) -> Vec<String> {
    let run = tenant.run(&[&["list", "--json"], args].concat()).ok();
    run.lines().iter().map(|line| line["uid"].to_string()).collect()
}

#[test]
fn a_mail_goes_out_and_is_listed_shown_and_fetched() {
    let tenant = Tenant::start();
    let (me, other) = (tenant.mailbox(0), tenant.mailbox(1));
    let content: Vec<u8> = (0..=255).cycle().take(3000).collect();
    let file = tenant.home.write("Bericht für Joe.bin", &content);
    let sent = tenant.run(&[
        "send",
        "--json",
        "--to",
        &other,
        "--cc",
        &me,
        "--subject",
        "Grüße",
        "--text",
        "Hallo\nWelt",
        "--attach",
        &file,
        "--header",
        "X-Purpose: test",
        "--reply-to",
        "desk@contoso.example",
    ]);
    let sent = sent.ok().json();
    assert_eq!(sent["accepted"], 2);
    assert_eq!(sent["rejected"], 0);
    assert_eq!(sent["from"], json!(me));
    assert_eq!(sent["recipients"][0]["address"], json!(other));
    assert_eq!(sent["recipients"][0]["accepted"], true);

    let listed = tenant.run(&["list", "--json", "--mailbox", &other]).ok().lines();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["folder"], "INBOX");
    assert_eq!(listed[0]["envelope"]["subject"], "Grüße");
    assert!(listed[0]["uid_validity"].is_number());
    let uid = listed[0]["uid"].to_string();
    let table = tenant.run(&["list", "--mailbox", &other]).ok().stdout;
    assert!(table.contains("Grüße") && table.contains("SUBJECT"), "{table}");
    assert!(!table.contains('\x1b'), "{table}");

    let folder = tenant.home.path().join("saved");
    let folder = folder.to_str().expect("UTF-8");
    let shown = tenant
        .run(&[
            "show",
            &uid,
            "--json",
            "--mailbox",
            &other,
            "--save-attachments",
            folder,
        ])
        .ok()
        .json();
    assert_eq!(shown["subject"], "Grüße");
    assert_eq!(
        shown["text"].as_str().expect("text").lines().collect::<Vec<_>>(),
        ["Hallo", "Welt"]
    );
    assert_eq!(shown["attachments"][0]["size"], 3000);
    let saved = shown["attachments"][0]["path"].as_str().expect("a path");
    assert!(saved.ends_with("Bericht für Joe.bin"), "{saved}");
    assert_eq!(std::fs::read(saved).expect("the attachment"), content);
    let has = |name: &str, value: &str| {
        let header = json!({ "name": name, "value": value });
        assert!(
            shown["headers"].as_array().expect("headers").contains(&header),
            "{shown}"
        );
    };
    has("X-Purpose", "test");
    has("Reply-To", "desk@contoso.example");
    let people = tenant.run(&["show", &uid, "--mailbox", &other]).ok().stdout;
    assert!(
        people.contains("Hallo\nWelt") && people.contains("Bericht für Joe.bin"),
        "{people}"
    );

    // Nothing of this has marked it as read, and the bytes are the same on every way.
    assert_eq!(
        uids(&tenant, &["--mailbox", &other, "--unseen"]),
        std::slice::from_ref(&uid)
    );
    let raw = tenant
        .run(&["show", &uid, "--raw", "--mailbox", &other])
        .ok()
        .stdout;
    let fetched = tenant
        .run(&["fetch", &uid, "--json", "--mailbox", &other, "--output", folder])
        .ok()
        .lines();
    let path = fetched[0]["path"].as_str().expect("a path");
    assert!(path.ends_with(&format!("{uid}.eml")), "{path}");
    assert_eq!(std::fs::read_to_string(path).expect("the message"), raw);
    assert_eq!(fetched[0]["size"], raw.len());
    let popped = tenant
        .run(&[
            "pop3",
            "fetch",
            "1",
            "--json",
            "--mailbox",
            &other,
            "--output",
            folder,
        ])
        .ok()
        .lines();
    let path = popped[0]["path"].as_str().expect("a path");
    assert_eq!(std::fs::read_to_string(path).expect("the message"), raw);
    // A second time the file is there already.
    let again = tenant
        .run(&["fetch", &uid, "--json", "--mailbox", &other, "--output", folder])
        .fails(3);
    assert_eq!(again.error()["kind"], "local_io");
    tenant
        .run(&["fetch", &uid, "--force", "--mailbox", &other, "--output", folder])
        .ok();
}

#[test]
fn the_text_comes_from_stdin_or_a_file_and_bcc_stays_hidden() {
    let tenant = Tenant::start();
    let (me, other) = (tenant.mailbox(0), tenant.mailbox(1));
    let args = ["send", "--to", &me, "--bcc", &other, "--subject", "piped"];
    let run = tenant.home.run_with_input(&args, "aus der Röhre\n".as_bytes());
    assert!(run.ok().stdout.contains("sent"));
    for mailbox in [&me, &other] {
        let uid = &uids(&tenant, &["--mailbox", mailbox, "--subject", "piped"])[0];
        let raw = tenant
            .run(&["show", uid, "--raw", "--mailbox", mailbox])
            .ok()
            .stdout;
        assert!(!raw.contains(&other), "{raw}");
        let shown = tenant
            .run(&["show", uid, "--json", "--mailbox", mailbox])
            .ok()
            .json();
        assert_eq!(shown["text"].as_str().expect("text").trim_end(), "aus der Röhre");
    }
    let text = tenant.home.write("text", "from a file");
    let html = tenant.home.write("page.html", "<p>from <b>a</b> page</p>");
    tenant
        .run(&[
            "send",
            "--to",
            &me,
            "--subject",
            "both",
            "--text-file",
            &text,
            "--html-file",
            &html,
        ])
        .ok();
    let uid = &uids(&tenant, &["--subject", "both"])[0];
    let shown = tenant.run(&["show", uid, "--json"]).ok().json();
    assert_eq!(shown["text"].as_str().expect("text").trim_end(), "from a file");
    assert!(shown["html"].as_str().expect("html").contains("<b>a</b>"));
    let missing = tenant
        .run(&[
            "send", "--to", &me, "--text", "x", "--attach", "/nowhere", "--json",
        ])
        .fails(3);
    assert_eq!(missing.error()["kind"], "local_io");
}

#[test]
fn ready_bytes_are_sent_as_they_are() {
    let tenant = Tenant::start();
    let (me, other) = (tenant.mailbox(0), tenant.mailbox(1));
    let head = format!("From: Joe <{me}>\r\nTo: <{other}>\r\nMessage-ID: <ready@contoso.example>\r\n");
    let body = "Subject: ready\r\n\r\n.dot\r\n..\r\nend\r\n";
    let eml = tenant.home.write("ready.eml", format!("{head}{body}"));
    let sent = tenant.run(&["send", "--eml", &eml, "--json"]).ok().json();
    assert_eq!(sent["message_id"], "ready@contoso.example");
    assert_eq!(sent["recipients"][0]["address"], json!(other));
    let uid = &uids(&tenant, &["--mailbox", &other])[0];
    let raw = tenant
        .run(&["show", uid, "--raw", "--mailbox", &other])
        .ok()
        .stdout;
    assert!(raw.ends_with("\r\n\r\n.dot\r\n..\r\nend\r\n"), "{raw:?}");
    // Other recipients by flag; a Bcc header would give them away.
    let sent = tenant
        .run(&["send", "--eml", &eml, "--to", &me, "--json"])
        .ok()
        .json();
    assert_eq!(sent["recipients"].as_array().expect("recipients").len(), 1);
    let hidden = tenant
        .home
        .write("hidden.eml", format!("Bcc: <{me}>\r\n{head}{body}"));
    let error = tenant.run(&["send", "--eml", &hidden, "--json"]).fails(3).error();
    assert_eq!(error["kind"], "invalid_message");
}

#[test]
fn a_refused_recipient_is_partial_success_or_none_at_all() {
    let tenant = Tenant::start();
    let me = tenant.mailbox(0);
    let args = [
        "send",
        "--to",
        &me,
        "nobody@contoso.example",
        "--subject",
        "some",
        "--text",
        "x",
        "--json",
    ];
    let run = tenant.run(&args).fails(10);
    let sent = run.json();
    assert_eq!((&sent["accepted"], &sent["rejected"]), (&json!(1), &json!(1)));
    assert_eq!(sent["recipients"][1]["accepted"], false);
    assert!(
        sent["recipients"][1]["reply"]["code"]
            .as_u64()
            .is_some_and(|code| code >= 500),
        "{sent}"
    );
    assert!(run.stderr.is_empty(), "{run:?}");
    let people = tenant.run(&args[..args.len() - 1]).fails(10).stdout;
    assert!(
        people.contains("refused") && people.contains("nobody@contoso.example"),
        "{people}"
    );
    assert_eq!(uids(&tenant, &["--subject", "some"]).len(), 2);
    let error = tenant
        .run(&[&args[..], &["--all-recipients"]].concat())
        .fails(7)
        .error();
    assert_eq!(error["kind"], "recipients_rejected");
    assert_eq!(error["recipients"][0]["accepted"], true);
    assert_eq!(error["recipients"][1]["address"], "nobody@contoso.example");
    assert_eq!(uids(&tenant, &["--subject", "some"]).len(), 2);
}

#[test]
fn lists_are_newest_first_limited_and_selected() {
    let tenant = Tenant::start();
    for number in 1..=4 {
        tenant.deliver(&format!("number {number}"), "text");
    }
    let all = uids(&tenant, &[]);
    assert_eq!(all.len(), 4);
    let subjects = |args: &[&str]| -> Vec<Value> {
        let run = tenant.run(&[&["list", "--json"], args].concat()).ok();
        run.lines()
            .iter()
            .map(|line| line["envelope"]["subject"].clone())
            .collect()
    };
    assert_eq!(subjects(&["--limit", "2"]), ["number 4", "number 3"]);
    assert_eq!(subjects(&["--limit", "0"]).len(), 4);
    assert_eq!(subjects(&["--subject", "number 2"]), ["number 2"]);
    assert_eq!(subjects(&["--from", "nobody"]), [] as [&str; 0]);
    assert_eq!(subjects(&["--since", "2100-01-01"]), [] as [&str; 0]);
    assert_eq!(subjects(&["--before", "2100-01-01"]).len(), 4);
    let more = tenant.run(&["list", "-n", "1"]).ok();
    assert!(more.stderr.contains("1 of 4"), "{more:?}");
    let error = tenant.run(&["list", "No such folder", "--json"]).fails(7).error();
    assert_eq!(error["kind"], "not_found", "{error}");
    assert_eq!(error["layer"], "imap");
}

#[test]
fn messages_are_marked_moved_and_deleted() {
    let tenant = Tenant::start();
    for number in 1..=3 {
        tenant.deliver(&format!("number {number}"), "text");
    }
    let all = uids(&tenant, &[]);
    let [third, second, first] = &all[..] else {
        panic!("{all:?}")
    };
    let marked = tenant
        .run(&["mark", first, second, "--seen", "--flagged", "--json"])
        .ok()
        .json();
    assert_eq!(marked["uids"].as_array().expect("uids").len(), 2);
    assert_eq!(uids(&tenant, &["--unseen"]), std::slice::from_ref(third));
    assert_eq!(uids(&tenant, &["--flagged"]).len(), 2);
    tenant
        .run(&["mark", &format!("{first}:{second}"), "--unseen", "--unflagged"])
        .ok();
    assert_eq!(uids(&tenant, &["--unseen"]).len(), 3);
    assert!(uids(&tenant, &["--flagged"]).is_empty());

    let folders = tenant.run(&["folders", "--json"]).ok().lines();
    let name = |role: &str| {
        let folder = folders.iter().find(|folder| folder["role"] == role);
        folder.unwrap_or_else(|| panic!("no {role}: {folders:?}"))["name"]
            .as_str()
            .expect("a name")
            .to_owned()
    };
    let trash = name("trash");
    assert!(tenant.run(&["folders"]).ok().stdout.contains("INBOX"));

    let error = tenant
        .run(&["move", first, "--to", "Projekte/Grün", "--json"])
        .fails(7)
        .error();
    assert_eq!(error["kind"], "not_found", "{error}");
    let moved = tenant
        .run(&["move", first, "--to", "Projekte/Grün", "--create", "--json"])
        .ok()
        .json();
    assert_eq!(moved["to"], "Projekte/Grün");
    assert_eq!(uids(&tenant, &[]), [third.clone(), second.clone()]);
    assert_eq!(uids(&tenant, &["Projekte/Grün"]).len(), 1);

    let deleted = tenant.run(&["delete", second, "--json"]).ok().json();
    assert_eq!(deleted["moved_to"], json!(trash));
    assert_eq!(uids(&tenant, &[&trash]).len(), 1);
    let deleted = tenant
        .run(&["delete", third, "--permanently", "--json"])
        .ok()
        .json();
    assert_eq!(deleted["permanently"], true);
    assert_eq!(uids(&tenant, &[&trash]).len(), 1);
    assert!(uids(&tenant, &[]).is_empty());

    tenant.deliver("left", "text");
    let left = &uids(&tenant, &[])[0];
    let partly = tenant.run(&["mark", left, "1:2,99", "--seen"]).fails(10);
    assert!(partly.stderr.contains("UID 99"), "{partly:?}");
    assert!(partly.stdout.contains("1 message marked"), "{partly:?}");
    for command in [
        &["mark", "99", "--seen"][..],
        &["move", "99", "--to", &trash],
        &["delete", "99"],
        &["show", "99"],
    ] {
        let error = tenant.run(&[command, &["--json"]].concat()).fails(7).error();
        assert_eq!(error["kind"], "not_found", "{command:?}: {error}");
    }
}

#[test]
fn many_are_fetched_by_query_and_by_pop3_with_delete() {
    let tenant = Tenant::start();
    for number in 1..=5 {
        tenant.deliver(&format!("number {number}"), "text");
    }
    let folder = tenant.home.path().join("out");
    let folder = folder.to_str().expect("UTF-8");
    tenant.run(&["mark", "1:2", "--seen"]).ok();
    let fetched = tenant
        .run(&["fetch", "--unseen", "--output", folder, "--json"])
        .ok()
        .lines();
    assert_eq!(fetched.len(), 3);
    let listed = tenant.run(&["pop3", "list", "--json"]).ok().lines();
    assert_eq!(listed.len(), 5);
    assert_eq!(listed[4]["number"], 5);
    assert!(
        listed
            .iter()
            .all(|line| line["uid"].is_string() && line["octets"].is_number()),
        "{listed:?}"
    );
    assert!(tenant.run(&["pop3", "list"]).ok().stdout.contains("UNIQUE ID"));
    let partly = tenant
        .run(&["pop3", "fetch", "1", "77", "--output", folder])
        .fails(10);
    assert!(partly.stderr.contains("77"), "{partly:?}");
    tenant
        .run(&["pop3", "fetch", "77", "--output", folder, "--json"])
        .fails(7);
    let fetched = tenant
        .run(&[
            "pop3", "fetch", "--all", "--delete", "--force", "--output", folder, "--json",
        ])
        .ok()
        .lines();
    assert_eq!(fetched.len(), 5);
    assert!(tenant.run(&["pop3", "list", "--json"]).ok().stdout.is_empty());
}

#[test]
fn refusals_keep_the_servers_words_and_have_exit_codes_of_their_own() {
    let tenant = Tenant::start();
    let run = tenant
        .run(&["list", "--mailbox", "stranger@contoso.example", "--json"])
        .fails(6);
    let error = run.error();
    assert_eq!(error["layer"], "imap");
    assert!(error["server"]["text"].is_string(), "{error}");
    let people = tenant
        .run(&["list", "--mailbox", "stranger@contoso.example"])
        .fails(6)
        .stderr;
    for part in ["error:", "server:", "hint:", "code:"] {
        assert!(people.contains(part), "{part} is not in\n{people}");
    }
    let error = tenant
        .run(&["list", "--imap", "imaps://localhost:1", "--json"])
        .fails(5)
        .error();
    assert_eq!(error["kind"], "connect");
    let mut home = support::Home::new();
    home.env = tenant.home.env.clone();
    home.env.remove("EXOMAIL_CA_FILE");
    let error = home.run(&["list", "--json"]).fails(5).error();
    assert_eq!(error["kind"], "tls");
    home.env = tenant.home.env.clone();
    home.env
        .insert("EXOMAIL_CLIENT_SECRET".to_owned(), "wrong~secret".to_owned());
    let error = home.run(&["list", "--json"]).fails(4).error();
    assert_eq!(error["kind"], "credential_rejected");
    assert!(
        error["oauth"]["description"]
            .as_str()
            .expect("text")
            .contains("AADSTS7000215"),
        "{error}"
    );
    home.env.remove("EXOMAIL_MAILBOX");
    home.env
        .insert("EXOMAIL_CLIENT_SECRET".to_owned(), tenant.text("client_secret"));
    let error = home.run(&["list", "--json"]).fails(3).error();
    assert!(
        error["hint"].as_str().expect("hint").contains("--mailbox"),
        "{error}"
    );
}

#[test]
fn a_silent_server_is_given_up_at_the_timeout() {
    let tenant = Tenant::start();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!(
        "imap://127.0.0.1:{}",
        silent.local_addr().expect("an address").port()
    );
    let error = tenant
        .run(&["list", "--imap", &url, "--timeout", "300ms", "--json"])
        .fails(8)
        .error();
    assert_eq!(error["kind"], "timed_out");
    assert_eq!(error["operation"], "list");
}

#[test]
fn a_message_that_nobody_reads_to_the_end_is_no_panic() {
    use std::io::Read;
    use std::process::Stdio;
    let tenant = Tenant::start();
    // More than a pipe holds, so that the program is still writing when the reader goes.
    let (me, text) = (tenant.mailbox(0), "line\n".repeat(100_000));
    let sent = tenant
        .home
        .run_with_input(&["send", "--to", &me, "--subject", "long"], text.as_bytes());
    sent.ok();
    let mut command = tenant.home.command(&["show", "1", "--raw"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut stdout = child.stdout.take().expect("piped");
    stdout.read_exact(&mut [0; 100]).expect("the beginning");
    drop(stdout);
    let output = child.wait_with_output().expect("the binary ends");
    assert_eq!(output.status.code(), Some(141), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn an_interrupted_command_ends_in_order() {
    use std::process::{Command, Stdio};
    let tenant = Tenant::start();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!(
        "imap://127.0.0.1:{}",
        silent.local_addr().expect("an address").port()
    );
    for signal in ["-INT", "-TERM"] {
        let mut command = tenant.home.command(&["list", "--json", "--imap", &url]);
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        // It heeds signals before it connects.
        let connected = silent.accept().expect("it connects");
        let killed = Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status();
        assert!(killed.expect("kill runs").success());
        let run = support::Run::of(child.wait_with_output().expect("the binary ends")).fails(8);
        assert_eq!(run.error()["kind"], "cancelled", "{run:?}");
        drop(connected);
    }
}
