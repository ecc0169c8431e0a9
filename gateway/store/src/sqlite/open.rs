//! Opens the file: the lock against a second process, the settings, the schema.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use dukou_engine::ports::StoreError;
use dukou_engine::records::StoreIdentity;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use uuid::Uuid;

use super::error::{Result, corrupt, store_error};
use crate::error::mismatch;
use crate::migrate::{self, Applied, Step};

pub(super) const STEPS: &[Step] = &[
    Step { version: 1, name: "ledger", sql: include_str!("../../migrations/sqlite/0001_ledger.sql") },
    Step {
        version: 2,
        name: "attempts and requests",
        sql: include_str!("../../migrations/sqlite/0002_attempts_and_requests.sql"),
    },
    Step { version: 3, name: "deliveries", sql: include_str!("../../migrations/sqlite/0003_deliveries.sql") },
    Step { version: 4, name: "secrets", sql: include_str!("../../migrations/sqlite/0004_secrets.sql") },
    Step { version: 5, name: "current attempt", sql: include_str!("../../migrations/sqlite/0005_current_attempt.sql") },
    Step { version: 6, name: "plugins", sql: include_str!("../../migrations/sqlite/0006_plugins.sql") },
    Step { version: 7, name: "trust", sql: include_str!("../../migrations/sqlite/0007_trust.sql") },
    Step { version: 8, name: "history", sql: include_str!("../../migrations/sqlite/0008_history.sql") },
    Step { version: 9, name: "found by people", sql: include_str!("../../migrations/sqlite/0009_found_by_people.sql") },
    Step {
        version: 10,
        name: "wanted webhooks",
        sql: include_str!("../../migrations/sqlite/0010_wanted_webhooks.sql"),
    },
    Step {
        version: 11,
        name: "questions in turn",
        sql: include_str!("../../migrations/sqlite/0011_questions_in_turn.sql"),
    },
    Step { version: 12, name: "troubles", sql: include_str!("../../migrations/sqlite/0012_troubles.sql") },
    Step { version: 13, name: "steady time", sql: include_str!("../../migrations/sqlite/0013_steady_time.sql") },
    Step {
        version: 14,
        name: "kind of attempt",
        sql: include_str!("../../migrations/sqlite/0014_kind_of_attempt.sql"),
    },
    Step { version: 15, name: "plans reached", sql: include_str!("../../migrations/sqlite/0015_plans_reached.sql") },
    Step {
        version: 16,
        name: "troubles compared",
        sql: include_str!("../../migrations/sqlite/0016_troubles_compared.sql"),
    },
];

/// How long a statement waits for a lock that another process holds, a backup for example.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes the log may keep on disk once it has been folded in.
const LOG_LIMIT: i64 = 128 << 20;

/// KiB of pages that the writer keeps in memory. A page that has to be read again costs more than
/// its write; but SQLite walks through all of them at every commit in which pages of an index
/// were balanced (it numbers them with a page far beyond the end, and then looks for it), so that
/// 64 MiB cost each commit most of a millisecond.
const WRITER_CACHE: i64 = 8 << 10;

/// KiB of pages that each reader keeps in memory.
const READER_CACHE: i64 = 8 << 10;

/// Enough for every statement of this crate, so that each is prepared once.
const STATEMENTS: usize = 80;

/// Makes a folder and those above it. Whoever can open the lock can hold it, and whoever can write into the folder can
/// put another ledger in this one's place: both are their owner's alone, whatever the process's umask.
fn make_folder(folder: &Path) -> io::Result<()> {
    let mut make = std::fs::DirBuilder::new();
    make.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut make, 0o700);
    make.create(folder)
}

/// Opens for writing, and makes a file that its owner alone may use.
fn own_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).write(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Holds the right to the file until it is dropped. A symbolic link leads to the same right as what it leads to.
pub(super) fn lock(path: &Path) -> Result<File> {
    let at = lock_path(&path.canonicalize().unwrap_or_else(|_| path.to_owned()));
    let unusable = |error: io::Error| StoreError::Unavailable(format!("{}: {error}", at.display()));
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        make_folder(folder).map_err(|error| StoreError::Unavailable(format!("{}: {error}", folder.display())))?;
    }
    let file = own_file().open(&at).map_err(unusable)?;
    // One that was made by an earlier version, or is somebody else's, may stay as it is.
    #[cfg(unix)]
    let _ = file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600));
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Unavailable(format!(
            "{} is in use by another process; one process a file, give this one a path of its own",
            path.display()
        ))),
        Err(TryLockError::Error(error)) => Err(unusable(error)),
    }
}

fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

/// The connection that writes; it makes the file where there is none. Payers' identifiers are in
/// it, so that nobody but its owner may read a new one.
pub(super) fn writer(path: &Path) -> Result<Connection> {
    own_file().open(path).map_err(|error| StoreError::Unavailable(format!("{}: {error}", path.display())))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = open(path, flags)?;
    let mode: String = connection
        .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
        .map_err(|error| cannot(path, error))?;
    if !mode.eq_ignore_ascii_case("wal") {
        return Err(StoreError::Unavailable(format!(
            "{}: the file system does not allow a write-ahead log (journal mode {mode})",
            path.display()
        )));
    }
    for (name, value) in [
        ("foreign_keys", 1),
        // The log is folded in beside the writer.
        ("wal_autocheckpoint", 0),
        ("journal_size_limit", LOG_LIMIT),
        // A negative number counts KiB, not pages.
        ("cache_size", -WRITER_CACHE),
    ] {
        connection.pragma_update(None, name, value).map_err(|error| cannot(path, error))?;
    }
    connection.pragma_update(None, "synchronous", "FULL").map_err(|error| cannot(path, error))?;
    connection.pragma_update(None, "temp_store", "MEMORY").map_err(|error| cannot(path, error))?;
    Ok(connection)
}

/// A connection that cannot write.
pub(super) fn reader(path: &Path) -> Result<Connection> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    for (name, value) in [("query_only", 1), ("cache_size", -READER_CACHE)] {
        connection.pragma_update(None, name, value).map_err(|error| cannot(path, error))?;
    }
    Ok(connection)
}

pub(super) fn open(path: &Path, flags: OpenFlags) -> Result<Connection> {
    let connection = Connection::open_with_flags(path, flags).map_err(|error| cannot(path, error))?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(|error| cannot(path, error))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

fn cannot(path: &Path, error: rusqlite::Error) -> StoreError {
    about(path, store_error(error))
}

/// Names the file: whoever copies or moves it has named more than one.
pub(super) fn about(path: &Path, error: StoreError) -> StoreError {
    match error {
        StoreError::Unavailable(why) => StoreError::Unavailable(format!("{}: {why}", path.display())),
        StoreError::Corrupt(why) => StoreError::Corrupt(format!("{}: {why}", path.display())),
        other => other,
    }
}

/// What opening a ledger takes at least; with less, whatever failed is likely to have failed for want of it.
const LEAST_ROOM: u64 = 1 << 20;

/// Says where the disk is full, of which SQLite often has no more to say than that a file could not be used.
pub(super) fn with_room_left(error: StoreError, left: Option<u64>) -> StoreError {
    match (error, left) {
        (StoreError::Unavailable(why), Some(left)) if left < LEAST_ROOM => {
            StoreError::Unavailable(format!("{why}; its disk is full ({left} bytes left): make room on it"))
        }
        (error, _) => error,
    }
}

/// Brings the schema up to `steps`, each in a transaction of its own.
pub(super) fn migrate(connection: &mut Connection, steps: &[Step]) -> Result<()> {
    connection
        .execute_batch(
            "CREATE TABLE IF NOT EXISTS schema_steps (version INTEGER PRIMARY KEY, name TEXT NOT NULL, \
             checksum TEXT NOT NULL, applied_at INTEGER NOT NULL) STRICT",
        )
        .map_err(store_error)?;
    let applied = applied(connection).map_err(store_error)?;
    for step in migrate::outstanding(steps, &applied).map_err(mismatch)? {
        apply(connection, step).map_err(|error| {
            StoreError::Unavailable(format!("schema step {} ({}): {error}", step.version, step.name))
        })?;
        tracing::info!(version = step.version, name = step.name, "applied a schema step");
    }
    Ok(())
}

pub(super) fn applied(connection: &Connection) -> rusqlite::Result<Vec<Applied>> {
    connection
        .prepare("SELECT version, name, checksum FROM schema_steps ORDER BY version")?
        .query_map([], |row| Ok(Applied { version: row.get(0)?, name: row.get(1)?, checksum: row.get(2)? }))?
        .collect()
}

fn apply(connection: &mut Connection, step: &Step) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    transaction.execute_batch(step.sql)?;
    transaction.execute(
        "INSERT INTO schema_steps (version, name, checksum, applied_at) VALUES (?1, ?2, ?3, ?4)",
        params![step.version, step.name, step.checksum(), now_millis()],
    )?;
    transaction.commit()
}

fn now_millis() -> i64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .unwrap_or(0)
}

/// Begins a new life of the store; the first one also gives it its identity.
pub(super) fn begin_incarnation(connection: &Connection) -> Result<StoreIdentity> {
    let incarnation = Uuid::new_v4();
    let known: Option<Vec<u8>> =
        connection.query_row("SELECT store FROM meta", [], |row| row.get(0)).optional().map_err(store_error)?;
    let store = match known {
        Some(bytes) => Uuid::from_slice(&bytes).map_err(|error| corrupt("the store's identity", error))?,
        None => Uuid::new_v4(),
    };
    connection
        .execute(
            "INSERT INTO meta (one, store, incarnation) VALUES (1, ?1, ?2) \
             ON CONFLICT (one) DO UPDATE SET incarnation = excluded.incarnation",
            params![store.into_bytes(), incarnation.into_bytes()],
        )
        .map_err(store_error)?;
    Ok(StoreIdentity { store, incarnation })
}

/// The table is there once a store was moved.
const MAKE_MOVED: &str = "CREATE TABLE IF NOT EXISTS moved (place TEXT NOT NULL, at TEXT NOT NULL) STRICT";

const MARK_AS_MOVED: &str =
    "INSERT INTO moved (place, at) SELECT ?1, datetime('now') WHERE NOT EXISTS (SELECT 1 FROM moved)";

const MOVED: &str = "SELECT place || ' at ' || at || ' UTC' FROM moved LIMIT 1";

/// Says that payments live elsewhere from now on.
pub(crate) fn mark_as_moved(connection: &Connection, place: &str) -> rusqlite::Result<()> {
    connection.execute_batch(MAKE_MOVED)?;
    connection.execute(MARK_AS_MOVED, params![place])?;
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
}

/// Where the store was moved to, and when, in words.
pub(crate) fn moved_to(connection: &Connection) -> Result<Option<String>> {
    if !connection.table_exists(None, "moved").map_err(store_error)? {
        return Ok(None);
    }
    connection.query_row(MOVED, [], |row| row.get(0)).optional().map_err(store_error)
}

/// A ledger that was moved would be a second truth.
pub(super) fn refuse_moved(path: &Path, connection: &Connection) -> Result<()> {
    match moved_to(connection).map_err(|error| about(path, error))? {
        None => Ok(()),
        Some(place) => Err(StoreError::Unavailable(format!(
            "{} was moved to {place} and is served no more: let storage.url lead there, or restore a copy from before",
            path.display()
        ))),
    }
}

/// The file at `path` with its schema up to date, and the right to it: nobody serves from it meanwhile.
/// Its incarnation stays. A file that was moved before may be looked at again.
///
/// # Errors
/// As [`super::SqliteStore::open`]; and when there is no such file.
pub(crate) fn open_to_move(path: &Path) -> Result<(File, Connection)> {
    if !path.is_file() {
        return Err(StoreError::Unavailable(format!("{}: there is no such file", path.display())));
    }
    let held = lock(path)?;
    super::backup::refuse_half_restored(path)?;
    let mut connection = writer(path)?;
    migrate(&mut connection, STEPS)?;
    Ok((held, connection))
}

/// The position of the newest event, 0 when there is none.
pub(super) fn position(connection: &Connection) -> Result<i64> {
    connection.query_row("SELECT coalesce(max(position), 0) FROM events", [], |row| row.get(0)).map_err(store_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/ledger.db");
        drop(lock(&path).unwrap());
        (folder, path)
    }

    const SECOND: Step = Step { version: 2, name: "second", sql: "CREATE TABLE second (x INTEGER)" };

    #[test]
    fn a_full_disk_is_named_whatever_failed_on_it() {
        let failed = || StoreError::Unavailable("/d/l.db: disk I/O error".to_owned());
        let said = |left| with_room_left(failed(), left).to_string();
        assert!(said(Some(4_096)).ends_with("disk I/O error; its disk is full (4096 bytes left): make room on it"));
        for left in [None, Some(LEAST_ROOM)] {
            assert_eq!(said(left), failed().to_string(), "{left:?}");
        }
    }

    #[test]
    fn a_broken_step_leaves_the_steps_before_it() {
        let (_folder, path) = file();
        let mut connection = writer(&path).unwrap();
        let broken = Step { sql: "CREATE TABLE half (x INTEGER); CREATE NONSENSE", ..SECOND };
        let error = migrate(&mut connection, &[STEPS[0], broken]).unwrap_err().to_string();
        assert!(error.contains("schema step 2 (second)"), "{error}");
        assert_eq!(applied(&connection).unwrap().len(), 1);
        migrate(&mut connection, &[STEPS[0], SECOND]).unwrap();
        migrate(&mut connection, &[STEPS[0], SECOND]).unwrap();
        assert_eq!(applied(&connection).unwrap().len(), 2);
    }

    #[test]
    fn a_newer_schema_and_a_changed_step_are_refused() {
        let (_folder, path) = file();
        let mut connection = writer(&path).unwrap();
        migrate(&mut connection, &[STEPS[0], SECOND]).unwrap();
        let newer = migrate(&mut connection, &STEPS[..1]).unwrap_err().to_string();
        assert!(newer.contains("newer than this program"), "{newer}");
        let edited = Step { sql: "CREATE TABLE second (y INTEGER)", ..SECOND };
        let changed = migrate(&mut connection, &[STEPS[0], edited]).unwrap_err().to_string();
        assert!(changed.contains("step 2 (second) was applied with another content"), "{changed}");
    }

    /// A ledger of before that step keeps what its payments' current attempts said.
    #[test]
    fn a_current_attempt_moves_into_its_payments_row() {
        let (_folder, path) = file();
        let mut connection = writer(&path).unwrap();
        migrate(&mut connection, &STEPS[..4]).unwrap();
        connection
            .execute_batch(
                "INSERT INTO payments (row, id, tenant, out_trade_no, amount, currency, description, metadata, client_ip, \
                 state, late, refunded, refunding, created_at, updated_at, expires_at, provider, trade_no, version, \
                 attempts) VALUES (7, x'01', 'shop', 'B1', 1, 'CNY', 'd', '{}', '::1', 'pending', 0, 0, 0, 0, 0, 0, \
                 'wechat', 'B1_2', 3, 2); \
                 INSERT INTO attempts (tenant, provider, trade_no, payment, id, number, method, app_id, merchant_id, \
                 openid, notify_url, prepay_token, prepay_valid_until, state) VALUES \
                 ('shop', 'wechat', 'B1', 7, x'02', 1, 'jsapi', 'a', 'm', 'o1', 'u', 't1', 11, 'closed'), \
                 ('shop', 'wechat', 'B1_2', 7, x'03', 2, 'jsapi', 'a', 'm', 'o2', 'u', 't2', 12, 'closing')",
            )
            .unwrap();
        migrate(&mut connection, STEPS).unwrap();
        let kept = connection
            .query_row("SELECT attempt_state, openid, prepay_token, prepay_valid_until FROM payments", [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })
            .unwrap();
        assert_eq!(kept, ("closing".to_owned(), "o2".to_owned(), "t2".to_owned(), 12));
    }

    /// The index of troubles is made anew over the events that are there.
    #[test]
    fn troubles_of_before_are_found() {
        let (_folder, path) = file();
        let mut connection = writer(&path).unwrap();
        migrate(&mut connection, &STEPS[..15]).unwrap();
        for (position, kind) in (1..).zip([
            "payment.created",
            "payment.mismatch",
            "payment.unknown_order",
            "payment.duplicate",
            "refund.failed",
            "refund.abnormal",
            "refund.succeeded",
        ]) {
            connection
                .execute(
                    "INSERT INTO events (position, id, tenant, kind, at, subject) VALUES (?1, randomblob(16), 'shop', ?2, \
                     1, '{}')",
                    params![position, kind],
                )
                .unwrap();
        }
        migrate(&mut connection, STEPS).unwrap();
        let mut statement = connection.prepare(crate::sqlite::history::TROUBLES).unwrap();
        let found = statement.query_map(params!["shop", 0, 10], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(found.collect::<rusqlite::Result<Vec<_>>>().unwrap(), [6, 5, 4, 3, 2]);
        let whole: String = connection.pragma_query_value(None, "integrity_check", |row| row.get(0)).unwrap();
        assert_eq!(whole, "ok");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_a_ledger_that_is_in_use_is_in_use() {
        let (folder, path) = file();
        drop(writer(&path).unwrap());
        let link = folder.path().join("link.db");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        for (first, second) in [(&path, &link), (&link, &path)] {
            let held = lock(first).unwrap();
            let refused = lock(second).unwrap_err().to_string();
            assert!(refused.contains("is in use by another process"), "{refused}");
            drop(held);
            drop(lock(second).unwrap());
        }
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_reads_a_new_ledger() {
        use std::os::unix::fs::PermissionsExt;
        let (_folder, path) = file();
        let connection = writer(&path).unwrap();
        connection.execute_batch("CREATE TABLE t (x INTEGER)").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        for end in ["", "-wal", "-shm", ".lock"] {
            assert_eq!(mode(Path::new(&format!("{}{end}", path.display()))), 0o600, "{end}");
        }
        let folder = path.parent().unwrap();
        assert_eq!((mode(folder), mode(folder.parent().unwrap())), (0o700, 0o700));
        // As versions before left it.
        let at = lock_path(&path);
        std::fs::set_permissions(&at, PermissionsExt::from_mode(0o666)).unwrap();
        drop(lock(&path).unwrap());
        assert_eq!(mode(&at), 0o600);
    }

    #[test]
    fn the_settings_that_durability_needs_are_in_force() {
        let (_folder, path) = file();
        let connection = writer(&path).unwrap();
        let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(pragma("synchronous"), 2);
        assert_eq!(pragma("foreign_keys"), 1);
        assert!(pragma("busy_timeout") >= 5_000);
        let reader = reader(&path).unwrap();
        assert!(reader.execute_batch("CREATE TABLE t (x INTEGER)").is_err());
    }
}
