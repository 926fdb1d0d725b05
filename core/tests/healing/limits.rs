//! The limits of a mailbox, whoever uses it.

use std::time::Duration;

use exomail::smtp::SendOptions;
use exomail::{ErrorKind, Limits, Mailbox, Retry};
use tokio::time::Instant;

use crate::stage::{Plan, Stage, UNPACED, small_steps};

fn mail(joe: &Mailbox, subject: &str, recipients: usize) -> exomail::message::OutgoingMessage {
    let mut mail = joe.compose().subject(subject).text("x");
    for n in 0..recipients {
        mail = mail.to(format!("r{n}@example.org"));
    }
    mail.build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_hundred_sends_of_twenty_tasks_and_two_apps_share_three_connections() {
    small_steps();
    let busy = Plan::Verdict("432 4.3.2 Concurrent connections limit exceeded. [Hostname=x]");
    let stage = Stage::new(UNPACED, vec![], vec![busy]).await;
    let apps = [stage.joe(), stage.joe()];
    let tasks: Vec<_> = (0..20)
        .map(|task| {
            let joe = apps[task % 2].clone();
            tokio::spawn(async move {
                for n in 0..5 {
                    joe.send(&mail(&joe, &format!("Mail {task}-{n}."), 1))
                        .await
                        .unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let mails = stage.mails();
    assert_eq!(mails.len(), 100);
    for task in 0..20 {
        for n in 0..5 {
            let subject = format!("Subject: Mail {task}-{n}.");
            assert_eq!(
                mails.iter().filter(|(_, text)| text.contains(&subject)).count(),
                1
            );
        }
    }
    let most = stage.log.lock().unwrap().most;
    assert!(most <= 3, "{most}");
}

#[tokio::test(start_paused = true)]
async fn mails_are_paced() {
    small_steps();
    let stage = Stage::new(Limits::default(), vec![], vec![]).await;
    let (joe, started) = (stage.joe(), Instant::now());
    for _ in 0..30 {
        joe.send(&mail(&joe, "x", 1)).await.unwrap();
    }
    // Whoever opens the mailbox anew finds the minute used up.
    drop(joe);
    let joe = stage.joe();
    joe.send(&mail(&joe, "x", 1)).await.unwrap();
    assert!(
        started.elapsed() >= Duration::from_secs(60),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(stage.mails().len(), 31);
}

#[tokio::test(start_paused = true)]
async fn the_days_recipients_are_counted() {
    small_steps();
    let limits = Limits {
        recipients_per_day: 5,
        ..UNPACED
    };
    let stage = Stage::new(limits, vec![], vec![]).await;
    let joe = stage.joe();
    joe.send(&mail(&joe, "x", 3)).await.unwrap();
    let error = joe.send(&mail(&joe, "x", 3)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::QuotaExceeded);
    assert!(matches!(error.retry(), Retry::After(pause) if pause > Duration::from_secs(86_000)));
    assert_eq!(stage.mails().len(), 1, "nothing was sent");
    joe.send(&mail(&joe, "x", 2)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn many_recipients_are_refused_or_split() {
    small_steps();
    let limits = Limits {
        recipients_per_message: 2,
        ..UNPACED
    };
    let refused = Plan::Verdict("554 5.6.0 no");
    let stage = Stage::new(limits, vec![], vec![Plan::Verdict("250 ok"), refused]).await;
    let joe = stage.joe();
    let mail = mail(&joe, "x", 5);
    let error = joe.send(&mail).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidMessage);
    assert!(error.hint().unwrap().contains("send_split"), "{error}");
    let parts = joe.send_split(&mail, &SendOptions::default()).await;
    let outcome: Vec<_> = parts
        .iter()
        .map(|part| (part.envelope.to().len(), part.result.is_ok()))
        .collect();
    assert_eq!(outcome, [(2, true), (2, false), (1, true)]);
    let sent: Vec<_> = stage.mails().into_iter().map(|(to, _)| to).collect();
    assert_eq!(
        sent,
        [vec!["r0@example.org", "r1@example.org"], vec!["r4@example.org"]]
    );
}
