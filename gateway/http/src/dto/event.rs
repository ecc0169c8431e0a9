use bytes::Bytes;
use dukou_engine::records::{Difference, Event, NewEvent, Subject};
use serde::Serialize;
use utoipa::ToSchema;

use super::{PaymentBody, RefundBody, RefundRequestBody, WebhookBody, rfc3339};

/// An entry of the tenant's event log; also the body of a webhook.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Event)]
pub struct EventBody {
    /// `evt_…`
    pub id: String,
    /// What happened (`payment.succeeded`).
    #[serde(rename = "type")]
    pub kind: String,
    /// Whose it is.
    pub tenant: String,
    /// When it happened.
    #[schema(format = DateTime)]
    pub timestamp: String,
    /// The object as it was at that moment.
    pub data: EventData,
}

/// What an event tells of.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(untagged)]
pub enum EventData {
    Payment(Box<PaymentBody>),
    Refund(Box<RefundBody>),
    RefundRequest(Box<RefundRequestBody>),
    /// Of `payment.duplicate`: the payment, and the second success that is given back.
    Duplicate {
        #[serde(flatten)]
        payment: Box<PaymentBody>,
        duplicate: DuplicateSuccess,
    },
    /// Of `payment.mismatch`: the payment, and in what the provider's word differs.
    Mismatch {
        #[serde(flatten)]
        payment: Box<PaymentBody>,
        mismatch: Vec<MismatchedField>,
    },
    UnknownOrder(UnknownOrder),
    /// Of `endpoint.disabled` and `endpoint.enabled`.
    Webhook(WebhookBody),
    /// Of a plugin's events: what the plugin tells, such as a `Share`.
    #[schema(value_type = Object)]
    Plugin(serde_json::Value),
}

/// A second success of a paid payment.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DuplicateSuccess {
    /// The tenant's own name for the provider.
    pub provider: String,
    /// The number at the provider of the attempt that was paid too.
    pub trade_no: String,
    /// The provider's number of that success.
    #[schema(required = true)]
    pub provider_transaction_id: Option<String>,
    /// The refund that gives it back.
    pub out_refund_no: String,
}

/// One thing in which the provider's word and the record differ.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct MismatchedField {
    /// `amount`, `currency`, `app_id` or `merchant_id`; for a refund that was not made here `out_refund_no` and
    /// `refund_amount`, where nothing is expected.
    pub field: String,
    /// As recorded here.
    pub expected: String,
    /// As the provider says.
    pub received: String,
}

/// Of `payment.unknown_order`: a verified message about an order that is not known here.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct UnknownOrder {
    /// The tenant's own name for the provider.
    pub provider: String,
    /// The merchant's number of the order, as the provider named it.
    #[schema(required = false)]
    pub out_trade_no: String,
    /// The same: the number at the provider.
    pub trade_no: String,
    /// The provider's number of the payment.
    #[schema(required = true)]
    pub transaction_id: Option<String>,
    /// In minor units (fen).
    #[schema(required = true)]
    pub amount: Option<i64>,
    /// As the provider named it; `XXX` where that was no code of a currency.
    #[schema(required = true)]
    pub currency: Option<String>,
}

/// A page of events.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventList {
    /// Oldest first.
    pub data: Vec<EventBody>,
    /// The last event's id where the page is full: give it back as `after`. `null` where there was
    /// no more; later ask again after the last id you have.
    #[schema(required = true)]
    pub next_cursor: Option<String>,
}

/// An event as the event log shows it, for those who are sent it.
pub fn event_json(event: &NewEvent) -> Bytes {
    // Texts and numbers alone, which can always be written.
    serde_json::to_vec(&EventBody::from(event)).unwrap_or_default().into()
}

impl From<&Event> for EventBody {
    fn from(entry: &Event) -> Self {
        EventBody::from(&entry.event)
    }
}

impl From<&NewEvent> for EventBody {
    fn from(event: &NewEvent) -> Self {
        EventBody {
            id: event.id.to_string(),
            kind: event.kind.as_str().to_owned(),
            tenant: event.tenant.to_string(),
            timestamp: rfc3339(event.at),
            data: EventData::from(&event.subject),
        }
    }
}

impl From<&Subject> for EventData {
    fn from(subject: &Subject) -> Self {
        match subject {
            Subject::Payment(payment) => EventData::Payment(Box::new(PaymentBody::from(payment.as_ref()))),
            Subject::Refund(refund) => EventData::Refund(Box::new(RefundBody::from(refund.as_ref()))),
            Subject::RefundRequest(request) => {
                EventData::RefundRequest(Box::new(RefundRequestBody::from(request.as_ref())))
            }
            Subject::Duplicate { payment, attempt, out_refund_no } => EventData::Duplicate {
                payment: Box::new(PaymentBody::from(payment.as_ref())),
                duplicate: DuplicateSuccess {
                    provider: attempt.provider.to_string(),
                    trade_no: attempt.trade_no.to_string(),
                    provider_transaction_id: attempt.transaction_id.as_ref().map(ToString::to_string),
                    out_refund_no: out_refund_no.to_string(),
                },
            },
            Subject::Mismatch { payment, differences } => EventData::Mismatch {
                payment: Box::new(PaymentBody::from(payment.as_ref())),
                mismatch: differences.iter().map(MismatchedField::from).collect(),
            },
            Subject::UnknownOrder { provider, trade_no, transaction_id, amount } => {
                EventData::UnknownOrder(UnknownOrder {
                    provider: provider.to_string(),
                    out_trade_no: trade_no.to_string(),
                    trade_no: trade_no.to_string(),
                    transaction_id: transaction_id.as_ref().map(ToString::to_string),
                    amount: amount.map(|amount| amount.minor()),
                    currency: amount.map(|amount| amount.currency().to_string()),
                })
            }
            Subject::Endpoint(endpoint) => EventData::Webhook(WebhookBody::from(endpoint)),
            Subject::Plugin { data, .. } => EventData::Plugin(data.clone()),
        }
    }
}

impl From<&Difference> for MismatchedField {
    fn from(difference: &Difference) -> Self {
        MismatchedField {
            field: difference.field.clone(),
            expected: difference.recorded.clone(),
            received: difference.received.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{moment, payment, refund, tenant_id};
    use dukou_domain::{Currency, EventId, Money, ProviderName, TradeNo};
    use dukou_engine::records::EventKind;
    use uuid::Uuid;

    fn shown(kind: EventKind, subject: Subject) -> serde_json::Value {
        let id = EventId::from_uuid(Uuid::from_u128(9));
        let event = NewEvent { id, tenant: tenant_id(), kind, at: moment(), subject };
        serde_json::to_value(EventBody::from(&Event { position: 1, event })).unwrap()
    }

    #[test]
    fn an_event_shows_its_object() {
        let paid = shown(EventKind::PaymentSucceeded, Subject::Payment(Box::new(payment())));
        assert_eq!(paid["id"], "evt_00000000000000000000000000000009");
        assert_eq!(paid["type"], "payment.succeeded");
        assert_eq!(paid["data"], serde_json::to_value(PaymentBody::from(&payment())).unwrap());
        let refunded = shown(EventKind::RefundSucceeded, Subject::Refund(Box::new(refund())));
        assert_eq!(refunded["data"]["out_refund_no"], "R-1");
    }

    #[test]
    fn what_does_not_fit_is_told_with_both_sides() {
        let difference = Difference { field: "amount".into(), recorded: "101".into(), received: "1".into() };
        let subject = Subject::Mismatch { payment: Box::new(payment()), differences: vec![difference] };
        let event = shown(EventKind::PaymentMismatch, subject);
        assert_eq!(event["data"]["out_trade_no"], "B20261123-0001");
        assert_eq!(
            event["data"]["mismatch"],
            serde_json::json!([{ "field": "amount", "expected": "101", "received": "1" }])
        );
    }

    #[test]
    fn an_unknown_order_has_no_payment() {
        let subject = Subject::UnknownOrder {
            provider: ProviderName::new("wechat").unwrap(),
            trade_no: TradeNo::new("X1").unwrap(),
            transaction_id: None,
            amount: Money::new(101, Currency::named("USD")).ok(),
        };
        assert_eq!(
            shown(EventKind::PaymentUnknownOrder, subject)["data"],
            serde_json::json!({
                "provider": "wechat", "out_trade_no": "X1", "trade_no": "X1", "transaction_id": null, "amount": 101,
                "currency": "USD"
            })
        );
    }
}
