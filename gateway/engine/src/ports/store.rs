//! The ledger: durable, transactional, the only truth.

use async_trait::async_trait;
use dukou_domain::{
    EventId, OutRefundNo, OutTradeNo, PaymentId, ProviderName, RefundRequestId, Secret, TenantId, Timestamp, TradeNo,
    TransactionId,
};
use dukou_spi::Kept;
use tokio::sync::watch;
use uuid::Uuid;

use super::{Deliveries, History, PluginRecords, Questions};
use crate::open::OldestOpen;
use crate::records::{
    Begun, Event, IdempotentCall, NewEvent, Notification, NotificationKey, Page, Payment, PaymentFilter, Recorded,
    Refund, RefundRequest, RefundRequestFilter, StoreIdentity, StoredAnswer,
};

/// Why the store could not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Nothing was written; it may be tried again (disk full, away, overloaded, shutting down).
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// It is not known whether it was written (the connection broke during the commit).
    #[error("the store's answer was lost: {0}")]
    Unknown(String),
    /// A unique key or the compare-and-set refused the write: somebody else was first.
    #[error("the record was changed by somebody else: {0}")]
    Conflict(String),
    /// What is stored cannot be read back.
    #[error("the store holds what cannot be read: {0}")]
    Corrupt(String),
}

/// Which payment a change is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PaymentKey {
    /// The payment that the merchant calls so.
    OutTradeNo(OutTradeNo),
    /// The payment that has, or had, an attempt of this number at its platform.
    TradeNo {
        /// The tenant's name for the provider.
        provider: ProviderName,
        /// The attempt's number there.
        trade_no: TradeNo,
    },
    /// The payment that the refund of this number belongs to.
    Refund(OutRefundNo),
    /// The payment that the refund request is about.
    RefundRequest(RefundRequestId),
}

/// What a change reads before it decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Whose.
    pub tenant: TenantId,
    /// The payment to be changed.
    pub payment: PaymentKey,
    /// A refund of the tenant, whichever payment it belongs to.
    pub refund: Option<OutRefundNo>,
    /// Whether this message was kept before.
    pub notification: Option<NotificationKey>,
    /// A refund request of the tenant.
    pub request: Option<RefundRequestId>,
}

impl Target {
    /// A payment and nothing else.
    pub fn payment(tenant: TenantId, payment: PaymentKey) -> Self {
        Target { tenant, payment, refund: None, notification: None, request: None }
    }

    /// A refund with its payment.
    pub fn refund(tenant: TenantId, out_refund_no: OutRefundNo) -> Self {
        let payment = PaymentKey::Refund(out_refund_no.clone());
        Target { refund: Some(out_refund_no), ..Target::payment(tenant, payment) }
    }
}

/// What was found, under the protection of the transaction that will write.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct View {
    /// The target's payment.
    pub payment: Option<Payment>,
    /// The target's refund, which may belong to another payment.
    pub refund: Option<Refund>,
    /// How the target's message was kept, where it was.
    pub notification: Option<Recorded>,
    /// The target's refund request, which may be about another payment.
    pub request: Option<RefundRequest>,
}

/// What to write. An empty change writes nothing at all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Change {
    /// Inserted when its version is 0, otherwise updated where the version is still the same, but for
    /// what the merchant asked for, which never changes. The store counts the version up.
    pub payment: Option<Payment>,
    /// As for the payment.
    pub refund: Option<Refund>,
    /// Appended to the event log, in this order.
    pub events: Vec<NewEvent>,
    /// Kept, or its outcome updated where the same message was kept as
    /// [`Recorded::UnknownOrder`] before.
    pub notification: Option<Notification>,
    /// Inserted, or its decision entered where there was none. One payment has at most one pending
    /// request: another is [`StoreError::Conflict`].
    pub request: Option<RefundRequest>,
}

impl Change {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.payment.is_none()
            && self.refund.is_none()
            && self.events.is_empty()
            && self.notification.is_none()
            && self.request.is_none()
    }
}

/// What is kept for a while only. Payments, refunds and the event log are kept for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Old {
    /// Idempotency keys, by when they were entered.
    Calls,
    /// Deliveries that were delivered or exhausted, by when they were entered. One that still waits
    /// is never old.
    Deliveries,
    /// Records of calls to the platforms, by when they were made.
    PlatformCalls,
    /// Raw messages of the platforms, by when they came. What they said is in the payment, whose
    /// state knows a copy that comes later still.
    Notifications,
}

impl Old {
    /// All of them.
    pub const ALL: [Old; 4] = [Old::Calls, Old::Deliveries, Old::PlatformCalls, Old::Notifications];

    /// The word for it in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Old::Calls => "idempotency_keys",
            Old::Deliveries => "deliveries",
            Old::PlatformCalls => "platform_calls",
            Old::Notifications => "notifications",
        }
    }
}

/// Decides what to write from what was found. Pure: a store may call it again when a transaction
/// has to be repeated, and only the last call counts.
pub type Decide = Box<dyn FnMut(View) -> Change + Send>;

/// The ledger. Whatever is said to be written is on disk when its method returns.
#[async_trait]
pub trait Store: Send + Sync {
    /// Which store this is, and which life of it.
    fn identity(&self) -> StoreIdentity;

    /// Reads the target, lets `decide` say what follows and writes it, in one transaction that no
    /// other change of the same payment interleaves with. Returns after the commit is on disk; what
    /// `decide` saw and said counts only then. An empty change costs no write.
    ///
    /// # Errors
    /// [`StoreError`]; after `Unknown` the caller asks again instead of assuming.
    async fn apply(&self, target: Target, decide: Decide) -> Result<(), StoreError>;

    /// The payment that the merchant calls so.
    async fn payment(&self, tenant: &TenantId, out_trade_no: &OutTradeNo) -> Result<Option<Payment>, StoreError>;

    /// The payment that has, or had, an attempt of this number at its platform.
    async fn payment_by_trade_no(
        &self,
        tenant: &TenantId,
        provider: &ProviderName,
        trade_no: &TradeNo,
    ) -> Result<Option<Payment>, StoreError>;

    /// The payment of which the platform knows a success by this number, also one that was paid twice.
    async fn payment_by_transaction(
        &self,
        tenant: &TenantId,
        transaction: &TransactionId,
    ) -> Result<Option<Payment>, StoreError>;

    /// Newest first.
    async fn payments(&self, filter: PaymentFilter) -> Result<Page<Payment>, StoreError>;

    /// The refund that the merchant calls so.
    async fn refund(&self, tenant: &TenantId, out_refund_no: &OutRefundNo) -> Result<Option<Refund>, StoreError>;

    /// All refunds of a payment, oldest first.
    async fn refunds(&self, tenant: &TenantId, payment: PaymentId) -> Result<Vec<Refund>, StoreError>;

    /// Newest first.
    async fn refund_requests(&self, filter: RefundRequestFilter) -> Result<Page<RefundRequest>, StoreError>;

    /// A refund request of the tenant.
    async fn refund_request(&self, tenant: &TenantId, id: RefundRequestId)
    -> Result<Option<RefundRequest>, StoreError>;

    /// The request about a payment that nobody has decided yet.
    async fn pending_request(&self, tenant: &TenantId, payment: PaymentId)
    -> Result<Option<RefundRequest>, StoreError>;

    /// The tenant's events after a position (0 is before the first), oldest first.
    async fn events(&self, tenant: &TenantId, after: i64, limit: u32) -> Result<Vec<Event>, StoreError>;

    /// The events of all tenants after a position (0 is before the first), oldest first.
    async fn events_from(&self, after: i64, limit: u32) -> Result<Vec<Event>, StoreError>;

    /// The position of one of the tenant's events.
    async fn event_position(&self, tenant: &TenantId, id: EventId) -> Result<Option<i64>, StoreError>;

    /// Enters a call under its idempotency key, durably. A call in progress whose owner is another
    /// process than `call.owner` is taken over: at once on a store that only one process may open, and
    /// where several do when that process has been silent for longer than its lease.
    async fn begin_call(&self, call: IdempotentCall) -> Result<Begun, StoreError>;

    /// Keeps the answer of a call, or forgets the call (`None`) so that it may be made again.
    async fn end_call(
        &self,
        tenant: &TenantId,
        key: &str,
        owner: Uuid,
        answer: Option<StoredAnswer>,
    ) -> Result<(), StoreError>;

    /// Deletes what became old before `before`; at most `limit` of it. Returns how many; fewer than
    /// `limit` means that no more is old.
    async fn forget(&self, what: Old, before: Timestamp, limit: u32) -> Result<u64, StoreError>;

    /// A key of 32 random bytes in hexadecimal, made at the first call with that name and the same
    /// ever after.
    async fn secret(&self, name: &str) -> Result<Secret, StoreError>;

    /// A platform's trust material that was kept for an account.
    async fn trust_material(&self, account: &str) -> Result<Option<Kept>, StoreError>;

    /// Keeps it, unless something younger is there.
    async fn keep_trust_material(&self, account: &str, kept: Kept) -> Result<(), StoreError>;

    /// The position of the newest entry of the event log, 0 when it is empty; where others write too,
    /// the newest that is known here. With it the coordinator notices a store that is behind what it
    /// once was.
    async fn position(&self) -> Result<i64, StoreError>;

    /// That position as it grows: whoever follows the event log waits here for more. A value seen
    /// may be older than one read meanwhile, and wakes may be missing on a store that other
    /// processes write to.
    ///
    /// Positions count within an incarnation ([`Store::identity`]). When the store meets another one the value is set
    /// to where that one's log is, which may be lower; whoever remembers a position remembers its incarnation, and
    /// asks [`Store::still_there`] or begins anew. An incarnation that is asked for after a value was seen is
    /// never an older one than the value's.
    fn watch(&self) -> watch::Receiver<i64>;

    /// As much of what was read of the log up to `position`, in that incarnation, as it still holds.
    fn still_there(&self, incarnation: Uuid, position: i64) -> i64;

    /// What has waited longest, by tenant and kind; kinds of which a tenant has none are left out. Asked
    /// for every few seconds, so a store looks within a bound and may then miss a newer one behind
    /// very many older ones.
    async fn oldest_open(&self) -> Result<Vec<OldestOpen>, StoreError>;

    /// What is to be asked after.
    fn questions(&self) -> &dyn Questions;

    /// The deliveries of this store's events.
    fn deliveries(&self) -> &dyn Deliveries;

    /// What happened to one payment.
    fn history(&self) -> &dyn History;

    /// What plugins keep.
    fn plugins(&self) -> &dyn PluginRecords;

    /// Whether the store could take a write now. Cheap enough for a readiness probe.
    async fn ready(&self) -> Result<(), StoreError>;
}
