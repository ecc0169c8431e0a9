//! The store and the coordinators from outside.
// The lint spares unit tests only; helpers of integration tests panic just the same.
#![allow(clippy::unwrap_used)]

mod backup;
mod coordinator_behaviour;
#[cfg(feature = "failpoints")]
mod crash;
mod delivery_behaviour;
mod history_behaviour;
mod moving;
mod number_behaviour;
mod plugin_behaviour;
mod postgres;
mod postgres_lives;
mod process;
mod question_behaviour;
mod records;
mod redis;
mod redis_cluster;
mod redis_news;
mod redis_sentinel;
mod redis_server;
mod sqlite;
mod steady;
mod store_behaviour;
