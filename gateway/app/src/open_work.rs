//! Looks for what has waited too long, for those who watch.

use std::sync::Arc;
use std::time::Duration;

use dukou_engine::Engine;
use tokio::sync::watch;

use crate::metrics::OpenMetrics;
use crate::shutdown::pause;

/// How often. An age that counts is minutes at least.
const PERIOD: Duration = Duration::from_secs(10);

/// Keeps the ages current until it is told to stop. While the store is away they stay as they were.
pub async fn watch(engine: Arc<Engine>, metrics: Arc<OpenMetrics>, mut stopping: watch::Receiver<bool>) {
    while !*stopping.borrow() {
        match engine.store().oldest_open().await {
            Ok(oldest) => metrics.update(&oldest, engine.clock().now()),
            Err(error) => tracing::debug!(%error, "cannot look for what has waited too long"),
        }
        pause(PERIOD, &mut stopping).await;
    }
}
