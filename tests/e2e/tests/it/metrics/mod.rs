//! A known mix of traffic, and every counter held against it.

mod ledger;

use std::time::Duration;

use dukou_e2e::{Behaviour, Merchant, Sink, Tenant, World, eventually};
use reqwest::Method;
use serde_json::{Value, json};

use self::ledger::Ledger;
use crate::SOON;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// Tries of a delivery until it is given up.
const TRIES: u64 = 8;

/// Everything that happens happens because the test asks for it: no notify of the platform's own, and
/// no question that comes by itself.
struct Scene {
    world: World,
    ledger: Ledger,
    merchant: Merchant,
    tenant: Tenant,
    taking: Sink,
    failing: Sink,
}

impl Scene {
    async fn start() -> Self {
        let (taking, failing) = (Sink::start(Behaviour::Status(204)).await, Sink::start(Behaviour::Status(500)).await);
        let hooked = |tenant: Tenant, sink: &Sink| {
            tenant.set("webhook.url", sink.url()).set("webhook.secret", SECRET).set("providers.wechat.timeout", "2s")
        };
        let never = || toml::Value::Array(vec!["1h".into()]);
        let world = World::builder()
            .tenant(hooked(Tenant::bookshop(), &taking))
            .tenant(hooked(Tenant::teahouse(), &failing))
            .redis()
            .set("webhooks.allow_private_networks", true)
            .set("queries.unknown", never())
            .set("queries.pending", never())
            .set("queries.refund", never())
            .start()
            .await;
        world.control.policy(&json!({ "auto_notify": false, "auto_settle": false, "unknown_field_share": 0.0 })).await;
        let (tenant, merchant) = world.bookshop();
        Scene { world, ledger: Ledger::default(), merchant, tenant, taking, failing }
    }

    /// A payment that the platform takes.
    async fn pending(&mut self, number: &str) {
        let body = self.merchant.order(number, 101);
        self.ledger.send(&self.merchant, Method::POST, "/payments", "/payments", Some(&body)).await.expect(201);
        self.ledger.payment("bookshop", "created");
        self.ledger.payment("bookshop", "pending");
        self.ledger.call("pay", "ok", 1);
    }

    /// Copies of a payment's notify; how they were answered.
    async fn notify(&self, number: &str, how: Value) -> Vec<Value> {
        self.world.control.notify(&self.tenant, number, &how).await
    }

    /// A payment that is paid and told.
    async fn paid(&mut self, number: &str) {
        self.pending(number).await;
        self.world.control.pay_silently(&self.tenant, number).await;
        self.notify(number, json!({})).await;
        self.ledger.notifies("bookshop", "payment", "applied", 1);
        self.ledger.payment("bookshop", "succeeded");
    }

    async fn create_orders(&mut self) {
        for (number, fault, problem, states, outcome) in [
            ("MIX-REFUSED", json!({ "type": "err_code", "code": "NOAUTH" }), 402, vec!["created", "failed"], "refused"),
            ("MIX-LOST", json!({ "type": "lose_answer" }), 504, vec!["created", "unknown"], "unknown"),
        ] {
            let rule = json!({ "operation": "unifiedorder", "out_trade_no": number, "times": 1, "fault": fault });
            self.world.control.fault(&rule).await;
            let body = self.merchant.order(number, 101);
            let answer = self.ledger.send(&self.merchant, Method::POST, "/payments", "/payments", Some(&body)).await;
            assert_eq!(answer.status, problem, "{number}: {}", answer.text);
            states.into_iter().for_each(|state| self.ledger.payment("bookshop", state));
            self.ledger.call("pay", outcome, 1);
        }
        let path = "/payments/MIX-LOST?refresh=true";
        let route = "/payments/{out_trade_no}";
        let found = self.ledger.send(&self.merchant, Method::GET, path, route, None).await.expect(200);
        assert_eq!(found["status"], "pending");
        self.ledger.call("query", "ok", 1);
        self.ledger.payment("bookshop", "pending");
        let path = "/payments/MIX-LOST/close";
        let route = "/payments/{out_trade_no}/close";
        self.ledger.send(&self.merchant, Method::POST, path, route, Some(&json!({}))).await.expect(200);
        self.ledger.call("close", "ok", 1);
        self.ledger.payment("bookshop", "closed");

        let wrong = json!({ "amount": -1 });
        self.ledger.send(&self.merchant, Method::POST, "/payments", "/payments", Some(&wrong)).await.expect(400);
        let route = "/payments/{out_trade_no}";
        self.ledger.send(&self.merchant, Method::GET, "/payments/NOBODYS", route, None).await.expect(404);
    }

    /// Every outcome of a payment's notify.
    async fn notify_payments(&mut self) {
        self.paid("MIX-01").await;
        self.ledger.claim("redis", "new", 1);
        self.notify("MIX-01", json!({ "copies": 3 })).await;
        self.ledger.notifies("bookshop", "payment", "duplicate", 3);
        self.ledger.claim("redis", "duplicate", 3);

        self.pending("MIX-02").await;
        self.world.control.pay_silently(&self.tenant, "MIX-02").await;
        for (corrupt, outcome) in [("sign", "bad_signature"), ("body", "bad_signature"), ("truncate", "malformed")] {
            self.notify("MIX-02", json!({ "corrupt": corrupt })).await;
            self.ledger.notifies("bookshop", "payment", outcome, 1);
        }
        self.notify("MIX-02", json!({ "set": { "total_fee": 100 } })).await;
        self.ledger.notifies("bookshop", "payment", "mismatch", 1);
        self.ledger.claim("redis", "new", 1);

        self.pending("MIX-03").await;
        let url = self.world.notify_url("bookshop", "payment");
        let mut fields = json!({
            "return_code": "SUCCESS", "result_code": "FAIL", "err_code": "NOTENOUGH", "appid": self.tenant.app_id,
            "mch_id": self.tenant.mch_id, "out_trade_no": "MIX-03", "total_fee": 101, "nonce_str": "n",
        });
        self.world.control.notify_raw(&self.tenant, &url, &fields).await;
        self.ledger.notifies("bookshop", "payment", "not_paid", 1);
        self.ledger.claim("redis", "new", 1);
        fields["result_code"] = json!("SUCCESS");
        for (name, value) in [
            ("out_trade_no", json!("NOBODYS")),
            ("transaction_id", json!("4200000000202611230000000009")),
            ("time_end", json!("20261123120000")),
            ("openid", json!(self.tenant.openid(1))),
            ("cash_fee", json!(101)),
            ("bank_type", json!("OTHERS")),
            ("trade_type", json!("JSAPI")),
        ] {
            fields[name] = value;
        }
        for _ in 0..2 {
            let delivery = self.world.control.notify_raw(&self.tenant, &url, &fields).await;
            assert_eq!(delivery["success"], false, "{delivery}");
        }
        self.ledger.notifies("bookshop", "payment", "unknown_order", 2);
        // The second is a new claim again: a message that was not accepted may come again.
        self.ledger.claim("redis", "new", 2);
    }

    /// Refunds, and the outcomes of their notifies that are their own.
    async fn refund(&mut self) {
        let (path, route) = ("/payments/MIX-01/refunds", "/payments/{out_trade_no}/refunds");
        for (number, amount, status) in [("MIX-R1", 40, 201), ("MIX-R2", 62, 422)] {
            let body = json!({ "out_refund_no": number, "amount": amount });
            self.ledger.send(&self.merchant, Method::POST, path, route, Some(&body)).await.expect(status);
        }
        self.ledger.call("refund", "ok", 1);
        self.ledger.refund("bookshop", "created");
        self.ledger.refund("bookshop", "processing");
        let settle = format!("/orders/{}/MIX-01/refunds/MIX-R1/settle", self.tenant.mch_id);
        self.world.control.must(&settle, &json!({ "status": "SUCCESS", "notify": false })).await;

        let told = json!({ "kind": "refund", "out_refund_no": "MIX-R1" });
        let rule = json!({ "operation": "refundquery", "times": 1, "fault": { "type": "lose_answer" } });
        self.world.control.fault(&rule).await;
        self.notify("MIX-01", told.clone()).await;
        self.ledger.notifies("bookshop", "refund", "error", 1);
        self.ledger.call("query_refund", "unknown", 1);
        self.notify("MIX-01", told.clone()).await;
        self.ledger.notifies("bookshop", "refund", "applied", 1);
        self.ledger.call("query_refund", "ok", 1);
        self.ledger.refund("bookshop", "succeeded");
        self.ledger.payment("bookshop", "partially_refunded");
        self.notify("MIX-01", told).await;
        self.ledger.notifies("bookshop", "refund", "duplicate", 1);
        self.ledger.claim("redis", "new", 2);
        self.ledger.claim("redis", "duplicate", 1);
    }

    /// The same while Redis is away: the store knows what is a duplicate.
    async fn without_redis(&mut self) {
        self.pending("MIX-04").await;
        self.world.control.pay_silently(&self.tenant, "MIX-04").await;
        self.world.redis.as_ref().unwrap().kill();
        self.notify("MIX-04", json!({ "copies": 2 })).await;
        self.ledger.notifies("bookshop", "payment", "applied", 1);
        self.ledger.notifies("bookshop", "payment", "duplicate", 1);
        self.ledger.payment("bookshop", "succeeded");
        self.ledger.claim("redis", "unavailable", 2);
        assert_eq!(self.world.metrics().await.count("dukou_redis_degraded", &[]), 1);
        self.world.redis.as_ref().unwrap().restart().await;
        eventually("Redis is used again", SOON, async || {
            (self.world.metrics().await.count("dukou_redis_degraded", &[]) == 0).then_some(())
        })
        .await;
    }

    /// A webhook that takes nothing, until one delivery is given up.
    async fn exhaust_a_delivery(&mut self) {
        let merchant = self.world.merchant("teahouse");
        let body = merchant.order("MIX-TEA", 101);
        self.ledger.send(&merchant, Method::POST, "/payments", "/payments", Some(&body)).await.expect(201);
        self.ledger.payment("teahouse", "created");
        self.ledger.payment("teahouse", "pending");
        self.ledger.call("pay", "ok", 1);
        let mut tried = 0;
        while tried < TRIES {
            let ledger = &mut self.ledger;
            let delivery = eventually("one more try", SOON, async || {
                let route = "/deliveries";
                let page = ledger.send(&merchant, Method::GET, "/deliveries?limit=100", route, None).await.expect(200);
                let oldest = page["data"].as_array().and_then(|all| all.last()).cloned()?;
                (oldest["attempt_count"].as_u64()? > tried).then_some(oldest)
            })
            .await;
            tried = delivery["attempt_count"].as_u64().unwrap();
            if tried < TRIES {
                let path = format!("/deliveries/{}/retry", delivery["id"].as_str().unwrap());
                let route = "/deliveries/{id}/retry";
                self.ledger.send(&merchant, Method::POST, &path, route, None).await.expect(200);
            }
        }
    }

    /// A tenant's file that is broken, and mended as another.
    async fn reload(&mut self) {
        let file = self.world.gateway.config().join("tenants/teahouse.toml");
        let put = |text: &str| {
            let aside = self.world.directory().join("aside.toml");
            std::fs::write(&aside, text).unwrap();
            std::fs::rename(&aside, &file).unwrap();
            self.world.gateway.hang_up();
        };
        let whole = std::fs::read_to_string(&file).unwrap();
        let refused = async || self.world.metrics().await.count("dukou_config_refused_files", &[]);
        assert_eq!(refused().await, 0);
        put(&whole.replace("mch_id", "mchid"));
        eventually("the file is refused", SOON, async || (refused().await == 1).then_some(())).await;
        put(&whole.replace("The teahouse", "The tea house"));
        eventually("the file is in force", SOON, async || (refused().await == 0).then_some(())).await;
        self.ledger.add("dukou_config_reload_total", &[("outcome", "refused")], 1);
        self.ledger.add("dukou_config_reload_total", &[("outcome", "applied")], 1);
    }

    /// What the endpoints got and the logs hold says what should have been counted besides.
    async fn settle_deliveries(&mut self) {
        for tenant in ["bookshop", "teahouse"] {
            let merchant = self.world.merchant(tenant);
            let route = "/events";
            let log = self.ledger.send(&merchant, Method::GET, "/events?limit=500", route, None).await.expect(200);
            let log = log["data"].as_array().unwrap();
            self.ledger.events(tenant, log);
            if tenant == "bookshop" {
                eventually("every event delivered", SOON, async || (self.taking.count() >= log.len()).then_some(()))
                    .await;
                self.ledger.delivery(tenant, "delivered", log.len() as u64);
            }
        }
    }

    /// The tries that failed are those that the endpoint saw; one of them was the last of its delivery.
    async fn failed_tries(&self) -> (u64, u64) {
        let metrics = self.world.metrics().await;
        let count =
            |outcome| metrics.count("dukou_webhook_deliveries_total", &[("tenant", "teahouse"), ("outcome", outcome)]);
        (count("failed"), count("exhausted"))
    }
}

#[tokio::test]
async fn every_counter_says_what_happened() {
    let mut scene = Scene::start().await;
    scene.create_orders().await;
    scene.notify_payments().await;
    scene.refund().await;
    scene.without_redis().await;
    scene.exhaust_a_delivery().await;
    scene.reload().await;
    scene.settle_deliveries().await;

    // The tea house's deliveries go on failing at their own pace, so those are counted at one moment.
    let (metrics, failed) = eventually("the endpoint's tries are counted", SOON, async || {
        let before = scene.failing.count() as u64;
        let (failed, exhausted) = scene.failed_tries().await;
        let metrics = scene.world.metrics().await;
        let counted = metrics.count("dukou_webhook_deliveries_total", &[("tenant", "teahouse")]);
        let still = scene.failing.count() as u64 == before && counted == before && failed + exhausted == before;
        (still && exhausted == 1).then_some((metrics, failed))
    })
    .await;
    scene.ledger.delivery("teahouse", "exhausted", 1);
    scene.ledger.delivery("teahouse", "failed", failed);
    let differences = scene.ledger.differences(&metrics);
    assert!(differences.is_empty(), "{}", differences.join("\n"));

    // What is measured at a moment.
    let waiting = scene.world.merchant("teahouse").get("/deliveries?status=pending&limit=100").await.expect(200);
    let waiting = waiting["data"].as_array().unwrap().len() as u64;
    assert!(waiting > 0);
    eventually("what waits is counted", SOON, async || {
        let metrics = scene.world.metrics().await;
        let backlog = |tenant| metrics.count("dukou_webhook_backlog", &[("tenant", tenant)]);
        let oldest = metrics.count("dukou_webhook_oldest_pending_seconds", &[]);
        ((backlog("teahouse"), backlog("bookshop")) == (waiting, 0) && oldest > 0).then_some(())
    })
    .await;
    if !scene.world.is_on_postgres() {
        assert!(metrics.value("dukou_store_file_bytes", &[("file", "database")]) > 0.0);
    }
    assert!(metrics.count("dukou_store_seconds_count", &[("operation", "apply")]) > 0);
    assert!(metrics.count("dukou_store_seconds_count", &[("operation", "deliveries")]) > 0);
    assert_eq!(metrics.count("dukou_build_info", &[]), 1);
}

/// The gateway looks at ages every ten seconds, and one may be too young to count at the first look.
const AGES: Duration = Duration::from_secs(40);

#[tokio::test]
async fn what_waits_too_long_has_an_age() {
    let tenant = Tenant::bookshop().set("providers.wechat.timeout", "1s");
    let never = toml::Value::Array(vec!["1h".into()]);
    let world = World::builder()
        .tenant(tenant)
        .set("queries.unknown", never.clone())
        .set("queries.refund", never)
        .start()
        .await;
    let (tenant, merchant) = world.bookshop();
    world.control.policy(&json!({ "auto_notify": false, "auto_settle": false })).await;
    let age = async |what: &str| {
        world.metrics().await.count("dukou_open_oldest_seconds", &[("tenant", "bookshop"), ("what", what)])
    };
    for what in
        ["payment_unknown", "payment_overdue", "refund_unknown", "refund_unsent", "refund_processing", "question_due"]
    {
        assert_eq!(age(what).await, 0, "{what}");
    }
    let lost = |operation: &str| json!({ "operation": operation, "times": 1, "fault": { "type": "lose_answer" } });
    world.control.fault(&lost("unifiedorder")).await;
    merchant.create(&merchant.order("AGE-01", 101)).await.problem(504, "provider_timeout");
    merchant.pending("AGE-02", 101).await;
    world.control.pay_silently(&tenant, "AGE-02").await;
    world.control.notify(&tenant, "AGE-02", &json!({})).await;
    world.control.fault(&lost("refund")).await;
    assert_eq!(merchant.refund("AGE-02", "R-1", 40).await.expect(201)["status"], "unknown");
    for what in ["payment_unknown", "refund_unknown"] {
        eventually(what, AGES, async || (age(what).await > 0).then_some(())).await;
    }
    assert_eq!(age("payment_overdue").await, 0);
    // Once the platform is asked and tells, nothing is unknown any more.
    merchant.refresh("AGE-01").await.expect(200);
    merchant.get("/refunds/R-1?refresh=true").await.expect(200);
    for what in ["payment_unknown", "refund_unknown"] {
        eventually(what, AGES, async || (age(what).await == 0).then_some(())).await;
    }
}
