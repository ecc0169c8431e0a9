//! What plugins do, counted.

use std::time::Duration;

use dukou_domain::TenantId;
use dukou_engine::plugin::{PluginOutcome, PluginTelemetry};
use dukou_spi::plugin::CallbackOutcome;
use prometheus::{HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry};

use super::{REMOTE_BUCKETS, counter, histogram};

/// Work of the plugins, by what became of it.
pub struct PluginMetrics {
    requests: IntCounterVec,
    seconds: HistogramVec,
    callbacks: IntCounterVec,
    behind: IntGaugeVec,
}

impl PluginMetrics {
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let behind = IntGaugeVec::new(
            Opts::new("dukou_plugin_events_behind", "Events that a plugin wants and has not heard."),
            &["tenant", "plugin"],
        )?;
        registry.register(Box::new(behind.clone()))?;
        Ok(PluginMetrics {
            requests: counter(
                registry,
                "dukou_plugin_requests_total",
                "Work of a plugin, by what became of it.",
                &["tenant", "plugin", "operation", "outcome"],
            )?,
            seconds: histogram(
                registry,
                "dukou_plugin_seconds",
                "Time of a plugin's work, calls to its platform included.",
                &["plugin", "operation"],
                &REMOTE_BUCKETS,
            )?,
            callbacks: counter(
                registry,
                "dukou_plugin_callbacks_total",
                "Messages at a plugin's callback address, by what became of them.",
                &["tenant", "plugin", "outcome"],
            )?,
            behind,
        })
    }

    /// Shows every outcome of a callback at 0 before the first one happens.
    pub fn announce(&self, tenant: &TenantId, plugin: &'static str) {
        for outcome in CallbackOutcome::ALL {
            self.callbacks.with_label_values(&[tenant.as_str(), plugin, outcome.as_str()]);
        }
    }
}

impl PluginTelemetry for PluginMetrics {
    fn worked(
        &self,
        tenant: &TenantId,
        plugin: &'static str,
        operation: &'static str,
        outcome: PluginOutcome,
        took: Duration,
    ) {
        self.requests.with_label_values(&[tenant.as_str(), plugin, operation, outcome.as_str()]).inc();
        self.seconds.with_label_values(&[plugin, operation]).observe(took.as_secs_f64());
    }

    fn callback(&self, tenant: &TenantId, plugin: &'static str, outcome: CallbackOutcome) {
        self.callbacks.with_label_values(&[tenant.as_str(), plugin, outcome.as_str()]).inc();
    }

    fn behind(&self, tenant: &TenantId, plugin: &'static str, events: usize) {
        let events = i64::try_from(events).unwrap_or(i64::MAX);
        self.behind.with_label_values(&[tenant.as_str(), plugin]).set(events);
    }
}
