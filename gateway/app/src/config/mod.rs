//! The configuration: where it comes from, what it may hold, and every problem in it at once.
//!
//! The compiled-in `config/gateway.toml` lies under the operator's `gateway.toml`, the environment
//! (`DUKOU__…`) above both. Each `tenants/*.toml` is one tenant.

mod conflicts;
mod gateway;
mod sources;
mod tenant;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dukou_spi::settings::{Problem, Severity};
use dukou_spi::{Context, ProviderFactory};

pub use gateway::{DEFAULTS, GatewaySettings, RedisSettings};
pub use sources::{ConfigurationEnvironment, process_variables};
pub use tenant::{TenantSettings, WebhookSettings};

use sources::Sources;

/// The configuration as far as it can be used, and everything that is wrong with it.
pub struct Loaded {
    /// `None` when `gateway.toml` or what overrides it has an error.
    pub gateway: Option<GatewaySettings>,
    /// The tenants whose files have no error, by id.
    pub tenants: Vec<TenantSettings>,
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

/// Reads a configuration folder. Makes no call and opens nothing but the files it names.
///
/// `variables` are those of the process; `context` is given the `insecure` flag that was read.
pub fn load(
    directory: &Path,
    variables: BTreeMap<String, String>,
    factories: &[Box<dyn ProviderFactory>],
    context: impl Fn(bool) -> Context,
) -> Loaded {
    let sources = Sources::new(directory, variables);
    let mut problems = Vec::new();
    let mut refused = Vec::new();

    let gateway = gateway::read(&sources, &mut problems);
    // Tenants are checked even when the gateway's own settings are broken, so that every problem
    // is named at once; whether plain http is allowed is then taken from what can be read.
    let insecure = gateway.insecure;
    let context = context(insecure);

    let mut tenants: Vec<TenantSettings> = Vec::new();
    for file in sources.tenant_files(&mut problems) {
        let before = problems.len();
        let tenant = tenant::read(&file, &sources, factories, &context, &mut problems);
        let broken = problems[before..].iter().any(|problem| problem.severity == Severity::Error);
        match tenant.filter(|_| !broken) {
            Some(tenant) => match conflicts::find(&tenant, &tenants) {
                Some(problem) => {
                    problems.push(problem);
                    refused.push(file);
                }
                None => tenants.push(tenant),
            },
            None => refused.push(file),
        }
    }
    problems.extend(sources.unused_variables());
    Loaded { gateway: gateway.settings, tenants, refused, problems }
}
