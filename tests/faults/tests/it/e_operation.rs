//! Panics, and being told to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dukou_e2e::{World, eventually};
use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{SOON, acknowledges, becomes, notify_document, notify_once, post_notify, restart_at, succeeded};

/// Buyers at once in [`f34_told_to_stop_under_load`].
const BUYERS: usize = 4;
/// How long what is in flight may take to finish.
const DRAIN: Duration = Duration::from_secs(30);

/// Watches: `catch_unwind` around a call to a provider, and around a handler.
#[tokio::test]
async fn f33_a_panic_fails_one_request() {
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    succeeded(&world, &merchant, "F33-before", 101).await;

    restart_at(&world.gateway, "provider.call=1*panic(deliberate);notify.verified=1*panic(deliberate)").await;
    let process = world.gateway.pid();
    let answer = merchant.create(&merchant.order("F33-01", 101)).await;
    let id = answer.json["request_id"].clone();
    answer.problem(504, "provider_timeout");
    assert!(id.as_str().is_some_and(|id| !id.is_empty()), "a problem has a request_id");
    // The gateway cannot know how far the call came, asks, and learns that there is no such order.
    becomes(&merchant, "F33-01", "created").await;
    merchant.create(&merchant.order("F33-01", 101)).await.expect(200);
    world.control.pay_silently(&tenant, "F33-01").await;

    let document = notify_document(&world, &tenant, "F33-01").await;
    let first = post_notify(&world, &world.notify_url("bookshop", "payment"), document.clone()).await;
    let first = first.expect("a panic is answered");
    assert!(!acknowledges(&first), "{}", first.text);
    first.problem(500, "internal_error");
    let second = post_notify(&world, &world.notify_url("bookshop", "payment"), document).await.unwrap();
    assert!(acknowledges(&second), "{}", second.text);
    // Through the platform too, whose journal holds the proof.
    assert!(notify_once(&world, &tenant, "F33-01").await);

    assert_eq!(merchant.status("F33-01").await, "succeeded");
    assert_eq!((world.gateway.pid(), world.gateway.exited().is_some()), (process, false), "the process lives");
    world.verify().await;
}

/// Watches: the order of a stop: nothing new, what is in flight finished and its answer given, the store closed last.
#[tokio::test]
async fn f34_told_to_stop_under_load() {
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    world.control.policy(&json!({ "auto_notify": false })).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut buying = JoinSet::new();
    for buyer in 0..BUYERS {
        let (merchant, control, tenant, stop) =
            (merchant.clone(), world.control.clone(), tenant.clone(), Arc::clone(&stop));
        buying.spawn(async move {
            let (mut created, mut acknowledged) = (Vec::new(), Vec::new());
            for round in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let number = format!("F34-{buyer}-{round:05}");
                let request = merchant.request(Method::POST, "/payments").json(&merchant.order(&number, 101));
                // Nobody listens any more, or not yet: the buyer goes on to the next.
                let Ok(answer) = merchant.send(request).await else {
                    tokio::task::yield_now().await;
                    continue;
                };
                assert_eq!(answer.status, 201, "{}", answer.text);
                control.pay_silently(&tenant, &number).await;
                let deliveries = control.notify(&tenant, &number, &json!({})).await;
                if deliveries[0]["success"] == true {
                    acknowledged.push(number.clone());
                }
                created.push(number);
            }
            (created, acknowledged)
        });
    }
    eventually("there is load", SOON, async || {
        (world.metrics().await.notifies("bookshop", "payment", "applied") > 20).then_some(())
    })
    .await;
    // A call that takes longer than everything else.
    world
        .control
        .fault(&json!({ "operation": "unifiedorder", "out_trade_no": "F34-slow", "fault": { "type": "delay", "ms": 2000 } }))
        .await;
    let (slow, order) = (merchant.clone(), merchant.order("F34-slow", 101));
    let in_flight = tokio::spawn(async move { slow.create(&order).await });
    eventually("the slow call runs", SOON, async || (merchant.payment("F34-slow").await.status == 200).then_some(()))
        .await;

    world.gateway.terminate();
    let status = world.gateway.wait_exit(DRAIN).await;
    assert_eq!(status.code(), Some(0), "{status}");
    assert_eq!(in_flight.await.unwrap().expect(201)["status"], "pending", "what was in flight is finished");
    stop.store(true, Ordering::Relaxed);
    let done = buying.join_all().await;

    world.control.clear_faults().await;
    world.gateway.restart().await;
    for (created, acknowledged) in done {
        for number in &created {
            let paid = acknowledged.contains(number);
            let status = merchant.status(number).await;
            assert_eq!(status, if paid { "succeeded" } else { "pending" }, "{number}");
            if !paid {
                assert!(notify_once(&world, &tenant, number).await, "{number}: the retry heals it");
            }
        }
    }
    succeeded_again(&world).await;
    world.verify().await;
}

/// After all that the gateway serves as before.
async fn succeeded_again(world: &World) {
    let (tenant, merchant) = world.bookshop();
    world.control.policy(&json!({ "auto_notify": true })).await;
    succeeded(world, &merchant, "F34-after", 101).await;
    assert!(notify_once(world, &tenant, "F34-after").await);
}
