//! What happened to one payment, for people who ask.

use async_trait::async_trait;
use dukou_domain::{PaymentId, TenantId, Timestamp};

use super::StoreError;
use crate::records::{Event, Notification, PlatformCall};

/// What was kept beside the records: calls, messages and events, by what they are about.
#[async_trait]
pub trait History: Send + Sync {
    /// Keeps records of calls to the platforms. They tell what happened and decide nothing: a crash
    /// may lose the last ones.
    async fn keep_calls(&self, calls: Vec<PlatformCall>) -> Result<(), StoreError>;

    /// The newest calls about a payment and its refunds, at most `limit`, oldest first.
    async fn calls_about(
        &self,
        tenant: &TenantId,
        payment: PaymentId,
        limit: u32,
    ) -> Result<Vec<PlatformCall>, StoreError>;

    /// The newest events about a payment, its refunds and the requests for them, at most `limit`, oldest
    /// first.
    async fn events_about(&self, tenant: &TenantId, payment: PaymentId, limit: u32) -> Result<Vec<Event>, StoreError>;

    /// Of the tenant's newest `limit` events that somebody should look into, those since `since`, newest first:
    /// contradictions, orders that are not known, second successes, refunds that failed or came back.
    async fn troubles(&self, tenant: &TenantId, since: Timestamp, limit: u32) -> Result<Vec<Event>, StoreError>;

    /// Messages of the platforms that were kept and are about one of these numbers, which are an
    /// order's or a refund's there; at most `limit` for each.
    async fn messages_about(
        &self,
        tenant: &TenantId,
        numbers: Vec<String>,
        limit: u32,
    ) -> Result<Vec<Notification>, StoreError>;
}
