//! Crashes and answers that come too late.

use std::time::Duration;

use dukou_e2e::{Mode, Tenant, World, eventually};
use serde_json::json;

use crate::support::{SOON, becomes, crashed, events_of, notify_once, paid_silently, restart_at, successes};

/// How long the one commit is held in [`f04_two_hundred_copies_are_one_effect_and_wait_for_the_commit`].
const HELD: Duration = Duration::from_millis(1500);
const COPIES: usize = 200;

/// Watches: the unique key of a notification in the store, which alone knows after a crash that the message was
/// entered (without it, or with an event written apart from its payment, there are two events).
#[tokio::test]
async fn f02_killed_after_the_commit_and_before_the_answer() {
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    paid_silently(&world, &merchant, "F02-01", 101).await;

    restart_at(&world.gateway, "store.after_commit=return").await;
    assert!(!notify_once(&world, &tenant, "F02-01").await, "nobody is there to answer");
    crashed(&world.gateway).await;

    world.gateway.restart().await;
    assert_eq!(merchant.status("F02-01").await, "succeeded", "it was committed");
    assert!(notify_once(&world, &tenant, "F02-01").await, "the platform asks again");
    assert_eq!(world.metrics().await.notifies("bookshop", "payment", "duplicate"), 1);
    assert_eq!(events_of(&merchant, "F02-01", "payment.succeeded").await, 1);
    world.verify().await;
}

/// Watches: the answer that waits for the commit. An answer given from the claim, or before the transaction is on disk,
/// is seen in the platform's journal while the payment is still pending.
#[tokio::test]
async fn f04_two_hundred_copies_are_one_effect_and_wait_for_the_commit() {
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    paid_silently(&world, &merchant, "F04-01", 101).await;
    restart_at(&world.gateway, &format!("store.before_commit=1*sleep({})", HELD.as_millis())).await;

    let before = std::time::Instant::now();
    let (control, copied) = (world.control.clone(), tenant.clone());
    let how = json!({ "copies": COPIES, "concurrent": true });
    let sending = tokio::spawn(async move { control.notify(&copied, "F04-01", &how).await });
    eventually("the payment succeeds", SOON, async || {
        // Read in this order: what was acknowledged before the look must be visible in it.
        let sent = world.control.journal("operation=notify_payment").await;
        let acknowledged = sent.iter().any(|entry| entry["response"].as_str().is_some_and(|r| r.contains("SUCCESS")));
        let status = merchant.status("F04-01").await;
        assert!(!acknowledged || status == "succeeded", "acknowledged while the payment is {status}");
        (status == "succeeded").then_some(())
    })
    .await;
    assert!(before.elapsed() >= HELD, "the commit was not held, so this test has seen nothing");

    assert_eq!(successes(&sending.await.unwrap()), COPIES);
    let metrics = world.metrics().await;
    let outcomes = ["applied", "duplicate"].map(|outcome| metrics.notifies("bookshop", "payment", outcome));
    assert_eq!(outcomes, [1, COPIES as u64 - 1]);
    assert_eq!(events_of(&merchant, "F04-01", "payment.succeeded").await, 1);
    world.verify().await;
}

/// Watches: the intent stored before the platform is called (otherwise the notify meets an unknown order), and the
/// state table that keeps a late answer from setting a paid payment back.
#[tokio::test]
async fn f05_the_notify_is_faster_than_the_answer_of_the_create() {
    // Long enough for a notify on a busy machine.
    let shop = Tenant::bookshop().set("providers.wechat.timeout", "6s");
    let world = World::builder().tenant(shop).platform_proxy().start().await;
    let (tenant, merchant) = world.bookshop();
    let platform = world.platform_proxy.as_ref().unwrap();
    for (number, lost) in [("F05-late", false), ("F05-lost", true)] {
        // An open connection to the platform, on which only answers are held back.
        merchant.pending(&format!("{number}-before"), 101).await;
        platform.set(Mode::SilentAnswers);
        let (buyer, order) = (merchant.clone(), merchant.order(number, 101));
        let creating = tokio::spawn(async move { buyer.create(&order).await });
        eventually("the order is at the platform", SOON, async || {
            (world.control.order(&tenant, number).await.status == 200).then_some(())
        })
        .await;
        world.control.pay(&tenant, number).await;
        becomes(&merchant, number, "succeeded").await;
        assert!(!creating.is_finished(), "the create has been answered already, so nothing was overtaken");

        if !lost {
            platform.set(Mode::Pass);
        }
        let answer = creating.await.unwrap().expect(201);
        platform.set(Mode::Pass);
        assert_eq!(answer["status"], "succeeded", "{answer}");
        assert_eq!(merchant.status(number).await, "succeeded");
        assert_eq!(events_of(&merchant, number, "payment.succeeded").await, 1);
        let types = merchant.event_types(number).await;
        assert_eq!(types.last().map(String::as_str), Some("payment.succeeded"), "{types:?}");
    }
    world.verify().await;
}
