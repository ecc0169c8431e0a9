//! Locks by name within this process. A name that nobody holds or waits for takes no memory.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, PoisonError};

use foldhash::quality::RandomState;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

const SHARDS: usize = 32;

type Shard = Mutex<HashMap<Arc<str>, Arc<AsyncMutex<()>>, RandomState>>;

#[derive(Debug, Clone)]
pub(crate) struct KeyedLocks {
    shards: Arc<[Shard]>,
    hasher: RandomState,
}

impl KeyedLocks {
    pub fn new() -> Self {
        KeyedLocks { shards: (0..SHARDS).map(|_| Shard::default()).collect(), hasher: RandomState::default() }
    }

    /// Waits for as long as others hold the name; in the order of asking.
    pub async fn lock(&self, name: &str) -> HeldLock {
        let index = self.index(name);
        let mut held = {
            let mut names = self.shards[index].lock().unwrap_or_else(PoisonError::into_inner);
            let name = names.get_key_value(name).map_or_else(|| Arc::from(name), |(name, _)| Arc::clone(name));
            let lock = Arc::clone(names.entry(Arc::clone(&name)).or_default());
            HeldLock { shards: Arc::clone(&self.shards), index, name, lock: Some(lock), guard: None }
        };
        if let Some(lock) = &held.lock {
            held.guard = Some(Arc::clone(lock).lock_owned().await);
        }
        held
    }

    fn index(&self, name: &str) -> usize {
        (self.hasher.hash_one(name) % SHARDS as u64) as usize
    }

    #[cfg(test)]
    fn names(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap().len()).sum()
    }
}

/// Holds a name, or waits for it, until it is dropped.
pub(crate) struct HeldLock {
    shards: Arc<[Shard]>,
    index: usize,
    name: Arc<str>,
    lock: Option<Arc<AsyncMutex<()>>>,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Drop for HeldLock {
    fn drop(&mut self) {
        self.guard = None;
        let mut names = self.shards[self.index].lock().unwrap_or_else(PoisonError::into_inner);
        // Counted under the map's lock, where alone the count of a name grows or shrinks to one.
        self.lock = None;
        if names.get(&self.name).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            names.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_holder_at_a_time_and_nothing_left_behind() {
        let locks = KeyedLocks::new();
        let first = locks.lock("a").await;
        let other = locks.lock("b").await;
        let mut second = Box::pin(locks.lock("a"));
        assert!(futures_poll(&mut second).await.is_none(), "the name is held");
        drop(first);
        let second = second.await;
        drop((second, other));
        assert_eq!(locks.names(), 0);
    }

    #[tokio::test]
    async fn a_waiter_that_gives_up_leaves_nothing_behind() {
        let locks = KeyedLocks::new();
        let held = locks.lock("a").await;
        let mut waiter = Box::pin(locks.lock("a"));
        assert!(futures_poll(&mut waiter).await.is_none());
        drop(held);
        drop(waiter);
        assert_eq!(locks.names(), 0);
        drop(locks.lock("a").await);
    }

    /// Polls once.
    async fn futures_poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        std::future::poll_fn(|context| {
            std::task::Poll::Ready(match std::pin::Pin::new(&mut *future).poll(context) {
                std::task::Poll::Ready(value) => Some(value),
                std::task::Poll::Pending => None,
            })
        })
        .await
    }
}
