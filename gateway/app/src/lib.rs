//! The program: its command line, its configuration, and how the parts are put together.
//!
//! A library only so that the program's own tests can reach it; nothing else imports it but the benchmark of
//! what recording costs.

mod cli;
mod commands;
pub mod config;
mod jobs;
mod ledger;
mod listeners;
mod logging;
pub mod metrics;
mod open_files;
mod open_work;
mod others;
mod outside;
mod plugins;
mod providers;
mod readiness;
mod reload;
mod retention;
mod service;
mod service_manager;
mod shutdown;
mod tenants;
mod traces;
mod trust;

pub use cli::run;
