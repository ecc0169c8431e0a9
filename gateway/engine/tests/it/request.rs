//! A buyer asks, the merchant decides.

use std::sync::Arc;

use dukou_domain::{Currency, Money, OutTradeNo, RefundRequestState};
use dukou_engine::records::{EventKind, RefundRequest};
use dukou_engine::{CreateRefundRequest, Decision, EngineError};
use dukou_spi::RefundWord;

use crate::refund::paid_house;
use crate::support::House;

async fn ask(house: &House, openid: &str, fen: i64) -> Result<RefundRequest, EngineError> {
    let command = CreateRefundRequest {
        openid: openid.to_owned(),
        amount: Money::new(fen, Currency::Cny).unwrap(),
        reason: Some("torn".to_owned()),
    };
    house.engine.request_refund(&house.tenant, &OutTradeNo::new("N-1").unwrap(), command).await
}

#[tokio::test]
async fn no_money_moves_before_the_merchant_approves_and_then_once() {
    let house = Arc::new(paid_house().await);
    house.script(|script| script.refund.push_back(Ok(RefundWord::Succeeded)));
    let request = ask(&house, "payer", 50).await.unwrap();
    assert_eq!(house.calls("refund"), 0);
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let house = Arc::clone(&house);
            tokio::spawn(async move {
                house
                    .engine
                    .decide_refund_request(&house.tenant, request.id, Decision::Approve, "backend")
                    .await
                    .unwrap()
            })
        })
        .collect();
    for task in tasks {
        let decided = task.await.unwrap();
        assert_eq!(decided.state, RefundRequestState::Approved);
        assert_eq!(decided.decided_by.as_deref(), Some("backend"));
        assert!(decided.out_refund_no.is_some());
    }
    assert_eq!(house.calls("refund"), 1);
    assert_eq!(house.read("N-1").await.refunded.minor(), 50);
    let other = house.engine.decide_refund_request(&house.tenant, request.id, Decision::Reject, "backend").await;
    assert!(matches!(other, Err(EngineError::InvalidState(_))));
}

#[tokio::test]
async fn a_rejection_is_kept_and_another_wish_may_follow() {
    let house = paid_house().await;
    let request = ask(&house, "payer", 50).await.unwrap();
    assert!(matches!(ask(&house, "payer", 20).await, Err(EngineError::InvalidState(_))));
    for _ in 0..2 {
        let decided = house.engine.decide_refund_request(&house.tenant, request.id, Decision::Reject, "backend").await;
        assert_eq!(decided.unwrap().state, RefundRequestState::Rejected);
    }
    assert_eq!(house.count_events(EventKind::RefundRequestRejected).await, 1);
    ask(&house, "payer", 20).await.unwrap();
    assert_eq!(house.calls("refund"), 0);
}

#[tokio::test]
async fn only_the_payer_asks_and_never_for_more_than_was_paid() {
    let house = paid_house().await;
    assert!(matches!(ask(&house, "stranger", 50).await, Err(EngineError::NotFound)));
    assert!(matches!(ask(&house, "payer", 102).await, Err(EngineError::RefundExceedsPayment(_))));
    assert!(matches!(ask(&house, "payer", 0).await, Err(EngineError::Invalid(_))));
    let unpaid = House::new();
    unpaid.create("N-1").await;
    assert!(matches!(ask(&unpaid, "payer", 50).await, Err(EngineError::InvalidState(_))));
}

#[tokio::test]
async fn an_approval_that_would_pass_what_was_paid_leaves_the_request_pending() {
    let house = paid_house().await;
    let request = ask(&house, "payer", 101).await.unwrap();
    let number = OutTradeNo::new("N-1").unwrap();
    house.engine.create_refund(&house.tenant, &number, crate::support::refund("R-1", 60)).await.unwrap();
    let decided = house.engine.decide_refund_request(&house.tenant, request.id, Decision::Approve, "backend").await;
    assert!(matches!(decided, Err(EngineError::RefundExceedsPayment(_))));
    let rejected = house.engine.decide_refund_request(&house.tenant, request.id, Decision::Reject, "backend").await;
    assert_eq!(rejected.unwrap().state, RefundRequestState::Rejected);
}

#[tokio::test]
async fn an_approval_whose_provider_is_gone_leaves_the_request_pending() {
    let house = paid_house().await;
    let request = ask(&house, "payer", 50).await.unwrap();
    let without = house.without_words();
    let engine = house.engine_of(&[&without], &[&without]);
    let decided = engine.decide_refund_request(&without, request.id, Decision::Approve, "backend").await;
    assert!(matches!(decided, Err(EngineError::InvalidState(_))), "{decided:?}");
    assert_eq!(house.read("N-1").await.refunding.minor(), 0);
    let decided = house.engine.decide_refund_request(&house.tenant, request.id, Decision::Approve, "backend").await;
    assert_eq!((decided.unwrap().state, house.calls("refund")), (RefundRequestState::Approved, 1));
}
