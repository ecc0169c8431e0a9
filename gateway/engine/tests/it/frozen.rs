//! A worker is frozen with an answer in its hand, longer than its locks and leases live; another does the work; the
//! first wakes (fault scenario 12, with two writers in one process).
//!
//! Watches: decisions from what the store holds at the moment of the write. With what was read before the call, a paid
//! payment would be pending or closed again, and a refund sent twice.

use std::sync::Arc;
use std::time::Duration;

use dukou_domain::{AttemptState, OutTradeNo, PaymentState, RefundState};
use dukou_engine::records::{EventKind, Payment, Refund};
use dukou_engine::{Engine, EngineError, PaymentAnswer};
use dukou_spi::{OrderWord, RefundWord};
use tokio::task::JoinHandle;

use crate::support::{Held, House, lost, order, paid, refund};

/// Longer than any lease.
const LONG: Duration = Duration::from_secs(125);

fn number(text: &str) -> OutTradeNo {
    OutTradeNo::new(text).unwrap()
}

/// All that a late write could have changed.
async fn everything(house: &House) -> (Payment, Vec<Refund>, Vec<&'static str>) {
    let payment = house.read("N-1").await;
    let refunds = house.engine.refunds(&house.tenant, &number("N-1")).await.unwrap();
    (payment, refunds, house.event_words().await)
}

fn paid_word() -> OrderWord {
    OrderWord::Paid(paid("N-1", 101, "app", "mch", "42"))
}

/// Pays and gives back in full through the second engine.
async fn settled_by(second: &Arc<Engine>, house: &House) {
    assert_eq!(house.notify("paid N-1 101 app mch 42").await, "Accepted");
    house.script(|script| script.refund.push_back(Ok(RefundWord::Succeeded)));
    second.create_refund(&house.tenant, &number("N-1"), refund("R-1", 101)).await.unwrap();
    assert_eq!(house.read("N-1").await.state, PaymentState::Refunded);
}

#[tokio::test]
async fn f12_a_create_that_wakes_late_sets_nothing_back() {
    for answer in [Ok(()), Err(lost())] {
        let house = House::new();
        let known = answer.is_ok();
        house.script(|script| script.pay.push_back(answer));
        let (first, mut held) = (Arc::clone(&house.engine), house.hold("pay"));
        let tenant = Arc::clone(&house.tenant);
        let frozen = tokio::spawn(async move { first.create_payment(&tenant, order("N-1")).await });
        held.arrived().await;
        house.wait(LONG);
        settled_by(&house.another_engine(), &house).await;
        let before = everything(&house).await;
        held.thaw();
        let ended = frozen.await.unwrap();
        let mut after = everything(&house).await;
        // The platform's token is kept, and of no use any more.
        (after.0.version, after.0.attempt.prepay) = (before.0.version, None);
        assert_eq!(after, before, "{known}");
        if let Ok(answer) = ended {
            assert_eq!(answer.payment.state, PaymentState::Refunded, "it is told how things are");
        }
    }
}

/// A close that is stopped while the platform answers it, for longer than its locks live.
async fn frozen_close() -> (House, Held, JoinHandle<Result<Payment, EngineError>>) {
    let house = House::new();
    house.create("N-1").await;
    let (first, mut held) = (Arc::clone(&house.engine), house.hold("close"));
    let tenant = Arc::clone(&house.tenant);
    let frozen = tokio::spawn(async move { first.close_payment(&tenant, &number("N-1")).await });
    held.arrived().await;
    house.wait(LONG);
    (house, held, frozen)
}

#[tokio::test]
async fn f12_a_close_that_wakes_late_closes_nothing_that_was_paid() {
    let (house, held, frozen) = frozen_close().await;
    settled_by(&house.another_engine(), &house).await;
    let before = everything(&house).await;
    held.thaw();
    let _ = frozen.await.unwrap();
    assert_eq!(everything(&house).await, before);
}

#[tokio::test]
async fn f12_a_close_that_wakes_late_closes_no_payment_that_is_paid_another_way() {
    let (house, held, frozen) = frozen_close().await;
    invoked(&house, house.another_engine()).await.unwrap().unwrap();
    let before = everything(&house).await;
    held.thaw();
    let error = frozen.await.unwrap().unwrap_err();
    assert!(matches!(error, EngineError::InvalidState(_)), "{error}");
    assert_eq!(everything(&house).await, before);
    assert_eq!((before.0.state, before.0.attempt.state), (PaymentState::Pending, AttemptState::Live));
}

#[tokio::test]
async fn f12_a_change_of_channel_that_wakes_late_leaves_one_live_attempt() {
    let house = House::new();
    house.create("N-1").await;
    let (first, mut held) = (Arc::clone(&house.engine), house.hold("close"));
    let frozen = invoked(&house, first);
    held.arrived().await;
    house.wait(LONG);
    let done = invoked(&house, house.another_engine()).await.unwrap().unwrap();
    assert_eq!(done.payment.attempt.provider.as_str(), "other");
    let before = everything(&house).await;
    held.thaw();
    let _ = frozen.await.unwrap();
    let after = everything(&house).await;
    assert_eq!((after.0.attempt.trade_no, after.0.state), (before.0.attempt.trade_no.clone(), before.0.state));
    assert_eq!(after.0.others.len(), 1, "{:?}", after.0.others);
    let orders = house.other.script.lock().unwrap().journal.clone();
    let numbers: std::collections::BTreeSet<&String> = orders.iter().filter(|call| call.starts_with("pay")).collect();
    assert_eq!(numbers.len(), 1, "one order at the other channel: {orders:?}");
}

fn invoked(house: &House, engine: Arc<Engine>) -> tokio::task::JoinHandle<Result<PaymentAnswer, EngineError>> {
    let tenant = Arc::clone(&house.tenant);
    let command = House::channel("other", Some("payer"));
    tokio::spawn(async move { engine.invoke_payment(&tenant, &number("N-1"), command).await })
}

#[tokio::test]
async fn f12_an_order_that_wakes_late_in_another_channel_is_closed() {
    for answer in [Ok(()), Err(lost())] {
        let house = House::new();
        let what = format!("{answer:?}");
        house.script(|script| script.pay.push_back(answer));
        let (first, mut held) = (Arc::clone(&house.engine), house.hold("pay"));
        let tenant = Arc::clone(&house.tenant);
        let frozen = tokio::spawn(async move { first.create_payment(&tenant, order("N-1")).await });
        held.arrived().await;
        house.wait(LONG);
        let second = house.another_engine();
        invoked(&house, Arc::clone(&second)).await.unwrap().unwrap();
        let before = house.read("N-1").await;
        held.thaw();
        let error = frozen.await.unwrap().unwrap_err();
        assert!(matches!(error, EngineError::InvalidState(_)), "{what}: {error}");
        let after = house.read("N-1").await;
        assert_eq!((after.attempt, after.state), (before.attempt, before.state), "{what}");
        // The platform may have taken the order after it was told to close it.
        let closes = house.calls("close");
        second.run_due().await;
        assert_eq!(house.calls("close"), closes + 1, "{what}: {:?}", house.journal());
        let after = house.read("N-1").await;
        assert_eq!((after.others[0].state, after.state), (AttemptState::Closed, PaymentState::Pending), "{what}");
    }
}

#[tokio::test]
async fn f12_a_question_that_wakes_late_says_nothing_about_another_channel() {
    for stale in [OrderWord::Waiting, OrderWord::Closed, OrderWord::Missing] {
        let house = House::new();
        house.create("N-1").await;
        house.wait(Duration::from_secs(60));
        let what = format!("{stale:?}");
        house.script(|script| script.query.push_back(Ok(stale)));
        let (first, mut held) = (Arc::clone(&house.engine), house.hold("query"));
        let frozen = tokio::spawn(async move { first.run_due().await });
        held.arrived().await;
        house.wait(LONG);
        invoked(&house, house.another_engine()).await.unwrap().unwrap();
        let before = everything(&house).await;
        held.thaw();
        frozen.await.unwrap();
        assert_eq!(everything(&house).await, before, "{what}");
    }
}

#[tokio::test]
async fn f12_a_question_that_wakes_late_changes_nothing() {
    for stale in [Ok(OrderWord::Waiting), Ok(OrderWord::Closed), Ok(OrderWord::Missing), Ok(paid_word()), Err(lost())] {
        let house = House::new();
        house.create("N-1").await;
        house.wait(Duration::from_secs(60));
        let what = format!("{stale:?}");
        house.script(|script| script.query.extend([stale, Ok(paid_word())]));
        let mut held = house.hold("query");
        let first = Arc::clone(&house.engine);
        let frozen = tokio::spawn(async move { first.run_due().await });
        held.arrived().await;
        // Its lease is over, and another asks.
        house.wait(LONG);
        let second = house.another_engine();
        assert_eq!(second.run_due().await, 1);
        assert_eq!(house.read("N-1").await.state, PaymentState::Succeeded);
        house.script(|script| script.refund.push_back(Ok(RefundWord::Succeeded)));
        second.create_refund(&house.tenant, &number("N-1"), refund("R-1", 101)).await.unwrap();
        let mut before = everything(&house).await;
        held.thaw();
        frozen.await.unwrap();
        let after = everything(&house).await;
        // A write of the same record counts its version up and says nothing else.
        before.0.version = after.0.version;
        assert_eq!(after, before, "{what}");
        assert_eq!(house.count_events(EventKind::PaymentSucceeded).await, 1);
    }
}

#[tokio::test]
async fn f12_a_question_about_a_refund_that_wakes_late_sends_nothing_again() {
    let stale = [Ok(RefundWord::Missing), Ok(RefundWord::Processing), Ok(RefundWord::Closed), Err(lost())];
    for stale in stale {
        let what = format!("{stale:?}");
        let house = House::new();
        house.create("N-1").await;
        house.notify("paid N-1 101 app mch 42").await;
        house.script(|script| script.refund.push_back(Err(lost())));
        house.engine.create_refund(&house.tenant, &number("N-1"), refund("R-1", 101)).await.unwrap();
        house.wait(Duration::from_secs(6));
        house.script(|script| script.query_refund.extend([stale, Ok(RefundWord::Succeeded)]));
        let mut held = house.hold("query_refund");
        let first = Arc::clone(&house.engine);
        let frozen = tokio::spawn(async move { first.run_due().await });
        held.arrived().await;
        house.wait(LONG);
        assert_eq!(house.another_engine().run_due().await, 1);
        let before = everything(&house).await;
        assert_eq!((before.0.state, before.1[0].state), (PaymentState::Refunded, RefundState::Succeeded));
        held.thaw();
        frozen.await.unwrap();
        let mut after = everything(&house).await;
        after.0.version = before.0.version;
        after.1[0].version = before.1[0].version;
        after.1[0].platform_word.clone_from(&before.1[0].platform_word);
        assert_eq!(after, before, "{what}");
        assert_eq!(house.calls("refund"), 1, "{what}: sent again");
    }
}

#[tokio::test]
async fn f12_a_refund_that_wakes_late_changes_nothing() {
    for late in [Ok(RefundWord::Processing), Err(lost())] {
        let house = House::new();
        house.create("N-1").await;
        house.notify("paid N-1 101 app mch 42").await;
        let what = format!("{late:?}");
        house.script(|script| script.refund.push_back(late));
        let mut held = house.hold("refund");
        let (first, tenant) = (Arc::clone(&house.engine), Arc::clone(&house.tenant));
        let frozen =
            tokio::spawn(async move { first.create_refund(&tenant, &number("N-1"), refund("R-1", 101)).await });
        held.arrived().await;
        house.wait(LONG);
        house.script(|script| script.query_refund.push_back(Ok(RefundWord::Succeeded)));
        assert_eq!(house.another_engine().run_due().await, 1);
        let before = everything(&house).await;
        assert_eq!((before.0.state, before.1[0].state), (PaymentState::Refunded, RefundState::Succeeded));
        held.thaw();
        let _ = frozen.await.unwrap();
        let mut after = everything(&house).await;
        after.0.version = before.0.version;
        after.1[0].version = before.1[0].version;
        after.1[0].platform_word.clone_from(&before.1[0].platform_word);
        assert_eq!(after, before, "{what}");
    }
}
