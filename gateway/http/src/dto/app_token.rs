use dukou_domain::Timestamp;
use dukou_engine::AppToken;
use serde::Serialize;
use utoipa::ToSchema;

use super::rfc3339;

/// The access tokens of all apps. The list is whole.
#[derive(Debug, Serialize, ToSchema)]
pub struct AppTokenList {
    /// One an app.
    pub data: Vec<AppTokenBody>,
}

/// What is known of an app's access token, without the token.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AppToken)]
pub struct AppTokenBody {
    /// The app at its platform.
    pub app_id: String,
    /// Who shares it.
    pub holders: Vec<TokenHolderBody>,
    /// Counts the tokens that the app had; 0 before the first.
    pub version: u64,
    /// When the platform gave it; `null` before the first.
    #[schema(required = true, format = DateTime)]
    pub fetched_at: Option<String>,
    /// Since it was last fetched.
    #[schema(required = true)]
    pub age_seconds: Option<u64>,
    /// When the platform ends it.
    #[schema(required = true, format = DateTime)]
    pub expires_at: Option<String>,
    /// The instance that fetched it: its machine and process.
    #[schema(required = true)]
    pub fetched_by: Option<String>,
    /// When a token that the platform did not accept was last looked into.
    #[schema(required = true, format = DateTime)]
    pub repaired_at: Option<String>,
    /// How often one was ended by force today, in Beijing.
    pub forced_today: u32,
    /// The last call for a token, where it failed.
    #[schema(required = true)]
    pub last_error: Option<TokenFailureBody>,
}

/// One of those who share a token.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TokenHolder)]
pub struct TokenHolderBody {
    /// Whose configuration names the app.
    pub tenant: String,
    /// The tenant's own name for the provider.
    pub provider: String,
    /// Whether the tenant's backend may have it (`share_access_token`).
    pub shared_with_backend: bool,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TokenFailure)]
pub struct TokenFailureBody {
    /// When it failed.
    #[schema(format = DateTime)]
    pub at: String,
    /// The platform's `errcode`, where it gave one.
    #[schema(required = true)]
    pub code: Option<String>,
    /// For a person.
    pub message: String,
    /// Somebody has to change something, at the platform or in the configuration; `dukou doctor --live` says what.
    pub needs_person: bool,
    /// When the gateway tries again by itself.
    #[schema(format = DateTime)]
    pub next_try_at: String,
}

impl AppTokenList {
    pub fn new(tokens: &[AppToken], now: Timestamp) -> Self {
        AppTokenList { data: tokens.iter().map(|token| AppTokenBody::new(token, now)).collect() }
    }
}

impl AppTokenBody {
    fn new(token: &AppToken, now: Timestamp) -> Self {
        let status = &token.status;
        let holders = token.holders.iter().map(|holder| TokenHolderBody {
            tenant: holder.tenant.to_string(),
            provider: holder.provider.to_string(),
            shared_with_backend: holder.shared_with_backend,
        });
        AppTokenBody {
            app_id: token.app_id.clone(),
            holders: holders.collect(),
            version: status.version,
            fetched_at: status.fetched_at.map(rfc3339),
            age_seconds: status.fetched_at.map(|at| now.since(at).as_secs()),
            expires_at: status.expires_at.map(rfc3339),
            fetched_by: status.fetched_by.clone(),
            repaired_at: status.repaired_at.map(rfc3339),
            forced_today: status.forced_today,
            last_error: status.failure.as_ref().map(|failure| TokenFailureBody {
                at: rfc3339(failure.at),
                code: failure.code.clone(),
                message: failure.message.clone(),
                needs_person: failure.needs_person,
                next_try_at: rfc3339(failure.next_try_at),
            }),
        }
    }
}
