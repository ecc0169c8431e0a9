//! Attempts that gave way and are still to be closed at their platforms, beside what else is asked about their payment.

use std::sync::Arc;
use std::time::Duration;

use dukou_domain::{AttemptState, OutTradeNo, PaymentState};
use dukou_engine::records::{EventKind, Payment};
use dukou_engine::{Engine, EngineError, PaymentAnswer};
use dukou_spi::{OrderWord, ProviderError, Reason};
use tokio::task::JoinHandle;

use crate::support::{Held, House, lost, order, paid, refused};

const MINUTE: Duration = Duration::from_secs(60);
/// Longer than any lease.
const LONG: Duration = Duration::from_secs(125);

fn number() -> OutTradeNo {
    OutTradeNo::new("N-1").unwrap()
}

/// In the order in which they were made.
fn states(payment: &Payment) -> Vec<AttemptState> {
    payment.attempts().iter().map(|attempt| attempt.state).collect()
}

/// A create that is stopped while the platform answers it, for longer than its locks live; and who goes on meanwhile.
async fn frozen_create(house: &House) -> (Held, JoinHandle<Result<PaymentAnswer, EngineError>>, Arc<Engine>) {
    let (first, mut held) = (Arc::clone(&house.engine), house.hold("pay"));
    let tenant = Arc::clone(&house.tenant);
    let frozen = tokio::spawn(async move { first.create_payment(&tenant, order("N-1")).await });
    held.arrived().await;
    house.wait(LONG);
    (held, frozen, house.another_engine())
}

/// A payment with a live attempt at the other platform, whose first one was taken by its platform after it had been
/// closed there, and is to be closed again. Answers the live one's number.
async fn one_to_close() -> (House, Arc<Engine>, String) {
    let house = House::new();
    let (held, frozen, second) = frozen_create(&house).await;
    let answer = second.invoke_payment(&house.tenant, &number(), House::channel("other", Some("payer"))).await.unwrap();
    held.thaw();
    frozen.await.unwrap().unwrap_err();
    let payment = house.read("N-1").await;
    assert_eq!(
        (payment.state, states(&payment)),
        (PaymentState::Pending, vec![AttemptState::Closing, AttemptState::Live])
    );
    (house, second, answer.payment.attempt.trade_no.to_string())
}

fn close_fails(house: &House, with: &dyn Fn() -> ProviderError) {
    house.script(|script| script.close.extend((0..1_000).map(|_| Err(with()))));
}

fn paid_there(house: &House, trade_no: &str) {
    let word = OrderWord::Paid(paid(trade_no, 101, "other-app", "other-mch", "77"));
    house.other.script.lock().unwrap().query.push_back(Ok(word));
}

#[tokio::test]
async fn a_payment_is_asked_about_while_one_that_gave_way_cannot_be_closed() {
    let refuses: &dyn Fn() -> ProviderError = &|| refused(Reason::Other, "SYSTEMERROR");
    for with in [refuses, &|| refused(Reason::AlreadyPaid, "ORDERPAID")] {
        let (house, engine, live) = one_to_close().await;
        close_fails(&house, with);
        paid_there(&house, &live);
        engine.run_due().await;
        let payment = house.read("N-1").await;
        assert_eq!(payment.state, PaymentState::Succeeded, "{:?}", with());
        assert_eq!(states(&payment), [AttemptState::Closing, AttemptState::Paid], "{:?}", with());
        // It is closed when the platform does so again.
        house.script(|script| script.close.clear());
        for _ in 0..2 {
            house.wait(MINUTE);
            engine.run_due().await;
        }
        let payment = house.read("N-1").await;
        assert_eq!((states(&payment)[0], payment.check), (AttemptState::Closed, None), "{:?}", with());
    }
}

#[tokio::test]
async fn a_payment_is_asked_about_where_the_provider_of_one_that_gave_way_is_gone() {
    let (house, _, live) = one_to_close().await;
    let tenant = house.without_words();
    paid_there(&house, &live);
    house.engine_of(&[&tenant], &[&tenant]).run_due().await;
    assert_eq!(house.read("N-1").await.state, PaymentState::Succeeded);
}

#[tokio::test]
async fn a_payment_ends_at_its_time_while_one_that_gave_way_cannot_be_closed() {
    let (house, engine, live) = one_to_close().await;
    close_fails(&house, &lost);
    for _ in 0..125 {
        house.wait(MINUTE);
        engine.run_due().await;
    }
    let payment = house.read("N-1").await;
    assert_eq!(
        (payment.state, states(&payment)),
        (PaymentState::Closed, vec![AttemptState::Closing, AttemptState::Closed])
    );
    let journal = house.other.script.lock().unwrap().journal.clone();
    assert!(journal.contains(&format!("close {live}")), "{journal:?}");
    assert!(house.calls("close") < 20, "ever more slowly: {}", house.calls("close"));
}

#[tokio::test]
async fn a_change_of_channel_that_cannot_be_ended_is_asked_about_too() {
    let house = House::new();
    house.create("N-1").await;
    close_fails(&house, &lost);
    house.invoke("N-1", "other", Some("payer")).await.unwrap_err();
    for _ in 0..60 {
        house.wait(MINUTE);
        house.engine.run_due().await;
    }
    let payment = house.read("N-1").await;
    assert_eq!((payment.state, states(&payment)), (PaymentState::Pending, vec![AttemptState::Closing]));
    assert!((5..20).contains(&house.calls("close")), "ever more slowly: {}", house.calls("close"));
    house.script(|script| script.query.push_back(Ok(OrderWord::Paid(paid("N-1", 101, "app", "mch", "42")))));
    house.wait(60 * MINUTE);
    house.engine.run_due().await;
    assert_eq!(house.read("N-1").await.state, PaymentState::Succeeded);
}

#[tokio::test]
async fn each_that_gave_way_is_closed_whatever_becomes_of_another() {
    let house = House::new();
    let (held, frozen, second) = frozen_create(&house).await;
    let mut held_there = house.other.hold_next("pay");
    let (tenant, engine) = (Arc::clone(&house.tenant), Arc::clone(&second));
    let frozen_there =
        tokio::spawn(
            async move { engine.invoke_payment(&tenant, &number(), House::channel("other", Some("payer"))).await },
        );
    held_there.arrived().await;
    house.wait(LONG);
    let third = house.another_engine();
    third.invoke_payment(&house.tenant, &number(), House::channel("words", Some("another"))).await.unwrap();
    held.thaw();
    held_there.thaw();
    frozen.await.unwrap().unwrap_err();
    frozen_there.await.unwrap().unwrap_err();
    let (closing, closed, live) = (AttemptState::Closing, AttemptState::Closed, AttemptState::Live);
    assert_eq!(states(&house.read("N-1").await), [closing, closing, live]);
    close_fails(&house, &lost);
    third.run_due().await;
    assert_eq!(states(&house.read("N-1").await), [closing, closed, live]);
}

#[tokio::test]
async fn a_payment_that_was_paid_twice_is_asked_about_no_more() {
    for told in [true, false] {
        let (house, engine, live) = one_to_close().await;
        let success = format!("paid {live} 101 other-app other-mch 77");
        assert_eq!(house.notify_from("other", &success).await, "Accepted");
        if told {
            assert_eq!(house.notify("paid N-1 101 app mch 42").await, "Accepted");
        } else {
            close_fails(&house, &|| refused(Reason::AlreadyPaid, "ORDERPAID"));
            house.script(|script| script.query.push_back(Ok(OrderWord::Paid(paid("N-1", 101, "app", "mch", "42")))));
            engine.run_due().await;
        }
        let payment = house.read("N-1").await;
        assert_eq!(house.count_events(EventKind::PaymentDuplicate).await, 1, "{told}");
        assert_eq!((states(&payment), payment.check), (vec![AttemptState::Paid; 2], None), "{told}");
    }
}

#[tokio::test]
async fn one_that_gave_way_to_a_closed_payments_last_is_closed_in_the_end_and_then_left_alone() {
    let (house, engine, _) = one_to_close().await;
    engine.close_payment(&house.tenant, &number()).await.unwrap();
    close_fails(&house, &lost);
    house.wait(MINUTE);
    engine.run_due().await;
    let tried = house.calls("close");
    assert_eq!(states(&house.read("N-1").await), [AttemptState::Closing, AttemptState::Closed]);
    house.script(|script| script.close.clear());
    house.wait(MINUTE);
    engine.run_due().await;
    let payment = house.read("N-1").await;
    assert_eq!((house.calls("close"), states(&payment)), (tried + 1, vec![AttemptState::Closed; 2]));
    assert_eq!((payment.state, payment.check), (PaymentState::Closed, None));
}

/// The close finds no order yet; the platform has one when it has told so.
#[tokio::test]
async fn an_order_that_comes_after_its_payment_was_closed_is_closed_too() {
    for answer in [Ok(()), Err(lost())] {
        let house = House::new();
        let what = format!("{answer:?}");
        house.script(|script| script.pay.push_back(answer));
        let (held, frozen, second) = frozen_create(&house).await;
        second.close_payment(&house.tenant, &number()).await.unwrap();
        let closes = house.calls("close");
        held.thaw();
        if let Ok(answer) = frozen.await.unwrap() {
            assert_eq!((answer.payment.state, answer.invoke), (PaymentState::Closed, None), "{what}");
        }
        // The platform is away for a moment.
        house.script(|script| script.close.push_back(Err(lost())));
        second.run_due().await;
        assert_eq!(states(&house.read("N-1").await), [AttemptState::Closing], "{what}");
        house.wait(MINUTE);
        second.run_due().await;
        let payment = house.read("N-1").await;
        assert_eq!((payment.state, states(&payment)), (PaymentState::Closed, vec![AttemptState::Closed]), "{what}");
        assert_eq!((house.calls("close"), payment.check), (closes + 2, None), "{what}");
        assert_eq!(house.count_events(EventKind::PaymentClosed).await, 1, "{what}");
    }
}
