//! The v3 API.

mod bills;
mod faults;
mod notices;
mod partner;
mod payment;
mod prepay_rules;
mod refund;
mod requests;
mod support;
mod trust;
mod two_apis;

pub use support::public_key;
