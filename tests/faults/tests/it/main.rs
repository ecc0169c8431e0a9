//! The fault scenarios. Each test's name begins with the id of its scenario, sets the fault, runs traffic against the
//! real binary, and ends with the checker over everything that can be read from outside.
//!
//! They need the binary with its fail points: `cargo build -p dukou --features failpoints`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

mod a_crashes;
mod a_redis;
mod a_repeats;
mod a_sweep;
mod b_store;
mod c_bad_input;
mod c_tampering;
mod c_trust;
mod d_network_edge;
mod d_secrets;
mod e_clock;
mod e_operation;
mod e_tenants;
mod f_webhooks;
mod g_plugins;
mod h_instances;
mod h_moving;
mod moved_clock;
