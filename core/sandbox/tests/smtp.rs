//! SMTP submission, command by command.
#![allow(clippy::unwrap_used, reason = "a test that fails should panic")]

mod support;

use exomail_sandbox::state::RoleScope;
use exomail_sandbox::{Protocol, Sandbox, TokenOverrides};
use support::{ANN, Client, JOE, last, response, response_with};

const MESSAGE: &str = "From: joe@contoso.example\r\nMessage-ID: <1@x>\r\nDate: Thu, 1 Jan 1970 00:00:00 +0000\r\n\
                       Subject: x\r\n\r\nHello\r\n.dot\r\n";

/// Connected by implicit TLS, EHLO said.
async fn ready(sandbox: &Sandbox) -> Client {
    let mut client = Client::tls(sandbox, sandbox.smtp_tls()).await;
    client.reply().await;
    client.ask("EHLO client.example").await;
    client
}

/// And signed in.
async fn signed_in(sandbox: &Sandbox, user: &str) -> Client {
    let mut client = ready(sandbox).await;
    let reply = client
        .ask(&format!("AUTH XOAUTH2 {}", response(sandbox, user).await))
        .await;
    assert_eq!(reply, "235 2.7.0 Authentication successful");
    client
}

#[tokio::test]
async fn the_conversation_is_exchanges() {
    let sandbox = Sandbox::start().await.unwrap();
    let mut client = Client::plain(sandbox.smtp()).await;
    let greeting = client.reply().await;
    assert!(
        greeting
            .starts_with("220 AM0PR02CA0134.outlook.office365.com Microsoft ESMTP MAIL Service ready at ")
    );
    assert!(greeting.ends_with(']'), "{greeting}");
    assert_eq!(
        client.ask("EHLO client.example").await,
        "250-AM0PR02CA0134.outlook.office365.com Hello [127.0.0.1]\n250-SIZE 157286400\n250-PIPELINING\n250-DSN\n\
         250-ENHANCEDSTATUSCODES\n250-STARTTLS\n250-8BITMIME\n250-BINARYMIME\n250-CHUNKING\n250 SMTPUTF8"
    );
    let response = response(&sandbox, JOE).await;
    let reply = client.ask(&format!("AUTH XOAUTH2 {response}")).await;
    assert!(
        reply.starts_with("504 5.7.4 Unrecognized authentication type"),
        "{reply}"
    );
    let reply = client.ask("MAIL FROM:<joe@contoso.example>").await;
    assert!(
        reply.starts_with("530 5.7.57 Client not authenticated to send mail."),
        "{reply}"
    );
    assert_eq!(client.ask("STARTTLS").await, "220 2.0.0 SMTP server ready");
    let mut client = client.upgrade(&sandbox).await;
    assert_eq!(client.ask("AUTH XOAUTH2").await, "503 5.5.2 Send hello first");
    assert_eq!(
        client.ask("EHLO client.example").await,
        "250-AM0PR02CA0134.outlook.office365.com Hello [127.0.0.1]\n250-SIZE 157286400\n250-PIPELINING\n250-DSN\n\
         250-ENHANCEDSTATUSCODES\n250-AUTH LOGIN XOAUTH2\n250-8BITMIME\n250-BINARYMIME\n250-CHUNKING\n250 SMTPUTF8"
    );
    assert_eq!(client.ask("AUTH XOAUTH2").await, "334 ");
    assert_eq!(client.ask(&response).await, "235 2.7.0 Authentication successful");
    assert_eq!(
        client
            .ask("MAIL FROM:<joe@contoso.example> SIZE=100 RET=HDRS")
            .await,
        "250 2.1.0 Sender OK"
    );
    assert_eq!(
        client.ask("RCPT TO:<ann@contoso.example> NOTIFY=NEVER").await,
        "250 2.1.5 Recipient OK"
    );
    assert_eq!(
        client.ask("RCPT TO:<nobody@contoso.example>").await,
        "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient nobody@contoso.example not found by SMTP address lookup"
    );
    assert_eq!(
        client.ask("RCPT TO:<x@fabrikam.example>").await,
        "250 2.1.5 Recipient OK"
    );
    assert_eq!(
        client.ask("DATA").await,
        "354 Start mail input; end with <CRLF>.<CRLF>"
    );
    client.send(MESSAGE.replace("\r\n.", "\r\n..")).await;
    let reply = client.ask(".").await;
    assert_eq!(
        reply,
        "250 2.0.0 OK <1@x> [Hostname=AM0PR02MB0001.eurprd02.prod.outlook.com]"
    );
    assert_eq!(client.ask("RSET").await, "250 2.0.0 Resetting");
    let reply = client.ask("FROBNICATE now").await;
    assert!(
        reply.starts_with("500 5.3.3 Unrecognized command 'FROBNICATE' [AM0PR02"),
        "{reply}"
    );
    assert_eq!(
        client.ask("QUIT").await,
        "221 2.0.0 Service closing transmission channel"
    );
    assert_eq!(client.line().await, None);

    let inbox = sandbox.messages(ANN, "INBOX");
    assert!(inbox[0].raw.ends_with(MESSAGE.as_bytes()));
    assert!(
        inbox[0]
            .raw
            .starts_with(b"Return-Path: <joe@contoso.example>\r\nReceived: from client.example (127.0.0.1)")
    );
    assert_eq!(sandbox.messages(JOE, "Sent Items")[0].raw, MESSAGE);
    assert_eq!(sandbox.state().outside_mail()[0].to, ["x@fabrikam.example"]);
    let stats = last(&sandbox);
    assert_eq!(
        (stats.protocol, stats.tls, stats.open),
        (Protocol::Smtp, true, false)
    );
}

#[tokio::test]
async fn what_is_said_behind_starttls_in_clear_is_forgotten() {
    let sandbox = Sandbox::start().await.unwrap();
    let mut client = Client::plain(sandbox.smtp()).await;
    client.reply().await;
    client.ask("EHLO client.example").await;
    client.send("STARTTLS\r\nRSET\r\n").await;
    assert_eq!(client.reply().await, "220 2.0.0 SMTP server ready");
    let mut client = client.upgrade(&sandbox).await;
    assert_eq!(
        client.ask("NOOP").await,
        "250 2.0.0 OK",
        "the first reply under TLS is that of the first command"
    );
}

#[tokio::test]
async fn flights_are_counted_however_the_bytes_arrive() {
    let sandbox = Sandbox::start().await.unwrap();
    let mut client = signed_in(&sandbox, JOE).await;
    assert_eq!(last(&sandbox).flights, 2, "EHLO, AUTH");

    // One write, one flight; the chunk arrives in two pieces, with a pause.
    let envelope = "MAIL FROM:<joe@contoso.example>\r\nRCPT TO:<ann@contoso.example>\r\n";
    let (head, tail) = MESSAGE.split_at(40);
    client
        .send(format!("{envelope}BDAT {} LAST\r\n{head}", MESSAGE.len()))
        .await;
    assert_eq!(client.reply().await, "250 2.1.0 Sender OK");
    assert_eq!(client.reply().await, "250 2.1.5 Recipient OK");
    client.send(tail).await;
    assert!(client.reply().await.starts_with("250 2.0.0 OK <1@x>"));
    assert_eq!(last(&sandbox).flights, 3);

    // With DATA there are two: up to 354, and the message.
    client.send(format!("{envelope}DATA\r\n")).await;
    for code in ["250", "250", "354"] {
        assert!(client.reply().await.starts_with(code));
    }
    client.send(head).await;
    tokio::task::yield_now().await;
    client.send(format!("{tail}.\r\n")).await;
    assert!(client.reply().await.starts_with("250 2.0.0 OK"));
    assert_eq!(last(&sandbox).flights, 5);

    // A command in pieces is one flight.
    client.send("NO").await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    client.send("OP\r\n").await;
    client.reply().await;
    assert_eq!(last(&sandbox).flights, 6);
    assert_eq!(last(&sandbox).commands, 2 + 3 + 3 + 1);
}

#[tokio::test]
async fn chunks_are_put_together_and_refused_ones_swallowed() {
    let sandbox = Sandbox::start().await.unwrap();
    let mut client = signed_in(&sandbox, JOE).await;
    client.send("BDAT 4 LAST\r\nQUITRSET\r\n").await;
    assert_eq!(client.reply().await, "503 5.5.2 Need mail command");
    assert_eq!(client.reply().await, "250 2.0.0 Resetting");
    client
        .ask("MAIL FROM:<joe@contoso.example> BODY=BINARYMIME")
        .await;
    client.ask("RCPT TO:<joe@contoso.example>").await;
    assert_eq!(client.ask("DATA").await, "503 5.5.2 Bad sequence of commands");
    let (head, tail) = MESSAGE.split_at(50);
    client.send(format!("BDAT {}\r\n{head}", head.len())).await;
    assert_eq!(client.reply().await, "250 2.6.0 CHUNK received OK, 50 octets");
    client
        .send(format!("BDAT {}\r\n{tail}BDAT 0 LAST\r\n", tail.len()))
        .await;
    assert!(client.reply().await.starts_with("250 2.6.0 "));
    assert!(client.reply().await.starts_with("250 2.0.0 OK <1@x>"));
    assert!(
        sandbox.messages(JOE, "INBOX")[0]
            .raw
            .ends_with(MESSAGE.as_bytes())
    );
    client.send("BDAT 18446744073709551615 LAST\r\n").await;
    assert!(client.reply().await.starts_with("552 5.3.4 "));
    assert_eq!(client.line().await, None);
}

#[tokio::test]
async fn a_bare_line_feed_never_ends_a_message() {
    let sandbox = Sandbox::start().await.unwrap();
    let mut client = signed_in(&sandbox, JOE).await;
    let envelope = "MAIL FROM:<joe@contoso.example>\r\nRCPT TO:<ann@contoso.example>\r\nDATA\r\n";
    client.send(envelope).await;
    for _ in 0..3 {
        client.reply().await;
    }
    let smuggled = "\n.\nMAIL FROM:<joe@contoso.example>\nRCPT TO:<ann@contoso.example>\nDATA\n\r\n";
    client.send(format!("{MESSAGE}{smuggled}.\r\n")).await;
    assert!(client.reply().await.starts_with("250 2.0.0 OK"));
    assert_eq!(client.ask("NOOP").await, "250 2.0.0 OK");
    assert_eq!(sandbox.messages(ANN, "INBOX").len(), 1);
}

#[tokio::test]
async fn refusals_of_the_sign_in_have_their_texts() {
    let sandbox = Sandbox::start().await.unwrap();
    let app = sandbox.client_id().to_owned();
    let mut client = ready(&sandbox).await;
    let unsuccessful = "535 5.7.3 Authentication unsuccessful [AM0PR02CA0134.outlook.office365.com 20";
    let overrides = TokenOverrides::new;
    let registration = sandbox.state().application_object_id(&app).unwrap().to_owned();
    for bad in [
        overrides().expired(),
        overrides().bad_signature(),
        overrides().audience("https://graph.microsoft.com"),
        overrides().roles(&["IMAP.AccessAsApp"]),
        overrides().roles(&[]),
        overrides().claim("oid", registration),
    ] {
        let response = response_with(&sandbox, JOE, &bad).await;
        let reply = client.ask(&format!("AUTH XOAUTH2 {response}")).await;
        assert!(reply.starts_with(unsuccessful), "{reply}");
    }
    assert_eq!(
        client.ask("AUTH XOAUTH2 bm9uc2Vuc2U=").await,
        "501 5.5.124 Invalid XOAUTH2 auth data"
    );
    assert_eq!(client.ask("AUTH XOAUTH2").await, "334 ");
    assert_eq!(client.ask("*").await, "501 5.7.0 Authentication canceled");
    assert_eq!(client.ask("AUTH LOGIN").await, "334 VXNlcm5hbWU6");
    assert_eq!(client.ask("am9l").await, "334 UGFzc3dvcmQ6");
    let reply = client.ask("c2VjcmV0").await;
    assert!(
        reply.starts_with("535 5.7.139 Authentication unsuccessful, basic authentication is disabled. ["),
        "{reply}"
    );

    let auth = format!("AUTH XOAUTH2 {}", response(&sandbox, JOE).await);
    sandbox.state().set_tenant_smtp_disabled(true);
    let disabled = "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the";
    let visit = "Visit https://aka.ms/smtp_auth_disabled for more information. [";
    let reply = client.ask(&auth).await;
    assert!(
        reply.starts_with(&format!("{disabled} Tenant. {visit}")),
        "{reply}"
    );
    sandbox.state().set_smtp_disabled(JOE, Some(true)).unwrap();
    let reply = client.ask(&auth).await;
    assert!(
        reply.starts_with(&format!("{disabled} Mailbox. {visit}")),
        "{reply}"
    );
    sandbox.state().set_smtp_disabled(JOE, Some(false)).unwrap();
    assert_eq!(client.ask(&auth).await, "235 2.7.0 Authentication successful");
}

async fn submit(client: &mut Client, from: &str, message: &str) -> String {
    assert_eq!(
        client.ask(&format!("MAIL FROM:<{from}>")).await,
        "250 2.1.0 Sender OK"
    );
    assert_eq!(
        client.ask("RCPT TO:<joe@contoso.example>").await,
        "250 2.1.5 Recipient OK"
    );
    assert!(client.ask("DATA").await.starts_with("354"));
    client.ask(&format!("{message}.")).await
}

#[tokio::test]
async fn a_mailbox_that_cannot_be_opened_shows_at_the_end_of_data_or_at_auth() {
    let sandbox = Sandbox::start().await.unwrap();
    let app = sandbox.client_id().to_owned();
    sandbox.state().revoke_full_access(JOE, &app).unwrap();
    let mut client = signed_in(&sandbox, JOE).await;
    let reply = submit(&mut client, JOE, MESSAGE).await;
    assert!(
        reply.starts_with("430 4.2.0 STOREDRV; mailbox logon failure; STOREDRV.Submission.Exception:"),
        "{reply}"
    );
    assert!(sandbox.messages(JOE, "INBOX").is_empty());

    // RBAC for Applications: without the role in the token FullAccess is not needed.
    sandbox.state().new_management_role_assignment(
        "Application SMTP.SendAsApp",
        &app,
        RoleScope::Organization,
    );
    let mut client = ready(&sandbox).await;
    let bare = response_with(&sandbox, JOE, &TokenOverrides::new().roles(&[])).await;
    assert!(
        client
            .ask(&format!("AUTH XOAUTH2 {bare}"))
            .await
            .starts_with("235")
    );
    assert!(
        submit(&mut client, JOE, MESSAGE)
            .await
            .starts_with("250 2.0.0 OK")
    );

    let sandbox = Sandbox::builder()
        .mailbox(JOE)
        .smtp_refuse_at_auth()
        .start()
        .await
        .unwrap();
    let app = sandbox.client_id().to_owned();
    sandbox.state().revoke_full_access(JOE, &app).unwrap();
    let mut client = ready(&sandbox).await;
    let reply = client
        .ask(&format!("AUTH XOAUTH2 {}", response(&sandbox, JOE).await))
        .await;
    assert!(
        reply.starts_with("535 5.7.3 Authentication unsuccessful ["),
        "{reply}"
    );
}

#[tokio::test]
async fn sending_as_another_is_denied_at_the_end_of_data() {
    let sandbox = Sandbox::start().await.unwrap();
    let mut client = signed_in(&sandbox, JOE).await;
    let denied = "554 5.2.252 SendAsDenied; joe@contoso.example not allowed to send as ann@contoso.example; \
                  STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied; ";
    let reply = submit(&mut client, ANN, MESSAGE).await;
    assert!(reply.starts_with(denied), "{reply}");
    let reply = submit(&mut client, JOE, &MESSAGE.replace("From: joe", "From: ann")).await;
    assert!(reply.starts_with(denied), "{reply}");
    let app = sandbox.client_id().to_owned();
    sandbox.state().grant_send_as(ANN, &app).unwrap();
    assert!(
        submit(&mut client, ANN, MESSAGE)
            .await
            .starts_with("250 2.0.0 OK")
    );
}

#[tokio::test]
async fn limits_have_their_texts() {
    let sandbox = Sandbox::builder()
        .mailbox(JOE)
        .max_octets(600)
        .start()
        .await
        .unwrap();
    let mut client = signed_in(&sandbox, JOE).await;
    let reply = client.ask("MAIL FROM:<joe@contoso.example> SIZE=157286401").await;
    assert_eq!(reply, "552 5.3.4 Message size exceeds fixed maximum message size");
    let big = format!("{MESSAGE}{}\r\n", "x".repeat(400));
    let reply = submit(&mut client, JOE, &big).await;
    assert!(
        reply.starts_with("554 5.2.2 mailbox full; STOREDRV.Submission.Exception:QuotaExceeded"),
        "{reply}"
    );
    client.ask("MAIL FROM:<joe@contoso.example>").await;
    let recipients = "RCPT TO:<x@fabrikam.example>\r\n".repeat(501);
    client.send(recipients).await;
    for _ in 0..500 {
        assert_eq!(client.reply().await, "250 2.1.5 Recipient OK");
    }
    assert_eq!(client.reply().await, "452 4.5.3 Too many recipients");
    // In the second step of AUTH as in a command.
    let mut other = ready(&sandbox).await;
    assert_eq!(other.ask("AUTH XOAUTH2").await, "334 ");
    for mut client in [client, other] {
        client.send(vec![b'x'; 200_000]).await;
        assert_eq!(
            client.reply().await,
            "500 5.5.2 Syntax error, command line too long"
        );
        assert_eq!(client.line().await, None);
    }
}

#[tokio::test]
async fn a_message_of_the_largest_size_passes_and_a_larger_one_does_not() {
    let sandbox = Sandbox::start().await.unwrap();
    let mut client = signed_in(&sandbox, JOE).await;
    let envelope = "MAIL FROM:<joe@contoso.example>\r\nRCPT TO:<x@fabrikam.example>\r\n";
    let filler = vec![b'a'; 157_286_400 + 1 - MESSAGE.len()];
    for (more, expected) in [(1, "552 5.3.4 Message size exceeds"), (0, "250 2.0.0 OK <1@x>")] {
        let filler = &filler[1 - more..];
        client
            .send(format!(
                "{envelope}BDAT {} LAST\r\n{MESSAGE}",
                MESSAGE.len() + filler.len()
            ))
            .await;
        client.send(filler).await;
        assert_eq!(client.reply().await, "250 2.1.0 Sender OK");
        assert_eq!(client.reply().await, "250 2.1.5 Recipient OK");
        let reply = client.reply().await;
        assert!(reply.starts_with(expected), "{reply}");
    }
    assert_eq!(sandbox.messages(JOE, "Sent Items")[0].raw.len(), 157_286_400);
}
