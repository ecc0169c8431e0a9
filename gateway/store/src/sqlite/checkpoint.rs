//! Folds the write-ahead log into the database beside the writer. A full log takes a tenth of a second and more to
//! fold in, and in the writer everybody would wait for it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::Connection;

use super::open;

/// Pages in the write-ahead log before they are folded into the database: 64 MiB. Rarely, since
/// a page that changed many times is folded in once.
pub(super) const PAGES: i64 = 16_000;

/// Pages that the writer may fold in by itself: some milliseconds.
const REST: i64 = 1_000;

/// How often what was written meanwhile is folded in as well before the writer has to do the rest.
const PASSES: usize = 4;

/// Pages that the log grows by before it is tried again, when somebody's reading kept it from beginning anew.
const STEP: i64 = 1_000;

/// SQLite's own choice for a new database, in bytes.
const PAGE_SIZE: u32 = 4096;

/// The writer's side. Belongs to the writer's thread.
pub(super) struct Checkpoints {
    file: PathBuf,
    page_size: u32,
    /// Bytes that the file's disk has left, where that is known.
    free: fn(&Path) -> Option<u64>,
    ask: Option<SyncSender<()>>,
    folding: Arc<AtomicBool>,
    stage: Stage,
    thread: Option<JoinHandle<()>>,
    failing: Arc<AtomicBool>,
}

enum Stage {
    /// Nothing to do until the log has so many pages.
    Until(i64),
    /// The other thread is at it.
    Folding,
}

impl Checkpoints {
    /// `connection` is one beside the writer's, to the database in `file`.
    ///
    /// # Errors
    /// When the system refuses another thread.
    pub fn start(file: &Path, connection: Connection) -> io::Result<Self> {
        let page_size = connection.pragma_query_value(None, "page_size", |row| row.get(0)).unwrap_or(PAGE_SIZE);
        let (ask, asked) = sync_channel(1);
        let (folding, failing) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (shared, fails) = (Arc::clone(&folding), Arc::clone(&failing));
        let thread = thread::Builder::new()
            .name("store-fold".into())
            .spawn(move || run(&connection, &asked, &shared, &fails))?;
        let stage = Stage::Until(PAGES);
        let (file, ask, thread) = (file.to_owned(), Some(ask), Some(thread));
        Ok(Checkpoints { file, page_size, free, ask, folding, stage, thread, failing })
    }

    /// After a commit on the writer's connection, or one that failed, whose callers have their answers.
    pub fn committed(&mut self, writer: &Connection) {
        let Some(pages) = log_pages(writer) else { return };
        if self.is_tight(pages) {
            self.make_room(writer);
            return;
        }
        match self.stage {
            // The log began anew.
            Stage::Until(next) if pages < PAGES && next != PAGES => self.stage = Stage::Until(PAGES),
            Stage::Until(next) if pages >= next => {
                self.folding.store(true, Ordering::Relaxed);
                self.stage = Stage::Folding;
                let asked = self.ask.as_ref().is_some_and(|ask| ask.try_send(()).is_ok());
                if !asked {
                    // Nobody is there to do it.
                    self.folding.store(false, Ordering::Relaxed);
                }
            }
            Stage::Folding if !self.folding.load(Ordering::Acquire) => {
                // Folded in whole, the log begins anew with the next commit that nobody reads beside.
                fold(writer, &self.failing);
                self.stage = Stage::Until(pages + STEP);
            }
            Stage::Until(_) | Stage::Folding => {}
        }
    }

    /// The disk has no more room left than folding in the log may take: were the log to grow further, it could neither
    /// grow nor be folded in.
    fn is_tight(&self, pages: i64) -> bool {
        let log = u64::try_from(pages).unwrap_or(0).saturating_mul(self.page_size.into());
        log > 0 && matches!(self.stage, Stage::Until(_)) && (self.free)(&self.file).is_some_and(|free| free <= log)
    }

    /// Folds in what the log has and gives its place on the disk back, unless somebody reads in it at the moment.
    fn make_room(&self, writer: &Connection) {
        if writer.busy_timeout(Duration::ZERO).is_ok() {
            run_checkpoint(writer, "PRAGMA wal_checkpoint(TRUNCATE)", &self.failing);
        }
        if let Err(error) = writer.busy_timeout(open::BUSY_TIMEOUT) {
            tracing::warn!(%error, "the store's writer will not wait for locks");
        }
    }

    /// Ends the thread and its connection. Blocks.
    pub fn stop(mut self) {
        self.ask = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that folds the store's log in ended with a panic");
        }
    }
}

fn run(connection: &Connection, asked: &Receiver<()>, folding: &AtomicBool, failing: &AtomicBool) {
    while asked.recv().is_ok() {
        for _ in 0..PASSES {
            match fold(connection, failing) {
                Some(rest) if rest > REST => {}
                Some(_) | None => break,
            }
        }
        folding.store(false, Ordering::Release);
    }
}

/// Folds in what no reader still needs and waits for nobody. How many pages are left; `None` when it failed.
fn fold(connection: &Connection, failing: &AtomicBool) -> Option<i64> {
    run_checkpoint(connection, "PRAGMA wal_checkpoint(PASSIVE)", failing)
}

fn run_checkpoint(connection: &Connection, sql: &str, failing: &AtomicBool) -> Option<i64> {
    let pages = |row: &rusqlite::Row<'_>| Ok(row.get::<_, i64>(1)? - row.get::<_, i64>(2)?);
    match connection.query_row(sql, [], pages) {
        Ok(rest) => {
            failing.store(false, Ordering::Relaxed);
            Some(rest)
        }
        Err(error) => {
            if !failing.swap(true, Ordering::Relaxed) {
                tracing::warn!(%error, "the store's log cannot be folded into the database and grows");
            }
            None
        }
    }
}

/// How long the log is; it begins anew at times and is not cut then.
fn log_pages(connection: &Connection) -> Option<i64> {
    let mut looked = connection.prepare_cached("PRAGMA wal_checkpoint(NOOP)").ok()?;
    looked.query_row([], |row| row.get(1)).ok()
}

/// Bytes that the disk of a file has left that may not have come into being.
pub(super) fn room_left(file: &Path) -> Option<u64> {
    free(file).or_else(|| free(file.parent()?))
}

/// Bytes that the file's disk has left for this process.
#[cfg(unix)]
fn free(file: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(file).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Elsewhere it is not known, and found out when it is full.
#[cfg(not(unix))]
fn free(_: &Path) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

    /// A database with one row, its writer, and what folds its log in.
    fn open() -> (tempfile::TempDir, Connection, Checkpoints) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let writer = open::writer(&path).unwrap();
        writer.execute_batch("CREATE TABLE t (x BLOB); INSERT INTO t VALUES (zeroblob(1 << 20))").unwrap();
        let checkpoints = Checkpoints::start(&path, open::writer(&path).unwrap()).unwrap();
        (folder, writer, checkpoints)
    }

    /// Commits until the log is as `wanted`; a commit is a mebibyte, 256 pages.
    fn write_until(writer: &Connection, checkpoints: &mut Checkpoints, wanted: impl Fn(i64) -> bool) {
        let from = std::time::Instant::now();
        loop {
            writer.execute_batch("UPDATE t SET x = randomblob(1 << 20)").unwrap();
            checkpoints.committed(writer);
            if wanted(log_pages(writer).unwrap()) {
                return;
            }
            assert!(from.elapsed() < PATIENCE, "the log has {:?} pages", log_pages(writer));
            thread::yield_now();
        }
    }

    #[test]
    fn a_full_log_is_folded_in_and_begins_anew() {
        let (folder, writer, mut checkpoints) = open();
        for _ in 0..2 {
            write_until(&writer, &mut checkpoints, |pages| pages >= PAGES);
            write_until(&writer, &mut checkpoints, |pages| pages < PAGES / 2);
        }
        checkpoints.stop();
        let log = std::fs::metadata(folder.path().join("ledger.db-wal")).unwrap().len();
        assert!(log < 256 << 20, "{log} bytes");
    }

    /// What it still reads cannot be written over; afterwards the log begins anew by itself.
    #[test]
    fn a_reader_of_old_pages_is_waited_for() {
        let (folder, writer, mut checkpoints) = open();
        let reader = open::reader(&folder.path().join("ledger.db")).unwrap();
        reader.execute_batch("BEGIN").unwrap();
        let sum = || reader.query_row("SELECT length(hex(x)) FROM t", [], |row| row.get::<_, i64>(0)).unwrap();
        let before = sum();
        write_until(&writer, &mut checkpoints, |pages| pages >= PAGES + 2 * STEP);
        assert_eq!(sum(), before);
        reader.execute_batch("COMMIT").unwrap();
        write_until(&writer, &mut checkpoints, |pages| pages < PAGES / 2);
        checkpoints.stop();
    }

    /// The log of a small disk neither fills it nor keeps its place on it.
    #[test]
    fn on_a_small_disk_the_log_stays_small() {
        let (folder, writer, mut checkpoints) = open();
        checkpoints.free = |_| Some(4 << 20);
        let log = || std::fs::metadata(folder.path().join("ledger.db-wal")).unwrap().len();
        let mut longest = 0;
        for _ in 0..20 {
            writer.execute_batch("UPDATE t SET x = randomblob(1 << 20)").unwrap();
            longest = longest.max(log());
            checkpoints.committed(&writer);
        }
        assert!(longest < 6 << 20, "{longest} bytes");
        checkpoints.free = |_| Some(0);
        checkpoints.committed(&writer);
        assert_eq!(log(), 0);
        checkpoints.stop();
    }
}
