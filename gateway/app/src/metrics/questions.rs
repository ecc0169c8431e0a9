//! The clock around a store, as far as questions go.

use async_trait::async_trait;
use dukou_domain::Timestamp;
use dukou_engine::ports::{Questions, StoreError};
use dukou_engine::question::{Asked, Due, Share};
use dukou_engine::records::{Payment, Refund};

use super::store::{MeasuredStore, timed};

#[async_trait]
impl Questions for MeasuredStore {
    async fn due(&self, asked: Asked, now: Timestamp) -> Result<Vec<Due>, StoreError> {
        timed(&self.take_due, self.inner.questions().due(asked, now)).await
    }

    async fn count_due(&self, asked: Asked, tenant: &str, provider: &str, now: Timestamp) -> Result<u64, StoreError> {
        timed(&self.take_due, self.inner.questions().count_due(asked, tenant, provider, now)).await
    }

    async fn take_payments(
        &self,
        now: Timestamp,
        again_at: Timestamp,
        shares: Vec<Share>,
    ) -> Result<Vec<Payment>, StoreError> {
        timed(&self.take_due, self.inner.questions().take_payments(now, again_at, shares)).await
    }

    async fn take_refunds(
        &self,
        now: Timestamp,
        again_at: Timestamp,
        shares: Vec<Share>,
    ) -> Result<Vec<Refund>, StoreError> {
        timed(&self.take_due, self.inner.questions().take_refunds(now, again_at, shares)).await
    }
}
