//! A copy of the ledger while it is in use, and the way back.
//!
//! A copy is one moment of the ledger, whole, in one file. What came after it is not in it: a
//! gateway over a restored ledger begins a new incarnation, so that no marker in Redis stands for
//! what the ledger has lost.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use dukou_engine::ports::StoreError;
use rusqlite::{Connection, OpenFlags};

use super::error::{Result, corrupt, store_error};
use super::open;
use crate::migrate;

/// What a copy holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    pub bytes: u64,
    pub payments: i64,
    /// The position of the newest entry of its event log.
    pub position: i64,
}

/// What a restored ledger holds, and what became of the one before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    pub copied: Copied,
    /// Where the ledger that was there is now.
    pub before: Option<PathBuf>,
}

/// Copies the ledger at `from` into the new file `to`, which only its owner can read. The gateway
/// may be running and goes on meanwhile; its write-ahead log grows until the copy is done. Blocks.
///
/// # Errors
/// [`StoreError::Unavailable`] when there is no ledger or it was moved to another place, `to` is there
/// already or cannot be written; [`StoreError::Corrupt`] when what was copied is not whole. Nothing is
/// at `to` then.
pub fn back_up(from: &Path, to: &Path) -> Result<Copied> {
    if to.exists() {
        return Err(unavailable(to, "is there already; a copy is never written over"));
    }
    let source = existing(from)?;
    // No gateway serves from it, nor from a copy of it.
    open::refuse_moved(from, &source)?;
    let half = beside(to, ".partial");
    let copied = copy_whole(from, &source, &half).and_then(|copied| {
        std::fs::rename(&half, to).map_err(|error| unavailable(to, error))?;
        sync_folder(to)?;
        Ok(copied)
    });
    if copied.is_err() {
        // It may not have come into being.
        let _ = std::fs::remove_file(&half);
    }
    copied
}

fn copy_whole(from: &Path, source: &Connection, half: &Path) -> Result<Copied> {
    private(half)?;
    let name = half.to_str().ok_or_else(|| unavailable(half, "is not a name in UTF-8"))?;
    source.execute("VACUUM INTO ?1", [name]).map_err(|error| open::about(from, store_error(error)))?;
    sync(half)?;
    examine(half)
}

/// Puts the copy `from` in the place of the ledger at `to`, which no process may be using. A ledger
/// that is there is kept beside it, under a name that ends in `stamp`, and a number where there is one of that name,
/// when `replace` says that it may go. Blocks.
///
/// # Errors
/// [`StoreError::Corrupt`] when `from` is no whole ledger or one of a newer program;
/// [`StoreError::Unavailable`] when `from` was moved to another place, the ledger is in use, there is one
/// and it may not be replaced, or a file cannot be written. What was there is there still.
pub fn restore(from: &Path, to: &Path, replace: bool, stamp: &str) -> Result<Restored> {
    let copied = examine(from)?;
    let _lock = open::lock(to)?;
    let is_there = to.exists();
    if is_there && !replace {
        return Err(unavailable(to, "is there already; --replace keeps it beside the restored one"));
    }
    // A name that is taken would end it halfway.
    let before = is_there.then(|| free_name(to, stamp));
    let half = beside(to, ".partial");
    // The bytes alone: whoever may read or write the copy, the ledger is its owner's.
    let mut source = File::open(from).map_err(|error| unavailable(from, error))?;
    io::copy(&mut source, &mut private(&half)?).map_err(|error| unavailable(&half, error))?;
    sync(&half)?;
    // From here on the ledger does not open before the restoring is complete.
    std::fs::rename(&half, pending(to)).map_err(|error| unavailable(to, error))?;
    sync_folder(to)?;
    if let Some(before) = &before {
        // Both names, so that the log is found with its database.
        for end in ["-wal", ""] {
            keep(&beside(to, end), &beside(before, end))?;
        }
    }
    for end in ["-wal", "-shm"] {
        remove(&beside(to, end))?;
    }
    std::fs::rename(pending(to), to).map_err(|error| unavailable(to, error))?;
    sync_folder(to)?;
    Ok(Restored { copied, before })
}

/// Refuses a ledger whose restoring was broken off: what is in its place may lack its newest entries.
pub(super) fn refuse_half_restored(path: &Path) -> Result<()> {
    let pending = pending(path);
    if pending.exists() {
        return Err(unavailable(
            path,
            format!("is being restored, or that was broken off ({} is there): restore it again", pending.display()),
        ));
    }
    Ok(())
}

fn pending(path: &Path) -> PathBuf {
    beside(path, ".restoring")
}

/// Whether a file is a whole ledger that this program knows.
fn examine(path: &Path) -> Result<Copied> {
    let connection = existing(path)?;
    let not_whole =
        |why: String| StoreError::Corrupt(format!("{} is no whole copy of a ledger: {why}", path.display()));
    let verdict: rusqlite::Result<String> = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0));
    match verdict.map_err(store_error) {
        Ok(verdict) if verdict == "ok" => {}
        Ok(verdict) | Err(StoreError::Corrupt(verdict)) => return Err(not_whole(verdict)),
        Err(other) => return Err(other),
    }
    let applied = open::applied(&connection).map_err(|_| corrupt(&path.display().to_string(), "is no ledger"))?;
    if applied.is_empty() {
        return Err(corrupt(&path.display().to_string(), "is no ledger"));
    }
    migrate::outstanding(open::STEPS, &applied).map_err(|error| corrupt(&path.display().to_string(), error))?;
    open::refuse_moved(path, &connection)?;
    let payments = connection.query_row("SELECT count(*) FROM payments", [], |row| row.get(0)).map_err(store_error)?;
    let bytes = std::fs::metadata(path).map_err(|error| unavailable(path, error))?.len();
    Ok(Copied { bytes, payments, position: open::position(&connection)? })
}

fn existing(path: &Path) -> Result<Connection> {
    if !path.is_file() {
        return Err(unavailable(path, "there is no such file"));
    }
    open::open(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)
}

/// A new file that only its owner reads: payers' identifiers are in it. What a try that was broken
/// off has left there goes, whatever its rights are.
fn private(path: &Path) -> Result<File> {
    remove(path)?;
    let mut options = OpenOptions::new();
    options.create_new(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|error| unavailable(path, error))
}

fn keep(path: &Path, under: &Path) -> Result<()> {
    match std::fs::hard_link(path, under) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done.map_err(|error| unavailable(under, error)),
    }
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done.map_err(|error| unavailable(path, error)),
    }
}

fn sync(path: &Path) -> Result<()> {
    // Some systems flush only a file that may be written.
    let file = OpenOptions::new().write(true).open(path).map_err(|error| unavailable(path, error))?;
    file.sync_all().map_err(|error| unavailable(path, error))
}

/// A new name lasts once its folder is on disk.
fn sync_folder(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| unavailable(folder, error))
}

/// A name beside `to` that no ledger and no log has.
fn free_name(to: &Path, stamp: &str) -> PathBuf {
    let mut name = beside(to, &format!(".{stamp}"));
    let mut number = 1_u32;
    while name.exists() || beside(&name, "-wal").exists() {
        number += 1;
        name = beside(to, &format!(".{stamp}-{number}"));
    }
    name
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(end);
    PathBuf::from(name)
}

fn unavailable(path: &Path, why: impl std::fmt::Display) -> StoreError {
    StoreError::Unavailable(format!("{}: {why}", path.display()))
}
