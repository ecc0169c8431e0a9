//! How records become JSON text in a column: the subjects of events, and metadata.
//!
//! The shapes here are the store's own and are kept for as long as a ledger lives: fields are
//! added as optional ones, never renamed; a change that old rows cannot follow takes a new version.

pub(crate) mod tries;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use dukou_domain::{
    AttemptId, AttemptState, Currency, InvalidId, Method, Money, OutRefundNo, OutTradeNo, PaymentId, PaymentState,
    PluginName, ProviderName, ProviderRefundId, RefundId, RefundRequestId, RefundRequestState, RefundState, TenantId,
    Timestamp, TradeNo, TransactionId,
};
use dukou_engine::delivery::Endpoint;
use dukou_engine::records::{Attempt, Check, Difference, Failure, Payment, Refund, RefundRequest, Subject};
use dukou_spi::Prepay;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{Result, corrupt};

/// The version written. Every version ever written can be read.
const VERSION: u32 = 1;

type Text<'a> = Cow<'a, str>;

pub(crate) fn write_metadata(metadata: &BTreeMap<String, String>) -> Result<Cow<'static, str>> {
    if metadata.is_empty() {
        return Ok(Cow::Borrowed("{}"));
    }
    serde_json::to_string(metadata).map(Cow::Owned).map_err(|error| corrupt("metadata", error))
}

pub(crate) fn read_metadata(text: &str) -> Result<BTreeMap<String, String>> {
    if text == "{}" {
        return Ok(BTreeMap::new());
    }
    serde_json::from_str(text).map_err(|error| corrupt("metadata", error))
}

pub(crate) fn write_subject(subject: &Subject) -> Result<String> {
    let stored = Stored { v: VERSION, subject: StoredSubject::from(subject) };
    let mut text = Vec::with_capacity(1024);
    serde_json::to_writer(&mut text, &stored).map_err(|error| corrupt("event subject", error))?;
    String::from_utf8(text).map_err(|error| corrupt("event subject", error))
}

pub(crate) fn read_subject(text: &str) -> Result<Subject> {
    let stored: Stored<'_> = serde_json::from_str(text).map_err(|error| corrupt("event subject", error))?;
    if stored.v != VERSION {
        return Err(corrupt("event subject", format_args!("version {} is unknown", stored.v)));
    }
    stored.subject.into_subject()
}

#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    v: u32,
    subject: StoredSubject<'a>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredSubject<'a> {
    Payment(Box<StoredPayment<'a>>),
    Refund(Box<StoredRefund<'a>>),
    RefundRequest(Box<StoredRequest<'a>>),
    Duplicate {
        payment: Box<StoredPayment<'a>>,
        attempt: Box<StoredAttempt<'a>>,
        out_refund_no: Text<'a>,
    },
    Mismatch {
        payment: Box<StoredPayment<'a>>,
        differences: Vec<StoredDifference<'a>>,
    },
    UnknownOrder {
        provider: Text<'a>,
        trade_no: Text<'a>,
        transaction_id: Option<Text<'a>>,
        amount: Option<StoredMoney<'a>>,
    },
    Endpoint {
        failing_since: Option<i64>,
        disabled_at: Option<i64>,
    },
    Plugin {
        plugin: Text<'a>,
        data: Cow<'a, serde_json::Value>,
    },
}

#[derive(Serialize, Deserialize)]
struct StoredMoney<'a> {
    minor: i64,
    currency: Text<'a>,
}

#[derive(Serialize, Deserialize)]
struct StoredDifference<'a> {
    field: Text<'a>,
    recorded: Text<'a>,
    received: Text<'a>,
}

#[derive(Serialize, Deserialize)]
struct StoredFailure<'a> {
    code: Option<Text<'a>>,
    message: Text<'a>,
}

#[derive(Serialize, Deserialize)]
struct StoredCheck {
    at: i64,
    asked: u32,
}

#[derive(Serialize, Deserialize)]
struct StoredPrepay<'a> {
    token: Text<'a>,
    valid_until: i64,
}

#[derive(Serialize, Deserialize)]
struct StoredPayment<'a> {
    id: Uuid,
    tenant: Text<'a>,
    out_trade_no: Text<'a>,
    amount: i64,
    currency: Text<'a>,
    description: Text<'a>,
    attach: Option<Text<'a>>,
    metadata: Cow<'a, BTreeMap<String, String>>,
    client_ip: IpAddr,
    state: Text<'a>,
    late: bool,
    refunded: i64,
    refunding: i64,
    created_at: i64,
    updated_at: i64,
    expires_at: i64,
    paid_at: Option<i64>,
    transaction_id: Option<Text<'a>>,
    failure: Option<StoredFailure<'a>>,
    check: Option<StoredCheck>,
    version: i64,
    attempt: StoredAttempt<'a>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    others: Vec<StoredAttempt<'a>>,
}

#[derive(Serialize, Deserialize)]
struct StoredAttempt<'a> {
    id: Uuid,
    number: u32,
    provider: Text<'a>,
    method: Text<'a>,
    trade_no: Text<'a>,
    app_id: Text<'a>,
    merchant_id: Text<'a>,
    openid: Option<Text<'a>>,
    notify_url: Text<'a>,
    prepay: Option<StoredPrepay<'a>>,
    #[serde(default = "live")]
    state: Text<'a>,
    #[serde(default)]
    transaction_id: Option<Text<'a>>,
    #[serde(default)]
    kind: Text<'a>,
}

/// The state of an attempt written before attempts had one.
fn live<'a>() -> Text<'a> {
    Cow::Borrowed(AttemptState::Live.as_str())
}

#[derive(Serialize, Deserialize)]
struct StoredRequest<'a> {
    id: Uuid,
    tenant: Text<'a>,
    payment: Uuid,
    out_trade_no: Text<'a>,
    openid: Text<'a>,
    amount: i64,
    currency: Text<'a>,
    reason: Option<Text<'a>>,
    state: Text<'a>,
    out_refund_no: Option<Text<'a>>,
    requested_at: i64,
    decided_at: Option<i64>,
    decided_by: Option<Text<'a>>,
}

#[derive(Serialize, Deserialize)]
struct StoredRefund<'a> {
    id: Uuid,
    tenant: Text<'a>,
    payment: Uuid,
    out_trade_no: Text<'a>,
    out_refund_no: Text<'a>,
    provider: Text<'a>,
    trade_no: Text<'a>,
    amount: i64,
    currency: Text<'a>,
    reason: Option<Text<'a>>,
    notify_url: Text<'a>,
    state: Text<'a>,
    provider_refund_id: Option<Text<'a>>,
    failure: Option<StoredFailure<'a>>,
    platform_word: Option<Text<'a>>,
    created_at: i64,
    updated_at: i64,
    succeeded_at: Option<i64>,
    check: Option<StoredCheck>,
    #[serde(default)]
    of_duplicate: bool,
    version: i64,
}

impl<'a> From<&'a Subject> for StoredSubject<'a> {
    fn from(subject: &'a Subject) -> Self {
        match subject {
            Subject::Payment(payment) => StoredSubject::Payment(Box::new(StoredPayment::from(&**payment))),
            Subject::Refund(refund) => StoredSubject::Refund(Box::new(StoredRefund::from(&**refund))),
            Subject::RefundRequest(request) => StoredSubject::RefundRequest(Box::new(StoredRequest::from(&**request))),
            Subject::Duplicate { payment, attempt, out_refund_no } => StoredSubject::Duplicate {
                payment: Box::new(StoredPayment::from(&**payment)),
                attempt: Box::new(StoredAttempt::from(&**attempt)),
                out_refund_no: Cow::Borrowed(out_refund_no.as_str()),
            },
            Subject::Mismatch { payment, differences } => StoredSubject::Mismatch {
                payment: Box::new(StoredPayment::from(&**payment)),
                differences: differences
                    .iter()
                    .map(|difference| StoredDifference {
                        field: Cow::Borrowed(&difference.field),
                        recorded: Cow::Borrowed(&difference.recorded),
                        received: Cow::Borrowed(&difference.received),
                    })
                    .collect(),
            },
            Subject::UnknownOrder { provider, trade_no, transaction_id, amount } => StoredSubject::UnknownOrder {
                provider: Cow::Borrowed(provider.as_str()),
                trade_no: Cow::Borrowed(trade_no.as_str()),
                transaction_id: transaction_id.as_ref().map(|id| Cow::Borrowed(id.as_str())),
                amount: amount.map(|amount| StoredMoney {
                    minor: amount.minor(),
                    currency: Cow::Owned(amount.currency().to_string()),
                }),
            },
            Subject::Endpoint(endpoint) => StoredSubject::Endpoint {
                failing_since: endpoint.failing_since.map(Timestamp::as_millis),
                disabled_at: endpoint.disabled_at.map(Timestamp::as_millis),
            },
            Subject::Plugin { plugin, data } => {
                StoredSubject::Plugin { plugin: Cow::Borrowed(plugin.as_str()), data: Cow::Borrowed(data) }
            }
        }
    }
}

fn failure(failure: &Failure) -> StoredFailure<'_> {
    StoredFailure { code: failure.code.as_deref().map(Cow::Borrowed), message: Cow::Borrowed(&failure.message) }
}

fn check(check: Check) -> StoredCheck {
    StoredCheck { at: check.at.as_millis(), asked: check.asked }
}

impl<'a> From<&'a Payment> for StoredPayment<'a> {
    fn from(p: &'a Payment) -> Self {
        StoredPayment {
            id: p.id.as_uuid(),
            tenant: Cow::Borrowed(p.tenant.as_str()),
            out_trade_no: Cow::Borrowed(p.out_trade_no.as_str()),
            amount: p.amount.minor(),
            currency: Cow::Borrowed(p.amount.currency().code()),
            description: Cow::Borrowed(&p.description),
            attach: p.attach.as_deref().map(Cow::Borrowed),
            metadata: Cow::Borrowed(&p.metadata),
            client_ip: p.client_ip,
            state: Cow::Borrowed(p.state.as_str()),
            late: p.late,
            refunded: p.refunded.minor(),
            refunding: p.refunding.minor(),
            created_at: p.created_at.as_millis(),
            updated_at: p.updated_at.as_millis(),
            expires_at: p.expires_at.as_millis(),
            paid_at: p.paid_at.map(Timestamp::as_millis),
            transaction_id: p.transaction_id.as_ref().map(|id| Cow::Borrowed(id.as_str())),
            failure: p.failure.as_ref().map(failure),
            check: p.check.map(check),
            version: p.version,
            attempt: StoredAttempt::from(&p.attempt),
            others: p.others.iter().map(StoredAttempt::from).collect(),
        }
    }
}

impl<'a> From<&'a Attempt> for StoredAttempt<'a> {
    fn from(a: &'a Attempt) -> Self {
        StoredAttempt {
            id: a.id.as_uuid(),
            number: a.number,
            provider: Cow::Borrowed(a.provider.as_str()),
            method: Cow::Borrowed(a.method.as_str()),
            trade_no: Cow::Borrowed(a.trade_no.as_str()),
            app_id: Cow::Borrowed(&a.app_id),
            merchant_id: Cow::Borrowed(&a.merchant_id),
            openid: a.openid.as_deref().map(Cow::Borrowed),
            notify_url: Cow::Borrowed(&a.notify_url),
            prepay: a.prepay.as_ref().map(|prepay| StoredPrepay {
                token: Cow::Borrowed(&prepay.token),
                valid_until: prepay.valid_until.as_millis(),
            }),
            state: Cow::Borrowed(a.state.as_str()),
            transaction_id: a.transaction_id.as_ref().map(|id| Cow::Borrowed(id.as_str())),
            kind: Cow::Borrowed(&a.kind),
        }
    }
}

impl<'a> From<&'a RefundRequest> for StoredRequest<'a> {
    fn from(r: &'a RefundRequest) -> Self {
        StoredRequest {
            id: r.id.as_uuid(),
            tenant: Cow::Borrowed(r.tenant.as_str()),
            payment: r.payment.as_uuid(),
            out_trade_no: Cow::Borrowed(r.out_trade_no.as_str()),
            openid: Cow::Borrowed(&r.openid),
            amount: r.amount.minor(),
            currency: Cow::Borrowed(r.amount.currency().code()),
            reason: r.reason.as_deref().map(Cow::Borrowed),
            state: Cow::Borrowed(r.state.as_str()),
            out_refund_no: r.out_refund_no.as_ref().map(|number| Cow::Borrowed(number.as_str())),
            requested_at: r.requested_at.as_millis(),
            decided_at: r.decided_at.map(Timestamp::as_millis),
            decided_by: r.decided_by.as_deref().map(Cow::Borrowed),
        }
    }
}

impl<'a> From<&'a Refund> for StoredRefund<'a> {
    fn from(r: &'a Refund) -> Self {
        StoredRefund {
            id: r.id.as_uuid(),
            tenant: Cow::Borrowed(r.tenant.as_str()),
            payment: r.payment.as_uuid(),
            out_trade_no: Cow::Borrowed(r.out_trade_no.as_str()),
            out_refund_no: Cow::Borrowed(r.out_refund_no.as_str()),
            provider: Cow::Borrowed(r.provider.as_str()),
            trade_no: Cow::Borrowed(r.trade_no.as_str()),
            amount: r.amount.minor(),
            currency: Cow::Borrowed(r.amount.currency().code()),
            reason: r.reason.as_deref().map(Cow::Borrowed),
            notify_url: Cow::Borrowed(&r.notify_url),
            state: Cow::Borrowed(r.state.as_str()),
            provider_refund_id: r.provider_refund_id.as_ref().map(|id| Cow::Borrowed(id.as_str())),
            failure: r.failure.as_ref().map(failure),
            platform_word: r.platform_word.as_deref().map(Cow::Borrowed),
            created_at: r.created_at.as_millis(),
            updated_at: r.updated_at.as_millis(),
            succeeded_at: r.succeeded_at.map(Timestamp::as_millis),
            check: r.check.map(check),
            of_duplicate: r.of_duplicate,
            version: r.version,
        }
    }
}

fn id<T>(read: fn(&str) -> std::result::Result<T, InvalidId>, text: &str) -> Result<T> {
    read(text).map_err(|error| corrupt("event subject", error))
}

fn word<T>(read: fn(&str) -> Option<T>, text: &str) -> Result<T> {
    read(text).ok_or_else(|| corrupt("event subject", format_args!("unknown word {text}")))
}

fn money(minor: i64, currency: Currency) -> Result<Money> {
    Money::new(minor, currency).map_err(|error| corrupt("event subject", error))
}

fn read_failure(failure: StoredFailure<'_>) -> Failure {
    Failure { code: failure.code.map(Cow::into_owned), message: failure.message.into_owned() }
}

fn read_check(check: StoredCheck) -> Check {
    Check { at: Timestamp::from_millis(check.at), asked: check.asked }
}

impl StoredSubject<'_> {
    fn into_subject(self) -> Result<Subject> {
        Ok(match self {
            StoredSubject::Payment(payment) => Subject::Payment(Box::new(payment.into_payment()?)),
            StoredSubject::Refund(refund) => Subject::Refund(Box::new(refund.into_refund()?)),
            StoredSubject::RefundRequest(request) => Subject::RefundRequest(Box::new(request.into_request()?)),
            StoredSubject::Duplicate { payment, attempt, out_refund_no } => Subject::Duplicate {
                payment: Box::new(payment.into_payment()?),
                attempt: Box::new(attempt.into_attempt()?),
                out_refund_no: id(OutRefundNo::new, &out_refund_no)?,
            },
            StoredSubject::Mismatch { payment, differences } => Subject::Mismatch {
                payment: Box::new(payment.into_payment()?),
                differences: differences
                    .into_iter()
                    .map(|difference| Difference {
                        field: difference.field.into_owned(),
                        recorded: difference.recorded.into_owned(),
                        received: difference.received.into_owned(),
                    })
                    .collect(),
            },
            StoredSubject::UnknownOrder { provider, trade_no, transaction_id, amount } => Subject::UnknownOrder {
                provider: id(ProviderName::new, &provider)?,
                trade_no: id(TradeNo::new, &trade_no)?,
                transaction_id: transaction_id.map(|text| id(TransactionId::new, &text)).transpose()?,
                // What is not on record may be in any currency.
                amount: amount.map(|amount| money(amount.minor, Currency::named(&amount.currency))).transpose()?,
            },
            StoredSubject::Endpoint { failing_since, disabled_at } => Subject::Endpoint(Endpoint {
                failing_since: failing_since.map(Timestamp::from_millis),
                disabled_at: disabled_at.map(Timestamp::from_millis),
            }),
            StoredSubject::Plugin { plugin, data } => {
                Subject::Plugin { plugin: id(PluginName::new, &plugin)?, data: data.into_owned() }
            }
        })
    }
}

impl StoredPayment<'_> {
    fn into_payment(self) -> Result<Payment> {
        let currency = word(Currency::parse, &self.currency)?;
        Ok(Payment {
            id: PaymentId::from_uuid(self.id),
            tenant: id(TenantId::new, &self.tenant)?,
            out_trade_no: id(OutTradeNo::new, &self.out_trade_no)?,
            amount: money(self.amount, currency)?,
            description: self.description.into_owned(),
            attach: self.attach.map(Cow::into_owned),
            metadata: self.metadata.into_owned(),
            client_ip: self.client_ip,
            state: word(PaymentState::parse, &self.state)?,
            late: self.late,
            refunded: money(self.refunded, currency)?,
            refunding: money(self.refunding, currency)?,
            created_at: Timestamp::from_millis(self.created_at),
            updated_at: Timestamp::from_millis(self.updated_at),
            expires_at: Timestamp::from_millis(self.expires_at),
            paid_at: self.paid_at.map(Timestamp::from_millis),
            transaction_id: self.transaction_id.map(|text| id(TransactionId::new, &text)).transpose()?,
            failure: self.failure.map(read_failure),
            check: self.check.map(read_check),
            version: self.version,
            attempt: self.attempt.into_attempt()?,
            others: self.others.into_iter().map(StoredAttempt::into_attempt).collect::<Result<_>>()?,
        })
    }
}

impl StoredAttempt<'_> {
    fn into_attempt(self) -> Result<Attempt> {
        Ok(Attempt {
            id: AttemptId::from_uuid(self.id),
            number: self.number,
            provider: id(ProviderName::new, &self.provider)?,
            method: word(Method::parse, &self.method)?,
            trade_no: id(TradeNo::new, &self.trade_no)?,
            app_id: self.app_id.into_owned(),
            merchant_id: self.merchant_id.into_owned(),
            openid: self.openid.map(Cow::into_owned),
            notify_url: self.notify_url.into_owned(),
            prepay: self.prepay.map(|prepay| Prepay {
                token: prepay.token.into_owned(),
                valid_until: Timestamp::from_millis(prepay.valid_until),
            }),
            state: word(AttemptState::parse, &self.state)?,
            transaction_id: self.transaction_id.map(|text| id(TransactionId::new, &text)).transpose()?,
            kind: self.kind.into_owned(),
        })
    }
}

impl StoredRequest<'_> {
    fn into_request(self) -> Result<RefundRequest> {
        Ok(RefundRequest {
            id: RefundRequestId::from_uuid(self.id),
            tenant: id(TenantId::new, &self.tenant)?,
            payment: PaymentId::from_uuid(self.payment),
            out_trade_no: id(OutTradeNo::new, &self.out_trade_no)?,
            openid: self.openid.into_owned(),
            amount: money(self.amount, word(Currency::parse, &self.currency)?)?,
            reason: self.reason.map(Cow::into_owned),
            state: word(RefundRequestState::parse, &self.state)?,
            out_refund_no: self.out_refund_no.map(|text| id(OutRefundNo::new, &text)).transpose()?,
            requested_at: Timestamp::from_millis(self.requested_at),
            decided_at: self.decided_at.map(Timestamp::from_millis),
            decided_by: self.decided_by.map(Cow::into_owned),
        })
    }
}

impl StoredRefund<'_> {
    fn into_refund(self) -> Result<Refund> {
        let currency = word(Currency::parse, &self.currency)?;
        Ok(Refund {
            id: RefundId::from_uuid(self.id),
            tenant: id(TenantId::new, &self.tenant)?,
            payment: PaymentId::from_uuid(self.payment),
            out_trade_no: id(OutTradeNo::new, &self.out_trade_no)?,
            out_refund_no: id(OutRefundNo::new, &self.out_refund_no)?,
            provider: id(ProviderName::new, &self.provider)?,
            trade_no: id(TradeNo::new, &self.trade_no)?,
            amount: money(self.amount, currency)?,
            reason: self.reason.map(Cow::into_owned),
            notify_url: self.notify_url.into_owned(),
            state: word(RefundState::parse, &self.state)?,
            provider_refund_id: self.provider_refund_id.map(|text| id(ProviderRefundId::new, &text)).transpose()?,
            failure: self.failure.map(read_failure),
            platform_word: self.platform_word.map(Cow::into_owned),
            created_at: Timestamp::from_millis(self.created_at),
            updated_at: Timestamp::from_millis(self.updated_at),
            succeeded_at: self.succeeded_at.map(Timestamp::from_millis),
            check: self.check.map(read_check),
            of_duplicate: self.of_duplicate,
            version: self.version,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dukou_engine::ports::StoreError;
    use proptest::prelude::*;

    /// Events as version 1 wrote them; ledgers hold such rows for ever.
    const PAYMENT: &str = r#"{"v":1,"subject":{"payment":{"id":"01900000-0000-7000-8000-000000000001","tenant":"bookshop","out_trade_no":"B1","amount":101,"currency":"CNY","description":"腾讯-图书","attach":null,"metadata":{"isbn":"9"},"client_ip":"203.0.113.9","state":"succeeded","late":false,"refunded":1,"refunding":0,"created_at":1,"updated_at":2,"expires_at":3,"paid_at":4,"transaction_id":"42","failure":{"code":null,"message":"m"},"check":{"at":5,"asked":6},"version":7,"attempt":{"id":"01900000-0000-7000-8000-000000000002","number":1,"provider":"wechat","method":"jsapi","trade_no":"B1","app_id":"wx8","merchant_id":"19","openid":"o","notify_url":"https://a","prepay":{"token":"p","valid_until":8}}}}}"#;
    const UNKNOWN_ORDER: &str = r#"{"v":1,"subject":{"unknown_order":{"provider":"wechat","trade_no":"T","transaction_id":null,"amount":{"minor":7,"currency":"CNY"}}}}"#;
    const REFUND: &str = r#"{"v":1,"subject":{"refund":{"id":"01900000-0000-7000-8000-000000000003","tenant":"bookshop","payment":"01900000-0000-7000-8000-000000000001","out_trade_no":"B1","out_refund_no":"R","provider":"wechat","trade_no":"B1","amount":1,"currency":"CNY","reason":null,"notify_url":"https://a","state":"processing","provider_refund_id":null,"failure":null,"platform_word":null,"created_at":1,"updated_at":2,"succeeded_at":null,"check":null,"version":1}}}"#;

    #[test]
    fn what_version_1_wrote_is_read_and_written_with_what_came_later() {
        let attempt = r#""prepay":{"token":"p","valid_until":8}"#;
        let later = r#""prepay":{"token":"p","valid_until":8},"state":"live","transaction_id":null,"kind":"""#;
        let refund = r#""check":null,"version""#;
        let of_duplicate = r#""check":null,"of_duplicate":false,"version""#;
        for text in [PAYMENT, UNKNOWN_ORDER, REFUND] {
            let expected = text.replace(attempt, later).replace(refund, of_duplicate);
            assert_eq!(write_subject(&read_subject(text).unwrap()).unwrap(), expected);
        }
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        for (text, why) in [
            (PAYMENT.replace("\"v\":1", "\"v\":2"), "version 2 is unknown"),
            (PAYMENT.replace("succeeded", "paid"), "unknown word paid"),
            (PAYMENT.replace("\"amount\":101", "\"amount\":-1"), "amount is negative"),
            (PAYMENT.replace("\"amount\":101", "\"amount\":1.5"), "invalid type"),
            (PAYMENT.replace("bookshop", "../etc"), "not a valid tenant id"),
            (String::new(), "EOF"),
        ] {
            let error = read_subject(&text).unwrap_err();
            assert!(matches!(&error, StoreError::Corrupt(said) if said.contains(why)), "{error}");
        }
    }

    proptest! {
        #[test]
        fn metadata_reads_back(metadata: BTreeMap<String, String>) {
            prop_assert_eq!(read_metadata(&write_metadata(&metadata).unwrap()).unwrap(), metadata);
        }

        #[test]
        fn no_text_is_a_panic(at in 0..PAYMENT.len(), with in any::<char>()) {
            let at = (0..=at).rev().find(|at| PAYMENT.is_char_boundary(*at)).unwrap_or(0);
            let broken = format!("{}{with}{}", &PAYMENT[..at], &PAYMENT[at..]);
            let _ = read_subject(&broken);
        }
    }
}
