//! By which numbers every store must find a payment.

use dukou_domain::{AttemptState, ProviderName, TenantId, TradeNo, TransactionId};
use dukou_engine::ports::{Change, Store};
use uuid::Uuid;

use crate::records::*;

pub async fn a_payment_is_found_by_the_platforms_numbers(store: &dyn Store) {
    for name in ["B1", "B2"] {
        create(store, &payment(name, 1_000)).await.unwrap();
    }
    let transaction = |text: &str| TransactionId::new(text).unwrap();
    let (first, second) = (transaction("4200000000000000000000000001"), transaction("4200000000000000000000000002"));
    assert_eq!(store.payment_by_transaction(&tenant(), &first).await.unwrap(), None, "nothing was paid");
    notify(store, "B1", "a").await.unwrap();
    // Another attempt took its place, and was paid as well.
    let paid_twice = second.clone();
    apply(store, target("B1"), move |view| {
        let mut payment = view.payment.clone().unwrap();
        let mut other = payment.attempt.clone();
        other.id = dukou_domain::AttemptId::from_uuid(Uuid::from_u128(7));
        other.number = 2;
        other.trade_no = TradeNo::new("B1-2").unwrap();
        other.state = AttemptState::Paid;
        other.transaction_id = Some(paid_twice.clone());
        payment.others.push(other);
        Change { payment: Some(payment), ..Change::default() }
    })
    .await
    .unwrap();
    let kept = store.payment(&tenant(), &number("B1")).await.unwrap();
    assert!(kept.is_some());
    for transaction in [&first, &second] {
        assert_eq!(store.payment_by_transaction(&tenant(), transaction).await.unwrap(), kept, "{transaction}");
    }
    for trade_no in ["B1", "B1-2"] {
        let trade_no = TradeNo::new(trade_no).unwrap();
        assert_eq!(store.payment_by_trade_no(&tenant(), &provider(), &trade_no).await.unwrap(), kept, "{trade_no}");
    }
    let (stranger, elsewhere) = (TenantId::new("other").unwrap(), ProviderName::new("elsewhere").unwrap());
    let trade_no = TradeNo::new("B1").unwrap();
    assert_eq!(store.payment_by_transaction(&stranger, &first).await.unwrap(), None);
    assert_eq!(store.payment_by_transaction(&tenant(), &transaction("4")).await.unwrap(), None);
    assert_eq!(store.payment_by_trade_no(&stranger, &provider(), &trade_no).await.unwrap(), None);
    assert_eq!(store.payment_by_trade_no(&tenant(), &elsewhere, &trade_no).await.unwrap(), None);
}
