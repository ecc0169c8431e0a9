//! Whether this instance should be sent requests.

use std::sync::Arc;

use async_trait::async_trait;
use dukou_engine::ports::{Coordinator, Health, Store};
use dukou_http::{Readiness, ReadyCheck, ReadyStatus};

/// Looks at the store and the coordinator.
pub struct GatewayReadiness {
    pub store: Arc<dyn Store>,
    pub coordinator: Arc<dyn Coordinator>,
}

#[async_trait]
impl Readiness for GatewayReadiness {
    async fn checks(&self) -> Vec<ReadyCheck> {
        let (status, detail) = match self.store.ready().await {
            Ok(()) => (ReadyStatus::Ready, String::new()),
            Err(error) => (ReadyStatus::Unready, error.to_string()),
        };
        let store = ReadyCheck { name: "store".to_owned(), status, detail };
        // Without it everything still works from the store: no reason to send requests elsewhere.
        let (status, detail) = match self.coordinator.health() {
            Health::Working => (ReadyStatus::Ready, String::new()),
            Health::Degraded(why) => (ReadyStatus::Degraded, why),
        };
        let coordinator = ReadyCheck { name: self.coordinator.backend().to_owned(), status, detail };
        vec![store, coordinator]
    }
}
