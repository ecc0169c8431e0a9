//! The engine's ports over SQLite, Redis and process memory.
//!
//! [`SqliteStore`] is the ledger: durable, and the only truth. [`ProcessCoordinator`] and
//! [`RedisCoordinator`] make duplicates cheap and keep requests out of each other's way; losing
//! them costs speed, never an effect. Nothing here decides about a payment.

mod codec;
mod keyed_locks;
mod migrate;
pub mod process;
pub mod redis;
pub mod sqlite;
pub mod steady;

pub use process::{ProcessCoordinator, ProcessOptions};
pub use redis::{RedisCoordinator, RedisOptions};
pub use sqlite::{SqliteOptions, SqliteStore};
pub use steady::{SteadySchedules, SteadyTime};

/// Where a test may crash the process, with the feature `failpoints` and the action `return`.
pub const FAIL_POINTS: &[&str] = &["store.before_commit", "store.after_commit"];
