//! Where the configuration comes from, and what is wrong with it before any network.

mod support;

use support::{Home, Tenant};

#[test]
fn what_is_missing_is_named_with_the_way_to_give_it() {
    let home = Home::new();
    for (variables, missing) in [
        (&[][..], "tenant"),
        (&["EXOMAIL_TENANT"][..], "client id"),
        (&["EXOMAIL_TENANT", "EXOMAIL_CLIENT_ID"], "credential"),
    ] {
        let mut command = home.command(&["token", "--json"]);
        for name in variables {
            command.env(name, "11111111-2222-3333-4444-555555555555");
        }
        let run = support::Run::of(command.output().expect("runs")).fails(3);
        let error = run.error();
        assert_eq!(error["kind"], "invalid_config");
        assert!(
            error["detail"].as_str().expect("detail").contains(missing),
            "{error}"
        );
        assert!(
            error["hint"].as_str().expect("hint").contains("EXOMAIL_"),
            "{error}"
        );
    }
}

#[test]
fn a_wrong_file_is_refused_with_a_suggestion_and_without_quoting_it() {
    let home = Home::new();
    let file = home.write("exomail.toml", "tenant = 'contoso.com'\nclient_idd = 'x'\n");
    let error = home.run(&["token", "--json", "--config", &file]).fails(3).error();
    assert_eq!(error["hint"], "did you mean client_id?");
    assert!(error["detail"].as_str().expect("detail").contains("exomail.toml"));
    for content in ["client_secret = 'hunter2'", "client_secret = hunter2"] {
        let file = home.write("secret.toml", content);
        let run = home.run(&["token", "--config", &file]).fails(3);
        assert!(!run.stderr.contains("hunter2"), "{run:?}");
    }
    let error = home
        .run(&["token", "--json", "--config", "/nowhere/exomail.toml"])
        .fails(3)
        .error();
    assert_eq!(error["kind"], "local_io");
    let home = home.with("EXOMAIL_IMAP", "localhost");
    let error = home.run(&["token", "--json"]).fails(3).error();
    assert_eq!(error["operation"], "EXOMAIL_IMAP");
}

/// Everything but the client id comes from the environment; the client id comes from where the test says.
fn without_client_id(tenant: &Tenant) -> Home {
    let mut home = Home::new();
    home.env = tenant.home.env.clone();
    home.env.remove("EXOMAIL_CLIENT_ID");
    home
}

#[test]
fn flags_win_over_exomail_over_azure_over_the_file() {
    let tenant = Tenant::start();
    let (right, wrong) = (tenant.text("client_id"), "99999999-9999-4999-8999-999999999999");
    let file = |home: &Home, id: &str| {
        home.write(".config/exomail/config.toml", format!("client_id = '{id}'\n"));
    };
    // Each layer once as the one that decides, with a wrong value in every layer below it.
    let home = without_client_id(&tenant);
    file(&home, &right);
    home.run(&["token"]).ok();
    file(&home, wrong);
    home.run(&["token"]).fails(4);
    let home = home.with("AZURE_CLIENT_ID", &right);
    home.run(&["token"]).ok();
    let home = home
        .with("AZURE_CLIENT_ID", wrong)
        .with("EXOMAIL_CLIENT_ID", &right);
    home.run(&["token"]).ok();
    let home = home.with("EXOMAIL_CLIENT_ID", wrong);
    let error = home.run(&["token", "--json"]).fails(4).error();
    assert_eq!(error["kind"], "app_not_found", "{error}");
    home.run(&["token", "--client-id", &right]).ok();
}

#[test]
fn the_file_is_found_where_it_is_named_or_usual() {
    let tenant = Tenant::start();
    let content = format!("client_id = '{}'\n", tenant.text("client_id"));
    let home = without_client_id(&tenant);
    home.run(&["token"]).fails(3);
    let named = home.write("named.toml", &content);
    home.run(&["token", "--config", &named]).ok();
    let home = home.with("EXOMAIL_CONFIG", &named);
    home.run(&["token"]).ok();
    let home = without_client_id(&tenant);
    home.write("xdg/exomail/config.toml", &content);
    let folder = home.path().join("xdg").to_str().expect("UTF-8").to_owned();
    home.with("XDG_CONFIG_HOME", folder).run(&["token"]).ok();
}

#[test]
fn the_secret_comes_from_a_file_and_others_who_can_read_it_are_told_of() {
    use std::os::unix::fs::PermissionsExt;
    let tenant = Tenant::start();
    let mut home = Home::new();
    home.env = tenant.home.env.clone();
    let secret = home.env.remove("EXOMAIL_CLIENT_SECRET").expect("a secret");
    let path = home.write("secret", format!("{secret}\n"));
    let chmod = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("chmod");
    chmod(0o600);
    let run = home.run(&["token", "--client-secret-file", &path]).ok();
    assert!(!run.stderr.contains("warning"), "{run:?}");
    chmod(0o644);
    let run = home.run(&["token", "--client-secret-file", &path]).ok();
    assert!(run.stderr.contains("chmod 600"), "{run:?}");
    // Relative to the configuration file's folder; the mailbox from there too.
    home.env.remove("EXOMAIL_MAILBOX");
    let config = format!(
        "client_secret_file = 'secret'\nmailbox = '{}'\n",
        tenant.mailbox(1)
    );
    let config = home.write("exomail.toml", config);
    let run = home.run(&["folders", "--json", "--config", &config]).ok();
    let warning: serde_json::Value = serde_json::from_str(run.stderr.trim()).expect("JSON");
    assert!(warning["warning"].as_str().expect("text").contains("chmod 600"));
    // A credential from above hides the one below.
    let run = home.run(&[
        "token",
        "--config",
        &config,
        "--certificate",
        "/nowhere.pem",
        "--json",
    ]);
    assert_eq!(run.fails(3).error()["kind"], "local_io");
}

#[test]
fn the_sandboxs_environment_is_taken_unchanged() {
    use std::io::Read;
    use std::process::Stdio;
    let home = Home::new();
    let mut child = home
        .command(&["sandbox", "--env", "--timeout", "2m"])
        .env("TMPDIR", home.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the sandbox starts");
    // Printed on one go: the first read has all of it.
    let mut buffer = vec![0; 64 * 1024];
    let length = child
        .stdout
        .as_mut()
        .expect("piped")
        .read(&mut buffer)
        .expect("text");
    let text = String::from_utf8(buffer[..length].to_vec()).expect("UTF-8");
    let file = home.write("tenant.env", &text);
    let program = env!("CARGO_BIN_EXE_exomail");
    let script = format!(". {file} && {program} token && {program} folders && {program} pop3 list");
    let status = std::process::Command::new("bash")
        .args(["-ec", &script])
        .env_clear()
        .env("HOME", home.path())
        .output();
    child.kill().expect("killed");
    child.wait().expect("ended");
    let output = status.expect("bash is there");
    assert!(output.status.success(), "{text}\n{output:?}");
}

/// Python's standard library has the pseudo-terminal that Rust's has not.
const TERMINAL: &str = r#"
import os, pty, sys, termios
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
seen = b""
answer = os.environ["ANSWER"].encode() + b"\n"
while True:
    try:
        piece = os.read(terminal, 65536)
    except OSError:
        break
    if not piece:
        break
    seen += piece
    # The echo is off once the question is there and a moment later; what is typed before would be shown.
    while answer and b"Client secret" in seen:
        if not termios.tcgetattr(terminal)[3] & termios.ECHO:
            os.write(terminal, answer)
            answer = b""
sys.stdout.buffer.write(seen)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

#[test]
fn a_person_is_asked_for_the_secret_and_it_is_not_shown() {
    let tenant = Tenant::start();
    let mut home = Home::new();
    home.env = tenant.home.env.clone();
    let secret = home.env.remove("EXOMAIL_CLIENT_SECRET").expect("a secret");
    let output = std::process::Command::new("python3")
        .args([
            "-c",
            TERMINAL,
            env!("CARGO_BIN_EXE_exomail"),
            "token",
            "--timeout",
            "60",
        ])
        .env_clear()
        .env("HOME", home.path())
        .env("ANSWER", &secret)
        .envs(&home.env)
        .output();
    let run = support::Run::of(output.expect("python3 is there")).ok();
    assert!(
        run.stdout.contains("Client secret") && run.stdout.contains("valid"),
        "{run:?}"
    );
    assert!(!run.stdout.contains(&secret), "{run:?}");
}
