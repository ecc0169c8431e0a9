//! Schedules that a jump of the machine's clock does not reach.
//!
//! What is planned is kept in the store as a moment. When the clock is set forward, everything
//! planned for the time that was left out would be due at once; when it is set back, nothing would
//! be due until that time had passed again. So moments of plans, and of nothing else, are kept in a
//! time that goes on evenly and comes near the clock slowly: [`SteadySchedules`] translates
//! them on their way in and out. Everybody else sees the clock's time.

mod deliveries;
mod questions;
mod time;

use std::sync::Arc;

use async_trait::async_trait;
use dukou_domain::{
    EventId, OutRefundNo, OutTradeNo, PaymentId, ProviderName, RefundRequestId, Secret, TenantId, Timestamp, TradeNo,
    TransactionId,
};
use dukou_engine::open::{OldestOpen, OpenKind};
use dukou_engine::ports::{Decide, Deliveries, History, Old, PluginRecords, Questions, Store, StoreError, Target};
use dukou_engine::records::{
    Begun, Check, Event, IdempotentCall, Page, Payment, PaymentFilter, Refund, RefundRequest, RefundRequestFilter,
    StoreIdentity, StoredAnswer,
};
use dukou_spi::Kept;
use tokio::sync::watch;
use uuid::Uuid;

pub use time::{LeftAt, SteadyTime};

/// A store whose plans are in the steady time. Everything else is the inner store's.
pub struct SteadySchedules {
    inner: Arc<dyn Store>,
    time: Arc<SteadyTime>,
}

impl SteadySchedules {
    pub fn new(inner: Arc<dyn Store>, time: impl Into<Arc<SteadyTime>>) -> Self {
        SteadySchedules { inner, time: time.into() }
    }
}

/// A moment moved by so many milliseconds.
fn moved(at: Timestamp, by: i64) -> Timestamp {
    Timestamp::from_millis(at.as_millis().saturating_add(by))
}

fn move_check(check: &mut Option<Check>, by: i64) {
    if let Some(check) = check {
        check.at = moved(check.at, by);
    }
}

fn payment_out(mut payment: Payment, ahead: i64) -> Payment {
    move_check(&mut payment.check, -ahead);
    payment
}

fn refund_out(mut refund: Refund, ahead: i64) -> Refund {
    move_check(&mut refund.check, -ahead);
    refund
}

#[async_trait]
impl Store for SteadySchedules {
    fn identity(&self) -> StoreIdentity {
        self.inner.identity()
    }

    async fn apply(&self, target: Target, mut decide: Decide) -> Result<(), StoreError> {
        let ahead = self.time.ahead();
        if ahead == 0 {
            return self.inner.apply(target, decide).await;
        }
        let translated = move |mut view: dukou_engine::ports::View| {
            view.payment = view.payment.map(|payment| payment_out(payment, ahead));
            view.refund = view.refund.map(|refund| refund_out(refund, ahead));
            let mut change = decide(view);
            if let Some(payment) = &mut change.payment {
                move_check(&mut payment.check, ahead);
            }
            if let Some(refund) = &mut change.refund {
                move_check(&mut refund.check, ahead);
            }
            change
        };
        self.inner.apply(target, Box::new(translated)).await
    }

    async fn payment(&self, tenant: &TenantId, out_trade_no: &OutTradeNo) -> Result<Option<Payment>, StoreError> {
        let ahead = self.time.ahead();
        Ok(self.inner.payment(tenant, out_trade_no).await?.map(|payment| payment_out(payment, ahead)))
    }

    async fn payment_by_trade_no(
        &self,
        tenant: &TenantId,
        provider: &ProviderName,
        trade_no: &TradeNo,
    ) -> Result<Option<Payment>, StoreError> {
        let ahead = self.time.ahead();
        let found = self.inner.payment_by_trade_no(tenant, provider, trade_no).await?;
        Ok(found.map(|payment| payment_out(payment, ahead)))
    }

    async fn payment_by_transaction(
        &self,
        tenant: &TenantId,
        transaction: &TransactionId,
    ) -> Result<Option<Payment>, StoreError> {
        let ahead = self.time.ahead();
        let found = self.inner.payment_by_transaction(tenant, transaction).await?;
        Ok(found.map(|payment| payment_out(payment, ahead)))
    }

    async fn payments(&self, filter: PaymentFilter) -> Result<Page<Payment>, StoreError> {
        let ahead = self.time.ahead();
        let mut page = self.inner.payments(filter).await?;
        page.items.iter_mut().for_each(|payment| move_check(&mut payment.check, -ahead));
        Ok(page)
    }

    async fn refund(&self, tenant: &TenantId, out_refund_no: &OutRefundNo) -> Result<Option<Refund>, StoreError> {
        let ahead = self.time.ahead();
        Ok(self.inner.refund(tenant, out_refund_no).await?.map(|refund| refund_out(refund, ahead)))
    }

    async fn refunds(&self, tenant: &TenantId, payment: PaymentId) -> Result<Vec<Refund>, StoreError> {
        let ahead = self.time.ahead();
        let refunds = self.inner.refunds(tenant, payment).await?;
        Ok(refunds.into_iter().map(|refund| refund_out(refund, ahead)).collect())
    }

    async fn refund_requests(&self, filter: RefundRequestFilter) -> Result<Page<RefundRequest>, StoreError> {
        self.inner.refund_requests(filter).await
    }

    async fn refund_request(
        &self,
        tenant: &TenantId,
        id: RefundRequestId,
    ) -> Result<Option<RefundRequest>, StoreError> {
        self.inner.refund_request(tenant, id).await
    }

    async fn pending_request(
        &self,
        tenant: &TenantId,
        payment: PaymentId,
    ) -> Result<Option<RefundRequest>, StoreError> {
        self.inner.pending_request(tenant, payment).await
    }

    async fn events(&self, tenant: &TenantId, after: i64, limit: u32) -> Result<Vec<Event>, StoreError> {
        self.inner.events(tenant, after, limit).await
    }

    async fn events_from(&self, after: i64, limit: u32) -> Result<Vec<Event>, StoreError> {
        self.inner.events_from(after, limit).await
    }

    async fn event_position(&self, tenant: &TenantId, id: EventId) -> Result<Option<i64>, StoreError> {
        self.inner.event_position(tenant, id).await
    }

    async fn begin_call(&self, call: IdempotentCall) -> Result<Begun, StoreError> {
        self.inner.begin_call(call).await
    }

    async fn end_call(
        &self,
        tenant: &TenantId,
        key: &str,
        owner: Uuid,
        answer: Option<StoredAnswer>,
    ) -> Result<(), StoreError> {
        self.inner.end_call(tenant, key, owner, answer).await
    }

    async fn forget(&self, what: Old, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.inner.forget(what, before, limit).await
    }

    async fn trust_material(&self, account: &str) -> Result<Option<Kept>, StoreError> {
        self.inner.trust_material(account).await
    }

    async fn keep_trust_material(&self, account: &str, kept: Kept) -> Result<(), StoreError> {
        self.inner.keep_trust_material(account, kept).await
    }

    async fn secret(&self, name: &str) -> Result<Secret, StoreError> {
        self.inner.secret(name).await
    }

    async fn position(&self) -> Result<i64, StoreError> {
        self.inner.position().await
    }

    async fn oldest_open(&self) -> Result<Vec<OldestOpen>, StoreError> {
        let ahead = self.time.ahead();
        let mut oldest = self.inner.oldest_open().await?;
        for one in oldest.iter_mut().filter(|one| one.kind == OpenKind::QuestionDue) {
            one.since = moved(one.since, -ahead);
        }
        Ok(oldest)
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

    /// What happened, by the clock.
    fn history(&self) -> &dyn History {
        self.inner.history()
    }

    /// A plugin's moments are ends that people and platforms are told of: by the clock.
    fn plugins(&self) -> &dyn PluginRecords {
        self.inner.plugins()
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.inner.ready().await
    }
}
