//! A provider was taken out of the tenant's file while payments made through it are open.

use dukou_domain::{AttemptState, OutTradeNo, PaymentState};
use dukou_engine::EngineError;

use crate::support::{House, order};

fn number() -> OutTradeNo {
    OutTradeNo::new("N-1").unwrap()
}

#[tokio::test]
async fn a_payment_goes_on_through_a_provider_that_was_taken_out() {
    let house = House::new();
    house.create("N-1").await;
    house.create("N-2").await;
    let now = house.without_words();
    let engine = house.engine_of(&[&now], &[&house.tenant]);
    let again = engine.create_payment(&now, order("N-1")).await.unwrap();
    assert_eq!((again.created, again.invoke.is_some()), (false, true));
    assert!(engine.payment(&now, &number(), false).await.unwrap().invoke.is_some());
    let other = engine.invoke_payment(&now, &number(), House::channel("other", Some("their-payer"))).await.unwrap();
    assert_eq!((other.payment.attempt.number, other.payment.others[0].state), (2, AttemptState::Closed));
    let closed = engine.close_payment(&now, &OutTradeNo::new("N-2").unwrap()).await.unwrap();
    assert_eq!(closed.state, PaymentState::Closed);
    assert_eq!(house.journal(), ["pay N-1 101", "pay N-2 101", "close N-1", "close N-2"]);
    let new = engine.create_payment(&now, order("N-3")).await.unwrap_err();
    assert!(matches!(new, EngineError::Invalid(_)), "nothing new is made through it: {new}");
}

#[tokio::test]
async fn a_payment_whose_provider_is_gone_says_so() {
    let house = House::new();
    house.create("N-1").await;
    let now = house.without_words();
    let engine = house.engine_of(&[&now], &[&now]);
    let again = engine.create_payment(&now, order("N-1")).await.unwrap();
    assert_eq!((again.created, again.invoke), (false, None));
    let other = engine.invoke_payment(&now, &number(), House::channel("other", Some("their-payer"))).await;
    for refused in [other.map(drop), engine.close_payment(&now, &number()).await.map(drop)] {
        let Err(EngineError::InvalidState(why)) = refused else { panic!("{refused:?}") };
        assert_eq!(why, "words, through which it is to be paid, is not configured for this tenant any more");
    }
    assert_eq!(house.journal(), ["pay N-1 101"]);
}
