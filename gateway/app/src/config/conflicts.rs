//! What is wrong between files, each of which is right by itself.

use dukou_spi::settings::{Problem, Severity};

use super::tenant::TenantSettings;

/// Whether a tenant can be served beside those that came before it.
///
/// A number may be used once only in a merchant account at a platform, so that tenants which share
/// one need prefixes that keep their numbers apart: neither empty nor the beginning of the other.
pub fn find(tenant: &TenantSettings, others: &[TenantSettings]) -> Option<Problem> {
    for other in others {
        for (name, provider) in &tenant.tenant.providers {
            for (other_name, other_provider) in &other.tenant.providers {
                let (info, other_info) = (provider.info(), other_provider.info());
                let shared = family(info.kind) == family(other_info.kind) && info.merchant_id == other_info.merchant_id;
                if shared && !apart(&tenant.tenant.trade_no_prefix, &other.tenant.trade_no_prefix) {
                    return Some(Problem {
                        severity: Severity::Error,
                        file: tenant.file.clone(),
                        key: "trade_no_prefix".to_owned(),
                        message: format!(
                            "providers.{name} shares merchant account {} with providers.{other_name} of {}, and \
                             nothing keeps their numbers apart",
                            info.merchant_id, other.file
                        ),
                        expected: "a trade_no_prefix in both files, neither the beginning of the other".to_owned(),
                    });
                }
            }
        }
    }
    None
}

/// Kinds of one platform (`wechat-v2`, `wechat-v3`) number the same merchant accounts.
fn family(kind: &str) -> &str {
    kind.split('-').next().unwrap_or(kind)
}

fn apart(a: &str, b: &str) -> bool {
    !a.starts_with(b) && !b.starts_with(a)
}
