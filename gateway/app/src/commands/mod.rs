//! What the program does, one command a file.

pub mod backup;
pub mod check;
#[cfg(feature = "sandbox")]
pub mod demo;
pub mod doctor;
pub mod migrate;
pub mod serve;
pub mod trace;

use std::io::Write;
use std::process::ExitCode;

use dukou_engine::ports::StoreError;

/// Ends a command that was asked one thing: what it found on standard output, or why not on standard error.
/// For a person; the log is for what runs.
pub fn say(outcome: anyhow::Result<String>) -> ExitCode {
    let mut output = std::io::stdout().lock();
    let written = outcome.and_then(|text| Ok(writeln!(output, "{text}").and_then(|()| output.flush())?));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // That nobody reads it is no reason to fail otherwise.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What happened to a file that the command was given. The kinds of [`StoreError`] speak of the store that is served,
/// which may be in the best of health.
fn about_files(error: StoreError) -> anyhow::Error {
    match error {
        StoreError::Unavailable(why)
        | StoreError::Unknown(why)
        | StoreError::Conflict(why)
        | StoreError::Corrupt(why) => anyhow::Error::msg(why),
    }
}
