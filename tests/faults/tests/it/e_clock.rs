//! The machine's clock is wrong and is set, and payments whose time is over.

use std::time::Duration;

use dukou_e2e::{World, eventually};
use reqwest::Method;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::moved_clock::MovedClock;
use crate::support::{SOON, becomes, crashed, events_of, need_fail_points, notify_once, paid_silently, succeeded};

const OFF: i64 = 600;

async fn clock_check(world: &World) -> (u16, Value) {
    let (status, report) = world.gateway.readiness().await.unwrap();
    let checks = report["checks"].as_array().unwrap();
    (status, checks.iter().find(|check| check["name"] == "clock").unwrap().clone())
}

fn skew(metrics: &dukou_e2e::Metrics) -> f64 {
    let hosts = metrics.label_values("dukou_clock_skew_seconds", "host");
    let [host] = hosts[..] else { panic!("one platform, {hosts:?}") };
    metrics.value("dukou_clock_skew_seconds", &[("host", host)])
}

/// Watches: the look at the platforms' `Date`, and plans in a time that jumps do not reach. Without the first nothing
/// says that the clock is wrong; without the second all questions of ten minutes come at once, or none for ten minutes.
#[tokio::test]
async fn f22_the_clock_is_off_and_is_set() {
    for off in [OFF, -OFF] {
        let pending = ["6s", "12s", "1h"].map(toml::Value::from).to_vec();
        let world = World::builder().set("queries.pending", pending).start().await;
        let (_, merchant) = world.bookshop();
        let clock = MovedClock::new(&world);
        clock.set(off);
        clock.restart(&world.gateway).await;
        assert_eq!(clock_check(&world).await.1["status"], "ready", "no platform was asked yet");
        succeeded(&world, &merchant, "F22-01", 101).await;
        let (status, check) = clock_check(&world).await;
        assert_eq!((status, &check["status"]), (200, &json!("degraded")), "{check}");
        let side = if off > 0 { "s ahead of" } else { "s behind" };
        assert!(check["detail"].as_str().unwrap().contains(side), "{check}");
        let shown = skew(&world.metrics().await);
        assert!((shown - off as f64).abs() < 5.0, "{shown}");
        let told = "this machine's clock differs from the platform's";
        assert_eq!(world.gateway.logs().matches(told).count(), 1, "once, not with each answer");

        // Set right by a jump while payments wait to be asked after.
        for number in 0..5 {
            paid_silently(&world, &merchant, &format!("F22-1{number}"), 101).await;
        }
        let asked = world.control.journal("operation=orderquery").await.len();
        clock.set(0);
        tokio::time::sleep(Duration::from_secs(2)).await;
        let early = world.control.journal("operation=orderquery").await.len() - asked;
        assert_eq!(early, 0, "off by {off}: a burst after the jump");
        for number in 0..5 {
            becomes(&merchant, &format!("F22-1{number}"), "succeeded").await;
        }
        assert_eq!(clock_check(&world).await, (200, json!({ "name": "clock", "status": "ready", "detail": "" })));
        assert!(skew(&world.metrics().await).abs() < 5.0);
        let told = ["agrees with the platform's again", "clock was set"];
        let all_told = async || told.iter().all(|words| world.gateway.logs().contains(words)).then_some(());
        eventually("the log says so", SOON, all_told).await;
        world.control.deliver_all().await;
        world.verify().await;
    }
}

/// A payment that ends `seconds` from now, as its creator wishes.
async fn create_ending(merchant: &dukou_e2e::Merchant, number: &str, seconds: i64, payer: bool) {
    let ends = OffsetDateTime::now_utc() + time::Duration::seconds(seconds);
    let mut order = merchant.order(number, 101);
    order["expires_at"] = json!(ends.format(&Rfc3339).unwrap());
    if !payer {
        order.as_object_mut().unwrap().remove("payer");
    }
    let created = merchant.request(Method::POST, "/payments").json(&order);
    merchant.send(created).await.unwrap().expect(201);
}

fn stored_state(world: &World, number: &str) -> String {
    let store = rusqlite::Connection::open(world.directory().join("data/dukou.db")).unwrap();
    store.query_row("SELECT state FROM payments WHERE out_trade_no = ?1", [number], |row| row.get(0)).unwrap()
}

/// Watches: the order of an end: asked after, closed at the platform, then closed here; and a crash between the last
/// two. Closed here first, a buyer could pay what the merchant believes to be over.
#[tokio::test]
async fn what_is_overdue_is_asked_after_closed_there_and_then_here_also_across_a_crash() {
    need_fail_points().await;
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    let clock = MovedClock::new(&world);
    clock.restart(&world.gateway).await;
    create_ending(&merchant, "OVER-UNPAID", 90, true).await;
    create_ending(&merchant, "OVER-PAID", 90, true).await;
    create_ending(&merchant, "OVER-NOBODY", 90, false).await;
    create_ending(&merchant, "NOT-OVER", 3600, true).await;
    world.control.pay_silently(&tenant, "OVER-PAID").await;

    // One that sees its clock set leaves its plans' own time to the next.
    world.gateway.kill();
    clock.set(91);
    clock.relaunch_at(&world.gateway, "close.answered=return");
    crashed(&world.gateway).await;
    let order = world.control.order(&tenant, "OVER-UNPAID").await.expect(200);
    assert_eq!(order["trade_state"], "CLOSED", "there already");
    assert_eq!(stored_state(&world, "OVER-UNPAID"), "pending", "and not yet here");

    // What was asked after before the crash is asked after again a minute later.
    clock.set(91 + 75);
    clock.restart(&world.gateway).await;
    for (number, status) in [("OVER-UNPAID", "closed"), ("OVER-PAID", "succeeded"), ("OVER-NOBODY", "closed")] {
        becomes(&merchant, number, status).await;
    }
    assert_eq!(merchant.status("NOT-OVER").await, "pending");
    let of = |operation: &str| format!("operation={operation}&out_trade_no=OVER-UNPAID");
    let at = |entries: &[Value]| entries[0]["at"].as_i64().unwrap();
    let (asked, closed) =
        (world.control.journal(&of("orderquery")).await, world.control.journal(&of("closeorder")).await);
    assert!(at(&asked) <= at(&closed), "asked first: {asked:?} {closed:?}");
    assert!(world.control.journal("operation=closeorder&out_trade_no=OVER-PAID").await.is_empty());
    assert!(world.control.journal("operation=closeorder&out_trade_no=OVER-NOBODY").await.is_empty());
    let refused = world.control.call(Method::POST, "/orders/1900000109/OVER-UNPAID/pay", Some(&json!({}))).await;
    assert_ne!(refused.status, 200, "paid after its end: {}", refused.text);
    eventually("both ends are told", SOON, async || {
        let mut told = 0;
        for number in ["OVER-UNPAID", "OVER-NOBODY"] {
            told += merchant.event_types(number).await.iter().filter(|kind| *kind == "payment.closed").count();
        }
        (told == 2).then_some(())
    })
    .await;
    world.control.deliver_all().await;
    // Its clock is still ahead of the platform's.
    world.checker().degraded().verify().await;
}

/// Watches: what is deleted when it is old, and that the payment itself knows what a message told that is no more.
#[tokio::test]
async fn what_was_kept_long_enough_is_deleted_and_a_late_copy_still_changes_nothing() {
    const HALF_A_YEAR: i64 = 181 * 24 * 60 * 60;
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    let clock = MovedClock::new(&world);
    succeeded(&world, &merchant, "OLD-001", 101).await;
    let too_much = json!({ "out_refund_no": "R-1", "amount": 102 });
    let refund = merchant.post_once("key-1", "/payments/OLD-001/refunds", &too_much).await;
    refund.problem(422, "refund_exceeds_payment");
    let other = "/payments/OLD-002/close";
    merchant.post_once("key-1", other, &json!({})).await.problem(409, "idempotency_key_conflict");
    let count = |table: &str| -> i64 {
        let store = rusqlite::Connection::open(world.directory().join("data/dukou.db")).unwrap();
        store.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    assert_eq!((count("notifications"), count("calls")), (1, 1));

    clock.set(HALF_A_YEAR);
    clock.restart(&world.gateway).await;
    eventually("both are gone", SOON, async || (count("notifications") + count("calls") == 0).then_some(())).await;
    for (what, deleted) in [("notifications", 1), ("idempotency_keys", 1), ("deliveries", 0)] {
        let counted = world.metrics().await.count("dukou_retention_deleted_total", &[("what", what)]);
        assert_eq!(counted, deleted, "{what}");
    }
    merchant.post_once("key-1", other, &json!({})).await.problem(404, "not_found");
    assert!(notify_once(&world, &tenant, "OLD-001").await);
    assert_eq!(events_of(&merchant, "OLD-001", "payment.succeeded").await, 1);
    assert_eq!(world.metrics().await.notifies("bookshop", "payment", "duplicate"), 1);
    world.verify().await;
}
