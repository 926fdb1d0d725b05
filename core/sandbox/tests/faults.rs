//! Each fault once, on the wire, switched on by its name; and the limits that the servers keep by themselves.
#![allow(clippy::unwrap_used, reason = "a test that fails should panic")]

mod support;

use std::io::ErrorKind;
use std::time::Duration;

use exomail_sandbox::state::Tenant;
use exomail_sandbox::{Fault, FaultSwitch, Sandbox, TokenOverrides};
use support::{ANN, Client, JOE, last, meanwhile, response, response_with};

const MESSAGE: &str = "From: joe@contoso.example\r\nMessage-ID: <1@x>\r\nDate: Thu, 1 Jan 1970 00:00:00 +0000\r\n\
                       Subject: x\r\n\r\nHello\r\n";
const CONNECTED: &str = "* NAMESPACE ((\"\" \"/\")) NIL NIL\nT OK NAMESPACE completed.";
const EXPIRED: &str = "Session invalidated - AccessTokenExpired";

fn on(sandbox: &Sandbox, fault: &str) {
    sandbox.fault(fault.parse::<FaultSwitch>().unwrap());
}

async fn start() -> Sandbox {
    Sandbox::start().await.unwrap()
}

/// Signed in to IMAP; or what was answered instead.
async fn imap_as(sandbox: &Sandbox, user: &str) -> (Client, String) {
    let mut client = Client::tls(sandbox, sandbox.imap()).await;
    client.line().await.unwrap();
    let answer = client
        .command(&format!("AUTHENTICATE XOAUTH2 {}", response(sandbox, user).await))
        .await;
    (client, answer)
}

async fn imap(sandbox: &Sandbox) -> Client {
    let (client, answer) = imap_as(sandbox, JOE).await;
    assert_eq!(answer, "T OK AUTHENTICATE completed.");
    client
}

/// In IDLE, on the selected INBOX.
async fn idling(sandbox: &Sandbox) -> Client {
    let mut client = imap(sandbox).await;
    client.command("SELECT INBOX").await;
    assert_eq!(
        client.say("T IDLE").await,
        "+ IDLE accepted, awaiting DONE command."
    );
    client
}

async fn pop3(sandbox: &Sandbox) -> (Client, String) {
    let mut client = Client::tls(sandbox, sandbox.pop3()).await;
    client.line().await.unwrap();
    assert_eq!(client.say("AUTH XOAUTH2").await, "+");
    let answer = client.say(&response(sandbox, JOE).await).await;
    (client, answer)
}

async fn smtp(sandbox: &Sandbox) -> Client {
    let mut client = Client::tls(sandbox, sandbox.smtp_tls()).await;
    client.reply().await;
    client.ask("EHLO client.example").await;
    let auth = format!("AUTH XOAUTH2 {}", response(sandbox, JOE).await);
    assert_eq!(client.ask(&auth).await, "235 2.7.0 Authentication successful");
    client
}

/// All of a message but the reply to its end.
async fn submit(client: &mut Client, chunked: bool) {
    client.ask("MAIL FROM:<joe@contoso.example>").await;
    client.ask("RCPT TO:<ann@contoso.example>").await;
    if chunked {
        client
            .send(format!("BDAT {} LAST\r\n{MESSAGE}", MESSAGE.len()))
            .await;
    } else {
        client.ask("DATA").await;
        client.send(format!("{MESSAGE}.\r\n")).await;
    }
}

async fn sent(client: &mut Client) -> String {
    submit(client, false).await;
    client.reply().await
}

fn inbox(sandbox: &Sandbox) -> usize {
    sandbox.messages(ANN, "INBOX").len()
}

/// A request to the token endpoint: head and body of the answer.
async fn token(sandbox: &Sandbox) -> (String, String) {
    let port = sandbox.authority().rsplit_once(':').unwrap().1.parse().unwrap();
    let mut client = Client::tls(sandbox, ("localhost", port)).await;
    let body = format!(
        "grant_type=client_credentials&scope=https://outlook.office365.com/.default&client_id={}&client_secret={}",
        sandbox.client_id(),
        sandbox.client_secret()
    );
    let head = format!(
        "POST /{}/oauth2/v2.0/token HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
        sandbox.tenant(),
        body.len()
    );
    client.send(head + &body).await;
    let answer = String::from_utf8(client.rest().await.0).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_ascii_lowercase(), body.to_owned())
}

// ---- any connection --------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_connection_is_reset_after_so_many_octets() {
    let sandbox = start().await;
    for endpoint in [sandbox.imap(), sandbox.pop3(), sandbox.smtp_tls()] {
        on(&sandbox, "reset-after:20:1");
        let mut client = Client::tls(&sandbox, endpoint).await;
        let (greeting, end) = client.rest().await;
        assert_eq!((greeting.len(), end), (20, Some(ErrorKind::ConnectionReset)));
        assert!(sandbox.faults().is_empty(), "once");
    }
    // Behind the greeting, in the middle of an answer; and without TLS.
    let mut client = Client::plain(sandbox.smtp()).await;
    let greeting = client.reply().await.len() + 2;
    sandbox.fault(Fault::Reset.with(greeting as u64 + 10).times(1));
    client.send("EHLO client.example\r\n").await;
    let (rest, end) = client.rest().await;
    assert_eq!(
        (rest.as_slice(), end),
        (&b"250-AM0PR0"[..], Some(ErrorKind::ConnectionReset))
    );
    // One that idles is cut at once.
    let mut client = idling(&sandbox).await;
    on(&sandbox, "reset-after:0:1");
    assert_eq!(
        client.rest().await,
        (Vec::new(), Some(ErrorKind::ConnectionReset))
    );
    imap(&sandbox).await;
}

#[tokio::test]
async fn a_silent_server_neither_answers_nor_closes() {
    let sandbox = start().await;
    let mut client = imap(&sandbox).await;
    on(&sandbox, "silence:1");
    client.send("T NOOP\r\n").await;
    let mut line = std::pin::pin!(client.line());
    for _ in 0..200 {
        tokio::select! {
            biased;
            line = &mut line => panic!("{line:?}"),
            // Beyond the idle limit, too.
            () = tokio::task::yield_now() => sandbox.clock().advance(Duration::from_secs(60)),
        }
    }
    assert!(last(&sandbox).open);
    assert_eq!(imap(&sandbox).await.command("NAMESPACE").await, CONNECTED);
}

#[tokio::test]
async fn octets_drip_one_by_one() {
    let sandbox = Sandbox::builder()
        .mailbox(JOE)
        .fault("drip:3600000".parse::<FaultSwitch>().unwrap())
        .start()
        .await
        .unwrap();
    let hour = Duration::from_secs(3600);
    let mut client = Client::tls(&sandbox, sandbox.pop3()).await;
    let start = sandbox.clock().now();
    let greeting = meanwhile(&sandbox, hour, client.line()).await.unwrap();
    assert!(greeting.starts_with("+OK The Microsoft Exchange POP3 service is ready. ["));
    // The line's end is two octets; no pause is needed before the first.
    let pauses = u32::try_from(greeting.len() + 1).unwrap();
    assert!(sandbox.clock().now() >= start + pauses * hour);
    sandbox.clear_fault(Fault::Drip);
    assert!(sandbox.faults().is_empty());
}

// ---- Entra and permissions -------------------------------------------------------------------------------------

#[tokio::test]
async fn tokens_are_throttled_refused_and_long() {
    let sandbox = start().await;
    on(&sandbox, "token-throttled:7:1");
    let (head, body) = token(&sandbox).await;
    assert!(head.starts_with("http/1.1 429 too many requests\r\n"), "{head}");
    assert!(head.contains("\r\nretry-after: 7\r\n"), "{head}");
    assert!(body.contains("\"error_codes\":[90055]"), "{body}");
    on(&sandbox, "token-unavailable:1");
    let (head, body) = token(&sandbox).await;
    assert!(head.starts_with("http/1.1 503 "), "{head}");
    assert!(body.contains("AADSTS90033: "), "{body}");
    on(&sandbox, "token-length:5000");
    let (head, body) = token(&sandbox).await;
    assert!(head.starts_with("http/1.1 200 ok\r\n"), "{head}");
    assert!(body.len() > 5000, "{body}");
    let (mut client, answer) = pop3(&sandbox).await;
    assert_eq!(answer, "-ERR Protocol error. Connection is closed. 10");
    assert_eq!(client.line().await, None);
}

#[tokio::test]
async fn a_token_expires_by_the_sandboxs_clock() {
    let sandbox = start().await;
    let old = response(&sandbox, JOE).await;
    sandbox.clock().advance(Duration::from_secs(3899));
    let mut client = Client::tls(&sandbox, sandbox.imap()).await;
    client.line().await;
    sandbox.clock().advance(Duration::from_secs(2));
    let refused = client.command(&format!("AUTHENTICATE XOAUTH2 {old}")).await;
    assert_eq!(refused, "T NO AUTHENTICATE failed.");
    let new = response(&sandbox, JOE).await;
    let accepted = client.command(&format!("AUTHENTICATE XOAUTH2 {new}")).await;
    assert_eq!(accepted, "T OK AUTHENTICATE completed.");
}

/// What is taken away, and what is granted, by an administrator.
type Step = fn(&mut Tenant, app: &str, oid: &str);

#[tokio::test]
async fn what_is_granted_takes_effect_after_a_delay() {
    let steps: [(Step, Step); 3] = [
        (
            |tenant, app, _| tenant.revoke_full_access(JOE, app).unwrap(),
            |tenant, app, _| tenant.grant_full_access(JOE, app).unwrap(),
        ),
        (
            |tenant, app, _| tenant.remove_role(app, "IMAP.AccessAsApp").unwrap(),
            |tenant, app, _| tenant.add_role(app, "IMAP.AccessAsApp").unwrap(),
        ),
        (
            |tenant, _, oid| tenant.remove_service_principal(oid).unwrap(),
            |tenant, app, oid| {
                tenant.new_service_principal(app, oid, "x");
            },
        ),
    ];
    for (take, grant) in steps {
        let sandbox = start().await;
        let app = sandbox.client_id().to_owned();
        let oid = sandbox.state().enterprise_object_id(&app).unwrap().to_owned();
        let is_open = async || {
            let (mut client, answer) = imap_as(&sandbox, JOE).await;
            answer.starts_with("T OK ") && client.command("NAMESPACE").await == CONNECTED
        };
        take(&mut sandbox.state(), &app, &oid);
        on(&sandbox, "permission-delay:3600");
        grant(&mut sandbox.state(), &app, &oid);
        assert!(!is_open().await);
        sandbox.clock().advance(Duration::from_secs(3000));
        assert!(!is_open().await);
        sandbox.clock().advance(Duration::from_secs(600));
        assert!(is_open().await);
    }
}

// ---- IMAP ------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn imap_commands_are_refused_and_sessions_ended() {
    let sandbox = start().await;
    let mut client = imap(&sandbox).await;
    on(&sandbox, "imap-throttled:1500:1");
    on(&sandbox, "imap-unavailable:2");
    for answer in [
        "T BAD Request is throttled. Suggested Backoff Time: 1500 milliseconds",
        "T NO Server Unavailable. 15",
        "T NO Server Unavailable. 15",
        CONNECTED,
    ] {
        assert_eq!(client.command("NAMESPACE").await, answer);
    }
    on(&sandbox, "imap-unavailable-bare:1");
    assert_eq!(client.say("T NAMESPACE").await, "Server Unavailable. 15");
    assert_eq!(client.command("NAMESPACE").await, CONNECTED);
    on(&sandbox, "imap-expired:1");
    assert_eq!(client.command("NAMESPACE").await, format!("T BAD {EXPIRED}"));
    assert_eq!(client.line().await, None);

    let mut client = imap(&sandbox).await;
    on(&sandbox, "imap-bye:1");
    assert_eq!(client.say("T NAMESPACE").await, "* BYE Connection closed. 14");
    assert_eq!(client.line().await, None);
    assert!(sandbox.faults().is_empty());
}

#[tokio::test]
async fn imap_sessions_end_in_idle_and_in_the_middle_of_a_fetch() {
    let sandbox = start().await;
    for number in 1..=3 {
        sandbox
            .deliver(JOE, format!("Subject: {number}\r\n\r\n"))
            .unwrap();
    }
    // Switched on before IDLE and while it lasts.
    on(&sandbox, "imap-expired-in-idle:1");
    let mut client = idling(&sandbox).await;
    assert_eq!(client.line().await.unwrap(), format!("* BYE {EXPIRED}"));
    assert_eq!(client.line().await, None);
    let mut client = idling(&sandbox).await;
    on(&sandbox, "imap-expired-in-idle:1");
    assert_eq!(client.line().await.unwrap(), format!("* BYE {EXPIRED}"));
    assert_eq!(client.line().await, None);
    let mut client = idling(&sandbox).await;
    on(&sandbox, "imap-bye:1");
    assert_eq!(client.line().await.unwrap(), "* BYE Connection closed. 14");
    assert_eq!(client.line().await, None);

    let mut client = imap(&sandbox).await;
    client.command("SELECT INBOX").await;
    on(&sandbox, "imap-expired-in-fetch:2:1");
    assert_eq!(
        client.command("UID FETCH 1:* (UID)").await,
        format!("* 1 FETCH (UID 1)\n* 2 FETCH (UID 2)\nT BAD {EXPIRED}")
    );
    assert_eq!(client.line().await, None);
    let mut client = imap(&sandbox).await;
    client.command("SELECT INBOX").await;
    on(&sandbox, "imap-bye-in-fetch:1:1");
    assert_eq!(client.say("T FETCH 1:* (UID)").await, "* 1 FETCH (UID 1)");
    assert_eq!(client.line().await.unwrap(), format!("* BYE {EXPIRED}"));
    assert_eq!(client.line().await, None);
    let mut client = imap(&sandbox).await;
    client.command("SELECT INBOX").await;
    assert!(
        client
            .command("FETCH 1:* (UID)")
            .await
            .ends_with("OK FETCH completed.")
    );
}

#[tokio::test]
async fn imap_answers_break_the_grammar() {
    let sandbox = start().await;
    let mixed = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhi\r\n--b--\r\n";
    sandbox.deliver(JOE, mixed).unwrap();
    on(&sandbox, "imap-quoted-codes");
    let (mut client, answer) = imap_as(&sandbox, JOE).await;
    let proxy = "Proxy=\"LO2P123CA0001.GBRP123.PROD.OUTLOOK.COM:1993:SSL\" Service=Imap4]";
    assert_eq!(
        answer,
        format!("T OK [AuthResult=0 {proxy} AUTHENTICATE completed.")
    );
    assert_eq!(
        client.command("CREATE INBOX").await,
        format!(
            "T NO [Error=\"AuthFailed:LogonDenied-None-OAuthLog:AuthExc_Auth Failed\" AuthResult=0 {proxy} INBOX \
             already exists."
        )
    );
    assert!(
        client
            .command("SELECT INBOX")
            .await
            .ends_with("\nT OK [READ-WRITE] SELECT completed."),
        "a code that stands there stays"
    );
    sandbox.clear_faults();
    let part = "\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 2 1";
    let root = "\"mixed\" (\"boundary\" \"b\") NIL NIL NIL";
    let nil = |count| " NIL".repeat(count);
    for (fault, structure) in [
        (None, format!("(({part}{}) {root})", nil(4))),
        (
            Some("imap-structure-extra-nil"),
            format!("(({part}{}) {root})", nil(5)),
        ),
        (Some("imap-structure-missing-parts"), format!("({root})")),
    ] {
        sandbox.clear_faults();
        fault.inspect(|fault| on(&sandbox, fault));
        assert_eq!(
            client.command("FETCH 1 (BODYSTRUCTURE)").await,
            format!("* 1 FETCH (BODYSTRUCTURE {structure})\nT OK FETCH completed.")
        );
    }
}

#[tokio::test]
async fn front_ends_differ() {
    let sandbox = start().await;
    let mut client = imap(&sandbox).await;
    let list =
        |special| format!("* LIST (\\HasNoChildren{special}) \"/\" \"Sent Items\"\nT OK LIST completed.");
    assert_eq!(client.command("LIST \"\" Sent*").await, list(""));
    on(&sandbox, "imap-special-use");
    assert_eq!(client.command("LIST \"\" Sent*").await, list(" \\Sent"));

    on(&sandbox, "modern-front-end");
    on(&sandbox, "pop3-pipelining");
    let mut client = Client::tls(&sandbox, sandbox.imap()).await;
    client.line().await;
    let capability = client.command("CAPABILITY").await;
    assert!(
        capability.contains(" AUTH=XOAUTH2 LOGINDISABLED ") && !capability.contains("AUTH=PLAIN"),
        "{capability}"
    );
    let mut client = Client::tls(&sandbox, sandbox.pop3()).await;
    assert!(client.line().await.unwrap().contains("(tcpproxy/"));
    client.send("CAPA\r\n").await;
    assert_eq!(client.lines().await, "+OK\nTOP\nUIDL\nSASL XOAUTH2\nPIPELINING");

    sandbox.state().set_imap_enabled(JOE, false).unwrap();
    let (_, answer) = imap_as(&sandbox, JOE).await;
    assert!(answer.starts_with("T OK [Error=\"UserDisabled\" "), "{answer}");
    on(&sandbox, "imap-disabled-plain-ok");
    let (mut client, answer) = imap_as(&sandbox, JOE).await;
    assert_eq!(answer, "T OK AUTHENTICATE completed.");
    assert_eq!(
        client.command("NAMESPACE").await,
        "T BAD User is authenticated but not connected."
    );
}

// ---- POP3 ------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn pop3_is_unavailable_and_expires() {
    let sandbox = start().await;
    on(&sandbox, "pop3-unavailable:1");
    let (mut client, answer) = pop3(&sandbox).await;
    assert_eq!(answer, "-ERR Server Unavailable. 21");
    assert_eq!(client.line().await, None);
    let (mut client, answer) = pop3(&sandbox).await;
    assert_eq!(answer, "+OK User successfully authenticated.");
    on(&sandbox, "pop3-expired:1");
    assert_eq!(client.say("STAT").await, format!("-ERR {EXPIRED}"));
    assert_eq!(client.line().await, None);
    let (mut client, _) = pop3(&sandbox).await;
    assert_eq!(client.say("STAT").await, "+OK 0 0");
}

// ---- SMTP ------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn smtp_refuses_for_a_while() {
    let sandbox = start().await;
    let mut client = smtp(&sandbox).await;
    on(&sandbox, "smtp-432:2");
    on(&sandbox, "smtp-430:1");
    for reply in [
        "430 4.2.0 STOREDRV; mailbox logon failure; STOREDRV.Submission.Exception:\
         ConnectionFailedTransientException.MapiExceptionLogonFailed; Failed to process message due to a transient \
         exception with message Cannot open mailbox. [Hostname=",
        "432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending for more \
         information. [Hostname=",
        "432 4.3.2 Concurrent",
        "250 2.0.0 OK <1@x>",
    ] {
        assert_eq!(inbox(&sandbox), 0);
        let answer = sent(&mut client).await;
        assert!(answer.starts_with(reply), "{answer}");
    }
    assert_eq!(inbox(&sandbox), 1);
    on(&sandbox, "smtp-421:1");
    assert_eq!(client.ask("NOOP").await, "421 4.3.2 Service not available");
    assert_eq!(client.line().await, None);

    on(&sandbox, "smtp-refuse-at-auth");
    let app = sandbox.client_id().to_owned();
    sandbox.state().revoke_full_access(JOE, &app).unwrap();
    let mut client = Client::tls(&sandbox, sandbox.smtp_tls()).await;
    client.reply().await;
    client.ask("EHLO client.example").await;
    let response = response_with(&sandbox, JOE, &TokenOverrides::new()).await;
    let reply = client.ask(&format!("AUTH XOAUTH2 {response}")).await;
    assert!(
        reply.starts_with("535 5.7.3 Authentication unsuccessful ["),
        "{reply}"
    );
}

#[tokio::test]
async fn smtp_is_cut_before_the_reply() {
    let sandbox = start().await;
    let mut stored = 0;
    for chunked in [false, true] {
        for (fault, stores) in [("smtp-cut-lost:1", 0), ("smtp-cut-stored:1", 1)] {
            let mut client = smtp(&sandbox).await;
            on(&sandbox, fault);
            submit(&mut client, chunked).await;
            assert_eq!(
                client.rest().await,
                (Vec::new(), Some(ErrorKind::ConnectionReset)),
                "{fault}"
            );
            stored += stores;
            assert_eq!(inbox(&sandbox), stored, "{fault}");
        }
    }
}

#[tokio::test]
async fn three_connections_of_a_mailbox_may_send() {
    let sandbox = start().await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(smtp(&sandbox).await);
    }
    for (index, client) in clients.iter_mut().enumerate() {
        let reply = sent(client).await;
        assert!(
            reply.starts_with(if index < 3 { "250 " } else { "432 4.3.2 " }),
            "{index} {reply}"
        );
    }
    // The connection stays, and may send when another has gone.
    let mut fourth = clients.pop().unwrap();
    clients[0].ask("QUIT").await;
    assert_eq!(clients[0].line().await, None);
    while sandbox.stats().connections[0].open {
        tokio::task::yield_now().await;
    }
    assert!(sent(&mut fourth).await.starts_with("250 "));
    on(&sandbox, "smtp-connections:1");
    assert!(sent(&mut fourth).await.starts_with("432 "));
    on(&sandbox, "smtp-connections:0");
    assert!(sent(&mut fourth).await.starts_with("250 "));
    assert_eq!(inbox(&sandbox), 5);
}

#[tokio::test]
async fn thirty_messages_a_minute_pass_and_the_others_wait() {
    let sandbox = start().await;
    let mut client = smtp(&sandbox).await;
    for _ in 0..30 {
        assert!(sent(&mut client).await.starts_with("250 "));
    }
    submit(&mut client, true).await;
    let reply = meanwhile(&sandbox, Duration::from_secs(1), client.reply()).await;
    assert!(reply.starts_with("250 "), "delayed, not refused: {reply}");
    let dates: Vec<_> = sandbox
        .messages(ANN, "INBOX")
        .iter()
        .map(|message| message.internal_date)
        .collect();
    assert!(dates[30] >= dates[0] + Duration::from_secs(60), "{dates:?}");

    on(&sandbox, "smtp-rate:0");
    assert!(sent(&mut client).await.starts_with("250 "));
}

#[tokio::test]
async fn without_limits_any_number_passes() {
    let sandbox = Sandbox::builder()
        .mailbox(JOE)
        .mailbox(ANN)
        .no_smtp_limits()
        .start()
        .await
        .unwrap();
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(smtp(&sandbox).await);
    }
    // Nobody puts the clock forward here: one that waits is silent, and the client gives it up.
    for index in 0..32 {
        assert!(sent(&mut clients[index % 4]).await.starts_with("250 "));
    }
    assert_eq!(inbox(&sandbox), 32);
}

// ---- the list --------------------------------------------------------------------------------------------------

#[test]
fn every_fault_is_documented_and_tested() {
    let readme = include_str!("../README.md");
    let tests = include_str!("faults.rs");
    // The administrator's endpoints are tested where their other tests are, by the faults' names in Rust.
    let admin = [include_str!("admin/graph.rs"), include_str!("admin/exchange.rs")];
    for fault in Fault::ALL {
        let default = fault
            .default_argument()
            .map_or_else(String::new, |value| value.to_string());
        let line = format!("| `{}` | {default} | {} |", fault.usage(), fault.about());
        assert!(readme.contains(&line), "{line}");
        let quoted = ["\"", ":"]
            .iter()
            .any(|end| tests.contains(&format!("\"{fault}{end}")))
            || [".", ","].iter().any(|end| {
                let switched = format!("Fault::{fault:?}{end}");
                admin.iter().any(|tests| tests.contains(&switched))
            });
        assert!(quoted, "no test switches {fault} on");
    }
}
