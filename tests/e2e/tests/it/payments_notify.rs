//! A buyer pays; the platform tells.

use dukou_e2e::{World, eventually};
use serde_json::json;

use crate::{SOON, becomes, paid};

#[tokio::test]
async fn paying_makes_the_payment_succeed() {
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    let payment = merchant.pending("PAY-001", 101).await;
    let order = world.control.pay_with(&tenant, "PAY-001", &json!({ "client": payment["invoke"] })).await;
    let payment = becomes(&merchant, "PAY-001", "succeeded").await;
    assert_eq!(payment["provider_transaction_id"], order["transaction_id"]);
    assert!(payment["paid_at"].is_string());
    assert_eq!(payment["invoke"], json!(null), "nothing left to pay");
    let succeeded = merchant.event_types("PAY-001").await.into_iter().filter(|kind| kind == "payment.succeeded");
    assert_eq!(succeeded.count(), 1);
    let metrics = world.metrics().await;
    assert_eq!(metrics.notifies("bookshop", "payment", "applied"), 1);
    let labels = [("tenant", "bookshop"), ("provider", "wechat"), ("status", "succeeded")];
    assert_eq!(metrics.count("dukou_payments_total", &labels), 1);
    world.control.deliver_all().await;
    world.verify().await;
}

#[tokio::test]
async fn duplicates_are_accepted_and_change_nothing() {
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    let before = paid(&world, "DUP-001", 101).await;
    for how in [
        json!({}),
        json!({ "copies": 3 }),
        json!({ "copies": 40, "concurrent": true }),
        json!({ "nonce": "0123456789abcdef", "copies": 2 }),
    ] {
        let deliveries = world.control.notify(&tenant, "DUP-001", &how).await;
        assert!(deliveries.iter().all(|delivery| delivery["success"] == true), "{deliveries:?}");
    }
    let after = merchant.payment("DUP-001").await.expect(200);
    assert_eq!(before, after);
    let metrics = world.metrics().await;
    assert_eq!(metrics.notifies("bookshop", "payment", "applied"), 1);
    assert_eq!(metrics.notifies("bookshop", "payment", "duplicate"), 1 + 3 + 40 + 2);
    world.verify().await;
}

#[tokio::test]
async fn of_two_hundred_at_once_one_is_applied() {
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    merchant.pending("MANY-01", 101).await;
    world.control.pay_silently(&tenant, "MANY-01").await;
    let how = json!({ "copies": 200, "concurrent": true });
    let deliveries = world.control.notify(&tenant, "MANY-01", &how).await;
    let accepted = deliveries.iter().filter(|delivery| delivery["success"] == true).count();
    assert_eq!((deliveries.len(), accepted), (200, 200));
    let metrics = world.metrics().await;
    assert_eq!(metrics.notifies("bookshop", "payment", "applied"), 1);
    assert_eq!(metrics.notifies("bookshop", "payment", "duplicate"), 199);
    world.verify().await;
}

#[tokio::test]
async fn a_lost_notify_is_sent_again() {
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    world.control.policy(&json!({ "drop_notifies": 1 })).await;
    merchant.pending("DROP-01", 101).await;
    world.control.pay(&tenant, "DROP-01").await;
    eventually("the first attempt", SOON, async || {
        let jobs = world.control.notifies().await;
        jobs.iter().any(|job| job["attempts"].as_array().is_some_and(|attempts| attempts.len() == 1)).then_some(())
    })
    .await;
    assert_eq!(merchant.status("DROP-01").await, "pending");
    world.control.advance(16).await;
    becomes(&merchant, "DROP-01", "succeeded").await;
    world.verify().await;
}

#[tokio::test]
async fn a_coupon_is_part_of_the_amount() {
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    merchant.pending("COUPON1", 101).await;
    world.control.pay_with(&tenant, "COUPON1", &json!({ "coupon_fee": 30 })).await;
    let payment = becomes(&merchant, "COUPON1", "succeeded").await;
    assert_eq!(payment["amount"], 101);
    assert_eq!(world.metrics().await.notifies("bookshop", "payment", "mismatch"), 0);
    world.verify().await;
}

#[tokio::test]
async fn a_payment_that_failed_at_the_bank_can_still_be_paid() {
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    merchant.pending("BANK-01", 101).await;
    let path = format!("/orders/{}/BANK-01/fail", tenant.mch_id);
    world.control.must(&path, &json!({ "err_code": "NOTENOUGH", "notify": true })).await;
    world.control.deliver_all().await;
    assert_eq!(merchant.status("BANK-01").await, "pending");
    assert_eq!(world.metrics().await.notifies("bookshop", "payment", "not_paid"), 1);
    world.control.pay(&tenant, "BANK-01").await;
    becomes(&merchant, "BANK-01", "succeeded").await;
    world.verify().await;
}

#[tokio::test]
async fn a_success_survives_a_kill() {
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    paid(&world, "KILL-01", 101).await;
    world.gateway.kill();
    world.gateway.restart().await;
    assert_eq!(merchant.status("KILL-01").await, "succeeded");
    let again = world.control.notify(&tenant, "KILL-01", &json!({ "copies": 2 })).await;
    assert!(again.iter().all(|delivery| delivery["success"] == true), "{again:?}");
    assert_eq!(world.metrics().await.notifies("bookshop", "payment", "duplicate"), 2);
    world.verify().await;
}
