//! The machine's clock and its source of randomness.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use dukou_domain::Timestamp;
use dukou_engine::StoreState;
use dukou_engine::ports::Store;
use dukou_spi::transport::{HttpAnswer, HttpRequest, Transport, TransportError};
use dukou_spi::{
    AnyTime, Clock, Context, EmptyShelf, Kept, PlatformTime, ProcessState, Random, SharedState, TrustShelf,
};
use dukou_transport::{PlatformClocks, ReqwestTransports, StrangersTransport};

pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
    }
}

pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, buffer: &mut [u8]) {
        // The library fails only where the operating system has no randomness to give; a nonce that
        // can be predicted would be worse than no answer.
        aws_lc_rs::rand::fill(buffer).expect("the operating system gives random bytes");
    }
}

/// Calls to addresses that somebody else chose.
pub fn strangers(allow_private_networks: bool) -> Arc<dyn Transport> {
    match StrangersTransport::new(allow_private_networks) {
        Ok(transport) => Arc::new(transport),
        Err(error) => {
            tracing::error!(%error, "addresses that somebody else chose cannot be called");
            Arc::new(Nowhere(error.to_string()))
        }
    }
}

/// Reaches nobody, and says why.
struct Nowhere(String);

#[async_trait]
impl Transport for Nowhere {
    async fn send(&self, _: HttpRequest) -> Result<HttpAnswer, TransportError> {
        Err(TransportError::NotSent { host: String::new(), reason: self.0.clone() })
    }
}

/// The outside world, as the providers of a process that ends soon see it.
pub fn context(insecure: bool) -> Context {
    let transports = ReqwestTransports::new();
    world(insecure, transports, Arc::new(EmptyShelf), Arc::new(AnyTime), Arc::new(ProcessState::default()))
}

/// The outside world of a gateway: what it is made of is known before any provider is made, where it keeps
/// things only once the store is open.
pub struct Outside {
    pub shelf: Arc<StoreShelf>,
    /// What the providers of all instances know in common.
    pub shared: Arc<StoreState>,
    /// The platforms' clocks beside this machine's.
    pub clocks: Arc<PlatformClocks>,
}

impl Outside {
    pub fn new() -> Self {
        Outside { shelf: Arc::default(), shared: Arc::new(StoreState::new(instance())), clocks: platform_clocks() }
    }

    /// The same, as providers see it.
    pub fn context(&self, insecure: bool) -> Context {
        let transports = ReqwestTransports::comparing(Arc::clone(&self.clocks));
        let (shelf, clocks) = (Arc::<StoreShelf>::clone(&self.shelf), Arc::<PlatformClocks>::clone(&self.clocks));
        world(insecure, transports, shelf, clocks, Arc::<StoreState>::clone(&self.shared))
    }
}

/// The platforms' clocks beside this machine's.
pub fn platform_clocks() -> Arc<PlatformClocks> {
    Arc::new(PlatformClocks::new(Arc::new(SystemClock)))
}

fn world(
    insecure: bool,
    transports: ReqwestTransports,
    shelf: Arc<dyn TrustShelf>,
    time: Arc<dyn PlatformTime>,
    shared: Arc<dyn SharedState>,
) -> Context {
    Context {
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
        transports: Arc::new(transports),
        shelf,
        time,
        shared,
        insecure,
    }
}

/// This process among the instances: its machine, and its number there.
fn instance() -> String {
    format!("{}/{}", rustix::system::uname().nodename().to_string_lossy(), std::process::id())
}

/// Keeps trust material in the store, from when there is one.
#[derive(Default)]
pub struct StoreShelf {
    store: OnceLock<Arc<dyn Store>>,
    /// By account; as many as were served since the start, and a few bytes each. Providers come and go with their files,
    /// and find what those before them left.
    common: Mutex<HashMap<String, Arc<dyn Any + Send + Sync>>>,
}

impl StoreShelf {
    /// To be called once.
    pub fn open(&self, store: Arc<dyn Store>) {
        let _ = self.store.set(store);
    }
}

#[async_trait]
impl TrustShelf for StoreShelf {
    async fn load(&self, account: &str) -> Option<Kept> {
        match self.store.get()?.trust_material(account).await {
            Ok(kept) => kept,
            Err(error) => {
                tracing::warn!(account, %error, "trust material cannot be read from the store");
                None
            }
        }
    }

    async fn keep(&self, account: &str, kept: Kept) {
        let Some(store) = self.store.get() else { return };
        if let Err(error) = store.keep_trust_material(account, kept).await {
            tracing::warn!(account, %error, "trust material cannot be kept in the store; other instances fetch it again");
        }
    }

    fn common(&self, account: &str, made: Arc<dyn Any + Send + Sync>) -> Arc<dyn Any + Send + Sync> {
        let mut common = self.common.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(common.entry(account.to_owned()).or_insert(made))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_providers_of_one_account_share_what_the_first_of_them_made() {
        let shelf = StoreShelf::default();
        let asked = |account: &str, made: u8| *shelf.common(account, Arc::new(made)).downcast::<u8>().unwrap();
        for (account, made, expected) in [("a", 1, 1), ("a", 2, 1), ("b", 3, 3), ("a", 4, 1)] {
            assert_eq!(asked(account, made), expected, "{account}");
        }
    }
}
