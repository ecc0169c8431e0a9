//! The coordinator of one process.

use std::sync::Arc;

use dukou_store::ProcessCoordinator;

use crate::coordinator_behaviour;

#[tokio::test(flavor = "multi_thread")]
async fn behaves_as_a_coordinator() {
    coordinator_behaviour::all(Arc::new(ProcessCoordinator::default())).await;
}
