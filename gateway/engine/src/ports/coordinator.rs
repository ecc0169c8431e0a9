//! Speed and sharing between instances; never truth.

use std::time::Duration;

use async_trait::async_trait;

use crate::records::NotificationKey;

/// Whether the coordinator works as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// All it is asked is answered.
    Working,
    /// Away or slow: everything still works, slower. The text says what is wrong.
    Degraded(String),
}

/// What was decided about a message once and for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marker {
    /// Recorded with an effect or without; the platform was told so.
    Accepted,
}

/// Who holds a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimToken(pub String);

/// What the coordinator says about a message that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// It was dealt with and is on disk in this store: answer it again.
    Done(Marker),
    /// It is yours to deal with; [`Coordinator::finish`] or [`Coordinator::release`] it.
    Mine(ClaimToken),
    /// Somebody else was still dealing with it after the longest wait; go on without a claim.
    Busy,
    /// The coordinator is away, or what it knows may be of another life of the store; go on without a claim.
    Unavailable,
}

/// A held lock; dropping it without [`Coordinator::unlock`] leaves it to expire.
pub struct Lock {
    /// What is locked.
    pub name: String,
    /// Tells its holder from whoever takes the lock after it expired; empty where only this process knows of it.
    pub token: String,
    /// Keeps the lock within this process for as long as the value lives.
    pub local: Option<Box<dyn Send + Sync>>,
}

/// So many calls in a length of time, evenly, and so many at once after a rest; none of them is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallRate {
    /// How many in `per`.
    pub calls: u32,
    /// The length of time.
    pub per: Duration,
    /// How many at once after a rest.
    pub burst: u32,
}

/// What all instances together say about a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It may be made.
    Allowed,
    /// Too many; another try makes sense after so long.
    Refused(Duration),
    /// Nobody counts for all: each instance decides by itself.
    Unavailable,
}

/// Claims on messages and locks on payments. Nothing here is needed for an effect to be single:
/// the store's unique keys and compare-and-set see to that. No method fails and none waits
/// for a remote answer longer than 200 ms.
#[async_trait]
pub trait Coordinator: Send + Sync {
    /// `redis` or `process`, for metrics.
    fn backend(&self) -> &'static str;

    /// Claims a message for the caller, for at most some seconds.
    async fn claim(&self, key: &NotificationKey) -> Claim;

    /// Leaves the marker, after the effect was committed. `position` is the store's position then:
    /// a store that is later found behind it was restored from a backup.
    async fn finish(&self, key: &NotificationKey, token: ClaimToken, marker: Marker, position: i64);

    /// Gives a claim back, when the message was not dealt with.
    async fn release(&self, key: &NotificationKey, token: ClaimToken);

    /// Waits for the right to work on `name` alone: within this process for as long as its holder
    /// lives, across processes for at most 200 ms. `None` when it could not be had; the caller goes
    /// on without.
    async fn lock(&self, name: &str) -> Option<Lock>;

    /// Ends a lock before it expires; one that somebody else holds by now is left to them.
    async fn unlock(&self, lock: Lock);

    /// Counts a call of `who`, over all instances.
    async fn count_call(&self, who: &str, rate: CallRate) -> Admission;

    /// How it is doing, as far as it was seen; asks nobody.
    fn health(&self) -> Health;
}
