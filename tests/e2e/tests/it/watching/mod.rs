//! A real Prometheus watches the real gateway, and every panel of every dashboard shows something.

mod dashboards;

use std::collections::BTreeSet;

use dukou_e2e::{Behaviour, Prometheus, Sink, Tenant, World, eventually, ops};
use serde_json::{Value, json};

use crate::{SOON, becomes, refund_becomes};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// Shown by panels before the gateway has them.
const AWAITED: &[&str] = &["dukou_trust_expiry_seconds"];

/// What the demo shows, once: pay, notify, duplicate, forged, refund, refund notify; a login; calls that fail, here and at
/// the platform.
async fn shop(world: &World, tenant: &str, round: u32) {
    let merchant = world.merchant(tenant);
    let number = |what: &str| format!("{what}-{round:03}");
    let paid = number("PAID");
    merchant.pending(&paid, 101).await;
    world.control.pay(&merchant.tenant, &paid).await;
    becomes(&merchant, &paid, "succeeded").await;
    for how in [json!({ "copies": 2 }), json!({ "corrupt": "sign" }), json!({ "set": { "total_fee": 1 } })] {
        world.control.notify(&merchant.tenant, &paid, &how).await;
    }
    let refund = format!("R-{round}");
    merchant.refund(&paid, &refund, 40).await.expect(201);
    refund_becomes(&merchant, &refund, "succeeded").await;
    let (code, _) = world.control.code(&merchant.tenant).await;
    let login = json!({ "provider": "wechat", "code": code });
    merchant.post("/sessions", &login).await.expect(201);
    merchant.payment("NOBODYS").await.problem(404, "not_found");
    for (what, fault) in
        [("LOST", json!({ "type": "lose_answer" })), ("DENY", json!({ "type": "err_code", "code": "NOAUTH" }))]
    {
        let rule = json!({ "operation": "unifiedorder", "out_trade_no": number(what), "times": 1, "fault": fault });
        world.control.fault(&rule).await;
        let answer = merchant.create(&merchant.order(&number(what), 101)).await;
        assert!(answer.status >= 400, "{}", answer.text);
    }
}

async fn watched() -> (World, Prometheus, [Sink; 2]) {
    let sinks = [Sink::start(Behaviour::Status(204)).await, Sink::start(Behaviour::Status(500)).await];
    let hooked = |tenant: Tenant, sink: &Sink| tenant.set("webhook.url", sink.url()).set("webhook.secret", SECRET);
    let world = World::builder()
        // One of the panels shows the size of its file.
        .embedded()
        .tenant(hooked(Tenant::bookshop(), &sinks[0]))
        .tenant(hooked(Tenant::teahouse(), &sinks[1]))
        .redis()
        .set("webhooks.allow_private_networks", true)
        .start()
        .await;
    let target = world.gateway.admin_url().replace("http://", "");
    let prometheus = Prometheus::start(&target, world.client().clone()).await;
    (world, prometheus, sinks)
}

/// Whether a result has a value to show.
fn shows(result: &[Value]) -> bool {
    result.iter().any(|series| series["value"][1].as_str().is_some_and(|value| value != "NaN"))
}

/// Waits until Prometheus has seen that many successes.
async fn scraped(prometheus: &Prometheus, succeeded: f64) {
    eventually("the traffic is scraped", SOON, async || {
        let result = prometheus.query("sum(dukou_payments_total{status=\"succeeded\"})").await.unwrap();
        let value: f64 = result.first()?["value"][1].as_str()?.parse().ok()?;
        (value >= succeeded).then_some(())
    })
    .await;
}

#[tokio::test]
async fn every_panel_shows_something() {
    let (world, prometheus, _sinks) = watched().await;
    eventually("the gateway's first scrape", SOON, async || {
        shows(&prometheus.query("up{job=\"dukou\"} == 1").await.unwrap()).then_some(())
    })
    .await;
    // A series that was not there before counts from its second sight on.
    for round in 1..=3 {
        for tenant in ["bookshop", "teahouse"] {
            shop(&world, tenant, round).await;
        }
        scraped(&prometheus, f64::from(round * 2)).await;
    }

    let targets = prometheus.get("/api/v1/targets", &[("state", "active")]).await;
    let targets = targets["data"]["activeTargets"].as_array().unwrap();
    assert!(targets.len() == 1 && targets[0]["health"] == "up", "{targets:?}");
    let rules = eventually("every rule was run", SOON, async || {
        let answer = prometheus.get("/api/v1/rules", &[]).await;
        let groups = answer["data"]["groups"].as_array()?.clone();
        let rules: Vec<Value> =
            groups.iter().flat_map(|group| group["rules"].as_array().cloned().unwrap_or_default()).collect();
        rules.iter().all(|rule| rule["health"] != "unknown").then_some(rules)
    })
    .await;
    assert!(rules.len() > 30, "{} rules are loaded", rules.len());
    let broken: Vec<&Value> = rules.iter().filter(|rule| rule["health"] != "ok").collect();
    assert!(broken.is_empty(), "{broken:?}");

    let queries = dashboards::queries();
    assert!(queries.len() > 50, "{} queries were found", queries.len());
    let mut empty = Vec::new();
    for query in queries {
        if AWAITED.iter().any(|name| query.expression.contains(name)) {
            prometheus.query(&query.expression).await.unwrap_or_else(|error| panic!("{}: {error}", query.place));
            continue;
        }
        let shown = dukou_e2e::settled(SOON, async || {
            let result = prometheus.query(&query.expression).await;
            let result = result.unwrap_or_else(|error| panic!("{}: {}: {error}", query.place, query.expression));
            shows(&result).then_some(())
        });
        if shown.await.is_none() {
            empty.push(format!("{}: {}", query.place, query.expression));
        }
    }
    assert!(empty.is_empty(), "panels show nothing:\n{}", empty.join("\n"));
}

#[test]
fn every_dashboard_can_be_loaded() {
    let source = std::fs::read_to_string(ops().join("grafana/provisioning/datasources/prometheus.yml")).unwrap();
    let uid = source.lines().find_map(|line| line.trim().strip_prefix("uid: ")).unwrap();
    let mut uids = BTreeSet::new();
    for (file, dashboard) in dashboards::all() {
        assert_eq!(dashboards::faults(&file, &dashboard, uid), [] as [String; 0]);
        assert!(dashboard["schemaVersion"].is_u64() && dashboard["title"].is_string(), "{file}");
        assert!(uids.insert(dashboard["uid"].as_str().unwrap().to_owned()), "{file} has the uid of another");
    }
}
