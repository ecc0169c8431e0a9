//! Records for the tests of this crate.

use std::collections::BTreeMap;

use dukou_domain::{
    AttemptId, AttemptState, Currency, Method, Money, OutRefundNo, OutTradeNo, PaymentId, PaymentState, ProviderName,
    RefundId, RefundState, TenantId, Timestamp, TradeNo,
};
use dukou_engine::records::{Attempt, Failure, Payment, Refund};
use uuid::Uuid;

pub fn moment() -> Timestamp {
    Timestamp::from_millis(1_795_424_400_123)
}

pub fn tenant_id() -> TenantId {
    TenantId::new("bookshop").unwrap()
}

fn fen(minor: i64) -> Money {
    Money::new(minor, Currency::Cny).unwrap()
}

pub fn payment() -> Payment {
    Payment {
        id: PaymentId::from_uuid(Uuid::from_u128(1)),
        tenant: tenant_id(),
        out_trade_no: OutTradeNo::new("B20261123-0001").unwrap(),
        amount: fen(101),
        description: "腾讯-图书".into(),
        attach: Some("shelf 7".into()),
        metadata: BTreeMap::from([("shelf".into(), "7".into())]),
        client_ip: "203.0.113.9".parse().unwrap(),
        state: PaymentState::Pending,
        late: false,
        refunded: fen(0),
        refunding: fen(0),
        created_at: moment(),
        updated_at: moment(),
        expires_at: Timestamp::from_millis(1_795_428_000_000),
        paid_at: None,
        transaction_id: None,
        failure: None,
        attempt: Attempt {
            id: AttemptId::from_uuid(Uuid::from_u128(2)),
            number: 1,
            provider: ProviderName::new("wechat").unwrap(),
            method: Method::Jsapi,
            trade_no: TradeNo::new("B20261123-0001").unwrap(),
            app_id: "wx1".into(),
            merchant_id: "1900000109".into(),
            openid: Some("oUpF8uMuAJO_M2pxb1Q9zNjWeS6o".into()),
            notify_url: "https://pay.example.com/notify/bookshop/wechat/payment".into(),
            state: AttemptState::Paid,
            transaction_id: None,
            prepay: None,
            kind: "wechat-v2".into(),
        },
        others: Vec::new(),
        check: None,
        version: 2,
    }
}

pub fn refund() -> Refund {
    Refund {
        id: RefundId::from_uuid(Uuid::from_u128(3)),
        tenant: tenant_id(),
        payment: PaymentId::from_uuid(Uuid::from_u128(1)),
        out_trade_no: OutTradeNo::new("B20261123-0001").unwrap(),
        out_refund_no: OutRefundNo::new("R-1").unwrap(),
        provider: ProviderName::new("wechat").unwrap(),
        trade_no: TradeNo::new("B20261123-0001").unwrap(),
        amount: fen(50),
        reason: None,
        notify_url: "https://pay.example.com/notify/bookshop/wechat/refund".into(),
        of_duplicate: false,
        state: RefundState::Created,
        provider_refund_id: None,
        failure: Some(Failure { code: Some("NOTENOUGH".into()), message: "not enough money".into() }),
        platform_word: None,
        created_at: moment(),
        updated_at: moment(),
        succeeded_at: None,
        check: None,
        version: 1,
    }
}
