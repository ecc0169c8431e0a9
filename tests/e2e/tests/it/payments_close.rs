//! A merchant's backend closes what nobody shall pay any more.

use dukou_e2e::{Tenant, World};
use serde_json::{Value, json};

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

/// The platform refuses the close as of a paid order, and does not show the success.
#[tokio::test]
async fn one_that_the_platform_says_is_paid_is_not_closed_and_stays_payable() {
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    merchant.pending("CLOSE-6", 101).await;
    let fault = json!({ "type": "err_code", "code": "ORDERPAID", "description": "订单已支付" });
    world.control.fault(&json!({ "operation": "closeorder", "times": 1, "fault": fault })).await;
    merchant.close("CLOSE-6").await.problem(409, "invalid_state");
    let payment = merchant.payment("CLOSE-6").await.expect(200);
    assert_eq!(payment["status"], "pending");
    world.control.pay_with(&tenant, "CLOSE-6", &json!({ "client": payment["invoke"] })).await;
    becomes(&merchant, "CLOSE-6", "succeeded").await;
    world.verify().await;
}

/// Closes a payment whose order the platform says is closed and leaves open, so that it is still paid afterwards.
async fn paid_after_the_close(world: &World, number: &str) -> Value {
    let (tenant, merchant) = world.bookshop();
    merchant.pending(number, 101).await;
    let fault = json!({ "type": "err_code", "code": "ORDERCLOSED", "description": "订单已关闭" });
    world.control.fault(&json!({ "operation": "closeorder", "times": 1, "fault": fault })).await;
    assert_eq!(merchant.close(number).await.expect(200)["status"], "closed");
    world.control.pay(&tenant, number).await;
    world.control.deliver_all().await;
    merchant.payment(number).await.expect(200)
}

#[tokio::test]
async fn a_success_after_the_close_is_late_and_not_hidden() {
    let world = World::start().await;
    let merchant = world.merchant("bookshop");
    let payment = paid_after_the_close(&world, "LATE-01").await;
    assert_eq!((&payment["status"], &payment["late"]), (&json!("succeeded"), &json!(true)), "{payment}");
    let events = merchant.event_types("LATE-01").await;
    for kind in ["payment.closed", "payment.late", "payment.succeeded"] {
        assert_eq!(events.iter().filter(|event| *event == kind).count(), 1, "{kind}: {events:?}");
    }
    world.verify().await;
}

#[tokio::test]
async fn a_late_success_is_given_back_where_the_tenant_says_so() {
    let world = World::builder().tenant(Tenant::bookshop().set("late_payment", "refund")).start().await;
    let merchant = world.merchant("bookshop");
    paid_after_the_close(&world, "LATE-02").await;
    let payment = becomes(&merchant, "LATE-02", "refunded").await;
    assert_eq!((&payment["late"], &payment["refunded_amount"]), (&json!(true), &json!(101)));
    let events = merchant.event_types("LATE-02").await;
    for (kind, count) in [("payment.late", 1), ("refund.succeeded", 1), ("payment.succeeded", 0)] {
        assert_eq!(events.iter().filter(|event| *event == kind).count(), count, "{kind}: {events:?}");
    }
    world.control.deliver_all().await;
    world.verify().await;
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
