//! The one thread that writes: many requests, one commit.
//!
//! It takes what is queued, runs it in one transaction and answers after the commit is on disk.
//! There is no timer: a request alone is committed alone, and requests that come while the disk
//! is busy share the next commit.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use dukou_engine::ports::StoreError;
use rusqlite::{Connection, ErrorCode, ffi};
use tokio::sync::watch;

use super::checkpoint::Checkpoints;
use super::error::Result;
use super::task::{NotCommitted, Ran, Task};
use super::writing::Writing;
use crate::failing::Failing;

enum Message {
    Run(Box<dyn Task>),
    Stop,
}

/// What the thread lets others see.
#[derive(Debug)]
pub(super) struct Shared {
    /// The position of the newest committed event.
    pub position: AtomicI64,
    /// The same for those who wait for it to grow.
    pub committed: watch::Sender<i64>,
    /// A transaction that had something to write did not reach the disk.
    pub failing: Failing,
}

pub(super) struct Writer {
    queue: SyncSender<Message>,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// # Errors
    /// When the system refuses another thread.
    pub fn start(
        connection: Connection,
        checkpoints: Checkpoints,
        position: i64,
        queue: usize,
        max_batch: usize,
    ) -> std::result::Result<Self, std::io::Error> {
        let (sender, receiver) = sync_channel(queue.max(1));
        let shared = Arc::new(Shared {
            position: AtomicI64::new(position),
            committed: watch::Sender::new(position),
            failing: Failing::default(),
        });
        let state = State { connection, position, shared: Arc::clone(&shared) };
        let thread = thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || run(state, checkpoints, &receiver, max_batch.max(1)))?;
        Ok(Writer { queue: sender, shared, thread: Mutex::new(Some(thread)) })
    }

    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// # Errors
    /// [`StoreError::Unavailable`] when the queue is full or the thread has ended.
    pub fn submit(&self, task: Box<dyn Task>) -> Result<()> {
        self.queue.try_send(Message::Run(task)).map_err(|error| {
            StoreError::Unavailable(match error {
                TrySendError::Full(_) => "overloaded: too many changes are waiting".into(),
                TrySendError::Disconnected(_) => "the store is closed".into(),
            })
        })
    }

    /// Runs what is queued, then ends the thread and the connection. Blocks.
    pub fn stop(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // Fails only when the thread has ended already.
            let _ = self.queue.send(Message::Stop);
            if thread.join().is_err() {
                tracing::error!("the store's writer ended with a panic");
            }
        }
    }
}

struct State {
    connection: Connection,
    position: i64,
    shared: Arc<Shared>,
}

fn run(mut state: State, mut checkpoints: Checkpoints, queue: &Receiver<Message>, max_batch: usize) {
    let mut batch: Vec<Box<dyn Task>> = Vec::with_capacity(max_batch.min(1024));
    let mut stopping = false;
    while !stopping {
        match queue.recv() {
            Ok(Message::Run(task)) => batch.push(task),
            Ok(Message::Stop) | Err(_) => stopping = true,
        }
        while batch.len() < max_batch {
            match queue.try_recv() {
                Ok(Message::Run(task)) => batch.push(task),
                Ok(Message::Stop) => stopping = true,
                Err(_) => break,
            }
        }
        if !batch.is_empty() {
            let committed = state.commit(&mut batch);
            for task in batch.drain(..) {
                task.reply(committed.as_ref().err());
            }
            checkpoints.committed(&state.connection);
        }
    }
    checkpoints.stop();
    if let Err(error) = state.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
        tracing::warn!(%error, "the log could not be folded into the database; the next start does it");
    }
}

/// A request failed after it had written: its neighbours must not be committed with half of it.
struct HalfWritten;

impl State {
    /// Runs the requests in one transaction. First without savepoints, which is cheap; when one
    /// of them leaves half a change behind, everything again with a savepoint for each.
    fn commit(&mut self, batch: &mut [Box<dyn Task>]) -> std::result::Result<(), NotCommitted> {
        self.statement("BEGIN IMMEDIATE")?;
        let mut position = self.position;
        let mut wrote = false;
        if self.run_plain(batch, &mut position, &mut wrote).is_err() {
            self.undo();
            self.statement("BEGIN IMMEDIATE")?;
            position = self.position;
            wrote = false;
            if let Err(error) = self.run_guarded(batch, &mut position, &mut wrote) {
                self.undo();
                return Err(self.failed(error));
            }
        }
        if wrote {
            crash_point_before_commit();
        }
        if let Err(error) = self.statement("COMMIT") {
            self.undo();
            return Err(if wrote { self.failed(error) } else { error });
        }
        if wrote {
            crash_point_after_commit();
            self.shared.position.store(position, Ordering::Release);
            if position != self.position {
                self.position = position;
                self.shared.committed.send_replace(position);
            }
        }
        Ok(())
    }

    fn run_plain(
        &self,
        batch: &mut [Box<dyn Task>],
        position: &mut i64,
        wrote: &mut bool,
    ) -> std::result::Result<(), HalfWritten> {
        for task in batch {
            let mut writing = Writing::new(&self.connection, *position);
            match task.run(&mut writing) {
                Ran::Well => {
                    *position = writing.position();
                    *wrote |= writing.wrote();
                }
                Ran::Refused | Ran::Broken if writing.wrote() || self.connection.is_autocommit() => {
                    return Err(HalfWritten);
                }
                Ran::Broken => self.shared.failing.note("a statement failed"),
                Ran::Refused => {}
            }
        }
        Ok(())
    }

    fn run_guarded(
        &self,
        batch: &mut [Box<dyn Task>],
        position: &mut i64,
        wrote: &mut bool,
    ) -> std::result::Result<(), NotCommitted> {
        for task in batch {
            self.statement("SAVEPOINT request")?;
            let mut writing = Writing::new(&self.connection, *position);
            let ran = task.run(&mut writing);
            if self.connection.is_autocommit() {
                return Err(NotCommitted::Undone("the database broke the transaction off".into()));
            }
            if ran == Ran::Well {
                *position = writing.position();
                *wrote |= writing.wrote();
            } else {
                self.statement("ROLLBACK TO request")?;
            }
            if ran == Ran::Broken {
                self.shared.failing.note("a statement failed");
            }
            self.statement("RELEASE request")?;
        }
        Ok(())
    }

    fn statement(&self, sql: &str) -> std::result::Result<(), NotCommitted> {
        self.connection.prepare_cached(sql).and_then(|mut statement| statement.execute([])).map(|_| ()).map_err(
            |error| {
                let why = format!("{sql}: {error}");
                // A failed sync leaves open what is on the disk.
                match error.sqlite_error() {
                    Some(ffi::Error { code: ErrorCode::SystemIoFailure, extended_code })
                        if *extended_code == ffi::SQLITE_IOERR_FSYNC =>
                    {
                        NotCommitted::Unknown(why)
                    }
                    _ => NotCommitted::Undone(why),
                }
            },
        )
    }

    fn undo(&self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "a transaction could not be rolled back");
        }
    }

    fn failed(&self, error: NotCommitted) -> NotCommitted {
        let (NotCommitted::Undone(why) | NotCommitted::Unknown(why)) = &error;
        self.shared.failing.note(why);
        error
    }
}

fn crash_point_before_commit() {
    fail::fail_point!("store.before_commit", |_| std::process::abort());
}

fn crash_point_after_commit() {
    fail::fail_point!("store.after_commit", |_| std::process::abort());
}
