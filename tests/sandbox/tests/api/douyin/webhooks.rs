//! Webhooks: the address, the repetitions, and what a test may do to them.

use serde_json::{Value, json};

use super::hook::Hook;
use super::kit::{KEY, OTHER_KEY, plain};
use crate::support::{Bench, until};

async fn register(bench: &Bench, url: &str) -> (u16, Value) {
    bench.control(&format!("/douyin/apps/{KEY}/webhook"), json!({ "url": url })).await
}

async fn queued(bench: &Bench, event: &str) -> u64 {
    let send = json!({ "client_key": KEY, "event": event, "queue": true });
    bench.must("/douyin/webhooks", send).await["id"].as_u64().unwrap()
}

/// The webhook once it has had so many attempts and rests.
async fn after(bench: &Bench, id: u64, attempts: usize) -> Value {
    until(async || {
        let queue = bench.look("/douyin/webhooks").await;
        let job = queue["webhooks"].as_array().unwrap().iter().find(|job| job["id"] == id)?;
        (job["attempts"].as_array().unwrap().len() == attempts && job["state"] != "sending").then(|| job.clone())
    })
    .await
}

#[tokio::test]
async fn an_address_is_entered_when_it_answers_the_challenge() {
    let bench = plain().await;
    let path = format!("/douyin/apps/{KEY}/webhook");
    for (status, body, why) in [
        (500, "{\"challenge\":12345}", "status 500"),
        (200, "ok", "is not JSON"),
        (200, "{}", "challenge is null"),
        (200, "{\"challenge\":\"12345\"}", "of the same JSON type"),
        (200, "{\"challenge\":12346}", "challenge is 12346"),
    ] {
        let hook = Hook::start(move |_, _| (status, body.to_owned())).await;
        let (status, answer) = register(&bench, &hook.url).await;
        assert!(status == 400 && answer["error"].as_str().unwrap().contains(why), "{body}: {answer}");
    }
    assert!(bench.look("/douyin/state").await["apps"][0]["webhook_url"].is_null());
    for bad in ["ftp://127.0.0.1/", "nonsense"] {
        assert_eq!(register(&bench, bad).await.0, 400);
    }
    assert_eq!(register(&bench, "http://127.0.0.1:1/").await.0, 400);
    assert_eq!(bench.control("/douyin/apps/awnobody/webhook", json!({ "url": "http://127.0.0.1:1/" })).await.0, 404);

    let hook = Hook::polite().await;
    for challenge in [json!(7), json!("text")] {
        bench.must(&path, json!({ "url": hook.url, "challenge": challenge })).await;
        let asked = hook.wait(1).await.pop().unwrap();
        assert_eq!((&asked.json()["content"]["challenge"], asked.is_signed()), (&challenge, true));
        assert_eq!(asked.json()["client_key"], "");
    }
    assert_eq!(bench.control(&path, json!({ "url": hook.url, "challenge": [1] })).await.0, 400);
    assert_eq!(bench.look("/douyin/state").await["apps"][0]["webhook_url"], json!(hook.url));
    let url = format!("{}/_sandbox{path}", bench.sandbox.http_url());
    bench.client.delete(url).send().await.unwrap();
    assert_eq!(bench.control("/douyin/webhooks", json!({ "client_key": KEY, "event": "authorize" })).await.0, 400);
}

#[tokio::test]
async fn three_attempts_with_the_same_bytes_and_the_same_number() {
    let bench = plain().await;
    let hook = Hook::start(|number, received| match number {
        0 => (200, received.json()["content"].to_string()),
        1 | 2 => (500, String::new()),
        _ => (204, String::new()),
    })
    .await;
    register(&bench, &hook.url).await;
    bench.must("/clock", json!({ "speed": 0 })).await;
    let id = queued(&bench, "new_follow_action").await;
    let first = after(&bench, id, 1).await;
    assert_eq!(first["state"], "pending");
    assert_eq!(first["next_due"].as_i64().unwrap() - first["attempts"][0]["at"].as_i64().unwrap(), 10_000);
    bench.must("/clock", json!({ "advance_seconds": 9 })).await;
    assert_eq!(hook.count(), 2, "nothing before its time");
    bench.must("/clock", json!({ "advance_seconds": 1 })).await;
    after(&bench, id, 2).await;
    bench.must("/clock", json!({ "advance_seconds": 60 })).await;
    // Only 200 counts: 204 does not.
    assert_eq!(after(&bench, id, 3).await["state"], "given_up");
    bench.must("/clock", json!({ "advance_seconds": 86_400 })).await;
    let all = hook.wait(4).await;
    assert_eq!(all.len(), 4);
    for received in &all[1..] {
        assert!(received.is_signed() && received.header("content-type") == Some("application/json"));
        assert_eq!((received.header("msg-id"), &received.body), (first["msg_id"].as_str(), &all[1].body));
    }
    // By hand it can be sent again, as it was or under another number.
    let path = format!("/douyin/webhooks/{id}/repeat");
    let again = bench.must(&path, json!({ "copies": 3, "concurrent": true })).await;
    assert_eq!(again["responses"].as_array().unwrap().len(), 3);
    bench.must(&path, json!({ "msg_id": "another" })).await;
    let all = hook.wait(8).await;
    assert!(all[4..7].iter().all(|received| received.body == all[1].body && received.is_signed()));
    assert_eq!(all[7].header("msg-id"), Some("another"));
    assert_eq!(bench.control("/douyin/webhooks/9999/repeat", json!({})).await.0, 404);
    assert_eq!(bench.control(&path, json!({ "copies": 0 })).await.0, 400);
}

#[tokio::test]
async fn the_schedule_is_the_policys() {
    let bench = plain().await;
    register(&bench, &Hook::polite().await.url).await;
    bench.must("/douyin/policy", json!({ "webhook_pauses_seconds": [] })).await;
    let url = json!({ "url": "http://127.0.0.1:1/", "verify": false });
    bench.must(&format!("/douyin/apps/{KEY}/webhook"), url).await;
    let id = queued(&bench, "authorize").await;
    let job = after(&bench, id, 1).await;
    assert!(job["state"] == "given_up" && job["attempts"][0]["delivery"]["error"].is_string(), "{job}");
    let many = vec![1; 21];
    assert_eq!(bench.control("/douyin/policy", json!({ "webhook_pauses_seconds": many })).await.0, 400);
}

#[tokio::test]
async fn lost_delayed_and_doubled() {
    let bench = plain().await;
    let hook = Hook::polite().await;
    register(&bench, &hook.url).await;
    let policy = json!({ "drop_webhooks": 1, "webhook_delay_ms": 30_000, "webhook_duplicates": 2 });
    bench.must("/douyin/policy", policy).await;
    let id = queued(&bench, "authorize").await;
    bench.must("/clock", json!({ "speed": 0 })).await;
    bench.must("/clock", json!({ "advance_seconds": 31 })).await;
    assert!(after(&bench, id, 1).await["attempts"][0]["delivery"].is_null() && hook.count() == 1, "the first is lost");
    bench.must("/clock", json!({ "advance_seconds": 10 })).await;
    assert_eq!(after(&bench, id, 2).await["state"], "delivered");
    let all = hook.wait(4).await;
    assert_eq!(all.len(), 4, "the attempt and two more copies");
    assert!(all[1..].iter().all(|received| received.header("msg-id") == all[1].header("msg-id")));
}

#[tokio::test]
async fn broken_and_forged() {
    let bench = plain().await;
    let hook = Hook::polite().await;
    register(&bench, &hook.url).await;
    let send = async |more: Value| {
        let mut body = json!({ "client_key": KEY, "event": "create_video" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let count = hook.count();
        let sent = bench.must("/douyin/webhooks", body).await;
        assert_eq!(sent["responses"].as_array().unwrap().len(), 1);
        hook.wait(count + 1).await.pop().unwrap()
    };
    let good = send(json!({ "msg_id": "m-1", "content_as": "text" })).await;
    assert!(good.is_signed() && good.header("msg-id") == Some("m-1"));
    let inner: Value = serde_json::from_str(good.json()["content"].as_str().unwrap()).unwrap();
    assert!(inner["item_id"].as_str().unwrap().starts_with('@'));
    for corrupt in ["sign", "body"] {
        let received = send(json!({ "corrupt": corrupt, "content_as": "object" })).await;
        assert!(!received.is_signed() && received.json()["content"].is_object(), "{corrupt}");
    }
    let cut = send(json!({ "corrupt": "truncate" })).await;
    assert!(!cut.is_signed() && serde_json::from_slice::<Value>(&cut.body).is_err());
    assert_eq!(send(json!({ "corrupt": "no_sign" })).await.header("x-douyin-signature"), None);
    let unnumbered = send(json!({ "corrupt": "no_msg_id" })).await;
    assert!(unnumbered.header("msg-id").is_none() && unnumbered.is_signed());
    let forged = send(json!({ "secret": "forged" })).await;
    assert!(!forged.is_signed() && forged.is_signed_with("forged"));
    let any =
        send(json!({ "event": "never_heard_of", "content": { "a": 1 }, "from_user_id": "_000x", "to_user_id": "y" }));
    let any = any.await.json();
    assert_eq!(
        (&any["event"], &any["content"]["a"], &any["to_user_id"]),
        (&json!("never_heard_of"), &json!(1), &json!("y"))
    );

    let raw = json!({ "client_key": KEY, "body": "{ not json", "msg_id": "raw-1" });
    bench.must("/douyin/webhooks/raw", raw).await;
    let received = hook.wait(9).await.pop().unwrap();
    assert!(received.is_signed() && received.body == b"{ not json" && received.header("msg-id") == Some("raw-1"));
    for bad in [json!({ "client_key": KEY }), json!({ "client_key": KEY, "event": "a", "corrupt": "x" })] {
        assert_eq!(bench.control("/douyin/webhooks", bad).await.0, 400);
    }
    assert_eq!(bench.control("/douyin/webhooks", json!({ "client_key": "awnobody", "event": "a" })).await.0, 404);
    assert_eq!(bench.control("/douyin/webhooks", json!({ "client_key": OTHER_KEY, "event": "a" })).await.0, 400);
}

#[tokio::test]
async fn a_webhook_secret_of_its_own_signs() {
    let bench = plain().await;
    let hook = Hook::polite().await;
    let app = json!({ "client_key": "awown", "client_secret": "a", "webhook_secret": "b" });
    bench.must("/douyin/apps", app).await;
    bench.must("/douyin/apps/awown/webhook", json!({ "url": hook.url })).await;
    let received = hook.wait(1).await.pop().unwrap();
    assert!(received.is_signed_with("b") && !received.is_signed_with("a"));
}

#[tokio::test]
async fn the_test_tool_sends_every_listed_event() {
    let bench = plain().await;
    let hook = Hook::polite().await;
    register(&bench, &hook.url).await;
    let token = bench.client_token().await;
    let url = format!("{}/sandbox/webhook/event/send/", bench.sandbox.https_url());
    let ask = async |event: &str| {
        let request = bench.client.post(&url).header("access-token", &token).json(&json!({ "event_type": event }));
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        answer["data"]["error_code"].clone()
    };
    let events = [
        "create_video",
        "authorize",
        "unauthorize",
        "im_receive_msg",
        "im_send_msg",
        "im_enter_direct_msg",
        "im_group_receive_msg",
        "im_group_send_msg",
        "im_authorize",
        "enter_group_audit_change",
        "group_fans_event",
        "item_comment_reply",
        "new_video_digg",
        "new_follow_action",
        "contract_authorize",
        "contract_unauthorize",
        "union_auth_info_for_c",
        "union_auth_info_for_b",
        "receive_msg",
        "enter_im",
        "dial_phone",
        "website_contact",
        "personal_tab_contact",
    ];
    for event in events {
        assert_eq!(ask(event).await, 0, "{event}");
    }
    assert_eq!(ask("never_heard_of").await, 2_100_005);
    let all = hook.wait(1 + events.len()).await;
    assert!(all.iter().all(super::hook::Received::is_signed));
    let mut came: Vec<String> =
        all[1..].iter().map(|received| received.json()["event"].as_str().unwrap().to_owned()).collect();
    came.sort_unstable();
    let mut sent = events.map(str::to_owned).to_vec();
    sent.sort_unstable();
    assert_eq!(came, sent);
}
