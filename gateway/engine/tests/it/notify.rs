//! What the platform tells, and what becomes of it.

use std::sync::Arc;

use dukou_domain::{OutRefundNo, OutTradeNo, PaymentState, RefundState};
use dukou_engine::records::EventKind;
use dukou_engine::tenant::{LatePayment, Tenant};
use dukou_spi::{NotifyKind, OrderWord, RawNotify, RefundWord};

use crate::support::{House, order, paid, refund};

const PAID: &str = "paid N-1 101 app mch 42";

#[tokio::test]
async fn a_success_is_entered_once() {
    let house = House::new();
    house.create("N-1").await;
    for _ in 0..3 {
        assert_eq!(house.notify(PAID).await, "Accepted");
    }
    let payment = house.read("N-1").await;
    assert_eq!(payment.state, PaymentState::Succeeded);
    assert_eq!(payment.transaction_id.unwrap().as_str(), "42");
    assert_eq!(house.count_events(EventKind::PaymentSucceeded).await, 1);
    let counts = house.counts.0.lock().unwrap();
    assert_eq!((counts["notify applied"], counts["notify duplicate"]), (1, 2));
}

/// By which the message is found in the log, in the merchant's words also where the store was not asked.
#[tokio::test]
async fn the_answer_comes_with_the_payments_number() {
    let house = House::with_prefix("s1");
    let trade_no = house.create("N-1").await.attempt.trade_no;
    assert_ne!(trade_no.as_str(), "N-1");
    let paid = format!("paid {trade_no} 101 app mch 42");
    for (times, (kind, words, number)) in [
        (2, (NotifyKind::Payment, paid, Some("N-1"))),
        (1, (NotifyKind::Payment, "paid s1N-7 101 app mch 43".to_owned(), Some("N-7"))),
        (1, (NotifyKind::Payment, "forged".to_owned(), None)),
        (2, (NotifyKind::Refund, format!("signed-refund X-9 {trade_no} 50 mch SUCCESS"), Some("N-1"))),
        (1, (NotifyKind::Refund, "refund R-7 SUCCESS".to_owned(), None)),
    ] {
        for time in 0..times {
            let raw = RawNotify { kind, headers: Vec::new(), body: words.clone().into() };
            let told = house.engine.notify("shop", "words", raw).await.unwrap();
            assert_eq!(told.number.as_deref(), number, "{words}, {time}");
        }
    }
}

#[tokio::test]
async fn two_hundred_copies_at_once_have_one_effect() {
    let house = Arc::new(House::new());
    house.create("N-1").await;
    let copies: Vec<_> = (0..200)
        .map(|_| {
            let house = Arc::clone(&house);
            tokio::spawn(async move { house.notify(PAID).await })
        })
        .collect();
    for copy in copies {
        assert_eq!(copy.await.unwrap(), "Accepted");
    }
    assert_eq!(house.count_events(EventKind::PaymentSucceeded).await, 1);
    let counts = house.counts.0.lock().unwrap();
    assert_eq!((counts["notify applied"], counts["notify duplicate"]), (1, 199));
}

/// Each thing the core compares: the verdict, and that the payment stays as it was.
#[tokio::test]
async fn a_contradiction_is_kept_and_raised_and_changes_nothing() {
    for words in [
        "paid N-1 100 app mch 42",
        "paid N-1 101 other mch 42",
        "paid N-1 101 app other 42",
        "failed N-1 other mch",
        "failed N-1 app other",
    ] {
        let house = House::new();
        house.create("N-1").await;
        assert_eq!(house.notify(words).await, "Accepted", "{words}");
        assert_eq!(house.notify(words).await, "Accepted", "{words}");
        assert_eq!(house.read("N-1").await.state, PaymentState::Pending, "{words}");
        assert_eq!(house.count_events(EventKind::PaymentMismatch).await, 1, "{words}");
        // The genuine message still counts.
        assert_eq!(house.notify(PAID).await, "Accepted");
        assert_eq!(house.read("N-1").await.state, PaymentState::Succeeded);
    }
}

#[tokio::test]
async fn an_unknown_order_is_raised_once_and_asked_for_again_until_it_is_known() {
    let house = House::new();
    assert_eq!(house.notify(PAID).await, "TryAgain");
    assert_eq!(house.notify(PAID).await, "TryAgain");
    assert_eq!(house.count_events(EventKind::PaymentUnknownOrder).await, 1);
    house.create("N-1").await;
    assert_eq!(house.notify(PAID).await, "Accepted");
    assert_eq!(house.read("N-1").await.state, PaymentState::Succeeded);
}

#[tokio::test]
async fn a_failed_try_leaves_the_payment_payable() {
    let house = House::new();
    house.create("N-1").await;
    assert_eq!(house.notify("failed N-1 app mch").await, "Accepted");
    assert_eq!(house.read("N-1").await.state, PaymentState::Pending);
    assert_eq!(house.notify(PAID).await, "Accepted");
    assert_eq!(house.read("N-1").await.state, PaymentState::Succeeded);
}

#[tokio::test]
async fn what_cannot_be_believed_is_rejected_and_a_panic_stays_inside() {
    let house = House::new();
    house.create("N-1").await;
    assert_eq!(house.notify("forged").await, "Rejected");
    assert_eq!(house.notify("unknown-key first").await, "Rejected");
    assert_eq!(house.notify("unknown-key again").await, "Rejected");
    assert_eq!(house.notify("gibberish").await, "Rejected");
    assert_eq!(house.notify("panic").await, "TryAgain");
    assert_eq!(house.read("N-1").await.state, PaymentState::Pending);
    assert_eq!(house.notify(PAID).await, "Accepted");
}

#[tokio::test]
async fn a_success_before_the_creates_answer_is_not_taken_back() {
    let house = House::new();
    house.script(|script| script.pay.push_back(Err(crate::support::lost())));
    house.engine.create_payment(&house.tenant, order("N-1")).await.unwrap_err();
    assert_eq!(house.notify(PAID).await, "Accepted");
    let answer = house.engine.create_payment(&house.tenant, order("N-1")).await.unwrap();
    assert_eq!(answer.payment.state, PaymentState::Succeeded);
    assert_eq!(house.calls("pay"), 1);
}

#[tokio::test]
async fn a_late_success_is_accepted_or_given_back() {
    for policy in [LatePayment::Accept, LatePayment::Refund] {
        let house = House::with(policy);
        let payment = house.create("N-1").await;
        house.engine.close_payment(&house.tenant, &payment.out_trade_no).await.unwrap();
        assert_eq!(house.notify(PAID).await, "Accepted");
        let payment = house.read("N-1").await;
        assert!(payment.late && payment.state == PaymentState::Succeeded);
        let words = house.event_words().await;
        let tail = words.iter().skip_while(|word| **word != "payment.closed").skip(1).copied().collect::<Vec<_>>();
        match policy {
            LatePayment::Accept => assert_eq!(tail, ["payment.late", "payment.succeeded"]),
            LatePayment::Refund => {
                assert_eq!(tail, ["payment.late", "refund.created"]);
                house.script(|script| {
                    script.query_refund.push_back(Ok(RefundWord::Missing));
                    script.refund.push_back(Ok(RefundWord::Succeeded));
                });
                house.engine.run_due().await;
                assert_eq!(house.read("N-1").await.state, PaymentState::Refunded);
            }
        }
    }
}

#[tokio::test]
async fn a_refunds_message_counts_only_when_the_platform_confirms_it() {
    let house = House::new();
    let payment = house.create("N-1").await;
    house.notify(PAID).await;
    house.engine.create_refund(&house.tenant, &payment.out_trade_no, refund("R-1", 50)).await.unwrap();

    // The platform, asked, still works on it: the message is not believed.
    assert_eq!(house.notify("refund R-1 SUCCESS").await, "TryAgain");
    let number = refund("R-1", 50).out_refund_no;
    let state = house.engine.refund(&house.tenant, &number, false).await.unwrap().state;
    assert_eq!(state, RefundState::Processing);

    house.script(|script| script.query_refund.push_back(Ok(RefundWord::Succeeded)));
    assert_eq!(house.notify("refund R-1 SUCCESS").await, "Accepted");
    let asked = house.calls("query_refund");
    assert_eq!(house.notify("refund R-1 SUCCESS").await, "Accepted");
    assert_eq!(house.calls("query_refund"), asked, "a known duplicate asks nobody");
    assert_eq!(house.read("N-1").await.state, PaymentState::PartiallyRefunded);
    assert_eq!(house.notify("refund R-9 SUCCESS").await, "TryAgain");
}

#[tokio::test]
async fn a_signed_message_about_a_refund_counts_by_itself_and_once() {
    let house = House::new();
    let payment = house.create("N-1").await;
    house.notify(PAID).await;
    house.engine.create_refund(&house.tenant, &payment.out_trade_no, refund("R-1", 50)).await.unwrap();
    for _ in 0..3 {
        assert_eq!(house.notify("signed-refund R-1 N-1 50 mch SUCCESS").await, "Accepted");
    }
    assert_eq!(house.calls("query_refund"), 0, "what is signed needs no question");
    assert_eq!(house.read("N-1").await.state, PaymentState::PartiallyRefunded);
    let words = house.event_words().await;
    assert_eq!(words.iter().filter(|word| **word == "refund.succeeded").count(), 1, "{words:?}");
    // What comes late says nothing about what has ended.
    assert_eq!(house.notify("signed-refund R-1 N-1 50 mch ABNORMAL").await, "Accepted");
    assert_eq!(house.read("N-1").await.state, PaymentState::PartiallyRefunded);
}

#[tokio::test]
async fn a_signed_refund_that_contradicts_the_record_changes_nothing() {
    let house = House::new();
    let payment = house.create("N-1").await;
    house.notify(PAID).await;
    house.engine.create_refund(&house.tenant, &payment.out_trade_no, refund("R-1", 50)).await.unwrap();
    let contradicting = [
        "R-1 N-1 51 mch SUCCESS",
        "R-1 N-1 50 other SUCCESS",
        "R-1 N-2 50 mch SUCCESS",
        "R-1 N-1 50 mch SUCCESS 100",
        "R-1 N-1 50 mch SUCCESS 101 43",
    ];
    for (count, said) in contradicting.iter().enumerate() {
        for _ in 0..2 {
            assert_eq!(house.notify(&format!("signed-refund {said}")).await, "Accepted");
        }
        let words = house.event_words().await;
        assert_eq!(words.iter().filter(|word| **word == "payment.mismatch").count(), count + 1, "{said}: {words:?}");
        assert_eq!(house.read("N-1").await.state, PaymentState::Succeeded, "{said}");
    }
    assert_eq!(house.notify("signed-refund R-1 N-1 50 mch SUCCESS 101 42").await, "Accepted");
    assert_eq!(house.read("N-1").await.state, PaymentState::PartiallyRefunded);
}

#[tokio::test]
async fn a_probe_is_refused_and_counted_apart() {
    let house = House::new();
    assert_eq!(house.notify("probe").await, "Rejected");
    let counts = house.counts.0.lock().unwrap();
    assert_eq!((counts["notify bad_signature"], counts["probe"]), (1, 1));
}

#[tokio::test]
async fn a_signed_message_that_came_before_its_refund_was_known_counts_when_it_comes_again() {
    let house = House::new();
    let message = "signed-refund R-1 N-1 40 mch SUCCESS";
    assert_eq!(house.notify(message).await, "TryAgain");
    house.create("N-1").await;
    house.notify("paid N-1 101 app mch 42").await;
    let number = OutTradeNo::new("N-1").unwrap();
    house.engine.create_refund(&house.tenant, &number, refund("R-1", 40)).await.unwrap();
    for _ in 0..2 {
        assert_eq!(house.notify(message).await, "Accepted");
        assert_eq!(house.read("N-1").await.refunded.minor(), 40);
    }
    assert_eq!(house.count_events(EventKind::RefundSucceeded).await, 1);
}

#[tokio::test]
async fn a_refund_is_known_by_its_number_after_the_prefix_was_changed() {
    let house = House::with_prefix("old_");
    house.create("N-1").await;
    assert_eq!(house.notify("paid old_N-1 101 app mch 42").await, "Accepted");
    let number = OutTradeNo::new("N-1").unwrap();
    for (name, fen) in [("R-1", 40), ("R-2", 10)] {
        house.engine.create_refund(&house.tenant, &number, refund(name, fen)).await.unwrap();
    }
    let mut now = Tenant::clone(&house.tenant);
    now.trade_no_prefix = "new_".to_owned();
    let now = Arc::new(now);
    let engine = house.engine_of(&[&now], &[&now]);
    house.script(|script| script.query_refund.push_back(Ok(RefundWord::Succeeded)));
    for (words, name) in
        [("signed-refund old_R-1 old_N-1 40 mch SUCCESS", "R-1"), ("refund old_R-2 SUCCESS old_N-1", "R-2")]
    {
        let raw = RawNotify { kind: NotifyKind::Refund, headers: Vec::new(), body: words.into() };
        let reply = engine.notify("shop", "words", raw).await.unwrap().reply;
        assert_eq!(&reply.body[..], b"Accepted", "{words}");
        let refund = engine.refund(&now, &OutRefundNo::new(name).unwrap(), false).await.unwrap();
        assert_eq!(refund.state, RefundState::Succeeded, "{words}");
    }
    assert_eq!(house.count_events(EventKind::PaymentUnknownOrder).await, 0);
}

#[tokio::test]
async fn a_refund_that_the_gateway_makes_is_counted() {
    for asked in [false, true] {
        let house = House::with(LatePayment::Refund);
        house.create("N-1").await;
        let number = OutTradeNo::new("N-1").unwrap();
        house.engine.close_payment(&house.tenant, &number).await.unwrap();
        if asked {
            house.script(|script| script.query.push_back(Ok(OrderWord::Paid(paid("N-1", 101, "app", "mch", "42")))));
            house.engine.payment(&house.tenant, &number, true).await.unwrap();
        } else {
            house.notify(PAID).await;
        }
        assert_eq!(house.counts.0.lock().unwrap().get("refund created"), Some(&1), "asked: {asked}");
    }
}

#[tokio::test]
async fn a_message_that_was_not_taken_in_is_refused_in_the_platforms_form_and_counted() {
    let house = House::new();
    let refuse = |tenant: &str, provider: &str| {
        house.engine.refuse_notify(tenant, provider, NotifyKind::Payment, "the body is larger than 65536 bytes")
    };
    assert_eq!(refuse("shop", "words").unwrap().body, "Rejected");
    assert!(refuse("shop", "nothing").is_none() && refuse("nobody", "words").is_none());
    assert_eq!(house.counts.0.lock().unwrap()["notify malformed"], 1);
}
