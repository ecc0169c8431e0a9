//! The engine's ports over SQLite, PostgreSQL, Redis and process memory.
//!
//! [`SqliteStore`] or [`PostgresStore`] is the ledger: durable, and the only truth. [`ProcessCoordinator`] and
//! [`RedisCoordinator`] make duplicates cheap and keep requests out of each other's way; losing
//! them costs speed, never an effect. Nothing here decides about a payment.

mod attempts;
mod codec;
mod error;
mod failing;
mod fair;
mod keyed_locks;
mod migrate;
pub mod moving;
pub mod postgres;
pub mod process;
pub mod redis;
mod rows;
pub mod sqlite;
pub mod steady;

pub use postgres::{PostgresOptions, PostgresStore};
pub use process::{ProcessCoordinator, ProcessOptions};
pub use redis::{News, RedisCoordinator, RedisOptions, Served};
pub use sqlite::{SqliteOptions, SqliteStore};
pub use steady::{LeftAt, SteadySchedules, SteadyTime};

/// Where a test may crash the process, with the feature `failpoints` and the action `return`.
pub const FAIL_POINTS: &[&str] = &["store.before_commit", "store.after_commit"];

/// What a panic said.
fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
