//! Deliveries, whose next tries are plans.

use std::collections::HashSet;

use async_trait::async_trait;
use dukou_domain::{DeliveryId, TenantId, Timestamp};
use dukou_engine::delivery::{Backlog, Delivery, DeliveryFilter, Endpoint, EventHead, Lease, Tried};
use dukou_engine::ports::{Deliveries, NewDelivery, Room, StoreError};
use dukou_engine::records::{NewEvent, Page};

use super::{SteadySchedules, moved};

fn out(delivery: &mut Delivery, ahead: i64) {
    delivery.next_at = delivery.next_at.map(|at| moved(at, -ahead));
}

#[async_trait]
impl Deliveries for SteadySchedules {
    async fn entered_to(&self) -> Result<i64, StoreError> {
        self.inner.deliveries().entered_to().await
    }

    async fn event_heads(&self, after: i64, limit: u32) -> Result<Vec<EventHead>, StoreError> {
        self.inner.deliveries().event_heads(after, limit).await
    }

    async fn enter(&self, from: i64, to: i64, mut deliveries: Vec<NewDelivery>) -> Result<(), StoreError> {
        let ahead = self.time.ahead();
        for new in &mut deliveries {
            new.due_at = moved(new.due_at, ahead);
        }
        self.inner.deliveries().enter(from, to, deliveries).await
    }

    /// When it was noted, by the clock.
    async fn want(&self, tenants: Vec<TenantId>, now: Timestamp) -> Result<(), StoreError> {
        self.inner.deliveries().want(tenants, now).await
    }

    async fn wanted(&self, since: Timestamp) -> Result<HashSet<TenantId>, StoreError> {
        self.inner.deliveries().wanted(since).await
    }

    async fn lease(&self, now: Timestamp, until: Timestamp, limit: u32, room: Room) -> Result<Lease, StoreError> {
        let ahead = self.time.ahead();
        let mut lease = self.inner.deliveries().lease(moved(now, ahead), moved(until, ahead), limit, room).await?;
        for leased in &mut lease.taken {
            out(&mut leased.delivery, ahead);
        }
        lease.next_at = lease.next_at.map(|at| moved(at, -ahead));
        Ok(lease)
    }

    async fn record(&self, mut tried: Vec<Tried>) -> Result<Vec<(TenantId, Timestamp)>, StoreError> {
        let ahead = self.time.ahead();
        for one in &mut tried {
            one.next_at = one.next_at.map(|at| moved(at, ahead));
        }
        self.inner.deliveries().record(tried).await
    }

    async fn deliveries_of(&self, tenant: &TenantId, positions: Vec<i64>) -> Result<Vec<Delivery>, StoreError> {
        let ahead = self.time.ahead();
        let mut deliveries = self.inner.deliveries().deliveries_of(tenant, positions).await?;
        deliveries.iter_mut().for_each(|delivery| out(delivery, ahead));
        Ok(deliveries)
    }

    async fn endpoint(&self, tenant: &TenantId) -> Result<Endpoint, StoreError> {
        self.inner.deliveries().endpoint(tenant).await
    }

    async fn disable(&self, failing_since: Timestamp, event: NewEvent) -> Result<bool, StoreError> {
        self.inner.deliveries().disable(failing_since, event).await
    }

    async fn enable(&self, event: NewEvent, now: Timestamp) -> Result<bool, StoreError> {
        self.inner.deliveries().enable(event, moved(now, self.time.ahead())).await
    }

    async fn deliveries(&self, filter: DeliveryFilter) -> Result<Page<Delivery>, StoreError> {
        let ahead = self.time.ahead();
        let mut page = self.inner.deliveries().deliveries(filter).await?;
        page.items.iter_mut().for_each(|delivery| out(delivery, ahead));
        Ok(page)
    }

    async fn retry(&self, tenant: &TenantId, id: DeliveryId, now: Timestamp) -> Result<Option<Delivery>, StoreError> {
        let ahead = self.time.ahead();
        let mut delivery = self.inner.deliveries().retry(tenant, id, moved(now, ahead)).await?;
        if let Some(delivery) = &mut delivery {
            out(delivery, ahead);
        }
        Ok(delivery)
    }

    async fn backlog(&self) -> Result<Vec<Backlog>, StoreError> {
        self.inner.deliveries().backlog().await
    }
}
