//! How many connections are made, kept and ended.

use exomail::imap::{Flag, Store, Uid};
use exomail::{ErrorKind, MessageQuery, MessageRef};
use exomail_sandbox::{Fault, Protocol, Sandbox};

use crate::tenant::{ANN, JOE, Tenant, deliver, subjects};

#[tokio::test(flavor = "multi_thread")]
async fn many_senders_share_three_connections() {
    // Forty within the minute; how fast they go is not the question here.
    let tenant = Tenant::with(Sandbox::builder().fault(Fault::SmtpRate.with(0))).await;
    // The connections live as long as a handle does: the first sender may be done before the last one starts.
    let _kept = tenant.mailbox(JOE);
    let tasks: Vec<_> = (0..40)
        .map(|n| {
            // Each opens the mailbox for itself: the limit is the mailbox's, not the handle's.
            let joe = tenant.mailbox(JOE);
            tokio::spawn(async move {
                let mail = joe
                    .compose()
                    .to(ANN)
                    .subject(format!("Mail {n}"))
                    .text("x")
                    .build()?;
                joe.send(&mail).await
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(tenant.sandbox.messages(ANN, "INBOX").len(), 40);
    assert!(tenant.connections(Protocol::Smtp).len() <= 3);
    assert_eq!(tenant.sandbox.stats().token_requests, 1);
}

#[tokio::test]
async fn one_connection_serves_call_after_call() {
    let tenant = Tenant::start().await;
    deliver(&tenant, JOE, 5);
    let joe = tenant.mailbox(JOE);
    for _ in 0..5 {
        assert_eq!(subjects(&joe, MessageQuery::inbox()).await.len(), 5);
        joe.folders().await.unwrap();
    }
    assert_eq!(tenant.connections(Protocol::Imap).len(), 1);
    joe.close().await;
    // It connects again when it is needed.
    assert_eq!(subjects(&joe, MessageQuery::inbox()).await.len(), 5);
    let connections = tenant.connections(Protocol::Imap);
    assert_eq!((connections.len(), connections[0].open), (2, false));
}

#[tokio::test]
async fn a_dropped_call_spoils_no_later_one() {
    let tenant = Tenant::start().await;
    deliver(&tenant, JOE, 300);
    let joe = tenant.mailbox(JOE);
    let ids = joe
        .messages(MessageQuery::inbox())
        .await
        .unwrap()
        .all()
        .await
        .unwrap();
    // Poll a fetch a few times, then let go of it in the middle of the exchange.
    for polls in 1..12 {
        let mut sink = tokio::io::sink();
        let fetch = joe.fetch(&ids[0].0, &mut sink);
        tokio::pin!(fetch);
        for _ in 0..polls {
            let poll =
                std::future::poll_fn(|context| std::task::Poll::Ready(fetch.as_mut().poll(context))).await;
            if poll.is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    for (n, (id, _)) in ids.iter().enumerate().take(20) {
        let text = joe.message(id).await.unwrap().text().unwrap();
        assert_eq!(text.trim_end(), format!("The text of {n}."));
    }
}

#[tokio::test]
async fn a_folder_that_was_rebuilt_is_noticed() {
    let tenant = Tenant::start().await;
    deliver(&tenant, JOE, 1);
    let joe = tenant.mailbox(JOE);
    let (id, _) = joe
        .messages(MessageQuery::inbox())
        .await
        .unwrap()
        .next()
        .await
        .unwrap()
        .unwrap();
    joe.close().await;
    tenant.sandbox.state().renumber_folders(JOE).unwrap();
    let error = joe.message(&id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.detail().contains("UIDVALIDITY"), "{error}");
}

#[tokio::test]
async fn a_message_that_came_after_the_folder_was_opened_is_there() {
    let tenant = Tenant::start().await;
    deliver(&tenant, JOE, 1);
    let joe = tenant.mailbox(JOE);
    let (first, _) = joe
        .messages(MessageQuery::inbox())
        .await
        .unwrap()
        .next()
        .await
        .unwrap()
        .unwrap();
    // Somebody else, a watch for instance, knows of these before our open session does.
    let come = |n: u32| {
        MessageRef::new(
            first.folder(),
            first.uid_validity(),
            Uid::new(first.uid().get() + n).unwrap(),
        )
    };
    deliver(&tenant, JOE, 3);
    joe.message(&come(1)).await.unwrap();
    joe.close().await;
    joe.message(&first).await.unwrap();
    deliver(&tenant, JOE, 2);
    joe.mark(&[come(4)], Store::Add, &[Flag::Seen]).await.unwrap();
    assert_eq!(subjects(&joe, MessageQuery::unseen()).await.len(), 5);
    joe.move_to(&[come(5)], "Archive").await.unwrap();
    assert_eq!(tenant.sandbox.messages(JOE, "Archive").len(), 1);
    assert_eq!(tenant.connections(Protocol::Imap).len(), 2);
}
