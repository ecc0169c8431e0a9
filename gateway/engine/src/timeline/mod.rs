//! "Where is my payment?": everything that happened to one, in the order in which it did, and what it
//! waits for.

mod waiting;

use dukou_domain::{AttemptState, DeliveryId, OutTradeNo, ProviderName, Timestamp};

pub use waiting::Waiting;

use crate::delivery::Try;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::number;
use crate::records::{EventKind, NewEvent, Notification, Payment, PlatformCall, Recorded, Refund};
use crate::tenant::Tenant;

/// So many of each kind are shown, the newest.
const SHOWN: u32 = 500;

/// One payment's history.
#[derive(Debug, Clone)]
pub struct Timeline {
    pub payment: Payment,
    /// Oldest first.
    pub refunds: Vec<Refund>,
    /// Oldest first; of what happened in one millisecond, the cause first.
    pub entries: Vec<Entry>,
    /// The most pressing first; empty when nothing is left to happen.
    pub waiting: Vec<Waiting>,
}

#[derive(Debug, Clone)]
pub struct Entry {
    pub at: Timestamp,
    pub what: What,
}

/// One thing that happened.
#[derive(Debug, Clone)]
pub enum What {
    /// A state changed, or somebody was to be told.
    Event(Box<NewEvent>),
    /// The platform was called.
    Call(Box<PlatformCall>),
    /// The platform told something.
    Message(Box<Message>),
    /// An event was sent to the merchant's webhook.
    Delivery { id: DeliveryId, kind: EventKind, tried: Try },
}

/// A kept message of the platform, as a person may see it.
#[derive(Debug, Clone)]
pub struct Message {
    pub provider: ProviderName,
    /// `payment` or `refund`.
    pub kind: &'static str,
    pub outcome: Recorded,
    /// Bytes as it came.
    pub size: usize,
    /// Fields that may be shown.
    pub fields: Vec<(String, String)>,
}

impl Engine {
    /// The history of a payment.
    ///
    /// # Errors
    /// [`EngineError::NotFound`], [`EngineError::Store`].
    pub async fn timeline(&self, tenant: &Tenant, out_trade_no: &OutTradeNo) -> Result<Timeline, EngineError> {
        // What this process called just now belongs to it.
        self.write_calls().await;
        let payment = self.store.payment(&tenant.id, out_trade_no).await?.ok_or(EngineError::NotFound)?;
        let refunds = self.store.refunds(&tenant.id, payment.id).await?;
        let undecided = self.store.pending_request(&tenant.id, payment.id).await?;
        let history = self.store.history();
        let calls = history.calls_about(&tenant.id, payment.id, SHOWN).await?;
        let events = history.events_about(&tenant.id, payment.id, SHOWN).await?;
        let messages = history.messages_about(&tenant.id, numbers(&payment, &refunds), SHOWN).await?;
        let positions = events.iter().map(|event| event.position).collect();
        let deliveries = self.store.deliveries().deliveries_of(&tenant.id, positions).await?;
        let endpoint = self.store.deliveries().endpoint(&tenant.id).await?;

        let waiting = waiting::of(&waiting::Known {
            payment: &payment,
            refunds: &refunds,
            undecided: undecided.as_ref(),
            deliveries: &deliveries,
            endpoint,
            waits_for_payer: payment.attempt.openid.is_none() && waits_for_payer(tenant, &payment),
        });
        let mut entries: Vec<Entry> =
            calls.into_iter().map(|call| entry(call.at, What::Call(Box::new(call)))).collect();
        entries.extend(messages.into_iter().map(|message| {
            let at = message.received_at;
            entry(at, What::Message(Box::new(shown(tenant, message))))
        }));
        entries.extend(events.into_iter().map(|event| entry(event.event.at, What::Event(Box::new(event.event)))));
        for delivery in deliveries {
            let (id, kind) = (delivery.id, delivery.kind);
            entries.extend(delivery.tries.into_iter().map(|tried| entry(tried.at, What::Delivery { id, kind, tried })));
        }
        // Stable: what was put in first stands first.
        entries.sort_by_key(|entry| entry.at);
        Ok(Timeline { payment, refunds, entries, waiting })
    }
}

fn entry(at: Timestamp, what: What) -> Entry {
    Entry { at, what }
}

/// The numbers under which a platform may have told something.
fn numbers(payment: &Payment, refunds: &[Refund]) -> Vec<String> {
    let orders = payment.attempts().into_iter().map(|attempt| attempt.trade_no.to_string());
    let refunds = refunds.iter().filter_map(|refund| number::platform_refund_no(payment, &refund.out_refund_no));
    orders.chain(refunds.map(|number| number.to_string())).collect()
}

fn waits_for_payer(tenant: &Tenant, payment: &Payment) -> bool {
    let provider = tenant.providers.get(&payment.attempt.provider);
    payment.attempt.state == AttemptState::Live
        && provider.is_some_and(|provider| crate::create::waits_for_payer(provider, payment))
}

fn shown(tenant: &Tenant, message: Notification) -> Message {
    let Notification { key, outcome, body, .. } = message;
    // Its provider may have been taken out of the configuration; then nobody here can read it.
    let fields = tenant.providers.get(&key.provider).map(|provider| provider.show(&body)).unwrap_or_default();
    Message { provider: key.provider, kind: key.kind.as_str(), outcome, size: body.len(), fields }
}
