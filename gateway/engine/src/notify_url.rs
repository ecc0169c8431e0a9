//! The addresses that the platforms are given.

use dukou_domain::{ProviderName, TenantId};
use dukou_spi::NotifyKind;

/// Where a platform tells of payments or refunds.
pub fn notify_url(public_url: &str, tenant: &TenantId, provider: &ProviderName, kind: NotifyKind) -> String {
    format!("{public_url}/notify/{tenant}/{provider}/{}", kind.as_str())
}
