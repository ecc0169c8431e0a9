//! Ports that stay free while a process is down between two runs.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below what the kernel hands out to outgoing connections, so that none of those takes a port that was just released.
const FIRST: u16 = 12_000;
const COUNT: u16 = 20_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A port of loopback that nobody listens on. Another process may still take it first: whoever listens has to try again.
///
/// # Panics
/// When every port is taken.
pub fn free_port() -> u16 {
    let start = u16::try_from(std::process::id().wrapping_mul(97) % u32::from(COUNT)).unwrap_or(0);
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        let offset = (u32::from(start) + u32::from(step)) % u32::from(COUNT);
        let port = FIRST + u16::try_from(offset).unwrap_or(0);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between {FIRST} and {}", FIRST + COUNT);
}
