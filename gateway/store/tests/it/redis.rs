//! The coordinator on Redis, also while Redis is killed, hangs, is wiped, or belongs to another life
//! of the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use dukou_domain::Secret;
use dukou_engine::ports::{Admission, CallRate, Claim, ClaimToken, Coordinator, Health, Marker};
use dukou_engine::records::StoreIdentity;
use dukou_store::{RedisCoordinator, RedisOptions, Served};
use dukou_test_servers::free_port;
use uuid::Uuid;

use crate::coordinator_behaviour::{self, CAP, DONE, eventually, mine, until_working};
use crate::records::key;
use crate::redis_server::{Mode, Proxy, RedisServer};

fn identity(store: u128, incarnation: u128) -> StoreIdentity {
    StoreIdentity { store: Uuid::from_u128(store), incarnation: Uuid::from_u128(incarnation) }
}

fn served(identity: StoreIdentity, position: i64) -> Served {
    Served {
        identity: Box::new(move || identity),
        certain: Box::new(|| true),
        position: Box::new(move || position),
        still_there: Box::new(|_, position| position),
        shared: false,
    }
}

async fn connect(port: u16, identity: StoreIdentity, position: i64) -> RedisCoordinator {
    let url = Secret::new(format!("redis://127.0.0.1:{port}/0"));
    RedisCoordinator::connect(RedisOptions { url, prefix: "dukou".into() }, served(identity, position)).await
}

async fn done(coordinator: &dyn Coordinator, digest: &str, position: i64) {
    coordinator.finish(&key(digest), ClaimToken(String::new()), Marker::Accepted, position).await;
}

/// Waits until Redis was told of a position of the first store, which happens beside the calls.
async fn until_told(server: &RedisServer, position: i64) {
    let get = format!("GET dukou:{}:position", Uuid::from_u128(1).simple());
    eventually(&format!("position {position}"), async || {
        server.command(&get).await.unwrap().lines().nth(1) == Some(&position.to_string())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behaves_as_a_coordinator() {
    let server = RedisServer::start().await;
    coordinator_behaviour::all(Arc::new(connect(server.port, identity(1, 1), 0).await)).await;
}

#[tokio::test]
async fn instances_of_one_store_share_claims_and_locks() {
    let server = RedisServer::start().await;
    let first = connect(server.port, identity(1, 1), 0).await;
    let second = connect(server.port, identity(1, 1), 0).await;
    let token = mine(&first, &key("1")).await;
    assert_eq!(second.claim(&key("1")).await, Claim::Busy);
    first.finish(&key("1"), token, Marker::Accepted, 1).await;
    assert_eq!(second.claim(&key("1")).await, DONE);

    let held = first.lock("B1").await.unwrap();
    let fence = |token: &str| token.split(':').next().unwrap().parse::<u64>().unwrap();
    let begun = Instant::now();
    let vain = second.lock("B1").await.unwrap();
    assert!(begun.elapsed() < CAP);
    assert_eq!(vain.token, "", "held elsewhere: only this process is kept out");
    second.unlock(vain).await;
    let before = fence(&held.token);
    first.unlock(held).await;
    let next = second.lock("B1").await.unwrap();
    assert!(fence(&next.token) > before);
    // Whoever held it before does not open it.
    first.unlock(dukou_engine::ports::Lock { name: "B1".into(), token: format!("{before}:x"), local: None }).await;
    assert_eq!(first.lock("B1").await.unwrap().token, "");

    // What a lock leaves is gone long before a marker is: there is one for each payment.
    let kept = server.command("EVAL \"return redis.call('PTTL', redis.call('KEYS', '*:lock:fence')[1])\" 0").await;
    let kept: i64 = kept.unwrap().trim().trim_start_matches(':').parse().unwrap();
    assert!((1..=3_600_000).contains(&kept), "{kept}");
}

#[tokio::test]
async fn markers_of_another_life_of_the_store_are_not_believed() {
    let server = RedisServer::start().await;
    done(&connect(server.port, identity(1, 1), 0).await, "1", 5).await;
    for other in [identity(1, 2), identity(2, 1), identity(2, 2)] {
        mine(&connect(server.port, other, 9).await, &key("1")).await;
    }
    assert_eq!(connect(server.port, identity(1, 1), 9).await.claim(&key("1")).await, DONE);
}

/// Watches: the question whether the life is certain. A database that is away may come back without what was marked.
#[tokio::test]
async fn no_marker_is_believed_while_the_store_may_be_in_another_life() {
    let server = RedisServer::start().await;
    let certain = Arc::new(AtomicBool::new(true));
    let known = Arc::clone(&certain);
    let served = Served { certain: Box::new(move || known.load(Ordering::SeqCst)), ..served(identity(1, 1), 0) };
    let url = Secret::new(format!("redis://127.0.0.1:{}/0", server.port));
    let coordinator = RedisCoordinator::connect(RedisOptions { url, prefix: "dukou".into() }, served).await;
    done(&coordinator, "1", 1).await;
    for (is, claimed) in [(true, DONE), (false, Claim::Unavailable), (true, DONE)] {
        certain.store(is, Ordering::SeqCst);
        assert_eq!(coordinator.claim(&key("1")).await, claimed);
    }
}

#[tokio::test]
async fn a_store_that_lost_its_newest_entries_is_noticed() {
    let server = RedisServer::start().await;
    let first = connect(server.port, identity(1, 1), 3).await;
    assert_eq!(first.behind(), None);
    done(&first, "1", 10).await;
    done(&first, "2", 8).await;
    until_told(&server, 10).await;
    drop(first);
    assert_eq!(connect(server.port, identity(2, 1), 0).await.behind(), None, "another store");
    assert_eq!(connect(server.port, identity(1, 2), 10).await.behind(), None, "nothing was lost");
    let restored = connect(server.port, identity(1, 3), 4).await;
    assert_eq!(restored.behind(), Some((4, 10)));
    assert_eq!(restored.health(), Health::Working);
    // Said once; from here on the restored store is the one that counts.
    assert_eq!(connect(server.port, identity(1, 4), 4).await.behind(), None);
}

#[tokio::test]
async fn a_lost_entry_is_noticed_although_redis_was_away_at_first() {
    let server = RedisServer::start().await;
    let first = connect(server.port, identity(1, 1), 0).await;
    done(&first, "1", 10).await;
    until_told(&server, 10).await;
    let proxy = Proxy::to(server.port).await;
    proxy.set(Mode::Cut);
    let restored = connect(proxy.address.port(), identity(1, 2), 4).await;
    assert_ne!(restored.health(), Health::Working);
    // By the time Redis is back the store has got further than it ever was.
    done(&restored, "2", 20).await;
    proxy.set(Mode::Pass);
    until_working(&restored, true).await;
    assert_eq!(restored.behind(), Some((4, 10)));
}

#[tokio::test]
async fn a_killed_redis_costs_nothing_and_is_found_again() {
    let mut server = RedisServer::start().await;
    let coordinator = connect(server.port, identity(1, 1), 0).await;
    let token = mine(&coordinator, &key("1")).await;
    let lock = coordinator.lock("B1").await.unwrap();
    assert_ne!(lock.token, "");
    server.kill();
    let begun = Instant::now();
    coordinator.finish(&key("1"), token, Marker::Accepted, 1).await;
    coordinator.unlock(lock).await;
    assert!(begun.elapsed() < 2 * CAP);
    until_working(&coordinator, false).await;
    assert!(matches!(coordinator.health(), Health::Degraded(why) if why.starts_with("redis: ")));
    let begun = Instant::now();
    for _ in 0..50 {
        assert_eq!(coordinator.claim(&key("1")).await, Claim::Unavailable);
        let lock = coordinator.lock("B1").await.unwrap();
        assert_eq!(lock.token, "");
        coordinator.unlock(lock).await;
    }
    assert!(begun.elapsed() < CAP, "{:?}", begun.elapsed());

    let _again = RedisServer::start_on(server.port).await.expect("the port is still free");
    until_working(&coordinator, true).await;
    mine(&coordinator, &key("1")).await;
}

#[tokio::test]
async fn a_redis_that_hangs_is_waited_for_once() {
    let server = RedisServer::start().await;
    let proxy = Proxy::to(server.port).await;
    let coordinator = connect(proxy.address.port(), identity(1, 1), 0).await;
    done(&coordinator, "1", 1).await;
    proxy.set(Mode::Hang);
    let begun = Instant::now();
    assert_eq!(coordinator.claim(&key("1")).await, Claim::Unavailable);
    assert!(begun.elapsed() < CAP, "{:?}", begun.elapsed());
    let begun = Instant::now();
    for _ in 0..100 {
        assert_eq!(coordinator.claim(&key("1")).await, Claim::Unavailable);
        assert_eq!(coordinator.lock("B1").await.unwrap().token, "");
        done(&coordinator, "2", 2).await;
    }
    assert!(begun.elapsed() < CAP, "{:?}", begun.elapsed());
    until_working(&coordinator, false).await;
    proxy.set(Mode::Pass);
    until_working(&coordinator, true).await;
    assert_eq!(coordinator.claim(&key("1")).await, DONE);
}

#[tokio::test]
async fn an_idle_connection_that_dies_is_noticed() {
    let server = RedisServer::start().await;
    let proxy = Proxy::to(server.port).await;
    let coordinator = connect(proxy.address.port(), identity(1, 1), 0).await;
    for mode in [Mode::Hang, Mode::Cut] {
        until_working(&coordinator, true).await;
        proxy.set(mode);
        until_working(&coordinator, false).await;
        proxy.set(Mode::Pass);
    }
    until_working(&coordinator, true).await;
}

#[tokio::test]
async fn a_wiped_redis_is_only_forgetful() {
    let server = RedisServer::start().await;
    let coordinator = connect(server.port, identity(1, 1), 0).await;
    done(&coordinator, "1", 1).await;
    server.command("FLUSHALL").await.unwrap();
    server.command("SCRIPT FLUSH").await.unwrap();
    let token = mine(&coordinator, &key("1")).await;
    coordinator.finish(&key("1"), token, Marker::Accepted, 1).await;
    assert_eq!(coordinator.claim(&key("1")).await, DONE);
    assert_eq!(coordinator.health(), Health::Working);
}

#[tokio::test]
async fn a_redis_that_refuses_writes_counts_as_away() {
    let server = RedisServer::start().await;
    let coordinator = connect(server.port, identity(1, 1), 0).await;
    server.command(&format!("REPLICAOF 127.0.0.1 {}", free_port())).await.unwrap();
    assert_eq!(coordinator.claim(&key("1")).await, Claim::Unavailable);
    until_working(&coordinator, false).await;
    server.command("REPLICAOF NO ONE").await.unwrap();
    until_working(&coordinator, true).await;
    mine(&coordinator, &key("1")).await;
}

#[tokio::test]
async fn a_stopped_redis_keeps_nobody_waiting_at_the_start() {
    let begun = Instant::now();
    let coordinator = connect(free_port(), identity(1, 1), 0).await;
    assert!(begun.elapsed() < Duration::from_secs(2));
    assert!(matches!(coordinator.health(), Health::Degraded(_)));
    assert_eq!(coordinator.claim(&key("1")).await, Claim::Unavailable);
    assert_eq!(coordinator.backend(), "redis");
}

#[tokio::test]
async fn a_password_is_never_shown() {
    let server = RedisServer::start().await;
    server.command("CONFIG SET requirepass correct-horse").await.unwrap();
    for password in ["wrong-horse", "correct-horse"] {
        let url = Secret::new(format!("redis://:{password}@127.0.0.1:{}/0", server.port));
        let options = RedisOptions { url, prefix: "dukou".into() };
        let shown = format!("{options:?}");
        let coordinator = RedisCoordinator::connect(options, served(identity(1, 1), 0)).await;
        let health = coordinator.health();
        assert_eq!(health == Health::Working, password == "correct-horse", "{health:?}");
        assert!(!format!("{shown} {health:?}").contains("horse"));
    }
}

#[tokio::test]
async fn calls_are_counted_over_instances() {
    let server = RedisServer::start().await;
    let instances = [connect(server.port, identity(1, 1), 0).await, connect(server.port, identity(1, 1), 0).await];
    let hourly = CallRate { calls: 4, per: Duration::from_secs(3600), burst: 3 };
    for number in 0..3 {
        assert_eq!(instances[number % 2].count_call("a", hourly).await, Admission::Allowed);
    }
    for instance in &instances {
        let refused = instance.count_call("a", hourly).await;
        assert!(matches!(refused, Admission::Refused(wait) if (800..=900).contains(&wait.as_secs())), "{refused:?}");
        assert_eq!(instance.count_call("b", hourly).await, Admission::Allowed, "somebody else");
    }
    // It goes on evenly, and who has rested is forgotten.
    let fast = CallRate { calls: 20, per: Duration::from_secs(1), burst: 1 };
    assert_eq!(instances[0].count_call("c", fast).await, Admission::Allowed);
    eventually("the next one", async || instances[1].count_call("c", fast).await == Admission::Allowed).await;
    eventually("forgotten", async || server.command("DBSIZE").await.unwrap().trim() == ":3").await;
    drop(server);
    until_working(&instances[0], false).await;
    assert_eq!(instances[0].count_call("a", hourly).await, Admission::Unavailable);
}
