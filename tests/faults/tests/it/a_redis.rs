//! Redis dies, forgets, hangs, or remembers another life of the store.

use std::path::Path;
use std::time::{Duration, Instant};

use dukou_e2e::{Mode, World, eventually};
use serde_json::json;

use crate::support::{SOON, becomes, crashed, events_of, notify_once, paid_silently, restart_at, succeeded};

/// How long the gateway stands between the claim and the commit.
const BETWEEN: Duration = Duration::from_millis(1500);
/// What a notify may take while Redis is away; the platform gives it 5 s.
const PATIENCE: Duration = Duration::from_secs(1);

/// Waits until a notify is claimed in Redis.
async fn claimed(world: &World) {
    let redis = world.redis.as_ref().unwrap();
    eventually("a claim stands in Redis", SOON, async || {
        (redis.command("KEYS *bookshop/wechat/payment*") == "*1").then_some(())
    })
    .await;
}

/// Watches: a commit that does not depend on Redis once it is under way. Where the lost marker makes the notify fail,
/// the first answer is no success.
#[tokio::test]
async fn f01_redis_is_killed_between_claim_and_commit() {
    let world = World::builder().redis().start().await;
    let (tenant, merchant) = world.bookshop();
    paid_silently(&world, &merchant, "F01-01", 101).await;
    restart_at(&world.gateway, &format!("notify.claimed=1*sleep({})", BETWEEN.as_millis())).await;

    let (first, ()) = tokio::join!(notify_once(&world, &tenant, "F01-01"), async {
        claimed(&world).await;
        world.redis.as_ref().unwrap().kill();
    });
    assert!(first, "the commit goes through without Redis");
    assert_eq!(merchant.status("F01-01").await, "succeeded");
    assert!(notify_once(&world, &tenant, "F01-01").await);
    let metrics = world.metrics().await;
    assert_eq!(["applied", "duplicate"].map(|word| metrics.notifies("bookshop", "payment", word)), [1, 1]);
    world.redis.as_ref().unwrap().restart().await;
    world.verify().await;
}

/// Watches: the marker that is written after the commit only, under keys of this incarnation. A marker written with the
/// claim would answer the platform's next attempt as a duplicate of nothing.
#[tokio::test]
async fn f01_the_gateway_is_killed_between_claim_and_commit() {
    let world = World::builder().redis().start().await;
    let (tenant, merchant) = world.bookshop();
    paid_silently(&world, &merchant, "F01-02", 101).await;
    restart_at(&world.gateway, "notify.claimed=return").await;
    assert!(!notify_once(&world, &tenant, "F01-02").await);
    crashed(&world.gateway).await;
    claimed(&world).await;

    world.gateway.restart().await;
    assert!(notify_once(&world, &tenant, "F01-02").await, "the next attempt is applied");
    assert_eq!(merchant.status("F01-02").await, "succeeded");
    assert_eq!(world.metrics().await.notifies("bookshop", "payment", "applied"), 1);
    world.verify().await;
}

/// Watches: the unique key of a notification in the store, once Redis has forgotten everything.
#[tokio::test]
async fn f11_redis_is_wiped() {
    let world = World::builder().redis().start().await;
    let (tenant, merchant) = world.bookshop();
    succeeded(&world, &merchant, "F11-01", 101).await;
    // Paid is seen at the commit; only what was answered is counted, and its marker left.
    world.control.deliver_all().await;
    world.redis.as_ref().unwrap().flush();
    world.control.advance(24 * 3600).await;

    assert!(notify_once(&world, &tenant, "F11-01").await);
    let metrics = world.metrics().await;
    assert_eq!(["applied", "duplicate"].map(|word| metrics.notifies("bookshop", "payment", word)), [1, 1]);
    assert_eq!(events_of(&merchant, "F11-01", "payment.succeeded").await, 1);
    world.verify().await;
}

/// Watches: the limit on every wait for Redis and the link that is given up after the first one; without them each
/// notify waits for as long as Redis hangs.
#[tokio::test]
async fn f13_redis_hangs_and_is_slow_and_comes_back() {
    const NOTIFIES: usize = 10;
    let world = World::builder().redis_proxy().start().await;
    let (tenant, merchant) = world.bookshop();
    let proxy = world.redis_proxy.as_ref().unwrap();
    let count = |mode: &str| format!("F13-{mode}-");
    for mode in ["silent", "slow", "back"] {
        for number in 0..NOTIFIES {
            paid_silently(&world, &merchant, &format!("{}{number}", count(mode)), 101).await;
        }
    }
    for (word, mode) in [("silent", Mode::Silent), ("slow", Mode::Delay(Duration::from_millis(400)))] {
        proxy.set(mode);
        let mut longest = Duration::ZERO;
        for number in 0..NOTIFIES {
            let started = Instant::now();
            let out_trade_no = format!("{}{number}", count(word));
            assert!(notify_once(&world, &tenant, &out_trade_no).await, "{out_trade_no}");
            longest = longest.max(started.elapsed());
            assert_eq!(merchant.status(&out_trade_no).await, "succeeded");
        }
        assert!(longest < PATIENCE, "with a {word} Redis a notify took {longest:?}");
        if mode == Mode::Silent {
            let readiness = eventually("degraded", SOON, async || {
                let (status, report) = world.gateway.readiness().await.unwrap();
                assert_eq!(status, 200, "degraded is not down: {report}");
                (report["status"] == "degraded").then_some(report)
            });
            let report = readiness.await;
            assert!(report["checks"].to_string().contains("redis"), "{report}");
        }
    }
    proxy.set(Mode::Pass);
    eventually("ready again", SOON, async || {
        let (_, report) = world.gateway.readiness().await.unwrap();
        (report["status"] == "ready").then_some(())
    })
    .await;
    let new = [("backend", "redis"), ("outcome", "new")];
    let before = world.metrics().await.count("dukou_idempotency_total", &new);
    for number in 0..NOTIFIES {
        assert!(notify_once(&world, &tenant, &format!("{}{number}", count("back"))).await);
    }
    let after = world.metrics().await.count("dukou_idempotency_total", &new);
    assert_eq!(after - before, NOTIFIES as u64, "Redis is used again");
    world.verify().await;
}

fn copy_folder(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Watches: markers that belong to one store in one incarnation. With keys that do not name both, the notify is answered
/// as a duplicate and the payment stays pending for ever.
#[tokio::test]
async fn f36_the_store_is_restored_from_an_older_backup() {
    let world = World::builder().redis().start().await;
    let (tenant, merchant) = world.bookshop();
    let data = world.directory().join("data");
    let backup = world.directory().join("backup");
    paid_silently(&world, &merchant, "F36-01", 101).await;
    world.gateway.terminate();
    assert!(world.gateway.wait_exit(SOON).await.success());
    copy_folder(&data, &backup);

    world.gateway.restart().await;
    assert!(notify_once(&world, &tenant, "F36-01").await);
    assert!(notify_once(&world, &tenant, "F36-01").await, "answered from the marker");
    assert_eq!(merchant.status("F36-01").await, "succeeded");
    world.gateway.kill();
    copy_folder(&backup, &data);

    world.gateway.restart().await;
    assert_eq!(merchant.status("F36-01").await, "pending", "the backup is older than the notify");
    let told = "the store is behind what was seen of it";
    eventually("the log says so", SOON, async || world.gateway.logs().contains(told).then_some(())).await;
    assert!(world.metrics().await.value("dukou_store_behind", &[]) > 0.0, "the metric says so");
    let (status, report) = world.gateway.readiness().await.unwrap();
    assert_eq!((status, &report["checks"][0]["status"]), (200, &json!("degraded")), "{report}");
    assert!(report["checks"][0]["detail"].as_str().unwrap().contains("older backup"), "{report}");

    assert!(notify_once(&world, &tenant, "F36-01").await);
    assert_eq!(merchant.status("F36-01").await, "succeeded");
    assert_eq!(world.metrics().await.notifies("bookshop", "payment", "applied"), 1);
    world.checker().degraded().verify().await;
}

/// Watches: the store's identity in every key, as above, where the whole store is another one.
#[tokio::test]
async fn f36_the_store_is_another_one() {
    let world = World::builder().redis().start().await;
    let (tenant, merchant) = world.bookshop();
    succeeded(&world, &merchant, "F36-02", 101).await;
    world.gateway.kill();
    std::fs::remove_dir_all(world.directory().join("data")).unwrap();

    world.gateway.restart().await;
    assert!(!notify_once(&world, &tenant, "F36-02").await, "an order that this store does not know");
    assert_eq!(world.metrics().await.notifies("bookshop", "payment", "unknown_order"), 1);
    // The merchant sends the order again; the platform has the money for it already.
    let answer = merchant.create(&merchant.order("F36-02", 101)).await;
    assert!([200, 201].contains(&answer.status), "{}", answer.text);
    becomes(&merchant, "F36-02", "succeeded").await;
    assert!(notify_once(&world, &tenant, "F36-02").await);
    assert_eq!(events_of(&merchant, "F36-02", "payment.succeeded").await, 1);
    // Two lives of the store made the order at two times; each life sent it in one form.
    let violations = world.checker().violations().await;
    let others: Vec<_> = violations.iter().filter(|one| !one.what.ends_with("was sent in two forms")).collect();
    assert!(others.is_empty(), "{others:?}");
}
