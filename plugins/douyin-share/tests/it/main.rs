//! The plugin over the gateway's own host and a real store, with a Douyin that says what the test
//! wants and a clock that the test moves.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod authorizations;
mod doctor;
mod landing;
mod shares;
mod support;
mod webhooks;
