//! Log lines about what goes wrong again and again.

use std::sync::atomic::{AtomicBool, Ordering};

/// A trouble that lasts while the same is tried again and again: a line when it begins is enough, and one when it is over.
#[derive(Debug, Default)]
pub struct LastingTrouble(AtomicBool);

impl LastingTrouble {
    /// It is there. Whether it was not before, and is to be told of.
    pub fn begins(&self) -> bool {
        !self.0.swap(true, Ordering::Relaxed)
    }

    /// It is not there. Whether it was before, and its end is to be told of.
    pub fn ends(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}
