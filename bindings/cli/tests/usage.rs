//! The command line itself: help, exit codes, completions, output that nobody reads.

mod support;

use std::process::Stdio;

use support::Home;

#[test]
fn a_wrong_command_line_is_exit_code_2_and_json_where_asked() {
    let home = Home::new();
    for args in [
        &["nonsense"][..],
        &["list", "--since", "yesterday"],
        &["list", "--imap", "localhost:993"],
        &["mark", "1"],
        &["mark", "1", "--seen", "--unseen"],
        &["mark", "0", "--seen"],
        &["show", "x"],
        &["token", "--timeout", "0"],
        &["token", "--raw", "--json"],
        &["token", "--client-secret", "x"],
        &["pop3", "fetch"],
        &["send", "--eml", "x", "--subject", "y"],
        &["send", "--header", "no colon"],
        &["completions", "cobol"],
    ] {
        if !args.contains(&"--json") {
            let run = home.run(args).fails(2);
            assert!(run.stderr.contains("error:"), "{run:?}");
            assert!(run.stdout.is_empty(), "{run:?}");
        }
        let run = home.run(&[&["--json"], args].concat()).fails(2);
        assert_eq!(run.error()["kind"], "invalid_argument");
        assert_eq!(run.stderr.lines().count(), 1, "{run:?}");
    }
}

#[test]
fn help_names_every_exit_code_and_no_secret_flag() {
    let run = Home::new().run(&["--help"]).ok();
    for part in [
        "Exit codes:",
        " 10  ",
        "141",
        "EXOMAIL_CONFIG",
        "--trace",
        "--json",
    ] {
        assert!(run.stdout.contains(part), "{part} is not in\n{}", run.stdout);
    }
    for command in ["token", "send", "list"] {
        let help = Home::new().run(&[command, "--help"]).ok().stdout;
        assert!(help.contains("--client-secret-file"), "{help}");
        assert!(!help.contains("--client-secret "), "{help}");
        assert!(!help.contains("--certificate-password "), "{help}");
    }
}

#[test]
fn completions_know_the_commands_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let run = Home::new().run(&["completions", shell]).ok();
        for word in ["sandbox", "completions", "client-secret-file"] {
            assert!(run.stdout.contains(word), "{word} is not in {shell}'s");
        }
    }
}

#[test]
fn bash_takes_the_completions() {
    let home = Home::new();
    let script = home.run(&["completions", "bash"]).ok().stdout;
    let path = home.write("completions.bash", script);
    let status = std::process::Command::new("bash").args(["-n", &path]).status();
    assert!(status.expect("bash is there").success());
}

#[test]
fn output_that_nobody_reads_is_no_panic() {
    for args in [&["completions", "bash"][..], &["--help"]] {
        let mut child = Home::new()
            .command(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("the binary ends");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.is_empty(), "{stderr}");
        assert!(
            matches!(output.status.code(), Some(0 | 141)),
            "{:?}",
            output.status
        );
    }
}

#[test]
fn colour_comes_when_asked_and_stays_away_otherwise() {
    let coloured = |home: &Home, args: &[&str]| home.run(args).fails(3).stderr.contains('\x1b');
    let home = Home::new();
    // Stderr is a pipe here, so `auto` means none.
    assert!(!coloured(&home, &["token"]));
    assert!(coloured(&home, &["token", "--color", "always"]));
    assert!(!coloured(&home, &["token", "--color", "never"]));
    let home = home.with("NO_COLOR", "1");
    assert!(!coloured(&home, &["token"]));
}
