//! One app, many runtimes: what tests with a runtime each, and bindings, do.

use exomail::TokenProvider;
use exomail::token::Refresh;
use futures_util::FutureExt as _;

use crate::entra::{AMPLE, endpoint, token};

#[test]
fn an_app_outlives_the_runtimes_it_was_used_on() {
    let server = tokio::runtime::Runtime::new().unwrap();
    let entra = server.block_on(endpoint((1..=5).map(|number| token(&format!("token-{number}")))));
    let app = entra.app("8Q~runtimes", AMPLE);
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    for number in 1..=3 {
        let got = runtime().block_on(app.refresh_token()).unwrap();
        assert_eq!(got.secret().expose(), format!("token-{number}"));
    }
    // Two at a time, one of which stands still in between.
    let (one, other) = (runtime(), runtime());
    let got = one.block_on(TokenProvider::token(&app, Refresh::Force)).unwrap();
    assert_eq!(got.secret().expose(), "token-4");
    assert_eq!(other.block_on(app.token()).unwrap().secret().expose(), "token-4");
    assert_eq!(
        other.block_on(app.refresh_token()).unwrap().secret().expose(),
        "token-5"
    );
    assert_eq!(one.block_on(app.token()).unwrap().secret().expose(), "token-5");
    assert_eq!(entra.asked(), 5);
}

#[tokio::test]
async fn equal_apps_share_a_token_and_others_do_not() {
    let entra = endpoint((1..=2).map(|number| token(&format!("token-{number}")))).await;
    let first = entra.app("8Q~shared", AMPLE).token().await.unwrap();
    assert_eq!(
        entra.app("8Q~shared", AMPLE).token().await.unwrap().secret(),
        first.secret()
    );
    assert_eq!(
        entra
            .app("8Q~another", AMPLE)
            .token()
            .await
            .unwrap()
            .secret()
            .expose(),
        "token-2"
    );
    assert_eq!(entra.asked(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_caller_who_gives_up_leaves_the_token_to_the_others() {
    let entra = endpoint([token("token-1")]).await;
    let app = entra.app("8Q~dropped", AMPLE);
    // Polled once, so that the request is under way, and dropped.
    assert!(app.token().now_or_never().is_none());
    assert_eq!(app.token().await.unwrap().secret().expose(), "token-1");
    assert_eq!(entra.asked(), 1);
}
