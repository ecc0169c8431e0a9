//! A disk that is full, a file that somebody else locks, and kills at any moment.

use std::time::{Duration, Instant};

use dukou_e2e::{Control, Merchant, World, eventually};
use reqwest::Method;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{SOON, becomes, notify_once, paid_silently, succeeded};

/// A process that ignores the signal for a file that may not grow: its writes then fail as on a full disk.
const WITHOUT_SIGNAL: [&str; 3] = ["sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""];
/// Payments that find room before the disk is full, at most.
const ROOM: usize = 200;

/// Limits how large the gateway's files may grow; `None` takes the limit away. Works without privileges.
fn limit_files(world: &World, bytes: Option<u64>) {
    let pid = i32::try_from(world.gateway.pid()).ok().and_then(Pid::from_raw).unwrap();
    let hard = rustix::process::getrlimit(Resource::Fsize).maximum;
    prlimit(Some(pid), Resource::Fsize, Rlimit { current: bytes.or(hard), maximum: hard }).unwrap();
}

/// Watches: the answer that waits for the commit, the intent stored before the platform is called, and a writer that
/// outlives a failed commit.
#[tokio::test]
async fn f14_the_disk_fills_up_and_has_space_again() {
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    world.gateway.restart_by(&WITHOUT_SIGNAL).await;
    succeeded(&world, &merchant, "F14-read", 101).await;
    paid_silently(&world, &merchant, "F14-paid", 101).await;

    let log = std::fs::metadata(world.directory().join("data/dukou.db-wal")).unwrap().len();
    limit_files(&world, Some(log + 64 * 1024));
    let (mut refused, mut halfway) = (None, Vec::new());
    for number in 0..ROOM {
        let number = format!("F14-{number:03}");
        let answer = merchant.create(&merchant.order(&number, 101)).await;
        if answer.status == 201 {
            continue;
        }
        answer.problem(503, "unavailable");
        if merchant.payment(&number).await.status == 404 {
            refused = Some(number);
            break;
        }
        // There was room for the intent and none for the platform's answer.
        halfway.push(number);
    }
    let refused = refused.expect("the disk fills up");
    assert_eq!(world.control.order(&tenant, &refused).await.status, 404, "the platform was called before the record");

    assert!(!notify_once(&world, &tenant, "F14-paid").await, "acknowledged without a record");
    assert_eq!(merchant.status("F14-paid").await, "pending");
    assert_eq!(world.metrics().await.notifies("bookshop", "payment", "error"), 1);
    merchant.refund("F14-read", "R14-0001", 50).await.problem(503, "unavailable");
    assert!(world.control.journal("operation=refund").await.is_empty(), "refunded without a record");
    assert_eq!(merchant.status("F14-read").await, "succeeded", "reads go on");
    eventually("unready", Duration::from_secs(5), async || {
        let (status, report) = world.gateway.readiness().await.unwrap();
        (status == 503 && report["status"] == "unready").then_some(())
    })
    .await;
    assert!(world.gateway.exited().is_none());

    limit_files(&world, None);
    eventually("ready again", SOON, async || {
        world.gateway.readiness().await.is_ok_and(|(status, _)| status == 200).then_some(())
    })
    .await;
    merchant.create(&merchant.order(&refused, 101)).await.expect(201);
    for number in &halfway {
        let payment = merchant.create(&merchant.order(number, 101)).await.expect(200);
        assert_eq!(payment["status"], "pending", "{payment}");
    }
    assert!(notify_once(&world, &tenant, "F14-paid").await);
    merchant.refund("F14-read", "R14-0001", 50).await.expect(201);
    becomes(&merchant, "F14-read", "partially_refunded").await;
    assert!(!world.gateway.logs().contains("panicked"), "{}", world.gateway.logs());
    world.verify().await;

    world.gateway.restart().await;
    assert_eq!(merchant.status("F14-paid").await, "succeeded");
    assert_sound(&world);
    world.verify().await;
}

/// The store's file, opened beside the gateway.
fn open_store(world: &World) -> rusqlite::Connection {
    rusqlite::Connection::open(world.directory().join("data/dukou.db")).unwrap()
}

/// The database's own check of its file.
fn assert_sound(world: &World) {
    let sound: String = open_store(world).query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
}

/// Watches: the patience of the writer with a lock that is not its own, and readers that hold nobody up.
#[tokio::test]
async fn f17_somebody_else_locks_the_file_or_reads_for_long() {
    const HELD: Duration = Duration::from_secs(3);
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    paid_silently(&world, &merchant, "F17-paid", 101).await;

    let reader = open_store(&world);
    reader.execute_batch("BEGIN").unwrap();
    let seen = |reader: &rusqlite::Connection| -> i64 {
        reader.query_row("SELECT count(*) FROM payments", [], |row| row.get(0)).unwrap()
    };
    assert_eq!(seen(&reader), 1);

    let locker = open_store(&world);
    locker.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (order, started) = (merchant.order("F17-01", 101), Instant::now());
    let holding = async {
        tokio::time::sleep(HELD).await;
        assert_eq!(merchant.payment("F17-01").await.status, 404, "the lock is not in force");
        locker.execute_batch("COMMIT").unwrap();
    };
    let (created, acknowledged, ()) =
        tokio::join!(merchant.create(&order), notify_once(&world, &tenant, "F17-paid"), holding);
    assert!(started.elapsed() >= HELD);
    created.expect(201);
    assert!(acknowledged, "within the time that the platform gives");
    for number in 0..ROOM {
        merchant.pending(&format!("F17-{number:04}"), 101).await;
    }
    assert_eq!(seen(&reader), 1, "the reader still sees what it saw");
    drop(reader);
    assert!(!world.gateway.logs().contains("database is locked"), "{}", world.gateway.logs());
    world.verify().await;
}

/// Buyers at once in [`f15_killed_at_any_moment`].
const BUYERS: usize = 4;
const ROUNDS: usize = 10;
/// How long a start after a kill may take.
const START: Duration = Duration::from_secs(2);

/// One purchase as far as it comes: the payment, then its notify, then its refund. Whether all of it was answered.
async fn purchase(merchant: &Merchant, control: &Control, number: &str) -> bool {
    let created = merchant.request(Method::POST, "/payments").json(&merchant.order(number, 101));
    if !merchant.send(created).await.is_ok_and(|answer| [200, 201].contains(&answer.status)) {
        return false;
    }
    if control.order(&merchant.tenant, number).await.json["trade_state"] == "NOTPAY" {
        control.pay_silently(&merchant.tenant, number).await;
    }
    if control.notify(&merchant.tenant, number, &json!({})).await[0]["success"] != true {
        return false;
    }
    let body = json!({ "out_refund_no": format!("R-{number}"), "amount": 101, "reason": "买多了" });
    let refunded = merchant.request(Method::POST, &format!("/payments/{number}/refunds")).json(&body);
    merchant.send(refunded).await.is_ok_and(|answer| [200, 201].contains(&answer.status))
}

/// Watches: the commit as the one moment at which anything becomes true, wherever the kill falls.
#[tokio::test]
async fn f15_killed_at_any_moment() {
    let seed = std::env::var("FAULTS_SEED").ok().and_then(|text| text.parse().ok());
    let mut random = seed.unwrap_or_else(|| u64::from(std::process::id()) << 32 | 0x9e37_79b9);
    println!("FAULTS_SEED={random}");
    let world = World::start().await;
    let (_, merchant) = world.bookshop();
    for round in 0..ROUNDS {
        let mut buying = JoinSet::new();
        for buyer in 0..BUYERS {
            let (merchant, control) = (merchant.clone(), world.control.clone());
            buying.spawn(async move {
                for purchased in 0.. {
                    let number = format!("F15-{round}-{buyer}-{purchased}");
                    if !purchase(&merchant, &control, &number).await {
                        return number;
                    }
                }
                unreachable!("it buys until it is not answered")
            });
        }
        // xorshift64: which moment it is must differ from round to round, no more.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        tokio::time::sleep(Duration::from_millis(100 + random % 400)).await;
        world.gateway.kill();
        let cut_short = buying.join_all().await;

        let started = Instant::now();
        world.gateway.restart().await;
        assert!(started.elapsed() < START, "ready after {:?}", started.elapsed());
        assert_sound(&world);
        for number in cut_short {
            assert!(purchase(&merchant, &world.control, &number).await, "{number} cannot be finished");
        }
        world.control.deliver_all().await;
        println!("round {round}");
        world.verify().await;
    }
}
