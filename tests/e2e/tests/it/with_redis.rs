//! The same with Redis beside it, and with Redis gone.

use std::time::{Duration, Instant};

use dukou_e2e::{Mode, World, eventually};
use reqwest::Method;
use serde_json::json;
use tokio::time::timeout;

use crate::{SOON, becomes, paid};

/// Waits for a word of `/readyz`, which stays 200.
async fn readiness(world: &World, word: &str) {
    eventually(&format!("readiness {word}"), SOON, async || {
        let (status, document) = world.gateway.readiness().await.unwrap();
        assert_eq!(status, 200, "{document}");
        (document["status"] == *word).then_some(())
    })
    .await;
}

#[tokio::test]
async fn duplicates_are_answered_from_redis() {
    let world = World::builder().redis().start().await;
    let (tenant, merchant) = world.bookshop();
    let redis = world.redis.as_ref().unwrap();
    paid(&world, "RED-001", 100).await;
    world.control.deliver_all().await;
    assert!(redis.key_count() > 0);
    let before = world.metrics().await;
    let written = |metrics: &dukou_e2e::Metrics| metrics.count("dukou_store_seconds_count", &[("operation", "apply")]);
    let deliveries = world.control.notify(&tenant, "RED-001", &json!({ "copies": 30 })).await;
    assert!(deliveries.iter().all(|delivery| delivery["success"] == true));
    let after = world.metrics().await;
    assert_eq!(after.notifies("bookshop", "payment", "duplicate"), 30);
    assert_eq!(written(&after), written(&before), "the store was not asked");
    let labels = [("backend", "redis"), ("outcome", "duplicate")];
    assert_eq!(after.count("dukou_idempotency_total", &labels), 30);

    merchant.refund("RED-001", "R-1", 100).await.expect(201);
    becomes(&merchant, "RED-001", "refunded").await;
    world.control.deliver_all().await;
    world.verify().await;
}

#[tokio::test]
async fn wiped_keys_bring_no_second_effect() {
    let world = World::builder().redis().start().await;
    let (tenant, _) = world.bookshop();
    paid(&world, "WIPE-01", 100).await;
    world.redis.as_ref().unwrap().flush();
    let how = json!({ "copies": 20, "concurrent": true });
    let deliveries = world.control.notify(&tenant, "WIPE-01", &how).await;
    assert!(deliveries.iter().all(|delivery| delivery["success"] == true), "{deliveries:?}");
    assert_eq!(world.metrics().await.notifies("bookshop", "payment", "applied"), 1);
    world.verify().await;
}

#[tokio::test]
async fn without_redis_it_goes_on_and_comes_back_by_itself() {
    let world = World::builder().redis().start().await;
    let redis = world.redis.as_ref().unwrap();
    paid(&world, "AWAY-01", 100).await;
    redis.kill();
    paid(&world, "AWAY-02", 100).await;
    readiness(&world, "degraded").await;
    assert_eq!(world.metrics().await.count("dukou_redis_degraded", &[]), 1);
    world.checker().degraded().verify().await;

    redis.restart().await;
    readiness(&world, "ready").await;
    assert_eq!(world.metrics().await.count("dukou_redis_degraded", &[]), 0);
    paid(&world, "AWAY-03", 100).await;
    world.verify().await;
}

#[tokio::test]
async fn a_silent_redis_costs_little() {
    let world = World::builder().redis_proxy().start().await;
    let (tenant, merchant) = world.bookshop();
    let proxy = world.redis_proxy.as_ref().unwrap();
    merchant.pending("MUTE-01", 100).await;
    world.control.pay_silently(&tenant, "MUTE-01").await;
    proxy.set(Mode::Silent);
    let deliveries = world.control.notify(&tenant, "MUTE-01", &json!({ "copies": 5 })).await;
    for delivery in &deliveries {
        assert_eq!(delivery["success"], true, "{delivery}");
        assert!(delivery["millis"].as_u64().unwrap() < 2000, "{delivery}");
    }
    assert_eq!(merchant.status("MUTE-01").await, "succeeded");
    readiness(&world, "degraded").await;
    proxy.set(Mode::Pass);
    readiness(&world, "ready").await;
    world.verify().await;
}

/// What one instance commits is told live by the other at once. It looks by itself once a second, so that each of a
/// few events would come sooner by chance alone, and half of them would not.
#[tokio::test]
async fn what_one_instance_commits_wakes_the_other() {
    let world = World::builder().two().start().await;
    let stream = world.merchant_at_second("bookshop").request(Method::GET, "/events");
    let stream = stream.timeout(Duration::from_secs(120)).header("accept", "text/event-stream");
    let mut stream = stream.send().await.unwrap();
    let (mut told, mut waits) = (String::new(), Vec::new());
    for number in 0..11 {
        let number = format!("WAKE-{number:03}");
        paid(&world, &number, 100).await;
        let begun = Instant::now();
        while !told.contains(&number) || !told.contains("event: payment.succeeded") {
            let chunk = timeout(SOON, stream.chunk()).await.expect("told in time").unwrap().unwrap();
            told.push_str(&String::from_utf8_lossy(&chunk));
        }
        told.clear();
        waits.push(begun.elapsed());
    }
    waits.sort();
    // Half of what is looked for once a second takes half a second; a busy machine adds to both.
    assert!(waits[waits.len() / 2] < Duration::from_millis(400), "{waits:?}");
    world.verify().await;
}

#[tokio::test]
async fn a_reload_that_one_instance_is_asked_for_is_done_by_the_other() {
    let world = World::builder().two().start().await;
    let said = |gateway: &dukou_e2e::Gateway, word: &str| gateway.logs().contains(word);
    eventually("the other reloads", SOON, async || {
        // The other may not listen yet.
        world.gateway.hang_up();
        eventually("it is asked", SOON, async || said(&world.gateway, "asked to reload").then_some(())).await;
        said(world.second(), "another instance was asked to reload").then_some(())
    })
    .await;
    assert!(!said(&world.gateway, "another instance"), "its own word");
}

/// Watches: the count in Redis, and the instance's own word where there is none. Without the first, each instance lets
/// through as much as all may.
#[tokio::test]
async fn the_limits_are_counted_over_both_instances() {
    let world = World::builder().two().set("limits.sessions_per_client", "1/h burst 3").start().await;
    let log_in = async |gateway: &dukou_e2e::Gateway| {
        let url = format!("{}/v1/bookshop/sessions", gateway.url());
        let body = json!({ "provider": "wechat", "code": "invented" });
        world.client().post(url).json(&body).send().await.unwrap().status().as_u16()
    };
    let [first, second] = [&world.gateway, world.second()];
    for gateway in [first, second, first] {
        assert_eq!(log_in(gateway).await, 400, "it is let through to the platform, which does not know the code");
    }
    assert_eq!(log_in(second).await, 429, "it has let one through itself, and the other two");
    world.redis.as_ref().unwrap().kill();
    assert_eq!(log_in(second).await, 400, "by its own count, in which what was refused counts too");
    assert_eq!(log_in(second).await, 429);
}
