//! From client_token to a published work and its webhook.

use serde_json::{Value, json};

use super::kit::{KEY, SECRET, plain};
use crate::support::{Receiver, until};

/// The whole way, once.
#[tokio::test]
async fn a_share_is_published_and_told_of() {
    let bench = plain().await;
    let receiver =
        Receiver::start(|number| (200, if number == 0 { "{\"challenge\":12345}".to_owned() } else { "{}".to_owned() }))
            .await;
    bench.must(&format!("/douyin/apps/{KEY}/webhook"), json!({ "url": receiver.url })).await;

    let ticket = bench.ticket().await;
    let share_id = bench.share_id("?need_callback=true&default_hashtag=%E6%B8%A1%E5%8F%A3").await;
    let schema = bench.schema(&ticket, &[("state", &share_id)]).await;
    let opening = bench.must("/douyin/open", json!({ "schema": schema })).await;
    assert_eq!((&opening["share_id"], &opening["need_callback"]), (&json!(share_id), &json!(true)));
    assert_eq!((&opening["title"], &opening["hashtags"]), (&json!("好书 推荐"), &json!(["读书", "渡口"])));
    assert_eq!((&opening["target"], &opening["media"]["kind"]), (&json!("edit"), &json!("video")));

    let publish = json!({ "opening_id": opening["opening_id"], "hashtags": ["读书"] });
    let work = bench.must("/douyin/publish", publish.clone()).await;
    assert_eq!(bench.control("/douyin/publish", publish).await.0, 409, "one tap, one work");
    let bodies = receiver.wait(2).await;
    let challenge: Value = serde_json::from_str(&bodies[0]).unwrap();
    assert_eq!((&challenge["event"], &challenge["content"]["challenge"]), (&json!("verify_webhook"), &json!(12345)));
    let told: Value = serde_json::from_str(&bodies[1]).unwrap();
    assert_eq!((&told["event"], &told["client_key"]), (&json!("create_video"), &json!(KEY)));
    assert_eq!(told["from_user_id"], work["open_id"]);
    let content = &told["content"];
    assert_eq!((&content["item_id"], &content["share_id"]), (&work["item_id"], &json!(share_id)));
    assert_eq!(content["has_default_hashtag"], false);

    let job = until(async || {
        let queue = bench.look("/douyin/webhooks").await;
        (queue["webhooks"][0]["state"] == "delivered").then(|| queue["webhooks"][0].clone())
    })
    .await;
    assert_eq!(job["id"], work["webhook_id"]);
    // Everything crossed the journal, without secrets.
    let journal = bench.look("/journal").await;
    let entries = journal["entries"].as_array().unwrap();
    let operations: Vec<&str> = entries.iter().map(|entry| entry["operation"].as_str().unwrap()).collect();
    for operation in ["verify_webhook", "client_token", "getticket", "share_id", "open", "publish", "douyin_webhook"] {
        assert!(operations.contains(&operation), "{operation} is not in {operations:?}");
    }
    assert!(entries.iter().all(|entry| entry["client_key"] == KEY), "{journal}");
    assert!(!journal.to_string().contains(SECRET) && !journal.to_string().contains(&ticket));
}
