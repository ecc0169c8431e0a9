//! Questions, whose moments are plans.

use async_trait::async_trait;
use dukou_domain::Timestamp;
use dukou_engine::ports::{Questions, StoreError};
use dukou_engine::question::{Asked, Due, Share};
use dukou_engine::records::{Payment, Refund};

use super::{SteadySchedules, moved, payment_out, refund_out};

#[async_trait]
impl Questions for SteadySchedules {
    async fn due(&self, asked: Asked, now: Timestamp) -> Result<Vec<Due>, StoreError> {
        let ahead = self.time.ahead();
        let mut due = self.inner.questions().due(asked, moved(now, ahead)).await?;
        due.iter_mut().for_each(|one| one.since = moved(one.since, -ahead));
        Ok(due)
    }

    async fn count_due(&self, asked: Asked, tenant: &str, provider: &str, now: Timestamp) -> Result<u64, StoreError> {
        self.inner.questions().count_due(asked, tenant, provider, moved(now, self.time.ahead())).await
    }

    async fn take_payments(
        &self,
        now: Timestamp,
        again_at: Timestamp,
        shares: Vec<Share>,
    ) -> Result<Vec<Payment>, StoreError> {
        let ahead = self.time.ahead();
        let (now, again_at) = (moved(now, ahead), moved(again_at, ahead));
        let taken = self.inner.questions().take_payments(now, again_at, shares).await?;
        Ok(taken.into_iter().map(|payment| payment_out(payment, ahead)).collect())
    }

    async fn take_refunds(
        &self,
        now: Timestamp,
        again_at: Timestamp,
        shares: Vec<Share>,
    ) -> Result<Vec<Refund>, StoreError> {
        let ahead = self.time.ahead();
        let (now, again_at) = (moved(now, ahead), moved(again_at, ahead));
        let taken = self.inner.questions().take_refunds(now, again_at, shares).await?;
        Ok(taken.into_iter().map(|refund| refund_out(refund, ahead)).collect())
    }
}
