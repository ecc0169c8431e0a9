//! Refunds of a known order that nobody here made: somebody did, on the merchant platform.

use std::time::Duration;

use bytes::Bytes;
use dukou_domain::{PaymentState, RefundState};
use dukou_engine::records::{EventKind, Subject};
use dukou_spi::{NotifyKind, RawNotify, RefundWord};

use crate::refund::paid_house;
use crate::support::{House, lost, refund};

/// What was raised: field, record and word of each difference.
async fn raised(house: &House) -> Vec<Vec<(String, String, String)>> {
    let events = house.events().await;
    let found = events.into_iter().filter_map(|event| match event.event.subject {
        Subject::Mismatch { differences, payment } => {
            assert_eq!(payment.out_trade_no.as_str(), "N-1");
            Some(differences.into_iter().map(|found| (found.field, found.recorded, found.received)).collect())
        }
        _ => None,
    });
    found.collect()
}

fn owned(found: &[(&str, &str, &str)]) -> Vec<(String, String, String)> {
    found.iter().map(|(field, recorded, received)| ((*field).into(), (*recorded).into(), (*received).into())).collect()
}

/// A second instance, whose coordinator knows of no copy.
async fn copy(house: &House, words: &str) -> Bytes {
    let raw = RawNotify { kind: NotifyKind::Refund, headers: Vec::new(), body: words.to_owned().into() };
    house.another_engine().notify("shop", "words", raw).await.unwrap().reply.body
}

#[tokio::test]
async fn a_signed_message_about_one_is_kept_and_raised_once() {
    let house = paid_house().await;
    let words = "signed-refund X-9 N-1 50 mch SUCCESS";
    assert_eq!(house.notify(words).await, "Accepted");
    assert_eq!(house.notify(words).await, "Accepted");
    assert_eq!(copy(&house, words).await, "Accepted");
    let told = owned(&[("out_refund_no", "", "X-9"), ("refund_amount", "", "0.50 CNY")]);
    assert_eq!(raised(&house).await, [told]);
    assert_eq!(house.count_events(EventKind::PaymentUnknownOrder).await, 0);
    let payment = house.read("N-1").await;
    assert_eq!((payment.state, payment.refunded.minor()), (PaymentState::Succeeded, 0), "nothing is changed");
    // One that is here is not taken for such a one.
    let number = payment.out_trade_no.clone();
    house.engine.create_refund(&house.tenant, &number, refund("R-1", 40)).await.unwrap();
    assert_eq!(house.notify("signed-refund R-1 N-1 40 mch SUCCESS").await, "Accepted");
    assert_eq!(raised(&house).await.len(), 1);
    assert_eq!(house.counts.0.lock().unwrap().get("notify mismatch"), Some(&1));
}

/// As whoever refunds the rest, and more than that, is told why the platform refuses.
#[tokio::test]
async fn those_of_a_payment_are_named_once_each() {
    let house = paid_house().await;
    let number = house.read("N-1").await.out_trade_no;
    let named = async |house: &House| {
        let found = house.engine.foreign_refunds(&house.tenant, &number).await.unwrap();
        found.into_iter().map(|one| (one.out_refund_no, one.amount)).collect::<Vec<_>>()
    };
    assert_eq!(named(&house).await, []);
    for words in ["X-9 N-1 50 mch PROCESSING", "X-9 N-1 50 mch SUCCESS", "R-1 N-1 40 mch SUCCESS"] {
        assert_eq!(house.notify(&format!("signed-refund {words}")).await, "Accepted");
    }
    let amount = |text: &str| Some(text.to_owned());
    assert_eq!(named(&house).await, [("X-9".to_owned(), amount("0.50 CNY")), ("R-1".to_owned(), amount("0.40 CNY"))]);
    house.engine.create_refund(&house.tenant, &number, refund("R-1", 40)).await.unwrap();
    assert_eq!(named(&house).await, [("X-9".to_owned(), amount("0.50 CNY"))], "one that is recorded is none");
}

#[tokio::test]
async fn one_that_is_recorded_only_later_is_found_by_asking() {
    let house = paid_house().await;
    assert_eq!(house.notify("signed-refund R-1 N-1 40 mch SUCCESS").await, "Accepted");
    let number = house.read("N-1").await.out_trade_no;
    house.engine.create_refund(&house.tenant, &number, refund("R-1", 40)).await.unwrap();
    house.script(|script| script.query_refund.push_back(Ok(RefundWord::Succeeded)));
    house.wait(Duration::from_secs(61));
    house.engine.run_due().await;
    assert_eq!(house.read("N-1").await.refunded.minor(), 40);
    assert_eq!(house.count_events(EventKind::RefundSucceeded).await, 1);
}

#[tokio::test]
async fn one_of_another_merchant_says_so() {
    let house = paid_house().await;
    assert_eq!(house.notify("signed-refund X-9 N-1 50 other SUCCESS").await, "Accepted");
    let told =
        owned(&[("out_refund_no", "", "X-9"), ("refund_amount", "", "0.50 CNY"), ("merchant_id", "mch", "other")]);
    assert_eq!(raised(&house).await, [told]);
}

#[tokio::test]
async fn one_of_an_order_that_is_not_known_is_asked_for_again() {
    let house = paid_house().await;
    for _ in 0..2 {
        assert_eq!(house.notify("signed-refund X-9 N-7 50 mch SUCCESS").await, "TryAgain");
        assert_eq!(house.notify("refund X-9 SUCCESS N-7").await, "TryAgain");
    }
    assert_eq!(house.count_events(EventKind::PaymentUnknownOrder).await, 1);
    assert_eq!(house.calls("query_refund"), 0);
}

#[tokio::test]
async fn an_unsigned_message_about_one_counts_when_the_platform_confirms_it() {
    let house = paid_house().await;
    let words = "refund X-9 SUCCESS N-1";
    for answer in [Ok(RefundWord::Missing), Ok(RefundWord::Processing), Err(lost())] {
        house.script(|script| script.query_refund.push_back(answer));
        assert_eq!(house.notify(words).await, "TryAgain");
    }
    // Without its order nobody can be asked.
    assert_eq!(house.notify("refund X-9 SUCCESS").await, "TryAgain");
    assert_eq!((house.calls("query_refund"), raised(&house).await.len()), (3, 0));
    house.script(|script| {
        script.query_refund.extend([Ok(RefundWord::Succeeded), Ok(RefundWord::Succeeded)]);
    });
    assert_eq!(house.notify(words).await, "Accepted");
    assert_eq!(house.notify(words).await, "Accepted");
    assert_eq!(copy(&house, words).await, "Accepted");
    assert_eq!(raised(&house).await, [owned(&[("out_refund_no", "", "X-9")])]);
    assert_eq!(house.read("N-1").await.refunded.minor(), 0);
    let known = house.engine.refunds(&house.tenant, &house.read("N-1").await.out_trade_no).await.unwrap();
    assert!(known.iter().all(|refund| refund.state == RefundState::Succeeded), "it is no refund of ours: {known:?}");
}

/// A tenant's two providers are two merchants' accounts, each with numbers of its own.
#[tokio::test]
async fn a_refund_is_nobodys_who_did_not_carry_it() {
    let house = paid_house().await;
    house.script(|script| script.refund.push_back(Ok(RefundWord::Processing)));
    let number = house.read("N-1").await.out_trade_no;
    house.engine.create_refund(&house.tenant, &number, refund("R-1", 40)).await.unwrap();
    house.other.script.lock().unwrap().query_refund.push_back(Ok(RefundWord::Succeeded));
    for words in ["signed-refund R-1 N-1 40 mch SUCCESS", "refund R-1 SUCCESS N-1", "refund R-1 SUCCESS"] {
        assert_eq!(house.notify_from("other", words).await, "TryAgain", "{words}");
        let refunds = house.engine.refunds(&house.tenant, &number).await.unwrap();
        assert_eq!(refunds[0].state, RefundState::Processing, "{words}");
    }
    assert_eq!(house.read("N-1").await.refunded.minor(), 0);
    assert_eq!(house.notify("signed-refund R-1 N-1 40 mch SUCCESS").await, "Accepted");
    assert_eq!(house.read("N-1").await.refunded.minor(), 40);
}
