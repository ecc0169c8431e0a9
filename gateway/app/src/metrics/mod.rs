//! What Prometheus sees. Names and labels are part of the public contract; label values come from
//! configuration and from closed lists, never from a request.

mod access_tokens;
mod clocks;
mod deliveries;
mod engine;
mod http;
mod open;
mod plugin;
mod process;
mod questions;
mod readiness;
mod reload;
mod retention;
mod store;
mod store_files;
#[cfg(test)]
mod tests;
mod trust;
mod webhook;

use std::path::Path;
use std::sync::Arc;

use dukou_engine::ports::{Coordinator, Health};
use dukou_engine::tenant::Tenant;
use dukou_store::RedisCoordinator;
use dukou_transport::PlatformClocks;
use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

use access_tokens::AccessTokenMetrics;
use clocks::ClockGauges;
use store_files::StoreFiles;
use trust::TrustGauges;

use crate::tenants::ServedTenants;

pub use engine::EngineMetrics;
pub use http::HttpMetrics;
pub use open::OpenMetrics;
pub use plugin::PluginMetrics;
pub use readiness::ReadyMetrics;
pub use reload::ReloadMetrics;
pub use retention::RetentionMetrics;
pub use store::MeasuredStore;
pub use webhook::WebhookMetrics;

/// Upper bounds in seconds, for what happens within the machine.
const LOCAL_BUCKETS: [f64; 14] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
/// Upper bounds in seconds, for calls that leave it.
const REMOTE_BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The registry and what fills it.
pub struct Metrics {
    registry: Registry,
    pub access_tokens: Arc<AccessTokenMetrics>,
    pub engine: Arc<EngineMetrics>,
    pub http: Arc<HttpMetrics>,
    pub plugin: Arc<PluginMetrics>,
    pub open: Arc<OpenMetrics>,
    pub ready: Arc<ReadyMetrics>,
    pub reload: Arc<ReloadMetrics>,
    pub retention: Arc<RetentionMetrics>,
    pub webhook: Arc<WebhookMetrics>,
    store_seconds: HistogramVec,
    redis: Option<RedisGauges>,
    clocks: Option<ClockGauges>,
    store_files: Option<StoreFiles>,
    trust: Option<TrustGauges>,
    process: process::ProcessMetrics,
}

/// Shows the series of a tenant before anything happens to it: an alert on an increase does not see a
/// series that begins at 1.
#[derive(Clone)]
pub struct Announcer {
    access_tokens: Arc<AccessTokenMetrics>,
    engine: Arc<EngineMetrics>,
    open: Arc<OpenMetrics>,
    plugin: Arc<PluginMetrics>,
    webhook: Arc<WebhookMetrics>,
}

impl Announcer {
    pub fn announce(&self, tenant: &Tenant) {
        self.access_tokens.announce(tenant);
        self.engine.announce(&tenant.id, tenant.providers.keys());
        self.open.announce(&tenant.id);
        if tenant.webhook.is_some() {
            self.webhook.announce(&tenant.id);
        }
        for plugin in tenant.plugins.values() {
            self.plugin.announce(&tenant.id, plugin.info.name);
        }
    }
}

/// What the coordinator on Redis knows at a scrape.
struct RedisGauges {
    coordinator: Arc<RedisCoordinator>,
    degraded: IntGauge,
    behind: IntGauge,
}

impl Metrics {
    /// # Errors
    /// When two metrics have one name, which a test would see first.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let build_info =
            IntGaugeVec::new(Opts::new("dukou_build_info", "What is running; always 1."), &["version", "commit"])?;
        registry.register(Box::new(build_info.clone()))?;
        build_info.with_label_values(&[env!("CARGO_PKG_VERSION"), env!("DUKOU_COMMIT")]).set(1);
        Ok(Metrics {
            access_tokens: Arc::new(AccessTokenMetrics::new(&registry)?),
            engine: Arc::new(EngineMetrics::new(&registry)?),
            http: Arc::new(HttpMetrics::new(&registry)?),
            plugin: Arc::new(PluginMetrics::new(&registry)?),
            open: Arc::new(OpenMetrics::new(&registry)?),
            ready: Arc::new(ReadyMetrics::new(&registry)?),
            reload: Arc::new(ReloadMetrics::new(&registry)?),
            retention: Arc::new(RetentionMetrics::new(&registry)?),
            webhook: Arc::new(WebhookMetrics::new(&registry)?),
            store_seconds: histogram(
                &registry,
                "dukou_store_seconds",
                "Time of a call of the store, its waiting included.",
                &["operation"],
                &LOCAL_BUCKETS,
            )?,
            redis: None,
            clocks: None,
            store_files: None,
            trust: None,
            process: process::ProcessMetrics::new(&registry)?,
            registry,
        })
    }

    pub fn announcer(&self) -> Announcer {
        Announcer {
            access_tokens: Arc::clone(&self.access_tokens),
            engine: Arc::clone(&self.engine),
            open: Arc::clone(&self.open),
            plugin: Arc::clone(&self.plugin),
            webhook: Arc::clone(&self.webhook),
        }
    }

    /// Puts the clock around a store.
    pub fn measure(&self, store: Arc<dyn dukou_engine::ports::Store>) -> MeasuredStore {
        MeasuredStore::new(store, &self.store_seconds)
    }

    /// Shows how the coordinator on Redis is doing. Called only where Redis is configured.
    ///
    /// # Errors
    /// When called twice.
    pub fn watch_redis(&mut self, coordinator: Arc<RedisCoordinator>) -> Result<(), prometheus::Error> {
        let degraded = IntGauge::new("dukou_redis_degraded", "1 while Redis is away or too slow.")?;
        let behind = IntGauge::new(
            "dukou_store_behind",
            "Events that Redis remembers and the store does not have; above 0 after an old backup was restored.",
        )?;
        self.registry.register(Box::new(degraded.clone()))?;
        self.registry.register(Box::new(behind.clone()))?;
        self.redis = Some(RedisGauges { coordinator, degraded, behind });
        Ok(())
    }

    /// Shows how far this machine's clock is from the platforms'.
    ///
    /// # Errors
    /// When called twice.
    pub fn watch_clocks(&mut self, clocks: Arc<PlatformClocks>) -> Result<(), prometheus::Error> {
        self.clocks = Some(ClockGauges::new(clocks, &self.registry)?);
        Ok(())
    }

    /// Shows how large the store's files are.
    ///
    /// # Errors
    /// When called twice.
    pub fn watch_store_files(&mut self, path: &Path) -> Result<(), prometheus::Error> {
        self.store_files = Some(StoreFiles::new(path, &self.registry)?);
        Ok(())
    }

    /// Shows when the tenants' keys and certificates end.
    ///
    /// # Errors
    /// When called twice.
    pub fn watch_trust(&mut self, tenants: Arc<ServedTenants>) -> Result<(), prometheus::Error> {
        self.trust = Some(TrustGauges::new(&self.registry, tenants)?);
        Ok(())
    }

    /// The text that a scrape gets.
    pub fn render(&self) -> String {
        if let Some(redis) = &self.redis {
            redis.degraded.set(i64::from(redis.coordinator.health() != Health::Working));
            redis.behind.set(redis.coordinator.behind().map_or(0, |(store, seen)| seen.saturating_sub(store)));
        }
        if let Some(clocks) = &self.clocks {
            clocks.update();
        }
        if let Some(files) = &self.store_files {
            files.update();
        }
        if let Some(trust) = &self.trust {
            trust.update();
            self.access_tokens.update(&trust.tenants);
        }
        self.process.update();
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "metrics cannot be written");
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}

fn counter(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
    let counter = IntCounterVec::new(Opts::new(name, help), labels)?;
    registry.register(Box::new(counter.clone()))?;
    Ok(counter)
}

fn histogram(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
    buckets: &[f64],
) -> Result<HistogramVec, prometheus::Error> {
    let histogram = HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels)?;
    registry.register(Box::new(histogram.clone()))?;
    Ok(histogram)
}
