//! Real servers for tests, each of a test program's own on a free port, ended with it; and such ports.
// Whoever calls is a test, which fails with it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod port;
mod postgres;

pub use port::free_port;
pub use postgres::Postgres;
