//! The program under test.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// What one run of the program said and came to.
#[derive(Debug)]
pub struct Finished {
    /// `None` when a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// The built binary: `DUKOU_BIN`, or the one beside this test's own folder.
///
/// # Panics
/// When it is not built.
pub fn dukou_path() -> PathBuf {
    let path = std::env::var_os("DUKOU_BIN").map(PathBuf::from).or_else(|| {
        let test = std::env::current_exe().ok()?;
        // target/<profile>/deps/<test>
        Some(test.parent()?.parent()?.join("dukou"))
    });
    match path.filter(|path| path.is_file()) {
        Some(path) => path,
        None => panic!("the binary dukou is not built: run the tests by `cargo xtask test`, or set DUKOU_BIN"),
    }
}

/// The program with an environment of its own: nothing of the caller's that could change its configuration.
pub(crate) fn command(args: &[&str]) -> Command {
    command_by(&[], args)
}

/// [`command`], started by another program that takes it as its last arguments and becomes it.
pub(crate) fn command_by(launcher: &[&str], args: &[&str]) -> Command {
    let dukou = dukou_path();
    let mut command = match launcher.split_first() {
        None => Command::new(dukou),
        Some((program, rest)) => {
            let mut command = Command::new(program);
            command.args(rest).arg(dukou);
            command
        }
    };
    command.args(args).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let known = name.to_string_lossy().into_owned();
        if known.starts_with("DUKOU") || known == "RUST_LOG" || known == "FAILPOINTS" {
            command.env_remove(name);
        }
    }
    command
}

/// Starts the program with both outputs kept.
///
/// # Panics
/// When it cannot be started.
pub fn start_dukou(args: &[&str], environment: &[(&str, &str)]) -> tokio::process::Child {
    let mut command = tokio::process::Command::from(command(args));
    command.envs(environment.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command.spawn().unwrap_or_else(|error| panic!("dukou {args:?} does not start: {error}"))
}

/// Runs the program to its end, two minutes at most.
///
/// # Panics
/// When it cannot be started or does not end.
pub async fn dukou(args: &[&str], environment: &[(&str, &str)]) -> Finished {
    let child = start_dukou(args, environment);
    let limit = std::time::Duration::from_secs(120);
    let output = tokio::time::timeout(limit, child.wait_with_output()).await;
    let output = output.unwrap_or_else(|_| panic!("dukou {args:?} did not end within {limit:?}")).unwrap();
    Finished {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
