//! The whole main job, good and bad, with every crate logging at trace level: no secret is in anything that is kept.

use exomail::MessageQuery;
use exomail::sasl;

use crate::net::{assert_absent, log};
use crate::tenant::{ANN, JOE, Tenant, deliver};

#[tokio::test]
async fn neither_token_nor_secret_is_in_logs_transcript_or_errors() {
    log();
    let tenant = Tenant::start().await;
    deliver(&tenant, JOE, 2);
    let (joe, ann) = (tenant.mailbox(JOE), tenant.mailbox(ANN));
    let mail = joe
        .compose()
        .to(ANN)
        .subject("Hush")
        .text("The text of the mail")
        .build()
        .unwrap();
    joe.send(&mail).await.unwrap();
    let (id, _) = ann
        .messages(MessageQuery::unseen())
        .await
        .unwrap()
        .next()
        .await
        .unwrap()
        .unwrap();
    ann.message(&id).await.unwrap();
    ann.pop3().await.unwrap().quit().await.unwrap();
    joe.close().await;
    ann.close().await;

    // And everything refused.
    let app = tenant.sandbox.client_id().to_owned();
    let enterprise = tenant
        .sandbox
        .state()
        .enterprise_object_id(&app)
        .unwrap()
        .to_owned();
    tenant
        .sandbox
        .state()
        .remove_service_principal(&enterprise)
        .unwrap();
    let errors = [
        joe.send(&mail).await.unwrap_err(),
        joe.messages(MessageQuery::inbox()).await.unwrap_err(),
        joe.pop3().await.unwrap_err(),
    ];

    let token = tenant.app.token().await.unwrap();
    let (secret, token) = (tenant.sandbox.client_secret(), token.secret());
    let [joes, anns] = [JOE, ANN].map(|user| sasl::xoauth2(user, token).unwrap());
    let signature = token.expose().rsplit('.').next().unwrap();
    let transcript: String = tenant
        .transcript
        .lines()
        .iter()
        .map(|line| format!("{line}\n{line:?}\n"))
        .collect();
    let shown: String = errors
        .iter()
        .map(|error| format!("{error} {error:?} {}\n", error.to_json()))
        .collect();
    let debug = format!("{:?} {joe:?} {mail:?} {id:?} {joes:?}", tenant.app);
    let logged = log().text();

    // The net is out, and what was said is there but for the secrets.
    for target in ["exomail", "rustls", "hyper"] {
        assert!(logged.contains(target), "nothing was logged by {target}");
    }
    for said in [
        "AUTH XOAUTH2 [redacted",
        "AUTHENTICATE XOAUTH2 [redacted",
        "C: AUTH XOAUTH2",
        "MAIL FROM:<joe@",
    ] {
        assert!(transcript.contains(said), "{said:?} is not in {transcript}");
    }
    let secrets = [
        secret,
        token.expose(),
        signature,
        joes.secret().expose(),
        anns.secret().expose(),
    ];
    let texts = [
        ("the log", &*logged),
        ("the transcript", &*transcript),
        ("an error", &*shown),
        ("Debug", &*debug),
    ];
    assert_absent(&secrets, &texts);
    // Bodies are nobody's business either.
    assert_absent(&["The text of the mail"], &texts);
}
