//! What has waited longest.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use dukou_domain::{TenantId, Timestamp};
use dukou_engine::open::{OldestOpen, OpenKind};
use prometheus::{IntGaugeVec, Opts, Registry};

/// How long the oldest of each kind has waited, by tenant.
pub struct OpenMetrics {
    oldest: IntGaugeVec,
    /// What had waited at the last look.
    waiting: Mutex<HashSet<(TenantId, OpenKind)>>,
}

impl OpenMetrics {
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let oldest = IntGaugeVec::new(
            Opts::new(
                "dukou_open_oldest_seconds",
                "How long the oldest of its kind has waited: a payment or refund whose answer was lost, a payment past \
                 its end that is not closed, a refund the platform works on, a question that is due; 0 when there is none.",
            ),
            &["tenant", "what"],
        )?;
        registry.register(Box::new(oldest.clone()))?;
        Ok(OpenMetrics { oldest, waiting: Mutex::default() })
    }

    /// Shows every kind at 0 before the first look.
    pub fn announce(&self, tenant: &TenantId) {
        for kind in OpenKind::ALL {
            self.oldest.with_label_values(&[tenant.as_str(), kind.as_str()]);
        }
    }

    pub fn update(&self, oldest: &[OldestOpen], now: Timestamp) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let still: HashSet<_> = oldest.iter().map(|one| (one.tenant.clone(), one.kind)).collect();
        for (tenant, kind) in waiting.difference(&still) {
            self.oldest.with_label_values(&[tenant.as_str(), kind.as_str()]).set(0);
        }
        for one in oldest {
            let age = i64::try_from(now.since(one.since).as_secs()).unwrap_or(i64::MAX);
            self.oldest.with_label_values(&[one.tenant.as_str(), one.kind.as_str()]).set(age);
        }
        *waiting = still;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_longer_waits_falls_to_zero_and_what_is_to_come_is_not_old() {
        let metrics = OpenMetrics::new(&Registry::new()).unwrap();
        let tenant = TenantId::new("bookshop").unwrap();
        let one = |kind, since| OldestOpen { tenant: tenant.clone(), kind, since: Timestamp::from_millis(since) };
        let shown = |kind: OpenKind| metrics.oldest.with_label_values(&["bookshop", kind.as_str()]).get();
        let now = Timestamp::from_millis(100_000);
        metrics.update(&[one(OpenKind::PaymentUnknown, 40_000), one(OpenKind::PaymentOverdue, 130_000)], now);
        assert_eq!((shown(OpenKind::PaymentUnknown), shown(OpenKind::PaymentOverdue)), (60, 0));
        metrics.update(&[one(OpenKind::PaymentOverdue, 90_000)], now);
        assert_eq!((shown(OpenKind::PaymentUnknown), shown(OpenKind::PaymentOverdue)), (0, 10));
    }
}
