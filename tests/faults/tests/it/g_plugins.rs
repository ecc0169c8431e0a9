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

/// Watches: tokens and tickets in the log at its most detailed, in answers and events, and unsealed in the ledger's file.
#[tokio::test]
async fn g02_no_token_of_douyins_leaves() {
    let shop = Tenant::bookshop().with_douyin();
    let world = World::builder().tenant(shop).env("RUST_LOG", "trace").start().await;
    let (tenant, merchant) = world.bookshop();
    let douyin = tenant.douyin.clone().unwrap();
    let book = json!({ "app_id": tenant.app_id, "title": "边城", "image_url": "https://img.example.com/42.png" });
    let share = merchant.post("/shares/douyin", &book).await.expect(201);
    world.client().get(share["landing_url"].as_str().unwrap()).send().await.unwrap();
    let begun = merchant.post("/authorizations/douyin", &json!({ "scopes": ["user_info"] })).await.expect(201);
    let redirect = format!("{}/callback/bookshop/douyin-share", world.gateway.url());
    let consent = json!({
        "client_key": douyin.client_key, "scope": "user_info", "redirect_uri": redirect, "state": begun["state"],
    });
    let agreed = world.control.must("/douyin/authorize", &consent).await;
    let code = agreed["code"].as_str().unwrap();
    let page = world.client().get(agreed["redirect"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(page.status(), 200);
    for (operation, fault) in [
        ("share_id", json!({ "type": "err_code", "code": "2190008" })),
        ("share_id", json!({ "type": "truncate" })),
        ("client_token", json!({ "type": "truncate" })),
        ("client_token", json!({ "type": "http", "status": 500, "body": "oops" })),
    ] {
        let what = json!({ "what": "client_token_invalid" });
        world.control.must(&format!("/douyin/apps/{}/expire", douyin.client_key), &what).await;
        world.control.must("/douyin/faults", &json!({ "operation": operation, "times": 1, "fault": fault })).await;
        let answer = merchant.post("/shares/douyin", &book).await;
        assert!(!answer.text.contains("clt."), "{}", answer.text);
    }
    let events = serde_json::to_string(&merchant.all_events().await).unwrap();
    let log = world.gateway.logs();
    assert!(log.contains("\"level\":\"TRACE\""), "the log is not at its most detailed");
    let mut ledger = Vec::new();
    for file in ["dukou.db", "dukou.db-wal"] {
        ledger.extend(std::fs::read(world.directory().join("data").join(file)).unwrap_or_default());
    }
    let ledger = String::from_utf8_lossy(&ledger).into_owned();
    assert!(ledger.contains("sealed") && ledger.contains("authorizations"), "the ledger was not read");
    for secret in ["clt.", "act.", "rft.", &douyin.client_secret, code] {
        for (place, text) in [("the log", &log), ("the events", &events), ("the ledger", &ledger)] {
            let line = text.lines().find(|line| line.contains(secret));
            assert!(line.is_none(), "{secret} is in {place}: {line:?}");
        }
    }
}
