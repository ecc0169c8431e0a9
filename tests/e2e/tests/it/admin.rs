//! An operator looks at the gateway.

use dukou_e2e::{Answer, Tenant, World, eventually};
use serde_json::json;

use crate::{SOON, becomes, paid};

#[tokio::test]
async fn the_metrics_of_the_contract_are_there() {
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    paid(&world, "METER-1", 100).await;
    merchant.refund("METER-1", "R-1", 40).await.expect(201);
    becomes(&merchant, "METER-1", "partially_refunded").await;
    merchant.payment("NOBODYS").await.problem(404, "not_found");
    world.control.notify(&tenant, "METER-1", &json!({ "corrupt": "sign" })).await;
    let metrics = world.metrics().await;
    for name in [
        "dukou_http_requests_total",
        "dukou_http_request_seconds",
        "dukou_payments_total",
        "dukou_refunds_total",
        "dukou_notify_total",
        "dukou_notify_seconds",
        "dukou_provider_request_seconds",
        "dukou_idempotency_total",
        "dukou_store_seconds",
        "dukou_build_info",
    ] {
        assert!(metrics.has(name), "{name} is missing");
    }
    let ours = [("tenant", "bookshop"), ("provider", "wechat")];
    for (name, label, expected) in [
        ("dukou_payments_total", ("status", "succeeded"), 1),
        ("dukou_refunds_total", ("status", "succeeded"), 1),
        ("dukou_notify_total", ("outcome", "bad_signature"), 1),
        ("dukou_notify_total", ("outcome", "error"), 0),
    ] {
        assert_eq!(metrics.count(name, &[ours[0], ours[1], label]), expected, "{name} {label:?}");
    }
    let route = ("route", "/v1/{tenant}/payments/{out_trade_no}");
    let found = [route, ("method", "GET"), ("status", "404")];
    assert_eq!(metrics.count("dukou_http_requests_total", &found), 1, "by the pattern, not by the path");
    let refund = [("provider", "wechat"), ("operation", "refund")];
    assert_eq!(metrics.count("dukou_provider_request_seconds_count", &refund), 1);
}

#[tokio::test]
async fn labels_come_from_configuration_and_not_from_requests() {
    let world = World::start().await;
    let merchant = world.merchant("bookshop");
    for path in ["/v1/evil%22tenant/payments", "/v1/a/b/c/d", "/notify/evil/evil/payment", "/EVIL"] {
        let answer = world.client().get(format!("{}{path}", world.gateway.url())).send().await.unwrap();
        assert!(answer.status().is_client_error());
    }
    merchant.payment("EVIL-01").await.problem(404, "not_found");
    let text = world.metrics().await.text;
    assert!(!text.to_lowercase().contains("evil"), "a request named a label");
}

#[tokio::test]
async fn probes_tell_and_stay_off_the_public_listener() {
    let world = World::start().await;
    let healthz = world.client().get(format!("{}/healthz", world.gateway.admin_url())).send().await.unwrap();
    assert_eq!((healthz.status().as_u16(), healthz.text().await.unwrap().as_str()), (200, "ok"));
    let (status, ready) = world.gateway.readiness().await.unwrap();
    assert_eq!((status, &ready["status"]), (200, &json!("ready")));
    let checks = ready["checks"].as_array().unwrap();
    assert!(checks.iter().any(|check| check["name"] == "store" && check["status"] == "ready"), "{ready}");
    for path in ["/metrics", "/healthz", "/readyz"] {
        let answer = world.client().get(format!("{}{path}", world.gateway.url())).send().await.unwrap();
        Answer::read(answer).await.unwrap().problem(404, "not_found");
    }
    let answer =
        world.client().get(format!("{}/v1/bookshop/payments", world.gateway.admin_url())).send().await.unwrap();
    assert_eq!(answer.status(), 404, "nor is the public side on the admin listener");
}

#[tokio::test]
async fn that_nothing_can_be_written_is_seen_although_nobody_asks() {
    let world = World::builder().embedded().start().await;
    let ready = async || {
        let metrics = world.metrics().await;
        metrics.has("dukou_ready").then(|| metrics.count("dukou_ready", &[("check", "store")]))
    };
    let becomes =
        async |value| eventually("the gauge", SOON, async || (ready().await == Some(value)).then_some(())).await;
    becomes(1).await;
    let locker = rusqlite::Connection::open(world.directory().join("data/dukou.db")).unwrap();
    locker.execute_batch("BEGIN IMMEDIATE").unwrap();
    becomes(0).await;
    locker.execute_batch("COMMIT").unwrap();
    becomes(1).await;
}

#[tokio::test]
async fn a_request_is_found_again_in_the_log() {
    let world = World::start().await;
    let merchant = world.merchant("bookshop");
    let named = merchant.request(reqwest::Method::GET, "/payments/NOBODY1").header("x-request-id", "trace-me-42");
    let answer = merchant.send(named).await.unwrap();
    assert_eq!(answer.header("x-request-id"), Some("trace-me-42"));
    assert_eq!(answer.problem(404, "not_found")["request_id"], "trace-me-42");
    let made = merchant.payment("NOBODY1").await;
    let id = made.header("x-request-id").unwrap().to_owned();
    assert_eq!(made.json["request_id"], *id);
    for id in ["trace-me-42", &id] {
        let line = eventually("the request is in the log", SOON, async || {
            world.gateway.logs().lines().find(|line| line.contains(id)).map(str::to_owned)
        });
        let line = line.await;
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert!(line.to_string().contains("bookshop") && line.to_string().contains("404"), "{line}");
    }
}

#[tokio::test]
async fn at_the_most_detailed_level_no_secret_is_logged() {
    let world =
        World::builder().tenant(Tenant::bookshop()).tenant(Tenant::teahouse()).env("RUST_LOG", "trace").start().await;
    let (tenant, merchant) = world.bookshop();
    let (code, _) = world.control.code(&tenant).await;
    let mut body = merchant.order("SECRET1", 100);
    body["payer"] = json!({ "code": code });
    merchant.create(&body).await.expect(201);
    world.control.pay(&tenant, "SECRET1").await;
    becomes(&merchant, "SECRET1", "succeeded").await;
    merchant.refund("SECRET1", "R-1", 40).await.expect(201);
    becomes(&merchant, "SECRET1", "partially_refunded").await;
    world.control.notify(&tenant, "SECRET1", &json!({ "corrupt": "sign" })).await;
    world.control.fault(&json!({ "operation": "*", "fault": { "type": "http", "status": 500 } })).await;
    merchant.create(&merchant.order("SECRET2", 100)).await;
    body["out_trade_no"] = json!("SECRET3");
    merchant.create(&body).await;
    world.control.clear_faults().await;
    world.control.deliver_all().await;
    world.checker().secret(&code).verify().await;
}
