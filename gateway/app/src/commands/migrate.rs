//! `dukou migrate`: from the embedded store to PostgreSQL.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use dukou_store::PostgresOptions;
use dukou_store::moving::{Moved, move_store};

use super::say;
use crate::config::{self, StoragePlace};

/// `from` is a path, or `sqlite://` and a path.
pub fn run(directory: &Path, from: &str) -> ExitCode {
    say(migrate(directory, from))
}

fn migrate(directory: &Path, from: &str) -> anyhow::Result<String> {
    let storage = config::storage(directory, config::process_variables()).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        anyhow!("where payments are to go cannot be read:\n{}", lines.join("\n"))
    })?;
    let StoragePlace::Postgres(address) = storage.place else {
        return Err(anyhow!("storage.url must lead to the PostgreSQL that payments are to go to: postgres://…"));
    };
    let from = PathBuf::from(from.strip_prefix("sqlite://").unwrap_or(from));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let moved = runtime
        .block_on(move_store(&from, &PostgresOptions::at(address)))
        .with_context(|| format!("{} was not moved, and is as it was; the same command goes on", from.display()))?;
    let lines: Vec<String> = moved.iter().map(line).collect();
    Ok(format!(
        "{}\nmoved {} to PostgreSQL; every row was compared. The file is kept, and is neither served from, copied nor \
         restored any more",
        lines.join("\n"),
        from.display()
    ))
}

fn line(moved: &Moved) -> String {
    format!("{:<17} {:>10} rows  sha256 {}", moved.table, moved.rows, moved.checksum)
}
