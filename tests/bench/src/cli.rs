//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::{Args, Parser, Subcommand};

use crate::card::{self, What};
use crate::least;
use crate::measure::{Bench, hello};

/// Measures the gateway on this machine, as it is built for production.
#[derive(Debug, Parser)]
#[command(name = "dukou-bench", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Everything but the pages, in about two minutes.
    Card(Options),
    /// A server that only says hello: what the machine and the HTTP library allow.
    Hello(Options),
    /// Notifies: the most, the times, the CPU, and what the shared commit brings.
    Notify(Options),
    /// Payments made through the API.
    Create(Options),
    /// Notifies about what is paid already.
    Duplicates(Options),
    /// Events to the webhooks of a hundred tenants, all well and one of them dead.
    Webhooks(Options),
    /// APIv3: notifies verified by RSA, creates signed by it.
    WechatV3(Options),
    /// The list of a million payments, page after page.
    Pages(Options),
    /// Notifies with payments in a PostgreSQL of its own: one instance and two, batches and one by one.
    Postgres(Options),
    /// Start and memory of an empty gateway.
    Idle(Options),
    /// The server of `hello`.
    #[command(hide = true)]
    HelloServer,
    /// What notifies and creates are compared with.
    #[command(hide = true)]
    LeastServer { platform: SocketAddr, store: PathBuf },
}

#[derive(Debug, Args)]
struct Options {
    /// The gateway; left out, the one beside this program.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Where the stores are made, on the disk to be measured; left out, beside this program.
    #[arg(long)]
    directory: Option<PathBuf>,
    /// How long each measurement loads the gateway, in seconds.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=10))]
    seconds: u64,
    /// Also write the result as JSON to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// Runs the program.
///
/// # Errors
/// When something could not be measured. A missed aim is none: it stands on the card.
pub fn run() -> Result<()> {
    let (what, options) = match Cli::parse().command {
        Command::Card(options) => (What::Card, options),
        Command::Hello(options) => (What::Hello, options),
        Command::Notify(options) => (What::Notify, options),
        Command::Create(options) => (What::Create, options),
        Command::Duplicates(options) => (What::Duplicates, options),
        Command::Webhooks(options) => (What::Webhooks, options),
        Command::WechatV3(options) => (What::WechatV3, options),
        Command::Pages(options) => (What::Pages, options),
        Command::Postgres(options) => (What::Postgres, options),
        Command::Idle(options) => (What::Idle, options),
        Command::HelloServer => return hello::serve(),
        Command::LeastServer { platform, store } => return least::serve(platform, &store),
    };
    let from = Instant::now();
    let own = std::env::current_exe()?;
    let beside = own.parent().context("this program is in no folder")?;
    let binary = options.binary.unwrap_or_else(|| beside.join("dukou"));
    ensure!(
        what == What::Hello || binary.is_file(),
        "{} is missing; build it with: cargo build --profile dist -p dukou",
        binary.display()
    );
    let parent = options.directory.unwrap_or_else(|| beside.to_owned());
    let directory =
        tempfile::Builder::new().prefix("bench-").tempdir_in(&parent).with_context(|| parent.display().to_string())?;
    let directory_path = directory.path().canonicalize()?;
    let bench = Bench { binary, directory: directory_path, time: Duration::from_secs(options.seconds) };

    let report = card::run(what, &bench)?;

    let took = from.elapsed();
    println!("{} aims missed, {:.0} s", report.missed(), took.as_secs_f64());
    if let Some(path) = options.json {
        let text = serde_json::to_string_pretty(&report.json(took))?;
        std::fs::write(&path, text + "\n").with_context(|| path.display().to_string())?;
    }
    Ok(())
}
