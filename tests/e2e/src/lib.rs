//! A harness that runs the real gateway as a process of its own, beside the sandbox and, where asked for, a real Redis.
//!
//! [`World`] starts everything and stops it when dropped. [`Merchant`] talks to the gateway as a merchant's backend
//! does, [`Control`] to the sandbox as a test does, [`Proxy`] stands in a connection and spoils it, and [`Checker`]
//! says afterwards whether everything that must hold did. What goes wrong in the harness itself is a panic with the
//! words that a failing test needs.
//!
//! The binary has to be built before: `cargo xtask test` does both. `DUKOU_BIN` names another one.
#![allow(clippy::unwrap_used, reason = "a harness of tests fails by panicking")]

mod balancer;
mod binary;
mod browser;
mod buyer;
mod checker;
mod config_files;
mod control;
mod eventually;
mod gateway;
mod merchant;
mod metrics;
mod process;
mod prometheus_server;
mod proxy;
mod redis_server;
mod tenant;
mod webhook_sink;
mod world;
mod xml;

pub use balancer::Balancer;
pub use binary::{Finished, dukou, dukou_path, start_dukou};
pub use browser::Browser;
pub use buyer::Buyer;
pub use checker::{Checker, Document, Entry, History, Order, PlatformRefund, TenantHistory, Violation};
pub use control::Control;
pub use eventually::{eventually, settled};
pub use gateway::Gateway;
pub use merchant::{Answer, Merchant};
pub use metrics::Metrics;
pub use process::Process;
pub use prometheus_server::{Prometheus, ops};
pub use proxy::{Mode, Proxy};
pub use redis_server::Redis;
pub use tenant::{Douyin, Tenant, V3Trust};
pub use webhook_sink::{Behaviour, Message, Sink};
pub use world::{World, WorldBuilder};
