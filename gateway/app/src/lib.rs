//! The program: its command line, its configuration, and how the parts are put together.
//!
//! A library only so that the program's own tests can reach it; nothing else imports it.

mod cli;
mod commands;
pub mod config;
mod logging;
mod outside;
mod providers;

pub use cli::run;
