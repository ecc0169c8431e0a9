//! Deliveries of a store that is away.

use std::collections::HashSet;

use async_trait::async_trait;
use dukou_domain::{DeliveryId, TenantId, Timestamp};
use dukou_engine::delivery::{Backlog, Delivery, DeliveryFilter, Endpoint, EventHead, Lease, Tried};
use dukou_engine::ports::{Deliveries, NewDelivery, Room, StoreError};
use dukou_engine::records::{NewEvent, Page};

use crate::testing_engine::{Away, away};

#[async_trait]
impl Deliveries for Away {
    async fn entered_to(&self) -> Result<i64, StoreError> {
        away()
    }

    async fn event_heads(&self, _: i64, _: u32) -> Result<Vec<EventHead>, StoreError> {
        away()
    }

    async fn enter(&self, _: i64, _: i64, _: Vec<NewDelivery>) -> Result<(), StoreError> {
        away()
    }

    async fn want(&self, _: Vec<TenantId>, _: Timestamp) -> Result<(), StoreError> {
        away()
    }

    async fn wanted(&self, _: Timestamp) -> Result<HashSet<TenantId>, StoreError> {
        away()
    }

    async fn lease(&self, _: Timestamp, _: Timestamp, _: u32, _: Room) -> Result<Lease, StoreError> {
        away()
    }

    async fn record(&self, _: Vec<Tried>) -> Result<Vec<(TenantId, Timestamp)>, StoreError> {
        away()
    }

    async fn deliveries_of(&self, _: &TenantId, _: Vec<i64>) -> Result<Vec<Delivery>, StoreError> {
        away()
    }

    async fn endpoint(&self, _: &TenantId) -> Result<Endpoint, StoreError> {
        away()
    }

    async fn disable(&self, _: Timestamp, _: NewEvent) -> Result<bool, StoreError> {
        away()
    }

    async fn enable(&self, _: NewEvent, _: Timestamp) -> Result<bool, StoreError> {
        away()
    }

    async fn deliveries(&self, _: DeliveryFilter) -> Result<Page<Delivery>, StoreError> {
        away()
    }

    async fn retry(&self, _: &TenantId, _: DeliveryId, _: Timestamp) -> Result<Option<Delivery>, StoreError> {
        away()
    }

    async fn backlog(&self) -> Result<Vec<Backlog>, StoreError> {
        away()
    }
}
