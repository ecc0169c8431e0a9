//! `cargo xtask`: the few commands that developers and CI type.

mod audit;
mod dist;
#[cfg(test)]
mod house;
mod rules;
mod screenshots;
mod setup;
mod step;
mod trained;
mod unit;

use clap::{Parser, Subcommand};

use crate::step::cargo;

/// With these the binary under test can be stopped and killed at its fail points, and sends traces where told to.
const TEST_FEATURES: [&str; 2] = ["--features", "dukou/failpoints,dukou/otlp"];

#[derive(Parser)]
#[command(about = "What developers and CI type")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Installs what the tests need from the system's packages
    Setup,
    /// Installs what is missing, builds everything and runs all tests
    Test {
        /// Passed on to the test runner, such as the name of one test
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Formatting, clippy with warnings as errors, the rules of alerts, the systemd unit, and the audit of the dependencies
    Check,
    /// Rewrites the golden files; look at the difference before you commit it
    Golden,
    /// Builds the program for production and puts it into an archive with what belongs to it
    Dist {
        /// Compile it by what the load of tests/bench ran: faster, and three times as long to build. Needs clang and
        /// llvm-profdata of rustc's LLVM
        #[arg(long)]
        trained: bool,
    },
    /// Walks through the pages in a browser and puts their pictures into docs
    Screenshots,
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Setup => setup::ensure(),
        Command::Test { arguments } => test(&arguments),
        Command::Check => check(),
        Command::Golden => golden(),
        Command::Dist { trained } => dist::make(trained),
        Command::Screenshots => screenshots::take(),
    }
}

fn test(arguments: &[String]) -> anyhow::Result<()> {
    setup::ensure()?;
    build()?;
    let mut command = vec!["test", "--workspace", "--locked", "--no-fail-fast"];
    command.extend(TEST_FEATURES);
    if !arguments.is_empty() {
        command.push("--");
        command.extend(arguments.iter().map(String::as_str));
    }
    cargo("the tests", &command)?;
    on_postgres(arguments)
}

/// The end-to-end tests once more, with payments in PostgreSQL. The program that ran them already: asked for this
/// package alone, cargo would choose other features of what it depends on, and compile all of that anew.
fn on_postgres(arguments: &[String]) -> anyhow::Result<()> {
    let mut command = vec!["test", "--workspace", "--locked"];
    command.extend(TEST_FEATURES);
    let mut tests = step::test_program(&command, "tests/e2e", "it")?;
    step::run("the end-to-end tests on PostgreSQL", tests.args(arguments).env("DUKOU_TEST_STORE", "postgres"))
}

/// The programs that the end-to-end tests start.
pub fn build() -> anyhow::Result<()> {
    let mut command = vec!["build", "--workspace", "--bins", "--locked"];
    command.extend(TEST_FEATURES);
    cargo("building the programs", &command)
}

fn check() -> anyhow::Result<()> {
    cargo("formatting", &["fmt", "--all", "--check"])?;
    let mut clippy = vec!["clippy", "--workspace", "--all-targets", "--locked"];
    clippy.extend(TEST_FEATURES);
    clippy.extend(["--", "-D", "warnings"]);
    cargo("clippy", &clippy)?;
    // The production image is built without the sandbox.
    cargo("without the sandbox", &["check", "--package", "dukou", "--no-default-features", "--locked"])?;
    setup::ensure()?;
    rules::check()?;
    unit::check()?;
    audit::check()
}

fn golden() -> anyhow::Result<()> {
    build()?;
    let mut command = vec!["test", "--workspace", "--locked", "--no-fail-fast"];
    command.extend(TEST_FEATURES);
    step::cargo_with("the golden files", &command, &[("INSTA_UPDATE", "always"), ("UPDATE_GOLDEN", "1")])
}
