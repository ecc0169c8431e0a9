//! The cases, by area. Each gets a provider with a platform that nobody has used yet.

pub mod bill;
pub mod fault;
pub mod login;
pub mod notify;
pub mod pay;
pub mod refund;
pub mod secret;
pub mod state;
pub mod upkeep;
