//! Plans in the steady time: the behaviour of every store while the clock is away from it, and what a
//! jump of the clock does to the next tries of deliveries.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use dukou_domain::{DeliveryState, Timestamp};
use dukou_engine::delivery::Tried;
use dukou_engine::ports::Store;
use dukou_spi::Clock;
use dukou_store::{LeftAt, SqliteOptions, SqliteStore, SteadySchedules, SteadyTime};
use uuid::Uuid;

use crate::delivery_behaviour::{self, deliver};
use crate::records::*;
use crate::store_behaviour;

const JUMP: i64 = 600_000;

#[derive(Default)]
struct Hands {
    clock: AtomicI64,
    passed: AtomicU64,
}

impl Hands {
    fn pass(&self, seconds: u64) {
        self.passed.fetch_add(seconds * 1_000, Ordering::SeqCst);
        self.set(i64::try_from(seconds * 1_000).unwrap());
    }

    fn set(&self, by: i64) {
        self.clock.fetch_add(by, Ordering::SeqCst);
    }
}

struct Wall(Arc<Hands>);

impl Clock for Wall {
    fn now(&self) -> Timestamp {
        at(self.0.clock.load(Ordering::SeqCst))
    }
}

fn hands() -> Arc<Hands> {
    Arc::new(Hands { clock: AtomicI64::new(10_000_000), ..Hands::default() })
}

fn time(hands: &Arc<Hands>) -> SteadyTime {
    let passed = Arc::clone(hands);
    let passed = Box::new(move || Duration::from_millis(passed.passed.load(Ordering::SeqCst)));
    SteadyTime::with(Arc::new(Wall(Arc::clone(hands))), passed)
}

fn steady(folder: &std::path::Path) -> (Arc<Hands>, SteadySchedules) {
    let store = SqliteStore::open(SqliteOptions::at(folder.join(format!("{}.db", Uuid::now_v7())))).unwrap();
    let hands = hands();
    let time = time(&hands);
    (hands, SteadySchedules::new(Arc::new(store), time))
}

#[tokio::test]
async fn behaves_as_a_store_wherever_the_clock_is() {
    let folder = tempfile::tempdir().unwrap();
    for jump in [JUMP, -JUMP] {
        let new = async || {
            let (hands, store) = steady(folder.path());
            hands.set(jump);
            store
        };
        store_behaviour::all(new).await;
        delivery_behaviour::all(new).await;
    }
}

#[tokio::test]
async fn f22_deliveries_are_tried_again_at_their_pace_when_the_clock_is_set() {
    let folder = tempfile::tempdir().unwrap();
    for jump in [JUMP, -JUMP] {
        let (hands, store) = steady(folder.path());
        let now = || at(hands.clock.load(Ordering::SeqCst));
        let lease = async || {
            let until = now().plus(Duration::from_secs(120));
            store.deliveries().lease(now(), until, 10, Box::new(|_| 10)).await.unwrap()
        };
        deliver(&store, &tenant(), now()).await;
        let leased = lease().await.taken.remove(0);
        let (lease_id, leased) = (leased.lease, leased.delivery);
        let next_at = Some(now().plus(Duration::from_secs(300)));
        let failed = Tried {
            tenant: leased.tenant,
            position: leased.position,
            lease: lease_id,
            made_before: 0,
            state: DeliveryState::Pending,
            failed: 1,
            next_at,
            delivered_at: None,
            tries: Vec::new(),
        };
        store.deliveries().record(vec![failed]).await.unwrap();
        hands.set(jump);
        hands.pass(200);
        let looked = lease().await;
        assert!(looked.taken.is_empty(), "{jump}: a burst");
        let wait = looked.next_at.unwrap().since(now()).as_secs();
        assert!((60..=130).contains(&wait), "{jump}: next in {wait} s");
        hands.pass(145);
        assert_eq!(lease().await.taken.len(), 1, "{jump}: a stall");

        deliver(&store, &tenant(), now()).await;
        assert_eq!(lease().await.taken.len(), 1, "{jump}: what is new is due at once");
    }
}

/// Watches: the distance that is kept. Begun at the clock again, everything is due at once after a restart where the clock
/// was set forward, and nothing for as long as it had been wrong where it was set back.
#[tokio::test]
async fn f22_plans_keep_their_pace_over_a_restart_after_the_clock_was_set() {
    let folder = tempfile::tempdir().unwrap();
    for jump in [6 * JUMP, -6 * JUMP] {
        let hands = hands();
        let now = || at(hands.clock.load(Ordering::SeqCst));
        let options = SqliteOptions::at(folder.path().join(format!("{}.db", Uuid::now_v7())));
        let before = Arc::new(SqliteStore::open(options.clone()).unwrap());
        assert_eq!(before.plans_left_at().await.unwrap(), LeftAt { ahead: 0, moment: at(0) });
        let steady_time = Arc::new(time(&hands));
        let store = SteadySchedules::new(Arc::<SqliteStore>::clone(&before), Arc::clone(&steady_time));
        deliver(&store, &tenant(), now().plus(Duration::from_secs(300))).await;
        hands.set(jump);
        before.keep_plans_left_at(steady_time.left_at()).await.unwrap();
        before.close().await;
        // Another process counts what passes from its own start.
        hands.passed.store(0, Ordering::SeqCst);
        let after = SqliteStore::open(options).unwrap();
        let steady_time = time(&hands).going_on(after.plans_left_at().await.unwrap());
        let store = SteadySchedules::new(Arc::new(after), steady_time);
        let lease = async || {
            let until = now().plus(Duration::from_secs(120));
            store.deliveries().lease(now(), until, 10, Box::new(|_| 10)).await.unwrap()
        };
        hands.pass(200);
        assert!(lease().await.taken.is_empty(), "{jump}: a burst");
        hands.pass(145);
        assert_eq!(lease().await.taken.len(), 1, "{jump}: a stall");
    }
}

/// Watches: the moment that is kept. A machine without a battery begins wherever it likes and learns the time later. Begun
/// at that clock, nothing is due for as long as it was behind, and no restart after it helps.
#[tokio::test]
async fn f22_a_start_under_a_clock_that_is_behind_stalls_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (hour, decades) = (3_600_000, 40 * 365 * 24 * 3_600_000);
    // By how much it is behind, for how long nobody ran, and how long the plan then takes to become due.
    for (behind, down, wait) in [(hour, 60, 240), (decades, 60, 240), (hour, 3_000, 0), (decades, 400_000, 0)] {
        let hands = hands();
        hands.set(2 * decades);
        let now = || at(hands.clock.load(Ordering::SeqCst));
        let options = SqliteOptions::at(folder.path().join(format!("{}.db", Uuid::now_v7())));
        let open = async || {
            // Each process counts what passes from its own start.
            hands.passed.store(0, Ordering::SeqCst);
            let store = Arc::new(SqliteStore::open(options.clone()).unwrap());
            let time = Arc::new(time(&hands).going_on(store.plans_left_at().await.unwrap()));
            (SteadySchedules::new(Arc::<SqliteStore>::clone(&store), Arc::clone(&time)), store, time)
        };
        let close = async |store: Arc<SqliteStore>, time: Arc<SteadyTime>| {
            store.keep_plans_left_at(time.left_at()).await.unwrap();
            store.close().await;
        };
        let leased = async |store: &SteadySchedules| {
            let until = now().plus(Duration::from_secs(120));
            store.deliveries().lease(now(), until, 10, Box::new(|_| 10)).await.unwrap().taken.len()
        };
        let (store, file, time) = open().await;
        deliver(&store, &tenant(), now().plus(Duration::from_secs(300))).await;
        close(file, time).await;
        drop(store);

        hands.pass(down);
        hands.set(-behind);
        let (store, file, time) = open().await;
        assert_eq!(leased(&store).await, 0, "{behind} {down}: a burst");
        deliver(&store, &tenant(), now().plus(Duration::from_secs(600 + down))).await;
        hands.pass(5);
        hands.set(behind);
        if wait > 0 {
            assert_eq!(leased(&store).await, 0, "{behind} {down}: a burst after it was set right");
            hands.pass(wait);
        }
        assert_eq!(leased(&store).await, 1, "{behind} {down}: a stall after it was set right");
        assert!(time.ahead().abs() < 1_000, "{behind} {down}: {}", time.ahead());
        close(file, time).await;
        drop(store);

        let (store, ..) = open().await;
        hands.pass(600 + down);
        // The first one too: whoever had it is gone.
        assert_eq!(leased(&store).await, 2, "{behind} {down}: a stall after a restart");
    }
}
