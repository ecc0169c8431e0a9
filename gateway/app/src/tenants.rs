//! The tenants being served.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arc_swap::ArcSwap;
use dukou_domain::{ProviderName, TenantId};
use dukou_engine::tenant::{Tenant, Tenants};
use dukou_spi::Provider;

use crate::config::{Change, TenantSettings};

/// The tenants by id; the whole set is exchanged at once, and whoever works with a tenant keeps
/// the one it found.
pub struct ServedTenants {
    sets: ArcSwap<Sets>,
}

type Named = (ProviderName, Arc<dyn Provider>);

#[derive(Clone, Default)]
struct Sets {
    served: HashMap<String, Arc<Tenant>>,
    /// Those too that were served since the process started, and every provider that they had:
    /// payments made by them may still be under way.
    known: HashMap<String, Arc<Tenant>>,
    /// By tenant, providers whose name was given another account, app or kind, newest first.
    former: HashMap<String, Vec<Named>>,
    any_webhook: bool,
}

impl ServedTenants {
    pub fn new<'a>(tenants: impl IntoIterator<Item = &'a Arc<TenantSettings>>) -> Self {
        let served = ServedTenants { sets: ArcSwap::default() };
        served.apply(tenants.into_iter().map(|settings| Change::Served(Arc::clone(settings))));
        served
    }

    /// Every provider that is served, with the ids of its tenant and its own.
    pub fn providers(&self) -> Vec<(String, String, Arc<dyn Provider>)> {
        let sets = self.sets.load();
        let of_tenant = |tenant: &Arc<Tenant>| {
            let id = tenant.id.to_string();
            let providers = tenant.providers.iter();
            providers.map(|(name, provider)| (id.clone(), name.to_string(), Arc::clone(provider))).collect::<Vec<_>>()
        };
        sets.served.values().flat_map(of_tenant).collect()
    }

    /// Enters changes, all at once. Called by one at a time.
    pub fn apply(&self, changes: impl IntoIterator<Item = Change>) {
        let mut sets = Sets::clone(&self.sets.load());
        for change in changes {
            match change {
                Change::Served(settings) => sets.serve(&settings.tenant),
                Change::Removed(id) => sets.remove(id.as_str()),
            }
        }
        sets.any_webhook = sets.known.values().any(|tenant| tenant.webhook.is_some());
        self.sets.store(Arc::new(sets));
    }
}

impl Sets {
    fn serve(&mut self, tenant: &Arc<Tenant>) {
        let id = tenant.id.to_string();
        let known = match self.known.get(&id) {
            Some(before) if before.providers.keys().any(|name| !tenant.providers.contains_key(name)) => {
                let mut providers = before.providers.clone();
                providers.extend(tenant.providers.clone());
                Arc::new(Tenant { providers, ..Tenant::clone(tenant) })
            }
            _ => Arc::clone(tenant),
        };
        if let Some(before) = self.known.get(&id) {
            let former = self.former.entry(id.clone()).or_default();
            for warning in replaced(before, tenant) {
                tracing::warn!(tenant = %tenant.id, "{warning}");
            }
            for (name, provider) in &before.providers {
                former.insert(0, (name.clone(), Arc::clone(provider)));
            }
            keep_other_accounts(former, &known);
        }
        self.known.insert(id.clone(), known);
        self.served.insert(id, Arc::clone(tenant));
    }

    fn remove(&mut self, id: &str) {
        self.served.remove(id);
        if let Some(known) = self.known.get_mut(id) {
            // Nobody is let in by its keys any more, whoever asks.
            *known = Arc::new(Tenant { api_keys: Vec::new(), ..Tenant::clone(known) });
        }
    }
}

/// What the merchant has to know of providers that were given another account, app or kind under their names.
fn replaced(before: &Tenant, now: &Tenant) -> Vec<String> {
    let both =
        before.providers.iter().filter_map(|(name, was)| Some((name, was.info(), now.providers.get(name)?.info())));
    let changed = both.filter(|(_, was, is)| was != is);
    changed
        .map(|(name, was, is)| {
            format!(
                "providers.{name} was {} of merchant account {} and app {}, and is {} of {} and {} now: what was ordered \
                 before is signed for and its notifies are believed until the next start only; a second section beside \
                 the first keeps both",
                was.kind, was.merchant_id, was.app_id, is.kind, is.merchant_id, is.app_id
            )
        })
        .collect()
}

/// Drops those whose account is known under the same name anyway, and all but the newest of each account. Another app or
/// kind counts as another account: only the one that made an order can sign for it and read what is told of it.
fn keep_other_accounts(former: &mut Vec<Named>, known: &Tenant) {
    let account = |provider: &Arc<dyn Provider>| {
        let info = provider.info();
        (info.merchant_id.clone(), info.app_id.clone(), info.kind)
    };
    let mut seen: HashSet<_> = known.providers.iter().map(|(name, now)| (name.clone(), account(now))).collect();
    former.retain(|(name, provider)| seen.insert((name.clone(), account(provider))));
}

impl Tenants for ServedTenants {
    fn find(&self, id: &str) -> Option<Arc<Tenant>> {
        self.sets.load().served.get(id).cloned()
    }

    fn all(&self) -> Vec<Arc<Tenant>> {
        self.sets.load().served.values().cloned().collect()
    }

    fn find_even_removed(&self, id: &str) -> Option<Arc<Tenant>> {
        self.sets.load().known.get(id).cloned()
    }

    fn former_providers(&self, id: &TenantId, name: &ProviderName) -> Vec<Arc<dyn Provider>> {
        let sets = self.sets.load();
        let former = sets.former.get(id.as_str()).map_or(&[][..], Vec::as_slice);
        former.iter().filter(|(of, _)| of == name).map(|(_, provider)| Arc::clone(provider)).collect()
    }

    fn any_webhook(&self) -> bool {
        self.sets.load().any_webhook
    }
}

#[cfg(test)]
mod tests;
