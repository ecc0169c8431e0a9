//! The tenants of an engine under test.

use std::sync::Arc;

use dukou_domain::{ProviderName, TenantId};
use dukou_engine::tenant::{Tenant, Tenants};
use dukou_spi::Provider;

/// Tenants as they are served and as they are known from before.
pub struct Known {
    pub served: Vec<Arc<Tenant>>,
    pub known: Vec<Arc<Tenant>>,
    /// Those of an account that the providers had before.
    pub former: Vec<Arc<dyn Provider>>,
}

fn of_id(tenants: &[Arc<Tenant>], id: &str) -> Option<Arc<Tenant>> {
    tenants.iter().find(|tenant| tenant.id.as_str() == id).map(Arc::clone)
}

impl Tenants for Known {
    fn find(&self, id: &str) -> Option<Arc<Tenant>> {
        of_id(&self.served, id)
    }

    fn all(&self) -> Vec<Arc<Tenant>> {
        self.served.clone()
    }

    fn find_even_removed(&self, id: &str) -> Option<Arc<Tenant>> {
        of_id(&self.known, id)
    }

    fn former_providers(&self, _: &TenantId, _: &ProviderName) -> Vec<Arc<dyn Provider>> {
        self.former.clone()
    }

    fn any_webhook(&self) -> bool {
        self.known.iter().any(|tenant| tenant.webhook.is_some())
    }
}
