//! Records to fill a store with.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use dukou_domain::{
    AttemptId, AttemptState, Currency, EventId, Method, Money, OutRefundNo, OutTradeNo, PaymentId, PaymentState,
    ProviderName, RefundId, RefundRequestId, RefundRequestState, RefundState, TenantId, Timestamp, TradeNo,
    TransactionId,
};
use dukou_engine::ports::{Change, PaymentKey, Store, StoreError, Target, View};
use dukou_engine::records::{
    Attempt, Check, EventKind, MessageKind, NewEvent, Notification, NotificationKey, Payment, Recorded, Refund,
    RefundRequest, Subject,
};
use dukou_spi::Prepay;
use uuid::Uuid;

pub fn tenant() -> TenantId {
    TenantId::new("bookshop").unwrap()
}

pub fn provider() -> ProviderName {
    ProviderName::new("wechat").unwrap()
}

pub fn number(text: &str) -> OutTradeNo {
    OutTradeNo::new(text).unwrap()
}

pub fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

pub fn fen(minor: i64) -> Money {
    Money::new(minor, Currency::Cny).unwrap()
}

pub fn payment(out_trade_no: &str, created_at: i64) -> Payment {
    Payment {
        id: PaymentId::from_uuid(Uuid::now_v7()),
        tenant: tenant(),
        out_trade_no: number(out_trade_no),
        amount: fen(101),
        description: "腾讯-图书".into(),
        attach: Some("shelf 7".into()),
        metadata: [("isbn".to_owned(), "978-7-302".to_owned())].into(),
        client_ip: "203.0.113.9".parse().unwrap(),
        state: PaymentState::Pending,
        late: false,
        refunded: fen(0),
        refunding: fen(0),
        created_at: at(created_at),
        updated_at: at(created_at),
        expires_at: at(created_at + 7_200_000),
        paid_at: None,
        transaction_id: None,
        failure: None,
        attempt: Attempt {
            id: AttemptId::from_uuid(Uuid::now_v7()),
            number: 1,
            provider: provider(),
            method: Method::Jsapi,
            trade_no: TradeNo::new(out_trade_no).unwrap(),
            app_id: "wx8888888888888888".into(),
            merchant_id: "1900000109".into(),
            openid: Some("oUpF8uMuAJO_M2pxb1Q9zNjWeS6o".into()),
            notify_url: "https://pay.example.com/notify/bookshop/wechat/payment".into(),
            prepay: Some(Prepay { token: "wx201410272009395522657a690389285100".into(), valid_until: at(9_000_000) }),
            state: AttemptState::Live,
            transaction_id: None,
            kind: "wechat-v2".into(),
        },
        others: Vec::new(),
        check: Some(Check { at: at(created_at + 5_000), asked: 0 }),
        version: 0,
    }
}

pub fn refund(payment: &Payment, out_refund_no: &str, minor: i64) -> Refund {
    Refund {
        id: RefundId::from_uuid(Uuid::now_v7()),
        tenant: payment.tenant.clone(),
        payment: payment.id,
        out_trade_no: payment.out_trade_no.clone(),
        out_refund_no: OutRefundNo::new(out_refund_no).unwrap(),
        provider: payment.attempt.provider.clone(),
        trade_no: payment.attempt.trade_no.clone(),
        amount: fen(minor),
        reason: Some("torn".into()),
        of_duplicate: false,
        notify_url: "https://pay.example.com/notify/bookshop/wechat/refund".into(),
        state: RefundState::Processing,
        provider_refund_id: None,
        failure: None,
        platform_word: None,
        created_at: payment.created_at,
        updated_at: payment.created_at,
        succeeded_at: None,
        check: Some(Check { at: at(payment.created_at.as_millis() + 5_000), asked: 0 }),
        version: 0,
    }
}

pub fn request(payment: &Payment, minor: i64) -> RefundRequest {
    RefundRequest {
        id: RefundRequestId::from_uuid(Uuid::now_v7()),
        tenant: payment.tenant.clone(),
        payment: payment.id,
        out_trade_no: payment.out_trade_no.clone(),
        openid: "o".into(),
        amount: fen(minor),
        reason: Some("破损".into()),
        state: RefundRequestState::Pending,
        out_refund_no: None,
        requested_at: at(5),
        decided_at: None,
        decided_by: None,
    }
}

pub fn event(kind: EventKind, subject: Subject) -> NewEvent {
    NewEvent { id: EventId::from_uuid(Uuid::now_v7()), tenant: tenant(), kind, at: at(1), subject }
}

pub fn key(digest: &str) -> NotificationKey {
    NotificationKey {
        tenant: tenant(),
        provider: provider(),
        kind: MessageKind::Payment,
        digest: format!("{digest:0>32}"),
    }
}

pub fn notification(key: &NotificationKey, outcome: Recorded, payment: Option<&Payment>) -> Notification {
    Notification {
        key: key.clone(),
        outcome,
        payment: payment.map(|payment| payment.id),
        trade_no: TradeNo::new("T1").unwrap(),
        received_at: at(5),
        body: Bytes::from_static(b"<xml><return_code>SUCCESS</return_code></xml>"),
    }
}

pub fn target(out_trade_no: &str) -> Target {
    Target::payment(tenant(), PaymentKey::OutTradeNo(number(out_trade_no)))
}

/// What a notify reads.
pub fn notify_target(trade_no: &str, key: &NotificationKey) -> Target {
    let payment = PaymentKey::TradeNo { provider: provider(), trade_no: TradeNo::new(trade_no).unwrap() };
    Target { notification: Some(key.clone()), ..Target::payment(tenant(), payment) }
}

/// What a notify of a payment's success writes; nothing when it was kept before.
pub fn settle(view: View, key: &NotificationKey) -> Change {
    if view.notification.is_some() {
        return Change::default();
    }
    let Some(mut payment) = view.payment else {
        return Change { notification: Some(notification(key, Recorded::UnknownOrder, None)), ..Change::default() };
    };
    payment.state = PaymentState::Succeeded;
    payment.paid_at = Some(at(7));
    payment.updated_at = at(7);
    payment.check = None;
    payment.transaction_id = Some(TransactionId::new("4200000000000000000000000001").unwrap());
    Change {
        notification: Some(notification(key, Recorded::Applied, Some(&payment))),
        events: vec![event(EventKind::PaymentSucceeded, Subject::Payment(Box::new(payment.clone())))],
        payment: Some(payment),
        ..Change::default()
    }
}

/// Applies and hands back what the last call of `decide` saw.
pub async fn apply(
    store: &dyn Store,
    target: Target,
    mut decide: impl FnMut(&View) -> Change + Send + 'static,
) -> Result<View, StoreError> {
    let seen = Arc::new(Mutex::new(View::default()));
    let kept = Arc::clone(&seen);
    store
        .apply(
            target,
            Box::new(move |view| {
                let change = decide(&view);
                *kept.lock().unwrap() = view;
                change
            }),
        )
        .await?;
    let view = seen.lock().unwrap().clone();
    Ok(view)
}

/// Enters a payment with the event that tells of it.
pub async fn create(store: &dyn Store, payment: &Payment) -> Result<(), StoreError> {
    let payment = payment.clone();
    let target = target(payment.out_trade_no.as_str());
    apply(store, target, move |_| Change {
        events: vec![event(EventKind::PaymentCreated, Subject::Payment(Box::new(payment.clone())))],
        payment: Some(payment.clone()),
        ..Change::default()
    })
    .await
    .map(|_| ())
}

/// Settles a payment by its notify; `true` when this call did it.
pub async fn notify(store: &dyn Store, trade_no: &str, digest: &str) -> Result<bool, StoreError> {
    let key = key(digest);
    let view = apply(store, notify_target(trade_no, &key), {
        let key = key.clone();
        move |view| settle(view.clone(), &key)
    })
    .await?;
    Ok(view.notification.is_none() && view.payment.is_some())
}
