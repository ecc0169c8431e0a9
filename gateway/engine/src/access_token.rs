//! The access tokens of the tenants' apps: for a tenant's backend, and without the token for the operator.

use std::collections::BTreeMap;

use dukou_domain::{ProviderName, Secret, TenantId};
use dukou_spi::plugin::DocumentError;
use dukou_spi::{AccessToken, AccessTokenError, AccessTokens, FieldProblem, TokenStatus};

use crate::engine::{Engine, provider_of};
use crate::error::EngineError;
use crate::ports::StoreError;
use crate::tenant::Tenant;

/// One of those who share a token.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenHolderName {
    pub tenant: TenantId,
    pub provider: ProviderName,
    /// Whether the tenant's backend may have it.
    pub shared_with_backend: bool,
}

/// What is known of an app's token, without the token.
#[derive(Debug)]
pub struct AppToken {
    pub app_id: String,
    pub holders: Vec<TokenHolderName>,
    pub status: TokenStatus,
}

/// A token, and whose it is.
#[derive(Debug)]
pub struct LentToken {
    pub app_id: String,
    pub token: AccessToken,
}

impl Engine {
    /// The token of the app that the provider is configured with; another one than `stale`, which the
    /// platform did not accept, where one is named.
    ///
    /// # Errors
    /// [`EngineError::Invalid`] for a provider that is not configured or has no token;
    /// [`EngineError::Forbidden`] where the tenant did not allow it; [`EngineError::Provider`], with
    /// [`dukou_spi::Reason::RateLimited`] when the same token was looked into just now;
    /// [`EngineError::Store`].
    pub async fn access_token(
        &self,
        tenant: &Tenant,
        provider: &ProviderName,
        stale: Option<&Secret>,
    ) -> Result<LentToken, EngineError> {
        let tokens = shared_tokens(tenant, provider)?;
        let token = match stale {
            None => tokens.get().await,
            Some(stale) => tokens.replace(stale).await,
        };
        let token = token.map_err(|error| match error {
            AccessTokenError::Platform(error) => EngineError::Provider(error),
            AccessTokenError::Shared(error) => of_documents(error),
        })?;
        Ok(LentToken { app_id: tokens.app_id().to_owned(), token })
    }
}

impl Engine {
    /// The tokens of all apps that are served, by app. Those who share one stand together.
    ///
    /// # Errors
    /// When the store cannot tell.
    pub async fn app_tokens(&self) -> Result<Vec<AppToken>, EngineError> {
        let mut found: BTreeMap<(String, String), AppToken> = BTreeMap::new();
        for tenant in self.tenants.all() {
            for (name, provider) in &tenant.providers {
                let Some(tokens) = provider.access_tokens() else { continue };
                let key = (tokens.app_id().to_owned(), tokens.account().to_owned());
                if !found.contains_key(&key) {
                    let status = tokens.status().await.map_err(of_documents)?;
                    let token = AppToken { app_id: key.0.clone(), holders: Vec::new(), status };
                    found.insert(key.clone(), token);
                }
                if let Some(token) = found.get_mut(&key) {
                    token.holders.push(TokenHolderName {
                        tenant: tenant.id.clone(),
                        provider: name.clone(),
                        shared_with_backend: tokens.is_shared(),
                    });
                }
            }
        }
        let mut tokens: Vec<AppToken> = found.into_values().collect();
        tokens.iter_mut().for_each(|token| token.holders.sort());
        Ok(tokens)
    }
}

fn of_documents(error: DocumentError) -> EngineError {
    EngineError::Store(match error {
        DocumentError::Unavailable(why) => StoreError::Unavailable(why),
        DocumentError::Conflict(why) => StoreError::Conflict(why),
        DocumentError::Corrupt(why) | DocumentError::Refused(why) => StoreError::Corrupt(why),
    })
}

fn shared_tokens<'a>(tenant: &'a Tenant, provider: &ProviderName) -> Result<&'a dyn AccessTokens, EngineError> {
    let Some(tokens) = provider_of(tenant, provider)?.access_tokens() else {
        let message = format!("{provider} has no access token; expected a WeChat provider with an app_secret");
        return Err(EngineError::Invalid(vec![FieldProblem { field: "provider", message }]));
    };
    if tokens.is_shared() {
        Ok(tokens)
    } else {
        Err(EngineError::Forbidden(format!(
            "access tokens are not given out: set share_access_token = true in [providers.{provider}] of the tenant's file"
        )))
    }
}
