//! Which life of the database was met last, and how far the event log is known to have grown in it.
//!
//! Positions of the log count within a life. A database that fails over to a copy goes on without what the copy
//! had not got, and gives those positions to other events. So whoever remembers a position remembers the incarnation
//! it is of.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use dukou_engine::records::StoreIdentity;
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

/// Former lives that are remembered: more than begin while a follower of the log looks away.
const REMEMBERED: usize = 64;
/// How long the database's word counts: one that falls silent may be another one by now.
pub(super) const FRESH: Duration = Duration::from_secs(1);

/// A life of the database, as it says itself.
#[derive(Debug, Clone)]
pub(super) struct Life {
    pub identity: StoreIdentity,
    /// Tells it from other lives.
    pub name: String,
    /// The newest position of the log when it began.
    pub log_from: i64,
    /// The newest position of the log now.
    pub position: i64,
}

pub(super) struct Lives {
    met: RwLock<Met>,
    /// Grows within a life; changed under the lock of `met`, so that it is never of another life than that.
    committed: watch::Sender<i64>,
    /// How often a connection broke.
    breaks: AtomicU64,
    /// When one did last.
    broke: Mutex<Option<Instant>>,
    /// How often one had when the database was last asked for its life, and answered that it is this one.
    confirmed: AtomicU64,
    /// When the connection that watches was certainly there last; `None` while there is none.
    watched: Mutex<Option<Instant>>,
}

struct Met {
    now: Life,
    /// Incarnations before it, oldest first, each with where the log began again after it.
    before: VecDeque<(Uuid, i64)>,
}

impl Lives {
    pub fn new(first: Life) -> Self {
        let committed = watch::Sender::new(first.position);
        Lives {
            met: RwLock::new(Met { now: first, before: VecDeque::new() }),
            committed,
            breaks: 0.into(),
            broke: Mutex::default(),
            confirmed: 0.into(),
            watched: Mutex::default(),
        }
    }

    pub fn identity(&self) -> StoreIdentity {
        self.met().now.identity
    }

    pub fn name(&self) -> String {
        self.met().now.name.clone()
    }

    /// Another life was found. The position goes to where its log is, down as well, and who follows is woken.
    pub fn meet(&self, life: Life) {
        let mut met = self.met.write().unwrap_or_else(PoisonError::into_inner);
        if met.now.identity == life.identity {
            return;
        }
        let (incarnation, log_from, position) = (life.identity.incarnation, life.log_from, life.position);
        let known = *self.committed.borrow();
        if known > log_from {
            tracing::error!(%incarnation, log = log_from, known, "the database is in another life than before, and has lost the newest events");
        } else {
            tracing::warn!(%incarnation, "the database is in another life than before");
        }
        let former = met.now.identity.incarnation;
        met.before.push_back((former, log_from));
        if met.before.len() > REMEMBERED {
            met.before.pop_front();
        }
        met.now = life;
        self.committed.send_replace(position);
    }

    /// A connection broke: by the time there is another the database may be in another life.
    pub fn doubt(&self) {
        *lock(&self.broke) = Some(Instant::now());
        self.breaks.fetch_add(1, Ordering::SeqCst);
    }

    /// Whether a connection broke within this time: what breaks one breaks others, and who rests does not notice.
    pub fn broke_within(&self, time: Duration) -> bool {
        lock(&self.broke).is_some_and(|at| at.elapsed() <= time)
    }

    /// To be asked for before the database is asked for its life, and handed to [`Lives::confirm`] after that.
    pub fn doubts(&self) -> u64 {
        self.breaks.load(Ordering::SeqCst)
    }

    /// The database, asked after so many doubts, is in this life.
    pub fn confirm(&self, doubts: u64) {
        self.confirmed.fetch_max(doubts, Ordering::SeqCst);
    }

    /// A connection that leads to this life, and is waited on for its end, was there at that moment.
    pub fn watch(&self, at: Instant) {
        *lock(&self.watched) = Some(at);
    }

    /// That connection ended.
    pub fn unwatch(&self) {
        self.doubt();
        *lock(&self.watched) = None;
    }

    /// Whether no connection broke since the database said which life it is in, and one that would have told of an
    /// end was there a moment ago.
    pub fn is_certain(&self) -> bool {
        let fresh = lock(&self.watched).is_some_and(|at| at.elapsed() < FRESH);
        fresh && self.confirmed.load(Ordering::SeqCst) >= self.doubts()
    }

    /// The log of this incarnation has grown so far. What is said of a life that has ended is nothing.
    pub fn note(&self, incarnation: Uuid, position: i64) {
        let met = self.met();
        if met.now.identity.incarnation != incarnation {
            return;
        }
        self.committed.send_if_modified(|known| {
            let more = position > *known;
            *known = position.max(*known);
            more
        });
    }

    /// As much of what was read up to `position`, in that incarnation, as the log still holds.
    pub fn still_there(&self, incarnation: Uuid, position: i64) -> i64 {
        let met = self.met();
        let since = met.before.iter().skip_while(|(of, _)| *of != incarnation);
        since.map(|(_, log_from)| *log_from).fold(position, i64::min)
    }

    pub fn committed(&self) -> &watch::Sender<i64> {
        &self.committed
    }

    fn met(&self) -> RwLockReadGuard<'_, Met> {
        self.met.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lock(time: &Mutex<Option<Instant>>) -> MutexGuard<'_, Option<Instant>> {
    time.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(number: u128, log_from: i64, position: i64) -> Life {
        let identity = StoreIdentity { store: Uuid::nil(), incarnation: Uuid::from_u128(number) };
        Life { identity, name: number.to_string(), log_from, position }
    }

    #[tokio::test(start_paused = true)]
    async fn a_life_is_certain_while_it_is_watched_and_was_a_moment_ago() {
        let lives = Lives::new(life(1, 0, 7));
        assert!(!lives.is_certain(), "nobody watches");
        lives.watch(Instant::now());
        tokio::time::advance(FRESH - Duration::from_millis(1)).await;
        assert!(lives.is_certain());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!lives.is_certain(), "it has been silent since");
        lives.watch(Instant::now());
        assert!(lives.is_certain());
        lives.unwatch();
        lives.confirm(lives.doubts());
        assert!(!lives.is_certain(), "asked, and not watched any more");
        lives.doubt();
        lives.watch(Instant::now());
        assert!(!lives.is_certain(), "watched, and not asked since");
        lives.confirm(lives.doubts());
        assert!(lives.is_certain());
    }

    #[tokio::test(start_paused = true)]
    async fn a_break_is_later_than_what_has_rested_longer() {
        let lives = Lives::new(life(1, 0, 7));
        assert!(!lives.broke_within(Duration::MAX));
        lives.doubt();
        tokio::time::advance(Duration::from_millis(10)).await;
        let rested = [9, 10, 11].map(Duration::from_millis);
        assert_eq!(rested.map(|time| lives.broke_within(time)), [false, true, true]);
    }

    #[test]
    fn positions_count_within_a_life() {
        let [first, second, third] = [1, 2, 3].map(Uuid::from_u128);
        let lives = Lives::new(life(1, 0, 7));
        lives.note(first, 12);
        lives.note(first, 11);
        let mut followed = lives.committed().subscribe();
        assert_eq!(*followed.borrow_and_update(), 12);
        // Another instance met it before, and wrote.
        lives.meet(life(2, 9, 10));
        assert!(followed.has_changed().unwrap());
        assert_eq!(*followed.borrow_and_update(), 10);
        lives.note(first, 13);
        assert!(!followed.has_changed().unwrap(), "somebody who is late");
        lives.note(second, 15);
        // A restart that loses nothing: who follows looks again all the same.
        lives.meet(life(3, 15, 15));
        assert!(followed.has_changed().unwrap());
        for (of, position, still) in [(first, 12, 9), (first, 8, 8), (second, 15, 15), (third, 16, 16)] {
            assert_eq!(lives.still_there(of, position), still, "{of} {position}");
        }
    }
}
