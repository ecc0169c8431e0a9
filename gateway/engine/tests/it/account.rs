//! A provider's name is given another merchant account while payments of the former one are open.

use std::time::Duration;

use dukou_domain::{OutTradeNo, PaymentState, ProviderName, RefundState};
use dukou_engine::EngineError;
use dukou_spi::{NotifyKind, OrderWord, RawNotify, RefundWord};

use crate::support::{House, paid, refund};

fn number() -> OutTradeNo {
    OutTradeNo::new("N-1").unwrap()
}

fn other_journal(house: &House) -> Vec<String> {
    house.other.script.lock().unwrap().journal.clone()
}

#[tokio::test]
async fn what_was_made_with_the_former_account_is_ended_with_it() {
    let house = House::new();
    house.create("N-1").await;
    let (engine, tenant) = house.with_other_account(true);
    let read = engine.payment(&tenant, &number(), false).await.unwrap();
    assert!(read.invoke.is_some(), "it can still be paid");
    house.script(|script| script.query.push_back(Ok(OrderWord::Paid(paid("N-1", 101, "app", "mch", "42")))));
    let paid = engine.payment(&tenant, &number(), true).await.unwrap();
    assert_eq!(paid.payment.state, PaymentState::Succeeded);
    house.script(|script| script.query_refund.push_back(Ok(RefundWord::Succeeded)));
    let made = engine.create_refund(&tenant, &number(), refund("R-1", 40)).await.unwrap();
    assert_ne!(made.refund.state, RefundState::Failed);
    assert_eq!(house.journal(), ["pay N-1 101", "query N-1", "refund R-1 40"]);
    assert!(other_journal(&house).is_empty(), "nothing was asked of the other account");
}

#[tokio::test]
async fn a_message_under_the_former_accounts_keys_counts() {
    let house = House::new();
    house.create("N-1").await;
    let (engine, _) = house.with_other_account(true);
    house.other.script.lock().unwrap().refuse_notify = true;
    let raw = RawNotify { kind: NotifyKind::Payment, headers: Vec::new(), body: "paid N-1 101 app mch 42".into() };
    engine.notify("shop", "words", raw).await.unwrap();
    assert_eq!(house.read("N-1").await.state, PaymentState::Succeeded);
}

/// The other account has no such order, which would count as closed.
#[tokio::test]
async fn nothing_is_asked_of_another_account() {
    let house = House::new();
    house.create("N-1").await;
    let (engine, tenant) = house.with_other_account(false);
    let error = engine.close_payment(&tenant, &number()).await.unwrap_err();
    let EngineError::Provider(error) = error else { panic!("{error}") };
    assert_eq!(
        error.message,
        "it was made with merchant account mch, and words is other-mch now; give the former account a section of this \
         name until its payments have ended"
    );
    house.wait(Duration::from_secs(3 * 3600));
    engine.run_due().await;
    assert_eq!(house.read("N-1").await.state, PaymentState::Pending);
    assert_eq!(house.journal(), ["pay N-1 101"]);
    assert!(other_journal(&house).is_empty());
    assert!(tenant.providers.contains_key(&ProviderName::new("words").unwrap()));
}
