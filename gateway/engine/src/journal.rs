//! The record of calls to the platforms: written beside the payments' way, so that none of them
//! waits for it, and many together.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use crate::engine::Engine;
use crate::records::PlatformCall;

/// Calls that may wait to be written; of more, the newest are left out of the record.
const WAITING: usize = 8192;
/// How long calls are gathered, so that they share a commit.
const GATHERING: Duration = Duration::from_millis(200);

/// Calls that were made and are not written yet.
#[derive(Default)]
pub(crate) struct Journal {
    waiting: Mutex<Vec<PlatformCall>>,
    left_out: AtomicU64,
}

impl Journal {
    pub fn note(&self, call: PlatformCall) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < WAITING {
            waiting.push(call);
        } else {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn take(&self) -> Vec<PlatformCall> {
        std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Engine {
    /// Writes calls as they are made, until it is told to stop.
    pub async fn keep_calls(&self, mut stopping: watch::Receiver<bool>) {
        while !*stopping.borrow() {
            // An error means that the sender is gone, which is a stop as well.
            let _ = tokio::time::timeout(GATHERING, stopping.wait_for(|stop| *stop)).await;
            self.write_calls().await;
        }
    }

    /// Writes the calls that wait. While the store is away they are lost: what became of the money is not
    /// read from them.
    pub async fn write_calls(&self) {
        let calls = self.journal.take();
        if calls.is_empty() {
            return;
        }
        let count = calls.len();
        if let Err(error) = self.store.history().keep_calls(calls).await {
            tracing::warn!(%error, count, "calls to the platforms could not be recorded");
        }
        let left_out = self.journal.left_out.swap(0, Ordering::Relaxed);
        if left_out > 0 {
            tracing::warn!(left_out, "more calls to the platforms than can be recorded");
        }
    }
}
