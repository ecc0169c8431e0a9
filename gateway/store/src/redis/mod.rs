//! The coordinator of several instances, on one Redis: a server, a cluster, or what sentinels watch over.
//!
//! Keys begin with the prefix, the store's identity and its incarnation: what another store, or
//! another life of this one, has left there is never read. Keys that are used together carry a common
//! hash tag. Redis holds no truth; every method answers within 200 ms whatever state it is in.

mod address;
mod link;
mod news;
mod scripts;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use dukou_domain::Secret;
use dukou_engine::ports::{Admission, CallRate, Claim, ClaimToken, Coordinator, Health, Lock, Marker};
use dukou_engine::records::{NotificationKey, StoreIdentity};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use self::address::Address;
pub use self::address::InvalidUrl;
use self::link::{Away, Link};
pub use self::news::News;
use crate::keyed_locks::KeyedLocks;

/// The longest any call waits for Redis.
const PATIENCE: Duration = Duration::from_millis(200);
/// Between two looks at what somebody else holds.
const POLL: Duration = Duration::from_millis(20);
/// How long a claim or a lock counts that nobody gives back.
const CLAIM_MILLIS: u64 = 30_000;
/// How long a marker is kept: longer than the day for which a platform repeats a message.
const MARKER_MILLIS: u64 = 72 * 3_600_000;
/// How long a lock's counter is kept after the last holder: longer than anybody still works who held it. Every payment
/// leaves one, so for no longer.
const FENCE_MILLIS: u64 = 3_600_000;

const ACCEPTED: &str = "done:accepted";

/// Which Redis, and under which prefix.
#[derive(Debug, Clone)]
pub struct RedisOptions {
    /// `redis://…`, `redis+cluster://…` or `redis+sentinel://…`, or these with `rediss`; it may hold a password.
    pub url: Secret,
    /// Stands before every key.
    pub prefix: String,
}

impl RedisOptions {
    /// Whether the address can be used at all; it does not connect.
    ///
    /// # Errors
    /// [`InvalidUrl`].
    pub fn check(&self) -> Result<(), InvalidUrl> {
        Address::parse(self.url.expose()).map(|_| ())
    }
}

/// The store that a coordinator serves, as it is at the moment of asking.
pub struct Served {
    /// Which store it is, and in which life.
    pub identity: Box<dyn Fn() -> StoreIdentity + Send + Sync>,
    /// Whether that is certain: not while a database is away, which may come back in another life.
    pub certain: Box<dyn Fn() -> bool + Send + Sync>,
    /// How far its event log is known to have grown.
    pub position: Box<dyn Fn() -> i64 + Send + Sync>,
    /// As much of what was read up to a position, in an incarnation, as the log still holds.
    pub still_there: Box<dyn Fn(Uuid, i64) -> i64 + Send + Sync>,
    /// Others write to it as well, so that what is known of its log may be some seconds old.
    pub shared: bool,
}

impl Served {
    fn incarnation(&self) -> Uuid {
        (self.identity)().incarnation
    }
}

/// Claims and locks shared by all instances of one store.
pub struct RedisCoordinator {
    link: Arc<Link>,
    /// What runs beside: keeps the connection, tells of the position.
    tasks: Mutex<Vec<JoinHandle<()>>>,
    instance: Uuid,
    locks: KeyedLocks,
    prefix: String,
    served: Arc<Served>,
}

impl RedisCoordinator {
    /// Tries for at most a second to reach Redis; when it is away the coordinator begins degraded
    /// and finds it by itself later. Needs a Tokio runtime, in which background tasks run until the
    /// coordinator is dropped.
    pub async fn connect(options: RedisOptions, served: Served) -> RedisCoordinator {
        let served = Arc::new(served);
        let prefix = options.prefix.clone();
        let store = format!("{prefix}:{}", (served.identity)().store.simple());
        let address = Address::parse(options.url.expose()).map_err(|error| error.to_string());
        let link = Arc::new(Link::new(address, &store, Arc::clone(&served)));
        link.connect_once().await;
        let tasks = vec![tokio::spawn(Arc::clone(&link).keep()), tokio::spawn(Arc::clone(&link).tell_position())];
        RedisCoordinator {
            link,
            tasks: Mutex::new(tasks),
            instance: Uuid::new_v4(),
            locks: KeyedLocks::new(),
            prefix,
            served,
        }
    }

    /// Tells the other instances of the store how far its `log` has grown, and passes on what they tell.
    /// Each message may come late, twice or not at all.
    pub fn share(&self, mut log: watch::Receiver<i64>, heard: impl Fn(News) + Send + Sync + 'static) {
        let (link, served) = (Arc::clone(&self.link), Arc::clone(&self.served));
        let telling = tokio::spawn(async move {
            while log.changed().await.is_ok() {
                let incarnation = served.incarnation();
                let position = *log.borrow_and_update();
                // Otherwise it is not known of which of the two the position is.
                if served.incarnation() == incarnation {
                    link.note_position(incarnation, position);
                } else {
                    log.mark_changed();
                }
            }
        });
        let listening = tokio::spawn(news::listen(Arc::clone(&self.link), self.instance, Box::new(heard)));
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).extend([telling, listening]);
    }

    /// Asks the other instances to read their tenants' files, if they can be told.
    pub async fn tell_reload(&self) {
        self.link.tell(&news::reload_message(self.instance)).await;
    }

    /// The store's position and the higher one that Redis had seen of the same store, when they
    /// were compared and differed so: the store has lost its newest entries, as one restored from
    /// an older backup has, or one whose place a copy took that had not got all of it. Stays for as long as the
    /// process lives.
    pub fn behind(&self) -> Option<(i64, i64)> {
        self.link.behind()
    }

    /// What keys of this life of this store begin with.
    fn base(&self) -> String {
        let StoreIdentity { store, incarnation } = (self.served.identity)();
        format!("{}:{}:{}", self.prefix, store.simple(), incarnation.simple())
    }

    fn message_key(&self, key: &NotificationKey) -> String {
        message_key(&self.base(), key)
    }

    /// The lock and its counter.
    fn lock_keys(&self, name: &str) -> (String, String) {
        let lock = lock_key(&self.base(), name);
        let fence = format!("{lock}:fence");
        (lock, fence)
    }

    async fn remote_lock(&self, name: &str) -> Option<String> {
        let deadline = Instant::now() + PATIENCE;
        let (lock, fence) = self.lock_keys(name);
        let scripts = &self.link.scripts;
        let mut call = scripts.lock.key(lock);
        call.key(fence).arg(Uuid::new_v4().simple().to_string()).arg(CLAIM_MILLIS).arg(FENCE_MILLIS);
        loop {
            match self.link.call::<Option<String>>(&call, deadline).await {
                Ok(Some(token)) => return Some(token),
                Ok(None) if Instant::now() + POLL < deadline => sleep(POLL).await,
                Ok(None) | Err(Away) => return None,
            }
        }
    }
}

impl Drop for RedisCoordinator {
    fn drop(&mut self) {
        self.tasks.get_mut().unwrap_or_else(PoisonError::into_inner).iter().for_each(JoinHandle::abort);
    }
}

#[async_trait]
impl Coordinator for RedisCoordinator {
    fn backend(&self) -> &'static str {
        "redis"
    }

    async fn claim(&self, key: &NotificationKey) -> Claim {
        let deadline = Instant::now() + PATIENCE;
        let token = Uuid::new_v4().simple().to_string();
        let incarnation = self.served.incarnation();
        let mut call = self.link.scripts.claim.key(self.message_key(key));
        call.arg(&token).arg(CLAIM_MILLIS);
        let mut busy = false;
        loop {
            match self.link.call::<String>(&call, deadline).await.as_deref() {
                Ok("mine") => return Claim::Mine(ClaimToken(token)),
                // Only the store can say whether what was done in its former life is done in this one.
                Ok(ACCEPTED) if !(self.served.certain)() || self.served.incarnation() != incarnation => {
                    return Claim::Unavailable;
                }
                Ok(ACCEPTED) => return Claim::Done(Marker::Accepted),
                Ok("busy") if Instant::now() + POLL < deadline => {
                    busy = true;
                    sleep(POLL).await;
                }
                Ok("busy") => return Claim::Busy,
                // A marker that this program does not know stands for nothing.
                Ok(_) => return Claim::Unavailable,
                Err(Away) => return if busy { Claim::Busy } else { Claim::Unavailable },
            }
        }
    }

    async fn finish(&self, key: &NotificationKey, _token: ClaimToken, marker: Marker, position: i64) {
        let incarnation = self.served.incarnation();
        // On a store that another life of which was met meanwhile the log may be shorter.
        let position = if self.served.shared { position.min((self.served.position)()) } else { position };
        self.link.note_position(incarnation, position);
        let Marker::Accepted = marker;
        let mut call = self.link.scripts.finish.key(self.message_key(key));
        call.arg("accepted").arg(MARKER_MILLIS);
        // Without a marker the next copy is found in the store.
        let _: Result<i64, Away> = self.link.call(&call, Instant::now() + PATIENCE).await;
    }

    async fn release(&self, key: &NotificationKey, token: ClaimToken) {
        let mut call = self.link.scripts.delete_if.key(self.message_key(key));
        call.arg(format!("claim:{}", token.0));
        // A claim that cannot be given back ends by itself.
        let _: Result<i64, Away> = self.link.call(&call, Instant::now() + PATIENCE).await;
    }

    /// Without Redis, and after waiting for somebody elsewhere in vain, the lock holds in this
    /// process only and its token is empty.
    async fn lock(&self, name: &str) -> Option<Lock> {
        let held = self.locks.lock(name).await;
        let token = self.remote_lock(name).await.unwrap_or_default();
        Some(Lock { name: name.to_owned(), token, local: Some(Box::new(held)) })
    }

    async fn unlock(&self, lock: Lock) {
        if !lock.token.is_empty() {
            let (key, _) = self.lock_keys(&lock.name);
            let mut call = self.link.scripts.delete_if.key(key);
            call.arg(&lock.token);
            // A lock that cannot be given back ends by itself.
            let _: Result<i64, Away> = self.link.call(&call, Instant::now() + PATIENCE).await;
        }
        drop(lock);
    }

    async fn count_call(&self, who: &str, rate: CallRate) -> Admission {
        let mut call = self.link.scripts.count.key(format!("{}:{{rate/{who}}}", self.base()));
        call.arg(rate.calls).arg(u64::try_from(rate.per.as_micros()).unwrap_or(u64::MAX)).arg(rate.burst);
        match self.link.call::<u64>(&call, Instant::now() + PATIENCE).await {
            Ok(0) => Admission::Allowed,
            Ok(wait) => Admission::Refused(Duration::from_micros(wait)),
            Err(Away) => Admission::Unavailable,
        }
    }

    fn health(&self) -> Health {
        self.link.health()
    }
}

/// A digest begins with the platform's number of what the message is about. That is the payment's own, but
/// for a prefix and for attempts after the first: what is about one payment lies in one slot of a cluster,
/// with its lock.
fn message_key(base: &str, key: &NotificationKey) -> String {
    let NotificationKey { tenant, provider, kind, digest } = key;
    let number = digest.split(':').next().unwrap_or_default();
    format!("{base}:{{{tenant}:{number}}}:{tenant}/{provider}/{}/{digest}", kind.as_str())
}

/// A payment's lock is named by its tenant and its number.
fn lock_key(base: &str, name: &str) -> String {
    format!("{base}:{{{name}}}:lock")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_about_one_payment_lies_in_one_slot() {
        let tag = |key: &str| key.split(['{', '}']).nth(1).map(str::to_owned);
        let key = |digest: &str| NotificationKey {
            tenant: dukou_domain::TenantId::new("bookshop").unwrap(),
            provider: dukou_domain::ProviderName::new("wechat").unwrap(),
            kind: dukou_engine::records::MessageKind::Payment,
            digest: digest.to_owned(),
        };
        let (one, other) = (message_key("dukou", &key("B-1:aa")), message_key("dukou", &key("B-1:bb")));
        assert_eq!(tag(&one).as_deref(), Some("bookshop:B-1"));
        assert!(one != other && tag(&one) == tag(&other) && tag(&one) == tag(&lock_key("dukou", "bookshop:B-1")));
        assert_ne!(tag(&one), tag(&message_key("dukou", &key("B-2:aa"))));
    }

    #[test]
    fn an_address_is_not_printed() {
        let options = RedisOptions { url: Secret::new("redis://user:hush@127.0.0.1/3"), prefix: "dukou".into() };
        assert_eq!(options.check(), Ok(()));
        assert!(!format!("{options:?}").contains("hush"));
    }
}
