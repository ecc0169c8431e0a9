//! Deliveries to merchants' webhooks, as durable as the events they carry.

use std::collections::HashSet;

use async_trait::async_trait;
use dukou_domain::{DeliveryId, EventId, TenantId, Timestamp};

use super::StoreError;
use crate::delivery::{Backlog, Delivery, DeliveryFilter, Endpoint, EventHead, Lease, Tried};
use crate::records::{EventKind, NewEvent, Page};

/// A delivery to be entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelivery {
    /// Its own identifier.
    pub id: DeliveryId,
    /// Whose webhook it goes to.
    pub tenant: TenantId,
    /// What it carries.
    pub event: EventId,
    /// The event's kind.
    pub kind: EventKind,
    /// The event's position in the log; one delivery an event.
    pub position: i64,
    /// When it is entered.
    pub created_at: Timestamp,
    /// When it is tried first.
    pub due_at: Timestamp,
}

/// How many more deliveries of a tenant may be taken; 0 leaves them where they are.
pub type Room = Box<dyn Fn(&TenantId) -> u32 + Send>;

/// The deliveries of a store's events, and how the webhooks they go to are doing.
#[async_trait]
pub trait Deliveries: Send + Sync {
    /// The position in the event log up to which deliveries were entered.
    async fn entered_to(&self) -> Result<i64, StoreError>;

    /// The entries of the event log after a position, oldest first.
    async fn event_heads(&self, after: i64, limit: u32) -> Result<Vec<EventHead>, StoreError>;

    /// Enters deliveries and moves the position up from `from` to `to`, which is not beyond the log's end, in one
    /// transaction.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the position is not at `from`: somebody else entered them. Also when the log of
    /// a store that others write to ends before `to`: it is in another life than the one that was read.
    async fn enter(&self, from: i64, to: i64, deliveries: Vec<NewDelivery>) -> Result<(), StoreError>;

    /// Notes that somebody has, or may have, a webhook for these tenants at this moment.
    async fn want(&self, tenants: Vec<TenantId>, now: Timestamp) -> Result<(), StoreError>;

    /// The tenants of which that was noted at `since` or later.
    async fn wanted(&self, since: Timestamp) -> Result<HashSet<TenantId>, StoreError>;

    /// Takes deliveries that are due, so that nobody else takes them before `until`. The tenants
    /// share `limit` evenly, whoever waited longest first, each within its room; those with a
    /// disabled endpoint are passed over. What a process that is gone had taken is due again: from the
    /// start of the next one on a store that one process opens, otherwise from the lease's end.
    async fn lease(&self, now: Timestamp, until: Timestamp, limit: u32, room: Room) -> Result<Lease, StoreError>;

    /// Enters what became of leased deliveries, in one transaction. One whose lease was lost to
    /// somebody else is left alone. Returns the tenants whose last try of these failed, and since
    /// when theirs fail.
    async fn record(&self, tried: Vec<Tried>) -> Result<Vec<(TenantId, Timestamp)>, StoreError>;

    /// How the tenant's webhook is doing; one that nothing is noted of is well.
    async fn endpoint(&self, tenant: &TenantId) -> Result<Endpoint, StoreError>;

    /// Switches an endpoint off and appends the event, unless it is off or took something since.
    /// Returns whether it did.
    async fn disable(&self, failing_since: Timestamp, event: NewEvent) -> Result<bool, StoreError>;

    /// Switches an endpoint on again, with its failures forgotten, and appends the event, unless it
    /// is on. Returns whether it did. What waits for it is due `now`, whatever its schedule says.
    async fn enable(&self, event: NewEvent, now: Timestamp) -> Result<bool, StoreError>;

    /// Newest first.
    async fn deliveries(&self, filter: DeliveryFilter) -> Result<Page<Delivery>, StoreError>;

    /// The deliveries of a tenant's events at these positions of the log, in their order.
    async fn deliveries_of(&self, tenant: &TenantId, positions: Vec<i64>) -> Result<Vec<Delivery>, StoreError>;

    /// Makes a delivery due at once: one that ended, delivered or exhausted, with its schedule from the beginning, a
    /// pending one where it is in its schedule. One that is being tried is left to that. Returns it as it is
    /// afterwards; `None` when the tenant has no such delivery.
    async fn retry(&self, tenant: &TenantId, id: DeliveryId, now: Timestamp) -> Result<Option<Delivery>, StoreError>;

    /// What waits, by tenant.
    async fn backlog(&self) -> Result<Vec<Backlog>, StoreError>;
}
