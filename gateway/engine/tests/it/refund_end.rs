//! How a refund ends: closed by the platform, refused for now, or not known yet.

use std::time::Duration;

use dukou_domain::{OutRefundNo, OutTradeNo, RefundState};
use dukou_engine::records::{EventKind, Refund};
use dukou_engine::tenant::LatePayment;
use dukou_engine::{CreateRefund, CreateRefundRequest, Decision, EngineError};
use dukou_spi::{ErrorKind, ProviderError, Reason, RefundWord};

use crate::refund::paid_house;
use crate::support::{House, refund, refused};

/// A refusal by a code that is in no table.
pub fn unlisted(code: &str) -> ProviderError {
    ProviderError::new(ErrorKind::Unknown, Reason::Unlisted, "the platform refuses").with_code(code)
}

/// A refund that is made without a call that names it.
#[derive(Debug, Clone, Copy)]
enum ByItself {
    Late,
    Duplicate,
    Approved,
}

const BY_ITSELF: [ByItself; 3] = [ByItself::Late, ByItself::Duplicate, ByItself::Approved];

async fn ask(house: &House, number: &str, fen: i64) -> Result<RefundState, EngineError> {
    let answer = house.engine.create_refund(&house.tenant, &order(), refund(number, fen)).await?;
    Ok(answer.refund.state)
}

fn order() -> OutTradeNo {
    OutTradeNo::new("N-1").unwrap()
}

/// A house with a refund that the gateway has to make, after it was sent once.
async fn house_with(by_itself: ByItself) -> House {
    match by_itself {
        ByItself::Late => {
            let house = House::with(LatePayment::Refund);
            house.create("N-1").await;
            house.engine.close_payment(&house.tenant, &order()).await.unwrap();
            house.notify("paid N-1 101 app mch 42").await;
            house
        }
        ByItself::Duplicate => {
            let house = House::new();
            house.create("N-1").await;
            let second = house.invoke("N-1", "other", Some("payer")).await.unwrap().payment.attempt.trade_no;
            house.notify_from("other", &format!("paid {second} 101 other-app other-mch 77")).await;
            house.notify("paid N-1 101 app mch 42").await;
            house
        }
        ByItself::Approved => paid_house().await,
    }
}

/// Lets it be sent, as this platform answers it.
async fn send(house: &House, by_itself: ByItself, answer: Result<RefundWord, ProviderError>) {
    house.script(|script| {
        script.refund.push_back(answer);
        script.query_refund.extend([Ok(RefundWord::Missing), Ok(RefundWord::Missing)]);
    });
    match by_itself {
        ByItself::Late | ByItself::Duplicate => {
            house.engine.run_due().await;
        }
        ByItself::Approved => {
            let wish = CreateRefundRequest {
                openid: "payer".to_owned(),
                amount: refund("R-1", 101).amount,
                reason: Some("torn".to_owned()),
            };
            let request = house.engine.request_refund(&house.tenant, &order(), wish).await.unwrap();
            let decided = house.engine.decide_refund_request(&house.tenant, request.id, Decision::Approve, "backend");
            decided.await.unwrap();
        }
    }
    house.script(|script| script.query_refund.clear());
}

async fn only(house: &House) -> Refund {
    let mut refunds = house.engine.refunds(&house.tenant, &order()).await.unwrap();
    assert_eq!(refunds.len(), 1);
    refunds.remove(0)
}

fn failure(refund: &Refund) -> (Option<&str>, &str) {
    let failure = refund.failure.as_ref().unwrap();
    (failure.code.as_deref(), &failure.message)
}

#[tokio::test]
async fn one_that_the_platform_closed_is_not_made_again_under_its_number() {
    for at_once in [true, false] {
        let house = paid_house().await;
        if at_once {
            house.script(|script| script.refund.push_back(Ok(RefundWord::Closed)));
            assert_eq!(ask(&house, "R-1", 101).await.unwrap(), RefundState::Failed);
        } else {
            assert_eq!(ask(&house, "R-1", 101).await.unwrap(), RefundState::Processing);
            house.script(|script| script.query_refund.push_back(Ok(RefundWord::Closed)));
            house.notify("refund R-1 REFUNDCLOSE").await;
        }
        let closed = only(&house).await;
        assert_eq!((closed.state, failure(&closed).0), (RefundState::Failed, Some("REFUNDCLOSE")));
        assert!(failure(&closed).1.contains("another out_refund_no"), "{closed:?}");
        let events = house.events().await.len();
        match ask(&house, "R-1", 101).await {
            Err(EngineError::InvalidState(why)) => assert!(why.contains("another out_refund_no"), "{why}"),
            other => panic!("{other:?}"),
        }
        assert!(matches!(ask(&house, "R-1", 100).await, Err(EngineError::OutRefundNoConflict(_))));
        assert_eq!((house.calls("refund"), house.events().await.len()), (1, events), "nothing is sent");
        assert_eq!(ask(&house, "R-2", 101).await.unwrap(), RefundState::Processing);
    }
}

#[tokio::test]
async fn one_of_the_gateways_own_that_the_platform_closed_leaves_its_amount_to_the_merchants() {
    for by_itself in BY_ITSELF {
        let house = house_with(by_itself).await;
        send(&house, by_itself, Ok(RefundWord::Processing)).await;
        house.script(|script| script.query_refund.push_back(Ok(RefundWord::Closed)));
        house.wait(Duration::from_secs(61));
        house.engine.run_due().await;
        let closed = only(&house).await;
        assert_eq!(closed.state, RefundState::Failed, "{by_itself:?}");
        let way_out = match by_itself {
            ByItself::Late | ByItself::Approved => "another out_refund_no",
            // Under a number of this payment, the money of its first success would be given back.
            ByItself::Duplicate => "on the merchant platform",
        };
        assert!(failure(&closed).1.contains(way_out), "{closed:?}");
        assert_eq!(ask(&house, "R-2", 101).await.unwrap(), RefundState::Processing, "{by_itself:?}");
    }
}

#[tokio::test]
async fn one_of_the_gateways_own_waits_for_what_only_the_operator_can_mend() {
    for by_itself in BY_ITSELF {
        for (reason, code) in [(Reason::InsufficientBalance, "NOTENOUGH"), (Reason::Configuration, "NOAUTH")] {
            let what = format!("{by_itself:?} {code}");
            let house = house_with(by_itself).await;
            send(&house, by_itself, Err(refused(reason, code))).await;
            let held = only(&house).await;
            assert_eq!(held.state, RefundState::Created, "{what}");
            assert_eq!(failure(&held), (Some(code), "the platform refuses"), "{what}");
            let reserved = house.read("N-1").await.refunding.minor();
            assert_eq!(reserved, if held.of_duplicate { 0 } else { 101 }, "{what}");
            // It is refused once more, and then taken.
            let sent = |house: &House| house.journal().iter().filter(|entry| is_own(entry)).count();
            house.script(|script| {
                script.refund.extend([Err(refused(reason, code)), Ok(RefundWord::Processing)]);
                script.query_refund.extend((0..3).map(|_| Ok(RefundWord::Missing)));
            });
            for times in [2, 3] {
                house.wait(Duration::from_secs(3500));
                house.engine.run_due().await;
                assert_eq!(sent(&house), times - 1, "{what}: not within the hour");
                house.wait(Duration::from_secs(101));
                house.engine.run_due().await;
                assert_eq!(sent(&house), times, "{what}: once in the hour");
            }
            let taken = only(&house).await;
            assert_eq!((taken.state, taken.failure.is_none()), (RefundState::Processing, true), "{what}");
            assert_eq!(house.count_events(EventKind::RefundFailed).await, 0, "{what}");
        }
    }
}

#[tokio::test]
async fn one_that_waits_is_sent_soon_when_somebody_asks_about_it() {
    let house = house_with(ByItself::Late).await;
    for times in 1..=9 {
        send(&house, ByItself::Late, Err(refused(Reason::InsufficientBalance, "NOTENOUGH"))).await;
        assert_eq!(house.calls("refund"), times);
        house.wait(Duration::from_secs(3601));
    }
    send(&house, ByItself::Late, Err(refused(Reason::InsufficientBalance, "NOTENOUGH"))).await;
    house.script(|script| script.query_refund.extend([Ok(RefundWord::Missing), Ok(RefundWord::Missing)]));
    let number = only(&house).await.out_refund_no;
    house.engine.refund(&house.tenant, &number, true).await.unwrap();
    house.wait(Duration::from_secs(10));
    house.engine.run_due().await;
    assert_eq!(only(&house).await.state, RefundState::Processing);
}

/// A sending of a refund whose number the gateway made.
fn is_own(entry: &str) -> bool {
    ["refund late_", "refund duplicate_", "refund request_"].iter().any(|start| entry.starts_with(start))
}

#[tokio::test]
async fn one_of_the_gateways_own_ends_with_a_refusal_that_nobody_can_mend() {
    for by_itself in BY_ITSELF {
        let house = house_with(by_itself).await;
        send(&house, by_itself, Err(refused(Reason::Other, "TRADE_OVERDUE"))).await;
        assert_eq!(only(&house).await.state, RefundState::Failed, "{by_itself:?}");
        assert_eq!(house.count_events(EventKind::RefundFailed).await, 1, "{by_itself:?}");
    }
}

/// Nor does one of a second success that is made again count for anything in the payment's sums.
#[tokio::test]
async fn one_of_a_second_success_may_be_tried_again_by_hand() {
    let house = house_with(ByItself::Duplicate).await;
    send(&house, ByItself::Duplicate, Err(refused(Reason::Other, "TRADE_OVERDUE"))).await;
    let failed = only(&house).await;
    assert_eq!((failed.state, failed.reason.as_deref()), (RefundState::Failed, Some("paid twice")));
    // All of the first success is on its way back meanwhile.
    assert_eq!(ask(&house, "R-2", 101).await.unwrap(), RefundState::Processing);
    let command =
        CreateRefund { out_refund_no: failed.out_refund_no, amount: failed.amount, reason: failed.reason.clone() };
    let again = house.engine.create_refund(&house.tenant, &order(), command).await.unwrap();
    assert_eq!(again.refund.state, RefundState::Processing);
    assert_eq!(house.read("N-1").await.refunding.minor(), 101);
}

#[tokio::test]
async fn one_whose_outcome_is_not_known_says_what_the_platform_said() {
    let house = paid_house().await;
    let unlisted = || ProviderError::new(ErrorKind::Unknown, Reason::Other, "not verified").with_code("UNLISTED");
    house.script(|script| script.refund.push_back(Err(unlisted())));
    assert_eq!(ask(&house, "R-1", 40).await.unwrap(), RefundState::Unknown);
    assert_eq!(failure(&only(&house).await), (Some("UNLISTED"), "not verified"));
    // Sent again, and answered with another word.
    let other = ProviderError::new(ErrorKind::Unknown, Reason::Platform, "busy").with_code("SYSTEM_ERROR");
    house.script(|script| {
        script.query_refund.push_back(Ok(RefundWord::Missing));
        script.refund.push_back(Err(other));
    });
    house.wait(Duration::from_secs(5));
    house.engine.run_due().await;
    let unknown = only(&house).await;
    assert_eq!((unknown.state, failure(&unknown)), (RefundState::Unknown, (Some("SYSTEM_ERROR"), "busy")));
    // Once it is known what became of it, that was no failure.
    house.script(|script| script.query_refund.push_back(Ok(RefundWord::Processing)));
    let number = OutRefundNo::new("R-1").unwrap();
    let known = house.engine.refund(&house.tenant, &number, true).await.unwrap();
    assert_eq!((known.state, known.failure), (RefundState::Processing, None));
}

/// It is sent again once the platform knew nothing of it, and refused by the same code: a refusal, which ends it.
#[tokio::test]
async fn one_that_is_refused_twice_by_an_unknown_code_has_failed_when_the_platform_has_none() {
    for (after, state) in [
        (Ok(RefundWord::Missing), RefundState::Failed),
        (Ok(RefundWord::Processing), RefundState::Processing),
        (Err(crate::support::lost()), RefundState::Unknown),
    ] {
        let house = paid_house().await;
        let what = format!("{after:?}");
        house.script(|script| {
            script.refund.extend([Err(unlisted("NEW_CODE")), Err(unlisted("NEW_CODE"))]);
            script.query_refund.extend([Ok(RefundWord::Missing), after]);
        });
        assert_eq!(ask(&house, "R-1", 40).await.unwrap(), RefundState::Unknown, "{what}: the money may be on its way");
        assert_eq!(house.read("N-1").await.refunding.minor(), 40, "{what}");
        house.wait(Duration::from_secs(5));
        house.engine.run_due().await;
        let ended = only(&house).await;
        assert_eq!((ended.state, house.calls("refund")), (state, 2), "{what}");
        let open = state != RefundState::Failed;
        assert_eq!(house.read("N-1").await.refunding.minor(), if open { 40 } else { 0 }, "{what}");
        assert_eq!(house.count_events(EventKind::RefundFailed).await, usize::from(!open), "{what}");
        if !open {
            assert_eq!(failure(&ended), (Some("NEW_CODE"), "the platform refuses"));
            assert_eq!(house.count_events(EventKind::RefundCreated).await, 1);
            assert_eq!(house.count_events(EventKind::RefundMissing).await, 1);
            // Once it was mended, the same number goes out.
            assert_eq!(ask(&house, "R-1", 40).await.unwrap(), RefundState::Processing);
        }
    }
}

/// Another answer in between says nothing of the refusal.
#[tokio::test]
async fn one_that_is_refused_by_two_unknown_codes_is_sent_again() {
    let house = paid_house().await;
    house.script(|script| {
        script.refund.extend([Err(unlisted("NEW_CODE")), Err(unlisted("OTHER_CODE"))]);
        script.query_refund.extend([Ok(RefundWord::Missing), Ok(RefundWord::Missing)]);
    });
    assert_eq!(ask(&house, "R-1", 40).await.unwrap(), RefundState::Unknown);
    house.wait(Duration::from_secs(5));
    house.engine.run_due().await;
    assert_eq!(only(&house).await.state, RefundState::Unknown);
    house.wait(Duration::from_secs(60));
    house.engine.run_due().await;
    assert_eq!(only(&house).await.state, RefundState::Processing);
}
