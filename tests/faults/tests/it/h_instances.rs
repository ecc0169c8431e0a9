//! Two instances on one PostgreSQL and one Redis: what holds for one holds for both together.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use dukou_e2e::{Gateway, Mode, World, eventually};
use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{SOON, becomes, crashed, events_of, notify_once, paid_silently, restart_at, succeeded, successes};

/// Copies of one notify.
const COPIES: usize = 200;
/// How long a commit is held, or a gateway stands at a point: long enough for a look at it on a busy machine, and
/// shorter than the database lets a transaction wait.
const HELD: Duration = Duration::from_millis(1500);
/// What a notify may take while Redis is away; the platform gives it 5 s.
const PATIENCE: Duration = Duration::from_secs(1);
/// A gateway that was told to end is gone by then.
const DRAIN: Duration = Duration::from_secs(30);
/// How long two gateways may take to start, to find their database away, or there again, on a busy machine.
const STARTED: Duration = Duration::from_secs(60);
/// Who buys at once while instances are changed.
const BUYERS: usize = 8;

/// Transactions that have written to the log, last of all, and wait for their commit.
const HELD_OPEN: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                         AND state = 'idle in transaction' AND query LIKE '%INSERT INTO events%'";

/// Makes the platform's notifies go to one instance.
async fn notifies_go_to(world: &World, gateway: &Gateway) {
    let proxy = world.notify_proxy.as_ref().unwrap();
    proxy.set_target(gateway.url().trim_start_matches("http://"));
    eventually("connections to the other have ended", SOON, async || (proxy.open() == 0).then_some(())).await;
}

/// Watches: the row's lock and the unique key of a notification, with Redis and without it. A claim alone would do on
/// one of them, a lock of the process on neither.
#[tokio::test]
async fn f04_two_hundred_copies_over_two_instances_are_one_effect() {
    let world = World::builder().balanced().start().await;
    let (tenant, merchant) = world.bookshop();
    for number in ["F04-two-1", "F04-two-2"] {
        paid_silently(&world, &merchant, number, 101).await;
        let how = json!({ "copies": COPIES, "concurrent": true });
        let deliveries = world.control.notify(&tenant, number, &how).await;
        assert_eq!(successes(&deliveries), COPIES);
        assert_eq!(merchant.status(number).await, "succeeded");
        assert_eq!(events_of(&merchant, number, "payment.succeeded").await, 1);
        // The second time the store alone decides.
        world.redis.as_ref().unwrap().kill();
    }
    let outcomes = ["applied", "duplicate"];
    let metrics = world.metrics().await;
    let all = outcomes.map(|outcome| metrics.notifies("bookshop", "payment", outcome));
    assert_eq!(all, [2, 2 * COPIES as u64 - 2]);
    for gateway in [&world.gateway, world.second()] {
        let metrics = gateway.metrics().await;
        let seen: u64 = outcomes.iter().map(|outcome| metrics.notifies("bookshop", "payment", outcome)).sum();
        assert!(seen > COPIES as u64 / 4, "both instances had their part: {seen}");
    }
    world.redis.as_ref().unwrap().restart().await;
    world.verify().await;
}

/// Watches: the intent in the shared store, and the state table where the other instance's answer comes late.
#[tokio::test]
async fn f05_the_notify_reaches_the_instance_that_does_not_wait() {
    let world = World::builder().two().notify_proxy().platform_proxy().start().await;
    let (tenant, merchant) = world.bookshop();
    let elsewhere = world.merchant_at_second("bookshop");
    notifies_go_to(&world, world.second()).await;
    // An open connection to the platform, on which only answers are held back.
    merchant.pending("F05-before", 101).await;
    let platform = world.platform_proxy.as_ref().unwrap();
    platform.set(Mode::SilentAnswers);
    let (buyer, order) = (merchant.clone(), merchant.order("F05-two", 101));
    let creating = tokio::spawn(async move { buyer.create(&order).await });
    eventually("the order is at the platform", SOON, async || {
        (world.control.order(&tenant, "F05-two").await.status == 200).then_some(())
    })
    .await;
    world.control.pay(&tenant, "F05-two").await;
    becomes(&elsewhere, "F05-two", "succeeded").await;
    assert!(!creating.is_finished(), "the create has been answered already, so nothing was overtaken");
    platform.set(Mode::Pass);
    assert_eq!(creating.await.unwrap().expect(201)["status"], "succeeded");
    assert_eq!(merchant.status("F05-two").await, "succeeded");
    assert_eq!(events_of(&merchant, "F05-two", "payment.succeeded").await, 1);
    world.verify().await;
}

/// Watches: the unique key in the shared store, once Redis has forgotten everything.
#[tokio::test]
async fn f11_redis_is_wiped_and_the_copy_comes_to_the_other() {
    let world = World::builder().two().notify_proxy().start().await;
    let (tenant, merchant) = world.bookshop();
    succeeded(&world, &merchant, "F11-two", 101).await;
    world.control.deliver_all().await;
    world.redis.as_ref().unwrap().flush();
    world.control.advance(24 * 3600).await;
    notifies_go_to(&world, world.second()).await;
    assert!(notify_once(&world, &tenant, "F11-two").await);
    let metrics = world.second().metrics().await;
    assert_eq!(["applied", "duplicate"].map(|word| metrics.notifies("bookshop", "payment", word)), [0, 1]);
    assert_eq!(events_of(&merchant, "F11-two", "payment.succeeded").await, 1);
    world.verify().await;
}

/// Watches: what is read under the row's lock and not before. The frozen instance has the claim and the lock in Redis,
/// and wakes when both are somebody else's.
#[tokio::test]
async fn f12_an_instance_is_frozen_for_longer_than_its_lock() {
    let world = World::builder().two().notify_proxy().start().await;
    let (tenant, merchant) = world.bookshop();
    let elsewhere = world.merchant_at_second("bookshop");
    paid_silently(&world, &merchant, "F12-two", 101).await;
    restart_at(&world.gateway, &format!("notify.claimed=1*sleep({})", HELD.as_millis())).await;
    notifies_go_to(&world, &world.gateway).await;
    let (control, told) = (world.control.clone(), tenant.clone());
    let first = tokio::spawn(async move { control.notify(&told, "F12-two", &json!({})).await });
    let redis = world.redis.as_ref().unwrap();
    eventually("a claim stands in Redis", SOON, async || {
        (redis.command("KEYS *bookshop/wechat/payment*") == "*1").then_some(())
    })
    .await;
    world.gateway.pause();
    // What it holds is over.
    redis.flush();
    notifies_go_to(&world, world.second()).await;
    assert!(notify_once(&world, &tenant, "F12-two").await, "the other does the work");
    assert_eq!(elsewhere.status("F12-two").await, "succeeded");
    let refund = elsewhere.refund("F12-two", "R-F12", 101).await.expect(201);
    assert_eq!(refund["amount"], 101);

    world.gateway.resume();
    let _ = first.await.unwrap();
    eventually("the frozen one has seen its notify through", SOON, async || {
        let metrics = world.gateway.metrics().await;
        let seen: u64 = ["applied", "duplicate"].map(|word| metrics.notifies("bookshop", "payment", word)).iter().sum();
        (seen == 1).then_some(())
    })
    .await;
    assert_eq!(world.gateway.metrics().await.notifies("bookshop", "payment", "applied"), 0, "its write came too late");
    becomes(&merchant, "F12-two", "refunded").await;
    assert_eq!(events_of(&merchant, "F12-two", "payment.succeeded").await, 1);
    world.verify().await;
}

/// Watches: the server's limit on a transaction that nobody goes on with. The frozen instance holds a payment's row and
/// the newest place of the log, so that without it the other could write nothing for as long as it sleeps.
#[tokio::test]
async fn f12_an_instance_is_frozen_in_the_middle_of_a_transaction() {
    let world = World::builder().two().notify_proxy().start().await;
    let (tenant, merchant) = world.bookshop();
    let elsewhere = world.merchant_at_second("bookshop");
    for number in ["F12-held", "F12-other"] {
        paid_silently(&world, &merchant, number, 101).await;
    }
    restart_at(&world.gateway, &format!("store.before_commit=1*sleep({})", HELD.as_millis())).await;
    notifies_go_to(&world, &world.gateway).await;
    let (control, told) = (world.control.clone(), tenant.clone());
    let first = tokio::spawn(async move { control.notify(&told, "F12-held", &json!({})).await });
    eventually("a transaction waits for its commit", SOON, async || (world.sql(HELD_OPEN) == "1").then_some(())).await;
    world.gateway.pause();
    notifies_go_to(&world, world.second()).await;
    let started = Instant::now();
    for number in ["F12-other", "F12-held"] {
        eventually("the other goes on", SOON, async || notify_once(&world, &tenant, number).await.then_some(())).await;
        assert_eq!(elsewhere.status(number).await, "succeeded", "{number}");
    }
    assert!(started.elapsed() < Duration::from_secs(10), "held up for {:?}", started.elapsed());
    world.gateway.resume();
    let _ = first.await.unwrap();
    for number in ["F12-held", "F12-other"] {
        assert!(notify_once(&world, &tenant, number).await);
        assert_eq!(events_of(&merchant, number, "payment.succeeded").await, 1, "{number}");
    }
    world.verify().await;
}

/// Watches: the limit on every wait for Redis, on both instances at once.
#[tokio::test]
async fn f13_redis_hangs_for_both() {
    let world = World::builder().balanced().redis_proxy().start().await;
    let (tenant, merchant) = world.bookshop();
    let numbers: Vec<String> = (0..10).map(|number| format!("F13-two-{number}")).collect();
    for number in &numbers {
        paid_silently(&world, &merchant, number, 101).await;
    }
    world.redis_proxy.as_ref().unwrap().set(Mode::Silent);
    let mut longest = Duration::ZERO;
    for number in &numbers {
        let started = Instant::now();
        assert!(notify_once(&world, &tenant, number).await, "{number}");
        longest = longest.max(started.elapsed());
        assert_eq!(merchant.status(number).await, "succeeded");
    }
    assert!(longest < PATIENCE, "a notify took {longest:?}");
    for gateway in [&world.gateway, world.second()] {
        eventually("degraded, not down", SOON, async || {
            let (status, report) = gateway.readiness().await.unwrap();
            assert_eq!(status, 200, "{report}");
            (report["status"] == "degraded").then_some(())
        })
        .await;
    }
    world.redis_proxy.as_ref().unwrap().set(Mode::Pass);
    for gateway in [&world.gateway, world.second()] {
        eventually("ready again", SOON, async || {
            (gateway.readiness().await.unwrap().1["status"] == "ready").then_some(())
        })
        .await;
    }
    world.verify().await;
}

/// Watches: the question to the database what became of a commit. An answer taken for a failure is given to the
/// platform as one though the payment has succeeded; one that is repeated blindly is a conflict.
#[tokio::test]
async fn f16_the_answer_to_a_commit_is_lost() {
    let world = World::builder().two().store_proxy().start().await;
    let (tenant, merchant) = world.bookshop();
    paid_silently(&world, &merchant, "F16-one", 101).await;
    let proxy = world.store_proxy.as_ref().unwrap();
    proxy.set(Mode::CutAnswerTo("COMMIT"));
    let deliveries = world.control.notify(&tenant, "F16-one", &json!({})).await;
    proxy.set(Mode::Pass);
    assert_eq!(successes(&deliveries), 1, "it was found out and acknowledged: {deliveries:?}");
    assert!(world.gateway.logs().contains("asking what became of it"), "no answer was lost, so this has seen nothing");
    let elsewhere = world.merchant_at_second("bookshop");
    assert_eq!(events_of(&elsewhere, "F16-one", "payment.succeeded").await, 1);
    assert!(notify_once(&world, &tenant, "F16-one").await);
    world.verify().await;
}

/// Watches: the start that waits, and that nothing is acknowledged or sent to the platform while payments cannot be
/// kept.
#[tokio::test]
async fn f18_the_database_is_away_at_the_start_and_again_later() {
    let world = World::builder().two().store_proxy().start().await;
    let (tenant, merchant) = world.bookshop();
    paid_silently(&world, &merchant, "F18-one", 101).await;
    let gateways = [&world.gateway, world.second()];
    let proxy = world.store_proxy.as_ref().unwrap();
    for (mode, restarts) in [(Mode::Cut, true), (Mode::Cut, false), (Mode::Silent, false), (Mode::Silent, true)] {
        proxy.set(mode);
        for gateway in gateways {
            if restarts {
                gateway.relaunch(&[]);
            }
            eventually("unready, and alive", STARTED, async || {
                let (status, report) = gateway.readiness().await.ok()?;
                (status == 503 && report["checks"][0]["name"] == "store").then_some(())
            })
            .await;
        }
        let asked = world.control.journal("operation=unifiedorder").await.len();
        merchant.create(&merchant.order("F18-away", 101)).await.problem(503, "unavailable");
        assert_eq!(world.control.journal("operation=unifiedorder").await.len(), asked, "no platform is called");
        assert!(!notify_once(&world, &tenant, "F18-one").await, "{mode:?}: acknowledged without a store");
        assert!(world.gateway.exited().is_none());
        proxy.set(Mode::Pass);
        eventually("ready again", STARTED, async || (world.gateway.readiness().await.ok()?.0 == 200).then_some(()))
            .await;
    }
    // One that waits for its database ends when it is told to, and not by being asked to reload.
    proxy.set(Mode::Silent);
    world.gateway.relaunch(&[]);
    eventually("it waits", STARTED, async || (world.gateway.readiness().await.ok()?.0 == 503).then_some(())).await;
    world.gateway.hang_up();
    world.gateway.terminate();
    assert_eq!(world.gateway.wait_exit(STARTED).await.code(), Some(0));
    proxy.set(Mode::Pass);
    world.gateway.restart().await;
    assert!(notify_once(&world, &tenant, "F18-one").await);
    assert_eq!(merchant.status("F18-one").await, "succeeded");
    succeeded(&world, &merchant, "F18-two", 101).await;
    world.verify().await;
}

/// Ends the connections to the world's database; new ones write, or only read.
fn let_write(world: &World, writes: bool) {
    let off_or_on = if writes { "off" } else { "on" };
    let name = world.sql("SELECT quote_ident(current_database())");
    world.sql(&format!(
        "BEGIN READ WRITE; ALTER DATABASE {name} SET default_transaction_read_only = {off_or_on}; COMMIT; \
         SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid()"
    ));
}

/// Watches: that it is there again counts by a write; a database that follows another one, or whose disk is full, can be
/// read all the while.
#[tokio::test]
async fn f18_a_database_that_only_reads_is_away_until_it_writes() {
    let world = World::builder().postgres().start().await;
    let (tenant, merchant) = world.bookshop();
    paid_silently(&world, &merchant, "F18-read", 101).await;
    let told = |words: &str| world.gateway.logs().matches(words).count();
    let_write(&world, false);
    eventually("it is told of", STARTED, async || (told("the database is away") > 0).then_some(())).await;
    assert!(!notify_once(&world, &tenant, "F18-read").await, "acknowledged without a store");
    merchant.create(&merchant.order("F18-away", 101)).await.problem(503, "unavailable");
    assert_eq!(merchant.status("F18-read").await, "pending", "it can be read");
    // Looks go on once a second, and each can read.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!((told("the database is away"), told("the database is there again")), (1, 0));
    assert_eq!(told("cannot look for documents that are due"), 1, "not once a second");
    let_write(&world, true);
    eventually("it is told of", STARTED, async || (told("the database is there again") > 0).then_some(())).await;
    assert!(notify_once(&world, &tenant, "F18-read").await);
    assert_eq!(merchant.status("F18-read").await, "succeeded");
    world.verify().await;
}

/// Watches: readiness that ends before the listener does, and work in flight that is finished. A notify that is lost, or
/// an error that stays, is found by the checker.
#[tokio::test]
async fn f34_both_instances_are_changed_one_after_the_other_under_load() {
    let world = World::builder().balanced().start().await;
    let (tenant, merchant) = (world.tenant("bookshop").clone(), world.scattered_merchant("bookshop"));
    world.control.policy(&json!({ "auto_notify": false })).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut buying = JoinSet::new();
    for buyer in 0..BUYERS {
        let (merchant, control, tenant, stop) =
            (merchant.clone(), world.control.clone(), tenant.clone(), Arc::clone(&stop));
        buying.spawn(async move {
            let (mut numbers, mut healed) = (Vec::new(), 0);
            for round in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let number = format!("F34-{buyer}-{round:05}");
                // As a merchant does it: the same request again until there is an answer.
                loop {
                    let request = merchant.request(Method::POST, "/payments").json(&merchant.order(&number, 101));
                    match merchant.send(request).await {
                        Ok(answer) if [200, 201].contains(&answer.status) => break,
                        Ok(answer) => assert_eq!(answer.status, 503, "{}", answer.text),
                        Err(_) => {}
                    }
                    healed += 1;
                    tokio::task::yield_now().await;
                }
                control.pay_silently(&tenant, &number).await;
                while control.notify(&tenant, &number, &json!({})).await[0]["success"] != true {
                    healed += 1;
                }
                numbers.push(number);
            }
            (numbers, healed)
        });
    }
    let applied = async || world.metrics().await.notifies("bookshop", "payment", "applied");
    eventually("there is load", SOON, async || (applied().await > 20).then_some(())).await;
    for gateway in [&world.gateway, world.second()] {
        gateway.terminate();
        let status = gateway.wait_exit(DRAIN).await;
        assert_eq!(status.code(), Some(0), "{status}");
        gateway.restart().await;
        eventually("it takes its part again", SOON, async || {
            let metrics = gateway.metrics().await;
            let created = metrics.count("dukou_payments_total", &[("tenant", "bookshop"), ("status", "pending")]);
            (created > 5).then_some(())
        })
        .await;
    }
    stop.store(true, Ordering::Relaxed);
    let (mut bought, mut healed) = (0, 0);
    for (numbers, again) in buying.join_all().await {
        healed += again;
        bought += numbers.len();
        for number in numbers {
            assert_eq!(merchant.status(&number).await, "succeeded", "{number}");
        }
    }
    println!("{bought} payments while both instances were changed, {healed} requests had to be sent again");
    world.verify().await;
}

/// Watches: what a crashed instance left, taken on by another that was there all the time: its claims, its locks, its
/// calls in progress.
#[tokio::test]
async fn f03_what_one_instance_left_the_other_takes_on() {
    let world = World::builder().two().notify_proxy().start().await;
    let (tenant, merchant) = world.bookshop();
    let elsewhere = world.merchant_at_second("bookshop");
    let points: Vec<&str> = dukou_engine::FAIL_POINTS.iter().chain(dukou_store::FAIL_POINTS).copied().collect();
    let mut crashes = 0;
    for point in points {
        let number = format!("T-{}", point.replace('.', "-"));
        notifies_go_to(&world, &world.gateway).await;
        restart_at(&world.gateway, &format!("{point}=return")).await;
        let order = merchant.order(&number, 500);
        let request = merchant.request(Method::POST, "/payments").json(&order);
        if merchant.send(request).await.is_err() {
            crashed(&world.gateway).await;
            crashes += 1;
            let again = elsewhere.create(&order).await;
            assert!([200, 201].contains(&again.status), "{point}: {}", again.text);
            restart_at(&world.gateway, &format!("{point}=return")).await;
        }
        becomes(&elsewhere, &number, "pending").await;
        world.control.pay_silently(&tenant, &number).await;
        if !notify_once(&world, &tenant, &number).await {
            crashed(&world.gateway).await;
            crashes += 1;
            notifies_go_to(&world, world.second()).await;
            assert!(notify_once(&world, &tenant, &number).await, "{point}: the other instance does not take it");
        }
        assert_eq!(elsewhere.status(&number).await, "succeeded", "{point}");
        assert_eq!(events_of(&elsewhere, &number, "payment.succeeded").await, 1, "{point}");
    }
    assert!(crashes >= 4, "{crashes} crashes");
    world.gateway.restart().await;
    world.control.deliver_all().await;
    world.verify().await;
}
