//! The same thing asked for many times, and answers that get lost.

use std::time::Duration;

use dukou_e2e::{Answer, Mode, Tenant, World, eventually};
use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{SOON, becomes, crashed, refund_arrives, refund_becomes, restart_at, succeeded};

/// Requests sent at once.
const AT_ONCE: usize = 100;

fn statuses(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}

/// Watches: `unknown` instead of `failed` after a lost answer, the question that follows by itself, and the number that
/// stays the same when the merchant asks again.
#[tokio::test]
async fn f06_the_answer_to_a_create_is_lost() {
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    for (number, waits) in [("F06-waits", true), ("F06-repeats", false)] {
        let rule = json!({ "operation": "unifiedorder", "times": 1, "fault": { "type": "lose_answer" } });
        world.control.fault(&rule).await;
        merchant.create(&merchant.order(number, 101)).await.problem(504, "provider_timeout");
        if waits {
            becomes(&merchant, number, "pending").await;
            let asked = world.control.journal(&format!("operation=orderquery&out_trade_no={number}")).await;
            assert!(!asked.is_empty(), "the gateway asked by itself");
        } else {
            assert_eq!(merchant.status(number).await, "unknown");
        }
        let again = merchant.create(&merchant.order(number, 101)).await.expect(200);
        assert!(again["invoke"]["paySign"].is_string(), "{again}");
        world.control.pay(&tenant, number).await;
        becomes(&merchant, number, "succeeded").await;
    }
    // The same seen from here, only that the platform never got it.
    world.control.fault(&json!({ "operation": "unifiedorder", "times": 1, "fault": { "type": "drop" } })).await;
    merchant.create(&merchant.order("F06-dropped", 101)).await.problem(504, "provider_timeout");
    becomes(&merchant, "F06-dropped", "created").await;
    merchant.create(&merchant.order("F06-dropped", 101)).await.expect(200);
    becomes(&merchant, "F06-dropped", "pending").await;

    assert_eq!(world.control.orders().await.len(), 3);
    world.verify().await;
}

/// Watches: the lock and the unique number around a create.
#[tokio::test]
async fn f07_a_hundred_identical_creates() {
    let world = World::start().await;
    let (_, merchant) = world.bookshop();
    let mut creating = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (merchant, order) = (merchant.clone(), merchant.order("F07-01", 101));
        creating.spawn(async move { merchant.create(&order).await });
    }
    let answers = creating.join_all().await;
    assert_eq!((statuses(&answers, 201), statuses(&answers, 200)), (1, AT_ONCE - 1));
    assert!(answers.iter().all(|answer| answer.json["id"] == answers[0].json["id"]));
    let sent = world.control.journal("operation=unifiedorder").await;
    assert_eq!(sent.len(), 1, "what is known already is not asked for again");

    merchant.create(&merchant.order("F07-01", 102)).await.problem(409, "out_trade_no_conflict");
    assert_eq!(world.control.orders().await.len(), 1);
    world.verify().await;
}

/// Watches: the entry of a call before it runs, its owner, and the number made for it.
#[tokio::test]
async fn f08_one_idempotency_key() {
    let world = World::builder().platform_proxy().start().await;
    let (_, merchant) = world.bookshop();
    let create = async |key: &str, body: &serde_json::Value| merchant.post_once(key, "/payments", body).await;

    // While the first runs, and after it. On an open connection to the platform only answers are held back.
    merchant.pending("F08-before", 101).await;
    let platform = world.platform_proxy.as_ref().unwrap();
    platform.set(Mode::SilentAnswers);
    let body = merchant.order("F08-01", 101);
    let (first, ()) = tokio::join!(create("key-1", &body), async {
        eventually("the first call runs", SOON, async || {
            (merchant.payment("F08-01").await.status == 200).then_some(())
        })
        .await;
        let second = create("key-1", &body).await;
        platform.set(Mode::Pass);
        assert_eq!(second.header("retry-after"), Some("1"));
        second.problem(409, "idempotency_in_progress");
    });
    let first = first.expect(201);
    let replayed = create("key-1", &body).await;
    assert_eq!(replayed.header("idempotent-replayed"), Some("true"));
    assert_eq!(replayed.expect(201), first);
    let other = merchant.order("F08-01", 102);
    create("key-1", &other).await.problem(409, "idempotency_key_conflict");

    // Killed in the middle, with a number that the gateway made.
    let mut unnumbered = merchant.order("-", 103);
    unnumbered.as_object_mut().unwrap().remove("out_trade_no");
    restart_at(&world.gateway, "create.answered=return").await;
    let request = merchant.request(Method::POST, "/payments").header("Idempotency-Key", "key-2").json(&unnumbered);
    assert!(merchant.send(request).await.is_err());
    crashed(&world.gateway).await;
    world.gateway.restart().await;
    let resumed = create("key-2", &unnumbered).await;
    assert!([200, 201].contains(&resumed.status), "{}", resumed.text);
    assert_eq!(resumed.json["status"], "pending", "{}", resumed.text);
    let replayed = create("key-2", &unnumbered).await;
    assert_eq!(replayed.json, resumed.json);

    assert_eq!(world.control.orders().await.len(), 3);
    assert_eq!(merchant.all_payments().await.len(), 3);
    world.verify().await;
}

/// Watches: the refund's number, which stays the same in every repetition and question.
#[tokio::test]
async fn f09_a_refund_that_went_through_is_not_known_to() {
    let shop = Tenant::bookshop().set("providers.wechat.timeout", "1s");
    let world = World::builder().tenant(shop).start().await;
    let (tenant, merchant) = world.bookshop();
    world.control.policy(&json!({ "auto_settle": false })).await;
    for (name, fault) in [
        ("lost", json!({ "type": "lose_answer" })),
        ("timeout", json!({ "type": "hang", "ms": 5000, "after_effect": true })),
        ("system", json!({ "type": "err_code", "code": "SYSTEMERROR", "after_effect": true })),
        // The platform never got it; the gateway sends it again by itself.
        ("dropped", json!({ "type": "drop" })),
    ] {
        let (number, refund_no) = (format!("F09-{name}"), format!("R09-{name}"));
        succeeded(&world, &merchant, &number, 101).await;
        world.control.fault(&json!({ "operation": "refund", "times": 1, "fault": fault })).await;
        let answer = merchant.refund(&number, &refund_no, 60).await.expect(201);
        assert_eq!(answer["status"], "unknown", "{name}: {answer}");
        // The merchant asks again, and the gateway asks by itself.
        merchant.refund(&number, &refund_no, 60).await.expect(200);
        refund_becomes(&merchant, &refund_no, "processing").await;
        refund_arrives(&world, &tenant, &number).await;
        world.control.settle(&tenant, &number, &refund_no, "SUCCESS").await;
        refund_becomes(&merchant, &refund_no, "succeeded").await;

        let order = world.control.order(&tenant, &number).await.expect(200);
        assert_eq!(order["refunds"].as_array().map(Vec::len), Some(1), "{name}: {order}");
        let sent = world.control.journal(&format!("operation=refund&out_trade_no={number}")).await;
        assert!(!sent.is_empty() && sent.iter().all(|entry| entry["out_refund_no"] == *refund_no), "{name}: {sent:?}");
    }
    world.verify().await;
}

/// Watches: what is reserved in the payment, in the same transaction that records a refund.
#[tokio::test]
async fn f10_fifty_partial_refunds_of_twice_the_payment() {
    const PAID: i64 = 1000;
    const EACH: i64 = 40;
    const REFUNDS: i64 = 50;
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    succeeded(&world, &merchant, "F10-01", PAID).await;
    let mut refunding = JoinSet::new();
    for number in 0..REFUNDS {
        let merchant = merchant.clone();
        refunding.spawn(async move { merchant.refund("F10-01", &format!("R10-{number}"), EACH).await });
    }
    let watching = async {
        loop {
            let refunds = merchant.refunds("F10-01").await;
            let live = refunds.iter().filter(|refund| refund["status"] != "failed");
            let sum: i64 = live.filter_map(|refund| refund["amount"].as_i64()).sum();
            assert!(sum <= PAID, "{sum} of {PAID} are on their way back");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let answers = tokio::select! {
        answers = refunding.join_all() => answers,
        () = watching => unreachable!("it watches for ever"),
    };
    assert_eq!((statuses(&answers, 201), statuses(&answers, 422)), (25, 25));
    for answer in answers.into_iter().filter(|answer| answer.status == 422) {
        answer.problem(422, "refund_exceeds_payment");
    }
    let mut sent: Vec<String> = Vec::new();
    for entry in world.control.journal("operation=refund").await {
        sent.push(entry["out_refund_no"].as_str().unwrap().to_owned());
    }
    sent.sort();
    sent.dedup();
    assert_eq!(sent.len(), 25, "those refused never reach the platform");
    becomes(&merchant, "F10-01", "refunded").await;
    let order = world.control.order(&tenant, "F10-01").await.expect(200);
    assert_eq!(order["refunds"].as_array().map(Vec::len), Some(25));
    world.verify().await;
}
