//! A merchant's backend sends a call again because it does not know whether it arrived.

use dukou_e2e::{Mode, World, eventually};
use serde_json::json;

use crate::{SOON, paid, wrong_fields};

#[tokio::test]
async fn the_first_answer_is_given_again() {
    let world = World::start().await;
    let merchant = world.merchant("bookshop");
    let mut body = merchant.order("unused", 101);
    body.as_object_mut().unwrap().remove("out_trade_no");
    let first = merchant.post_once("key-1", "/payments", &body).await;
    assert_eq!((first.status, first.header("idempotent-replayed")), (201, None), "{}", first.text);
    let again = merchant.post_once("key-1", "/payments", &body).await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (201, Some("true")));
    assert_eq!(first.json, again.json, "to the letter, though no number was given");
    let other = merchant.post_once("key-2", "/payments", &body).await.expect(201);
    assert_ne!(other["id"], first.json["id"], "another key is another payment");

    // After a restart too.
    world.gateway.restart().await;
    let later = merchant.post_once("key-1", "/payments", &body).await;
    assert_eq!((later.status, &later.json["id"]), (201, &first.json["id"]));
    world.verify().await;
}

#[tokio::test]
async fn a_refusal_is_given_again_too() {
    let world = World::start().await;
    let merchant = world.merchant("bookshop");
    paid(&world, "KEY-001", 100).await;
    let path = "/payments/KEY-001/refunds";
    let too_much = json!({ "out_refund_no": "R-1", "amount": 101 });
    merchant.post_once("k", path, &too_much).await.problem(422, "refund_exceeds_payment");
    let again = merchant.post_once("k", path, &too_much).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    again.problem(422, "refund_exceeds_payment");
    world.verify().await;
}

#[tokio::test]
async fn one_key_is_one_request() {
    let world = World::start().await;
    let merchant = world.merchant("bookshop");
    let body = merchant.order("KEYED-1", 101);
    merchant.post_once("key-1", "/payments", &body).await.expect(201);
    let other = merchant.order("KEYED-2", 101);
    merchant.post_once("key-1", "/payments", &other).await.problem(409, "idempotency_key_conflict");
    merchant.post_once("key-1", "/payments/KEYED-1/close", &json!({})).await.problem(409, "idempotency_key_conflict");
    merchant.payment("KEYED-2").await.problem(404, "not_found");
    for key in ["", "with space", "schlüssel", &"k".repeat(256)] {
        let request = merchant.request(reqwest::Method::POST, "/payments").json(&other);
        let value = reqwest::header::HeaderValue::from_bytes(key.as_bytes()).unwrap();
        let answer = merchant.send(request.header("Idempotency-Key", value)).await.unwrap();
        let problem = answer.problem(400, "invalid_request");
        assert_eq!(wrong_fields(&problem), ["Idempotency-Key"], "{key:?}");
    }
}

#[tokio::test]
async fn the_second_while_the_first_still_runs_is_told_so() {
    let world = World::builder().platform_proxy().start().await;
    let (tenant, merchant) = world.bookshop();
    // An open connection to the platform, on which only answers are held back.
    merchant.pending("BUSY-00", 101).await;
    let platform = world.platform_proxy.as_ref().unwrap();
    platform.set(Mode::SilentAnswers);
    let body = merchant.order("BUSY-01", 101);
    let first = tokio::spawn({
        let (merchant, body) = (merchant.clone(), body.clone());
        async move { merchant.post_once("key-1", "/payments", &body).await }
    });
    eventually("the order is at the platform", SOON, async || {
        (world.control.order(&tenant, "BUSY-01").await.status == 200).then_some(())
    })
    .await;
    let second = merchant.post_once("key-1", "/payments", &body).await;
    assert!(second.header("retry-after").is_some());
    second.problem(409, "idempotency_in_progress");
    platform.set(Mode::Cut);
    // Its answer was lost, which is not kept: the same key may be tried again and finds what became of it.
    assert_eq!(first.await.unwrap().status, 504);
    platform.set(Mode::Pass);
    let third = merchant.post_once("key-1", "/payments", &body).await;
    assert_eq!(third.status, 200, "{}", third.text);
    assert_eq!(world.control.order(&tenant, "BUSY-01").await.status, 200);
    world.verify().await;
}
