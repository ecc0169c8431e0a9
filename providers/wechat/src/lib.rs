//! WeChat Pay. Kind `wechat-v2`: APIv2, XML with a shared key. What the kinds have in common (the
//! login, the bill's format, the client certificate, Beijing time) stands beside their folders.
//!
//! Setting it up, and what is odd about it: `docs.md`.

mod beijing;
mod bill;
mod identity;
mod login;
#[doc(hidden)]
pub mod v2;

use dukou_spi::ProviderFactory;

/// Every kind of provider in this crate, for the registry.
pub fn factories() -> Vec<Box<dyn ProviderFactory>> {
    vec![Box::new(v2::Factory)]
}
