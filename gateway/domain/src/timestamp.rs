//! A moment, as every database and both state machines see it.

use std::time::Duration;

/// Milliseconds since 1970-01-01T00:00:00Z. Never local time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(i64);

impl Timestamp {
    /// So many milliseconds after 1970-01-01T00:00:00Z; below zero: before it.
    pub const fn from_millis(millis: i64) -> Self {
        Timestamp(millis)
    }

    /// As [`Self::from_millis`] takes it, and the store keeps it.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds, as the platforms sign them.
    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// The moment `duration` later; stops at the far end of time instead of wrapping.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Timestamp(self.0.saturating_add(millis))
    }

    /// How long after `earlier` this is; zero when it is not after it.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}
