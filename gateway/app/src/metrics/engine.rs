//! What the engine counts.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use dukou_domain::{PaymentState, ProviderName, RefundState, TenantId};
use dukou_engine::ports::{IdempotencyOutcome, NotifyOutcome, Telemetry};
use dukou_engine::records::EventKind;
use dukou_spi::NotifyKind;
use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, Registry};

use super::{LOCAL_BUCKETS, REMOTE_BUCKETS, counter, histogram};
use crate::traces;

/// Counters of the engine's use cases. Handles are looked up by label once and kept, so that an
/// event costs a read lock and an addition.
pub struct EngineMetrics {
    payments: IntCounterVec,
    refunds: IntCounterVec,
    notifies: IntCounterVec,
    probes: IntCounterVec,
    notify_seconds: HistogramVec,
    provider_seconds: HistogramVec,
    idempotency: IntCounterVec,
    events: IntCounterVec,
    routes: RwLock<HashMap<TenantId, HashMap<ProviderName, Arc<Handles>>>>,
}

/// The series of one provider of one tenant, each made when it is first needed.
struct Handles {
    notifies: [[OnceLock<IntCounter>; NotifyOutcome::ALL.len()]; 2],
    notify_seconds: Histogram,
    payments: [OnceLock<IntCounter>; PaymentState::ALL.len()],
    refunds: [OnceLock<IntCounter>; RefundState::ALL.len()],
}

impl EngineMetrics {
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(EngineMetrics {
            payments: counter(
                registry,
                "dukou_payments_total",
                "Payments that entered a state.",
                &["tenant", "provider", "status"],
            )?,
            refunds: counter(
                registry,
                "dukou_refunds_total",
                "Refunds that entered a state.",
                &["tenant", "provider", "status"],
            )?,
            notifies: counter(
                registry,
                "dukou_notify_total",
                "Messages of the platforms, by what became of them.",
                &["tenant", "provider", "kind", "outcome"],
            )?,
            probes: counter(
                registry,
                "dukou_signature_probes_total",
                "Messages that a platform signed wrong on purpose; counted as bad_signature as well.",
                &["tenant", "provider"],
            )?,
            notify_seconds: histogram(
                registry,
                "dukou_notify_seconds",
                "Time from a message's last byte to its answer.",
                &["provider"],
                &LOCAL_BUCKETS,
            )?,
            provider_seconds: histogram(
                registry,
                "dukou_provider_request_seconds",
                "Time of a call to a platform.",
                &["provider", "operation", "outcome"],
                &REMOTE_BUCKETS,
            )?,
            idempotency: counter(
                registry,
                "dukou_idempotency_total",
                "What the coordinator said about a message.",
                &["backend", "outcome"],
            )?,
            events: counter(registry, "dukou_events_total", "Events entered in a tenant's log.", &["tenant", "type"])?,
            routes: RwLock::default(),
        })
    }

    /// Shows everything that can happen at 0 before it does: an alert on an increase does not see a
    /// series that begins at 1.
    pub fn announce<'a>(&self, tenant: &TenantId, providers: impl IntoIterator<Item = &'a ProviderName>) {
        for kind in EventKind::ALL {
            self.events.with_label_values(&[tenant.as_str(), kind.as_str()]);
        }
        for provider in providers {
            let handles = self.handles(tenant, provider);
            self.probes.with_label_values(&[tenant.as_str(), provider.as_str()]);
            for kind in [NotifyKind::Payment, NotifyKind::Refund] {
                for outcome in NotifyOutcome::ALL {
                    self.notify_counter(&handles, tenant, provider, kind, outcome);
                }
            }
            for state in PaymentState::ALL {
                self.payment_counter(&handles, tenant, provider, state);
            }
            for state in RefundState::ALL {
                self.refund_counter(&handles, tenant, provider, state);
            }
        }
    }

    fn payment_counter<'a>(
        &self,
        handles: &'a Handles,
        tenant: &TenantId,
        provider: &ProviderName,
        state: PaymentState,
    ) -> &'a IntCounter {
        let labels = [tenant.as_str(), provider.as_str(), state.as_str()];
        handles.payments[state as usize].get_or_init(|| self.payments.with_label_values(&labels))
    }

    fn refund_counter<'a>(
        &self,
        handles: &'a Handles,
        tenant: &TenantId,
        provider: &ProviderName,
        state: RefundState,
    ) -> &'a IntCounter {
        let labels = [tenant.as_str(), provider.as_str(), state.as_str()];
        handles.refunds[state as usize].get_or_init(|| self.refunds.with_label_values(&labels))
    }

    fn notify_counter<'a>(
        &self,
        handles: &'a Handles,
        tenant: &TenantId,
        provider: &ProviderName,
        kind: NotifyKind,
        outcome: NotifyOutcome,
    ) -> &'a IntCounter {
        handles.notifies[kind as usize][outcome as usize].get_or_init(|| {
            let labels = [tenant.as_str(), provider.as_str(), kind.as_str(), outcome.as_str()];
            self.notifies.with_label_values(&labels)
        })
    }

    fn handles(&self, tenant: &TenantId, provider: &ProviderName) -> Arc<Handles> {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(handles) = routes.get(tenant).and_then(|providers| providers.get(provider)) {
            return Arc::clone(handles);
        }
        drop(routes);
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        let handles = routes.entry(tenant.clone()).or_default().entry(provider.clone()).or_insert_with(|| {
            Arc::new(Handles {
                notifies: Default::default(),
                notify_seconds: self.notify_seconds.with_label_values(&[provider.as_str()]),
                payments: Default::default(),
                refunds: Default::default(),
            })
        });
        Arc::clone(handles)
    }
}

impl Telemetry for EngineMetrics {
    fn about(&self, span: &tracing::Span, tenant: &TenantId, out_trade_no: &str) {
        traces::link(span, tenant, out_trade_no);
    }

    fn notify(
        &self,
        tenant: &TenantId,
        provider: &ProviderName,
        kind: NotifyKind,
        outcome: NotifyOutcome,
        took: Duration,
    ) {
        let handles = self.handles(tenant, provider);
        self.notify_counter(&handles, tenant, provider, kind, outcome).inc();
        handles.notify_seconds.observe(took.as_secs_f64());
    }

    fn probe(&self, tenant: &TenantId, provider: &ProviderName) {
        self.probes.with_label_values(&[tenant.as_str(), provider.as_str()]).inc();
    }

    fn payment(&self, tenant: &TenantId, provider: &ProviderName, state: PaymentState) {
        self.payment_counter(&self.handles(tenant, provider), tenant, provider, state).inc();
    }

    fn refund(&self, tenant: &TenantId, provider: &ProviderName, state: RefundState) {
        self.refund_counter(&self.handles(tenant, provider), tenant, provider, state).inc();
    }

    fn provider_call(&self, provider: &ProviderName, operation: &'static str, outcome: &'static str, took: Duration) {
        self.provider_seconds.with_label_values(&[provider.as_str(), operation, outcome]).observe(took.as_secs_f64());
    }

    fn idempotency(&self, backend: &'static str, outcome: IdempotencyOutcome) {
        self.idempotency.with_label_values(&[backend, outcome.as_str()]).inc();
    }

    fn event(&self, tenant: &TenantId, kind: EventKind) {
        self.events.with_label_values(&[tenant.as_str(), kind.as_str()]).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What platforms sign wrong on purpose is taken off what does not verify: of a series that begins with the first of
    /// them nothing would be.
    #[test]
    fn what_is_announced_stands_at_zero() {
        let registry = Registry::new();
        let metrics = EngineMetrics::new(&registry).expect("names differ");
        let (tenant, provider) =
            (TenantId::new("bookshop").expect("an id"), ProviderName::new("wechat").expect("a name"));
        metrics.announce(&tenant, [&provider]);
        for (name, series) in [
            ("dukou_events_total", EventKind::ALL.len()),
            ("dukou_notify_total", 2 * NotifyOutcome::ALL.len()),
            ("dukou_payments_total", PaymentState::ALL.len()),
            ("dukou_refunds_total", RefundState::ALL.len()),
            ("dukou_signature_probes_total", 1),
        ] {
            let families = registry.gather();
            let found = families.iter().find(|family| family.name() == name).map(|family| family.get_metric());
            let counts: Vec<f64> =
                found.unwrap_or_default().iter().map(|metric| metric.get_counter().get_value()).collect();
            assert_eq!(counts, vec![0.0; series], "{name}");
        }
    }

    #[test]
    fn every_outcome_and_state_has_its_own_series() {
        let registry = Registry::new();
        let metrics = EngineMetrics::new(&registry).expect("names differ");
        let (tenant, provider) =
            (TenantId::new("bookshop").expect("an id"), ProviderName::new("wechat").expect("a name"));
        metrics.announce(&tenant, [&provider]);
        for (index, outcome) in NotifyOutcome::ALL.into_iter().enumerate() {
            for _ in 0..=index {
                metrics.notify(&tenant, &provider, NotifyKind::Refund, outcome, Duration::ZERO);
            }
            let count =
                |kind: &str| metrics.notifies.with_label_values(&["bookshop", "wechat", kind, outcome.as_str()]).get();
            assert_eq!((count("refund"), count("payment")), (index as u64 + 1, 0), "{outcome:?}");
        }
        for state in PaymentState::ALL {
            metrics.payment(&tenant, &provider, state);
            assert_eq!(metrics.payments.with_label_values(&["bookshop", "wechat", state.as_str()]).get(), 1);
        }
        for kind in EventKind::ALL {
            metrics.event(&tenant, *kind);
            assert_eq!(metrics.events.with_label_values(&["bookshop", kind.as_str()]).get(), 1);
        }
        for state in RefundState::ALL {
            metrics.refund(&tenant, &provider, state);
            assert_eq!(metrics.refunds.with_label_values(&["bookshop", "wechat", state.as_str()]).get(), 1);
        }
    }
}
