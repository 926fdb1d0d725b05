//! A program written for `async-imap`, on a session that exomail signed in; and the two clients side by side.

use exomail::MessageQuery;
use futures_util::TryStreamExt;

use crate::tenant::{JOE, Tenant, deliver, subjects};

#[tokio::test]
async fn async_imap_reads_what_we_read() {
    let tenant = Tenant::start().await;
    deliver(&tenant, JOE, 20);
    let joe = tenant.mailbox(JOE);
    let mut session = joe.async_imap_session().await.unwrap();
    let mailbox = session.select("INBOX").await.unwrap();
    assert_eq!(mailbox.exists, 20);
    let fetched: Vec<_> = session
        .uid_fetch("1:*", "(UID ENVELOPE)")
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    let theirs: Vec<String> = fetched
        .iter()
        .filter_map(|fetch| fetch.envelope()?.subject.as_ref())
        .map(|subject| String::from_utf8_lossy(subject).into_owned())
        .collect();
    session.logout().await.unwrap();
    assert_eq!(theirs, subjects(&joe, MessageQuery::inbox()).await);
}
