//! What became of changed files.

use prometheus::{IntCounter, Registry};

use super::counter;

/// Tenants' files that changed; a look that finds none changed is not counted.
pub struct ReloadMetrics {
    pub applied: IntCounter,
    pub refused: IntCounter,
}

impl ReloadMetrics {
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let reloads = counter(
            registry,
            "dukou_config_reload_total",
            "Changed files of tenants, by what became of the change.",
            &["outcome"],
        )?;
        let outcome = |outcome| reloads.with_label_values(&[outcome]);
        Ok(ReloadMetrics { applied: outcome("applied"), refused: outcome("refused") })
    }
}
