//! What every coordinator must do.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use dukou_domain::TenantId;
use dukou_engine::ports::{Claim, ClaimToken, Coordinator, Health, Marker};
use dukou_engine::records::MessageKind;
use dukou_engine::records::NotificationKey;
use futures_util::FutureExt as _;

use crate::records::key;
use crate::store_behaviour::join_all;

/// The longest a call may take: the port's 200 ms, and what a busy machine adds.
pub const CAP: Duration = Duration::from_millis(200 + 500);

pub const DONE: Claim = Claim::Done(Marker::Accepted);

pub async fn mine(coordinator: &dyn Coordinator, key: &NotificationKey) -> ClaimToken {
    match coordinator.claim(key).await {
        Claim::Mine(token) => token,
        other => panic!("{other:?}"),
    }
}

/// Waits, for some seconds at most, until something is so.
pub async fn eventually(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !so().await {
        assert!(Instant::now() < deadline, "not within 20 s: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits, for some seconds at most, until the coordinator works or does not.
pub async fn until_working(coordinator: &dyn Coordinator, working: bool) {
    let deadline = Instant::now() + Duration::from_secs(15);
    while (coordinator.health() == Health::Working) != working {
        assert!(Instant::now() < deadline, "{:?}", coordinator.health());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub async fn all(coordinator: Arc<dyn Coordinator>) {
    claims_end_one_way_or_the_other(&*coordinator).await;
    keys_are_told_apart(&*coordinator).await;
    a_running_claim_is_waited_for(&*coordinator).await;
    a_long_claim_is_busy(&*coordinator).await;
    one_of_many_gets_the_claim(&*coordinator).await;
    only_the_owner_gives_a_claim_back(&*coordinator).await;
    a_lock_is_held_by_one(Arc::clone(&coordinator)).await;
    assert_eq!(coordinator.health(), Health::Working);
}

async fn claims_end_one_way_or_the_other(coordinator: &dyn Coordinator) {
    let key = key("1");
    let token = mine(coordinator, &key).await;
    coordinator.release(&key, token).await;
    let token = mine(coordinator, &key).await;
    coordinator.finish(&key, token, Marker::Accepted, 1).await;
    assert_eq!(coordinator.claim(&key).await, DONE);
    // The truth is in the store: a marker needs no claim.
    let late = crate::records::key("2");
    coordinator.finish(&late, ClaimToken("gone".into()), Marker::Accepted, 2).await;
    assert_eq!(coordinator.claim(&late).await, DONE);
}

async fn keys_are_told_apart(coordinator: &dyn Coordinator) {
    let first = key("10");
    let token = mine(coordinator, &first).await;
    coordinator.finish(&first, token, Marker::Accepted, 1).await;
    for other in [
        key("11"),
        NotificationKey { kind: MessageKind::Refund, ..first.clone() },
        NotificationKey { tenant: TenantId::new("other").unwrap(), ..first.clone() },
    ] {
        mine(coordinator, &other).await;
    }
}

async fn a_running_claim_is_waited_for(coordinator: &dyn Coordinator) {
    let key = key("20");
    let token = mine(coordinator, &key).await;
    // It waits, or at least has asked, before the first is at its end.
    let mut second = pin!(coordinator.claim(&key));
    assert!(second.as_mut().now_or_never().is_none());
    let (second, ()) = tokio::join!(second, coordinator.finish(&key, token, Marker::Accepted, 3));
    assert_eq!(second, DONE);
}

async fn a_long_claim_is_busy(coordinator: &dyn Coordinator) {
    let key = key("30");
    let _held = mine(coordinator, &key).await;
    let begun = Instant::now();
    assert_eq!(coordinator.claim(&key).await, Claim::Busy);
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(100) && took < CAP, "{took:?}");
}

async fn one_of_many_gets_the_claim(coordinator: &dyn Coordinator) {
    let key = key("40");
    let claims = join_all((0..100).map(|_| coordinator.claim(&key))).await;
    assert_eq!(claims.iter().filter(|claim| matches!(claim, Claim::Mine(_))).count(), 1);
    assert_eq!(claims.iter().filter(|claim| **claim == Claim::Busy).count(), 99);
}

async fn only_the_owner_gives_a_claim_back(coordinator: &dyn Coordinator) {
    let key = key("50");
    let _held = mine(coordinator, &key).await;
    coordinator.release(&key, ClaimToken("0".into())).await;
    assert_eq!(coordinator.claim(&key).await, Claim::Busy);
    // A marker is not taken away by whoever held the claim before it.
    let key = crate::records::key("51");
    let token = mine(coordinator, &key).await;
    coordinator.finish(&key, token.clone(), Marker::Accepted, 1).await;
    coordinator.release(&key, token).await;
    assert_eq!(coordinator.claim(&key).await, DONE);
}

async fn a_lock_is_held_by_one(coordinator: Arc<dyn Coordinator>) {
    let inside = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let (coordinator, inside) = (Arc::clone(&coordinator), Arc::clone(&inside));
            tokio::spawn(async move {
                let lock = coordinator.lock("payment B1").await.unwrap();
                assert!(!inside.swap(true, Ordering::SeqCst), "two at once");
                tokio::task::yield_now().await;
                inside.store(false, Ordering::SeqCst);
                coordinator.unlock(lock).await;
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let (first, second) = tokio::join!(coordinator.lock("a"), coordinator.lock("b"));
    coordinator.unlock(first.unwrap()).await;
    coordinator.unlock(second.unwrap()).await;
}
