//! The coordinator of a single instance, in its own memory. What it forgets, the store knows.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use dukou_engine::ports::{Admission, CallRate, Claim, ClaimToken, Coordinator, Health, Lock, Marker};
use dukou_engine::records::NotificationKey;
use foldhash::quality::RandomState;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::keyed_locks::KeyedLocks;

/// How long a caller waits for somebody else's running claim.
const PATIENCE: Duration = Duration::from_millis(200);

/// How long a claim counts that nobody finished or gave back.
const CLAIM_LIFETIME: Duration = Duration::from_secs(30);

const SHARDS: usize = 16;

/// How much is remembered of messages that were dealt with.
#[derive(Debug, Clone, Copy)]
pub struct ProcessOptions {
    /// Markers kept; the oldest are dropped first.
    pub markers: usize,
    /// How long a marker is kept.
    pub lifetime: Duration,
}

impl Default for ProcessOptions {
    /// 100,000 markers for 24 h: as long as a platform repeats a message.
    fn default() -> Self {
        ProcessOptions { markers: 100_000, lifetime: Duration::from_secs(24 * 3600) }
    }
}

/// Claims and locks within this process.
pub struct ProcessCoordinator {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
    locks: KeyedLocks,
    next_token: AtomicU64,
    markers_per_shard: usize,
    lifetime: Duration,
}

#[derive(Default)]
struct Shard {
    states: HashMap<Arc<NotificationKey>, State, RandomState>,
    /// In the order of their beginnings; those at the front that have ended are dropped.
    running: VecDeque<(Instant, Arc<NotificationKey>, u64)>,
    /// In the order of their ends.
    done: VecDeque<(Instant, Arc<NotificationKey>)>,
}

enum State {
    Running { token: u64, ended: Arc<Notify> },
    Done(Marker),
}

impl Default for ProcessCoordinator {
    fn default() -> Self {
        ProcessCoordinator::new(ProcessOptions::default())
    }
}

impl ProcessCoordinator {
    pub fn new(options: ProcessOptions) -> Self {
        ProcessCoordinator {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::default(),
            locks: KeyedLocks::new(),
            next_token: AtomicU64::new(1),
            markers_per_shard: options.markers.div_ceil(SHARDS),
            lifetime: options.lifetime,
        }
    }

    fn shard(&self, key: &NotificationKey) -> MutexGuard<'_, Shard> {
        let index = (self.hasher.hash_one(key) % SHARDS as u64) as usize;
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Markers remembered and claims running, for tests of the bounds.
    #[cfg(test)]
    fn remembered(&self) -> (usize, usize) {
        self.shards.iter().fold((0, 0), |(states, queued), shard| {
            let shard = shard.lock().unwrap();
            (states + shard.states.len(), queued + shard.done.len() + shard.running.len())
        })
    }
}

impl Shard {
    /// Drops what is too old or too much.
    fn tidy(&mut self, now: Instant, markers: usize, lifetime: Duration) {
        while let Some((since, key, token)) = self.running.front() {
            let runs = matches!(self.states.get(key), Some(State::Running { token: running, .. }) if running == token);
            if runs && now.duration_since(*since) < CLAIM_LIFETIME {
                break;
            }
            if runs && let Some(State::Running { ended, .. }) = self.states.remove(key) {
                ended.notify_waiters();
            }
            self.running.pop_front();
        }
        while let Some((since, key)) = self.done.front() {
            if self.done.len() <= markers && now.duration_since(*since) < lifetime {
                break;
            }
            self.states.remove(key);
            self.done.pop_front();
        }
    }
}

#[async_trait]
impl Coordinator for ProcessCoordinator {
    fn backend(&self) -> &'static str {
        "process"
    }

    async fn claim(&self, key: &NotificationKey) -> Claim {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = Instant::now();
            let ended = {
                let mut shard = self.shard(key);
                shard.tidy(now, self.markers_per_shard, self.lifetime);
                match shard.states.get(key) {
                    Some(State::Done(marker)) => return Claim::Done(*marker),
                    Some(State::Running { ended, .. }) => {
                        if now >= deadline {
                            return Claim::Busy;
                        }
                        // Registered before the shard is let go, so that no end is missed.
                        Arc::clone(ended).notified_owned()
                    }
                    None => {
                        let token = self.next_token.fetch_add(1, Ordering::Relaxed);
                        let key = Arc::new(key.clone());
                        let state = State::Running { token, ended: Arc::default() };
                        shard.states.insert(Arc::clone(&key), state);
                        shard.running.push_back((now, key, token));
                        return Claim::Mine(ClaimToken(token.to_string()));
                    }
                }
            };
            // Whether it ended or the time ran out is seen in the next round.
            let _ = timeout_at(deadline, ended).await;
        }
    }

    async fn finish(&self, key: &NotificationKey, _token: ClaimToken, marker: Marker, _position: i64) {
        let now = Instant::now();
        let mut shard = self.shard(key);
        let shard = &mut *shard;
        match shard.states.entry(Arc::new(key.clone())) {
            Entry::Vacant(entry) => {
                shard.done.push_back((now, Arc::clone(entry.key())));
                entry.insert(State::Done(marker));
            }
            Entry::Occupied(mut entry) => {
                let key = Arc::clone(entry.key());
                if let State::Running { ended, .. } = entry.insert(State::Done(marker)) {
                    ended.notify_waiters();
                    shard.done.push_back((now, key));
                }
            }
        }
        shard.tidy(now, self.markers_per_shard, self.lifetime);
    }

    async fn release(&self, key: &NotificationKey, token: ClaimToken) {
        let mut shard = self.shard(key);
        let ours = match shard.states.get(key) {
            Some(State::Running { token: running, .. }) => token.0 == running.to_string(),
            Some(State::Done(_)) | None => false,
        };
        if ours && let Some(State::Running { ended, .. }) = shard.states.remove(key) {
            ended.notify_waiters();
        }
        shard.tidy(Instant::now(), self.markers_per_shard, self.lifetime);
    }

    async fn lock(&self, name: &str) -> Option<Lock> {
        let held = self.locks.lock(name).await;
        Some(Lock { name: name.to_owned(), token: String::new(), local: Some(Box::new(held)) })
    }

    async fn unlock(&self, lock: Lock) {
        drop(lock);
    }

    /// One instance counts for itself.
    async fn count_call(&self, _: &str, _: CallRate) -> Admission {
        Admission::Unavailable
    }

    fn health(&self) -> Health {
        Health::Working
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dukou_domain::{ProviderName, TenantId};
    use dukou_engine::records::MessageKind;

    fn key(number: u32) -> NotificationKey {
        NotificationKey {
            tenant: TenantId::new("shop").unwrap(),
            provider: ProviderName::new("wechat").unwrap(),
            kind: MessageKind::Payment,
            digest: format!("{number:032x}"),
        }
    }

    async fn finish(coordinator: &ProcessCoordinator, key: &NotificationKey) {
        let Claim::Mine(token) = coordinator.claim(key).await else { panic!("not free") };
        coordinator.finish(key, token, Marker::Accepted, 1).await;
    }

    #[tokio::test]
    async fn the_oldest_markers_go_first() {
        let coordinator = ProcessCoordinator::new(ProcessOptions { markers: 160, lifetime: Duration::from_secs(60) });
        for number in 0..5_000 {
            finish(&coordinator, &key(number)).await;
        }
        let (states, queued) = coordinator.remembered();
        assert!(states <= 160 && queued <= 160 + SHARDS, "{states} {queued}");
        assert_eq!(coordinator.claim(&key(4_999)).await, Claim::Done(Marker::Accepted));
        assert!(matches!(coordinator.claim(&key(0)).await, Claim::Mine(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn markers_and_lost_claims_end_with_time() {
        let coordinator = ProcessCoordinator::new(ProcessOptions { markers: 100, lifetime: Duration::from_secs(60) });
        finish(&coordinator, &key(1)).await;
        assert!(matches!(coordinator.claim(&key(2)).await, Claim::Mine(_)));
        tokio::time::advance(CLAIM_LIFETIME).await;
        assert_eq!(coordinator.claim(&key(1)).await, Claim::Done(Marker::Accepted));
        assert!(matches!(coordinator.claim(&key(2)).await, Claim::Mine(_)), "nobody finished it");
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(matches!(coordinator.claim(&key(1)).await, Claim::Mine(_)));
    }
}
