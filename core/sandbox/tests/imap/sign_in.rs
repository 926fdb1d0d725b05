//! From the greeting to an open mailbox, or to the refusal.

use std::time::Duration;

use exomail_sandbox::{Sandbox, TokenOverrides};

use super::client::{Client, xoauth2};
use super::{JOE, connect, deliver, sign_in};

#[tokio::test]
async fn capabilities_are_exchanges_before_and_behind_the_sign_in() {
    let sandbox = Sandbox::start().await.unwrap();
    let mut client = connect(&sandbox).await;
    assert_eq!(
        client.command("CAPABILITY").await,
        [
            "* CAPABILITY IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS ID UNSELECT CHILDREN IDLE NAMESPACE \
             LITERAL+",
            "OK CAPABILITY completed."
        ]
    );
    assert_eq!(
        client.command("SELECT INBOX").await,
        ["BAD Command received in Invalid state."]
    );
    assert_eq!(client.command("LOGIN joe secret").await, ["NO LOGIN failed."]);
    let mut client = sign_in(&sandbox).await;
    assert_eq!(
        client.command("CAPABILITY").await,
        [
            "* CAPABILITY IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS MOVE ID UNSELECT CLIENTACCESSRULES \
             CLIENTNETWORKPRESENCELOCATION BACKENDAUTHENTICATE CHILDREN IDLE NAMESPACE LITERAL+",
            "OK CAPABILITY completed."
        ]
    );
    assert_eq!(
        client.command("ID (\"name\" \"test\")").await,
        [
            "* ID (\"name\" \"Microsoft.Exchange.Imap4.Imap4Server\" \"version\" \"15.20\")",
            "OK ID completed"
        ]
    );
    assert_eq!(
        client.command("LOGOUT").await,
        [
            "* BYE Microsoft Exchange Server 2016 IMAP4 server signing off.",
            "OK LOGOUT completed."
        ]
    );
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn commands_piped_behind_authenticate_take_one_flight() {
    let sandbox = Sandbox::start().await.unwrap();
    deliver(&sandbox, 2);
    let mut client = connect(&sandbox).await;
    let response = xoauth2(&sandbox, JOE, &TokenOverrides::new()).await;
    let commands = format!("A1 AUTHENTICATE XOAUTH2 {response}\r\nA2 NAMESPACE\r\nA3 EXAMINE INBOX\r\n");
    client.send(commands).await;
    assert_eq!(client.until("A1").await, ["OK AUTHENTICATE completed."]);
    assert_eq!(
        client.until("A2").await,
        ["* NAMESPACE ((\"\" \"/\")) NIL NIL", "OK NAMESPACE completed."]
    );
    assert_eq!(
        client.until("A3").await,
        [
            "* 2 EXISTS",
            "* 2 RECENT",
            "* FLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft $MDNSent)",
            "* OK [PERMANENTFLAGS ()] Permanent flags",
            "* OK [UNSEEN 1] Is the first unseen message",
            "* OK [UIDVALIDITY 14] UIDVALIDITY value",
            "* OK [UIDNEXT 3] The next unique identifier value",
            "OK [READ-ONLY] EXAMINE completed."
        ]
    );
    let stats = sandbox.stats();
    assert_eq!(
        (stats.connections[0].flights, stats.connections[0].commands),
        (1, 3)
    );
}

#[tokio::test]
async fn two_steps_cancelling_and_refusals() {
    let sandbox = Sandbox::start().await.unwrap();
    let mut client = connect(&sandbox).await;
    let mut two_steps = async |response: &str| {
        client.send("A AUTHENTICATE XOAUTH2\r\n").await;
        assert_eq!(client.line().await, "+ ");
        client.send(format!("{response}\r\n")).await;
        client.line().await
    };
    assert_eq!(two_steps("*").await, "A BAD Command Argument Error. 12");
    assert_eq!(two_steps("rubbish").await, "A NO AUTHENTICATE failed.");
    let expired = xoauth2(&sandbox, JOE, &TokenOverrides::new().expired()).await;
    assert_eq!(two_steps(&expired).await, "A NO AUTHENTICATE failed.");
    let good = xoauth2(&sandbox, JOE, &TokenOverrides::new().minimum_length(6_000)).await;
    assert_eq!(two_steps(&good).await, "A OK AUTHENTICATE completed.");
    assert_eq!(
        client.command("AUTHENTICATE XOAUTH2").await,
        ["BAD Command received in Invalid state."]
    );

    let mut client = connect(&sandbox).await;
    assert_eq!(
        client.command("AUTHENTICATE PLAIN AGpvZQBzZWNyZXQ=").await,
        ["NO AUTHENTICATE failed."]
    );
    // The stray empty line of a client that expects a challenge.
    client.send("\r\n").await;
    assert_eq!(client.line().await, "* BAD Command Error. 12");
    assert_eq!(
        client.command(&format!("AUTHENTICATE XOAUTH2 {good}")).await,
        ["OK AUTHENTICATE completed."]
    );
}

#[tokio::test]
async fn not_connected_closes_at_the_second_command() {
    let sandbox = Sandbox::start().await.unwrap();
    let good = xoauth2(&sandbox, JOE, &TokenOverrides::new()).await;
    let elsewhere = xoauth2(&sandbox, "nobody@contoso.example", &TokenOverrides::new()).await;
    for (imap_enabled, response, answer) in [
        (true, &elsewhere, "OK AUTHENTICATE completed."),
        (
            false,
            &good,
            "OK [Error=\"UserDisabled\" AuthResult=27 Proxy=LO2P123CA0001.GBRP123.PROD.OUTLOOK.COM:1993:SSL \
             Service=Imap4] AUTHENTICATE completed.",
        ),
    ] {
        sandbox.state().set_imap_enabled(JOE, imap_enabled).unwrap();
        let mut client = connect(&sandbox).await;
        assert_eq!(
            client.command(&format!("AUTHENTICATE XOAUTH2 {response}")).await,
            [answer]
        );
        assert_eq!(
            client.command("CAPABILITY").await.last().unwrap(),
            "OK CAPABILITY completed."
        );
        assert_eq!(
            client.command("NAMESPACE").await,
            ["BAD User is authenticated but not connected."]
        );
        assert_eq!(
            client.command("SELECT INBOX").await,
            ["BAD User is authenticated but not connected."]
        );
        assert_eq!(client.line().await, "* BYE Connection closed. 14");
        assert!(client.is_closed().await);
    }
}

#[tokio::test]
async fn starttls_takes_nothing_from_before() {
    let sandbox = Sandbox::start().await.unwrap();
    let response = xoauth2(&sandbox, JOE, &TokenOverrides::new()).await;
    let mut client = Client::plain(&sandbox, sandbox.imap_starttls()).await;
    client.line().await;
    let capability = client.command("CAPABILITY").await;
    assert!(
        capability[0].contains(" LOGINDISABLED STARTTLS ") && !capability[0].contains("AUTH="),
        "{capability:?}"
    );
    let early = client.command(&format!("AUTHENTICATE XOAUTH2 {response}")).await;
    assert_eq!(early, ["BAD Command received in Invalid state."]);
    client.send("A STARTTLS\r\nB NOOP\r\n").await;
    assert_eq!(client.line().await, "A OK Begin TLS negotiation now.");
    let mut client = client.start_tls().await;
    // Had the NOOP been kept, its answer would come first.
    assert!(client.command("CAPABILITY").await[0].contains("AUTH=XOAUTH2"));
    assert_eq!(
        client.command("STARTTLS").await,
        ["BAD Command received in Invalid state."]
    );
    assert_eq!(
        client.command(&format!("AUTHENTICATE XOAUTH2 {response}")).await,
        ["OK AUTHENTICATE completed."]
    );
}

#[tokio::test]
async fn a_client_that_falls_silent_is_sent_away() {
    let sandbox = Sandbox::start().await.unwrap();
    let mut client = connect(&sandbox).await;
    let start = sandbox.clock().now();
    {
        let mut line = std::pin::pin!(client.line());
        loop {
            tokio::select! {
                biased;
                line = &mut line => {
                    assert_eq!(line, "* BYE Connection closed. 14");
                    break;
                }
                () = tokio::task::yield_now() => sandbox.clock().advance(Duration::from_secs(1)),
            }
        }
    }
    assert!(client.is_closed().await);
    assert!(sandbox.clock().now() >= start + Duration::from_secs(59));
}
