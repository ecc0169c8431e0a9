//! The load generator: it starts the real gateway, drives it from a process of its own, and prints
//! a card of what it can do on this machine.
//!
//! `cli` is the way in, `card` puts the measurements in order, `measure` holds one a file, `load`
//! sends requests and takes the time, `gateway`, `platform` and `sink` are the ends, `interface` says what
//! crosses between them, `ledger` copies records.

// A program for people at a terminal, and rates and percentiles are not money.
#![allow(clippy::print_stdout, clippy::float_arithmetic)]

mod card;
pub mod cli;
mod gateway;
mod interface;
mod least;
mod ledger;
mod load;
mod machine;
mod measure;
pub mod messages;
mod platform;
mod process;
mod report;
mod server;
mod session;
mod sink;
mod wechat_v3;
