//! The list of plugins. A new one is a line here.

use dukou_spi::plugin::{PluginFactory, PluginInfo};

/// Every plugin that `[plugins.NAME]` may name.
pub fn builtin() -> Vec<Box<dyn PluginFactory>> {
    vec![Box::new(dukou_douyin_share::DouyinShareFactory)]
}

/// What they offer.
pub fn infos() -> Vec<&'static PluginInfo> {
    builtin().iter().map(|factory| factory.info()).collect()
}
