//! Giving money back.

use std::sync::Arc;
use std::time::Duration;

use dukou_domain::{OutTradeNo, PaymentState, RefundState};
use dukou_engine::records::{EventKind, Subject};
use dukou_engine::{CreateRefund, Engine, EngineError};
use dukou_spi::{ErrorKind, ProviderError, Reason, RefundWord};

use crate::support::{House, lost, refund, refused, unreachable};

/// A house in which N-1 is paid, 1.01 yuan.
pub async fn paid_house() -> House {
    let house = House::new();
    house.create("N-1").await;
    house.notify("paid N-1 101 app mch 42").await;
    house
}

async fn ask(house: &House, number: &str, fen: i64) -> Result<RefundState, EngineError> {
    ask_at(&house.engine, house, number, fen).await
}

async fn ask_at(engine: &Engine, house: &House, number: &str, fen: i64) -> Result<RefundState, EngineError> {
    let out_trade_no = OutTradeNo::new("N-1").unwrap();
    let answer = engine.create_refund(&house.tenant, &out_trade_no, refund(number, fen)).await?;
    Ok(answer.refund.state)
}

/// The state of the refund, and what is reserved in its payment.
async fn stands(house: &House, number: &str) -> (RefundState, i64) {
    let refund = house.engine.refund(&house.tenant, &refund(number, 1).out_refund_no, false).await.unwrap();
    (refund.state, house.read("N-1").await.refunding.minor())
}

fn not_enough() -> ProviderError {
    refused(Reason::InsufficientBalance, "NOTENOUGH")
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
    house.script(|script| script.refund.push_back(Err(not_enough())));
    assert!(matches!(ask(&house, "R-1", 101).await, Err(EngineError::Provider(_))));
    assert_eq!(house.read("N-1").await.refunding.minor(), 0);
    assert_eq!(house.count_events(EventKind::RefundFailed).await, 1);
    assert_eq!(ask(&house, "R-1", 101).await.unwrap(), RefundState::Processing);
    assert_eq!(house.count_events(EventKind::RefundCreated).await, 2, "whoever follows the events sees it begin again");
    assert_eq!(house.read("N-1").await.refunding.minor(), 101, "its amount is taken again");
    assert_eq!(house.journal().iter().filter(|entry| *entry == "refund R-1 101").count(), 2);
}

#[tokio::test]
async fn one_that_failed_is_not_made_again_once_its_amount_was_given_back_otherwise() {
    let house = paid_house().await;
    house.script(|script| script.refund.push_back(Err(not_enough())));
    assert!(matches!(ask(&house, "R-1", 101).await, Err(EngineError::Provider(_))));
    assert_eq!(ask(&house, "R-2", 50).await.unwrap(), RefundState::Processing);
    assert!(matches!(ask(&house, "R-1", 101).await, Err(EngineError::RefundExceedsPayment(_))));
    assert_eq!(house.read("N-1").await.refunding.minor(), 50);
    assert_eq!(house.calls("refund"), 2);
}

#[tokio::test]
async fn the_reason_is_kept() {
    let house = paid_house().await;
    let number = house.read("N-1").await.out_trade_no;
    let reason = Some("torn".to_owned());
    let command = CreateRefund { reason: reason.clone(), ..refund("R-1", 40) };
    assert_eq!(house.engine.create_refund(&house.tenant, &number, command).await.unwrap().refund.reason, reason);
    assert_eq!(house.engine.refunds(&house.tenant, &number).await.unwrap()[0].reason, reason);
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
    house.script(|script| script.refund.extend((0..4).map(|_| Err(unreachable()))));
    let (number, wish) = (OutTradeNo::new("N-1").unwrap(), || refund("R-1", 50));
    for created in [true, false] {
        // An error would read as if nothing came of it, and another number would give the money back again.
        let answer = house.engine.create_refund(&house.tenant, &number, wish()).await.unwrap();
        assert_eq!((answer.created, answer.refund.state), (created, RefundState::Created));
        house.wait(Duration::from_secs(10));
    }
    assert!(matches!(ask(&house, "R-2", 52).await, Err(EngineError::RefundExceedsPayment(_))));
    house.script(|script| {
        script.query_refund.push_back(Ok(RefundWord::Missing));
        script.refund.push_back(Ok(RefundWord::Succeeded));
    });
    house.engine.run_due().await;
    assert_eq!(house.read("N-1").await.refunded.minor(), 50);
    assert_eq!(house.count_events(EventKind::RefundFailed).await, 0);
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

#[tokio::test]
async fn one_that_is_being_sent_is_not_sent_again() {
    let house = Arc::new(paid_house().await);
    let mut held = house.hold("refund");
    let first = {
        let house = Arc::clone(&house);
        tokio::spawn(async move { ask(&house, "R-1", 40).await })
    };
    held.arrived().await;
    // Another instance, to which the merchant repeats the request, and a platform that would refuse the copy.
    house.script(|script| script.refund.push_back(Err(not_enough())));
    let second = house.another_engine();
    assert_eq!(ask_at(&second, &house, "R-1", 40).await.unwrap(), RefundState::Created);
    assert_eq!(house.calls("refund"), 1);
    held.thaw();
    assert_eq!(first.await.unwrap().unwrap(), RefundState::Processing);
    assert_eq!(stands(&house, "R-1").await, (RefundState::Processing, 40));
    assert_eq!(house.count_events(EventKind::RefundFailed).await, 0);
}

/// As the first time: by hand or by itself, and whoever else would.
#[tokio::test]
async fn one_that_is_being_sent_once_more_is_sent_by_nobody_else() {
    for by_hand in [true, false] {
        let house = Arc::new(paid_house().await);
        house.script(|script| script.refund.extend([Err(unreachable()), Err(unreachable())]));
        assert_eq!(ask(&house, "R-1", 40).await.unwrap(), RefundState::Created);
        house.wait(Duration::from_secs(10));
        house.script(|script| script.query_refund.push_back(Ok(RefundWord::Missing)));
        let mut held = house.hold("refund");
        let sending = {
            let house = Arc::clone(&house);
            tokio::spawn(async move {
                if by_hand {
                    ask(&house, "R-1", 40).await.unwrap();
                } else {
                    house.engine.run_due().await;
                }
            })
        };
        held.arrived().await;
        let sent = house.calls("refund");
        let second = house.another_engine();
        assert_eq!(ask_at(&second, &house, "R-1", 40).await.unwrap(), RefundState::Created);
        second.run_due().await;
        assert_eq!(house.calls("refund"), sent, "by hand: {by_hand}");
        held.thaw();
        sending.await.unwrap();
        assert_eq!(stands(&house, "R-1").await, (RefundState::Processing, 40));
    }
}

#[tokio::test]
async fn a_refusal_of_one_that_was_sent_before_counts_only_when_the_platform_knows_no_such_refund() {
    for (known, state, reserved) in [
        (Ok(RefundWord::Missing), RefundState::Failed, 0),
        (Ok(RefundWord::Processing), RefundState::Processing, 40),
        (Ok(RefundWord::Succeeded), RefundState::Succeeded, 0),
        (Err(lost()), RefundState::Unknown, 40),
    ] {
        let what = format!("{known:?}");
        let house = paid_house().await;
        house.script(|script| script.refund.extend([Err(unreachable()), Err(unreachable()), Err(not_enough())]));
        ask(&house, "R-1", 40).await.unwrap();
        house.wait(Duration::from_secs(10));
        house.script(|script| script.query_refund.push_back(known));
        match ask(&house, "R-1", 40).await {
            Ok(answered) => assert_eq!(answered, state, "{what}"),
            Err(error) => assert!(matches!(error, EngineError::Provider(_)) && state == RefundState::Failed, "{what}"),
        }
        assert_eq!(stands(&house, "R-1").await, (state, reserved), "{what}");
    }
}

/// A refund that was sent by a process that froze, and failed through another one; the frozen one wakes with `late`.
async fn wakes_after_the_failure(house: &Arc<House>, late: Result<RefundWord, ProviderError>, other: bool) {
    house.script(|script| script.refund.push_back(late));
    let mut held = house.hold("refund");
    let first = {
        let house = Arc::clone(house);
        tokio::spawn(async move { ask(&house, "R-1", 101).await })
    };
    held.arrived().await;
    house.wait(Duration::from_secs(125));
    house.script(|script| {
        script.query_refund.extend([Ok(RefundWord::Missing), Ok(RefundWord::Missing)]);
        script.refund.push_back(Err(not_enough()));
    });
    house.another_engine().run_due().await;
    assert_eq!(stands(house, "R-1").await, (RefundState::Failed, 0));
    if other {
        assert_eq!(ask(house, "R-2", 101).await.unwrap(), RefundState::Processing);
    }
    held.thaw();
    let _ = first.await.unwrap();
}

#[tokio::test]
async fn a_failed_one_that_the_platform_makes_after_all_counts_again() {
    let house = Arc::new(paid_house().await);
    wakes_after_the_failure(&house, Ok(RefundWord::Processing), false).await;
    assert_eq!(stands(&house, "R-1").await, (RefundState::Processing, 101));
    assert!(matches!(ask(&house, "R-2", 1).await, Err(EngineError::RefundExceedsPayment(_))));
    assert_eq!(house.count_events(EventKind::PaymentMismatch).await, 0);
}

#[tokio::test]
async fn a_failed_one_that_the_platform_makes_after_all_is_raised_where_nothing_is_left_for_it() {
    for late in [RefundWord::Processing, RefundWord::Succeeded] {
        let house = Arc::new(paid_house().await);
        wakes_after_the_failure(&house, Ok(late), true).await;
        let payment = house.read("N-1").await;
        assert_eq!(payment.refunding.minor() + payment.refunded.minor(), 202, "both go out");
        let raised: Vec<_> = house
            .events()
            .await
            .into_iter()
            .filter_map(|event| match event.event.subject {
                Subject::Mismatch { differences, .. } => Some(differences),
                _ => None,
            })
            .flatten()
            .map(|difference| (difference.field, difference.recorded, difference.received))
            .collect();
        assert_eq!(raised, [("refundable_amount".to_owned(), "0.00 CNY".to_owned(), "1.01 CNY".to_owned())]);
    }
}

#[tokio::test]
async fn a_failed_one_whose_answer_is_lost_after_all_is_asked_after() {
    let house = Arc::new(paid_house().await);
    wakes_after_the_failure(&house, Err(lost()), false).await;
    assert_eq!(stands(&house, "R-1").await, (RefundState::Failed, 0));
    house.script(|script| script.query_refund.extend([Err(lost()), Ok(RefundWord::Processing)]));
    for _ in 0..2 {
        house.wait(Duration::from_secs(10));
        house.engine.run_due().await;
    }
    assert_eq!(stands(&house, "R-1").await, (RefundState::Processing, 101));
}

#[tokio::test]
async fn one_through_a_provider_that_is_gone_is_refused_before_anything_is_recorded() {
    let house = paid_house().await;
    let without = house.without_words();
    let engine = house.engine_of(&[&without], &[&without]);
    let number = OutTradeNo::new("N-1").unwrap();
    let refused = engine.create_refund(&without, &number, refund("R-1", 40)).await;
    assert!(matches!(refused, Err(EngineError::InvalidState(_))), "{refused:?}");
    assert!(engine.refunds(&without, &number).await.unwrap().is_empty());
    assert_eq!((house.read("N-1").await.refunding.minor(), house.count_events(EventKind::RefundCreated).await), (0, 0));
}

#[tokio::test]
async fn one_through_a_provider_that_was_taken_out_while_running_is_made() {
    let house = paid_house().await;
    let without = house.without_words();
    let engine = house.engine_of(&[&without], &[&house.tenant]);
    let number = OutTradeNo::new("N-1").unwrap();
    let answer = engine.create_refund(&without, &number, refund("R-1", 40)).await.unwrap();
    assert_eq!(answer.refund.state, RefundState::Processing);
    house.script(|script| script.query_refund.push_back(Ok(RefundWord::Succeeded)));
    let asked = engine.refund(&without, &refund("R-1", 40).out_refund_no, true).await.unwrap();
    assert_eq!(asked.state, RefundState::Succeeded);
}

#[tokio::test]
async fn what_the_platform_has_too_much_of_waits_a_minute() {
    let too_much =
        || ProviderError::new(ErrorKind::NotSent, Reason::RateLimited, "slower").with_code("FREQUENCY_LIMITED");
    let house = paid_house().await;
    house.script(|script| {
        script.refund.push_back(Err(too_much()));
        script.query_refund.push_back(Err(too_much()));
    });
    assert_eq!(ask(&house, "R-1", 40).await.unwrap(), RefundState::Created);
    let mut called_at = Vec::new();
    for second in 1..=130_u64 {
        house.wait(Duration::from_secs(1));
        let before = house.calls("query_refund");
        house.engine.run_due().await;
        if house.calls("query_refund") > before {
            called_at.push(second);
        }
    }
    assert_eq!(called_at, [60, 120], "neither sent nor asked after sooner");
}

#[tokio::test]
async fn one_that_is_sent_again_and_again_is_sent_ever_more_slowly() {
    for fault in [lost, unreachable] {
        let house = paid_house().await;
        // What was certainly not sent is tried twice.
        let every = if fault().kind == ErrorKind::NotSent { 2 } else { 1 };
        house.script(|script| {
            script.refund.extend((0..20).map(|_| Err(fault())));
            script.query_refund.extend((0..20).map(|_| Ok(RefundWord::Missing)));
        });
        let _ = ask(&house, "R-1", 40).await;
        let mut sent_at = Vec::new();
        for second in 1..=200_u64 {
            house.wait(Duration::from_secs(1));
            let before = house.calls("refund");
            house.engine.run_due().await;
            if house.calls("refund") > before {
                assert_eq!(house.calls("refund"), before + every);
                sent_at.push(second);
            }
        }
        assert_eq!(sent_at, [5, 10, 30, 60], "{:?}", fault().kind);
    }
}
