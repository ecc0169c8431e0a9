//! A provider's name is given another merchant account while payments of the former one are open.

use std::sync::Arc;
use std::time::Duration;

use dukou_domain::{AttemptState, OutTradeNo, PaymentState, ProviderName, RefundState};
use dukou_engine::EngineError;
use dukou_engine::records::EventKind;
use dukou_spi::{NotifyKind, OrderWord, RawNotify, Reason, RefundWord};

use crate::support::{House, Platform, order, paid, refund, refused};

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

/// What is recorded and can never be sent would be told as under way for ever.
#[tokio::test]
async fn a_refund_of_an_account_that_is_not_known_is_refused_before_anything_is_recorded() {
    let house = House::new();
    house.create("N-1").await;
    house.notify("paid N-1 101 app mch 42").await;
    house.script(|script| script.refund.push_back(Err(refused(Reason::InsufficientBalance, "NOTENOUGH"))));
    house.engine.create_refund(&house.tenant, &number(), refund("R-0", 40)).await.unwrap_err();
    let (engine, tenant) = house.with_other_account(false);
    // A new one, and one that failed before.
    for no in ["R-1", "R-0"] {
        let error = engine.create_refund(&tenant, &number(), refund(no, 40)).await.unwrap_err();
        let EngineError::InvalidState(why) = error else { panic!("{error}") };
        assert!(why.contains("merchant account mch, and words is other-mch now"), "{why}");
    }
    assert_eq!(engine.refunds(&tenant, &number()).await.unwrap().len(), 1);
    assert_eq!(house.read("N-1").await.refunding.minor(), 0);
    assert!(other_journal(&house).is_empty());
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

/// The same merchant account, in each way that another must sign for.
fn changed() -> [(&'static str, Arc<Platform>); 2] {
    [("kind", Platform::new("other-words", "app", "mch")), ("app", Platform::new("words", "new-app", "mch"))]
}

#[tokio::test]
async fn what_another_kind_or_app_made_is_signed_for_by_it_while_it_is_known() {
    for (what, now) in changed() {
        let house = House::new();
        house.create("N-1").await;
        let (engine, tenant) = house.with_words(&now, true);
        now.script.lock().unwrap().refuse_notify = true;
        assert!(engine.payment(&tenant, &number(), false).await.unwrap().invoke.is_some(), "{what}");
        let again = engine.create_payment(&tenant, order("N-1")).await.unwrap();
        assert!(again.invoke.is_some(), "{what}");
        let same = engine.invoke_payment(&tenant, &number(), House::channel("words", None)).await.unwrap();
        assert_eq!((same.payment.others.len(), same.invoke.is_some()), (0, true), "{what}");
        let raw = RawNotify { kind: NotifyKind::Payment, headers: Vec::new(), body: "paid N-1 101 app mch 42".into() };
        let reply = engine.notify("shop", "words", raw).await.unwrap().reply;
        assert_eq!(reply.content_type, "words", "the platform is answered in the form of the message");
        assert_eq!(house.read("N-1").await.state, PaymentState::Succeeded, "{what}");
        assert!(now.script.lock().unwrap().journal.is_empty(), "{what}: nothing was asked of the new one");
    }
}

/// A partner's own app is compared always, the merchant's where one was ordered with and one is named: it may be set or
/// taken out while orders are open.
#[tokio::test]
async fn a_partners_merchants_app_contradicts_only_as_another_one() {
    for (recorded, named, agrees) in [
        ("app/own", "app/own", true),
        ("app/own", "app", true),
        ("app", "app/own", true),
        ("app/own", "app/other", false),
        ("app/own", "other/own", false),
        ("app/own", "own", false),
        ("app", "other/app", false),
    ] {
        let house = House::new();
        let (engine, tenant) = house.with_words(&Platform::new("words", recorded, "mch"), true);
        engine.create_payment(&tenant, order("N-1")).await.unwrap();
        for words in [format!("failed N-1 {named} mch"), format!("paid N-1 101 {named} mch 42")] {
            let raw = RawNotify { kind: NotifyKind::Payment, headers: Vec::new(), body: words.into() };
            engine.notify("shop", "words", raw).await.unwrap();
        }
        let found = (house.read("N-1").await.state, house.count_events(EventKind::PaymentMismatch).await);
        let expected = if agrees { (PaymentState::Succeeded, 0) } else { (PaymentState::Pending, 2) };
        assert_eq!(found, expected, "{recorded} {named}");
    }
}

#[tokio::test]
async fn nobody_signs_for_what_another_kind_or_app_made() {
    for (what, now) in changed() {
        let house = House::new();
        house.create("N-1").await;
        let (engine, tenant) = house.with_words(&now, false);
        let journal = || now.script.lock().unwrap().journal.clone();
        assert_eq!(engine.payment(&tenant, &number(), false).await.unwrap().invoke, None, "{what}");
        let again = engine.create_payment(&tenant, order("N-1")).await.unwrap();
        assert_eq!((again.invoke, again.created), (None, false), "{what}");
        assert!(journal().is_empty(), "{what}: no second order under the number");

        let payable = engine.invoke_payment(&tenant, &number(), House::channel("words", None)).await.unwrap();
        assert!(payable.invoke.is_some(), "{what}");
        assert_eq!((payable.payment.attempt.number, payable.payment.others[0].state), (2, AttemptState::Closed));
        let pay = format!("pay {} 101", payable.payment.attempt.trade_no);
        assert_eq!(journal(), ["close N-1", &pay], "{what}");
    }
}

/// An openid is of an app: the platform would refuse the former one's, when what could be paid is closed already.
#[tokio::test]
async fn a_payer_of_the_former_app_is_not_taken_over() {
    let now = Platform::new("words", "new-app", "mch");
    let house = House::new();
    house.create("N-1").await;
    let (engine, tenant) = house.with_words(&now, false);
    let mut of_session = House::channel("words", Some("payer"));
    of_session.buyer = Some("payer".to_owned());
    for command in [House::channel("words", Some("payer")), of_session] {
        let error = engine.invoke_payment(&tenant, &number(), command).await.unwrap_err();
        let EngineError::Invalid(problems) = error else { panic!("{error}") };
        assert_eq!(problems[0].field, "payer.openid");
        assert!(now.script.lock().unwrap().journal.is_empty(), "nothing was closed for it");
    }
    let payable = engine.invoke_payment(&tenant, &number(), House::channel("words", None)).await.unwrap().payment;
    assert_eq!((payable.attempt.app_id.as_str(), payable.attempt.openid), ("new-app", None));
}
