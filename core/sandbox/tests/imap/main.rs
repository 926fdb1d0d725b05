//! The IMAP server on the wire: Exchange's texts, pipelining, several sessions on one folder, limits.

#![allow(clippy::unwrap_used, reason = "a test that fails should panic")]

use exomail_sandbox::state::Flags;
use exomail_sandbox::{Sandbox, TokenOverrides};

mod client;
mod grammar;
mod sign_in;
use client::{Client, xoauth2};

const JOE: &str = "joe@contoso.example";

async fn connect(sandbox: &Sandbox) -> Client {
    let mut client = Client::tls(sandbox, sandbox.imap()).await;
    assert!(
        client
            .line()
            .await
            .starts_with("* OK The Microsoft Exchange IMAP4 service is ready. [")
    );
    client
}

async fn sign_in(sandbox: &Sandbox) -> Client {
    let mut client = connect(sandbox).await;
    let response = xoauth2(sandbox, JOE, &TokenOverrides::new()).await;
    let answer = client.command(&format!("AUTHENTICATE XOAUTH2 {response}")).await;
    assert_eq!(answer, ["OK AUTHENTICATE completed."]);
    client
}

async fn select(sandbox: &Sandbox, folder: &str) -> Client {
    let mut client = sign_in(sandbox).await;
    let answer = client.command(&format!("SELECT {folder}")).await;
    assert_eq!(answer.last().unwrap(), "OK [READ-WRITE] SELECT completed.");
    client
}

fn deliver(sandbox: &Sandbox, count: usize) {
    for number in 1..=count {
        sandbox
            .deliver(JOE, format!("Subject: {number}\r\n\r\nbody {number}\r\n"))
            .unwrap();
    }
}

#[tokio::test]
async fn sessions_see_each_others_changes_and_keep_their_numbers() {
    let sandbox = Sandbox::start().await.unwrap();
    deliver(&sandbox, 4);
    let (mut first, mut second) = (select(&sandbox, "INBOX").await, select(&sandbox, "INBOX").await);
    assert_eq!(
        first.command("STORE 2,3 +FLAGS (\\Deleted \\Seen Junk)").await,
        [
            "* 2 FETCH (FLAGS (\\Seen \\Deleted \\Recent))",
            "* 3 FETCH (FLAGS (\\Seen \\Deleted \\Recent))",
            "OK STORE completed."
        ]
    );
    assert_eq!(
        first.command("UID EXPUNGE 1:2").await,
        ["* 2 EXPUNGE", "OK EXPUNGE completed."]
    );
    // The second session still numbers four messages until it may be told.
    assert_eq!(
        second.command("FETCH 2:4 (UID)").await,
        [
            "* 3 FETCH (UID 3)",
            "* 4 FETCH (UID 4)",
            "* 3 FETCH (FLAGS (\\Seen \\Deleted))",
            "NO Some of the requested messages no longer exist."
        ]
    );
    assert_eq!(
        second.command("SEARCH UNSEEN").await,
        ["* SEARCH 1 4", "OK SEARCH completed."]
    );
    assert_eq!(
        second.command("NOOP").await,
        ["* 2 EXPUNGE", "OK NOOP completed."]
    );
    assert_eq!(
        second.command("FETCH 2 (UID)").await,
        ["* 2 FETCH (UID 3)", "OK FETCH completed."]
    );
    deliver(&sandbox, 1);
    assert_eq!(
        second.command("NOOP").await,
        ["* 4 EXISTS", "* 1 RECENT", "OK NOOP completed."]
    );
    assert_eq!(
        first.command("NOOP").await,
        ["* 4 EXISTS", "* 3 RECENT", "OK NOOP completed."]
    );

    // IDLE: what the other does comes at once, and without a flight.
    second.send("I IDLE\r\n").await;
    assert_eq!(second.line().await, "+ IDLE accepted, awaiting DONE command.");
    assert_eq!(
        first.command("EXPUNGE").await,
        ["* 2 EXPUNGE", "OK EXPUNGE completed."]
    );
    assert_eq!(second.line().await, "* 2 EXPUNGE");
    deliver(&sandbox, 1);
    assert_eq!(
        (second.line().await, second.line().await),
        ("* 4 EXISTS".into(), "* 2 RECENT".into())
    );
    sandbox
        .state()
        .change_flags(JOE, "INBOX", &[1], |flags| flags | Flags::FLAGGED)
        .unwrap();
    assert_eq!(second.line().await, "* 1 FETCH (FLAGS (\\Flagged))");
    second.send("DONE\r\n").await;
    assert_eq!(second.until("I").await, ["OK IDLE completed."]);
    let before = sandbox.stats().connections[1].flights;
    assert_eq!(second.command("CLOSE").await, ["OK CLOSE completed."]);
    assert_eq!(sandbox.stats().connections[1].flights, before + 1);
}

#[tokio::test]
async fn copy_and_move_tell_the_new_uids() {
    let sandbox = Sandbox::start().await.unwrap();
    deliver(&sandbox, 4);
    let mut client = select(&sandbox, "INBOX").await;
    let drafts = client.command("STATUS Drafts (UIDVALIDITY)").await[0].clone();
    let validity = drafts
        .trim_start_matches("* STATUS Drafts (UIDVALIDITY ")
        .trim_end_matches(')')
        .to_owned();
    assert_eq!(
        client.command("COPY 1,3:4 Drafts").await,
        [format!("OK [COPYUID {validity} 1,3:4 1:3] COPY completed.")]
    );
    assert_eq!(
        client.command("UID MOVE 2,4,99 Drafts").await,
        [
            format!("* OK [COPYUID {validity} 2,4 4:5] Moved."),
            "* 2 EXPUNGE".into(),
            "* 3 EXPUNGE".into(),
            "OK MOVE completed.".into()
        ]
    );
    assert_eq!(client.command("UID COPY 2 Drafts").await, ["OK COPY completed."]);
    assert_eq!(
        client.command("COPY 1 Missing").await,
        ["NO [TRYCREATE] Missing doesn't exist."]
    );
    assert_eq!(
        client.command("COPY 9 Drafts").await,
        ["BAD The specified message set is invalid."]
    );
    assert_eq!(sandbox.messages(JOE, "Drafts").len(), 5);
    assert_eq!(sandbox.messages(JOE, "INBOX").len(), 2);
    // Nothing may be changed in a folder that was opened to be looked at.
    client.command("EXAMINE INBOX").await;
    for command in ["STORE 1 +FLAGS (\\Seen)", "MOVE 1 Drafts", "EXPUNGE"] {
        assert_eq!(
            client.command(command).await,
            ["NO Command received in Invalid state."],
            "{command}"
        );
    }
    client.command("FETCH 1 (BODY[])").await;
    assert_eq!(sandbox.messages(JOE, "INBOX")[0].flags, Flags::NONE);
}

#[tokio::test]
async fn messages_on_their_way_in_share_one_limit() {
    let sandbox = Sandbox::builder()
        .mailbox(JOE)
        .max_octets(4 << 20)
        .start()
        .await
        .unwrap();
    let (mut first, mut second) = (sign_in(&sandbox).await, sign_in(&sandbox).await);
    let message = "x".repeat(3 << 20);
    first
        .send(format!(
            "A APPEND INBOX {{{}+}}\r\n{message} {{1}}\r\n",
            message.len()
        ))
        .await;
    // Asked for more, so it holds the message.
    assert_eq!(first.line().await, "+ Ready for additional command text.");
    let append = format!("APPEND INBOX {{{}+}}\r\n{message}", message.len());
    assert_eq!(second.command(&append).await, ["NO Server Unavailable. 15"]);
    first.send("y\r\n").await;
    assert_eq!(first.until("A").await, ["BAD Command Argument Error. 12"]);
    assert_eq!(
        second.command(&append).await,
        ["OK [APPENDUID 14 1] APPEND completed."]
    );
}

#[tokio::test]
async fn append_takes_both_kinds_of_literals() {
    let sandbox = Sandbox::builder()
        .mailbox(JOE)
        .max_octets(1_000_000)
        .start()
        .await
        .unwrap();
    let mut client = select(&sandbox, "INBOX").await;
    client
        .send("A APPEND INBOX (\\Seen) \"07-Feb-1994 21:52:25 -0800\" {8}\r\n")
        .await;
    assert_eq!(client.line().await, "+ Ready for additional command text.");
    client.send("A: b\r\n\r\n\r\n").await;
    assert_eq!(
        client.until("A").await,
        [
            "* 1 EXISTS",
            "* 1 RECENT",
            "OK [APPENDUID 14 1] APPEND completed."
        ]
    );
    // LITERAL+, with a folder name that is a literal too, and the next command behind it.
    client
        .send("A APPEND {5+}\r\nINBOX {8+}\r\nA: c\r\n\r\n\r\nB NOOP\r\n")
        .await;
    assert_eq!(
        client.until("A").await.last().unwrap(),
        "OK [APPENDUID 14 2] APPEND completed."
    );
    assert_eq!(client.until("B").await, ["OK NOOP completed."]);
    let answer = client.command("FETCH 1 (INTERNALDATE FLAGS BODY.PEEK[])").await;
    assert_eq!(
        answer[0],
        "* 1 FETCH (INTERNALDATE \"08-Feb-1994 05:52:25 +0000\" FLAGS (\\Seen \\Recent) BODY[] {8}"
    );
    // What cannot be kept is refused before it is sent, or passed over if the client did not wait.
    assert_eq!(
        client.command("APPEND INBOX {2000000}").await,
        ["NO The mailbox is full."]
    );
    assert_eq!(
        client.command("APPEND INBOX {200000000}").await,
        ["NO Message size exceeds fixed maximum message size."]
    );
    let large = "x".repeat(2_000_000);
    client
        .send(format!("A APPEND INBOX {{2000000+}}\r\n{large}\r\nB NOOP\r\n"))
        .await;
    assert_eq!(client.until("A").await, ["NO The mailbox is full."]);
    assert_eq!(client.until("B").await, ["OK NOOP completed."]);
    assert_eq!(
        client.command("APPEND Missing {1+}\r\nx").await,
        ["NO [TRYCREATE] Missing doesn't exist."]
    );
    assert_eq!(client.command("SELECT {20000}").await, ["BAD Command Error. 10"]);
    // What follows a refused literal belongs to the refused command.
    let long = "x".repeat(20_000);
    client
        .send(format!(
            "A SELECT {{20000+}}\r\n{long} {{7+}}\r\nC NOOP\r\nB NOOP\r\n"
        ))
        .await;
    assert_eq!(client.line().await, "A BAD Command Error. 10");
    assert_eq!(client.line().await, "B OK NOOP completed.");
    client
        .send(format!(
            "A APPEND INBOX {{1+}}\r\nx {{20000+}}\r\n{long}\r\nB NOOP\r\n"
        ))
        .await;
    assert_eq!(client.line().await, "A BAD Command Error. 10");
    assert_eq!(client.line().await, "B OK NOOP completed.");
    client.send("A APPEND INBOX {99999999999999999999+}\r\n").await;
    assert_eq!(client.line().await, "* BYE Connection closed. 14");
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn what_cannot_be_read_is_bad_in_exchanges_words() {
    let sandbox = Sandbox::start().await.unwrap();
    deliver(&sandbox, 1);
    let mut client = select(&sandbox, "INBOX").await;
    let long = format!("UID FETCH {} (UID)", vec!["1"; 6_000].join(","));
    for (command, answer) in [
        ("UID FETCH 2 ()", "BAD Command Argument Error. 11"),
        ("FETCH 0 (UID)", "BAD Command Argument Error. 12"),
        ("FETCH 1", "BAD Command Argument Error. 12"),
        ("SELECT", "BAD Command Argument Error. 12"),
        ("XYZZY", "BAD Command Error. 10"),
        (long.as_str(), "BAD Command Error. 10"),
        (
            "SEARCH CHARSET UTF-8 SUBJECT x",
            "NO [BADCHARSET (US-ASCII)] The specified charset is not supported.",
        ),
        ("FETCH 2:3 (UID)", "BAD The specified message set is invalid."),
        ("SELECT Missing", "NO Missing doesn't exist."),
        // The SELECT that failed left nothing selected.
        ("FETCH 1 (UID)", "BAD Command received in Invalid state."),
        ("CHECK", "BAD Command received in Invalid state."),
        ("STARTTLS", "BAD Command received in Invalid state."),
    ] {
        assert_eq!(client.command(command).await, [answer], "{command}");
    }
    client.send("\u{fffd}\r\n(\r\n").await;
    assert_eq!(client.line().await, "* BAD Command Error. 12");
    assert_eq!(client.line().await, "* BAD Command Error. 12");
    client.send("x".repeat(100_000)).await;
    assert_eq!(client.line().await, "* BYE Connection closed. 14");
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn folders_are_made_renamed_and_deleted() {
    let sandbox = Sandbox::builder()
        .mailbox(JOE)
        .imap_special_use()
        .start()
        .await
        .unwrap();
    deliver(&sandbox, 1);
    let mut client = sign_in(&sandbox).await;
    assert_eq!(
        client.command("LIST \"\" inbox").await,
        [
            "* LIST (\\Marked \\HasNoChildren) \"/\" INBOX",
            "OK LIST completed."
        ]
    );
    let all = client.command("LIST \"\" \"*\"").await;
    assert!(
        all.contains(&"* LIST (\\HasNoChildren \\Sent) \"/\" \"Sent Items\"".to_owned()),
        "{all:?}"
    );
    assert_eq!(
        client.command("CREATE Projects/2024/").await,
        ["OK CREATE completed."]
    );
    assert_eq!(
        client.command("CREATE Projects").await,
        ["NO Projects already exists."]
    );
    assert_eq!(
        client.command("DELETE Projects").await,
        ["NO Projects has subfolders."]
    );
    assert_eq!(
        client.command("LIST \"\" Proj%").await[0],
        "* LIST (\\HasChildren) \"/\" Projects"
    );
    assert_eq!(
        client.command("SELECT Projects/2024").await.last().unwrap(),
        "OK [READ-WRITE] SELECT completed."
    );
    assert_eq!(
        client.command("RENAME Projects Done").await,
        ["OK RENAME completed."]
    );
    // The selected folder is the same under its new name.
    client.send("A APPEND Done/2024 {1+}\r\nx\r\n").await;
    assert_eq!(client.until("A").await[0], "* 1 EXISTS");
    assert_eq!(client.command("LSUB \"\" Done*").await, ["OK LSUB completed."]);
    assert_eq!(
        client.command("SUBSCRIBE Done/2024").await,
        ["OK SUBSCRIBE completed."]
    );
    assert_eq!(
        client.command("LSUB \"\" Done*").await[0],
        "* LSUB (\\HasNoChildren) \"/\" Done/2024"
    );
    assert_eq!(
        client.command("UNSUBSCRIBE Done/2024").await,
        ["OK UNSUBSCRIBE completed."]
    );
    assert_eq!(
        client.command("RENAME INBOX Old").await,
        ["NO INBOX cannot be changed."]
    );
    assert_eq!(client.command("DELETE Done/2024").await, ["OK DELETE completed."]);
    assert_eq!(
        client.command("EXPUNGE").await,
        ["BAD Command received in Invalid state."]
    );
    assert_eq!(
        client
            .command("STATUS inbox (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN)")
            .await[0],
        "* STATUS INBOX (MESSAGES 1 RECENT 1 UIDNEXT 2 UIDVALIDITY 14 UNSEEN 1)"
    );
    assert_eq!(
        client.command("STATUS Done ()").await,
        ["BAD Command Argument Error. 11"]
    );
}

#[tokio::test]
async fn session_ends_when_its_folder_is_renumbered_or_its_mailbox_removed() {
    let sandbox = Sandbox::start().await.unwrap();
    deliver(&sandbox, 1);
    let (mut working, mut idling) = (select(&sandbox, "INBOX").await, select(&sandbox, "INBOX").await);
    idling.send("I IDLE\r\n").await;
    idling.line().await;
    sandbox.state().renumber_folders(JOE).unwrap();
    assert_eq!(idling.line().await, "* BYE Connection closed. 14");
    working.send("A FETCH 1 (UID)\r\n").await;
    assert_eq!(working.line().await, "* BYE Connection closed. 14");
    let mut idling = select(&sandbox, "INBOX").await;
    idling.send("I IDLE\r\n").await;
    idling.line().await;
    sandbox.state().remove_mailbox(JOE).unwrap();
    assert_eq!(idling.line().await, "* BYE Connection closed. 14");
}

#[tokio::test]
async fn a_reader_that_stops_holds_nobody_up() {
    let sandbox = Sandbox::start().await.unwrap();
    let mut large = b"Subject: large\r\n\r\n".to_vec();
    large.resize(20 << 20, b'x');
    for _ in 0..3 {
        sandbox.deliver(JOE, large.clone()).unwrap();
    }
    let mut slow = select(&sandbox, "INBOX").await;
    slow.send("S FETCH 1:3 (BODY.PEEK[])\r\n").await;
    assert_eq!(
        slow.line().await,
        format!("* 1 FETCH (BODY[] {{{}}}", large.len())
    );
    let mut other = select(&sandbox, "INBOX").await;
    assert_eq!(
        other.command("UID SEARCH SUBJECT large").await[0],
        "* SEARCH 1 2 3"
    );
    assert_eq!(
        other.command("UID STORE 1 +FLAGS.SILENT (\\Deleted)").await,
        ["OK STORE completed."]
    );
    assert_eq!(
        other.command("EXPUNGE").await,
        ["* 1 EXPUNGE", "OK EXPUNGE completed."]
    );
    // The message that is on its way stays whole.
    assert!(slow.octets(large.len()).await == large, "other octets");
    assert_eq!(slow.line().await, ")");
    for number in 2..=3 {
        assert_eq!(
            slow.line().await,
            format!("* {number} FETCH (BODY[] {{{}}}", large.len())
        );
        assert!(slow.octets(large.len()).await == large, "other octets");
        assert_eq!(slow.line().await, ")");
    }
    assert_eq!(slow.until("S").await, ["OK FETCH completed."]);
    assert_eq!(slow.command("NOOP").await, ["* 1 EXPUNGE", "OK NOOP completed."]);
}
