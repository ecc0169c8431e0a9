//! Tenants' files that change while the gateway runs.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use dukou_e2e::{Tenant, World, eventually};
use serde_json::json;

use crate::support::{SOON, becomes, notify_once, paid_silently, refund_becomes, succeeded};

/// A change is in force after this time at the latest.
const IN_FORCE: Duration = Duration::from_secs(5);
/// Tenants in [`f35_a_thousand_tenants`].
const MANY: usize = 1_000;
/// For reading them, and for one request meanwhile. The program under test is not optimised, and tests run side by
/// side: what is promised is a second and 50 ms.
const READ_LIMIT: Duration = Duration::from_secs(if cfg!(debug_assertions) { 25 } else { 1 });
const PAUSE_LIMIT: Duration = Duration::from_millis(if cfg!(debug_assertions) { 2000 } else { 50 });

fn file(world: &World, tenant: &str) -> PathBuf {
    world.gateway.config().join(format!("tenants/{tenant}.toml"))
}

async fn reloads(world: &World, outcome: &str) -> u64 {
    world.metrics().await.count("dukou_config_reload_total", &[("outcome", outcome)])
}

/// Waits until the tenant's own key is answered with this status.
async fn answers(world: &World, tenant: &str, status: u16) {
    let merchant = world.merchant(tenant);
    eventually(&format!("{tenant} is answered {status}"), IN_FORCE, async || {
        (merchant.list("limit=1").await.status == status).then_some(())
    })
    .await;
}

/// Watches: the engine's way to a tenant that is gone (`find_even_removed`), whose keys open nothing.
#[tokio::test]
async fn f35_removed_while_payments_are_pending() {
    let world = World::builder().tenant(Tenant::bookshop()).tenant(Tenant::teahouse()).start().await;
    let (tenant, merchant) = (world.tenant("teahouse").clone(), world.merchant("teahouse"));
    let (_, bookshop) = world.bookshop();
    paid_silently(&world, &merchant, "F35-01", 101).await;
    succeeded(&world, &merchant, "F35-02", 202).await;
    world.control.policy(&json!({ "auto_settle": false })).await;
    merchant.refund("F35-02", "R35-02", 202).await.expect(201);

    let text = std::fs::read(file(&world, "teahouse")).unwrap();
    std::fs::remove_file(file(&world, "teahouse")).unwrap();
    answers(&world, "teahouse", 401).await;
    merchant.create(&merchant.order("F35-03", 101)).await.problem(401, "unauthorized");
    assert!(notify_once(&world, &tenant, "F35-01").await, "its payments can still be notified");
    assert_eq!(world.metrics().await.notifies("teahouse", "payment", "applied"), 2);
    // Told in a notify that the gateway believes only after it asked the platform itself.
    world.control.settle(&tenant, "F35-02", "R35-02", "SUCCESS").await;
    world.control.deliver_all().await;
    succeeded(&world, &bookshop, "F35-04", 101).await;

    std::fs::write(file(&world, "teahouse"), text).unwrap();
    answers(&world, "teahouse", 200).await;
    assert_eq!(merchant.status("F35-01").await, "succeeded");
    refund_becomes(&merchant, "R35-02", "succeeded").await;
    assert_eq!((reloads(&world, "applied").await, reloads(&world, "refused").await), (2, 0));
    world.verify().await;
}

/// Watches: a change counts at the second look that sees it, and an error leaves the old settings in force.
#[tokio::test]
async fn f35_half_written_or_wrong() {
    let world = World::builder().tenant(Tenant::bookshop()).tenant(Tenant::teahouse()).start().await;
    let (tenant, merchant) = world.bookshop();
    merchant.pending("F35-11", 101).await;
    let path = file(&world, "bookshop");
    let text = std::fs::read_to_string(&path).unwrap();
    let mch_id = world.tenant("teahouse").mch_id.clone();
    for (round, (broken, key)) in [
        (text[..text.len() / 2].to_owned(), "line "),
        (text.replace("api_keys", "apikeys"), "apikeys: is not a known key"),
        (text.replace(&tenant.mch_id, &mch_id), "shares merchant account"),
        (text.replace("secrets/bookshop/backend", "secrets/nowhere"), "api_keys[0].secret: names "),
    ]
    .into_iter()
    .enumerate()
    {
        std::fs::write(&path, broken).unwrap();
        let refused = round as u64 + 1;
        eventually("it is refused", IN_FORCE, async || (reloads(&world, "refused").await == refused).then_some(()))
            .await;
        let logs = world.gateway.logs();
        assert!(logs.lines().any(|line| line.contains("tenants/bookshop.toml") && line.contains(key)), "{key}: {logs}");
        let number = format!("F35-2{round}");
        succeeded(&world, &merchant, &number, 101).await;
    }
    // Another key, and the one before it no more.
    let renewed = "another-key-of-the-bookshop-8fK2";
    std::fs::write(world.gateway.config().join("secrets/bookshop/second"), renewed).unwrap();
    std::fs::write(&path, text.replace("secrets/bookshop/backend", "secrets/bookshop/second")).unwrap();
    answers(&world, "bookshop", 401).await;
    let request = world.client().get(format!("{}/v1/bookshop/payments/F35-11", world.gateway.url()));
    assert_eq!(request.bearer_auth(renewed).send().await.unwrap().status(), 200);
    std::fs::write(&path, &text).unwrap();
    world.gateway.hang_up();
    eventually("asked for it, it is in force at once", Duration::from_secs(2), async || {
        (merchant.list("limit=1").await.status == 200).then_some(())
    })
    .await;
    world.control.pay(&tenant, "F35-11").await;
    becomes(&merchant, "F35-11", "succeeded").await;
    world.verify().await;
}

/// Watches: reading on a thread of its own, and that what did not change is not built again.
#[tokio::test]
async fn f35_a_thousand_tenants() {
    let world = World::builder().tenant(Tenant::bookshop().prefix("BK")).start().await;
    let (_, merchant) = world.bookshop();
    let text = std::fs::read_to_string(file(&world, "bookshop")).unwrap();
    for number in 0..MANY {
        let id = format!("shop-{number:04}");
        let text = text
            .replace("id = \"bookshop\"", &format!("id = \"{id}\""))
            .replace("\"BK\"", &format!("\"S{number:04}\""));
        assert!(text.contains(&id) && text.contains(&format!("S{number:04}")), "{text}");
        std::fs::write(file(&world, &id), text).unwrap();
    }
    merchant.pending("F35-31", 101).await;

    let started = Instant::now();
    world.gateway.hang_up();
    let (mut longest, mut requests) = (Duration::ZERO, 0);
    // What the gateway itself measured: this test's own requests take time too.
    let took = || {
        let logs = world.gateway.logs();
        let line = logs.lines().rev().find(|line| line.contains("\"changed\":1000"))?;
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        line["took_ms"].as_u64().map(Duration::from_millis)
    };
    let took = loop {
        if let Some(took) = took() {
            break took;
        }
        let sent = Instant::now();
        merchant.payment("F35-31").await.expect(200);
        longest = longest.max(sent.elapsed());
        requests += 1;
        assert!(started.elapsed() < SOON * 2, "{}", world.gateway.logs());
    };
    println!("{MANY} tenants in {took:?}; the longest of {requests} requests meanwhile took {longest:?}");
    assert!(took < READ_LIMIT, "{took:?}");
    assert!(longest < PAUSE_LIMIT, "{longest:?}");
    let mut last = Tenant::bookshop();
    last.id = "shop-0999".to_owned();
    let last = dukou_e2e::Merchant::new(&last, &world.gateway.url(), world.client().clone());
    last.pending("F35-32", 101).await;
    // Looked at again and again, they cost little.
    let before = (Instant::now(), world.gateway.cpu_time());
    eventually("some time", SOON, async || (before.0.elapsed() > Duration::from_secs(6)).then_some(())).await;
    let share = world.gateway.cpu_time().saturating_sub(before.1).as_secs_f64() / before.0.elapsed().as_secs_f64();
    println!("following them takes {:.1} % of a processor", share * 100.0);
}
