//! Answers to idempotent calls that the store would not take: their keys must not stay in progress
//! when it takes writes again.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dukou_domain::TenantId;
use dukou_engine::records::StoredAnswer;

/// At most this many are remembered; of older ones the keys stay in progress until the next start.
const MOST: usize = 1_000;

/// What remains to be written about calls of this process that have ended, oldest first.
#[derive(Default)]
pub struct Unkept(Mutex<VecDeque<Entry>>);

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
    }

    /// How the call under this key ended, where that is still to be written.
    pub fn find(&self, tenant: &TenantId, key: &str) -> Option<Option<StoredAnswer>> {
        self.entries().iter().find(|entry| entry.is(tenant, key)).map(|entry| entry.answer.clone())
    }

    /// It was written.
    pub fn forget(&self, tenant: &TenantId, key: &str) {
        self.entries().retain(|entry| !entry.is(tenant, key));
    }

    fn entries(&self) -> MutexGuard<'_, VecDeque<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        assert_eq!((unkept.find(&shop, "0"), unkept.find(&shop, "1")), (None, Some(None)));
        assert_eq!(unkept.find(&other, "1"), None);
        unkept.forget(&shop, "1");
        assert_eq!((unkept.find(&shop, "1"), unkept.find(&shop, "2")), (None, Some(None)));
    }
}
