//! The audit of the dependencies: licences, bans, sources, and known advisories.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::step::{is_installed, run};

const VERSION: &str = "0.20.2";
const CONFIGURATION: &str = "ops/deny.toml";

pub fn check() -> anyhow::Result<()> {
    let program = cargo_deny()?;
    let deny = |what: &[&str]| {
        let mut command = Command::new(&program);
        command.args(["--locked", "--config", CONFIGURATION, "check"]).args(what);
        command
    };
    run("the audit of licences, bans and sources", &mut deny(&["licenses", "bans", "sources"]))?;
    if advisory_database().is_some_and(|path| path.is_dir()) {
        return run("the audit of advisories", deny(&["advisories"]).args(["--disable-fetch"]));
    }
    eprintln!(
        "== advisories: SKIPPED, there is no copy of the advisory database on this machine; with network run\n   \
         {} --config {CONFIGURATION} check advisories",
        program.display()
    );
    Ok(())
}

/// The program, built from source where it is missing: its packages elsewhere are too old.
fn cargo_deny() -> anyhow::Result<PathBuf> {
    if is_installed("cargo-deny") {
        return Ok(PathBuf::from("cargo-deny"));
    }
    let root = Path::new("target/tools");
    let program = root.join("bin/cargo-deny");
    if !program.is_file() {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let mut install = Command::new(cargo);
        install.args(["install", "cargo-deny", "--version", VERSION, "--locked", "--debug", "--root"]).arg(root);
        run("building cargo-deny", &mut install)?;
    }
    Ok(program)
}

fn advisory_database() -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")))?;
    Some(home.join("advisory-dbs"))
}
