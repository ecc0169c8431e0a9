use dukou_engine::delivery::{Delivery, Endpoint, Try};
use serde::Serialize;
use utoipa::ToSchema;

use super::rfc3339;

/// An event on its way to the tenant's webhook.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Delivery)]
pub struct DeliveryBody {
    /// `dlv_…`
    pub id: String,
    /// The event that is delivered, `evt_…`; also its `webhook-id`.
    pub event_id: String,
    /// The event's `type`.
    pub event_type: String,
    /// `pending`, `delivered` or `exhausted`.
    pub status: String,
    /// How many attempts were made.
    pub attempt_count: u32,
    /// When it is tried next, while it is `pending`.
    #[schema(required = true, format = DateTime)]
    pub next_attempt_at: Option<String>,
    /// When it was entered.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When the endpoint took it.
    #[schema(required = true, format = DateTime)]
    pub delivered_at: Option<String>,
    /// The newest 16, oldest first.
    pub attempts: Vec<DeliveryAttempt>,
}

/// One attempt to deliver an event.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DeliveryAttempt {
    /// 1 for the first.
    #[schema(minimum = 1)]
    pub number: u32,
    /// When it began.
    #[schema(format = DateTime)]
    pub at: String,
    /// The endpoint's HTTP status, where it gave one.
    #[schema(required = true)]
    pub status_code: Option<u16>,
    /// Why it failed: `address` (the name leads to no address that may be called), `connect`,
    /// `timeout`, `broken` (the connection broke) or `status` (other than 2xx); `null` where it did
    /// not.
    #[schema(required = true)]
    pub error: Option<String>,
    /// Until the answer or the failure, in milliseconds.
    pub duration_ms: u32,
}

/// A page of deliveries.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeliveryList {
    /// Newest first.
    pub data: Vec<DeliveryBody>,
    /// Give it back as `cursor` for the next page; `null` on the last.
    #[schema(required = true)]
    pub next_cursor: Option<String>,
}

/// How the tenant's webhook is doing.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Webhook)]
pub struct WebhookBody {
    /// `enabled` or `disabled`.
    pub status: String,
    /// The first failure after the last success.
    #[schema(required = true, format = DateTime)]
    pub failing_since: Option<String>,
    /// When it was switched off, while it is `disabled`.
    #[schema(required = true, format = DateTime)]
    pub disabled_at: Option<String>,
}

impl From<&Delivery> for DeliveryBody {
    fn from(delivery: &Delivery) -> Self {
        DeliveryBody {
            id: delivery.id.to_string(),
            event_id: delivery.event.to_string(),
            event_type: delivery.kind.as_str().to_owned(),
            status: delivery.state.to_string(),
            attempt_count: delivery.made,
            next_attempt_at: delivery.next_at.map(rfc3339),
            created_at: rfc3339(delivery.created_at),
            delivered_at: delivery.delivered_at.map(rfc3339),
            attempts: delivery.tries.iter().map(DeliveryAttempt::from).collect(),
        }
    }
}

impl From<&Try> for DeliveryAttempt {
    fn from(one: &Try) -> Self {
        DeliveryAttempt {
            number: one.number,
            at: rfc3339(one.at),
            status_code: one.status,
            error: one.error.map(|error| error.as_str().to_owned()),
            duration_ms: one.millis,
        }
    }
}

impl From<&Endpoint> for WebhookBody {
    fn from(endpoint: &Endpoint) -> Self {
        let status = if endpoint.disabled_at.is_some() { "disabled" } else { "enabled" };
        WebhookBody {
            status: status.to_owned(),
            failing_since: endpoint.failing_since.map(rfc3339),
            disabled_at: endpoint.disabled_at.map(rfc3339),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{moment, tenant_id};
    use dukou_domain::{DeliveryId, DeliveryState, EventId};
    use dukou_engine::delivery::TryError;
    use dukou_engine::records::EventKind;
    use uuid::Uuid;

    #[test]
    fn a_delivery_shows_its_attempts() {
        let delivery = Delivery {
            id: DeliveryId::from_uuid(Uuid::from_u128(7)),
            tenant: tenant_id(),
            event: EventId::from_uuid(Uuid::from_u128(8)),
            kind: EventKind::PaymentSucceeded,
            position: 3,
            state: DeliveryState::Pending,
            made: 2,
            failed: 2,
            next_at: Some(moment()),
            created_at: moment(),
            delivered_at: None,
            tries: vec![
                Try { number: 1, at: moment(), status: Some(500), error: Some(TryError::Status), millis: 12 },
                Try { number: 2, at: moment(), status: None, error: Some(TryError::Timeout), millis: 15_000 },
            ],
        };
        let at = rfc3339(moment());
        assert_eq!(
            serde_json::to_value(DeliveryBody::from(&delivery)).unwrap(),
            serde_json::json!({
                "id": "dlv_00000000000000000000000000000007", "event_id": "evt_00000000000000000000000000000008",
                "event_type": "payment.succeeded", "status": "pending", "attempt_count": 2,
                "next_attempt_at": at, "created_at": at, "delivered_at": null,
                "attempts": [
                    { "number": 1, "at": at, "status_code": 500, "error": "status", "duration_ms": 12 },
                    { "number": 2, "at": at, "status_code": null, "error": "timeout", "duration_ms": 15000 },
                ],
            })
        );
    }
}
