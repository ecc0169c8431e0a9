//! Whether this instance should be sent requests.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dukou_engine::ports::{Coordinator, Health, Store};
use dukou_http::{Readiness, ReadyCheck, ReadyStatus};
use dukou_store::RedisCoordinator;
use dukou_transport::{PlatformClocks, Skew};
use tokio::sync::watch;

use crate::metrics::ReadyMetrics;
use crate::shutdown::pause;

/// How often it is looked whether or not anybody asks `/readyz`: several times between two scrapes.
const PERIOD: Duration = Duration::from_secs(5);

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
        let store = match self.store.ready().await {
            Ok(()) => behind(self.redis.as_ref().and_then(|redis| redis.behind())),
            Err(error) => check("store", ReadyStatus::Unready, error.to_string(), format!("存储不可用：{error}")),
        };
        // Without it everything still works from the store: no reason to send requests elsewhere.
        let name = self.coordinator.backend();
        let coordinator = match self.coordinator.health() {
            Health::Working => well(name),
            Health::Degraded(why) => {
                let zh = format!("暂不可用，改由存储处理，会慢一些：{why}");
                check(name, ReadyStatus::Degraded, why, zh)
            }
        };
        vec![store, coordinator, clock(&self.clocks.skews())]
    }
}

/// Keeps what is watched of the checks current until it is told to stop.
pub async fn watch(readiness: Arc<dyn Readiness>, metrics: Arc<ReadyMetrics>, mut stopping: watch::Receiver<bool>) {
    while !*stopping.borrow() {
        metrics.update(&readiness.checks().await);
        pause(PERIOD, &mut stopping).await;
    }
}

fn check(name: &str, status: ReadyStatus, detail: String, detail_zh: String) -> ReadyCheck {
    ReadyCheck { name: name.to_owned(), status, detail, detail_zh }
}

fn well(name: &str) -> ReadyCheck {
    check(name, ReadyStatus::Ready, String::new(), String::new())
}

/// A store that lost part of its log works, and somebody should know.
fn behind(behind: Option<(i64, i64)>) -> ReadyCheck {
    let Some((store, seen)) = behind else { return well("store") };
    let lost = seen.saturating_sub(store);
    let detail = format!(
        "began {lost} events behind what was seen of it: it was restored from an older backup, or a copy that had not \
         got them took its place; what was paid since is learned from the platforms' notifies and by `?refresh=true`"
    );
    let zh = format!(
        "开始时比曾经见过的少 {lost} 个事件：它是从较早的备份恢复的，或由一个尚未收到这些事件的副本接替；此后的付款由平台的通知和 `?refresh=true` 补上"
    );
    check("store", ReadyStatus::Degraded, detail, zh)
}

/// A platform refuses what is signed at the wrong time, or comes too late for it; much still works,
/// and another instance on this machine would do no better.
fn clock(skews: &[Skew]) -> ReadyCheck {
    let wrong: Vec<(String, String)> = skews.iter().filter(|skew| skew.wrong).map(describe).collect();
    if wrong.is_empty() {
        return well("clock");
    }
    let (detail, zh): (Vec<String>, Vec<String>) = wrong.into_iter().unzip();
    check("clock", ReadyStatus::Degraded, detail.join("; "), zh.join("；"))
}

/// In English and in Chinese.
fn describe(skew: &Skew) -> (String, String) {
    let (side, zh) = if skew.millis > 0 { ("ahead of", "快") } else { ("behind", "慢") };
    let (seconds, host) = (skew.millis.unsigned_abs() / 1000, &skew.host);
    let en = format!("this machine's clock is {seconds} s {side} that of {host}");
    (en, format!("本机的时钟比 {host} 的{zh} {seconds} 秒"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_from_a_backup_is_named() {
        let well = behind(None);
        assert_eq!((well.status, well.detail.as_str(), well.detail_zh.as_str()), (ReadyStatus::Ready, "", ""));
        let wrong = behind(Some((40, 52)));
        assert!(wrong.status == ReadyStatus::Degraded, "{wrong:?}");
        assert!(wrong.detail.starts_with("began 12 events behind"), "{wrong:?}");
        assert!(wrong.detail_zh.contains("少 12 个事件"), "{wrong:?}");
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
        assert_eq!(wrong.detail_zh, "本机的时钟比 a.example 的快 600 秒；本机的时钟比 b.example 的慢 61 秒");
    }
}
