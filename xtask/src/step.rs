//! Running one step and saying so.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use serde_json::Value;

/// Runs cargo; the step's name and time go to standard error.
pub fn cargo(name: &str, arguments: &[&str]) -> anyhow::Result<()> {
    cargo_with(name, arguments, &[])
}

pub fn cargo_with(name: &str, arguments: &[&str], environment: &[(&str, &str)]) -> anyhow::Result<()> {
    run(name, cargo_command().args(arguments).envs(environment.iter().copied()))
}

/// The program that cargo makes of the tests of the package in `folder`, to be run there. `command` is how cargo is
/// told to run them, among others.
pub fn test_program(command: &[&str], folder: &str, target: &str) -> anyhow::Result<Command> {
    let made = output(cargo_command().args(command).args(["--no-run", "--message-format=json"]))?;
    made.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|made| made["reason"] == "compiler-artifact" && made["target"]["name"] == target)
        .find_map(|made| {
            let package = Path::new(made["manifest_path"].as_str()?).parent().filter(|path| path.ends_with(folder))?;
            let mut program = Command::new(made["executable"].as_str()?);
            program.current_dir(package);
            Some(program)
        })
        .with_context(|| format!("cargo made no tests {target} of {folder}"))
}

fn cargo_command() -> Command {
    Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()))
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
