//! Answers to idempotent calls that the store would not take: their keys must not stay in progress
//! when it takes writes again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dukou_domain::TenantId;
use dukou_engine::ports::{Store, StoreError};
use dukou_engine::records::StoredAnswer;
use tokio::sync::{Notify, watch};
use tokio::time::sleep;
use uuid::Uuid;

/// At most this many are remembered; of older ones the keys stay in progress until the next start.
const MOST: usize = 1_000;
/// After a write that the store did not take; twice as long each time, up to the second.
const PAUSE: Duration = Duration::from_millis(250);
const PAUSE_AT_MOST: Duration = Duration::from_secs(4);

/// What remains to be written about calls of this process that have ended, oldest first.
#[derive(Default)]
pub struct Unkept {
    entries: Mutex<VecDeque<Entry>>,
    more: Notify,
    /// Held while one is written: a late copy of "it may be made again" must not fall on a call that was begun
    /// again meanwhile.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Entry {
    tenant: TenantId,
    key: String,
    answer: Option<StoredAnswer>,
}

impl Entry {
    fn is(&self, tenant: &TenantId, key: &str) -> bool {
        self.tenant == *tenant && self.key == key
    }
}

impl Unkept {
    /// A call ended and its answer (`None`: that it may be made again) is not in the store.
    pub fn remember(&self, tenant: TenantId, key: String, answer: Option<StoredAnswer>) {
        let mut entries = self.entries();
        if entries.len() >= MOST
            && let Some(oldest) = entries.pop_front()
        {
            tracing::error!(tenant = %oldest.tenant, "an idempotency key stays in progress until the next start");
        }
        entries.push_back(Entry { tenant, key, answer });
        self.more.notify_one();
    }

    /// How the call under this key ended, where that is still to be written, and whether it was written now.
    pub async fn settle(
        &self,
        store: &dyn Store,
        owner: Uuid,
        tenant: &TenantId,
        key: &str,
    ) -> Option<(Option<StoredAnswer>, bool)> {
        let _alone = self.writing.lock().await;
        let entry = self.find(tenant, key)?;
        let written = self.write(store, owner, &entry).await.is_ok();
        Some((entry.answer, written))
    }

    /// Writes what remains until the store takes no more. Whether nothing remains.
    pub async fn settle_all(&self, store: &dyn Store, owner: Uuid) -> bool {
        loop {
            let _alone = self.writing.lock().await;
            let Some(oldest) = self.entries().front().cloned() else { return true };
            if self.write(store, owner, &oldest).await.is_err() {
                return false;
            }
        }
    }

    /// Writes what remains as soon as the store takes it, until `stopping` says so: the other instances of the store
    /// know of it by the store alone.
    pub async fn keep_settling(self: Arc<Self>, store: Arc<dyn Store>, owner: Uuid, stopping: watch::Receiver<bool>) {
        let settling = async {
            let mut pause = PAUSE;
            loop {
                if self.settle_all(store.as_ref(), owner).await {
                    pause = PAUSE;
                    self.more.notified().await;
                } else {
                    sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_AT_MOST);
                }
            }
        };
        let mut stopping = stopping;
        tokio::select! {
            () = settling => {}
            // An error means that the sender is gone, which is a stop as well.
            _ = stopping.wait_for(|stop| *stop) => {}
        }
    }

    /// Writes one; it is forgotten when it was written, and when it never can be.
    async fn write(&self, store: &dyn Store, owner: Uuid, entry: &Entry) -> Result<(), StoreError> {
        let written = store.end_call(&entry.tenant, &entry.key, owner, entry.answer.clone()).await;
        let tenant = &entry.tenant;
        match &written {
            Ok(()) => {}
            Err(error @ (StoreError::Unavailable(_) | StoreError::Unknown(_))) => {
                tracing::warn!(%error, %tenant, "the answer to an idempotent call could not be kept yet");
                return written;
            }
            Err(error) => tracing::error!(%error, %tenant, "the answer to an idempotent call cannot be kept"),
        }
        self.entries().retain(|one| !one.is(tenant, &entry.key));
        Ok(())
    }

    fn find(&self, tenant: &TenantId, key: &str) -> Option<Entry> {
        self.entries().iter().find(|entry| entry.is(tenant, key)).cloned()
    }

    #[cfg(test)]
    pub fn holds(&self, tenant: &TenantId, key: &str) -> bool {
        self.find(tenant, key).is_some()
    }

    fn entries(&self) -> MutexGuard<'_, VecDeque<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_gives_way_and_tenants_are_told_apart() {
        let unkept = Unkept::default();
        let [shop, other] = ["shop", "other"].map(|id| TenantId::new(id).unwrap());
        for number in 0..=MOST {
            unkept.remember(shop.clone(), number.to_string(), None);
        }
        assert!(!unkept.holds(&shop, "0") && unkept.holds(&shop, "1"));
        assert!(!unkept.holds(&other, "1"));
    }
}
