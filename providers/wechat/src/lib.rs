//! WeChat Pay. Kind `wechat-v2`: APIv2, XML with a shared key. Kind `wechat-v3`: APIv3, JSON with RSA
//! keys. What the kinds have in common (the account, the hosts, the login, the bills' format,
//! certificates, texts, Beijing time) stands beside their folders.
//!
//! Setting it up, and what is odd about it: `docs.md`.

mod account;
mod beijing;
mod bill;
mod check;
mod doctor;
mod hosts;
mod identity;
mod login;
mod shown;
mod text;
mod token;
#[doc(hidden)]
pub mod v2;
#[doc(hidden)]
pub mod v3;
mod validity;

use dukou_spi::ProviderFactory;

/// Every kind of provider in this crate, for the registry.
pub fn factories() -> Vec<Box<dyn ProviderFactory>> {
    vec![Box::new(v2::Factory), Box::new(v3::Factory)]
}
