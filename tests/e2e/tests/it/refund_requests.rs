//! A buyer wants money back; the merchant decides.

use dukou_e2e::{Buyer, World};
use serde_json::{Value, json};

use crate::{becomes, refund_becomes, wrong_fields};

/// A payment that a buyer made in the mini-program.
async fn bought(world: &World, out_trade_no: &str, amount: i64) -> Buyer {
    let (tenant, merchant) = world.bookshop();
    let buyer = Buyer::log_in(world, &tenant).await;
    let mut body = merchant.order(out_trade_no, amount);
    body["payer"] = json!({ "openid": buyer.openid });
    merchant.create(&body).await.expect(201);
    world.control.pay(&tenant, out_trade_no).await;
    becomes(&merchant, out_trade_no, "succeeded").await;
    buyer
}

#[tokio::test]
async fn approving_a_request_makes_the_refund_once() {
    let world = World::start().await;
    let merchant = world.merchant("bookshop");
    let buyer = bought(&world, "BACK-01", 100).await;
    let asked = buyer.ask_refund("BACK-01", 40).await.expect(201);
    for (field, expected) in [
        ("out_trade_no", json!("BACK-01")),
        ("amount", json!(40)),
        ("reason", json!("买多了")),
        ("status", json!("pending")),
        ("out_refund_no", Value::Null),
        ("decided_at", Value::Null),
        ("decided_by", Value::Null),
    ] {
        assert_eq!(asked[field], expected, "{field}");
    }
    assert!(world.control.journal("operation=refund").await.is_empty(), "no money moves yet");
    let types = merchant.event_types("BACK-01").await;
    assert!(types.contains(&"refund.requested".to_owned()), "{types:?}");
    buyer.ask_refund("BACK-01", 1).await.problem(409, "invalid_state");

    let id = asked["id"].as_str().unwrap();
    let approve = format!("/refund-requests/{id}/approve");
    let approved = merchant.post(&approve, &json!({})).await.expect(200);
    assert_eq!((&approved["status"], &approved["decided_by"]), (&json!("approved"), &json!("backend")));
    assert_eq!(merchant.post(&approve, &json!({})).await.expect(200), approved);
    merchant.post(&format!("/refund-requests/{id}/reject"), &json!({})).await.problem(409, "invalid_state");
    let number = approved["out_refund_no"].as_str().unwrap();
    assert_eq!(refund_becomes(&merchant, number, "succeeded").await["amount"], 40);
    assert_eq!(merchant.refunds("BACK-01").await.len(), 1);
    world.verify().await;
}

#[tokio::test]
async fn a_rejected_request_moves_nothing_and_another_may_follow() {
    let world = World::start().await;
    let merchant = world.merchant("bookshop");
    let buyer = bought(&world, "BACK-02", 100).await;
    let id = buyer.ask_refund("BACK-02", 100).await.expect(201)["id"].as_str().unwrap().to_owned();
    let reject = format!("/refund-requests/{id}/reject");
    let rejected = merchant.post_once("k1", &reject, &json!({})).await.expect(200);
    assert_eq!((&rejected["status"], &rejected["out_refund_no"]), (&json!("rejected"), &Value::Null));
    assert_eq!(merchant.post_once("k1", &reject, &json!({})).await.header("idempotent-replayed"), Some("true"));
    merchant.post(&format!("/refund-requests/{id}/approve"), &json!({})).await.problem(409, "invalid_state");
    assert_eq!(merchant.status("BACK-02").await, "succeeded");
    buyer.ask_refund("BACK-02", 101).await.problem(422, "refund_exceeds_payment");
    let again = buyer.ask_refund("BACK-02", 50).await.expect(201);
    assert_ne!(again["id"], *id);

    for (query, expected) in [("", 2), ("status=pending", 1), ("status=rejected", 1), ("status=approved", 0)] {
        let page = merchant.get(&format!("/refund-requests?{query}")).await.expect(200);
        assert_eq!(page["data"].as_array().unwrap().len(), expected, "{query}");
        assert_eq!(page["next_cursor"], Value::Null);
    }
    let first = merchant.get("/refund-requests?limit=1").await.expect(200);
    assert_eq!(first["data"][0], again, "newest first");
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = merchant.get(&format!("/refund-requests?limit=1&cursor={cursor}")).await.expect(200);
    assert_eq!(second["data"][0], rejected);
    let wrong = merchant.get("/refund-requests?status=open").await.problem(400, "invalid_request");
    assert_eq!(wrong_fields(&wrong), ["status"]);
    world.verify().await;
}

#[tokio::test]
async fn what_is_no_request_is_refused() {
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    let buyer = bought(&world, "BACK-03", 100).await;
    let path = "/payments/BACK-03/refund-requests";
    for (body, field) in [
        (json!({ "reason": "x" }), "amount"),
        (json!({ "amount": 0 }), "amount"),
        (json!({ "amount": 1.5 }), "amount"),
        (json!({ "amount": 1, "out_refund_no": "R-1" }), "out_refund_no"),
    ] {
        let problem = buyer.post(path, &body).await.problem(400, "invalid_request");
        assert_eq!(wrong_fields(&problem), [field], "{body}");
    }
    let stranger = Buyer::log_in(&world, &tenant).await;
    stranger.ask_refund("BACK-03", 1).await.problem(404, "not_found");
    buyer.ask_refund("NOTHERE", 1).await.problem(404, "not_found");
    for id in ["rrq_0", "x", "rrq_00000000000000000000000000000001"] {
        merchant.post(&format!("/refund-requests/{id}/approve"), &json!({})).await.problem(404, "not_found");
    }
    let mut unpaid = merchant.order("BACK-04", 100);
    unpaid["payer"] = json!({ "openid": buyer.openid });
    merchant.create(&unpaid).await.expect(201);
    buyer.ask_refund("BACK-04", 1).await.problem(409, "invalid_state");
    world.verify().await;
}
