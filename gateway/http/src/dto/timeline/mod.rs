//! The history of one payment, as JSON and in words.

mod words;

use std::collections::BTreeMap;

use dukou_engine::records::{Payment, PlatformCall};
use dukou_engine::timeline::{Entry, Message, Timeline, Waiting, What};
use serde::Serialize;
use utoipa::ToSchema;

pub use words::failure as try_failure;

use super::{AttemptBody, DeliveryAttempt, FailureBody, rfc3339};

/// Everything that happened to one payment, and what it waits for.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Timeline)]
pub struct TimelineBody {
    /// As it stands now.
    pub payment: TracedPayment,
    /// The most pressing first; empty when nothing is left to happen.
    pub waiting: Vec<WaitingBody>,
    /// Oldest first.
    pub entries: Vec<TimelineEntry>,
}

/// A payment as an operator sees it: nothing about who pays.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TracedPayment {
    /// The gateway's identifier, `pay_…`.
    pub id: String,
    /// Whose it is.
    pub tenant: String,
    /// The tenant's number.
    pub out_trade_no: String,
    /// As a `Payment` has it.
    pub status: String,
    /// The success came after the payment had been closed or had failed.
    pub late: bool,
    /// In minor units (fen).
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
    /// In minor units (fen).
    pub refunded_amount: i64,
    /// The provider's number, once it is paid.
    #[schema(required = true)]
    pub provider_transaction_id: Option<String>,
    /// When the gateway entered it.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When the payer paid, by the provider's word where it names a time.
    #[schema(required = true, format = DateTime)]
    pub paid_at: Option<String>,
    /// Until when it can be paid.
    #[schema(format = DateTime)]
    pub expires_at: String,
    /// Why the provider refused, where it did.
    #[schema(required = true)]
    pub failure: Option<FailureBody>,
    /// The tries to have it paid, the first one first.
    pub attempts: Vec<AttemptBody>,
}

/// A sentence in both languages.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Words {
    /// In Chinese.
    pub zh: String,
    /// In English.
    pub en: String,
}

/// One thing that is still to happen.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Waiting)]
pub struct WaitingBody {
    /// `lost_answer`, `unsent`, `payer`, `payment`, `lost_refund`, `unsent_refund`, `refund`,
    /// `abnormal_refund`, `decision`, `endpoint`, `delivery` or `exhausted`.
    pub code: String,
    /// When the gateway itself does something about it.
    #[schema(required = true, format = DateTime)]
    pub next_at: Option<String>,
    /// For a person.
    pub words: Words,
}

/// One thing that happened.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TimelineEntry {
    /// When it happened.
    #[schema(format = DateTime)]
    pub at: String,
    /// For a person.
    pub words: Words,
    /// What it was.
    #[serde(flatten)]
    pub details: EntryDetails,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EntryDetails {
    /// A state changed, or somebody was to be told.
    Event { event_id: String, event_type: String },
    /// The platform was called.
    Call(CallBody),
    /// The platform told something.
    Notify(MessageBody),
    /// An event was sent to the merchant's webhook.
    Delivery { delivery_id: String, event_type: String, attempt: DeliveryAttempt },
}

/// One call to the platform.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = PlatformCall)]
pub struct CallBody {
    /// The tenant's own name for the provider.
    pub provider: String,
    /// `pay`, `query`, `close`, `refund` or `query_refund`.
    pub operation: String,
    /// The refund that it was about, where it was about one.
    #[schema(required = true)]
    pub out_refund_no: Option<String>,
    /// `ok`, `not_sent`, `refused`, `unknown` or `panicked`.
    pub outcome: String,
    /// The platform's own code, where it refused.
    #[schema(required = true)]
    pub provider_code: Option<String>,
    /// What the platform said of it.
    #[schema(required = true)]
    pub provider_message: Option<String>,
    /// The platform's own number for the call, by which its support finds it.
    #[schema(required = true)]
    pub provider_request_id: Option<String>,
    /// Until the answer or the failure, in milliseconds.
    pub duration_ms: u32,
}

/// One message of the platform.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = PlatformMessage)]
pub struct MessageBody {
    /// The tenant's own name for the provider.
    pub provider: String,
    /// `payment` or `refund`.
    pub about: String,
    /// `applied`, `mismatch`, `not_paid` or `unknown_order`.
    pub outcome: String,
    /// Bytes as it came.
    pub size: usize,
    /// What it said; `***` stands for what is not shown.
    pub fields: BTreeMap<String, String>,
}

impl From<&Timeline> for TimelineBody {
    fn from(timeline: &Timeline) -> Self {
        TimelineBody {
            payment: TracedPayment::from(&timeline.payment),
            waiting: timeline.waiting.iter().map(WaitingBody::from).collect(),
            entries: timeline.entries.iter().map(TimelineEntry::from).collect(),
        }
    }
}

impl From<&Payment> for TracedPayment {
    fn from(payment: &Payment) -> Self {
        TracedPayment {
            id: payment.id.to_string(),
            tenant: payment.tenant.to_string(),
            out_trade_no: payment.out_trade_no.to_string(),
            status: payment.state.to_string(),
            late: payment.late,
            amount: payment.amount.minor(),
            currency: payment.amount.currency().to_string(),
            refunded_amount: payment.refunded.minor(),
            provider_transaction_id: payment.transaction_id.as_ref().map(ToString::to_string),
            created_at: rfc3339(payment.created_at),
            paid_at: payment.paid_at.map(rfc3339),
            expires_at: rfc3339(payment.expires_at),
            failure: payment.failure.as_ref().map(FailureBody::from),
            attempts: payment.attempts().into_iter().map(AttemptBody::from).collect(),
        }
    }
}

impl From<&Waiting> for WaitingBody {
    fn from(waiting: &Waiting) -> Self {
        let next_at = match waiting {
            Waiting::LostAnswer { check }
            | Waiting::Unsent { check }
            | Waiting::Payment { check, .. }
            | Waiting::LostRefund { check, .. }
            | Waiting::UnsentRefund { check, .. }
            | Waiting::Refund { check, .. }
            | Waiting::AbnormalRefund { check, .. } => check.map(|check| check.at),
            Waiting::Delivery { next_at, .. } => *next_at,
            Waiting::Payer { .. } | Waiting::Decision { .. } | Waiting::Endpoint { .. } | Waiting::Exhausted { .. } => {
                None
            }
        };
        let (code, words) = words::waiting(waiting);
        WaitingBody { code: code.to_owned(), next_at: next_at.map(rfc3339), words }
    }
}

impl From<&Entry> for TimelineEntry {
    fn from(entry: &Entry) -> Self {
        let details = match &entry.what {
            What::Event(event) => {
                EntryDetails::Event { event_id: event.id.to_string(), event_type: event.kind.as_str().to_owned() }
            }
            What::Call(call) => EntryDetails::Call(CallBody::from(call.as_ref())),
            What::Message(message) => EntryDetails::Notify(MessageBody::from(message.as_ref())),
            What::Delivery { id, kind, tried } => EntryDetails::Delivery {
                delivery_id: id.to_string(),
                event_type: kind.as_str().to_owned(),
                attempt: DeliveryAttempt::from(tried),
            },
        };
        TimelineEntry { at: rfc3339(entry.at), words: words::entry(&entry.what), details }
    }
}

impl From<&PlatformCall> for CallBody {
    fn from(call: &PlatformCall) -> Self {
        CallBody {
            provider: call.provider.to_string(),
            operation: call.operation.clone(),
            out_refund_no: call.refund.as_ref().map(ToString::to_string),
            outcome: call.outcome.as_str().to_owned(),
            provider_code: call.code.clone(),
            provider_message: call.message.clone(),
            provider_request_id: call.request_id.clone(),
            duration_ms: call.millis,
        }
    }
}

impl From<&Message> for MessageBody {
    fn from(message: &Message) -> Self {
        MessageBody {
            provider: message.provider.to_string(),
            about: message.kind.to_owned(),
            outcome: message.outcome.as_str().to_owned(),
            size: message.size,
            fields: message.fields.iter().cloned().collect(),
        }
    }
}
