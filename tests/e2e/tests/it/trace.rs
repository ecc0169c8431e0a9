//! Somebody asks at night where a payment is.

use dukou_e2e::{Behaviour, Buyer, Finished, Sink, Tenant, V3Trust, World, dukou, eventually};
use serde_json::{Value, json};

use crate::{SOON, becomes, paid, refund_becomes};

const TOKEN: &str = "an-operators-token-0123456789";

async fn trace(world: &World, out_trade_no: &str, more: &[&str]) -> Finished {
    let config = world.gateway.config().to_str().unwrap().to_owned();
    let admin = world.gateway.admin_url().trim_start_matches("http://").to_owned();
    let arguments = [&["trace", "--config", &config, "bookshop", out_trade_no], more].concat();
    dukou(&arguments, &[("DUKOU__ADMIN__TOKEN", TOKEN), ("DUKOU__ADMIN__LISTEN", &admin)]).await
}

async fn timeline(world: &World, out_trade_no: &str) -> Value {
    let finished = trace(world, out_trade_no, &["--json"]).await;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    serde_json::from_str(&finished.stdout).unwrap()
}

fn kinds(timeline: &Value) -> Vec<&str> {
    timeline["entries"].as_array().unwrap().iter().map(|entry| entry["kind"].as_str().unwrap()).collect()
}

fn waits(timeline: &Value) -> Vec<&str> {
    timeline["waiting"].as_array().unwrap().iter().map(|one| one["code"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_lost_answer_a_copy_a_dead_webhook_and_a_refund_stand_in_one_timeline() {
    let sink = Sink::start(Behaviour::Status(500)).await;
    let tenant = Tenant::bookshop()
        .set("providers.wechat.timeout", "2s")
        .set("webhook.url", sink.url())
        .set("webhook.secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let world = World::builder()
        .tenant(tenant)
        .set("webhooks.allow_private_networks", true)
        .env("DUKOU__ADMIN__TOKEN", TOKEN)
        .start()
        .await;
    let (tenant, merchant) = world.bookshop();
    let lose = json!({ "operation": "unifiedorder", "times": 1, "fault": { "type": "lose_answer" } });
    world.control.fault(&lose).await;
    merchant.create(&merchant.order("TRACE-1", 101)).await.problem(504, "provider_timeout");
    let lost = timeline(&world, "TRACE-1").await;
    if lost["payment"]["status"] == "unknown" {
        assert_eq!(waits(&lost)[0], "lost_answer");
    }
    becomes(&merchant, "TRACE-1", "pending").await;
    assert_eq!(waits(&timeline(&world, "TRACE-1").await)[0], "payment");

    world.control.pay(&tenant, "TRACE-1").await;
    becomes(&merchant, "TRACE-1", "succeeded").await;
    world.control.notify(&tenant, "TRACE-1", &json!({ "copies": 2 })).await;
    merchant.refund("TRACE-1", "R-1", 40).await.expect(201);
    refund_becomes(&merchant, "R-1", "succeeded").await;
    eventually("the webhook was tried", SOON, async || (sink.count() > 0).then_some(())).await;
    let told = eventually("a try stands in the timeline", SOON, async || {
        let told = timeline(&world, "TRACE-1").await;
        kinds(&told).contains(&"delivery").then_some(told)
    })
    .await;

    let entries = told["entries"].as_array().unwrap();
    assert!(entries.is_sorted_by_key(|entry| entry["at"].as_str().map(str::to_owned)), "{told:#}");
    let calls: Vec<(&str, &str)> = entries
        .iter()
        .filter(|entry| entry["kind"] == "call")
        .map(|entry| (entry["operation"].as_str().unwrap(), entry["outcome"].as_str().unwrap()))
        .collect();
    assert_eq!(calls[0], ("pay", "unknown"), "{calls:?}");
    assert!(calls.contains(&("query", "ok")) && calls.contains(&("refund", "ok")), "{calls:?}");
    for event in ["payment.created", "payment.unknown", "payment.pending", "payment.succeeded", "refund.succeeded"] {
        assert!(entries.iter().any(|entry| entry["kind"] == "event" && entry["event_type"] == event), "{event}");
    }
    let back = entries.iter().find(|entry| entry["event_type"] == "payment.partially_refunded").unwrap();
    assert_eq!(
        back["words"],
        json!({ "zh": "部分退款：共 1.01 CNY，已退 0.40 CNY", "en": "partly refunded: 0.40 CNY of 1.01 CNY" })
    );
    let notify = entries.iter().find(|entry| entry["kind"] == "notify" && entry["about"] == "payment").unwrap();
    assert_eq!((&notify["outcome"], &notify["fields"]["total_fee"]), (&json!("applied"), &json!("101")));
    for hidden in ["sign", "nonce_str"] {
        assert_eq!(notify["fields"][hidden], "***", "{notify:#}");
    }
    let failed = entries.iter().find(|entry| entry["kind"] == "delivery").unwrap();
    assert_eq!(failed["attempt"]["status_code"], 500);
    assert!(waits(&told).contains(&"delivery"), "{told:#}");
    let openid = merchant.payment("TRACE-1").await.expect(200)["openid"].as_str().unwrap().to_owned();
    assert!(!told.to_string().contains(&openid), "who paid is not told whole");

    for (language, words) in [("zh", "应答丢失"), ("zh", "支付成功"), ("en", "the refund succeeded"), ("en", "now: ")]
    {
        let shown = trace(&world, "TRACE-1", &["--lang", language]).await;
        assert_eq!(shown.code, Some(0), "{shown:?}");
        assert!(shown.stdout.contains(words), "{words}: {}", shown.stdout);
    }
}

#[tokio::test]
async fn a_call_over_apiv3_has_the_platforms_own_number() {
    let tenant = Tenant::bookshop().over_v3(V3Trust::PublicKey);
    let world = World::builder().tenant(tenant).env("DUKOU__ADMIN__TOKEN", TOKEN).start().await;
    let (tenant, merchant) = world.bookshop();
    merchant.pending("TRACE-3", 101).await;
    world.control.pay(&tenant, "TRACE-3").await;
    becomes(&merchant, "TRACE-3", "succeeded").await;
    let told = timeline(&world, "TRACE-3").await;
    let entries = told["entries"].as_array().unwrap();
    let call = entries.iter().find(|entry| entry["kind"] == "call").unwrap();
    assert!(call["provider_request_id"].as_str().is_some_and(|id| id.starts_with("08")), "{call:#}");
    let notify = entries.iter().find(|entry| entry["kind"] == "notify").unwrap();
    assert_eq!(notify["fields"]["trade_state"], "SUCCESS", "what was encrypted is shown: {notify:#}");
    assert_eq!(notify["fields"]["resource.ciphertext"], "***");
    assert!(waits(&told).iter().all(|code| *code == "delivery"), "{told:#}");
}

#[tokio::test]
async fn what_a_buyer_asked_for_waits_for_the_merchant_until_it_is_decided() {
    let world = World::builder().env("DUKOU__ADMIN__TOKEN", TOKEN).start().await;
    let (tenant, merchant) = world.bookshop();
    let buyer = Buyer::log_in(&world, &tenant).await;
    for (number, decision, status) in [("TRACE-4", "approve", "refunded"), ("TRACE-5", "reject", "succeeded")] {
        let mut order = merchant.order(number, 101);
        order["payer"] = json!({ "openid": buyer.openid });
        merchant.create(&order).await.expect(201);
        world.control.pay(&tenant, number).await;
        becomes(&merchant, number, "succeeded").await;
        let asked = buyer.ask_refund(number, 101).await.expect(201);
        assert!(waits(&timeline(&world, number).await).contains(&"decision"), "{number}");

        let decide = format!("/refund-requests/{}/{decision}", asked["id"].as_str().unwrap());
        merchant.post(&decide, &json!({})).await.expect(200);
        becomes(&merchant, number, status).await;
        let told = timeline(&world, number).await;
        assert!(!waits(&told).contains(&"decision"), "{told:#}");
    }
}

#[tokio::test]
async fn a_refund_that_came_back_from_the_bank_waits_for_somebody_and_not_for_the_platform() {
    let world = World::builder().env("DUKOU__ADMIN__TOKEN", TOKEN).start().await;
    let (tenant, merchant) = world.bookshop();
    world.control.policy(&json!({ "auto_settle": false })).await;
    paid(&world, "TRACE-6", 100).await;
    merchant.refund("TRACE-6", "R-6", 40).await.expect(201);
    assert!(waits(&timeline(&world, "TRACE-6").await).contains(&"refund"));
    world.control.settle(&tenant, "TRACE-6", "R-6", "CHANGE").await;
    let told = eventually("the timeline says so", SOON, async || {
        let told = timeline(&world, "TRACE-6").await;
        waits(&told).contains(&"abnormal_refund").then_some(told)
    })
    .await;
    assert!(!waits(&told).contains(&"refund"), "{told:#}");
    world.control.settle(&tenant, "TRACE-6", "R-6", "SUCCESS").await;
    refund_becomes(&merchant, "R-6", "succeeded").await;
    assert!(!waits(&timeline(&world, "TRACE-6").await).contains(&"abnormal_refund"));
}

#[tokio::test]
async fn who_may_not_ask_and_what_is_not_there() {
    let world = World::builder().env("DUKOU__ADMIN__TOKEN", TOKEN).start().await;
    let missing = trace(&world, "NOBODYS-1", &[]).await;
    assert_eq!(missing.code, Some(1), "{missing:?}");
    assert!(missing.stderr.contains("404") && missing.stderr.contains("not_found"), "{}", missing.stderr);
    let config = world.gateway.config().to_str().unwrap().to_owned();
    let open = ["trace", "--config", &config, "bookshop", "X-1"];
    let closed = dukou(&open, &[]).await;
    assert_eq!(closed.code, Some(1), "{closed:?}");
    assert!(closed.stderr.contains("admin.token"), "{}", closed.stderr);
    let nobody = [("DUKOU__ADMIN__TOKEN", TOKEN), ("DUKOU__ADMIN__LISTEN", "127.0.0.1:9")];
    let silent = dukou(&open, &nobody).await;
    assert!(silent.code == Some(1) && silent.stderr.contains("is it running"), "{silent:?}");

    let url = format!("{}/timeline/bookshop/X-1", world.gateway.admin_url());
    for (token, status) in [(None, 401), (Some("wrong"), 401), (Some(TOKEN), 404)] {
        let mut request = world.client().get(&url);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        assert_eq!(request.send().await.unwrap().status(), status, "{token:?}");
    }
    let without = World::start().await;
    let url = format!("{}/timeline/bookshop/X-1", without.gateway.admin_url());
    assert_eq!(without.client().get(&url).bearer_auth("").send().await.unwrap().status(), 403);
    let public = format!("{}/timeline/bookshop/X-1", world.gateway.url());
    assert_eq!(world.client().get(&public).bearer_auth(TOKEN).send().await.unwrap().status(), 404, "never in public");
}
