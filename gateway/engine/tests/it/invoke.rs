//! One order, any channel, never paid twice.

use std::sync::Arc;
use std::time::Duration;

use dukou_domain::{AttemptState, Method, OutTradeNo, PaymentState};
use dukou_engine::records::EventKind;
use dukou_engine::{EngineError, InvokePayment, Payer};
use dukou_spi::{OrderWord, Reason, RefundWord};

use crate::support::{House, lost, order, paid, refused, unreachable};

fn states(payment: &dukou_engine::records::Payment) -> Vec<(u32, AttemptState)> {
    payment.attempts().iter().map(|attempt| (attempt.number, attempt.state)).collect()
}

#[tokio::test]
async fn a_payment_that_waited_for_its_payer_is_paid_under_its_own_number() {
    let house = House::new();
    let mut command = order("N-1");
    command.payer = None;
    house.engine.create_payment(&house.tenant, command).await.unwrap();
    let answer = house.invoke("N-1", "words", Some("payer")).await.unwrap();
    assert!(answer.invoke.is_some());
    assert_eq!(house.journal(), ["pay N-1 101"]);
    // Asked again: the same attempt, no second order.
    house.invoke("N-1", "words", None).await.unwrap();
    assert_eq!(house.calls("pay"), 1);
}

#[tokio::test]
async fn another_channel_first_closes_the_one_before() {
    let house = House::new();
    house.create("N-1").await;
    let answer = house.invoke("N-1", "other", Some("their-payer")).await.unwrap();
    assert!(answer.invoke.is_some());
    assert_eq!(house.journal(), ["pay N-1 101", "close N-1"]);
    let second = answer.payment.attempt.trade_no.clone();
    assert_eq!(house.other.script.lock().unwrap().journal, [format!("pay {second} 101")]);
    assert_eq!(states(&answer.payment), [(1, AttemptState::Closed), (2, AttemptState::Live)]);
    assert_eq!(house.notify_from("other", &format!("paid {second} 101 other-app other-mch 77")).await, "Accepted");
    let payment = house.read("N-1").await;
    assert_eq!((payment.state, payment.attempt.number), (PaymentState::Succeeded, 2));
    assert!(!payment.late);
}

/// The channel of a payment may have been changed by its buyer, of which the merchant's backend knows nothing.
#[tokio::test]
async fn the_same_create_again_is_answered_with_the_channel_that_is_live() {
    let house = House::new();
    house.create("N-1").await;
    house.invoke("N-1", "other", Some("their-payer")).await.unwrap();
    let again = house.engine.create_payment(&house.tenant, order("N-1")).await.unwrap();
    assert!(!again.created);
    assert_eq!(again.payment.attempt.provider.as_str(), "other");
    assert!(again.invoke.is_some());
    assert_eq!(house.calls("pay"), 1);
    let mut changed = order("N-1");
    changed.provider = dukou_domain::ProviderName::new("other").unwrap();
    let error = house.engine.create_payment(&house.tenant, changed).await.unwrap_err();
    assert!(matches!(error, EngineError::OutTradeNoConflict(ref why) if why == "provider is not the same"), "{error}");
}

/// At the platform, an attempt that bore another order's number would be that order.
#[tokio::test]
async fn no_attempt_has_the_number_of_another_order() {
    let house = House::new();
    house.create("N-1-2").await;
    house.create("N-1").await;
    let payment = house.invoke("N-1", "words", Some("another")).await.unwrap().payment;
    assert_eq!(states(&payment), [(1, AttemptState::Closed), (2, AttemptState::Live)]);
    assert_eq!(house.read("N-1-2").await.state, PaymentState::Pending);
    // Nor does it take the number of an order to come.
    house.invoke("N-1", "words", Some("a third")).await.unwrap();
    house.create("N-1-3").await;
    assert_eq!(house.read("N-1-3").await.state, PaymentState::Pending);
}

#[tokio::test]
async fn a_close_that_finds_it_paid_ends_in_success() {
    let house = House::new();
    house.create("N-1").await;
    house.script(|script| {
        script.close.push_back(Err(refused(Reason::AlreadyPaid, "ORDERPAID")));
        script.query.push_back(Ok(OrderWord::Paid(paid("N-1", 101, "app", "mch", "42"))));
    });
    let error = house.invoke("N-1", "other", Some("payer")).await.unwrap_err();
    assert!(matches!(error, EngineError::InvalidState(_)));
    assert_eq!(house.read("N-1").await.state, PaymentState::Succeeded);
    assert!(house.other.script.lock().unwrap().journal.is_empty());
}

/// The process may end, or the platform fail, between the intent to change the channel and its end.
#[tokio::test]
async fn a_change_of_channel_that_broke_off_leaves_nothing_payable_twice() {
    let house = House::new();
    house.create("N-1").await;
    house.script(|script| script.close.push_back(Err(lost())));
    house.invoke("N-1", "other", Some("payer")).await.unwrap_err();
    let payment = house.read("N-1").await;
    assert_eq!((payment.state, payment.attempt.state), (PaymentState::Pending, AttemptState::Closing));
    assert!(house.other.script.lock().unwrap().journal.is_empty());

    house.wait(Duration::from_secs(60));
    house.engine.run_due().await;
    let payment = house.read("N-1").await;
    assert_eq!((payment.state, payment.attempt.state), (PaymentState::Created, AttemptState::Closed));
    house.invoke("N-1", "other", Some("payer")).await.unwrap();
    assert_eq!(house.read("N-1").await.state, PaymentState::Pending);
}

/// A platform may refuse to close an order that was made just now, or be away.
#[tokio::test]
async fn an_attempt_that_was_certainly_not_closed_stays_payable() {
    for (answers, word) in [
        (vec![Err(refused(Reason::Other, "TRADE_STATE_ERROR"))], "refuses"),
        (vec![Err(unreachable()), Err(unreachable())], "cannot connect"),
    ] {
        let house = House::new();
        house.create("N-1").await;
        house.script(|script| script.close.extend(answers));
        let error = house.invoke("N-1", "other", Some("payer")).await.unwrap_err();
        assert!(matches!(&error, EngineError::Provider(_)) && error.to_string().contains(word), "{error}");
        let payment = house.read("N-1").await;
        assert_eq!((payment.state, states(&payment)), (PaymentState::Pending, vec![(1, AttemptState::Live)]), "{word}");
        assert!(payment.check.is_some(), "{word}");
        let answer = house.invoke("N-1", "words", None).await.unwrap();
        assert!(answer.invoke.is_some(), "{word}");
        assert_eq!(house.calls("pay"), 1, "{word}: the same order");
        let answer = house.invoke("N-1", "other", Some("payer")).await.unwrap();
        assert_eq!(states(&answer.payment), [(1, AttemptState::Closed), (2, AttemptState::Live)], "{word}");
    }
}

/// The first close may have been done all the same; that the second was not sent says nothing about it.
#[tokio::test]
async fn an_attempt_that_may_be_closed_stays_so_when_the_platform_is_away() {
    let house = House::new();
    house.create("N-1").await;
    house.script(|script| script.close.extend([Err(lost()), Err(unreachable()), Err(unreachable())]));
    for _ in 0..2 {
        house.invoke("N-1", "other", Some("payer")).await.unwrap_err();
        assert_eq!(house.read("N-1").await.attempt.state, AttemptState::Closing);
    }
    assert_eq!(house.calls("close"), 3);
}

#[tokio::test]
async fn a_second_success_is_given_back_and_raised() {
    let house = House::new();
    house.create("N-1").await;
    let second = house.invoke("N-1", "other", Some("payer")).await.unwrap().payment.attempt.trade_no;
    assert_eq!(house.notify_from("other", &format!("paid {second} 101 other-app other-mch 77")).await, "Accepted");
    // The closed one turns out to be paid too.
    assert_eq!(house.notify("paid N-1 101 app mch 42").await, "Accepted");
    assert_eq!(house.notify("paid N-1 101 app mch 42").await, "Accepted");
    assert_eq!(house.count_events(EventKind::PaymentDuplicate).await, 1);
    house.script(|script| {
        script.query_refund.push_back(Ok(RefundWord::Missing));
        script.refund.push_back(Ok(RefundWord::Succeeded));
    });
    house.engine.run_due().await;
    assert_eq!(house.calls("refund"), 1);
    let payment = house.read("N-1").await;
    assert_eq!(
        (payment.state, payment.refunded.minor()),
        (PaymentState::Succeeded, 0),
        "the sums are the payment's own"
    );
    assert_eq!(house.count_events(EventKind::PaymentSucceeded).await, 1);
}

#[tokio::test]
async fn a_success_of_the_given_up_attempt_closes_the_live_one() {
    let house = House::new();
    house.create("N-1").await;
    let second = house.invoke("N-1", "other", Some("payer")).await.unwrap().payment.attempt.trade_no;
    assert_eq!(house.notify("paid N-1 101 app mch 42").await, "Accepted");
    let payment = house.read("N-1").await;
    assert_eq!((payment.state, payment.attempt.number), (PaymentState::Succeeded, 1));
    assert_eq!(states(&payment), [(1, AttemptState::Paid), (2, AttemptState::Closing)]);
    house.engine.run_due().await;
    let journal = house.other.script.lock().unwrap().journal.clone();
    assert_eq!(journal, [format!("pay {second} 101"), format!("close {second}")]);
    let payment = house.read("N-1").await;
    assert_eq!(states(&payment), [(1, AttemptState::Paid), (2, AttemptState::Closed)]);
    assert!(payment.check.is_none());
}

/// A buyer who changes the channel again and again makes neither the payment nor its events longer without end.
#[tokio::test]
async fn a_payment_has_so_many_attempts_and_then_keeps_its_last() {
    let house = House::new();
    house.create("N-1").await;
    let channel = |number: usize| if number.is_multiple_of(2) { "other" } else { "words" };
    for number in 2..=20 {
        house.invoke("N-1", channel(number), Some("payer")).await.unwrap();
    }
    let error = house.invoke("N-1", channel(21), Some("payer")).await.unwrap_err();
    assert!(matches!(&error, EngineError::InvalidState(why) if why.contains("20 ways")), "{error}");
    let payment = house.read("N-1").await;
    assert_eq!((payment.attempts().len(), payment.attempt.state), (20, AttemptState::Live));
    let answer = house.invoke("N-1", channel(20), Some("payer")).await.unwrap();
    assert!(answer.invoke.is_some(), "the last one can be paid");
}

#[tokio::test]
async fn at_once_through_two_channels_leaves_one_live_attempt() {
    let house = Arc::new(House::new());
    house.create("N-1").await;
    let tasks: Vec<_> = (0..20)
        .map(|index| {
            let house = Arc::clone(&house);
            let provider = if index % 2 == 0 { "words" } else { "other" };
            tokio::spawn(async move { house.invoke("N-1", provider, Some("payer")).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let payment = house.read("N-1").await;
    let live = payment.attempts().iter().filter(|attempt| attempt.state == AttemptState::Live).count();
    assert_eq!(live, 1);
    let closed = house.calls("close")
        + house.other.script.lock().unwrap().journal.iter().filter(|entry| entry.starts_with("close")).count();
    assert_eq!(closed, payment.others.len(), "each attempt that gave way was closed at its platform");
}

#[tokio::test]
async fn a_refused_attempt_is_no_end() {
    let house = House::new();
    house.script(|script| script.pay.push_back(Err(refused(Reason::Configuration, "NOAUTH"))));
    house.engine.create_payment(&house.tenant, order("N-1")).await.unwrap_err();
    assert_eq!(house.read("N-1").await.state, PaymentState::Failed);
    let answer = house.invoke("N-1", "other", Some("payer")).await.unwrap();
    assert_eq!(states(&answer.payment), [(1, AttemptState::Failed), (2, AttemptState::Live)]);
}

#[tokio::test]
async fn what_is_over_or_somebody_elses_cannot_be_invoked() {
    let house = House::new();
    let number = OutTradeNo::new("N-1").unwrap();
    house.create("N-1").await;
    let command = InvokePayment {
        provider: dukou_domain::ProviderName::new("words").unwrap(),
        method: Method::Jsapi,
        payer: Some(Payer::OpenId("stranger".to_owned())),
        client_ip: None,
        buyer: Some("stranger".to_owned()),
    };
    let answer = house.engine.invoke_payment(&house.tenant, &number, command).await;
    assert!(matches!(answer, Err(EngineError::NotFound)));
    house.engine.close_payment(&house.tenant, &number).await.unwrap();
    assert!(matches!(house.invoke("N-1", "other", Some("payer")).await, Err(EngineError::InvalidState(_))));
    house.create("N-2").await;
    house.wait(Duration::from_secs(7200));
    assert!(matches!(house.invoke("N-2", "other", Some("payer")).await, Err(EngineError::InvalidState(_))));
}

/// A platform refuses an order that ends at once, or lets it live on beyond the payment's end.
#[tokio::test]
async fn an_order_is_sent_only_while_its_payer_has_time_to_pay() {
    const LIFE: u64 = 7200;
    let house = House::new();
    let over = |error: &EngineError| matches!(error, EngineError::InvalidState(why) if why.contains("time is over"));
    house.create("LIVE").await;
    let mut waiting = order("WAITING");
    waiting.payer = None;
    house.engine.create_payment(&house.tenant, waiting).await.unwrap();
    house.script(|script| script.pay.extend((0..4).map(|_| Err(unreachable()))));
    for number in ["NOT-SENT", "LAST"] {
        house.engine.create_payment(&house.tenant, order(number)).await.unwrap_err();
    }

    house.wait(Duration::from_secs(LIFE - 60));
    let last = house.engine.create_payment(&house.tenant, order("LAST")).await.unwrap();
    assert!(last.invoke.is_some(), "a minute is enough");
    house.wait(Duration::from_secs(1));
    let sent = house.calls("pay");
    // What needs no order is signed to the end.
    assert!(house.invoke("LIVE", "words", None).await.unwrap().invoke.is_some());
    // Nor is what can be paid given up for what cannot be sent.
    assert!(over(&house.invoke("LIVE", "other", Some("payer")).await.unwrap_err()));
    assert_eq!(states(&house.read("LIVE").await), [(1, AttemptState::Live)]);
    assert!(over(&house.invoke("WAITING", "words", Some("payer")).await.unwrap_err()));
    assert_eq!(house.read("WAITING").await.attempt.openid, None);
    assert!(over(&house.invoke("NOT-SENT", "words", None).await.unwrap_err()));
    let again = house.engine.create_payment(&house.tenant, order("NOT-SENT")).await.unwrap();
    assert!((again.created, again.invoke.is_none()) == (false, true), "as when its time is over");
    assert_eq!((house.calls("pay"), house.calls("close"), house.calls("login")), (sent, 0, 0));
    assert!(house.other.script.lock().unwrap().journal.is_empty());
}

/// The address that a payment began with may be the backend's own.
#[tokio::test]
async fn the_address_that_was_named_last_is_the_payments() {
    let house = House::new();
    let number = OutTradeNo::new("N-1").unwrap();
    house.create("N-1").await;
    let way = |method, client_ip: Option<&str>| {
        let client_ip = client_ip.map(|text| text.parse().unwrap());
        InvokePayment { method, client_ip, ..House::channel("words", None) }
    };
    let invoke = async |way| house.engine.invoke_payment(&house.tenant, &number, way).await;
    for (way, attempts, address) in [
        (way(Method::H5, Some("203.0.113.77")), 2, "203.0.113.77"),
        // The same again, and once more with a way in between.
        (way(Method::H5, None), 2, "203.0.113.77"),
        (way(Method::H5, Some("198.51.100.1")), 2, "203.0.113.77"),
        (way(Method::Native, None), 3, "203.0.113.77"),
        (way(Method::H5, None), 4, "203.0.113.77"),
        (way(Method::Native, Some("2001:db8::7")), 5, "2001:db8::7"),
    ] {
        let payment = invoke(way).await.unwrap().payment;
        assert_eq!((payment.attempts().len(), payment.client_ip.to_string()), (attempts, address.to_owned()));
        assert_eq!(house.read("N-1").await.client_ip, payment.client_ip, "kept");
    }
}

#[tokio::test]
async fn one_whose_order_was_not_sent_can_be_paid_another_way() {
    let house = House::new();
    house.script(|script| script.pay.extend([Err(unreachable()), Err(unreachable())]));
    house.engine.create_payment(&house.tenant, order("N-1")).await.unwrap_err();
    assert_eq!(house.read("N-1").await.state, PaymentState::Created);
    let answer = house.invoke("N-1", "other", Some("payer")).await.unwrap();
    assert!(answer.invoke.is_some());
    // It may have been sent all the same, so it is closed there first.
    assert_eq!(house.calls("close"), 1);
    let payment = house.read("N-1").await;
    assert_eq!((payment.state, payment.attempt.provider.as_str()), (PaymentState::Pending, "other"));
    assert_eq!(payment.others[0].state, AttemptState::Closed);
}

#[tokio::test]
async fn an_attempt_whose_payment_contradicts_the_record_is_not_given_up() {
    let house = House::new();
    house.create("N-1").await;
    house.script(|script| {
        script.close.push_back(Err(refused(Reason::AlreadyPaid, "ORDERPAID")));
        script.query.push_back(Ok(OrderWord::Paid(paid("N-1", 999, "app", "mch", "42"))));
    });
    let error = house.invoke("N-1", "other", Some("their-payer")).await.unwrap_err();
    let EngineError::InvalidState(why) = error else { panic!("{error}") };
    assert!(why.contains("contradicts the record"), "{why}");
    assert_eq!(states(&house.read("N-1").await), [(1, AttemptState::Live)]);
    assert_eq!(house.count_events(EventKind::PaymentMismatch).await, 1);
}
