//! Which payments and refunds are to be asked after.

use async_trait::async_trait;
use dukou_domain::Timestamp;

use super::StoreError;
use crate::question::{Asked, Due, Share};
use crate::records::{Payment, Refund};

/// The questions that wait for their moment.
#[async_trait]
pub trait Questions: Send + Sync {
    /// The queues in which something is due, in no order. Asked for every second and more often, so a store looks once
    /// at each queue, whatever is in it.
    async fn due(&self, asked: Asked, now: Timestamp) -> Result<Vec<Due>, StoreError>;

    /// How many are due that were made with a provider of a tenant. Asked for now and then, where nobody takes them.
    async fn count_due(&self, asked: Asked, tenant: &str, provider: &str, now: Timestamp) -> Result<u64, StoreError>;

    /// Takes payments whose question is due, of each queue those that have waited longest, moving their question to
    /// `again_at` so that nobody else takes them meanwhile. The records are as they were before the move but for
    /// `check.at` and `version`.
    async fn take_payments(
        &self,
        now: Timestamp,
        again_at: Timestamp,
        shares: Vec<Share>,
    ) -> Result<Vec<Payment>, StoreError>;

    /// As [`Questions::take_payments`], for refunds.
    async fn take_refunds(
        &self,
        now: Timestamp,
        again_at: Timestamp,
        shares: Vec<Share>,
    ) -> Result<Vec<Refund>, StoreError>;
}
