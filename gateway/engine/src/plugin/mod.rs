//! Plugins: run on threads of their own, within limits, beside the payments and never in their way.
//!
//! What a plugin is says `dukou-spi`. Here is what surrounds every one of them, written once: a place
//! to work in, a time limit, a panic kept from spreading, a look at what it answers, and the
//! measurement.

pub(crate) mod documents;
mod due;
mod events;
mod host;
mod run;

use std::sync::Arc;
use std::time::Duration;

use dukou_domain::{InvalidId, PluginName, TenantId};
use dukou_spi::Finding;
use dukou_spi::plugin::{CallbackOutcome, Plugin, PluginError, PluginInfo};
use tokio::sync::Semaphore;

pub use run::{PluginHost, PluginHostConfig, Render};

/// A plugin as one tenant has it.
pub struct TenantPlugin {
    pub info: &'static PluginInfo,
    pub name: PluginName,
    plugin: Arc<dyn Plugin>,
    rooms: Rooms,
}

impl TenantPlugin {
    /// # Errors
    /// When the plugin's own name is none.
    pub fn new(info: &'static PluginInfo, plugin: Arc<dyn Plugin>) -> Result<Self, InvalidId> {
        let room = || Arc::new(Semaphore::new(info.limits.at_once));
        let rooms = Rooms { calls: room(), callbacks: room(), pages: room(), work: room() };
        Ok(TenantPlugin { info, name: PluginName::new(info.name)?, plugin, rooms })
    }

    /// What is wrong with its set-up; needs no [`PluginHost`].
    pub async fn diagnose(&self, live: bool) -> Vec<Finding> {
        self.plugin.diagnose(live).await
    }
}

/// How much may be under way of each kind, so that a flood of one leaves the others their place.
struct Rooms {
    calls: Arc<Semaphore>,
    callbacks: Arc<Semaphore>,
    pages: Arc<Semaphore>,
    work: Arc<Semaphore>,
}

/// Why a plugin gave no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum PluginFailure {
    /// The tenant does not exist, or does not have this plugin.
    #[error("the tenant has no such plugin")]
    NotThere,
    /// The plugin's own refusal.
    #[error(transparent)]
    Refused(#[from] PluginError),
    /// As many are under way as may be.
    #[error("the plugin has as much to do as it may")]
    Busy,
    #[error("the plugin did not answer in time")]
    TimedOut,
    #[error("the plugin panicked")]
    Panicked,
    /// Its answer cannot be sent.
    #[error("the plugin's answer is none: {0}")]
    Nonsense(&'static str),
}

/// How a plugin's work ended, for the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PluginOutcome {
    Ok,
    /// The request was at fault.
    Refused,
    /// The plugin, its platform or the store was.
    Failed,
    Busy,
    TimedOut,
    Panicked,
    Nonsense,
    /// An event was told of as often as it may be, and the log goes on without it.
    GivenUp,
}

impl PluginOutcome {
    pub const fn as_str(self) -> &'static str {
        match self {
            PluginOutcome::Ok => "ok",
            PluginOutcome::Refused => "refused",
            PluginOutcome::Failed => "failed",
            PluginOutcome::Busy => "busy",
            PluginOutcome::TimedOut => "timed_out",
            PluginOutcome::Panicked => "panicked",
            PluginOutcome::Nonsense => "nonsense",
            PluginOutcome::GivenUp => "given_up",
        }
    }

    fn of(failure: &PluginFailure) -> Self {
        match failure {
            PluginFailure::Refused(
                PluginError::Invalid(_) | PluginError::NotFound(_) | PluginError::InvalidState(_),
            )
            | PluginFailure::NotThere => PluginOutcome::Refused,
            PluginFailure::Refused(PluginError::Provider(_) | PluginError::Documents(_) | PluginError::Internal(_)) => {
                PluginOutcome::Failed
            }
            PluginFailure::Busy => PluginOutcome::Busy,
            PluginFailure::TimedOut => PluginOutcome::TimedOut,
            PluginFailure::Panicked => PluginOutcome::Panicked,
            PluginFailure::Nonsense(_) => PluginOutcome::Nonsense,
        }
    }
}

/// Counts what plugins do. Every label comes from the configuration or from a closed list.
pub trait PluginTelemetry: Send + Sync {
    /// `operation` is a call's or a page's, `callback`, `event` or `due`.
    fn worked(
        &self,
        tenant: &TenantId,
        plugin: &'static str,
        operation: &'static str,
        outcome: PluginOutcome,
        took: Duration,
    );

    /// What became of a callback that the plugin answered.
    fn callback(&self, tenant: &TenantId, plugin: &'static str, outcome: CallbackOutcome);

    /// Events that were read for a plugin and not yet told to it; 0 when it heard them all.
    fn behind(&self, tenant: &TenantId, plugin: &'static str, events: usize);
}
