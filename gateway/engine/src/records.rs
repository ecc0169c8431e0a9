//! What the store keeps, in the engine's words.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bytes::Bytes;
pub use dukou_domain::EventKind;
use dukou_domain::{
    AttemptId, AttemptState, EventId, Method, Money, OutRefundNo, OutTradeNo, PaymentId, PaymentState, PluginName,
    ProviderName, ProviderRefundId, RefundId, RefundRequestId, RefundRequestState, RefundState, TenantId, Timestamp,
    TradeNo, TransactionId,
};
use dukou_spi::{NotifyKind, Prepay};
use uuid::Uuid;

use crate::endpoint::Endpoint;

/// What the merchant wants paid, with the attempt that is live or was last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    pub id: PaymentId,
    pub tenant: TenantId,
    pub out_trade_no: OutTradeNo,
    pub amount: Money,
    pub description: String,
    pub attach: Option<String>,
    pub metadata: BTreeMap<String, String>,
    /// The payer's address, as it was named last; where nobody named one, that of whoever made the payment.
    pub client_ip: IpAddr,
    pub state: PaymentState,
    /// The success came after the payment had been closed or had failed.
    pub late: bool,
    /// The sum of refunds that succeeded.
    pub refunded: Money,
    /// The sum of refunds that are under way; reserved, so that refunds never add up to more
    /// than was paid.
    pub refunding: Money,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub expires_at: Timestamp,
    pub paid_at: Option<Timestamp>,
    pub transaction_id: Option<TransactionId>,
    /// Why the platform refused, where it did.
    pub failure: Option<Failure>,
    /// The attempt that is live, or was last; of a paid payment the one that paid it.
    pub attempt: Attempt,
    /// All other attempts.
    pub others: Vec<Attempt>,
    /// When the platform is to be asked next, and how often it was.
    pub check: Option<Check>,
    /// Counted up by the store at each change; a write names the version it read.
    pub version: i64,
}

/// One try to have a payment paid through one provider and method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    pub id: AttemptId,
    /// 1 for a payment's first attempt.
    pub number: u32,
    pub provider: ProviderName,
    pub method: Method,
    /// The number at the platform; unique in the tenant's provider.
    pub trade_no: TradeNo,
    /// Who the order was made for; what the platform later says is compared with these.
    pub app_id: String,
    pub merchant_id: String,
    pub openid: Option<String>,
    /// Kept as sent, so that a repeated create has the same content.
    pub notify_url: String,
    pub prepay: Option<Prepay>,
    pub state: AttemptState,
    /// The platform's number of the success, once there was one.
    pub transaction_id: Option<TransactionId>,
    /// The `kind` of the provider that it was made with. Empty where that is not known: it was recorded before kinds
    /// were.
    pub kind: String,
}

impl Payment {
    /// Every attempt, the first one first.
    pub fn attempts(&self) -> Vec<&Attempt> {
        let mut attempts: Vec<&Attempt> = self.others.iter().chain([&self.attempt]).collect();
        attempts.sort_unstable_by_key(|attempt| attempt.number);
        attempts
    }

    /// An attempt that gave way is still to be closed at its platform.
    pub fn is_closing(&self) -> bool {
        self.others.iter().chain([&self.attempt]).any(|attempt| attempt.state == AttemptState::Closing)
    }

    /// The attempt whose success a refund gives back.
    pub fn attempt_of(&self, refund: &Refund) -> Option<&Attempt> {
        let paid = |attempt: &&Attempt| attempt.provider == refund.provider && attempt.trade_no == refund.trade_no;
        self.others.iter().chain([&self.attempt]).find(paid)
    }
}

/// The platform's refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub code: Option<String>,
    pub message: String,
}

/// A planned question to the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Check {
    pub at: Timestamp,
    /// Questions asked since the state last changed.
    pub asked: u32,
}

/// Money on its way back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund {
    pub id: RefundId,
    pub tenant: TenantId,
    pub payment: PaymentId,
    pub out_trade_no: OutTradeNo,
    pub out_refund_no: OutRefundNo,
    pub provider: ProviderName,
    /// The number of the order at the platform.
    pub trade_no: TradeNo,
    pub amount: Money,
    pub reason: Option<String>,
    /// It gives back a second success of the payment, and so counts for nothing in its sums.
    pub of_duplicate: bool,
    pub notify_url: String,
    pub state: RefundState,
    pub provider_refund_id: Option<ProviderRefundId>,
    pub failure: Option<Failure>,
    /// The platform's last status word.
    pub platform_word: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub succeeded_at: Option<Timestamp>,
    pub check: Option<Check>,
    pub version: i64,
}

/// A buyer asks for money; the merchant decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundRequest {
    pub id: RefundRequestId,
    pub tenant: TenantId,
    pub payment: PaymentId,
    pub out_trade_no: OutTradeNo,
    /// Who asked.
    pub openid: String,
    pub amount: Money,
    pub reason: Option<String>,
    pub state: RefundRequestState,
    /// The refund that an approval made.
    pub out_refund_no: Option<OutRefundNo>,
    pub requested_at: Timestamp,
    pub decided_at: Option<Timestamp>,
    /// The name of the API key that decided.
    pub decided_by: Option<String>,
}

/// Which refund requests of a tenant to list, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundRequestFilter {
    pub tenant: TenantId,
    pub state: Option<RefundRequestState>,
    pub cursor: Option<PageCursor>,
    /// At most this many.
    pub limit: u32,
}

/// The identity of one thing that a platform told: two messages with equal keys tell the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NotificationKey {
    pub tenant: TenantId,
    /// Who was told: the provider, or the plugin by its name.
    pub provider: ProviderName,
    pub kind: MessageKind,
    /// The number it is about, and 32 hexadecimal digits over everything it says that counts. The
    /// number stands first so that messages of one time lie together in an index: digests alone
    /// would write another page for each.
    pub digest: String,
}

/// Which of the gateway's addresses a message came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageKind {
    Payment,
    Refund,
    /// A plugin's.
    Callback,
}

impl MessageKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            MessageKind::Payment => "payment",
            MessageKind::Refund => "refund",
            MessageKind::Callback => "callback",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [MessageKind::Payment, MessageKind::Refund, MessageKind::Callback]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

impl From<NotifyKind> for MessageKind {
    fn from(kind: NotifyKind) -> Self {
        match kind {
            NotifyKind::Payment => MessageKind::Payment,
            NotifyKind::Refund => MessageKind::Refund,
        }
    }
}

/// A message that was verified and kept: its raw form, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    pub key: NotificationKey,
    pub outcome: Recorded,
    pub payment: Option<PaymentId>,
    pub trade_no: TradeNo,
    pub received_at: Timestamp,
    /// The body as it came.
    pub body: Bytes,
}

/// What became of a message that was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It changed the payment, or agreed with what was known already.
    Applied,
    /// It contradicts our record in amount, currency, app or merchant.
    Mismatch,
    /// It says that a try to pay failed.
    NotPaid,
    /// No such order is known; the platform is asked to send it again.
    UnknownOrder,
}

impl Recorded {
    pub const ALL: [Recorded; 4] = [Recorded::Applied, Recorded::Mismatch, Recorded::NotPaid, Recorded::UnknownOrder];

    pub const fn as_str(self) -> &'static str {
        match self {
            Recorded::Applied => "applied",
            Recorded::Mismatch => "mismatch",
            Recorded::NotPaid => "not_paid",
            Recorded::UnknownOrder => "unknown_order",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|recorded| recorded.as_str() == text)
    }
}

/// One call to a platform, as it is remembered for people who ask what happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformCall {
    pub tenant: TenantId,
    pub payment: PaymentId,
    /// The refund that it was about, where it was about one.
    pub refund: Option<OutRefundNo>,
    pub provider: ProviderName,
    /// `pay`, `query`, `close`, `refund` or `query_refund`.
    pub operation: String,
    /// When it began.
    pub at: Timestamp,
    pub millis: u32,
    pub outcome: CallOutcome,
    /// The platform's error code.
    pub code: Option<String>,
    pub message: Option<String>,
    /// The platform's own number for the call, by which its support finds it.
    pub request_id: Option<String>,
}

/// How a call to a platform ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallOutcome {
    Ok,
    NotSent,
    Refused,
    Unknown,
    /// The provider failed inside; what became of the call is not known.
    Panicked,
}

impl CallOutcome {
    pub const ALL: [CallOutcome; 5] =
        [CallOutcome::Ok, CallOutcome::NotSent, CallOutcome::Refused, CallOutcome::Unknown, CallOutcome::Panicked];

    pub const fn as_str(self) -> &'static str {
        match self {
            CallOutcome::Ok => "ok",
            CallOutcome::NotSent => "not_sent",
            CallOutcome::Refused => "refused",
            CallOutcome::Unknown => "unknown",
            CallOutcome::Panicked => "panicked",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == text)
    }
}

/// Something that happened, to be written with the change it tells of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    pub id: EventId,
    pub tenant: TenantId,
    pub kind: EventKind,
    pub at: Timestamp,
    pub subject: Subject,
}

/// An entry of a tenant's event log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Grows with every entry, in the order of commits.
    pub position: i64,
    pub event: NewEvent,
}

impl Subject {
    /// The merchant's number of that payment.
    pub const fn out_trade_no(&self) -> Option<&OutTradeNo> {
        match self {
            Subject::Payment(payment) | Subject::Duplicate { payment, .. } | Subject::Mismatch { payment, .. } => {
                Some(&payment.out_trade_no)
            }
            Subject::Refund(refund) => Some(&refund.out_trade_no),
            Subject::RefundRequest(request) => Some(&request.out_trade_no),
            Subject::UnknownOrder { .. } | Subject::Endpoint(_) | Subject::Plugin { .. } => None,
        }
    }

    /// The payment that it is about, where it is about one that is known.
    pub const fn payment(&self) -> Option<PaymentId> {
        match self {
            Subject::Payment(payment) | Subject::Duplicate { payment, .. } | Subject::Mismatch { payment, .. } => {
                Some(payment.id)
            }
            Subject::Refund(refund) => Some(refund.payment),
            Subject::RefundRequest(request) => Some(request.payment),
            Subject::UnknownOrder { .. } | Subject::Endpoint(_) | Subject::Plugin { .. } => None,
        }
    }
}

/// What an event tells of, as it was at that moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    Payment(Box<Payment>),
    Refund(Box<Refund>),
    RefundRequest(Box<RefundRequest>),
    /// A second success of a paid payment, through this attempt of it.
    Duplicate {
        payment: Box<Payment>,
        attempt: Box<Attempt>,
        out_refund_no: OutRefundNo,
    },
    /// A verified message that contradicts the payment.
    Mismatch {
        payment: Box<Payment>,
        differences: Vec<Difference>,
    },
    /// A verified message about an order that is not known.
    UnknownOrder {
        provider: ProviderName,
        trade_no: TradeNo,
        transaction_id: Option<TransactionId>,
        amount: Option<Money>,
    },
    /// The tenant's webhook.
    Endpoint(Endpoint),
    /// What a plugin tells, in its own words.
    Plugin {
        plugin: PluginName,
        data: serde_json::Value,
    },
}

/// One thing in which a platform's word and our record differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// `amount`, `currency`, `app_id` or `merchant_id`.
    pub field: String,
    pub recorded: String,
    pub received: String,
}

/// Which store this is, and which life of it: a marker left elsewhere counts only for the very
/// incarnation it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreIdentity {
    pub store: Uuid,
    pub incarnation: Uuid,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Where the next page begins; `None` on the last.
    pub next: Option<PageCursor>,
}

impl<T> Page<T> {
    /// The page out of one item more than `limit`, where there are as many: the one too many tells
    /// that another page follows.
    pub fn cut(mut items: Vec<T>, limit: u32, cursor: impl FnOnce(&T) -> PageCursor) -> Self {
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let next = items.last().filter(|_| more).map(cursor);
        Page { items, next }
    }
}

/// A place in a list ordered newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageCursor {
    pub created_at: Timestamp,
    pub id: Uuid,
}

/// Which payments of a tenant to list, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentFilter {
    pub tenant: TenantId,
    pub state: Option<PaymentState>,
    pub created_after: Option<Timestamp>,
    pub cursor: Option<PageCursor>,
    /// At most this many.
    pub limit: u32,
}

/// An answer kept under an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAnswer {
    pub status: u16,
    pub content_type: String,
    pub body: Bytes,
}

/// A call that named an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotentCall {
    pub tenant: TenantId,
    pub key: String,
    /// Over method, path and body: a key belongs to one request.
    pub fingerprint: String,
    /// A number made for the request, so that a call resumed after a crash goes on under the
    /// number it began with.
    pub made_number: String,
    /// The process that runs the call; a call of a process that is gone may be taken over.
    pub owner: Uuid,
    pub now: Timestamp,
}

/// What an idempotency key says about a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// Run it, under this made number (the caller's own, or that of the call taken over).
    Run { made_number: String },
    /// It ran: answer this.
    Answered(StoredAnswer),
    /// It runs at this moment.
    InProgress,
    /// The key belongs to another request.
    Conflict,
}
