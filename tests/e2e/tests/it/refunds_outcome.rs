//! What becomes of a refund is known later, from a notify or by asking.

use dukou_e2e::{Mode, Tenant, World};
use serde_json::{Value, json};

use crate::{becomes, paid, refund_becomes};

/// A paid payment with one refund that the platform is working on.
async fn processing(world: &World, number: &str) {
    world.control.policy(&json!({ "auto_settle": false })).await;
    let merchant = world.merchant("bookshop");
    paid(world, number, 100).await;
    let refund = merchant.refund(number, &format!("R-{number}"), 40).await.expect(201);
    assert_eq!(refund["status"], "processing", "{refund}");
    let payment = merchant.payment(number).await.expect(200);
    assert_eq!((&payment["status"], &payment["refunded_amount"]), (&json!("succeeded"), &json!(0)), "{payment}");
}

#[tokio::test]
async fn a_notify_ends_it() {
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    processing(&world, "WORK-01").await;
    world.control.settle(&tenant, "WORK-01", "R-WORK-01", "SUCCESS").await;
    refund_becomes(&merchant, "R-WORK-01", "succeeded").await;
    assert_eq!(becomes(&merchant, "WORK-01", "partially_refunded").await["refunded_amount"], 40);
    world.control.deliver_all().await;
    let metrics = world.metrics().await;
    assert_eq!(metrics.notifies("bookshop", "refund", "applied"), 1);
    let how = json!({ "kind": "refund", "out_refund_no": "R-WORK-01", "copies": 20, "concurrent": true });
    let again = world.control.notify(&tenant, "WORK-01", &how).await;
    assert!(again.iter().all(|delivery| delivery["success"] == true), "{again:?}");
    assert_eq!(world.metrics().await.notifies("bookshop", "refund", "duplicate"), 20);
    world.verify().await;
}

#[tokio::test]
async fn asking_ends_it_too() {
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    processing(&world, "ASKED-1").await;
    let path = format!("/orders/{}/ASKED-1/refunds/R-ASKED-1/settle", tenant.mch_id);
    world.control.must(&path, &json!({ "status": "SUCCESS", "notify": false })).await;
    assert_eq!(merchant.refund_by_number("R-ASKED-1").await.expect(200)["status"], "processing");
    let refund = merchant.get("/refunds/R-ASKED-1?refresh=true").await.expect(200);
    assert_eq!(refund["status"], "succeeded");
    world.verify().await;
}

#[tokio::test]
async fn one_that_was_closed_gives_the_amount_free_again() {
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    processing(&world, "SHUT-01").await;
    world.control.settle(&tenant, "SHUT-01", "R-SHUT-01", "REFUNDCLOSE").await;
    let closed = refund_becomes(&merchant, "R-SHUT-01", "failed").await;
    assert_eq!(closed["failure"]["code"], "REFUNDCLOSE");
    assert_eq!(merchant.status("SHUT-01").await, "succeeded");
    world.control.policy(&json!({ "auto_settle": true })).await;
    // WeChat keeps the number, and would answer it with the same closed refund.
    let again = merchant.refund("SHUT-01", "R-SHUT-01", 40).await.problem(409, "invalid_state");
    assert!(again["detail"].as_str().unwrap().contains("another out_refund_no"), "{again}");
    merchant.refund("SHUT-01", "R-ALL", 100).await.expect(201);
    becomes(&merchant, "SHUT-01", "refunded").await;
    world.control.deliver_all().await;
    world.verify().await;
}

#[tokio::test]
async fn one_that_the_bank_sent_back_stays_open_until_somebody_acts() {
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    processing(&world, "BACK-01").await;
    world.control.settle(&tenant, "BACK-01", "R-BACK-01", "CHANGE").await;
    world.control.deliver_all().await;
    let refund = merchant.refund_by_number("R-BACK-01").await.expect(200);
    assert_ne!(refund["status"], "succeeded");
    assert!(merchant.event_types("BACK-01").await.contains(&"refund.abnormal".to_owned()));
    merchant.refund("BACK-01", "R-MORE", 61).await.problem(422, "refund_exceeds_payment");
    world.control.settle(&tenant, "BACK-01", "R-BACK-01", "SUCCESS").await;
    refund_becomes(&merchant, "R-BACK-01", "succeeded").await;
    world.verify().await;
}

#[tokio::test]
async fn one_whose_answer_was_lost_is_found_under_its_number() {
    let world = World::builder().tenant(Tenant::bookshop().set("providers.wechat.timeout", "2s")).start().await;
    let merchant = world.merchant("bookshop");
    for (number, fault) in [
        ("GONE-01", json!({ "type": "lose_answer" })),
        ("GONE-02", json!({ "type": "err_code", "code": "SYSTEMERROR", "after_effect": true })),
        ("GONE-03", json!({ "type": "bad_signature" })),
        ("GONE-04", json!({ "type": "drop" })),
    ] {
        paid(&world, number, 100).await;
        let refund_number = format!("R-{number}");
        let rule = json!({ "operation": "refund", "out_refund_no": refund_number, "times": 1, "fault": fault });
        world.control.fault(&rule).await;
        merchant.refund(number, &refund_number, 40).await.expect(201);
        refund_becomes(&merchant, &refund_number, "succeeded").await;
        assert_eq!(becomes(&merchant, number, "partially_refunded").await["refunded_amount"], 40);
    }
    world.verify().await;
}

#[tokio::test]
async fn one_that_did_not_reach_the_platform_is_recorded_and_made_later() {
    let world = World::builder().platform_proxy().start().await;
    let merchant = world.merchant("bookshop");
    for number in ["AWAY-01", "BUSY-01"] {
        paid(&world, number, 100).await;
    }
    let fault = json!({ "type": "err_code", "code": "FREQUENCY_LIMITED", "description": "频率限制" });
    world.control.fault(&json!({ "operation": "refund", "times": 1, "fault": fault })).await;
    let busy = merchant.refund("BUSY-01", "R-BUSY", 60).await.expect(201);
    let proxy = world.platform_proxy.as_ref().unwrap();
    proxy.set(Mode::Cut);
    let body = json!({ "out_refund_no": "R-AWAY", "amount": 60 });
    let away = merchant.post_once("k1", "/payments/AWAY-01/refunds", &body).await.expect(201);
    // The platform has neither; whoever took them for ended would give the money back twice.
    for (number, refund) in [("BUSY-01", &busy), ("AWAY-01", &away)] {
        assert_eq!((&refund["status"], &refund["failure"]), (&json!("processing"), &Value::Null), "{refund}");
        let again = json!({ "out_refund_no": refund["out_refund_no"], "amount": 60, "reason": refund["reason"] });
        let again = merchant.post(&format!("/payments/{number}/refunds"), &again).await.expect(200);
        assert_eq!(again["status"], "processing", "{again}");
        merchant.refund(number, "R-OTHER", 60).await.problem(422, "refund_exceeds_payment");
    }
    let replayed = merchant.post_once("k1", "/payments/AWAY-01/refunds", &body).await;
    assert_eq!((replayed.status, replayed.header("idempotent-replayed")), (201, Some("true")));
    proxy.set(Mode::Pass);
    refund_becomes(&merchant, "R-AWAY", "succeeded").await;
    assert_eq!(becomes(&merchant, "AWAY-01", "partially_refunded").await["refunded_amount"], 60);
    world.verify().await;
}

#[tokio::test]
async fn one_that_the_platform_refuses_fails_and_is_said_so() {
    let world = World::start().await;
    let merchant = world.merchant("bookshop");
    paid(&world, "POOR-01", 100).await;
    let fault = json!({ "type": "err_code", "code": "NOTENOUGH", "description": "基本账户余额不足，请充值后重新发起" });
    world.control.fault(&json!({ "operation": "refund", "times": 1, "fault": fault })).await;
    let refused = merchant.refund("POOR-01", "R-1", 40).await.problem(402, "provider_refused");
    assert_eq!(refused["provider_code"], "NOTENOUGH");
    assert_eq!(merchant.status("POOR-01").await, "succeeded");
    merchant.refund("POOR-01", "R-2", 100).await.expect(201);
    becomes(&merchant, "POOR-01", "refunded").await;
    world.verify().await;
}

#[tokio::test]
async fn a_refund_notify_that_was_made_up_moves_nothing() {
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    processing(&world, "MADE-01").await;
    let url = world.notify_url("bookshop", "refund");
    let order = world.control.order(&tenant, "MADE-01").await.expect(200);
    let fields = json!({
        "out_trade_no": "MADE-01", "out_refund_no": "R-MADE-01", "refund_status": "SUCCESS", "refund_fee": 40,
        "settlement_refund_fee": 40, "total_fee": 100, "transaction_id": order["transaction_id"],
        "refund_id": order["refunds"][0]["refund_id"], "success_time": "2026-11-23 12:00:00",
    });
    // Encrypted with the right key, but the platform, asked, does not say so.
    let sealed = world.control.must("/encrypt-refund", &json!({ "mch_id": tenant.mch_id, "fields": fields })).await;
    for body in [sealed["xml"].as_str().unwrap().to_owned(), "<xml></xml>".to_owned()] {
        let request = world.client().post(&url).header("content-type", "text/xml").body(body);
        let answer = request.send().await.unwrap().text().await.unwrap();
        assert!(answer.contains("FAIL"), "{answer}");
    }
    assert_eq!(merchant.refund_by_number("R-MADE-01").await.expect(200)["status"], "processing");
    world.verify().await;
}
