//! When keys and certificates end, looked at when a scrape comes.

use std::sync::Arc;

use dukou_spi::Clock as _;
use prometheus::{IntGaugeVec, Opts, Registry};

use crate::outside::SystemClock;
use crate::tenants::ServedTenants;

/// Those of the tenants that are served. The serials are of certificates that were believed.
pub struct TrustGauges {
    pub tenants: Arc<ServedTenants>,
    expiry: IntGaugeVec,
}

impl TrustGauges {
    pub fn new(registry: &Registry, tenants: Arc<ServedTenants>) -> Result<Self, prometheus::Error> {
        let help = "Until a key or certificate of a tenant's account ends, the platform's and the merchant's own; \
                    below 0 once it has. One without an end has no series.";
        let expiry =
            IntGaugeVec::new(Opts::new("dukou_trust_expiry_seconds", help), &["tenant", "provider", "serial"])?;
        registry.register(Box::new(expiry.clone()))?;
        Ok(TrustGauges { tenants, expiry })
    }

    pub fn update(&self) {
        let now = SystemClock.now().as_seconds();
        // What is gone has no series any more.
        self.expiry.reset();
        for (tenant, name, provider) in self.tenants.providers() {
            for key in provider.trust() {
                let Some(end) = key.expires_at else { continue };
                let series = self.expiry.with_label_values(&[tenant.as_str(), name.as_str(), key.serial.as_str()]);
                series.set(end.as_seconds().saturating_sub(now));
            }
        }
    }
}
