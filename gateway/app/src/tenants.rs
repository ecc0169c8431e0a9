//! The tenants being served.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use dukou_engine::tenant::{Tenant, Tenants};

use crate::config::TenantSettings;

/// The tenants by id; the whole set is exchanged at once, and whoever works with a tenant keeps
/// the one it found.
pub struct ServedTenants {
    tenants: ArcSwap<HashMap<String, Arc<Tenant>>>,
}

impl ServedTenants {
    pub fn new(tenants: &[TenantSettings]) -> Self {
        let by_id = tenants.iter().map(|settings| (settings.tenant.id.to_string(), Arc::clone(&settings.tenant)));
        ServedTenants { tenants: ArcSwap::from_pointee(by_id.collect()) }
    }
}

impl Tenants for ServedTenants {
    fn find(&self, id: &str) -> Option<Arc<Tenant>> {
        self.tenants.load().get(id).cloned()
    }
}
