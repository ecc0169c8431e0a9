//! The holder of an app's access token (中控): one token for every provider, tenant and instance that
//! has the app's secret.
//!
//! `call` spells the requests and reads the answers, `code` says what WeChat's error codes ask for,
//! `record` is what the instances share, `rules` decides from it what to do now, and `holder` does it.
//! `doctor` explains what goes wrong to a person.

mod call;
mod code;
mod doctor;
mod holder;
mod record;
mod rules;

pub use doctor::look;
pub use holder::TokenHolder;

#[cfg(test)]
mod tests;
