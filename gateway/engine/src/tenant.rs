//! The tenants being served, as the engine sees them.

use std::collections::BTreeMap;
use std::sync::Arc;

use dukou_domain::{PluginName, ProviderName, Secret, TenantId};
use dukou_spi::Provider;

use crate::plugin::TenantPlugin;

/// What to do with a verified success that arrives after the payment was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LatePayment {
    #[default]
    Accept,
    Refund,
}

/// A key of a merchant's backend.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// Its name in the configuration, for logs.
    pub id: String,
    pub secret: Secret,
}

/// One mini-program business.
#[derive(Clone)]
pub struct Tenant {
    pub id: TenantId,
    pub name: String,
    pub api_keys: Vec<ApiKey>,
    pub late_payment: LatePayment,
    /// Stands before `out_trade_no` in every number at a platform, for tenants that share a
    /// merchant account.
    pub trade_no_prefix: String,
    pub providers: BTreeMap<ProviderName, Arc<dyn Provider>>,
    pub plugins: BTreeMap<PluginName, Arc<TenantPlugin>>,
    /// Where its events are delivered.
    pub webhook: Option<Webhook>,
}

impl Tenant {
    /// Characters of an `out_trade_no` that the gateway makes: 26, or what the prefix leaves of a platform's 32.
    pub fn made_number_length(&self) -> usize {
        26.min(32_usize.saturating_sub(self.trade_no_prefix.len()))
    }
}

/// Where a tenant's events are delivered.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// Absolute, http or https.
    pub url: String,
    /// As Standard Webhooks writes them: `whsec_` and base64. Every one of them signs; two while
    /// one is being replaced.
    pub secrets: Vec<Secret>,
}

/// Finds tenants; the set changes while the gateway runs.
pub trait Tenants: Send + Sync {
    fn find(&self, id: &str) -> Option<Arc<Tenant>>;

    /// Every tenant that is served, in no order.
    fn all(&self) -> Vec<Arc<Tenant>>;

    /// Those too that are not served any more: nobody may enter, but their payments can still be
    /// notified and asked after. The same as [`Tenants::find`] where no tenant ever goes.
    fn find_even_removed(&self, id: &str) -> Option<Arc<Tenant>> {
        self.find(id)
    }

    /// Providers that this tenant had under this name for another account, app or kind, newest first: what was made with
    /// one can be signed for, and may be asked after, only with it.
    fn former_providers(&self, _id: &TenantId, _name: &ProviderName) -> Vec<Arc<dyn Provider>> {
        Vec::new()
    }

    /// Whether any tenant may have a webhook, those included that are not served any more.
    fn any_webhook(&self) -> bool {
        true
    }
}
