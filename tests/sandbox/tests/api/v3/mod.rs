//! The v3 API.

mod payment;
mod support;
