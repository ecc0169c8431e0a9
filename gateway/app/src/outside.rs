//! The machine's clock and its source of randomness.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use dukou_domain::Timestamp;
use dukou_spi::transport::{HttpAnswer, HttpRequest, Transport, TransportError};
use dukou_spi::{Clock, Context, Random};
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

/// The outside world, as providers see it.
pub fn context(insecure: bool) -> Context {
    world(insecure, ReqwestTransports::new())
}

/// The same, with the platforms' clocks compared with this machine's.
pub fn context_comparing(insecure: bool, clocks: &Arc<PlatformClocks>) -> Context {
    world(insecure, ReqwestTransports::comparing(Arc::clone(clocks)))
}

/// The platforms' clocks beside this machine's.
pub fn platform_clocks() -> Arc<PlatformClocks> {
    Arc::new(PlatformClocks::new(Arc::new(SystemClock)))
}

fn world(insecure: bool, transports: ReqwestTransports) -> Context {
    Context { clock: Arc::new(SystemClock), random: Arc::new(SystemRandom), transports: Arc::new(transports), insecure }
}
