//! Whether a ledger's writes fail: from the first that does until one as large as a readiness probe goes well. Where
//! little room is left, small ones still do.

use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Debug, Default)]
pub(crate) struct Failing(AtomicBool);

impl Failing {
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// A write failed for the disk's or the database's sake.
    pub fn note(&self, why: &str) {
        if !self.0.swap(true, Ordering::Relaxed) {
            tracing::error!(why, "the store cannot write");
        }
    }

    /// The readiness probe was written.
    pub fn probed(&self) {
        if self.0.swap(false, Ordering::Relaxed) {
            tracing::warn!("the store takes writes again");
        }
    }
}
