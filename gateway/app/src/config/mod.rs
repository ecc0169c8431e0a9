//! The configuration: where it comes from, what it may hold, and every problem in it at once.
//!
//! The compiled-in `config/gateway.toml` lies under the operator's `gateway.toml`, the environment
//! (`DUKOU__…`) above both. Each `tenants/*.toml` is one tenant.

mod conflicts;
mod environment;
mod files;
mod gateway;
mod numbers;
mod retention;
mod sources;
mod tenant;
mod tenant_variables;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dukou_spi::plugin::{PluginContext, PluginFactory};
use dukou_spi::settings::{Problem, Severity};
use dukou_spi::{Context, ProviderFactory};

pub use environment::process_variables;
pub use files::{Change, Look, Patience, TenantFiles};
pub use gateway::{DEFAULTS, GatewaySettings, RedisSettings, StoragePlace, StorageSettings};
pub use retention::RetentionSettings;
pub use tenant::{SAME_SECRET, TenantSettings};
pub use tenant_variables::{TENANTS_PREFIX, variable_word};

use crate::traces::TraceSettings;
use sources::Sources;

/// The configuration as far as it can be used, and everything that is wrong with it.
pub struct Loaded {
    /// `None` when `gateway.toml` or what overrides it has an error.
    pub gateway: Option<GatewaySettings>,
    /// The tenants whose files have no error are served.
    pub tenants: TenantFiles,
    /// Files that are there but hold an error.
    pub refused: Vec<PathBuf>,
    /// In the order of the files; errors and warnings.
    pub problems: Vec<Problem>,
}

impl Loaded {
    pub fn errors(&self) -> usize {
        self.problems.iter().filter(|problem| problem.severity == Severity::Error).count()
    }

    pub fn warnings(&self) -> usize {
        self.problems.len() - self.errors()
    }
}

/// What the sections of a tenant's file may name.
#[derive(Default)]
pub struct Factories {
    pub providers: Vec<Box<dyn ProviderFactory>>,
    pub plugins: Vec<Box<dyn PluginFactory>>,
}

impl Factories {
    /// Everything that the program has.
    pub fn builtin() -> Self {
        Factories { providers: crate::providers::builtin(), plugins: crate::plugins::builtin() }
    }
}

/// What every tenant's file is read with.
pub(crate) struct Setup {
    pub factories: Factories,
    pub context: PluginContext,
    /// Of webhooks, and of what plugins call for a stranger.
    pub allow_private_networks: bool,
}

/// Reads a configuration folder. Makes no call and opens nothing but the files it names.
///
/// `variables` are those of the process; `context` is given the `insecure` flag that was read.
pub fn load(
    directory: &Path,
    variables: BTreeMap<String, String>,
    factories: Factories,
    context: impl Fn(bool) -> Context,
) -> Loaded {
    let sources = Sources::new(directory, variables);
    let mut problems = Vec::new();
    let gateway = gateway::read(&sources, &mut problems);
    // Tenants are checked even when the gateway's own settings are broken, so that every problem
    // is named at once; whether plain http is allowed is then taken from what can be read, and is allowed
    // where nothing can.
    let allow_private_networks = gateway.allow_private_networks;
    let strangers = crate::outside::strangers(allow_private_networks);
    let context = PluginContext { outside: context(gateway.insecure), strangers };
    let mut tenants = TenantFiles::new(sources, Setup { factories, context, allow_private_networks });
    let look = tenants.look(Patience::AtOnce);
    problems.extend(look.problems);
    problems.extend(tenants.sources().unused_variables());
    Loaded { gateway: gateway.settings, tenants, refused: look.refused, problems }
}

/// Where traces go, if anywhere; what is wrong with it is told where the whole configuration is read.
pub fn trace_settings(directory: &Path, variables: BTreeMap<String, String>) -> Option<TraceSettings> {
    gateway::read_telemetry(&Sources::new(directory, variables))
}

/// Where a configuration folder says that payments live.
///
/// # Errors
/// What keeps it from being known: `gateway.toml` cannot be read, or its `[storage]` is wrong.
pub fn storage(directory: &Path, variables: BTreeMap<String, String>) -> Result<StorageSettings, Vec<Problem>> {
    let mut problems = Vec::new();
    let storage = gateway::read_storage(&Sources::new(directory, variables), &mut problems);
    storage.ok_or(problems)
}
