//! With whose keys an attempt goes on: its provider's name may have been given another account, app or kind since it was
//! made.

use std::sync::Arc;

use dukou_domain::TenantId;
use dukou_spi::{Provider, ProviderInfo};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::records::Attempt;
use crate::tenant::{Tenant, Tenants};

impl Engine {
    /// The provider that an attempt was made through, though it may have been taken out of the configuration since.
    ///
    /// # Errors
    /// [`EngineError::InvalidState`] when it is not known any more.
    pub(crate) fn provider_known(&self, tenant: &Tenant, attempt: &Attempt) -> Result<Arc<dyn Provider>, EngineError> {
        let provider = self.providers_known(tenant).get(&attempt.provider).map(Arc::clone);
        provider.ok_or_else(|| {
            let name = &attempt.provider;
            let why = format!("{name}, through which it is to be paid, is not configured for this tenant any more");
            EngineError::InvalidState(why)
        })
    }

    /// The provider that an attempt's platform is called through, where that is not `current`: the one that made the
    /// attempt, or another of its merchant account, which finds the order by its number. Only the one that made it can
    /// sign for it: [`Self::signer_of`].
    ///
    /// # Errors
    /// Why there is none: the provider of this name was given another account, and the former is not known any more. Another
    /// account would say that there is no such order, which would count as closed.
    pub(crate) fn account_of(
        &self,
        tenant: &TenantId,
        attempt: &Attempt,
        current: &Arc<dyn Provider>,
    ) -> Result<Option<Arc<dyn Provider>>, String> {
        account_of(self.tenants.as_ref(), tenant, attempt, current)
    }

    /// The provider that can sign the front end's arguments for an attempt: of the account, the app and the kind that it
    /// was made with. What another signs looks the same, and nobody can pay with it.
    pub(crate) fn signer_of(
        &self,
        tenant: &TenantId,
        attempt: &Attempt,
        current: &Arc<dyn Provider>,
    ) -> Option<Arc<dyn Provider>> {
        if made(attempt, current.info()) {
            return Some(Arc::clone(current));
        }
        let former = self.tenants.former_providers(tenant, &attempt.provider);
        former.into_iter().find(|provider| made(attempt, provider.info()))
    }
}

/// [`Engine::account_of`], for a decision that the store runs.
///
/// # Errors
/// As [`Engine::account_of`].
pub(crate) fn account_of(
    tenants: &dyn Tenants,
    tenant: &TenantId,
    attempt: &Attempt,
    current: &Arc<dyn Provider>,
) -> Result<Option<Arc<dyn Provider>>, String> {
    if made(attempt, current.info()) {
        return Ok(None);
    }
    let mut former = tenants.former_providers(tenant, &attempt.provider);
    former.retain(|provider| is_merchant_of(attempt, provider.info()));
    let maker = former.iter().position(|provider| made(attempt, provider.info()));
    if is_merchant_of(attempt, current.info()) {
        return Ok(maker.map(|at| former.swap_remove(at)));
    }
    if former.is_empty() {
        return Err(format!(
            "it was made with merchant account {}, and {} is {} now; give the former account a section of this name \
             until its payments have ended",
            attempt.merchant_id,
            attempt.provider,
            current.info().merchant_id
        ));
    }
    Ok(Some(former.swap_remove(maker.unwrap_or(0))))
}

fn is_merchant_of(attempt: &Attempt, info: &ProviderInfo) -> bool {
    info.merchant_id == attempt.merchant_id
}

/// Whether a provider is as the one that made the attempt. Of an attempt that was recorded before kinds were, the kind
/// says nothing.
fn made(attempt: &Attempt, info: &ProviderInfo) -> bool {
    let same_kind = attempt.kind.is_empty() || attempt.kind == info.kind;
    is_merchant_of(attempt, info) && info.app_id == attempt.app_id && same_kind
}
