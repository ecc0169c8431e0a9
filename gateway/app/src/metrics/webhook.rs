//! What the webhooks count.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use dukou_domain::{DeliveryState, TenantId, Timestamp};
use dukou_engine::delivery::Backlog;
use dukou_webhook::WebhookTelemetry;
use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use super::counter;
use crate::traces;

/// Deliveries and what waits for them.
pub struct WebhookMetrics {
    deliveries: IntCounterVec,
    backlog: IntGaugeVec,
    oldest: IntGauge,
    /// Tenants that had something waiting at the last count.
    waiting: Mutex<HashSet<TenantId>>,
}

impl WebhookMetrics {
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let deliveries = counter(
            registry,
            "dukou_webhook_deliveries_total",
            "Attempts to deliver an event, by what became of it.",
            &["tenant", "outcome"],
        )?;
        let backlog = IntGaugeVec::new(Opts::new("dukou_webhook_backlog", "Deliveries that wait."), &["tenant"])?;
        let oldest = IntGauge::new(
            "dukou_webhook_oldest_pending_seconds",
            "Age of the oldest delivery that waits, those to disabled endpoints aside.",
        )?;
        registry.register(Box::new(backlog.clone()))?;
        registry.register(Box::new(oldest.clone()))?;
        Ok(WebhookMetrics { deliveries, backlog, oldest, waiting: Mutex::default() })
    }
}

impl WebhookMetrics {
    /// Shows a tenant's outcomes and backlog at 0 before the first delivery: an alert on an increase
    /// does not see a series that begins at 1.
    pub fn announce(&self, tenant: &TenantId) {
        for state in DeliveryState::ALL {
            self.deliveries.with_label_values(&[tenant.as_str(), outcome(state)]);
        }
        self.backlog.with_label_values(&[tenant.as_str()]);
    }
}

/// The public word for the state that a try leaves its delivery in.
const fn outcome(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::Delivered => "delivered",
        DeliveryState::Pending => "failed",
        DeliveryState::Exhausted => "exhausted",
    }
}

impl WebhookTelemetry for WebhookMetrics {
    fn traceparent(&self) -> Option<String> {
        traces::traceparent()
    }

    fn about(&self, span: &tracing::Span, tenant: &TenantId, out_trade_no: &str) {
        traces::link(span, tenant, out_trade_no);
    }

    fn delivery(&self, tenant: &TenantId, state: DeliveryState) {
        self.deliveries.with_label_values(&[tenant.as_str(), outcome(state)]).inc();
    }

    fn backlog(&self, backlog: &[Backlog], now: Timestamp) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let still: HashSet<TenantId> = backlog.iter().map(|one| one.tenant.clone()).collect();
        for tenant in waiting.difference(&still) {
            self.backlog.with_label_values(&[tenant.as_str()]).set(0);
        }
        for one in backlog {
            let pending = i64::try_from(one.pending).unwrap_or(i64::MAX);
            self.backlog.with_label_values(&[one.tenant.as_str()]).set(pending);
        }
        let oldest = backlog.iter().filter(|one| !one.disabled).map(|one| now.since(one.oldest).as_secs()).max();
        self.oldest.set(i64::try_from(oldest.unwrap_or(0)).unwrap_or(i64::MAX));
        *waiting = still;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_with_nothing_left_falls_to_zero_and_a_disabled_endpoint_is_not_old() {
        let metrics = WebhookMetrics::new(&Registry::new()).unwrap();
        let one = |id: &str, pending, oldest, disabled| Backlog {
            tenant: TenantId::new(id).unwrap(),
            pending,
            oldest: Timestamp::from_millis(oldest),
            disabled,
        };
        let now = Timestamp::from_millis(100_000);
        metrics.backlog(&[one("a", 3, 40_000, false), one("b", 5, 0, true)], now);
        assert_eq!(metrics.oldest.get(), 60);
        metrics.backlog(&[one("b", 4, 0, true)], now);
        let shown = ["a", "b"].map(|tenant| metrics.backlog.with_label_values(&[tenant]).get());
        assert_eq!((shown, metrics.oldest.get()), ([0, 4], 0));
    }
}
