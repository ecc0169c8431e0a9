//! Real servers for tests, each of a test program's own on a free port, ended with it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod postgres;

pub use postgres::Postgres;

use std::net::TcpListener;

/// A port of this machine that nobody listens on.
///
/// # Panics
/// When there is none.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
