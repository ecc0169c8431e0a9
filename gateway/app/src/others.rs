//! The other instances that serve from the same store, as far as Redis carries their word.

use std::sync::Arc;

use dukou_store::{News, RedisCoordinator};
use tokio::sync::Notify;

use crate::ledger::Ledger;

/// Hears and tells the others; without a Redis, and over a store that nobody shares, there are none.
#[derive(Default)]
pub struct Others {
    redis: Option<Arc<RedisCoordinator>>,
    reload: Arc<Notify>,
}

impl Others {
    /// From now on what others commit wakes whoever follows the store, and the other way round.
    pub fn meet(redis: Option<&Arc<RedisCoordinator>>, ledger: &Ledger) -> Others {
        let (Some(redis), Ledger::Postgres(_)) = (redis, ledger) else { return Others::default() };
        let reload = Arc::new(Notify::new());
        let (store, asked) = (ledger.clone(), Arc::clone(&reload));
        redis.share(ledger.store().watch(), move |news| match news {
            News::Position(incarnation, position) => store.note(incarnation, position),
            News::Reload => asked.notify_one(),
        });
        Others { redis: Some(Arc::clone(redis)), reload }
    }

    /// Until another instance was asked to reload.
    pub async fn asked_to_reload(&self) {
        self.reload.notified().await;
    }

    /// Asks the others to look at their own files.
    pub async fn tell_reload(&self) {
        if let Some(redis) = &self.redis {
            redis.tell_reload().await;
        }
    }
}
