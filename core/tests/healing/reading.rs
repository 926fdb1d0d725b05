//! Reading that goes on after the session died.

use std::time::Duration;

use exomail::imap::{Flag, Store, Uid};
use exomail::{ErrorKind, MessageQuery, MessageRef, Retry};
use tokio::time::Instant;

use crate::stage::{Cue, Stage, UNPACED, ends, says, small_steps};

const REVOKED: &str = "* BYE Session invalidated - AccessTokenExpired\r\n";

fn five() -> MessageRef {
    MessageRef::new("INBOX", 7, Uid::new(5).unwrap())
}

/// A FETCH response as far as it comes, of a message in which each byte tells its place.
fn body(size: usize, from: usize, told: usize, sent: usize) -> Vec<u8> {
    let message: Vec<u8> = (0..size).map(|at| b'a' + (at % 23) as u8).collect();
    let origin = if from > 0 {
        format!("<{from}>")
    } else {
        String::new()
    };
    let mut says = format!("* 1 FETCH (UID 5 BODY[]{origin} {{{told}}}\r\n").into_bytes();
    says.extend_from_slice(&message[from..from + sent]);
    says
}

fn whole(mut says: Vec<u8>) -> Vec<u8> {
    says.extend_from_slice(b")\r\nTAG OK done\r\n");
    says
}

async fn fetched(cues: Vec<Cue>) -> (Stage, exomail::Result<u64>, Vec<u8>) {
    let stage = Stage::new(UNPACED, cues, vec![]).await;
    let mut sink = Vec::new();
    let result = stage.joe().fetch(&five(), &mut sink).await;
    (stage, result, sink)
}

#[tokio::test(start_paused = true)]
async fn a_cut_fetch_resumes_where_it_stopped() {
    small_steps();
    let message = body(1000, 0, 1000, 1000)[b"* 1 FETCH (UID 5 BODY[] {1000}\r\n".len()..].to_vec();
    let (stage, result, sink) = fetched(vec![
        ends("UID FETCH", body(1000, 0, 1000, 400)),
        ends("UID FETCH", body(1000, 400, 600, 100)),
        says("UID FETCH", whole(body(1000, 500, 500, 500))),
    ])
    .await;
    assert_eq!(result.unwrap(), 1000);
    assert_eq!(sink, message);
    let asked = stage.commands("UID FETCH");
    assert!(
        asked[0].contains("BODY.PEEK[]")
            && !asked[0].contains('<')
            && asked[1].contains("BODY.PEEK[]<400.600>")
            && asked[2].contains("BODY.PEEK[]<500.500>"),
        "{asked:?}"
    );

    // A server that knows nothing of partial fetches.
    let (_, result, sink) = fetched(vec![
        ends("UID FETCH", body(1000, 0, 1000, 400)),
        says("UID FETCH", whole(body(1000, 0, 1000, 1000))),
    ])
    .await;
    assert_eq!((result.unwrap(), sink), (1000, message.clone()));

    // Cut behind the last byte: there is nothing left to ask for.
    let (stage, result, sink) = fetched(vec![ends("UID FETCH", body(1000, 0, 1000, 1000))]).await;
    assert_eq!((result.unwrap(), sink), (1000, message));
    assert_eq!(stage.commands("UID FETCH").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_the_rest_is_no_message() {
    small_steps();
    let (_, result, sink) = fetched(vec![
        ends("UID FETCH", body(1000, 0, 1000, 400)),
        says("UID FETCH", whole(body(1000, 400, 300, 300))),
    ])
    .await;
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Protocol);
    assert_eq!(sink.len(), 400);
    // The folder was rebuilt in between: its UID 5 is another message.
    let (_, result, sink) = fetched(vec![
        ends("UID FETCH", body(1000, 0, 1000, 400)),
        says(
            "SELECT",
            "* 1 EXISTS\r\n* OK [UIDVALIDITY 8] ok\r\nTAG OK done\r\n",
        ),
    ])
    .await;
    assert_eq!(result.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(sink.len(), 400);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hung_up_meanwhile_is_connected_again() {
    small_steps();
    let stage = Stage::new(
        UNPACED,
        vec![ends("UID SEARCH", "* SEARCH 5\r\nTAG OK done\r\n")],
        vec![],
    )
    .await;
    let joe = stage.joe();
    for _ in 0..2 {
        let found = joe.messages(MessageQuery::inbox()).await.unwrap();
        assert_eq!(found.remaining(), 1);
    }
    assert_eq!(stage.imap_connections(), 2);
    joe.mark(&[five()], Store::Add, &[Flag::Seen]).await.unwrap();
    assert_eq!((stage.imap_connections(), stage.tokens()), (2, 1));
}

// The real clock: a paused one runs through minutes while bytes are on their way, and a minute is what this is about.
#[tokio::test]
async fn an_expired_token_is_renewed_once() {
    let cues = vec![
        ends("UID SEARCH", REVOKED),
        says(
            "UID STORE",
            "TAG BAD User is authenticated but AccessTokenExpired\r\n",
        ),
    ];
    let stage = Stage::new(UNPACED, cues, vec![]).await;
    let joe = stage.joe();
    let found = joe.messages(MessageQuery::inbox()).await.unwrap();
    assert_eq!((found.remaining(), stage.tokens()), (1, 2));
    // Right behind it: the token in the cache is not a minute old.
    joe.mark(&[five()], Store::Add, &[Flag::Seen]).await.unwrap();
    assert_eq!(stage.tokens(), 2);
}

// The real clock: a paused one runs through minutes while bytes are on their way, and a minute is what this is about.
#[tokio::test]
async fn a_token_from_before_the_permissions_is_renewed_once() {
    let refused = || says("AUTHENTICATE", "TAG NO AUTHENTICATE failed.\r\n");
    let stage = Stage::new(UNPACED, vec![refused(), refused(), refused()], vec![]).await;
    let joe = stage.joe();
    // This one came fresh from the endpoint, so another would be no better.
    let error = joe.folders().await.unwrap_err();
    assert_eq!((error.kind(), stage.tokens()), (ErrorKind::AuthRejected, 1));
    // This one is from the cache.
    let error = joe.folders().await.unwrap_err();
    assert_eq!((error.kind(), stage.tokens()), (ErrorKind::AuthRejected, 2));
    assert_eq!(stage.imap_connections(), 3);
    assert!(!joe.folders().await.unwrap().is_empty());

    let stage = Stage::new(
        UNPACED,
        vec![refused(), refused(), refused(), refused(), refused()],
        vec![],
    )
    .await;
    let joe = stage.joe();
    for _ in 0..4 {
        assert_eq!(joe.folders().await.unwrap_err().kind(), ErrorKind::AuthRejected);
    }
    assert_eq!(stage.tokens(), 2, "not more than once a minute");
}

#[tokio::test(start_paused = true)]
async fn what_may_have_been_done_is_not_done_again() {
    small_steps();
    for verb in ["UID MOVE", "UID COPY", "APPEND", "UID EXPUNGE"] {
        let stage = Stage::new(UNPACED, vec![ends("UID SEARCH", ""), ends(verb, "")], vec![]).await;
        let joe = stage.joe();
        let _ = joe.messages(MessageQuery::inbox()).await.unwrap();
        let ids = [five()];
        let result = match verb {
            "UID MOVE" => joe.move_to(&ids, "Archive").await,
            "UID COPY" => joe.copy_to(&ids, "Archive").await,
            "UID EXPUNGE" => joe.delete_forever(&ids).await,
            _ => {
                let message = exomail::message::RawMessage::from_bytes("Subject: x\r\n\r\nx\r\n");
                joe.append("INBOX", message, &[]).await.map(drop)
            }
        };
        let kind = result.unwrap_err().kind();
        assert!(
            matches!(kind, ErrorKind::ConnectionLost | ErrorKind::OutcomeUnknown),
            "{verb}: {kind}"
        );
        assert_eq!(stage.commands(verb).len(), 1, "{verb}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_servers_pause_holds_for_every_call() {
    small_steps();
    const THROTTLED: &str = "TAG NO Request is throttled. Suggested Backoff Time: 92415 milliseconds\r\n";
    let stage = Stage::new(UNPACED, vec![says("UID MOVE", THROTTLED)], vec![]).await;
    let (joe, other) = (stage.joe(), stage.joe());
    let error = joe.move_to(&[five()], "Archive").await.unwrap_err();
    assert_eq!(error.retry(), Retry::After(Duration::from_millis(92_415)));
    // Another app on the same mailbox keeps the pause too.
    let started = Instant::now();
    other.messages(MessageQuery::inbox()).await.unwrap();
    let waited = started.elapsed();
    assert!(waited >= Duration::from_secs(90), "{waited:?}");
    assert_eq!(stage.commands("UID SEARCH").len(), 1);
}
