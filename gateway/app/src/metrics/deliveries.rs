//! The clock around a store, as far as deliveries go.

use std::collections::HashSet;

use async_trait::async_trait;
use dukou_domain::{DeliveryId, TenantId, Timestamp};
use dukou_engine::delivery::{Backlog, Delivery, DeliveryFilter, Endpoint, EventHead, Lease, Tried};
use dukou_engine::ports::{Deliveries, NewDelivery, Room, StoreError};
use dukou_engine::records::{NewEvent, Page};

use super::store::{MeasuredStore, timed};

#[async_trait]
impl Deliveries for MeasuredStore {
    async fn entered_to(&self) -> Result<i64, StoreError> {
        timed(&self.deliveries, self.inner.deliveries().entered_to()).await
    }

    async fn event_heads(&self, after: i64, limit: u32) -> Result<Vec<EventHead>, StoreError> {
        timed(&self.events, self.inner.deliveries().event_heads(after, limit)).await
    }

    async fn enter(&self, from: i64, to: i64, deliveries: Vec<NewDelivery>) -> Result<(), StoreError> {
        timed(&self.deliveries, self.inner.deliveries().enter(from, to, deliveries)).await
    }

    async fn want(&self, tenants: Vec<TenantId>, now: Timestamp) -> Result<(), StoreError> {
        timed(&self.deliveries, self.inner.deliveries().want(tenants, now)).await
    }

    async fn wanted(&self, since: Timestamp) -> Result<HashSet<TenantId>, StoreError> {
        timed(&self.read, self.inner.deliveries().wanted(since)).await
    }

    async fn lease(&self, now: Timestamp, until: Timestamp, limit: u32, room: Room) -> Result<Lease, StoreError> {
        timed(&self.deliveries, self.inner.deliveries().lease(now, until, limit, room)).await
    }

    async fn record(&self, tried: Vec<Tried>) -> Result<Vec<(TenantId, Timestamp)>, StoreError> {
        timed(&self.deliveries, self.inner.deliveries().record(tried)).await
    }

    async fn deliveries_of(&self, tenant: &TenantId, positions: Vec<i64>) -> Result<Vec<Delivery>, StoreError> {
        timed(&self.list, self.inner.deliveries().deliveries_of(tenant, positions)).await
    }

    async fn endpoint(&self, tenant: &TenantId) -> Result<Endpoint, StoreError> {
        timed(&self.read, self.inner.deliveries().endpoint(tenant)).await
    }

    async fn disable(&self, failing_since: Timestamp, event: NewEvent) -> Result<bool, StoreError> {
        timed(&self.deliveries, self.inner.deliveries().disable(failing_since, event)).await
    }

    async fn enable(&self, event: NewEvent, now: Timestamp) -> Result<bool, StoreError> {
        timed(&self.deliveries, self.inner.deliveries().enable(event, now)).await
    }

    async fn deliveries(&self, filter: DeliveryFilter) -> Result<Page<Delivery>, StoreError> {
        timed(&self.list, self.inner.deliveries().deliveries(filter)).await
    }

    async fn retry(&self, tenant: &TenantId, id: DeliveryId, now: Timestamp) -> Result<Option<Delivery>, StoreError> {
        timed(&self.deliveries, self.inner.deliveries().retry(tenant, id, now)).await
    }

    async fn backlog(&self) -> Result<Vec<Backlog>, StoreError> {
        timed(&self.deliveries, self.inner.deliveries().backlog()).await
    }
}
