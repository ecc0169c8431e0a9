//! Delivers events to merchants' webhooks as [Standard Webhooks](https://www.standardwebhooks.com)
//! describes: signed, at least once, one tenant's endpoint delaying no other's.
//!
//! [`Worker`] runs it; what is due and what follows from a try is decided in `dukou-engine`.
//! Only public addresses are called ([`dukou_spi::public_address`]).

mod failure;
mod load;
mod recorder;
mod sender;
mod signature;
#[cfg(test)]
mod testing;
mod worker;

pub use signature::sign;
pub use worker::{InvalidWorker, Render, WebhookTelemetry, Worker, WorkerOptions};
