//! Running one step and saying so.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, bail, ensure};

/// Runs cargo; the step's name and time go to standard error.
pub fn cargo(name: &str, arguments: &[&str]) -> anyhow::Result<()> {
    cargo_with(name, arguments, &[])
}

pub fn cargo_with(name: &str, arguments: &[&str], environment: &[(&str, &str)]) -> anyhow::Result<()> {
    let program = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    run(name, Command::new(program).args(arguments).envs(environment.iter().copied()))
}

pub fn run(name: &str, command: &mut Command) -> anyhow::Result<()> {
    eprintln!("== {name}: {command:?}");
    let started = Instant::now();
    let status = command.status().with_context(|| format!("{name}: the program cannot be started"))?;
    if !status.success() {
        bail!("{name} failed ({status})");
    }
    eprintln!("== {name}: done in {} s", started.elapsed().as_secs());
    Ok(())
}

/// What a program prints.
pub fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    ensure!(output.status.success(), "{command:?} failed ({})", output.status);
    Ok(String::from_utf8(output.stdout)?)
}

/// Whether a program is on the path.
pub fn is_installed(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}
