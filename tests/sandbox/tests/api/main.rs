//! The sandbox through real HTTP and TLS, as a gateway sees it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod access_tokens;
mod bill;
mod douyin;
mod faults;
mod login;
mod notices;
mod payment;
mod phone;
mod refund;
mod rules;
mod starting;
mod support;
mod v3;
