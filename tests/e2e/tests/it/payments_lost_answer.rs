//! The platform's answer to a create does not come.

use dukou_e2e::{Mode, Tenant, World, eventually};
use serde_json::json;

use crate::{SOON, becomes};

#[tokio::test]
async fn an_order_whose_answer_was_lost_is_found_again() {
    let world = World::builder().tenant(Tenant::bookshop().set("providers.wechat.timeout", "2s")).start().await;
    let (tenant, merchant) = world.bookshop();
    let rule = json!({ "operation": "unifiedorder", "times": 1, "fault": { "type": "lose_answer" } });
    world.control.fault(&rule).await;
    let body = merchant.order("LOST-01", 101);
    merchant.create(&body).await.problem(504, "provider_timeout");
    assert_eq!(merchant.status("LOST-01").await, "unknown");
    assert!(merchant.event_types("LOST-01").await.contains(&"payment.unknown".to_owned()));
    // By itself, on the schedule.
    becomes(&merchant, "LOST-01", "pending").await;
    let again = merchant.create(&body).await.expect(200);
    let client = json!({ "client": again["invoke"] });
    world.control.pay_with(&tenant, "LOST-01", &client).await;
    becomes(&merchant, "LOST-01", "succeeded").await;
    world.verify().await;
}

#[tokio::test]
async fn sending_it_again_finds_it_at_once() {
    let world = World::builder().tenant(Tenant::bookshop().set("providers.wechat.timeout", "2s")).start().await;
    let merchant = world.merchant("bookshop");
    for (number, fault) in [
        ("AGAIN-1", json!({ "type": "lose_answer" })),
        ("AGAIN-2", json!({ "type": "bad_signature" })),
        ("AGAIN-3", json!({ "type": "truncate" })),
        ("AGAIN-4", json!({ "type": "http", "status": 502, "after_effect": true })),
        ("AGAIN-5", json!({ "type": "err_code", "code": "SYSTEMERROR", "after_effect": true })),
    ] {
        let rule = json!({ "operation": "unifiedorder", "out_trade_no": number, "times": 1, "fault": fault });
        world.control.fault(&rule).await;
        let body = merchant.order(number, 101);
        let lost = merchant.create(&body).await;
        assert_eq!(lost.status, 504, "{fault}: {}", lost.text);
        let found = merchant.create(&body).await.expect(200);
        assert_eq!(found["status"], "pending", "{fault}: {found}");
        assert!(found["invoke"].is_object(), "{fault}: {found}");
    }
    world.verify().await;
}

#[tokio::test]
async fn an_order_that_never_arrived_can_be_sent_again() {
    let world = World::start().await;
    let merchant = world.merchant("bookshop");
    let rule = json!({
        "operation": "unifiedorder", "times": 1, "fault": { "type": "return_fail", "message": "系统繁忙" },
    });
    world.control.fault(&rule).await;
    let body = merchant.order("NOTSENT", 101);
    let failed = merchant.create(&body).await;
    assert!(matches!(failed.status, 502 | 504), "{}", failed.text);
    assert_eq!(merchant.create(&body).await.expect(200)["status"], "pending");
    world.verify().await;
}

#[tokio::test]
async fn a_notify_may_come_before_the_answer_to_the_create() {
    let world = World::builder().platform_proxy().start().await;
    let (tenant, merchant) = world.bookshop();
    let proxy = world.platform_proxy.as_ref().unwrap();
    merchant.pending("EARLY-1", 101).await;
    // The connection is open now: only the answer to the next order is held back.
    proxy.set(Mode::SilentAnswers);
    let body = merchant.order("EARLY-2", 101);
    let creating = tokio::spawn({
        let merchant = merchant.clone();
        async move { merchant.create(&body).await }
    });
    eventually("the order at the platform", SOON, async || {
        (world.control.order(&tenant, "EARLY-2").await.status == 200).then_some(())
    })
    .await;
    world.control.pay(&tenant, "EARLY-2").await;
    becomes(&merchant, "EARLY-2", "succeeded").await;
    proxy.set(Mode::Pass);
    let answer = creating.await.unwrap();
    assert_eq!((answer.status, &answer.json["status"]), (201, &json!("succeeded")), "{}", answer.text);
    assert_eq!(merchant.status("EARLY-2").await, "succeeded");
    world.verify().await;
}
