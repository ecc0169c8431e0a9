//! What every store must find of one payment's history.

use dukou_domain::{OutRefundNo, RefundRequestState, TenantId};
use dukou_engine::ports::{Change, Old, Store};
use dukou_engine::records::{
    CallOutcome, EventKind, NewEvent, Notification, Payment, PlatformCall, Recorded, RefundRequest, Subject,
};

use crate::records::*;

fn call(payment: &Payment, operation: &str, millis: i64) -> PlatformCall {
    PlatformCall {
        tenant: tenant(),
        payment: payment.id,
        refund: None,
        provider: payment.attempt.provider.clone(),
        operation: operation.to_owned(),
        at: at(millis),
        millis: 12,
        outcome: CallOutcome::Ok,
        code: None,
        message: None,
        request_id: Some("08F1".to_owned()),
    }
}

/// As after a start under a clock that was ahead: what was written first has a time that is not old, and stands before
/// all that is.
pub async fn what_is_old_is_deleted_behind_what_is_not(store: &dyn Store) {
    let one = payment("B1", 1_000);
    create(store, &one).await.unwrap();
    let times = [900, 901, 902, 1, 2, 903, 3, 4, 5];
    for (index, millis) in times.into_iter().enumerate() {
        let told = notification(&key(&index.to_string()), Recorded::Applied, None);
        let told = Notification { received_at: at(millis), ..told };
        let change = Change { notification: Some(told), ..Change::default() };
        apply(store, target("B1"), move |_| change.clone()).await.unwrap();
        store.history().keep_calls(vec![call(&one, "query", millis)]).await.unwrap();
    }
    for what in [Old::Notifications, Old::PlatformCalls] {
        let mut deleted = Vec::new();
        for _ in 0..4 {
            deleted.push(store.forget(what, at(100), 2).await.unwrap());
        }
        assert_eq!(deleted, [2, 2, 1, 0], "{what:?}");
    }
    let kept = store.history().calls_about(&tenant(), one.id, 100).await.unwrap();
    assert!(kept.len() == 4 && kept.iter().all(|call| call.at >= at(900)), "{kept:?}");
}

pub async fn what_happened_to_a_payment_is_found(store: &dyn Store) {
    let (one, other) = (payment("B1", 1_000), payment("B12", 1_000));
    for payment in [&one, &other] {
        create(store, payment).await.unwrap();
    }
    for number in ["B1", "B12"] {
        notify(store, number, &format!("{number}:{:032x}", 7)).await.unwrap();
    }
    let lost = PlatformCall {
        refund: Some(OutRefundNo::new("R-1").unwrap()),
        outcome: CallOutcome::Unknown,
        code: Some("SYSTEMERROR".into()),
        message: Some("no answer".into()),
        request_id: None,
        ..call(&one, "refund", 9)
    };
    let calls = vec![call(&one, "pay", 1), call(&other, "pay", 1), call(&one, "query", 5), lost.clone()];
    let history = store.history();
    history.keep_calls(calls.clone()).await.unwrap();
    let kept = history.calls_about(&tenant(), one.id, 100).await.unwrap();
    assert_eq!(kept, [calls[0].clone(), calls[2].clone(), lost.clone()]);
    assert_eq!(history.calls_about(&tenant(), one.id, 1).await.unwrap(), [lost], "the newest are kept");

    let events = history.events_about(&tenant(), one.id, 100).await.unwrap();
    assert!(!events.is_empty() && events.iter().all(|event| event.event.subject.payment() == Some(one.id)));
    assert!(events.is_sorted_by_key(|event| event.position));
    let all = store.events(&tenant(), 0, 100).await.unwrap();
    assert_eq!(events, all.into_iter().filter(|e| e.event.subject.payment() == Some(one.id)).collect::<Vec<_>>());

    let messages = history.messages_about(&tenant(), vec!["B1".to_owned()], 100).await.unwrap();
    assert_eq!(messages.len(), 1, "another number that begins alike is another's");
    assert_eq!(messages[0].payment, Some(one.id));
    assert!(history.messages_about(&tenant(), vec!["B".to_owned()], 100).await.unwrap().is_empty());

    let stranger = TenantId::new("other").unwrap();
    assert!(history.calls_about(&stranger, one.id, 100).await.unwrap().is_empty());
    assert!(history.events_about(&stranger, one.id, 100).await.unwrap().is_empty());
    assert!(history.messages_about(&stranger, vec!["B1".to_owned()], 100).await.unwrap().is_empty());

    assert_eq!(store.forget(Old::PlatformCalls, at(5), 100).await.unwrap(), 2);
    assert_eq!(history.calls_about(&tenant(), one.id, 100).await.unwrap().len(), 2);
}

pub async fn what_somebody_should_look_into_is_found(store: &dyn Store) {
    let one = payment("B1", 1_000);
    create(store, &one).await.unwrap();
    let troubles = [
        EventKind::PaymentMismatch,
        EventKind::PaymentUnknownOrder,
        EventKind::PaymentDuplicate,
        EventKind::RefundFailed,
        EventKind::RefundAbnormal,
    ];
    for (millis, kind) in (1..).zip(troubles.into_iter().chain([EventKind::PaymentSucceeded])) {
        let happened = NewEvent { at: at(millis), ..event(kind, Subject::Payment(Box::new(one.clone()))) };
        apply(store, target("B1"), move |_| Change { events: vec![happened.clone()], ..Change::default() })
            .await
            .unwrap();
    }
    let found = async |tenant: &TenantId, since, limit| {
        let found = store.history().troubles(tenant, at(since), limit).await.unwrap();
        found.into_iter().map(|event| event.event.kind).collect::<Vec<_>>()
    };
    let newest_first: Vec<EventKind> = troubles.into_iter().rev().collect();
    assert_eq!(found(&tenant(), 0, 10).await, newest_first);
    assert_eq!(found(&tenant(), 4, 10).await, newest_first[..2]);
    assert_eq!(found(&tenant(), 0, 3).await, newest_first[..3]);
    assert!(found(&TenantId::new("other").unwrap(), 0, 10).await.is_empty());
}

pub async fn what_a_buyer_asks_for_waits_until_it_is_decided(store: &dyn Store) {
    let (one, other) = (payment("B1", 1_000), payment("B2", 1_000));
    for payment in [&one, &other] {
        create(store, payment).await.unwrap();
    }
    let put = async |number: &str, request: &RefundRequest| {
        let request = request.clone();
        apply(store, target(number), move |_| Change { request: Some(request.clone()), ..Change::default() })
            .await
            .unwrap();
    };
    let pending = async |payment: &Payment| store.pending_request(&tenant(), payment.id).await.unwrap();
    let (asked, others) = (request(&one, 50), request(&other, 50));
    put("B1", &asked).await;
    put("B2", &others).await;
    assert_eq!(pending(&one).await, Some(asked.clone()));
    let stranger = TenantId::new("other").unwrap();
    assert_eq!(store.pending_request(&stranger, one.id).await.unwrap(), None);

    let decided = |state| RefundRequest { state, decided_at: Some(at(9)), ..asked.clone() };
    put("B1", &decided(RefundRequestState::Rejected)).await;
    assert_eq!(pending(&one).await, None);
    let again = request(&one, 40);
    put("B1", &again).await;
    assert_eq!(pending(&one).await, Some(again.clone()), "another may follow");
    put("B1", &RefundRequest { id: again.id, ..decided(RefundRequestState::Approved) }).await;
    assert_eq!((pending(&one).await, pending(&other).await), (None, Some(others)));
}
