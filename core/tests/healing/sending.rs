//! Sending after a cut: again where the mail certainly did not go out, and not where it may have.

use exomail::ErrorKind;
use exomail::Sent;
use exomail::message::OutgoingMessage;
use exomail::smtp::SendOptions;

use crate::stage::{ANN, JOE, Plan, Stage, UNPACED, says, small_steps};

const FOUND: &str = "* 1 FETCH (UID 5 FLAGS () RFC822.SIZE 9 INTERNALDATE \"01-Jan-2026 00:00:00 +0000\" \
                     ENVELOPE (NIL \"x\" NIL NIL NIL NIL NIL NIL NIL \"<m1@contoso.example>\"))\r\nTAG OK done\r\n";

fn mail() -> OutgoingMessage {
    let mail = OutgoingMessage::builder()
        .from(JOE)
        .to(ANN)
        .subject("x")
        .text("x");
    mail.message_id("m1@contoso.example").build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_certainly_did_not_go_out_is_sent_again() {
    small_steps();
    let plans = vec![Plan::Verdict("250 2.0.0 ok"), Plan::CutBefore, Plan::CutBefore];
    let stage = Stage::new(UNPACED, vec![], plans).await;
    let joe = stage.joe();
    joe.send(&mail()).await.unwrap();
    joe.send(&mail()).await.unwrap();
    assert_eq!(stage.mails().len(), 2);
    assert_eq!(*stage.smtp.connections.lock().unwrap(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_lasting_refusal_is_told_at_once() {
    small_steps();
    let plans = vec![Plan::Verdict(
        "554 5.2.252 SendAsDenied; joe not allowed to send as ann",
    )];
    let stage = Stage::new(UNPACED, vec![], plans).await;
    let error = stage.joe().send(&mail()).await.unwrap_err();
    assert_eq!((error.kind(), stage.mails().len()), (ErrorKind::SendAsDenied, 0));
}

#[tokio::test(start_paused = true)]
async fn what_may_have_gone_out_is_not_sent_again() {
    small_steps();
    let stage = Stage::new(UNPACED, vec![], vec![Plan::CutBehind]).await;
    let error = stage.joe().send(&mail()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
    assert!(error.hint().unwrap().contains("<m1@contoso.example>"), "{error}");
    assert_eq!(stage.mails().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_mail_that_is_in_sent_items_is_not_sent_again() {
    small_steps();
    let stage = Stage::new(UNPACED, vec![says("UID FETCH", FOUND)], vec![Plan::CutBehind]).await;
    let sent = stage
        .joe()
        .send_once(&mail(), &SendOptions::default())
        .await
        .unwrap();
    let Sent::Found(id) = sent else {
        panic!("{sent:?}");
    };
    assert_eq!((id.folder(), id.uid().get()), ("Sent Items", 5));
    assert_eq!(stage.mails().len(), 1);
    assert!(stage.commands("UID SEARCH")[0].contains("m1@contoso.example"));
}

#[tokio::test(start_paused = true)]
async fn a_mail_that_is_not_in_sent_items_is_sent_again() {
    small_steps();
    let stage = Stage::new(UNPACED, vec![], vec![Plan::Lost]).await;
    let sent = stage
        .joe()
        .send_once(&mail(), &SendOptions::default())
        .await
        .unwrap();
    assert!(matches!(sent, Sent::Reported(_)), "{sent:?}");
    assert_eq!(stage.mails().len(), 1);
    assert!(stage.commands("UID SEARCH").len() > 1, "looked more than once");
}
