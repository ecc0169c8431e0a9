//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;

#[cfg(feature = "sandbox")]
use crate::commands::demo;
use crate::commands::{backup, check, doctor, migrate, say, serve, trace};
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
    /// How log lines are written to standard error: json (the default), or text for people.
    #[arg(long, global = true, value_enum)]
    log: Option<LogForm>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway.
    Serve {
        /// The folder of gateway.toml and tenants/.
        #[arg(long, default_value = "config")]
        config: PathBuf,
    },
    /// Validate the whole configuration without starting; every problem on a line of its own.
    Check {
        /// The folder of gateway.toml and tenants/.
        #[arg(long, default_value = "config")]
        config: PathBuf,
    },
    /// Say what is wrong with one tenant's set-up, and what to do about it. Exit code 1 when it does
    /// not work.
    Doctor {
        /// The tenant's id.
        #[arg(long)]
        tenant: String,
        /// Call the platforms too: questions that change nothing and, where only that tells, a trial order
        /// of one fen that is closed at once.
        #[arg(long)]
        live: bool,
        /// A user of the tenant's app: with --live an order of one fen is made for them and closed at
        /// once.
        #[arg(long, requires = "live")]
        openid: Option<String>,
        /// The folder of gateway.toml and tenants/.
        #[arg(long, default_value = "config")]
        config: PathBuf,
    },
    /// Show everything that happened to a payment, and what it waits for; asks the running gateway.
    Trace {
        /// The tenant's id.
        tenant: String,
        /// The tenant's number of the payment.
        out_trade_no: String,
        /// As JSON, with everything that is known.
        #[arg(long)]
        json: bool,
        /// The language of the sentences; left out, what LANG asks for.
        #[arg(long, value_enum)]
        lang: Option<trace::Language>,
        /// The folder of gateway.toml and tenants/.
        #[arg(long, default_value = "config")]
        config: PathBuf,
    },
    /// Copy the embedded store into a file, also while the gateway runs.
    Backup {
        /// The new file; only its owner can read it.
        #[arg(long)]
        to: PathBuf,
        /// The folder of gateway.toml and tenants/.
        #[arg(long, default_value = "config")]
        config: PathBuf,
    },
    /// Put a copy in the place of the embedded store; the gateway must not be running.
    Restore {
        /// A file that `dukou backup` made.
        #[arg(long)]
        from: PathBuf,
        /// Allow it where there is a store; that one is kept beside the restored one.
        #[arg(long)]
        replace: bool,
        /// The folder of gateway.toml and tenants/.
        #[arg(long, default_value = "config")]
        config: PathBuf,
    },
    /// Move the embedded store to the PostgreSQL that storage.url leads to; no gateway may be running on
    /// either. What broke off goes on when it is run again.
    Migrate {
        /// The file, or sqlite:// and the file.
        #[arg(long)]
        from: String,
        /// The folder of gateway.toml and tenants/.
        #[arg(long, default_value = "config")]
        config: PathBuf,
    },
    /// Print what lets a shell complete dukou's commands and options.
    Completions { shell: Shell },
    /// Show the whole way of a payment on this machine: the gateway, the platform simulated, a shop.
    #[cfg(feature = "sandbox")]
    Demo {
        /// End after the walk instead of staying up.
        #[arg(long)]
        once: bool,
        /// Which of WeChat Pay's interfaces the shop uses.
        #[arg(long, value_enum, default_value = "wechat-v2")]
        provider: demo::Kind,
    },
}

/// Runs the program. Exit codes: 0 done, 1 a configuration or run-time error, 2 wrong usage.
pub fn run() -> ExitCode {
    // Before anything can open a connection; a second call finds the first one's in place.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    #[cfg(feature = "failpoints")]
    let _scenario = fail::FailScenario::setup();

    let cli = Cli::parse();
    let form = cli.log.unwrap_or(LogForm::Json);
    match cli.command {
        Command::Serve { config } => serve::run(&config, form),
        Command::Check { config } => {
            let _logging = logging::start(form, "warn");
            check::run(&config)
        }
        Command::Doctor { tenant, live, openid, config } => {
            let _logging = logging::start(form, "error");
            doctor::run(&doctor::Question { directory: &config, tenant: &tenant, live, openid })
        }
        Command::Trace { tenant, out_trade_no, json, lang, config } => {
            let _logging = logging::start(form, "error");
            let (tenant, out_trade_no, language) = (&tenant, &out_trade_no, lang);
            trace::run(&trace::Question { directory: &config, tenant, out_trade_no, json, language })
        }
        Command::Backup { to, config } => {
            let _logging = logging::start(form, "error");
            backup::back_up(&config, &to)
        }
        Command::Restore { from, replace, config } => {
            let _logging = logging::start(form, "error");
            backup::restore(&config, &from, replace)
        }
        Command::Migrate { from, config } => {
            let _logging = logging::start(form, "error");
            migrate::run(&config, &from)
        }
        Command::Completions { shell } => {
            // Into memory first: the generator panics where its output cannot be written.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "dukou", &mut script);
            say(Ok(String::from_utf8_lossy(&script).trim_end().to_owned()))
        }
        #[cfg(feature = "sandbox")]
        Command::Demo { once, provider } => {
            // Its own words go to standard output; a log line stands out beside them.
            let _logging = logging::start(cli.log.unwrap_or(LogForm::Text), "error");
            demo::run(once, provider)
        }
    }
}
