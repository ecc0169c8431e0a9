//! A few threads that read what is committed, beside the writer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use dukou_engine::ports::StoreError;
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::error::Result;
use crate::panic_text;

type Read = Box<dyn FnOnce(&Connection) + Send>;

pub(super) struct Readers {
    /// Empty once they have been stopped.
    queue: Mutex<Option<SyncSender<Read>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Readers {
    /// # Errors
    /// When the system refuses another thread.
    pub fn start(connections: Vec<Connection>, queue: usize) -> std::result::Result<Self, std::io::Error> {
        let (sender, receiver) = sync_channel::<Read>(queue.max(1));
        let receiver = Arc::new(Mutex::new(receiver));
        let threads = connections
            .into_iter()
            .map(|connection| {
                let receiver = Arc::clone(&receiver);
                thread::Builder::new().name("store-reader".into()).spawn(move || run(&connection, &receiver))
            })
            .collect::<std::io::Result<_>>()?;
        Ok(Readers { queue: Mutex::new(Some(sender)), threads: Mutex::new(threads) })
    }

    /// # Errors
    /// [`StoreError::Unavailable`] when the queue is full or the store is closed, or what `read`
    /// says.
    pub async fn read<T, F>(&self, read: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let work: Read = Box::new(move |connection| {
            let result = catch_unwind(AssertUnwindSafe(|| read(connection))).unwrap_or_else(|panic| {
                Err(StoreError::Unavailable(format!("the read panicked: {}", panic_text(&*panic))))
            });
            // A caller that has gone does not need the answer.
            let _ = reply.send(result);
        });
        match self.queue.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|queue| queue.try_send(work)) {
            Some(Ok(())) => {}
            Some(Err(TrySendError::Full(_))) => {
                return Err(StoreError::Unavailable("overloaded: too many reads are waiting".into()));
            }
            Some(Err(TrySendError::Disconnected(_))) | None => {
                return Err(StoreError::Unavailable("the store is closed".into()));
            }
        }
        answer.await.unwrap_or_else(|_| Err(StoreError::Unavailable("the store is closed".into())))
    }

    /// Answers what is queued, then ends the threads and their connections. Blocks.
    pub fn stop(&self) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        for thread in self.threads.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            if thread.join().is_err() {
                tracing::error!("a reader of the store ended with a panic");
            }
        }
    }
}

fn run(connection: &Connection, queue: &Mutex<Receiver<Read>>) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match next {
            Ok(read) => read(connection),
            Err(_) => return,
        }
    }
}
