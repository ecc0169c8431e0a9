//! The sign type of a merchant account of APIv2 is changed while orders are open.

use dukou_e2e::{World, eventually};
use serde_json::json;
use toml::Value;

use crate::{SOON, becomes};

/// Changes the bookshop's file from MD5 to HMAC-SHA256, with further lines in its section, and waits until that is in
/// force.
async fn change_to_hmac(world: &World, more: &str) {
    let file = world.gateway.config().join("tenants/bookshop.toml");
    let before = std::fs::read_to_string(&file).unwrap();
    let changed = before.replace("sign_type = \"MD5\"", &format!("sign_type = \"HMAC-SHA256\"{more}"));
    assert_ne!(before, changed);
    let aside = world.directory().join("aside.toml");
    std::fs::write(&aside, changed).unwrap();
    std::fs::rename(&aside, &file).unwrap();
    world.gateway.hang_up();
    eventually("the change is in force", SOON, async || {
        let reloads = world.metrics().await.count("dukou_config_reload_total", &[("outcome", "applied")]);
        (reloads == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_order_is_paid_and_told_with_the_type_it_was_made_with() {
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    merchant.pending("TYPE-01", 101).await;
    let mut order = merchant.order("TYPE-02", 101);
    order["method"] = json!("app");
    order.as_object_mut().unwrap().remove("payer");
    merchant.create(&order).await.expect(201);
    change_to_hmac(&world, "\naccepted_sign_type = \"MD5\"").await;

    let later = merchant.pending("TYPE-03", 101).await;
    assert_eq!(later["invoke"]["signType"], "HMAC-SHA256");
    let before = merchant.payment("TYPE-01").await.expect(200);
    assert_eq!(before["invoke"]["signType"], "MD5");
    for number in ["TYPE-01", "TYPE-02", "TYPE-03"] {
        // The phone looks at the second signature.
        let invoke = merchant.payment(number).await.expect(200)["invoke"].clone();
        world.control.pay_with(&tenant, number, &json!({ "client": invoke })).await;
        becomes(&merchant, number, "succeeded").await;
    }
    let metrics = world.metrics().await;
    assert_eq!(metrics.notifies("bookshop", "payment", "applied"), 3);
    assert_eq!(metrics.notifies("bookshop", "payment", "bad_signature"), 0);
    // What the gateway asks is signed, and answered, as configured now.
    merchant.refund("TYPE-01", "TYPE-R1", 101).await.expect(201);
    becomes(&merchant, "TYPE-01", "refunded").await;
    world.control.deliver_all().await;
    world.verify().await;
}

#[tokio::test]
async fn a_message_of_the_other_type_is_refused_unless_it_is_accepted_and_asking_finds_the_payment_paid() {
    let soon = Value::Array(vec!["1s".into(), "2s".into()]);
    let world = World::builder().set("queries.pending", soon).start().await;
    let (tenant, merchant) = world.bookshop();
    merchant.pending("TYPE-11", 101).await;
    change_to_hmac(&world, "").await;
    world.control.pay_silently(&tenant, "TYPE-11").await;
    let deliveries = world.control.notify(&tenant, "TYPE-11", &json!({})).await;
    assert_eq!(deliveries[0]["success"], false, "{deliveries:?}");
    assert_eq!(world.metrics().await.notifies("bookshop", "payment", "bad_signature"), 1);
    let logs = world.gateway.logs();
    assert!(logs.contains("accepted_sign_type = \\\"MD5\\\""), "what to do is said: {logs}");
    becomes(&merchant, "TYPE-11", "succeeded").await;
    world.verify().await;
}
