//! The Douyin share and callback plugin: what is shared from a WeChat mini-program reaches Douyin, and
//! what happens there comes back (protocol sections 1 to 3 and 6). `docs.md` says how to set it up.

mod api;
mod authorization;
mod config;
mod convert;
mod doctor;
mod holder;
mod message;
mod oauth;
mod page;
mod plugin;
mod probe;
mod request;
mod share;
mod sign;
mod text;
#[cfg(test)]
mod vectors;
mod visitor;
mod webhook;
mod whose;

use std::sync::Arc;

use dukou_spi::plugin::{Plugin, PluginContext, PluginFactory, PluginInfo};
use dukou_spi::settings::Section;

pub use plugin::INFO;

/// Makes the plugin of `[plugins.douyin-share]`.
pub struct DouyinShareFactory;

impl PluginFactory for DouyinShareFactory {
    fn info(&self) -> &'static PluginInfo {
        &INFO
    }

    fn build(&self, section: &mut Section<'_>, context: &PluginContext) -> Option<Arc<dyn Plugin>> {
        let settings = config::Settings::read(section, context)?;
        Some(Arc::new(plugin::DouyinShare::new(settings, context.clone())))
    }
}
