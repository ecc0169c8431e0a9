//! Deletes what was kept for a while, and that while is over.

use std::sync::Arc;
use std::time::Duration;

use dukou_domain::Timestamp;
use dukou_engine::Engine;
use dukou_engine::ports::Old;
use tokio::sync::watch;

use crate::config::RetentionSettings;
use crate::metrics::RetentionMetrics;
use crate::shutdown::pause;

/// How often it is looked for.
const PERIOD: Duration = Duration::from_secs(60 * 60);
/// So many are deleted in one transaction, so that no payment waits long behind it.
const AT_ONCE: u32 = 500;
/// Between two such transactions: payments come first.
const REST: Duration = Duration::from_millis(50);

/// The job.
pub struct Retention {
    pub settings: RetentionSettings,
    pub metrics: Arc<RetentionMetrics>,
}

impl Retention {
    /// Looks at the start and every hour, until it is told to stop.
    pub async fn run(self, engine: Arc<Engine>, mut stopping: watch::Receiver<bool>) {
        while !*stopping.borrow() {
            for what in Old::ALL {
                self.forget(&engine, what, &mut stopping).await;
            }
            pause(PERIOD, &mut stopping).await;
        }
    }

    /// Deletes batch after batch until a look finds nothing that is old. That one found less than it might have is no
    /// end: it may have looked at much that is not old.
    async fn forget(&self, engine: &Engine, what: Old, stopping: &mut watch::Receiver<bool>) {
        let before = earlier(engine.clock().now(), self.settings.kept(what));
        let mut deleted = 0;
        while !*stopping.borrow() {
            match engine.store().forget(what, before, AT_ONCE).await {
                Ok(count) => {
                    if count == 0 {
                        break;
                    }
                    self.metrics.deleted(what, count);
                    deleted += count;
                }
                // The next round comes here again.
                Err(error) => {
                    tracing::warn!(what = what.as_str(), %error, "what is old cannot be deleted");
                    break;
                }
            }
            pause(REST, stopping).await;
        }
        if deleted > 0 {
            tracing::info!(what = what.as_str(), deleted, "deleted what was old");
        }
    }
}

fn earlier(now: Timestamp, by: Duration) -> Timestamp {
    let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(now.as_millis().saturating_sub(by))
}
