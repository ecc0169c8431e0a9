//! `dukou backup` and `dukou restore`: the embedded store into one file, and back.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::anyhow;
use dukou_store::sqlite::{self, Copied};

use super::{about_files, say};
use crate::config::{self, StoragePlace};

pub fn back_up(directory: &Path, to: &Path) -> ExitCode {
    say(store_path(directory).and_then(|from| {
        let copied = sqlite::back_up(&from, to).map_err(about_files)?;
        Ok(format!("copied {} to {}: {}", from.display(), to.display(), holds(copied)))
    }))
}

pub fn restore(directory: &Path, from: &Path, replace: bool) -> ExitCode {
    say(store_path(directory).and_then(|to| {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let stamp = format!("replaced-{seconds}");
        let restored = sqlite::restore(from, &to, replace, &stamp).map_err(about_files)?;
        let mut text = format!("restored {} to {}: {}", from.display(), to.display(), holds(restored.copied));
        if let Some(before) = restored.before {
            text.push_str(&format!("\nthe store that was there is kept as {}", before.display()));
        }
        Ok(text)
    }))
}

/// Where the configuration says that the embedded store is.
fn store_path(directory: &Path) -> anyhow::Result<PathBuf> {
    let storage = config::storage(directory, config::process_variables()).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        anyhow!("where the store is cannot be read:\n{}", lines.join("\n"))
    })?;
    match storage.place {
        StoragePlace::Sqlite(path) => Ok(path),
        StoragePlace::Postgres(_) => Err(anyhow!(
            "storage.url leads to PostgreSQL, which has tools of its own for this: pg_dump, pg_basebackup and pg_restore"
        )),
    }
}

fn holds(copied: Copied) -> String {
    let Copied { bytes, payments, position } = copied;
    format!("{bytes} bytes, {payments} payments, events up to position {position}")
}
