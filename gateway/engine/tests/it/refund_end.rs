//! How a refund ends: not known yet.

use std::time::Duration;

use dukou_domain::{OutRefundNo, OutTradeNo, RefundState};
use dukou_engine::EngineError;
use dukou_engine::records::Refund;
use dukou_spi::{ErrorKind, ProviderError, Reason, RefundWord};

use crate::support::{House, refund};

async fn paid_house() -> House {
    let house = House::new();
    house.create("N-1").await;
    house.notify("paid N-1 101 app mch 42").await;
    house
}

async fn ask(house: &House, number: &str, fen: i64) -> Result<RefundState, EngineError> {
    let answer = house.engine.create_refund(&house.tenant, &order(), refund(number, fen)).await?;
    Ok(answer.refund.state)
}

fn order() -> OutTradeNo {
    OutTradeNo::new("N-1").unwrap()
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
