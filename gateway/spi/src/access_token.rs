//! Tokens that a platform gives an app for its calls, and that all who use the app must share: a
//! second one would end the first.

use async_trait::async_trait;
use dukou_domain::{Secret, Timestamp};

use crate::ProviderError;
use crate::plugin::DocumentError;

/// A token that is good now.
#[derive(Debug, Clone)]
pub struct AccessToken {
    /// Goes with each call to the platform (`access_token`).
    pub value: Secret,
    /// The platform's word; it may end before, and is then replaced by [`AccessTokens::replace`].
    pub expires_at: Timestamp,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum AccessTokenError {
    /// The record that all instances share cannot be read or written now; the platform was not asked.
    #[error(transparent)]
    Shared(#[from] DocumentError),
    /// The platform refused or did not answer, now or the last time that it was asked.
    #[error(transparent)]
    Platform(#[from] ProviderError),
}

/// How a call for a token ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenOutcome {
    /// Another token than before.
    New,
    /// The platform still gives the one that is known.
    Same,
    /// It may work later.
    Failed,
    /// Somebody has to change something first.
    Refused,
    /// The token before was ended by force: the platform did not accept it, and gave no other.
    Forced,
    /// What was fetched came too late: another instance had written meanwhile.
    Superseded,
}

impl TokenOutcome {
    /// Every outcome once, for the counters.
    pub const ALL: [TokenOutcome; 6] = [
        TokenOutcome::New,
        TokenOutcome::Same,
        TokenOutcome::Failed,
        TokenOutcome::Refused,
        TokenOutcome::Forced,
        TokenOutcome::Superseded,
    ];

    /// The `outcome` in the metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            TokenOutcome::New => "new",
            TokenOutcome::Same => "same",
            TokenOutcome::Failed => "failed",
            TokenOutcome::Refused => "refused",
            TokenOutcome::Forced => "forced",
            TokenOutcome::Superseded => "superseded",
        }
    }
}

/// The last call for a token, where it failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenFailure {
    /// When the platform's refusal came, or was waited for in vain.
    pub at: Timestamp,
    /// The platform's error code, where it gave one.
    pub code: Option<String>,
    /// In the platform's words, or ours. Holds no secret.
    pub message: String,
    /// Somebody has to change something, at the platform or in the configuration.
    pub needs_person: bool,
    /// The platform is not asked before.
    pub next_try_at: Timestamp,
}

/// What is known of an app's token, without the token.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TokenStatus {
    /// Counts the tokens that the app had; 0 before the first.
    pub version: u64,
    /// When the token that is held was asked for; `None` before the first.
    pub fetched_at: Option<Timestamp>,
    /// When the token that is held ends; `None` before the first.
    pub expires_at: Option<Timestamp>,
    /// The instance that fetched it.
    pub fetched_by: Option<String>,
    /// `None` once a call has worked again.
    pub failure: Option<TokenFailure>,
    /// When one that the platform did not accept was last looked into.
    pub repaired_at: Option<Timestamp>,
    /// How often one was ended by force on the day that counts.
    pub forced_today: u32,
}

/// The token of one app, the same whichever provider, tenant or instance asks.
#[async_trait]
pub trait AccessTokens: Send + Sync {
    /// The app at its platform.
    fn app_id(&self) -> &str;

    /// Equal for all who share one token. Not for display.
    fn account(&self) -> &str;

    /// Whether the tenant's backend may have it.
    fn is_shared(&self) -> bool;

    /// A token that is good for a while; asks the platform only when none is.
    ///
    /// # Errors
    /// [`AccessTokenError`]; a failure that is still fresh is told again without asking.
    async fn get(&self) -> Result<AccessToken, AccessTokenError>;

    /// One in the place of `stale`, which the platform did not accept. Where the app has another one by
    /// now, that; otherwise the platform is asked, at most once a minute.
    ///
    /// # Errors
    /// [`AccessTokenError`]; [`crate::Reason::RateLimited`] within the minute.
    async fn replace(&self, stale: &Secret) -> Result<AccessToken, AccessTokenError>;

    /// Fetches one early where the one in use comes near its end. Does nothing for a token that nobody
    /// uses. Called every minute or so. What goes wrong is logged, and stands in the status.
    async fn renew(&self);

    /// What all instances know.
    ///
    /// # Errors
    /// When their record cannot be read.
    async fn status(&self) -> Result<TokenStatus, DocumentError>;

    /// What this process knew when it last looked; `None` where nobody here uses the token.
    fn last_seen(&self) -> Option<TokenStatus>;

    /// How often a call of this process ended so.
    fn count(&self, outcome: TokenOutcome) -> u64;
}
