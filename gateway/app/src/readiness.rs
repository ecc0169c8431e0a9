//! Whether this instance should be sent requests.

use std::sync::Arc;

use async_trait::async_trait;
use dukou_engine::ports::{Coordinator, Health, Store};
use dukou_http::{Readiness, ReadyCheck, ReadyStatus};
use dukou_store::RedisCoordinator;
use dukou_transport::{PlatformClocks, Skew};

/// Looks at the store, the coordinator and the clock.
pub struct GatewayReadiness {
    pub store: Arc<dyn Store>,
    pub coordinator: Arc<dyn Coordinator>,
    /// That coordinator, where it is on Redis.
    pub redis: Option<Arc<RedisCoordinator>>,
    pub clocks: Arc<PlatformClocks>,
}

#[async_trait]
impl Readiness for GatewayReadiness {
    async fn checks(&self) -> Vec<ReadyCheck> {
        let (status, detail) = match self.store.ready().await {
            Ok(()) => behind(self.redis.as_ref().and_then(|redis| redis.behind())),
            Err(error) => (ReadyStatus::Unready, error.to_string()),
        };
        let store = ReadyCheck { name: "store".to_owned(), status, detail };
        // Without it everything still works from the store: no reason to send requests elsewhere.
        let (status, detail) = match self.coordinator.health() {
            Health::Working => (ReadyStatus::Ready, String::new()),
            Health::Degraded(why) => (ReadyStatus::Degraded, why),
        };
        let coordinator = ReadyCheck { name: self.coordinator.backend().to_owned(), status, detail };
        vec![store, coordinator, clock(&self.clocks.skews())]
    }
}

/// A store that lost part of its log works, and somebody should know.
fn behind(behind: Option<(i64, i64)>) -> (ReadyStatus, String) {
    match behind {
        None => (ReadyStatus::Ready, String::new()),
        Some((store, seen)) => {
            let lost = seen.saturating_sub(store);
            let detail = format!(
                "opened {lost} events behind what redis has seen of it: it was restored from an older backup; what was \
                 paid since is learned from the platforms' notifies and by `?refresh=true`"
            );
            (ReadyStatus::Degraded, detail)
        }
    }
}

/// A platform refuses what is signed at the wrong time, or comes too late for it; much still works,
/// and another instance on this machine would do no better.
fn clock(skews: &[Skew]) -> ReadyCheck {
    let wrong: Vec<String> = skews.iter().filter(|skew| skew.wrong).map(describe).collect();
    let status = if wrong.is_empty() { ReadyStatus::Ready } else { ReadyStatus::Degraded };
    ReadyCheck { name: "clock".to_owned(), status, detail: wrong.join("; ") }
}

fn describe(skew: &Skew) -> String {
    let side = if skew.millis > 0 { "ahead of" } else { "behind" };
    format!("this machine's clock is {} s {side} that of {}", skew.millis.unsigned_abs() / 1000, skew.host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_from_a_backup_is_named() {
        assert_eq!(behind(None), (ReadyStatus::Ready, String::new()));
        let (status, detail) = behind(Some((40, 52)));
        assert!(status == ReadyStatus::Degraded && detail.starts_with("opened 12 events behind"), "{detail}");
    }

    #[test]
    fn a_wrong_clock_is_named_with_the_platform_that_shows_it() {
        let skew = |host: &str, millis: i64, wrong| Skew { host: host.to_owned(), millis, wrong };
        let well = clock(&[skew("a.example", 900, false)]);
        assert_eq!((well.status, well.detail.as_str()), (ReadyStatus::Ready, ""));
        let wrong = clock(&[skew("a.example", 600_400, true), skew("b.example", -61_000, true)]);
        let expected = "this machine's clock is 600 s ahead of that of a.example; \
                        this machine's clock is 61 s behind that of b.example";
        assert_eq!((wrong.status, wrong.detail.as_str()), (ReadyStatus::Degraded, expected));
    }
}
