//! Douyin's side.

mod faults;
mod hook;
mod kit;
mod oauth;
mod open;
mod page;
mod share;
mod tokens;
mod webhooks;
