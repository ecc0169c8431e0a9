//! What every store must do, whichever database is behind it.

use std::future::Future;

use bytes::Bytes;
use dukou_domain::{Currency, EventId, Money, PaymentState, ProviderName, RefundState, TenantId, TradeNo};
use dukou_engine::open::{OldestOpen, OpenKind};
use dukou_engine::ports::{Change, Old, Store, StoreError, Target};
use dukou_engine::records::{
    Begun, Difference, EventKind, IdempotentCall, NewEvent, Notification, NotificationKey, PageCursor, PaymentFilter,
    Recorded, StoredAnswer, Subject,
};
use uuid::Uuid;

use crate::records::*;
use crate::{history_behaviour, number_behaviour};

/// Runs all of it, each part on a new store.
pub async fn all<S: Store, F: Future<Output = S>>(new: impl Fn() -> F) {
    what_was_entered_is_read_back(&new().await).await;
    an_empty_change_writes_nothing(&new().await).await;
    one_number_is_one_payment(&new().await).await;
    an_old_version_is_refused(&new().await).await;
    a_notify_counts_once(&new().await).await;
    copies_at_once_count_once(&new().await).await;
    an_unknown_order_may_be_known_later(&new().await).await;
    a_second_attempt_is_found_by_either_number(&new().await).await;
    number_behaviour::a_payment_is_found_by_the_platforms_numbers(&new().await).await;
    refunds_are_entered_and_found(&new().await).await;
    one_refund_number_is_one_refund(&new().await).await;
    the_event_log_keeps_its_order(&new().await).await;
    whoever_follows_the_log_sees_all_tenants_and_is_woken(&new().await).await;
    every_subject_reads_back(&new().await).await;
    pages_are_complete_and_newest_first(&new().await).await;
    what_waits_longest_is_found(&new().await).await;
    calls_run_once(&new().await).await;
    f12_who_was_frozen_in_a_call_answers_nobody(&new().await).await;
    calls_are_forgotten(&new().await).await;
    old_messages_are_forgotten_and_change_nothing(&new().await).await;
    history_behaviour::what_happened_to_a_payment_is_found(&new().await).await;
    history_behaviour::what_is_old_is_deleted_behind_what_is_not(&new().await).await;
    history_behaviour::what_somebody_should_look_into_is_found(&new().await).await;
    history_behaviour::what_a_buyer_asks_for_waits_until_it_is_decided(&new().await).await;
    a_secret_is_made_once(&new().await).await;
    a_panic_hurts_nobody_else(&new().await).await;
    a_failing_change_leaves_nothing(&new().await).await;
}

async fn what_was_entered_is_read_back(store: &dyn Store) {
    let mut entered = payment("B1", 1_000);
    create(store, &entered).await.unwrap();
    entered.version = 1;
    assert_eq!(store.payment(&tenant(), &number("B1")).await.unwrap(), Some(entered.clone()));
    let other = TenantId::new("other").unwrap();
    assert_eq!(store.payment(&other, &number("B1")).await.unwrap(), None);

    // With every optional field the other way round: what the merchant asked for, which hardly changes, ...
    let mut plain = payment("B2", 1_000);
    plain.attach = None;
    plain.metadata.clear();
    plain.client_ip = "2001:db8::1".parse().unwrap();
    create(store, &plain).await.unwrap();
    plain.version = 1;
    assert_eq!(store.payment(&tenant(), &number("B2")).await.unwrap(), Some(plain));

    // ... and what became of it.
    let mut changed = entered.clone();
    changed.state = PaymentState::Failed;
    changed.late = true;
    changed.refunded = fen(1);
    changed.refunding = fen(2);
    changed.paid_at = Some(at(3));
    changed.failure = Some(dukou_engine::records::Failure { code: None, message: "余额不足".into() });
    changed.check = None;
    changed.attempt.openid = None;
    changed.attempt.prepay = None;
    changed.client_ip = "2001:db8::7".parse().unwrap();
    let write = changed.clone();
    apply(store, target("B1"), move |_| Change { payment: Some(write.clone()), ..Change::default() }).await.unwrap();
    changed.version = 2;
    assert_eq!(store.payment(&tenant(), &number("B1")).await.unwrap(), Some(changed.clone()));
    let seen = apply(store, target("B1"), |_| Change::default()).await.unwrap();
    assert_eq!(seen.payment, Some(changed));
    store.ready().await.unwrap();
}

async fn an_empty_change_writes_nothing(store: &dyn Store) {
    create(store, &payment("B1", 1_000)).await.unwrap();
    let before = store.position().await.unwrap();
    apply(store, target("B1"), |_| Change::default()).await.unwrap();
    assert_eq!(store.position().await.unwrap(), before);
    assert_eq!(store.payment(&tenant(), &number("B1")).await.unwrap().unwrap().version, 1);
}

async fn one_number_is_one_payment(store: &dyn Store) {
    create(store, &payment("B1", 1_000)).await.unwrap();
    let error = create(store, &payment("B1", 1_000)).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict(_)), "{error}");
    assert_eq!(store.events(&tenant(), 0, 10).await.unwrap().len(), 1);
    // The same number at the platform cannot stand for two payments either.
    let mut second = payment("B2", 1_000);
    second.attempt.trade_no = TradeNo::new("B1").unwrap();
    let error = create(store, &second).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict(_)), "{error}");
    assert_eq!(store.payment(&tenant(), &number("B2")).await.unwrap(), None);
}

async fn an_old_version_is_refused(store: &dyn Store) {
    create(store, &payment("B1", 1_000)).await.unwrap();
    let mut old = store.payment(&tenant(), &number("B1")).await.unwrap().unwrap();
    notify(store, "B1", "a").await.unwrap();
    old.state = PaymentState::Closed;
    let error = apply(store, target("B1"), move |_| Change { payment: Some(old.clone()), ..Change::default() })
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Conflict(_)), "{error}");
    let kept = store.payment(&tenant(), &number("B1")).await.unwrap().unwrap();
    assert_eq!((kept.state, kept.version), (PaymentState::Succeeded, 2));
}

async fn a_notify_counts_once(store: &dyn Store) {
    create(store, &payment("B1", 1_000)).await.unwrap();
    assert!(notify(store, "B1", "a").await.unwrap());
    assert!(!notify(store, "B1", "a").await.unwrap());
    let seen = apply(store, notify_target("B1", &key("a")), |_| Change::default()).await.unwrap();
    assert_eq!(seen.notification, Some(Recorded::Applied));
    let mut refund_kind = key("a");
    refund_kind.kind = dukou_engine::records::MessageKind::Refund;
    let seen = apply(store, notify_target("B1", &refund_kind), |_| Change::default()).await.unwrap();
    assert_eq!(seen.notification, None);
}

async fn copies_at_once_count_once(store: &dyn Store) {
    create(store, &payment("B1", 1_000)).await.unwrap();
    let copies = (0..200).map(|_| notify(store, "B1", "a"));
    let applied = join_all(copies).await.into_iter().filter(|applied| *applied.as_ref().unwrap()).count();
    assert_eq!(applied, 1);
    assert_eq!(store.events(&tenant(), 0, 100).await.unwrap().len(), 2);
    assert_eq!(store.payment(&tenant(), &number("B1")).await.unwrap().unwrap().version, 2);
}

async fn an_unknown_order_may_be_known_later(store: &dyn Store) {
    assert!(!notify(store, "B1", "a").await.unwrap());
    let seen = apply(store, notify_target("B1", &key("a")), |_| Change::default()).await.unwrap();
    assert_eq!((seen.payment, seen.notification), (None, Some(Recorded::UnknownOrder)));

    create(store, &payment("B1", 1_000)).await.unwrap();
    let known = key("a");
    apply(store, notify_target("B1", &key("a")), move |view| {
        settle(dukou_engine::ports::View { notification: None, ..view.clone() }, &known)
    })
    .await
    .unwrap();
    let seen = apply(store, notify_target("B1", &key("a")), |_| Change::default()).await.unwrap();
    assert_eq!(seen.notification, Some(Recorded::Applied));
    assert_eq!(seen.payment.unwrap().state, PaymentState::Succeeded);
}

async fn a_second_attempt_is_found_by_either_number(store: &dyn Store) {
    create(store, &payment("B1", 1_000)).await.unwrap();
    apply(store, target("B1"), |view| {
        let mut payment = view.payment.clone().unwrap();
        payment.attempt.id = dukou_domain::AttemptId::from_uuid(Uuid::now_v7());
        payment.attempt.number = 2;
        payment.attempt.trade_no = TradeNo::new("B1-2").unwrap();
        payment.attempt.prepay = None;
        Change { payment: Some(payment), ..Change::default() }
    })
    .await
    .unwrap();
    for trade_no in ["B1", "B1-2"] {
        let seen = apply(store, notify_target(trade_no, &key("a")), |_| Change::default()).await.unwrap();
        let attempt = seen.payment.unwrap().attempt;
        assert_eq!((attempt.number, attempt.trade_no.as_str()), (2, "B1-2"), "{trade_no}");
    }
}

async fn refunds_are_entered_and_found(store: &dyn Store) {
    create(store, &payment("B1", 1_000)).await.unwrap();
    let paid = store.payment(&tenant(), &number("B1")).await.unwrap().unwrap();
    let (mut first, mut second) = (refund(&paid, "R-1", 50), refund(&paid, "R@2", 51));
    for new in [&first, &second] {
        let new = new.clone();
        apply(store, target("B1"), move |view| {
            let mut payment = view.payment.clone().unwrap();
            payment.refunding = payment.refunding.checked_add(new.amount).unwrap();
            Change { payment: Some(payment), refund: Some(new.clone()), ..Change::default() }
        })
        .await
        .unwrap();
    }
    first.version = 1;
    second.version = 1;
    assert_eq!(store.refunds(&tenant(), paid.id).await.unwrap(), [first.clone(), second.clone()]);
    assert_eq!(store.refund(&tenant(), &second.out_refund_no).await.unwrap(), Some(second.clone()));
    assert_eq!(store.refund(&TenantId::new("other").unwrap(), &second.out_refund_no).await.unwrap(), None);

    let of_refund = Target::refund(tenant(), second.out_refund_no.clone());
    let seen = apply(store, of_refund, |view| {
        let mut refund = view.refund.clone().unwrap();
        refund.state = RefundState::Succeeded;
        refund.provider_refund_id = Some(dukou_domain::ProviderRefundId::new("5030").unwrap());
        refund.platform_word = Some("SUCCESS".into());
        refund.failure = Some(dukou_engine::records::Failure { code: Some("X".into()), message: "y".into() });
        refund.succeeded_at = Some(at(9));
        refund.check = None;
        Change { refund: Some(refund), ..Change::default() }
    })
    .await
    .unwrap();
    assert_eq!(seen.payment.unwrap().refunding, fen(101));
    assert_eq!(seen.refund, Some(second.clone()));
    let kept = store.refund(&tenant(), &second.out_refund_no).await.unwrap().unwrap();
    assert_eq!((kept.state, kept.version, kept.check), (RefundState::Succeeded, 2, None));
    assert_eq!(kept.platform_word.as_deref(), Some("SUCCESS"));
}

async fn one_refund_number_is_one_refund(store: &dyn Store) {
    create(store, &payment("B1", 1_000)).await.unwrap();
    create(store, &payment("B2", 1_000)).await.unwrap();
    let mut outcomes = Vec::new();
    for paid in ["B1", "B2"] {
        let new = refund(&store.payment(&tenant(), &number(paid)).await.unwrap().unwrap(), "R-1", 50);
        outcomes.push(
            apply(store, target(paid), move |view| {
                let mut payment = view.payment.clone().unwrap();
                payment.refunding = fen(50);
                Change { payment: Some(payment), refund: Some(new.clone()), ..Change::default() }
            })
            .await,
        );
    }
    assert!(outcomes[0].is_ok());
    assert!(matches!(outcomes[1], Err(StoreError::Conflict(_))), "{outcomes:?}");
    // The refused change was taken back whole.
    let second = store.payment(&tenant(), &number("B2")).await.unwrap().unwrap();
    assert_eq!((second.refunding, second.version), (fen(0), 1));
}

async fn the_event_log_keeps_its_order(store: &dyn Store) {
    assert_eq!(store.position().await.unwrap(), 0);
    for name in ["B1", "B2", "B3"] {
        create(store, &payment(name, 1_000)).await.unwrap();
        notify(store, name, name).await.unwrap();
    }
    let events = store.events(&tenant(), 0, 100).await.unwrap();
    assert_eq!(events.len(), 6);
    assert!(events.windows(2).all(|pair| pair[0].position < pair[1].position));
    assert_eq!(store.position().await.unwrap(), events[5].position);
    let rest = store.events(&tenant(), events[1].position, 2).await.unwrap();
    assert_eq!(rest, events[2..4]);
    assert_eq!(store.event_position(&tenant(), events[3].event.id).await.unwrap(), Some(events[3].position));
    let other = TenantId::new("other").unwrap();
    assert_eq!(store.event_position(&other, events[3].event.id).await.unwrap(), None);
    assert_eq!(store.event_position(&tenant(), EventId::from_uuid(Uuid::nil())).await.unwrap(), None);
    assert!(store.events(&other, 0, 10).await.unwrap().is_empty());
}

async fn whoever_follows_the_log_sees_all_tenants_and_is_woken(store: &dyn Store) {
    let mut committed = store.watch();
    assert_eq!(*committed.borrow_and_update(), 0);
    create(store, &payment("B1", 1_000)).await.unwrap();
    apply(store, target("B1"), |_| Change::default()).await.unwrap();
    assert!(committed.has_changed().unwrap());
    assert_eq!(*committed.borrow_and_update(), store.position().await.unwrap());
    let other = TenantId::new("other").unwrap();
    let theirs = NewEvent { tenant: other.clone(), ..store.events_from(0, 1).await.unwrap().remove(0).event };
    let theirs = NewEvent { id: EventId::from_uuid(Uuid::now_v7()), ..theirs };
    apply(store, target("B1"), move |_| Change { events: vec![theirs.clone()], ..Change::default() }).await.unwrap();
    let all = store.events_from(0, 10).await.unwrap();
    assert_eq!(all.iter().map(|event| &event.event.tenant).collect::<Vec<_>>(), [&tenant(), &other]);
    assert_eq!(*committed.borrow_and_update(), all[1].position);
    assert_eq!(store.events_from(all[0].position, 10).await.unwrap(), all[1..]);
    assert_eq!(store.events_from(0, 1).await.unwrap(), all[..1]);
}

async fn every_subject_reads_back(store: &dyn Store) {
    let paid = payment("B1", 1_000);
    let mut bare = payment("B2", 1_000);
    bare.attach = None;
    bare.metadata.clear();
    bare.attempt.prepay = None;
    bare.check = None;
    bare.failure =
        Some(dukou_engine::records::Failure { code: Some("NOTENOUGH".into()), message: "\"余额\"\n".into() });
    let events = vec![
        event(EventKind::PaymentCreated, Subject::Payment(Box::new(paid.clone()))),
        event(EventKind::PaymentFailed, Subject::Payment(Box::new(bare))),
        event(EventKind::RefundCreated, Subject::Refund(Box::new(refund(&paid, "R-1", 1)))),
        event(
            EventKind::PaymentMismatch,
            Subject::Mismatch {
                payment: Box::new(paid),
                differences: vec![Difference { field: "amount".into(), recorded: "101".into(), received: "1".into() }],
            },
        ),
        event(
            EventKind::PaymentUnknownOrder,
            Subject::UnknownOrder {
                provider: provider(),
                trade_no: TradeNo::new("T1").unwrap(),
                transaction_id: None,
                amount: Money::new(7, Currency::named("USD")).ok(),
            },
        ),
    ];
    let write = events.clone();
    apply(store, target("B9"), move |_| Change { events: write.clone(), ..Change::default() }).await.unwrap();
    let read: Vec<_> = store.events(&tenant(), 0, 100).await.unwrap().into_iter().map(|event| event.event).collect();
    assert_eq!(read, events);
}

async fn pages_are_complete_and_newest_first(store: &dyn Store) {
    // Several at the same moment, so that the cursor has to tell them apart.
    for index in 0..25_i64 {
        create(store, &payment(&format!("B{index}"), 1_000 + index / 4)).await.unwrap();
        if index % 3 == 0 {
            notify(store, &format!("B{index}"), &index.to_string()).await.unwrap();
        }
    }
    let mut other = payment("B1", 5_000);
    other.tenant = TenantId::new("other").unwrap();
    create(store, &other).await.unwrap();

    for (state, after, expected) in [
        (None, None, 25),
        (Some(PaymentState::Succeeded), None, 9),
        (Some(PaymentState::Pending), None, 16),
        (Some(PaymentState::Closed), None, 0),
        (None, Some(at(1_003)), 9),
        (Some(PaymentState::Pending), Some(at(1_003)), 6),
    ] {
        let mut seen = Vec::new();
        let mut cursor: Option<PageCursor> = None;
        loop {
            let filter = PaymentFilter { tenant: tenant(), state, created_after: after, cursor, limit: 4 };
            let page = store.payments(filter).await.unwrap();
            assert!(page.items.len() <= 4);
            seen.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen.len(), expected, "{state:?} {after:?}");
        let order: Vec<_> = seen.iter().map(|payment| (payment.created_at, payment.id)).collect();
        assert!(order.windows(2).all(|pair| pair[0] > pair[1]), "{order:?}");
        assert!(seen.iter().all(|payment| state.is_none_or(|state| payment.state == state)));
    }
}

fn call(key: &str, owner: u128, now: i64) -> IdempotentCall {
    IdempotentCall {
        tenant: tenant(),
        key: key.into(),
        fingerprint: "f".into(),
        made_number: format!("made-{owner}"),
        owner: Uuid::from_u128(owner),
        now: at(now),
    }
}

async fn what_waits_longest_is_found(store: &dyn Store) {
    assert_eq!(store.oldest_open().await.unwrap(), []);
    for (name, created_at, state) in [
        ("B1", 1_000, PaymentState::Succeeded),
        ("B2", 3_000, PaymentState::Unknown),
        ("B3", 2_000, PaymentState::Unknown),
        ("B4", 4_000, PaymentState::Pending),
        ("B5", 5_000, PaymentState::Pending),
    ] {
        let mut new = payment(name, created_at);
        new.state = state;
        // The one made later ends sooner.
        new.expires_at = at(9_000_000 - created_at);
        create(store, &new).await.unwrap();
    }
    let paid = store.payment(&tenant(), &number("B1")).await.unwrap().unwrap();
    for (name, state, updated_at) in [
        ("R-1", RefundState::Processing, 70),
        ("R-2", RefundState::Processing, 60),
        ("R-3", RefundState::Unknown, 80),
        ("R-4", RefundState::Created, 10),
        ("R-6", RefundState::Processing, 50),
        ("R-5", RefundState::Failed, 10),
    ] {
        let mut new = refund(&paid, name, 1);
        new.state = state;
        new.updated_at = at(updated_at);
        if state == RefundState::Failed {
            new.check = None;
        }
        if name == "R-6" {
            new.provider = ProviderName::new("alipay").unwrap();
        }
        apply(store, target("B1"), move |_| Change { refund: Some(new.clone()), ..Change::default() }).await.unwrap();
    }
    // What was asked for and never got there has waited since then, however often it was tried since.
    let mut unsent = refund(&paid, "R-7", 1);
    (unsent.state, unsent.created_at, unsent.updated_at) = (RefundState::Created, at(30), at(90));
    apply(store, target("B1"), move |_| Change { refund: Some(unsent.clone()), ..Change::default() }).await.unwrap();
    let mut found = store.oldest_open().await.unwrap();
    found.sort_by_key(|one| one.kind.as_str());
    let expected = [
        (OpenKind::PaymentOverdue, 8_995_000),
        (OpenKind::PaymentUnknown, 2_000),
        (OpenKind::QuestionDue, 6_000),
        (OpenKind::RefundProcessing, 50),
        (OpenKind::RefundUnknown, 80),
        (OpenKind::RefundUnsent, 30),
    ];
    assert_eq!(found, expected.map(|(kind, since)| OldestOpen { tenant: tenant(), kind, since: at(since) }));
}

async fn calls_run_once(store: &dyn Store) {
    let run = |number: &str| Begun::Run { made_number: number.into() };
    let answer = StoredAnswer { status: 201, content_type: "application/json".into(), body: Bytes::from_static(b"{}") };
    assert_eq!(store.begin_call(call("k", 1, 1)).await.unwrap(), run("made-1"));
    assert_eq!(store.begin_call(call("k", 1, 2)).await.unwrap(), Begun::InProgress);
    let other = IdempotentCall { fingerprint: "g".into(), ..call("k", 1, 2) };
    assert_eq!(store.begin_call(other.clone()).await.unwrap(), Begun::Conflict);
    // Given up, it may be made again, also with another body.
    store.end_call(&tenant(), "k", Uuid::from_u128(1), None).await.unwrap();
    assert_eq!(store.begin_call(other).await.unwrap(), run("made-1"));
    store.end_call(&tenant(), "k", Uuid::from_u128(1), Some(answer.clone())).await.unwrap();
    let again = IdempotentCall { fingerprint: "g".into(), ..call("k", 2, 2) };
    assert_eq!(store.begin_call(again.clone()).await.unwrap(), Begun::Answered(answer.clone()));
    // An answer stays.
    store.end_call(&tenant(), "k", Uuid::from_u128(1), None).await.unwrap();
    assert_eq!(store.begin_call(again).await.unwrap(), Begun::Answered(answer));
    let elsewhere = IdempotentCall { tenant: TenantId::new("other").unwrap(), ..call("k", 3, 3) };
    assert_eq!(store.begin_call(elsewhere).await.unwrap(), run("made-3"));
}

/// Watches: the owner in the condition of the write. Without it, the first process answers for the second, or opens the
/// key to a third run.
async fn f12_who_was_frozen_in_a_call_answers_nobody(store: &dyn Store) {
    let [frozen, holder] = [1, 2];
    store.begin_call(call("k", frozen, 1)).await.unwrap();
    let taken_over = store.begin_call(call("k", holder, 2)).await.unwrap();
    assert_eq!(taken_over, Begun::Run { made_number: "made-1".into() }, "under the number of the first");
    let answer = |word: &'static [u8]| StoredAnswer {
        status: 201,
        content_type: "application/json".into(),
        body: Bytes::from_static(word),
    };
    let end = async |owner, answer| store.end_call(&tenant(), "k", Uuid::from_u128(owner), answer).await.unwrap();
    for late in [Some(answer(b"late")), None] {
        end(frozen, late.clone()).await;
        assert_eq!(store.begin_call(call("k", holder, 3)).await.unwrap(), Begun::InProgress, "the second is at it");
    }
    end(holder, Some(answer(b"true"))).await;
    end(frozen, Some(answer(b"late"))).await;
    end(frozen, None).await;
    assert_eq!(store.begin_call(call("k", frozen, 4)).await.unwrap(), Begun::Answered(answer(b"true")));
}

async fn calls_are_forgotten(store: &dyn Store) {
    for index in 0..5 {
        store.begin_call(call(&format!("k{index}"), 1, index)).await.unwrap();
    }
    assert_eq!(store.forget(Old::Calls, at(3), 2).await.unwrap(), 2);
    assert_eq!(store.forget(Old::Calls, at(3), 2).await.unwrap(), 1);
    assert_eq!(store.forget(Old::Calls, at(3), 2).await.unwrap(), 0);
    assert_eq!(store.begin_call(call("k4", 1, 9)).await.unwrap(), Begun::InProgress);
}

async fn old_messages_are_forgotten_and_change_nothing(store: &dyn Store) {
    create(store, &payment("B1", 1_000)).await.unwrap();
    for index in 0..5_u8 {
        let told =
            Notification { received_at: at(index.into()), ..notification(&told(index), Recorded::Applied, None) };
        let change = Change { notification: Some(told), ..Change::default() };
        apply(store, target("B1"), move |_| change.clone()).await.unwrap();
    }
    for deleted in [2, 1, 0] {
        assert_eq!(store.forget(Old::Notifications, at(3), 2).await.unwrap(), deleted);
    }
    for (index, kept) in [(0, false), (2, false), (3, true), (4, true)] {
        let seen = apply(store, notify_target("B1", &told(index)), |_| Change::default()).await.unwrap();
        assert_eq!((seen.notification.is_some(), seen.payment.is_some()), (kept, true), "{index}");
    }
}

fn told(index: u8) -> NotificationKey {
    key(&index.to_string())
}

async fn a_secret_is_made_once(store: &dyn Store) {
    let (one, same, other) =
        tokio::join!(store.secret("sessions"), store.secret("sessions"), store.secret("something else"));
    let (one, same, other) = (one.unwrap(), same.unwrap(), other.unwrap());
    assert!(one.matches(same.expose().as_bytes()) && !one.matches(other.expose().as_bytes()));
    assert_eq!(hex::decode(one.expose()).unwrap().len(), 32);
}

async fn a_panic_hurts_nobody_else(store: &dyn Store) {
    let broken = apply(store, target("B1"), |_| panic!("on purpose"));
    let entered = payment("B2", 1_000);
    let (broken, well) = tokio::join!(broken, create(store, &entered));
    assert!(matches!(broken, Err(StoreError::Unavailable(_))), "{broken:?}");
    well.unwrap();
    store.ready().await.unwrap();
}

/// A change that fails after it wrote something, among neighbours that share its commit.
async fn a_failing_change_leaves_nothing(store: &dyn Store) {
    create(store, &payment("B0", 1_000)).await.unwrap();
    let taken = store.events(&tenant(), 0, 1).await.unwrap().remove(0).event;
    let well: Vec<_> = (1..=20).map(|index| payment(&format!("B{index}"), 1_000)).collect();
    let broken = (0..3).map(|index| {
        let (half, taken) = (payment(&format!("half{index}"), 1_000), taken.clone());
        // The event's id is in use, which shows after the payment was written.
        apply(store, target("half"), move |_| Change {
            payment: Some(half.clone()),
            events: vec![taken.clone()],
            ..Change::default()
        })
    });
    let (broken, entered) = tokio::join!(join_all(broken), join_all(well.iter().map(|payment| create(store, payment))));
    assert!(broken.iter().all(|outcome| matches!(outcome, Err(StoreError::Conflict(_)))), "{broken:?}");
    for outcome in entered {
        outcome.unwrap();
    }
    for index in 0..3 {
        assert_eq!(store.payment(&tenant(), &number(&format!("half{index}"))).await.unwrap(), None);
    }
    let events = store.events(&tenant(), 0, 100).await.unwrap();
    assert_eq!(events.len(), 21);
    assert_eq!(store.position().await.unwrap(), events[20].position);
}

/// Runs the futures together on this task.
pub async fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut pending = false;
        for (future, output) in &mut futures {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *output = Some(value),
                    std::task::Poll::Pending => pending = true,
                }
            }
        }
        if pending { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
    futures.into_iter().filter_map(|(_, output)| output).collect()
}
