//! Kind `wechat-v2`.
//!
//! From the bytes up: [`xml`] reads and writes documents, `sign` proves them, `wire` spells the
//! requests, `client` sends them, `answer` judges what comes back, `map` turns WeChat's words into
//! ours, `notify` does the same for messages, `invoke` signs for the front end what is `kept` of an order, and `provider` reads like a list of contents.

mod answer;
mod client;
mod config;
mod doctor;
mod invoke;
mod kept;
mod map;
mod notify;
mod provider;
#[doc(hidden)]
pub mod sign;
mod wire;
#[doc(hidden)]
pub mod xml;

pub use provider::Factory;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod vectors;
