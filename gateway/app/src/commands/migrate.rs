//! `dukou migrate`: from the embedded store to PostgreSQL.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::anyhow;
use dukou_engine::ports::StoreError;
use dukou_store::PostgresOptions;
use dukou_store::moving::{Moved, move_store};

use super::{about_files, say};
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
    if !from.is_file() {
        return Err(anyhow!("{}: there is no such file", from.display()));
    }
    let moved =
        runtime.block_on(move_store(&from, &PostgresOptions::at(address))).map_err(|error| not_moved(&from, error))?;
    let lines: Vec<String> = moved.iter().map(line).collect();
    Ok(format!(
        "{}\nmoved {} to PostgreSQL; every row was compared. The file is kept, and is neither served from, copied nor \
         restored any more",
        lines.join("\n"),
        from.display()
    ))
}

/// Only what broke off goes on by itself: another store, or rows that differ, are there the next time too.
fn not_moved(from: &Path, error: StoreError) -> anyhow::Error {
    let goes_on = match &error {
        StoreError::Unavailable(_) | StoreError::Unknown(_) => "; once that is mended, the same command goes on",
        StoreError::Conflict(_) | StoreError::Corrupt(_) => "",
    };
    anyhow!("{} was not moved: {}{goes_on}", from.display(), about_files(error))
}

fn line(moved: &Moved) -> String {
    format!("{:<17} {:>10} rows  sha256 {}", moved.table, moved.rows, moved.checksum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_broke_off_is_said_to_go_on() {
        let told = |error| format!("{:#}", not_moved(Path::new("data/dukou.db"), error));
        let other = "the database holds another store; give this one a database of its own";
        assert_eq!(told(StoreError::Conflict(other.into())), format!("data/dukou.db was not moved: {other}"));
        let away = told(StoreError::Unavailable("the database: connection reset".into()));
        assert!(away.ends_with("connection reset; once that is mended, the same command goes on"), "{away}");
    }
}
