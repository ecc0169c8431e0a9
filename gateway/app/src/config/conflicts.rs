//! What is wrong between files, each of which is right by itself.

use std::collections::HashMap;

use dukou_spi::settings::{Problem, Severity};

use super::tenant::TenantSettings;

/// Which tenants number their payments in which merchant account.
///
/// A number may be used once only in a merchant account at a platform, so that tenants which share
/// one need prefixes that keep their numbers apart: neither empty nor the beginning of the other.
#[derive(Default)]
pub struct Accounts<'a> {
    /// By platform and the account's number there.
    users: HashMap<(&'a str, &'a str), Vec<&'a TenantSettings>>,
}

impl<'a> Accounts<'a> {
    pub fn add(&mut self, tenant: &'a TenantSettings) {
        for provider in tenant.tenant.providers.values() {
            let info = provider.info();
            self.users.entry((family(info.kind), info.calling_merchant())).or_default().push(tenant);
        }
    }

    /// Whether a tenant can be served beside those that were added.
    pub fn conflict(&self, tenant: &TenantSettings) -> Option<Problem> {
        for (name, provider) in &tenant.tenant.providers {
            let info = provider.info();
            let users = self.users.get(&(family(info.kind), info.calling_merchant()));
            let other = users.into_iter().flatten().find(|other| {
                let (prefix, others) = (&tenant.tenant.trade_no_prefix, &other.tenant.trade_no_prefix);
                prefix.starts_with(others.as_str()) || others.starts_with(prefix.as_str())
            });
            if let Some(other) = other {
                let shares = |provider: &dyn dukou_spi::Provider| {
                    family(provider.info().kind) == family(info.kind)
                        && provider.info().calling_merchant() == info.calling_merchant()
                };
                let mut providers = other.tenant.providers.iter();
                let other_name =
                    providers.find(|(_, provider)| shares(&***provider)).map_or("", |(name, _)| name.as_str());
                return Some(Problem {
                    severity: Severity::Error,
                    file: tenant.file.clone(),
                    key: "trade_no_prefix".to_owned(),
                    message: format!(
                        "providers.{name} shares merchant account {} with providers.{other_name} of {}, and nothing \
                         keeps their numbers apart",
                        info.calling_merchant(),
                        other.file
                    ),
                    expected: "a trade_no_prefix in both files, neither the beginning of the other".to_owned(),
                });
            }
        }
        None
    }
}

/// Kinds of one platform (`wechat-v2`, `wechat-v3`) number the same merchant accounts.
fn family(kind: &str) -> &str {
    kind.split('-').next().unwrap_or(kind)
}
