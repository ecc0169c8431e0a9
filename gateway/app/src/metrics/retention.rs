//! What was deleted because it was old.

use dukou_engine::ports::Old;
use prometheus::{IntCounterVec, Registry};

use super::counter;

pub struct RetentionMetrics(IntCounterVec);

impl RetentionMetrics {
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let deleted = counter(
            registry,
            "dukou_retention_deleted_total",
            "Records deleted because they were kept long enough.",
            &["what"],
        )?;
        for what in Old::ALL {
            deleted.with_label_values(&[what.as_str()]);
        }
        Ok(RetentionMetrics(deleted))
    }

    pub fn deleted(&self, what: Old, count: u64) {
        self.0.with_label_values(&[what.as_str()]).inc_by(count);
    }
}
