//! HTTP to the platforms: TLS always verified, answers bounded, errors that say whether anything
//! was sent.
//!
//! [`ReqwestTransports`] makes one connection pool per merchant identity, so that a connection
//! opened with one client certificate never carries another merchant's call.

mod client;
mod clocks;
mod factory;
mod failure;
mod guard;
mod strangers;
#[cfg(test)]
mod tests;
mod tls;

pub use clocks::{PlatformClocks, SKEW_LIMIT, Skew};
pub use factory::ReqwestTransports;
pub use guard::{GuardedResolver, Lookup, system_lookup};
pub use strangers::StrangersTransport;
pub use tls::public_tls;
