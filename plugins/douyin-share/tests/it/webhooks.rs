//! What Douyin tells: verified, kept once, joined to its share.

use std::time::Duration;

use dukou_spi::plugin::CallbackOutcome::{Applied, BadSignature, Duplicate, Malformed, PassedOn, Unknown};
use serde_json::{Value, json};

use crate::support::{CLIENT_KEY, SECRET, World, book, create_video, send, sha1};

fn body(reply: &dukou_spi::plugin::PluginReply) -> Value {
    serde_json::from_slice(&reply.body).unwrap()
}

#[tokio::test]
async fn a_video_becomes_the_shares_publication_once() {
    let world = World::new();
    let share = world.share(book()).await.unwrap();
    let message = create_video(share["share_id"].as_str().unwrap());
    let reply = world.message(Some("M-1"), &message).await;
    assert_eq!((reply.status, body(&reply)), (200, json!({ "code": 0, "message": "ok" })));
    for _ in 0..3 {
        assert_eq!(world.message(Some("M-1"), &message).await.status, 200);
    }
    assert_eq!(world.outcomes(), [Applied, Duplicate, Duplicate, Duplicate]);
    let events = world.events("bookshop").await;
    assert_eq!(events.len(), 2);
    let (kind, published) = &events[1];
    assert_eq!(*kind, "share.published");
    assert_eq!(published["id"], share["id"]);
    assert_eq!(published["item_id"], "@9VxT0uuF+/==");
    assert_eq!((published["status"].as_str(), published["review"].as_str()), (Some("published"), Some("unknown")));
    assert_eq!(published["open_id"], "open-id-1");
    // A second video of the same share is told as well.
    world.message(Some("M-2"), &message).await;
    assert_eq!(world.kinds("bookshop").await, ["share.created", "share.published", "share.published"]);
}

#[tokio::test]
async fn one_message_twice_at_once_over_two_instances_has_one_effect() {
    let world = World::new();
    let share = world.share(book()).await.unwrap();
    let message = create_video(share["share_id"].as_str().unwrap()).to_string();
    let signature = sha1(&format!("{SECRET}{message}"));
    let other = world.another();
    let copies = (0..10).map(|at| {
        let host = if at % 2 == 0 { &world.host } else { &other };
        send(host, "bookshop", Some("M-1"), Some(&signature), &message)
    });
    for reply in futures_util::future::join_all(copies).await {
        assert_eq!(reply.unwrap().status, 200);
    }
    let outcomes = world.outcomes();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Applied).count(), 1, "{outcomes:?}");
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Duplicate).count(), 9, "{outcomes:?}");
    assert_eq!(world.kinds("bookshop").await, ["share.created", "share.published"]);
}

#[tokio::test]
async fn what_is_not_douyins_changes_nothing() {
    let world = World::new();
    let share = world.share(book()).await.unwrap();
    let message = create_video(share["share_id"].as_str().unwrap()).to_string();
    let right = sha1(&format!("{SECRET}{message}"));
    let forged = message.replace("@9VxT0uuF", "@forged00");
    let foreign = message.replace(CLIENT_KEY, "awanotherkey0001");
    let signed = |body: &str| sha1(&format!("{SECRET}{body}"));
    for (signature, body, status) in [
        (None, message.as_str(), 401),
        (Some(String::new()), &message, 401),
        (Some("0".repeat(40)), &message, 401),
        (Some(sha1(&message)), &message, 401),
        (Some(sha1(&format!("wrong{message}"))), &message, 401),
        (Some(right.clone()), &forged, 401),
        (Some(right.clone()), "", 401),
        (Some(signed("[]")), "[]", 400),
        (Some(signed("")), "", 400),
        (Some(signed("{\"event\":7}")), "{\"event\":7}", 400),
        (Some(signed(&foreign)), &foreign, 400),
    ] {
        let reply = world.raw("bookshop", Some("M-1"), signature.as_deref(), body).await;
        assert_eq!(reply.status, status, "{signature:?} {body}");
    }
    assert_eq!(world.kinds("bookshop").await, ["share.created"]);
    assert!(world.outcomes().iter().all(|outcome| matches!(outcome, BadSignature | Malformed)));
    // None of that stands in the way of the real one.
    assert_eq!(world.raw("bookshop", Some("M-1"), Some(&right.to_uppercase()), &message).await.status, 200);
    assert_eq!(world.kinds("bookshop").await, ["share.created", "share.published"]);
}

#[tokio::test]
async fn the_address_is_checked_with_a_challenge_of_its_own_type() {
    let world = World::new();
    let verify = |challenge: Value| json!({ "event": "verify_webhook", "client_key": "", "content": { "challenge": challenge } });
    for challenge in [json!(12345), json!("a-text")] {
        let reply = world.message(None, &verify(challenge.clone())).await;
        assert_eq!((reply.status, body(&reply)), (200, json!({ "challenge": challenge })));
        let unsigned = world.raw("bookshop", None, None, &verify(challenge.clone()).to_string()).await;
        assert_eq!((unsigned.status, body(&unsigned)), (200, json!({ "challenge": challenge })));
    }
    let forged = world.raw("bookshop", None, Some(&"0".repeat(40)), &verify(json!(1)).to_string()).await;
    assert_eq!(forged.status, 401);
    for nonsense in [json!({ "a": 1 }), json!("x".repeat(300)), Value::Null] {
        assert_eq!(world.message(None, &verify(nonsense)).await.status, 400);
    }
    assert!(world.events("bookshop").await.is_empty());
}

#[tokio::test]
async fn a_video_is_told_to_the_tenant_whose_share_it_is_whichever_address_douyin_knows() {
    let world = World::new();
    let share = world.share(book()).await.unwrap();
    let message = create_video(share["share_id"].as_str().unwrap()).to_string();
    let signature = sha1(&format!("{SECRET}{message}"));
    for _ in 0..2 {
        assert_eq!(world.raw("teahouse", Some("M-1"), Some(&signature), &message).await.status, 200);
    }
    let events = world.events("bookshop").await;
    assert_eq!((events.len(), events[1].0, &events[1].1["id"]), (2, "share.published", &share["id"]));
    assert!(world.events("teahouse").await.is_empty(), "whose video it is, is not the teahouse's to know");
    assert_eq!(world.outcomes(), [Applied, PassedOn, Duplicate]);
    // The same message at its own tenant is a copy of that.
    assert_eq!(world.raw("bookshop", Some("M-1"), Some(&signature), &message).await.status, 200);
    assert_eq!(world.kinds("bookshop").await, ["share.created", "share.published"]);
    // A share of nobody's is a message like others.
    let strange = create_video("4711").to_string();
    let signature = sha1(&format!("{SECRET}{strange}"));
    assert_eq!(world.raw("teahouse", Some("M-2"), Some(&signature), &strange).await.status, 200);
    assert_eq!(world.kinds("teahouse").await, ["message.received"]);
}

#[tokio::test]
async fn whose_a_share_is_is_forgotten_with_it() {
    let world = World::new();
    let share = world.share(book()).await.unwrap();
    let message = create_video(share["share_id"].as_str().unwrap()).to_string();
    world.wait(Duration::from_secs(24 * 60 * 60));
    assert_eq!(world.host.run_due().await, 1, "it ends");
    world.wait(Duration::from_secs(180 * 24 * 60 * 60));
    assert_eq!(world.host.run_due().await, 1, "it goes");
    let signature = sha1(&format!("{SECRET}{message}"));
    assert_eq!(world.raw("teahouse", Some("M-1"), Some(&signature), &message).await.status, 200);
    assert_eq!(world.outcomes(), [Applied], "not passed on");
    assert_eq!(world.kinds("bookshop").await, ["share.created", "share.expired"]);
}

#[tokio::test]
async fn other_events_are_kept_raised_and_answered_and_unknown_ones_counted() {
    let world = World::new();
    let message = |event: &str, content: Value| json!({ "event": event, "from_user_id": "u", "client_key": CLIENT_KEY, "content": content });
    // Content comes as an object and as a text.
    world.message(Some("1"), &message("im_receive_msg", json!("{\"text\":\"你好 🎉\"}"))).await;
    world.message(Some("2"), &message("authorize", json!({ "scopes": ["user_info"] }))).await;
    world.message(Some("3"), &message("item_comment_reply", json!({ "comment_id": "c" }))).await;
    world.message(Some("4"), &message("enter_im", Value::Null)).await;
    world.message(Some("5"), &message("something_new", json!({}))).await;
    assert_eq!(world.outcomes(), [Applied, Applied, Applied, Applied, Unknown]);
    let events = world.events("bookshop").await;
    assert!(events.iter().all(|(kind, _)| *kind == "message.received"));
    assert_eq!(events[0].1["content"]["text"], "你好 🎉");
    assert_eq!(events[4].1["event"], "something_new");
    // Without an id the body names the message.
    let bare = message("new_video_digg", json!({ "action_type": 1 }));
    world.message(None, &bare).await;
    world.message(None, &bare).await;
    assert_eq!(world.outcomes()[5..], [Applied, Duplicate]);
}

#[tokio::test]
async fn a_message_is_remembered_for_a_week() {
    let world = World::new();
    let message = json!({ "event": "enter_im", "content": {} });
    world.message(Some("1"), &message).await;
    world.wait(Duration::from_secs(7 * 24 * 60 * 60 - 1));
    assert_eq!(world.host.run_due().await, 0);
    world.message(Some("1"), &message).await;
    assert_eq!(world.outcomes(), [Applied, Duplicate]);
    world.wait(Duration::from_secs(1));
    assert_eq!(world.host.run_due().await, 1);
}

#[tokio::test]
async fn the_bytes_are_signed_as_they_came() {
    let world = World::new();
    let share = world.share(book()).await.unwrap();
    let share_id = share["share_id"].as_str().unwrap();
    // Spaces, an order and escapes that nobody would write again.
    let body = format!(
        "{{ \"from_user_id\":\"u\\u0031\",\n\t\"event\" : \"create_video\", \"content\":\"{{\\\"share_id\\\":\\\"{share_id}\\\",\\\"item_id\\\":\\\"@\\/+==\\\"}}\"}}\r\n"
    );
    let signature = sha1(&format!("{SECRET}{body}"));
    assert_eq!(world.raw("bookshop", Some("M-1"), Some(&signature), body.trim_end()).await.status, 401);
    assert_eq!(world.raw("bookshop", Some("M-1"), Some(&signature), &body).await.status, 200);
    let events = world.events("bookshop").await;
    assert_eq!(
        (events[1].0, &events[1].1["item_id"], &events[1].1["open_id"]),
        ("share.published", &json!("@/+=="), &json!("u1"))
    );
}
