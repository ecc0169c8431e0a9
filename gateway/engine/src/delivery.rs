//! What the store keeps of deliveries to merchants' webhooks, and when a failed one is tried again.

use std::time::Duration;

use dukou_domain::{DeliveryId, DeliveryState, EventId, TenantId, Timestamp};

pub use crate::endpoint::Endpoint;
use crate::records::{EventKind, NewEvent, PageCursor};

/// After the first try, which comes at once, how long to wait after each one that failed. When the
/// list is over, so is the delivery.
const WAITS: [Duration; 7] = [
    Duration::from_secs(5),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 60 * 60),
    Duration::from_secs(5 * 60 * 60),
    Duration::from_secs(10 * 60 * 60),
    Duration::from_secs(10 * 60 * 60),
];

/// The farthest a wait is moved either way, in thousandths of it, so that what failed together does
/// not come back together.
pub const JITTER: i32 = 200;

/// An endpoint that took nothing for this long is switched off.
pub const DEAD_AFTER: Duration = Duration::from_secs(5 * 24 * 60 * 60);

/// Only the newest tries are kept; a whole schedule fits, and some by hand.
pub const KEPT_TRIES: usize = 16;

/// When to try again after `failed` tries of a schedule failed, the last one at `at`; `jitter` is in
/// thousandths and cut to [`JITTER`]. `None` when the schedule is over.
pub fn next_try(failed: u32, at: Timestamp, jitter: i32) -> Option<Timestamp> {
    let wait = WAITS.get((failed.checked_sub(1)?) as usize)?;
    let thousandths = 1000 + jitter.clamp(-JITTER, JITTER);
    Some(at.plus(*wait * thousandths.unsigned_abs() / 1000))
}

/// An event on its way to a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub id: DeliveryId,
    pub tenant: TenantId,
    pub event: EventId,
    pub kind: EventKind,
    /// The event's place in the log.
    pub position: i64,
    pub state: DeliveryState,
    /// How many tries were made, by hand or not.
    pub made: u32,
    /// How many of the schedule's tries failed.
    pub failed: u32,
    /// When it is tried next; of one that is being tried, when that was due.
    pub next_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub delivered_at: Option<Timestamp>,
    /// The newest [`KEPT_TRIES`], oldest first.
    pub tries: Vec<Try>,
}

/// One try of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Try {
    /// 1 for the first.
    pub number: u32,
    pub at: Timestamp,
    /// The endpoint's HTTP status, where it gave one.
    pub status: Option<u16>,
    /// Why it failed, where it did.
    pub error: Option<TryError>,
    /// How long it took, in milliseconds.
    pub millis: u32,
}

/// Why a try failed. Says nothing about what is in the gateway's own network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TryError {
    /// The endpoint's name leads to no address that may be called.
    Address,
    /// No connection, TLS included.
    Connect,
    /// No answer in time.
    Timeout,
    /// The connection broke before there was an answer.
    Broken,
    /// An answer other than 2xx.
    Status,
}

impl TryError {
    pub const ALL: [TryError; 5] =
        [TryError::Address, TryError::Connect, TryError::Timeout, TryError::Broken, TryError::Status];

    pub const fn as_str(self) -> &'static str {
        match self {
            TryError::Address => "address",
            TryError::Connect => "connect",
            TryError::Timeout => "timeout",
            TryError::Broken => "broken",
            TryError::Status => "status",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|error| error.as_str() == text)
    }
}

/// An entry of the event log without what it tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventHead {
    pub position: i64,
    pub id: EventId,
    pub tenant: TenantId,
    pub kind: EventKind,
}

/// A delivery that was taken to be tried now, with the event to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leased {
    pub delivery: Delivery,
    pub event: NewEvent,
    pub lease: LeaseId,
}

/// Which of a delivery's leases it is; means something to the store alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseId(pub i64);

/// What a look for due deliveries found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lease {
    pub taken: Vec<Leased>,
    /// When the next one becomes due that is not due yet.
    pub next_at: Option<Timestamp>,
}

/// What became of a leased delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    pub tenant: TenantId,
    pub position: i64,
    /// Under which it was tried: when somebody else has leased it since, this counts for nothing.
    pub lease: LeaseId,
    /// How many tries had been made when it was leased: what became of a lease counts once.
    pub made_before: u32,
    pub state: DeliveryState,
    pub failed: u32,
    pub next_at: Option<Timestamp>,
    pub delivered_at: Option<Timestamp>,
    /// All that are kept, the new one last.
    pub tries: Vec<Try>,
}

/// What waits for one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backlog {
    pub tenant: TenantId,
    pub pending: u64,
    pub oldest: Timestamp,
    /// Its endpoint is switched off.
    pub disabled: bool,
}

/// Which deliveries of a tenant to list, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryFilter {
    pub tenant: TenantId,
    pub state: Option<DeliveryState>,
    pub cursor: Option<PageCursor>,
    /// At most this many.
    pub limit: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_790_000_000_000);

    #[test]
    fn tries_come_after_5_s_5_min_30_min_2_h_5_h_10_h_and_10_h() {
        let seconds: Vec<u64> =
            (1..).map_while(|failed| next_try(failed, START, 0)).map(|at| at.since(START).as_secs()).collect();
        assert_eq!(seconds, [5, 300, 1_800, 7_200, 18_000, 36_000, 36_000]);
        assert_eq!(next_try(0, START, 0), None);
    }

    #[test]
    fn jitter_moves_a_wait_by_a_fifth_at_most() {
        for (jitter, millis) in
            [(-i32::MAX, 4_000), (-200, 4_000), (-1, 4_995), (0, 5_000), (200, 6_000), (i32::MAX, 6_000)]
        {
            let wait = next_try(1, START, jitter).unwrap().since(START);
            assert_eq!(wait.as_millis(), millis, "{jitter}");
        }
    }
}
