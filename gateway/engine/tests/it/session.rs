//! A login code becomes a session.

use std::sync::Arc;
use std::time::Duration;

use dukou_domain::{ProviderName, Secret};
use dukou_engine::{EngineError, Session, SessionClaims};

use crate::support::House;

fn words() -> ProviderName {
    ProviderName::new("words").unwrap()
}

async fn open(house: &House, code: &str) -> Result<Session, EngineError> {
    house.engine.open_session(&house.tenant, &words(), Secret::new(code)).await
}

#[tokio::test]
async fn a_code_becomes_a_session_that_ends() {
    let house = House::new();
    let session = open(&house, "c1").await.unwrap();
    assert_eq!(session.openid, "openid-of-c1");
    let token = session.token.expose().as_bytes();
    let claims = house.engine.read_session(&house.tenant, token).await.unwrap().expect("valid");
    assert_eq!((claims.openid.as_str(), claims.provider), ("openid-of-c1", words()));
    house.wait(Duration::from_secs(7199));
    assert!(house.engine.read_session(&house.tenant, token).await.unwrap().is_some());
    house.wait(Duration::from_secs(1));
    assert!(house.engine.read_session(&house.tenant, token).await.unwrap().is_none());
}

/// A shorter life is for the tokens that are there already, too. One of an instance whose clock is ahead is a session.
#[tokio::test]
async fn a_token_that_lasts_longer_than_any_made_now_is_none() {
    let house = House::new();
    let now = house.engine.clock().now();
    for (seconds, good) in [(7200, true), (7200 + 300, true), (7200 + 301, false), (30 * 86_400, false)] {
        let expires_at = now.plus(Duration::from_secs(seconds));
        let claims = SessionClaims { provider: words(), openid: "o1".to_owned(), expires_at };
        let session = house.engine.session_again(&house.tenant, claims, None).await.unwrap();
        let token = session.token.expose().as_bytes();
        let read = house.engine.read_session(&house.tenant, token).await.unwrap();
        assert_eq!(read.is_some(), good, "{seconds}");
    }
}

#[tokio::test]
async fn the_same_code_at_once_and_again_is_one_login() {
    let house = Arc::new(House::new());
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let house = Arc::clone(&house);
            tokio::spawn(async move { open(&house, "twice").await.unwrap().token })
        })
        .collect();
    let mut tokens = Vec::new();
    for call in calls {
        tokens.push(call.await.unwrap());
    }
    tokens.push(open(&house, "twice").await.unwrap().token);
    assert!(tokens.iter().all(|token| token.matches(tokens[0].expose().as_bytes())));
    assert_eq!(house.calls("login"), 1);
    house.wait(Duration::from_secs(300));
    open(&house, "twice").await.unwrap();
    assert_eq!(house.calls("login"), 2, "what becomes of a code is not remembered for ever");
}

#[tokio::test]
async fn a_code_that_is_refused_is_refused_again() {
    let house = House::new();
    for _ in 0..2 {
        let error = open(&house, "wrong").await.unwrap_err();
        assert!(matches!(error, EngineError::Provider(_)), "{error}");
    }
    let nobody = ProviderName::new("nobody").unwrap();
    let error = house.engine.open_session(&house.tenant, &nobody, Secret::new("c")).await.unwrap_err();
    assert!(matches!(error, EngineError::Invalid(_)), "{error}");
}
