//! POP3, command by command.
#![allow(clippy::unwrap_used, reason = "a test that fails should panic")]

mod support;

use exomail_sandbox::{Sandbox, TokenOverrides};
use support::{Client, JOE, last, response, response_with};

const FAILURE: &str = "-ERR Authentication failure: unknown user name or bad password.";
const PROTOCOL_ERROR: &str = "-ERR Protocol error. Connection is closed. 10";

async fn ready(sandbox: &Sandbox) -> Client {
    let mut client = Client::tls(sandbox, sandbox.pop3()).await;
    client.line().await;
    client
}

async fn sign_in(client: &mut Client, response: &str) -> Option<String> {
    assert_eq!(client.say("AUTH XOAUTH2").await, "+");
    client.send(format!("{response}\r\n")).await;
    client.line().await
}

async fn signed_in(sandbox: &Sandbox) -> Client {
    let mut client = ready(sandbox).await;
    let reply = sign_in(&mut client, &response(sandbox, JOE).await).await;
    assert_eq!(reply.as_deref(), Some("+OK User successfully authenticated."));
    client
}

#[tokio::test]
async fn greetings_and_capabilities_are_exchanges() {
    let sandbox = Sandbox::start().await.unwrap();
    let mut client = Client::plain(sandbox.pop3_stls()).await;
    let greeting = client.line().await.unwrap();
    assert!(
        greeting.starts_with("+OK The Microsoft Exchange POP3 service is ready. [TABPADIAUAAxADIAMwBDAEEA"),
        "{greeting}"
    );
    client.send("CAPA\r\n").await;
    assert_eq!(client.lines().await, "+OK\nTOP\nUIDL\nSTLS");
    assert_eq!(
        client.say("AUTH XOAUTH2").await,
        "-ERR Command is not valid in this state."
    );
    client.send("STLS\r\nQUIT\r\n").await;
    assert_eq!(client.line().await.unwrap(), "+OK Begin TLS negotiation.");
    let mut client = client.upgrade(&sandbox).await;
    client.send("CAPA\r\n").await;
    assert_eq!(client.lines().await, "+OK\nTOP\nUIDL\nSASL PLAIN XOAUTH2\nUSER");
    assert_eq!(
        client.say("USER joe").await,
        "-ERR Command is not valid in this state."
    );
    assert_eq!(
        client.say("QUIT").await,
        "+OK Microsoft Exchange Server 2016 POP3 server signing off."
    );

    let sandbox = Sandbox::builder()
        .mailbox(JOE)
        .modern_front_end()
        .pop3_pipelining()
        .start()
        .await
        .unwrap();
    let mut client = Client::tls(&sandbox, sandbox.pop3()).await;
    let greeting = client.line().await.unwrap();
    assert!(
        greeting.starts_with("+OK Microsoft Exchange POP3 server ready (tcpproxy/15.20.9137.005). ["),
        "{greeting}"
    );
    client.send("CAPA\r\n").await;
    assert_eq!(client.lines().await, "+OK\nTOP\nUIDL\nSASL XOAUTH2\nPIPELINING");
}

#[tokio::test]
async fn xoauth2_takes_two_steps_and_4096_characters() {
    let sandbox = Sandbox::start().await.unwrap();
    let mut client = ready(&sandbox).await;
    let good = response(&sandbox, JOE).await;
    assert_eq!(client.say(&format!("AUTH XOAUTH2 {good}")).await, PROTOCOL_ERROR);
    assert_eq!(client.line().await, None);

    let long = response_with(&sandbox, JOE, &TokenOverrides::new().minimum_length(4097)).await;
    let mut client = ready(&sandbox).await;
    assert_eq!(sign_in(&mut client, &long).await.as_deref(), Some(PROTOCOL_ERROR));
    assert_eq!(client.line().await, None);
}

#[tokio::test]
async fn every_failure_has_the_same_text() {
    let sandbox = Sandbox::start().await.unwrap();
    let app = sandbox.client_id().to_owned();
    let mut client = ready(&sandbox).await;
    for bad in [
        TokenOverrides::new().expired(),
        TokenOverrides::new().bad_signature(),
        TokenOverrides::new().audience("https://graph.microsoft.com"),
        TokenOverrides::new().roles(&["IMAP.AccessAsApp", "SMTP.SendAsApp"]),
    ] {
        let response = response_with(&sandbox, JOE, &bad).await;
        assert_eq!(sign_in(&mut client, &response).await.as_deref(), Some(FAILURE));
    }
    let good = response(&sandbox, JOE).await;
    sandbox.state().set_pop_enabled(JOE, false).unwrap();
    assert_eq!(sign_in(&mut client, &good).await.as_deref(), Some(FAILURE));
    sandbox.state().set_pop_enabled(JOE, true).unwrap();
    sandbox.state().revoke_full_access(JOE, &app).unwrap();
    assert_eq!(sign_in(&mut client, &good).await.as_deref(), Some(FAILURE));
    assert_eq!(sign_in(&mut client, "nonsense").await.as_deref(), Some(FAILURE));
    sandbox.state().grant_full_access(JOE, &app).unwrap();
    assert_eq!(
        sign_in(&mut client, &good).await.as_deref(),
        Some("+OK User successfully authenticated.")
    );
}

#[tokio::test]
async fn the_inbox_is_listed_read_and_deleted_at_quit() {
    let sandbox = Sandbox::start().await.unwrap();
    let first = "Subject: 1\r\n\r\n.one\r\n..two\r\nthree\r\n";
    sandbox.deliver(JOE, first).unwrap();
    sandbox
        .deliver(JOE, "Subject: 2\r\n\r\nsecond, without an end of line")
        .unwrap();
    let mut client = ready(&sandbox).await;
    assert_eq!(
        client.say("STAT").await,
        "-ERR Command is not valid in this state."
    );
    let mut client = signed_in(&sandbox).await;
    assert_eq!(client.say("STAT").await, format!("+OK 2 {}", first.len() + 44));
    client.send("LIST\r\n").await;
    assert_eq!(
        client.lines().await,
        format!("+OK 2 {}\n1 {}\n2 44", first.len() + 44, first.len())
    );
    client.send("UIDL\r\n").await;
    assert_eq!(
        client.lines().await,
        "+OK\n1 0000000E00000001\n2 0000000E00000002"
    );
    client.send("RETR 1\r\n").await;
    assert_eq!(client.lines().await, "+OK\nSubject: 1\n\n..one\n...two\nthree");
    client.send("TOP 1 1\r\n").await;
    assert_eq!(client.lines().await, "+OK\nSubject: 1\n\n..one");
    client.send("RETR 2\r\n").await;
    assert_eq!(
        client.lines().await,
        "+OK\nSubject: 2\n\nsecond, without an end of line"
    );
    for bad in ["RETR 3", "RETR 0", "DELE 99999999999999999999", "TOP 1", "FROB"] {
        assert!(client.say(bad).await.starts_with("-ERR "), "{bad}");
    }
    assert_eq!(client.say("DELE 1").await, "+OK");
    assert!(client.say("RETR 1").await.starts_with("-ERR "));
    assert_eq!(client.say("LIST 2").await, "+OK 2 44", "numbers stay");
    assert_eq!(client.say("STAT").await, "+OK 1 44");
    assert_eq!(client.say("RSET").await, "+OK");
    assert_eq!(client.say("DELE 2").await, "+OK");
    drop(client);

    let mut client = signed_in(&sandbox).await;
    assert!(
        client.say("STAT").await.starts_with("+OK 2 "),
        "without QUIT nothing is deleted"
    );
    client.say("DELE 2").await;
    client.say("QUIT").await;
    assert_eq!(sandbox.messages(JOE, "INBOX").len(), 1);
    let mut client = signed_in(&sandbox).await;
    assert_eq!(client.say("UIDL 1").await, "+OK 1 0000000E00000001");
}

#[tokio::test]
async fn commands_that_come_together_are_one_flight() {
    let sandbox = Sandbox::start().await.unwrap();
    for number in 0..50 {
        sandbox
            .deliver(JOE, format!("Subject: {number}\r\n\r\n{}\r\n", "x".repeat(2000)))
            .unwrap();
    }
    let mut client = signed_in(&sandbox).await;
    assert_eq!(last(&sandbox).flights, 2);
    let batch: String = (1..=50).map(|number| format!("RETR {number}\r\n")).collect();
    client.send(batch).await;
    for number in 0..50 {
        assert!(
            client
                .lines()
                .await
                .starts_with(&format!("+OK\nSubject: {number}\n"))
        );
    }
    assert_eq!(last(&sandbox).flights, 3);
}
