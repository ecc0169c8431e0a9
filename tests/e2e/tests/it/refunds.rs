//! A merchant gives money back.

use dukou_e2e::{Tenant, World};
use serde_json::{Value, json};

use crate::{becomes, paid, refund_becomes, wrong_fields};

#[tokio::test]
async fn part_by_part_until_all_is_back() {
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    paid(&world, "REF-001", 100).await;
    let first = merchant.refund("REF-001", "R-1", 40).await.expect(201);
    for (field, expected) in [
        ("out_refund_no", json!("R-1")),
        ("out_trade_no", json!("REF-001")),
        ("amount", json!(40)),
        ("currency", json!("CNY")),
        ("reason", json!("买多了")),
        ("tenant", json!("bookshop")),
    ] {
        assert_eq!(first[field], expected, "{field}");
    }
    assert!(first["id"].as_str().unwrap().starts_with("ref_"), "{first}");
    let done = refund_becomes(&merchant, "R-1", "succeeded").await;
    assert!(done["provider_refund_id"].as_str().unwrap().starts_with("50"), "{done}");
    assert!(done["succeeded_at"].is_string());
    let payment = becomes(&merchant, "REF-001", "partially_refunded").await;
    assert_eq!(payment["refunded_amount"], 40);

    merchant.refund("REF-001", "R-2", 60).await.expect(201);
    let payment = becomes(&merchant, "REF-001", "refunded").await;
    assert_eq!(payment["refunded_amount"], 100);
    let all = merchant.refunds("REF-001").await;
    let numbers: Vec<&Value> = all.iter().map(|refund| &refund["out_refund_no"]).collect();
    assert_eq!(numbers, ["R-1", "R-2"]);
    let order = world.control.order(&tenant, "REF-001").await.expect(200);
    assert_eq!(order["refunds"].as_array().unwrap().len(), 2);
    let events = merchant.event_types("REF-001").await;
    assert_eq!(events.iter().filter(|kind| *kind == "refund.succeeded").count(), 2, "{events:?}");
    world.control.deliver_all().await;
    world.verify().await;
}

#[tokio::test]
async fn one_number_refunds_once() {
    let world = World::start().await;
    let merchant = world.merchant("bookshop");
    paid(&world, "TWICE-1", 100).await;
    paid(&world, "TWICE-2", 100).await;
    let first = merchant.refund("TWICE-1", "R-1", 40).await.expect(201);
    let again = merchant.refund("TWICE-1", "R-1", 40).await.expect(200);
    assert_eq!(first["id"], again["id"]);
    merchant.refund("TWICE-1", "R-1", 41).await.problem(409, "out_refund_no_conflict");
    merchant.refund("TWICE-2", "R-1", 40).await.problem(409, "out_refund_no_conflict");

    let calls: Vec<_> = (0..20)
        .map(|_| {
            let merchant = merchant.clone();
            tokio::spawn(async move { merchant.refund("TWICE-2", "R-2", 30).await })
        })
        .collect();
    let mut statuses = Vec::new();
    for call in calls {
        statuses.push(call.await.unwrap().status);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [vec![200; 19], vec![201]].concat());
    let payment = becomes(&merchant, "TWICE-2", "partially_refunded").await;
    assert_eq!(payment["refunded_amount"], 30);
    world.verify().await;
}

#[tokio::test]
async fn never_more_than_was_paid() {
    let world = World::start().await;
    let merchant = world.merchant("bookshop");
    paid(&world, "EXCEED1", 100).await;
    merchant.refund("EXCEED1", "R-0", 101).await.problem(422, "refund_exceeds_payment");
    // Twice as much as was paid, all at once.
    let calls: Vec<_> = (0..20)
        .map(|number| {
            let merchant = merchant.clone();
            tokio::spawn(async move { merchant.refund("EXCEED1", &format!("P-{number}"), 10).await })
        })
        .collect();
    let mut accepted = 0;
    for call in calls {
        let answer = call.await.unwrap();
        match answer.status {
            201 => accepted += 1,
            _ => drop(answer.problem(422, "refund_exceeds_payment")),
        }
    }
    assert_eq!(accepted, 10);
    let payment = becomes(&merchant, "EXCEED1", "refunded").await;
    assert_eq!(payment["refunded_amount"], 100);
    let sent = world.control.journal("operation=refund").await;
    assert_eq!(sent.len(), 10, "what exceeds does not reach the platform");
    world.verify().await;
}

#[tokio::test]
async fn only_what_was_paid_is_given_back() {
    let world = World::start().await;
    let merchant = world.merchant("bookshop");
    merchant.pending("UNPAID1", 100).await;
    merchant.refund("UNPAID1", "R-1", 40).await.problem(409, "invalid_state");
    merchant.refund_by_number("R-1").await.problem(404, "not_found");
    for (body, field) in [
        (json!({ "amount": 1 }), "out_refund_no"),
        (json!({ "out_refund_no": "R-1" }), "amount"),
        (json!({ "out_refund_no": "R-1", "amount": "1" }), "amount"),
        (json!({ "out_refund_no": "R-1", "amount": 1.5 }), "amount"),
        (json!({ "out_refund_no": "R-1", "amount": -1 }), "amount"),
        (json!({ "out_refund_no": "R 1", "amount": 1 }), "out_refund_no"),
        (json!({ "out_refund_no": "R-1", "amount": 1, "reason": "😀" }), "reason"),
    ] {
        let problem = merchant.post("/payments/UNPAID1/refunds", &body).await.problem(400, "invalid_request");
        assert_eq!(wrong_fields(&problem), [field], "{body}");
    }
}

#[tokio::test]
async fn the_certificate_may_be_a_p12_file_and_signatures_hmac() {
    let world = World::builder().tenant(Tenant::teahouse()).start().await;
    let merchant = world.merchant("teahouse");
    let payment = merchant.pending("TEA-001", 100).await;
    assert_eq!(payment["invoke"]["signType"], "HMAC-SHA256");
    world.control.pay_with(&merchant.tenant, "TEA-001", &json!({ "client": payment["invoke"] })).await;
    becomes(&merchant, "TEA-001", "succeeded").await;
    merchant.refund("TEA-001", "R-1", 100).await.expect(201);
    becomes(&merchant, "TEA-001", "refunded").await;
    world.control.deliver_all().await;
    world.verify().await;
}

#[tokio::test]
async fn what_a_coupon_paid_goes_back_with_the_rest() {
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    merchant.pending("COUPON2", 100).await;
    world.control.pay_with(&tenant, "COUPON2", &json!({ "coupon_fee": 30 })).await;
    becomes(&merchant, "COUPON2", "succeeded").await;
    merchant.refund("COUPON2", "R-1", 50).await.expect(201);
    assert_eq!(becomes(&merchant, "COUPON2", "partially_refunded").await["refunded_amount"], 50);
    merchant.refund("COUPON2", "R-2", 50).await.expect(201);
    assert_eq!(becomes(&merchant, "COUPON2", "refunded").await["refunded_amount"], 100);
    world.control.deliver_all().await;
    world.verify().await;
}
