//! The apps' access tokens, looked at when a scrape comes. What a process counts of them starts anew when a
//! tenant's file is read again; what is shown goes on.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use dukou_engine::tenant::Tenant;
use dukou_spi::{Clock as _, TokenOutcome};
use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};

use super::counter;
use crate::outside::SystemClock;
use crate::tenants::ServedTenants;

type Key = (String, String, TokenOutcome);

pub struct AccessTokenMetrics {
    expiry: IntGaugeVec,
    failing: IntGaugeVec,
    fetches: IntCounterVec,
    /// What the providers had counted at the last scrape.
    counted: Mutex<HashMap<Key, u64>>,
}

impl AccessTokenMetrics {
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let labels = &["tenant", "provider"];
        let help = "Until the access token of a provider's app ends, where this process uses it; below 0 once it has.";
        let expiry = IntGaugeVec::new(Opts::new("dukou_access_token_expiry_seconds", help), labels)?;
        let help = "1 while the last call for the access token of a provider's app failed, where this process uses it.";
        let failing = IntGaugeVec::new(Opts::new("dukou_access_token_failing", help), labels)?;
        registry.register(Box::new(expiry.clone()))?;
        registry.register(Box::new(failing.clone()))?;
        let help = "Calls of this process for an access token: new, same, forced, failed, refused (somebody has to change \
                    something), superseded (another instance was faster).";
        let fetches = counter(registry, "dukou_access_token_fetches_total", help, &["tenant", "provider", "outcome"])?;
        Ok(AccessTokenMetrics { expiry, failing, fetches, counted: Mutex::default() })
    }

    /// Shows the counters of a tenant before anything is counted.
    pub fn announce(&self, tenant: &Tenant) {
        for (name, provider) in &tenant.providers {
            if provider.access_tokens().is_some() {
                for outcome in TokenOutcome::ALL {
                    self.fetches.with_label_values(&[tenant.id.as_str(), name.as_str(), outcome.as_str()]);
                }
            }
        }
    }

    pub fn update(&self, tenants: &ServedTenants) {
        let now = SystemClock.now().as_seconds();
        // One scrape at a time: what is counted must be added once.
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        // What is gone has no series any more.
        self.expiry.reset();
        self.failing.reset();
        for (tenant, name, provider) in tenants.providers() {
            let Some(tokens) = provider.access_tokens() else { continue };
            let labels = [tenant.as_str(), name.as_str()];
            if let Some(seen) = tokens.last_seen() {
                self.failing.with_label_values(&labels).set(i64::from(seen.failure.is_some()));
                if let Some(end) = seen.expires_at {
                    self.expiry.with_label_values(&labels).set(end.as_seconds().saturating_sub(now));
                }
            }
            for outcome in TokenOutcome::ALL {
                let count = tokens.count(outcome);
                let before = counted.insert((tenant.clone(), name.clone(), outcome), count).unwrap_or(0);
                // A provider that was made anew counts from 0.
                let more = if count >= before { count - before } else { count };
                self.fetches.with_label_values(&[labels[0], labels[1], outcome.as_str()]).inc_by(more);
            }
        }
    }
}
