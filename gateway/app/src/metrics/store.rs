//! A clock around a store.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use dukou_domain::{
    EventId, OutRefundNo, OutTradeNo, PaymentId, ProviderName, RefundRequestId, Secret, TenantId, Timestamp, TradeNo,
    TransactionId,
};
use dukou_engine::open::OldestOpen;
use dukou_engine::ports::{Decide, Deliveries, History, Old, PluginRecords, Questions, Store, StoreError, Target};
use dukou_engine::records::{
    Begun, Event, IdempotentCall, Page, Payment, PaymentFilter, Refund, RefundRequest, RefundRequestFilter,
    StoreIdentity, StoredAnswer,
};
use dukou_spi::Kept;
use prometheus::{Histogram, HistogramVec};
use tokio::sync::watch;
use uuid::Uuid;

/// A store that says how long its calls take. What it does is the inner store's.
pub struct MeasuredStore {
    pub(super) inner: Arc<dyn Store>,
    apply: Histogram,
    pub(super) read: Histogram,
    pub(super) list: Histogram,
    pub(super) events: Histogram,
    pub(super) deliveries: Histogram,
    pub(super) take_due: Histogram,
    idempotency: Histogram,
    forget: Histogram,
    open: Histogram,
    probe: Histogram,
}

impl MeasuredStore {
    pub fn new(inner: Arc<dyn Store>, seconds: &HistogramVec) -> Self {
        let operation = |name: &str| seconds.with_label_values(&[name]);
        MeasuredStore {
            inner,
            apply: operation("apply"),
            read: operation("read"),
            list: operation("list"),
            events: operation("events"),
            deliveries: operation("deliveries"),
            open: operation("open"),
            take_due: operation("take_due"),
            idempotency: operation("idempotency"),
            forget: operation("forget"),
            probe: operation("probe"),
        }
    }
}

pub(super) async fn timed<T>(histogram: &Histogram, work: impl Future<Output = T>) -> T {
    let started = Instant::now();
    let result = work.await;
    histogram.observe(started.elapsed().as_secs_f64());
    result
}

#[async_trait]
impl Store for MeasuredStore {
    fn identity(&self) -> StoreIdentity {
        self.inner.identity()
    }

    async fn apply(&self, target: Target, decide: Decide) -> Result<(), StoreError> {
        timed(&self.apply, self.inner.apply(target, decide)).await
    }

    async fn payment(&self, tenant: &TenantId, out_trade_no: &OutTradeNo) -> Result<Option<Payment>, StoreError> {
        timed(&self.read, self.inner.payment(tenant, out_trade_no)).await
    }

    async fn payment_by_trade_no(
        &self,
        tenant: &TenantId,
        provider: &ProviderName,
        trade_no: &TradeNo,
    ) -> Result<Option<Payment>, StoreError> {
        timed(&self.read, self.inner.payment_by_trade_no(tenant, provider, trade_no)).await
    }

    async fn payment_by_transaction(
        &self,
        tenant: &TenantId,
        transaction: &TransactionId,
    ) -> Result<Option<Payment>, StoreError> {
        timed(&self.read, self.inner.payment_by_transaction(tenant, transaction)).await
    }

    async fn payments(&self, filter: PaymentFilter) -> Result<Page<Payment>, StoreError> {
        timed(&self.list, self.inner.payments(filter)).await
    }

    async fn refund(&self, tenant: &TenantId, out_refund_no: &OutRefundNo) -> Result<Option<Refund>, StoreError> {
        timed(&self.read, self.inner.refund(tenant, out_refund_no)).await
    }

    async fn refunds(&self, tenant: &TenantId, payment: PaymentId) -> Result<Vec<Refund>, StoreError> {
        timed(&self.list, self.inner.refunds(tenant, payment)).await
    }

    async fn refund_requests(&self, filter: RefundRequestFilter) -> Result<Page<RefundRequest>, StoreError> {
        timed(&self.list, self.inner.refund_requests(filter)).await
    }

    async fn refund_request(
        &self,
        tenant: &TenantId,
        id: RefundRequestId,
    ) -> Result<Option<RefundRequest>, StoreError> {
        timed(&self.read, self.inner.refund_request(tenant, id)).await
    }

    async fn pending_request(
        &self,
        tenant: &TenantId,
        payment: PaymentId,
    ) -> Result<Option<RefundRequest>, StoreError> {
        timed(&self.read, self.inner.pending_request(tenant, payment)).await
    }

    async fn events(&self, tenant: &TenantId, after: i64, limit: u32) -> Result<Vec<Event>, StoreError> {
        timed(&self.events, self.inner.events(tenant, after, limit)).await
    }

    async fn events_from(&self, after: i64, limit: u32) -> Result<Vec<Event>, StoreError> {
        timed(&self.events, self.inner.events_from(after, limit)).await
    }

    async fn event_position(&self, tenant: &TenantId, id: EventId) -> Result<Option<i64>, StoreError> {
        timed(&self.events, self.inner.event_position(tenant, id)).await
    }

    async fn begin_call(&self, call: IdempotentCall) -> Result<Begun, StoreError> {
        timed(&self.idempotency, self.inner.begin_call(call)).await
    }

    async fn end_call(
        &self,
        tenant: &TenantId,
        key: &str,
        owner: Uuid,
        answer: Option<StoredAnswer>,
    ) -> Result<(), StoreError> {
        timed(&self.idempotency, self.inner.end_call(tenant, key, owner, answer)).await
    }

    async fn forget(&self, what: Old, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        timed(&self.forget, self.inner.forget(what, before, limit)).await
    }

    async fn secret(&self, name: &str) -> Result<Secret, StoreError> {
        timed(&self.read, self.inner.secret(name)).await
    }

    async fn trust_material(&self, account: &str) -> Result<Option<Kept>, StoreError> {
        timed(&self.read, self.inner.trust_material(account)).await
    }

    async fn keep_trust_material(&self, account: &str, kept: Kept) -> Result<(), StoreError> {
        timed(&self.apply, self.inner.keep_trust_material(account, kept)).await
    }

    async fn position(&self) -> Result<i64, StoreError> {
        self.inner.position().await
    }

    async fn oldest_open(&self) -> Result<Vec<OldestOpen>, StoreError> {
        timed(&self.open, self.inner.oldest_open()).await
    }

    fn watch(&self) -> watch::Receiver<i64> {
        self.inner.watch()
    }

    fn questions(&self) -> &dyn Questions {
        self
    }

    fn still_there(&self, incarnation: Uuid, position: i64) -> i64 {
        self.inner.still_there(incarnation, position)
    }

    fn deliveries(&self) -> &dyn Deliveries {
        self
    }

    fn history(&self) -> &dyn History {
        self.inner.history()
    }

    fn plugins(&self) -> &dyn PluginRecords {
        self.inner.plugins()
    }

    async fn ready(&self) -> Result<(), StoreError> {
        timed(&self.probe, self.inner.ready()).await
    }
}
