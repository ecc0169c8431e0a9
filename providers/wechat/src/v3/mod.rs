//! Kind `wechat-v3`.
//!
//! From the bytes up: `sign` signs with the merchant's key and reads signature headers, `cipher`
//! decrypts, `trust` holds WeChat's keys, `wire` spells the requests, `client` sends them and believes
//! the answers, `answer` reads them, `map` turns WeChat's words into ours, `notify` does the same for
//! messages, `bills` fetches files, `doctor` looks for mistakes, and `provider` reads like a list of
//! contents.

mod answer;
mod bills;
mod certificates;
#[doc(hidden)]
pub mod cipher;
mod client;
mod config;
mod doctor;
mod map;
mod notify;
mod provider;
#[doc(hidden)]
pub mod sign;
mod trust;
mod wire;

pub use provider::Factory;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod vectors;
