//! A disk that is full.

use std::time::Duration;

use dukou_e2e::{World, eventually};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

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
    let store = rusqlite::Connection::open(world.directory().join("data/dukou.db")).unwrap();
    let sound: String = store.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
    drop(store);
    world.verify().await;
}
