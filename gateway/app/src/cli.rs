//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::commands::check;
use crate::logging::{self, LogForm};

/// The version, and what is compiled in that must not be in production.
const VERSION: &str = if cfg!(feature = "failpoints") {
    concat!(env!("CARGO_PKG_VERSION"), " (", env!("DUKOU_COMMIT"), ") +failpoints")
} else {
    concat!(env!("CARGO_PKG_VERSION"), " (", env!("DUKOU_COMMIT"), ")")
};

/// dukou (渡口): one payment gateway that many mini-programs share.
#[derive(Debug, Parser)]
#[command(name = "dukou", version = VERSION, arg_required_else_help = true)]
struct Cli {
    /// How log lines are written to standard error.
    #[arg(long, global = true, value_enum, default_value = "json")]
    log: LogForm,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Validate the whole configuration without starting; every problem on a line of its own.
    Check {
        /// The folder of gateway.toml and tenants/.
        #[arg(long, default_value = "config")]
        config: PathBuf,
    },
}

/// Runs the program. Exit codes: 0 done, 1 a configuration or run-time error, 2 wrong usage.
pub fn run() -> ExitCode {
    // Before anything can open a connection; a second call finds the first one's in place.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    #[cfg(feature = "failpoints")]
    let _scenario = fail::FailScenario::setup();

    let cli = Cli::parse();
    logging::start(cli.log);
    match cli.command {
        Command::Check { config } => check::run(&config),
    }
}
