//! What every store must do with questions.

use std::future::Future;

use dukou_domain::{OutRefundNo, PaymentState, ProviderName, RefundState, TenantId};
use dukou_engine::ports::{Change, Store};
use dukou_engine::question::{Asked, Due, Queue, Share};
use dukou_engine::records::{Payment, Refund};

use crate::records::*;

/// Runs all of it, each part on a new store.
pub async fn all<S: Store, F: Future<Output = S>>(new: impl Fn() -> F) {
    what_is_due_is_taken_once(&new().await).await;
    every_queue_gives_its_share_of_those_that_waited_longest(&new().await).await;
    refunds_are_taken_by_their_queues(&new().await).await;
}

fn queue(tenant: &str, provider: &str, state: &str) -> Queue {
    Queue { tenant: tenant.into(), provider: provider.into(), state: state.into() }
}

/// A share of every queue in which something is due.
async fn shares(store: &dyn Store, asked: Asked, now: i64, limit: u32) -> Vec<Share> {
    let due = store.questions().due(asked, at(now)).await.unwrap();
    due.into_iter().map(|due| Share { queue: due.queue, limit }).collect()
}

async fn take_payments(store: &dyn Store, now: i64, again_at: i64, limit: u32) -> Vec<Payment> {
    let shares = shares(store, Asked::Payments, now, limit).await;
    store.questions().take_payments(at(now), at(again_at), shares).await.unwrap()
}

async fn take_refunds(store: &dyn Store, now: i64, again_at: i64, limit: u32) -> Vec<Refund> {
    let shares = shares(store, Asked::Refunds, now, limit).await;
    store.questions().take_refunds(at(now), at(again_at), shares).await.unwrap()
}

fn numbers(payments: &[Payment]) -> Vec<&str> {
    let mut numbers: Vec<&str> = payments.iter().map(|payment| payment.out_trade_no.as_str()).collect();
    numbers.sort_unstable();
    numbers
}

async fn enter(store: &dyn Store, payment: &Payment, refund: Refund) {
    let target = target(payment.out_trade_no.as_str());
    let of_tenant = dukou_engine::ports::Target { tenant: payment.tenant.clone(), ..target };
    apply(store, of_tenant, move |_| Change { refund: Some(refund.clone()), ..Change::default() }).await.unwrap();
}

async fn what_is_due_is_taken_once(store: &dyn Store) {
    for (name, created_at) in [("B1", 1_000), ("B2", 2_000), ("B3", 3_000)] {
        create(store, &payment(name, created_at)).await.unwrap();
    }
    let due = take_payments(store, 7_000, 60_000, 10).await;
    assert_eq!(numbers(&due), ["B1", "B2"]);
    for payment in &due {
        let check = payment.check.unwrap();
        assert_eq!((check.at, check.asked, payment.version), (at(60_000), 0, 2));
        assert_eq!(store.payment(&tenant(), &payment.out_trade_no).await.unwrap().as_ref(), Some(payment));
    }
    assert!(store.questions().due(Asked::Payments, at(7_000)).await.unwrap().is_empty());
    // Somebody else looked before that.
    let late = vec![Share { queue: queue("bookshop", "wechat", "pending"), limit: 10 }];
    assert_eq!(store.questions().take_payments(at(7_000), at(60_000), late).await.unwrap(), []);
    // A record as it was taken can be written.
    let mut taken = take_payments(store, 200_000, 300_000, 1).await.remove(0);
    taken.check = None;
    let name = taken.out_trade_no.clone();
    apply(store, target(name.as_str()), move |_| Change { payment: Some(taken.clone()), ..Change::default() })
        .await
        .unwrap();
    assert_eq!(store.payment(&tenant(), &name).await.unwrap().unwrap().check, None);
}

/// `(tenant, provider, state, created_at)`; the question is due 5 s later.
const MADE: [(&str, &str, PaymentState, i64); 9] = [
    ("a-busy", "wechat", PaymentState::Pending, 1_000),
    ("a-busy", "wechat", PaymentState::Pending, 2_000),
    ("a-busy", "wechat", PaymentState::Pending, 3_000),
    ("a-busy", "wechat", PaymentState::Unknown, 9_000),
    ("a-busy", "alipay", PaymentState::Pending, 8_000),
    ("b-calm", "wechat", PaymentState::Unknown, 7_000),
    ("b-calm", "wechat", PaymentState::Unknown, 6_000),
    ("c-late", "wechat", PaymentState::Pending, 90_000),
    ("c-late", "wechat", PaymentState::Succeeded, 91_000),
];

async fn every_queue_gives_its_share_of_those_that_waited_longest(store: &dyn Store) {
    for (index, (tenant, provider, state, created_at)) in MADE.into_iter().enumerate() {
        let mut new = payment(&format!("B{index}"), created_at);
        new.tenant = TenantId::new(tenant).unwrap();
        new.attempt.provider = ProviderName::new(provider).unwrap();
        new.state = state;
        create(store, &new).await.unwrap();
    }
    let mut due = store.questions().due(Asked::Payments, at(20_000)).await.unwrap();
    due.sort_by_key(|due| due.since);
    let expected = [
        (queue("a-busy", "wechat", "pending"), 6_000),
        (queue("b-calm", "wechat", "unknown"), 11_000),
        (queue("a-busy", "alipay", "pending"), 13_000),
        (queue("a-busy", "wechat", "unknown"), 14_000),
    ];
    assert_eq!(due, expected.map(|(queue, since)| Due { queue, since: at(since) }));
    assert_eq!(store.questions().due(Asked::Refunds, at(20_000)).await.unwrap(), []);
    for (asked, tenant, provider, count) in [
        (Asked::Payments, "a-busy", "wechat", 4),
        (Asked::Payments, "a-busy", "alipay", 1),
        (Asked::Payments, "c-late", "wechat", 0),
        (Asked::Refunds, "a-busy", "wechat", 0),
    ] {
        let found = store.questions().count_due(asked, tenant, provider, at(20_000)).await.unwrap();
        assert_eq!(found, count, "{tenant} {provider}");
    }

    let share = |queue, limit| Share { queue, limit };
    let wanted = vec![
        share(queue("a-busy", "wechat", "pending"), 2),
        share(queue("a-busy", "wechat", "unknown"), 2),
        share(queue("b-calm", "wechat", "unknown"), 1),
        share(queue("c-late", "wechat", "pending"), 1),
        share(queue("nobody", "wechat", "pending"), 1),
    ];
    let taken = store.questions().take_payments(at(20_000), at(80_000), wanted).await.unwrap();
    assert_eq!(numbers(&taken), ["B0", "B1", "B3", "B6"], "what is not due and what nobody asked for stays");
    let left = take_payments(store, 20_000, 80_000, 10).await;
    assert_eq!(numbers(&left), ["B2", "B4", "B5"]);
    let later = take_payments(store, 200_000, 300_000, 10).await;
    assert_eq!(later.len(), MADE.len(), "their lease is over");
}

async fn refunds_are_taken_by_their_queues(store: &dyn Store) {
    create(store, &payment("B1", 1_000)).await.unwrap();
    let paid = store.payment(&tenant(), &number("B1")).await.unwrap().unwrap();
    let states = [RefundState::Processing, RefundState::Processing, RefundState::Created, RefundState::Unknown];
    for (index, state) in states.into_iter().enumerate() {
        let mut new = refund(&paid, &format!("R-{index}"), 1);
        new.state = state;
        enter(store, &paid, new).await;
    }
    assert_eq!(take_refunds(store, 5_999, 60_000, 1).await, []);
    let mut taken = take_refunds(store, 6_000, 60_000, 1).await;
    taken.sort_by_key(|refund| refund.state.as_str());
    let words: Vec<&str> = taken.iter().map(|refund| refund.state.as_str()).collect();
    assert_eq!(words, ["created", "processing", "unknown"]);
    for refund in &taken {
        assert_eq!((refund.version, refund.check.unwrap().at), (2, at(60_000)));
        assert_eq!(store.refund(&tenant(), &refund.out_refund_no).await.unwrap().as_ref(), Some(refund));
    }
    assert_eq!(take_refunds(store, 6_000, 60_000, 1).await.len(), 1);
    assert_eq!(take_refunds(store, 6_000, 60_000, 1).await, []);
}

/// Watches: one row that an earlier program, or a slip, left unreadable.
pub async fn what_is_due_and_cannot_be_read_holds_up_nobody(store: &dyn Store, spoil: impl Fn(&str)) {
    for (name, created_at) in [("B1", 1_000), ("B2", 2_000), ("B3", 3_000), ("B4", 4_000)] {
        create(store, &payment(name, created_at)).await.unwrap();
        let paid = store.payment(&tenant(), &number(name)).await.unwrap().unwrap();
        enter(store, &paid, refund(&paid, &format!("R-{name}"), 1)).await;
    }
    spoil("UPDATE payments SET state = 'disputed' WHERE out_trade_no = 'B1'");
    spoil("UPDATE payments SET metadata = 'torn' WHERE out_trade_no = 'B2'");
    spoil("UPDATE refunds SET state = 'disputed' WHERE out_refund_no = 'R-B1'");
    spoil("UPDATE refunds SET amount = -1 WHERE out_refund_no = 'R-B2'");
    assert_eq!(numbers(&take_payments(store, 99_000, 160_000, 10).await), ["B3", "B4"]);
    let refunds = take_refunds(store, 99_000, 160_000, 10).await;
    let mut numbers: Vec<&OutRefundNo> = refunds.iter().map(|refund| &refund.out_refund_no).collect();
    numbers.sort_unstable_by_key(|number| number.as_str());
    assert_eq!(numbers.iter().map(|number| number.as_str()).collect::<Vec<_>>(), ["R-B3", "R-B4"]);
    // Nor is it told again before its lease is over.
    for asked in [Asked::Payments, Asked::Refunds] {
        assert_eq!(store.questions().due(asked, at(99_000)).await.unwrap(), []);
    }
}
