//! A plugin's messages and shares when the process ends at the worst moment.

use dukou_e2e::{Merchant, Tenant, World};
use serde_json::{Value, json};

use crate::support::{crashed, restart_at};

async fn shared() -> (World, Merchant, Value) {
    let world = World::builder().tenant(Tenant::bookshop().with_douyin()).start().await;
    let (tenant, merchant) = world.bookshop();
    let body = json!({ "app_id": tenant.app_id, "title": "边城", "image_url": "https://img.example.com/42.png" });
    let share = merchant.post("/shares/douyin", &body).await.expect(201);
    (world, merchant, share)
}

/// Douyin tells of a video, once; what it was answered.
async fn told(world: &World, share: &Value) -> Option<u64> {
    let key = world.tenant("bookshop").douyin.clone().unwrap().client_key;
    let url = format!("{}/callback/bookshop/douyin-share", world.gateway.url());
    let body = json!({
        "client_key": key, "event": "create_video", "msg_id": "M-1", "url": url,
        "content": { "item_id": "@a==", "share_id": share["share_id"] },
    });
    let sent = world.control.must("/douyin/webhooks", &body).await;
    sent["responses"][0]["status"].as_u64()
}

async fn published(merchant: &Merchant) -> usize {
    let events = merchant.all_events().await;
    events.iter().filter(|event| event["type"] == "share.published").count()
}

#[tokio::test]
async fn g01_a_plugins_message_whose_answer_was_lost_has_one_effect() {
    for (point, already) in [("store.before_commit", 0), ("store.after_commit", 1)] {
        let (world, merchant, share) = shared().await;
        restart_at(&world.gateway, &format!("{point}=return")).await;
        assert_eq!(told(&world, &share).await, None, "{point}: no answer");
        crashed(&world.gateway).await;
        world.gateway.restart().await;
        assert_eq!(published(&merchant).await, already, "{point}");
        assert_eq!(told(&world, &share).await, Some(200), "{point}");
        assert_eq!(published(&merchant).await, 1, "{point}");
        world.verify().await;
    }
}
