use std::collections::BTreeMap;

use dukou_engine::PaymentAnswer;
use dukou_engine::records::{Attempt, Failure, Payment};
use dukou_spi::Invoke;
use serde::ser::{Serialize, SerializeMap, Serializer};
use utoipa::ToSchema;

use super::rfc3339;

/// A payment.
#[derive(Debug, Clone, serde::Serialize, ToSchema)]
#[schema(as = Payment, example = json!({
    "id": "pay_01M8E8YT3W6Q4Z2N5K7R9B1C0D", "tenant": "bookshop", "provider": "wechat", "method": "jsapi",
    "out_trade_no": "B20261123-0001", "amount": 101, "currency": "CNY", "description": "腾讯-图书", "attach": null,
    "metadata": {}, "openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o", "status": "pending", "late": false,
    "provider_transaction_id": null, "refunded_amount": 0, "created_at": "2026-11-23T08:00:00Z", "paid_at": null,
    "expires_at": "2026-11-23T10:00:00Z", "failure": null,
    "attempts": [{ "provider": "wechat", "method": "jsapi", "trade_no": "B20261123-0001", "status": "live" }],
    "invoke": {
        "appId": "wx8888888888888888", "timeStamp": "1795420800", "nonceStr": "5K8264ILTKCH16CQ2502SI8ZNMTM67VS",
        "package": "prepay_id=wx201411101639507cbf6ffd8b0779950874", "signType": "MD5",
        "paySign": "C380BEC2BFD727A4B6845133519F3AD6",
    },
}))]
pub struct PaymentBody {
    /// The gateway's identifier, `pay_…`.
    pub id: String,
    /// Whose it is.
    pub tenant: String,
    /// The tenant's own name for the provider.
    pub provider: String,
    /// `jsapi`, `native`, `app` or `h5`.
    pub method: String,
    /// The tenant's number, unique in the tenant.
    pub out_trade_no: String,
    /// In minor units (fen).
    #[schema(minimum = 1)]
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
    /// What is sold, as the payer reads it.
    pub description: String,
    /// The tenant's own text, passed to the provider.
    #[schema(required = true)]
    pub attach: Option<String>,
    /// The tenant's own pairs, kept and shown back; with a session token, empty.
    pub metadata: BTreeMap<String, String>,
    /// The payer under the provider's app.
    #[schema(required = true)]
    pub openid: Option<String>,
    /// `created`, `pending`, `unknown`, `succeeded`, `partially_refunded`, `refunded`, `closed` or
    /// `failed`.
    pub status: String,
    /// The success came after the payment had been closed or had failed.
    pub late: bool,
    /// The provider's number, once it is paid.
    #[schema(required = true)]
    pub provider_transaction_id: Option<String>,
    /// The sum of refunds that succeeded, in minor units (fen).
    pub refunded_amount: i64,
    /// When the gateway entered it.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When the payer paid, by the provider's word where it names a time.
    #[schema(required = true, format = DateTime)]
    pub paid_at: Option<String>,
    /// Until when it can be paid; unpaid then, it is closed.
    #[schema(format = DateTime)]
    pub expires_at: String,
    /// Why the provider refused, where it did.
    #[schema(required = true)]
    pub failure: Option<FailureBody>,
    /// The tries to have it paid, the first one first; at most one is `live`.
    pub attempts: Vec<AttemptBody>,
    /// What the front end passes on, freshly signed; `null` where the payment cannot be paid (now).
    /// Left out of lists, events and the answer to a close.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<BTreeMap<String, String>>, required = false)]
    pub invoke: Option<Option<InvokeBody>>,
}

/// A provider's refusal.
#[derive(Debug, Clone, serde::Serialize, ToSchema)]
#[schema(as = Failure)]
pub struct FailureBody {
    /// The provider's own code.
    #[schema(required = true)]
    pub code: Option<String>,
    /// For a person.
    pub message: String,
}

/// One try to have a payment paid.
#[derive(Debug, Clone, serde::Serialize, ToSchema)]
#[schema(as = Attempt)]
pub struct AttemptBody {
    /// The tenant's own name for the provider.
    pub provider: String,
    /// `jsapi`, `native`, `app` or `h5`.
    pub method: String,
    /// The number at the provider.
    pub trade_no: String,
    /// `live`, `closing`, `closed`, `failed` or `paid`.
    pub status: String,
}

/// The front end's arguments, in the provider's order.
#[derive(Debug, Clone)]
pub struct InvokeBody(Invoke);

impl Serialize for InvokeBody {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.0.len()))?;
        for (name, value) in &self.0.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// A page of payments.
#[derive(Debug, serde::Serialize, ToSchema)]
pub struct PaymentList {
    /// Newest first.
    pub data: Vec<PaymentBody>,
    /// Give it back as `cursor` for the next page; `null` on the last.
    #[schema(required = true)]
    pub next_cursor: Option<String>,
}

impl PaymentBody {
    /// As a buyer sees it: without what the merchant noted for itself.
    pub fn for_buyer(mut self) -> Self {
        self.metadata.clear();
        self
    }
}

impl From<&Payment> for PaymentBody {
    fn from(payment: &Payment) -> Self {
        let attempt = &payment.attempt;
        PaymentBody {
            id: payment.id.to_string(),
            tenant: payment.tenant.to_string(),
            provider: attempt.provider.to_string(),
            method: attempt.method.to_string(),
            out_trade_no: payment.out_trade_no.to_string(),
            amount: payment.amount.minor(),
            currency: payment.amount.currency().to_string(),
            description: payment.description.clone(),
            attach: payment.attach.clone(),
            metadata: payment.metadata.clone(),
            openid: attempt.openid.clone(),
            status: payment.state.to_string(),
            late: payment.late,
            provider_transaction_id: payment.transaction_id.as_ref().map(ToString::to_string),
            refunded_amount: payment.refunded.minor(),
            created_at: rfc3339(payment.created_at),
            paid_at: payment.paid_at.map(rfc3339),
            expires_at: rfc3339(payment.expires_at),
            failure: payment.failure.as_ref().map(FailureBody::from),
            attempts: payment.attempts().into_iter().map(AttemptBody::from).collect(),
            invoke: None,
        }
    }
}

impl From<PaymentAnswer> for PaymentBody {
    fn from(answer: PaymentAnswer) -> Self {
        PaymentBody { invoke: Some(answer.invoke.map(InvokeBody)), ..PaymentBody::from(&answer.payment) }
    }
}

impl From<&Failure> for FailureBody {
    fn from(failure: &Failure) -> Self {
        FailureBody { code: failure.code.clone(), message: failure.message.clone() }
    }
}

impl From<&Attempt> for AttemptBody {
    fn from(attempt: &Attempt) -> Self {
        AttemptBody {
            provider: attempt.provider.to_string(),
            method: attempt.method.to_string(),
            trade_no: attempt.trade_no.to_string(),
            status: attempt.state.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::payment;

    #[test]
    fn a_payment_is_shown_as_in_the_contract() {
        let invoke = Invoke(vec![("timeStamp", "1414561699".into()), ("appId", "wx1".into())]);
        let answer = PaymentAnswer { payment: payment(), invoke: Some(invoke), created: true };
        insta::assert_snapshot!("payment", serde_json::to_string_pretty(&PaymentBody::from(answer)).unwrap());
    }

    #[test]
    fn a_buyer_sees_no_metadata() {
        let mut record = payment();
        record.metadata.insert("note".to_owned(), "a good customer".to_owned());
        let whole = serde_json::to_value(PaymentBody::from(&record)).unwrap();
        let mut shown = serde_json::to_value(PaymentBody::from(&record).for_buyer()).unwrap();
        assert_eq!(shown["metadata"], serde_json::json!({}));
        shown["metadata"] = whole["metadata"].clone();
        assert_eq!(shown, whole);
    }

    #[test]
    fn invoke_is_null_where_there_is_none_and_left_out_of_lists() {
        let answer = PaymentAnswer { payment: payment(), invoke: None, created: false };
        let single = serde_json::to_value(PaymentBody::from(answer)).unwrap();
        assert_eq!(single.get("invoke"), Some(&serde_json::Value::Null));
        let listed = serde_json::to_value(PaymentBody::from(&payment())).unwrap();
        assert_eq!(listed.get("invoke"), None);
    }
}
