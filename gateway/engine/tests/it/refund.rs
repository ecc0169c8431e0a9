//! Giving money back.

use std::sync::Arc;

use dukou_domain::{PaymentState, RefundState};
use dukou_engine::EngineError;
use dukou_engine::records::EventKind;
use dukou_spi::{Reason, RefundWord};

use crate::support::{House, lost, refund, refused, unreachable};

async fn paid_house() -> House {
    let house = House::new();
    house.create("N-1").await;
    house.notify("paid N-1 101 app mch 42").await;
    house
}

async fn ask(house: &House, number: &str, fen: i64) -> Result<RefundState, EngineError> {
    let out_trade_no = dukou_domain::OutTradeNo::new("N-1").unwrap();
    house
        .engine
        .create_refund(&house.tenant, &out_trade_no, refund(number, fen))
        .await
        .map(|answer| answer.refund.state)
}

#[tokio::test]
async fn one_number_refunds_once() {
    let house = Arc::new(paid_house().await);
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let house = Arc::clone(&house);
            tokio::spawn(async move { ask(&house, "R-1", 50).await.unwrap() })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), RefundState::Processing);
    }
    assert_eq!(house.calls("refund"), 1);
    let error = ask(&house, "R-1", 51).await.unwrap_err();
    assert!(matches!(error, EngineError::OutRefundNoConflict(_)));
}

#[tokio::test]
async fn the_sum_never_passes_what_was_paid() {
    let house = Arc::new(paid_house().await);
    let tasks: Vec<_> = (0..50)
        .map(|index| {
            let house = Arc::clone(&house);
            tokio::spawn(async move { ask(&house, &format!("R-{index}"), 4).await })
        })
        .collect();
    let mut accepted = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => accepted += 4,
            Err(EngineError::RefundExceedsPayment(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(accepted, 100);
    assert_eq!(house.calls("refund"), 25);
}

#[tokio::test]
async fn all_of_it_in_two_parts() {
    let house = paid_house().await;
    house.script(|script| script.refund.extend([Ok(RefundWord::Succeeded), Ok(RefundWord::Succeeded)]));
    assert_eq!(ask(&house, "R-1", 100).await.unwrap(), RefundState::Succeeded);
    assert_eq!(house.read("N-1").await.state, PaymentState::PartiallyRefunded);
    assert_eq!(ask(&house, "R-2", 1).await.unwrap(), RefundState::Succeeded);
    let payment = house.read("N-1").await;
    assert_eq!((payment.state, payment.refunded.minor(), payment.refunding.minor()), (PaymentState::Refunded, 101, 0));
    assert!(matches!(ask(&house, "R-3", 1).await, Err(EngineError::RefundExceedsPayment(_))));
}

#[tokio::test]
async fn a_refusal_frees_the_amount_and_the_number_may_be_tried_again() {
    let house = paid_house().await;
    house.script(|script| script.refund.push_back(Err(refused(Reason::InsufficientBalance, "NOTENOUGH"))));
    assert!(matches!(ask(&house, "R-1", 101).await, Err(EngineError::Provider(_))));
    assert_eq!(house.read("N-1").await.refunding.minor(), 0);
    assert_eq!(house.count_events(EventKind::RefundFailed).await, 1);
    assert_eq!(ask(&house, "R-1", 101).await.unwrap(), RefundState::Processing);
    assert_eq!(house.journal().iter().filter(|entry| *entry == "refund R-1 101").count(), 2);
}

#[tokio::test]
async fn a_lost_answer_is_asked_after_under_the_same_number() {
    let house = paid_house().await;
    house.script(|script| script.refund.push_back(Err(lost())));
    assert_eq!(ask(&house, "R-1", 50).await.unwrap(), RefundState::Unknown);
    // The platform never got it: the same refund again, under the same number.
    house.wait(std::time::Duration::from_secs(5));
    house.script(|script| {
        script.query_refund.push_back(Ok(RefundWord::Missing));
        script.refund.push_back(Ok(RefundWord::Succeeded));
    });
    house.engine.run_due().await;
    let tail: Vec<String> = house.journal().into_iter().filter(|entry| entry.contains("R-1")).collect();
    assert_eq!(tail, ["refund R-1 50", "query_refund R-1", "refund R-1 50"]);
    assert_eq!(house.read("N-1").await.refunded.minor(), 50);
}

#[tokio::test]
async fn one_that_could_not_be_sent_is_sent_by_itself() {
    let house = paid_house().await;
    house.script(|script| script.refund.extend([Err(unreachable()), Err(unreachable())]));
    assert!(matches!(ask(&house, "R-1", 50).await, Err(EngineError::Provider(_))));
    house.wait(std::time::Duration::from_secs(10));
    house.script(|script| {
        script.query_refund.push_back(Ok(RefundWord::Missing));
        script.refund.push_back(Ok(RefundWord::Succeeded));
    });
    house.engine.run_due().await;
    assert_eq!(house.read("N-1").await.refunded.minor(), 50);
}

#[tokio::test]
async fn what_is_not_paid_cannot_be_refunded() {
    let house = House::new();
    house.create("N-1").await;
    assert!(matches!(ask(&house, "R-1", 1).await, Err(EngineError::InvalidState(_))));
    let missing = dukou_domain::OutTradeNo::new("N-9").unwrap();
    let answer = house.engine.create_refund(&house.tenant, &missing, refund("R-1", 1)).await;
    assert!(matches!(answer, Err(EngineError::NotFound)));
}

#[tokio::test]
async fn tenants_that_share_a_merchant_account_share_no_refund_number() {
    let house = House::with_prefix("BK");
    house.create("N-1").await;
    house.notify("paid BKN-1 101 app mch 42").await;
    assert_eq!(ask(&house, "R-1", 50).await.unwrap(), RefundState::Processing);
    assert_eq!(house.journal().last().unwrap(), "refund BKR-1 50");
    house.script(|script| script.query_refund.push_back(Ok(RefundWord::Succeeded)));
    assert_eq!(house.notify("refund BKR-1 SUCCESS").await, "Accepted");
    assert_eq!(house.journal().last().unwrap(), "query_refund BKR-1");
    assert_eq!(house.read("N-1").await.refunded.minor(), 50);
    let long = "9".repeat(64);
    assert!(matches!(ask(&house, &long, 1).await, Err(EngineError::Invalid(_))));
}
