//! A merchant's backend closes what nobody shall pay any more.

use dukou_e2e::World;
use serde_json::json;

use crate::{becomes, paid};

#[tokio::test]
async fn an_unpaid_payment_is_closed_here_and_at_the_platform() {
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    merchant.pending("CLOSE-1", 101).await;
    for _ in 0..2 {
        let payment = merchant.close("CLOSE-1").await.expect(200);
        assert_eq!(payment["status"], "closed");
    }
    assert_eq!(world.control.order(&tenant, "CLOSE-1").await.expect(200)["trade_state"], "CLOSED");
    assert_eq!(merchant.payment("CLOSE-1").await.expect(200)["invoke"], json!(null), "nothing to pay with");
    let closed = merchant.event_types("CLOSE-1").await.into_iter().filter(|kind| kind == "payment.closed");
    assert_eq!(closed.count(), 1);
    merchant.refund("CLOSE-1", "R-1", 1).await.problem(409, "invalid_state");
    world.verify().await;
}

#[tokio::test]
async fn a_payment_without_a_payer_is_closed_without_the_platform() {
    let world = World::start().await;
    let merchant = world.merchant("bookshop");
    let mut body = merchant.order("CLOSE-2", 101);
    body.as_object_mut().unwrap().remove("payer");
    merchant.create(&body).await.expect(201);
    assert_eq!(merchant.close("CLOSE-2").await.expect(200)["status"], "closed");
    assert!(world.control.journal("out_trade_no=CLOSE-2").await.is_empty());
    world.verify().await;
}

#[tokio::test]
async fn a_paid_payment_is_not_closed() {
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    paid(&world, "CLOSE-3", 101).await;
    merchant.close("CLOSE-3").await.problem(409, "invalid_state");
    // Nobody told yet, but the platform knows when it is to be closed.
    merchant.pending("CLOSE-4", 101).await;
    world.control.pay_silently(&tenant, "CLOSE-4").await;
    merchant.close("CLOSE-4").await.problem(409, "invalid_state");
    assert_eq!(merchant.status("CLOSE-4").await, "succeeded");
    world.verify().await;
}

#[tokio::test]
async fn a_success_after_the_close_is_late_and_not_hidden() {
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    merchant.pending("LATE-01", 101).await;
    merchant.close("LATE-01").await.expect(200);
    let fields = json!({
        "return_code": "SUCCESS", "result_code": "SUCCESS", "appid": tenant.app_id, "mch_id": tenant.mch_id,
        "out_trade_no": "LATE-01", "total_fee": 101, "cash_fee": 101, "fee_type": "CNY", "trade_type": "JSAPI",
        "openid": tenant.openid(1), "is_subscribe": "N", "bank_type": "OTHERS", "time_end": "20261123120000",
        "transaction_id": "4200000000202611230000000001",
    });
    let delivery = world.control.notify_raw(&tenant, &world.notify_url("bookshop", "payment"), &fields).await;
    assert_eq!(delivery["success"], true, "{delivery}");
    let payment = merchant.payment("LATE-01").await.expect(200);
    assert_eq!((&payment["status"], &payment["late"]), (&json!("succeeded"), &json!(true)), "{payment}");
    let events = merchant.event_types("LATE-01").await;
    for kind in ["payment.closed", "payment.late", "payment.succeeded"] {
        assert_eq!(events.iter().filter(|event| *event == kind).count(), 1, "{kind}: {events:?}");
    }
    // The sandbox never sold it, which is what the checker says and all it says.
    let rules: Vec<u8> = world.checker().violations().await.iter().map(|violation| violation.rule).collect();
    assert_eq!(rules, [3]);
}

#[tokio::test]
async fn a_platform_that_is_away_leaves_it_open() {
    let world = World::start().await;
    let merchant = world.merchant("bookshop");
    merchant.pending("CLOSE-5", 101).await;
    world.control.fault(&json!({ "operation": "closeorder", "times": 1, "fault": { "type": "lose_answer" } })).await;
    let answer = merchant.close("CLOSE-5").await;
    assert_eq!(answer.status, 504, "{}", answer.text);
    assert_ne!(merchant.status("CLOSE-5").await, "closed", "nobody knows yet");
    merchant.close("CLOSE-5").await.expect(200);
    becomes(&merchant, "CLOSE-5", "closed").await;
    world.verify().await;
}
