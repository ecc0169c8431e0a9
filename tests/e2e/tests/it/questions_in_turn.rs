//! Questions of several tenants at once.

use std::time::Duration;

use dukou_e2e::{Tenant, World, eventually};
use serde_json::json;

use crate::becomes;

/// As many as took the platform's time-out five times over, when eight of them were asked after at once.
const STUCK: usize = 40;

#[tokio::test]
async fn a_silent_platform_of_one_tenant_delays_no_other() {
    let world = World::builder()
        .tenant(Tenant::bookshop().set("providers.wechat.timeout", "10s"))
        .tenant(Tenant::teahouse().set("providers.wechat.timeout", "10s"))
        .start()
        .await;
    let (silent, well) = (world.merchant("bookshop"), world.merchant("teahouse"));
    let lost = json!({ "operation": "unifiedorder", "fault": { "type": "lose_answer" } });
    world.control.fault(&lost).await;
    let hang = json!({
        "operation": "orderquery", "mch_id": world.tenant("bookshop").mch_id, "fault": { "type": "hang", "ms": 30_000 },
    });
    world.control.fault(&hang).await;
    for index in 0..STUCK {
        silent.create(&silent.order(&format!("STUCK-{index}"), 101)).await.problem(504, "provider_timeout");
    }
    let asked = async || {
        let journal = world.control.journal("operation=orderquery").await;
        (!journal.is_empty()).then_some(())
    };
    eventually("the silent platform is asked", Duration::from_secs(15), asked).await;
    well.create(&well.order("WELL-1", 101)).await.problem(504, "provider_timeout");
    becomes(&well, "WELL-1", "pending").await;
}

/// Its file was taken away and the gateway started again: its keys are gone, and so is whoever could ask.
#[tokio::test]
async fn what_a_tenant_left_open_that_nobody_knows_has_an_age() {
    let world = World::builder()
        .tenant(Tenant::bookshop())
        .tenant(Tenant::teahouse())
        .set("queries.pending", toml::Value::Array(vec!["1s".into()]))
        .start()
        .await;
    world.merchant("teahouse").pending("LEFT-1", 101).await;
    let file = world.gateway.config().join("tenants/teahouse.toml");
    let text = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    world.gateway.restart().await;
    let has_age = async |wanted: bool| {
        eventually(&format!("it has an age: {wanted}"), Duration::from_secs(40), async || {
            let labels = [("tenant", "teahouse"), ("what", "question_due")];
            let age = world.metrics().await.count("dukou_open_oldest_seconds", &labels);
            ((age >= 5) == wanted).then_some(())
        })
        .await;
    };
    has_age(true).await;
    std::fs::write(&file, text).unwrap();
    world.gateway.restart().await;
    has_age(false).await;
    world.verify().await;
}
