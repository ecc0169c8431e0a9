//! What became of changed files.

use prometheus::{IntCounter, IntGauge, Registry};

use super::counter;

/// Tenants' files that changed; a look that finds none changed is not counted.
pub struct ReloadMetrics {
    pub applied: IntCounter,
    pub refused: IntCounter,
    /// Files whose content is not in force now.
    pub refused_files: IntGauge,
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
        let refused_files = IntGauge::new(
            "dukou_config_refused_files",
            "Tenants' files that cannot be served as they are now; what was in force before still is.",
        )?;
        registry.register(Box::new(refused_files.clone()))?;
        Ok(ReloadMetrics { applied: outcome("applied"), refused: outcome("refused"), refused_files })
    }
}
