//! Questions of a store that is away.

use async_trait::async_trait;
use dukou_domain::Timestamp;
use dukou_engine::ports::{Questions, StoreError};
use dukou_engine::question::{Asked, Due, Share};
use dukou_engine::records::{Payment, Refund};

use crate::testing_engine::{Away, away};

#[async_trait]
impl Questions for Away {
    async fn due(&self, _: Asked, _: Timestamp) -> Result<Vec<Due>, StoreError> {
        away()
    }

    async fn count_due(&self, _: Asked, _: &str, _: &str, _: Timestamp) -> Result<u64, StoreError> {
        away()
    }

    async fn take_payments(&self, _: Timestamp, _: Timestamp, _: Vec<Share>) -> Result<Vec<Payment>, StoreError> {
        away()
    }

    async fn take_refunds(&self, _: Timestamp, _: Timestamp, _: Vec<Share>) -> Result<Vec<Refund>, StoreError> {
        away()
    }
}
