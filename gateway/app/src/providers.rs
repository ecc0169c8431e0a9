//! The list of payment platforms. A new one is a line here.

use dukou_spi::ProviderFactory;

/// Every kind that `[providers.NAME]` may name.
pub fn builtin() -> Vec<Box<dyn ProviderFactory>> {
    let mut factories = Vec::new();
    factories.extend(dukou_wechat::factories());
    factories
}
