//! A refund's number that stands for a refund somebody else made in the merchant's account.

use dukou_domain::{OutRefundNo, OutTradeNo, RefundState, TradeNo};
use dukou_engine::EngineError;
use dukou_engine::records::{EventKind, Refund};
use dukou_spi::{ErrorKind, Reason, RefundWord};

use crate::refund::paid_house;
use crate::support::{House, lost, refund, refused};

fn taken() -> dukou_spi::ProviderError {
    refused(Reason::Other, "PARAM_ERROR")
}

/// A paid house whose platform knows the number as another order's refund, which went through.
async fn house() -> (House, OutTradeNo) {
    let house = paid_house().await;
    house.script(|script| {
        script.refund_of = Some(TradeNo::new("OLD-1").unwrap());
        script.query_refund.extend((0..100).map(|_| Ok(RefundWord::Succeeded)));
    });
    (house, OutTradeNo::new("N-1").unwrap())
}

async fn read(house: &House, refresh: bool) -> Refund {
    house.engine.refund(&house.tenant, &OutRefundNo::new("R-1").unwrap(), refresh).await.unwrap()
}

/// Nothing went back: neither asking nor trying it again makes it succeed.
#[tokio::test]
async fn one_that_was_refused_stays_so_though_another_has_its_number() {
    let (house, number) = house().await;
    for _ in 0..2 {
        house.script(|script| script.refund.push_back(Err(taken())));
        let error = house.engine.create_refund(&house.tenant, &number, refund("R-1", 40)).await.unwrap_err();
        assert!(matches!(&error, EngineError::Provider(error) if error.kind == ErrorKind::Refused), "{error:?}");
        let before = house.event_words().await;
        for _ in 0..3 {
            let refund = read(&house, true).await;
            assert_eq!((refund.state, refund.provider_refund_id), (RefundState::Failed, None));
        }
        assert_eq!(house.event_words().await, before, "a question says nothing new");
    }
    let payment = house.read("N-1").await;
    assert_eq!((payment.refunded.minor(), payment.refunding.minor()), (0, 0));
    house.script(|script| script.refund_of = None);
    house.engine.create_refund(&house.tenant, &number, refund("R-2", 101)).await.unwrap();
}

/// Ours was never made, and never can be: what was reserved for it is free again.
#[tokio::test]
async fn one_whose_answer_was_lost_has_failed_once_another_has_its_number() {
    let (house, number) = house().await;
    house.script(|script| script.refund.push_back(Err(lost())));
    house.engine.create_refund(&house.tenant, &number, refund("R-1", 101)).await.unwrap();
    assert_eq!(read(&house, false).await.state, RefundState::Unknown);
    for _ in 0..3 {
        let refund = read(&house, true).await;
        assert_eq!((refund.state, refund.provider_refund_id), (RefundState::Failed, None));
        let why = refund.failure.unwrap().message;
        assert!(why.contains("of order OLD-1") && why.contains("another out_refund_no"), "{why}");
    }
    let count = async |kind| house.count_events(kind).await;
    assert_eq!((count(EventKind::PaymentMismatch).await, count(EventKind::RefundFailed).await), (1, 1));
    let payment = house.read("N-1").await;
    assert_eq!((payment.refunded.minor(), payment.refunding.minor()), (0, 0));
}

/// The platform took it as ours before: what it says now contradicts itself, and ends nothing.
#[tokio::test]
async fn one_that_was_taken_is_not_ended_by_another_with_its_number() {
    let (house, number) = house().await;
    house.engine.create_refund(&house.tenant, &number, refund("R-1", 40)).await.unwrap();
    assert_eq!(read(&house, true).await.state, RefundState::Processing);
    assert_eq!(house.count_events(EventKind::PaymentMismatch).await, 1);
    assert_eq!(house.read("N-1").await.refunding.minor(), 40);
}
