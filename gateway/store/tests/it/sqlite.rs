//! SQLite: the behaviour of every store, and what is its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dukou_domain::PaymentState;
use dukou_engine::ports::{Change, Store, StoreError};
use dukou_engine::records::{Begun, IdempotentCall};
use dukou_store::{SqliteOptions, SqliteStore};
use proptest::prelude::*;
use rusqlite::Connection;
use uuid::Uuid;

use crate::delivery_behaviour;
use crate::plugin_behaviour;
use crate::question_behaviour;
use crate::records::*;
use crate::store_behaviour::{self, join_all};

fn open(path: &Path, max_batch: usize) -> SqliteStore {
    SqliteStore::open(SqliteOptions { max_batch, ..SqliteOptions::at(path) }).unwrap()
}

fn new_file(folder: &Path) -> PathBuf {
    folder.join(format!("{}.db", Uuid::now_v7()))
}

fn pragma(path: &Path, name: &str) -> String {
    let connection = Connection::open(path).unwrap();
    connection.pragma_query_value(None, name, |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn behaves_as_a_store() {
    let folder = tempfile::tempdir().unwrap();
    store_behaviour::all(async || open(&new_file(folder.path()), 512)).await;
    delivery_behaviour::all(async || open(&new_file(folder.path()), 512)).await;
    plugin_behaviour::all(async || open(&new_file(folder.path()), 512)).await;
    question_behaviour::all(async || open(&new_file(folder.path()), 512)).await;
}

#[tokio::test]
async fn behaves_as_a_store_when_it_commits_each() {
    let folder = tempfile::tempdir().unwrap();
    store_behaviour::all(async || open(&new_file(folder.path()), 1)).await;
}

#[tokio::test]
async fn everything_is_there_after_a_restart_in_a_new_incarnation() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made/by/the/first/start.db");
    let store = open(&path, 512);
    create(&store, &payment("B1", 1_000)).await.unwrap();
    notify(&store, "B1", "a").await.unwrap();
    let first = store.identity();
    let position = store.position().await.unwrap();
    drop(store);

    let store = open(&path, 512);
    assert_eq!(store.identity().store, first.store);
    assert_ne!(store.identity().incarnation, first.incarnation);
    assert_eq!(store.position().await.unwrap(), position);
    assert_eq!(store.events(&tenant(), 0, 10).await.unwrap().len(), 2);
    assert!(!notify(&store, "B1", "a").await.unwrap());
    create(&store, &payment("B2", 1_000)).await.unwrap();
    assert_eq!(store.position().await.unwrap(), position + 1);
    drop(store);
    assert_eq!(pragma(&path, "integrity_check"), "ok");
}

#[tokio::test]
async fn an_event_that_cannot_be_read_holds_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let path = new_file(folder.path());
    let spoil = |positions: &[i64]| {
        let connection = Connection::open(&path).unwrap();
        for position in positions {
            connection.execute("UPDATE events SET kind = 'payment.disputed' WHERE position = ?1", [position]).unwrap();
        }
    };
    delivery_behaviour::an_event_that_cannot_be_read_is_passed_over(&open(&path, 512), spoil).await;
}

#[tokio::test]
async fn a_payment_or_refund_that_cannot_be_read_holds_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let path = new_file(folder.path());
    let spoil = |sql: &str| {
        assert_eq!(Connection::open(&path).unwrap().execute(sql, []).unwrap(), 1);
    };
    question_behaviour::what_is_due_and_cannot_be_read_holds_up_nobody(&open(&path, 512), spoil).await;
}

#[tokio::test]
async fn what_was_being_delivered_at_a_restart_is_due_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = new_file(folder.path());
    let store = open(&path, 512);
    delivery_behaviour::deliver(&store, &tenant(), at(1_000)).await;
    let everything = || -> dukou_engine::ports::Room { Box::new(|_| 10) };
    let taken = store.deliveries().lease(at(1_000), at(90_000), 10, everything()).await.unwrap().taken;
    assert_eq!(taken.len(), 1);
    drop(store);
    let store = open(&path, 512);
    let again = store.deliveries().lease(at(1_000), at(90_000), 10, everything()).await.unwrap().taken;
    assert_eq!(again, taken);
}

#[tokio::test]
async fn a_delivery_that_cannot_be_read_holds_up_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = new_file(folder.path());
    let store = open(&path, 512);
    let broken = delivery_behaviour::deliver(&store, &tenant(), at(1_000)).await;
    let well = delivery_behaviour::deliver(&store, &tenant(), at(1_000)).await;
    let connection = Connection::open(&path).unwrap();
    connection.execute("UPDATE events SET subject = 'torn' WHERE position = ?1", [broken.position]).unwrap();
    let taken = store.deliveries().lease(at(1_000), at(90_000), 10, Box::new(|_| 10)).await.unwrap().taken;
    assert_eq!(taken.iter().map(|leased| leased.delivery.id).collect::<Vec<_>>(), [well.id]);
}

#[tokio::test]
async fn closing_finishes_what_is_queued_and_folds_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let path = new_file(folder.path());
    let store = Arc::new(open(&path, 8));
    let tasks: Vec<_> = (0..100)
        .map(|index| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { create(&*store, &payment(&format!("B{index}"), 1_000)).await })
        })
        .collect();
    store.close().await;
    let mut entered = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(()) => entered += 1,
            Err(StoreError::Unavailable(why)) => assert_eq!(why, "the store is closed"),
            Err(other) => panic!("{other}"),
        }
    }
    let late = create(&*store, &payment("late", 1_000)).await.unwrap_err();
    assert!(matches!(late, StoreError::Unavailable(_)), "{late}");
    assert!(matches!(store.payment(&tenant(), &number("B1")).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.ready().await, Err(StoreError::Unavailable(_))));
    let log = PathBuf::from(format!("{}-wal", path.display()));
    assert!(!log.exists() || log.metadata().unwrap().len() == 0);
    // The file is free although the closed store still lives.
    let again = open(&path, 8);
    let page = again
        .payments(dukou_engine::records::PaymentFilter {
            tenant: tenant(),
            state: None,
            created_after: None,
            cursor: None,
            limit: 1_000,
        })
        .await
        .unwrap();
    assert_eq!(page.items.len(), entered);
}

#[test]
fn a_file_in_use_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let _store = open(&path, 512);
    let error = SqliteStore::open(SqliteOptions::at(&path)).err().unwrap().to_string();
    assert!(error.contains("ledger.db is in use by another process"), "{error}");

    // The same from a process of its own.
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "sqlite::opens_the_file_it_is_told", "--include-ignored", "--nocapture"])
        .env("LEDGER_TO_OPEN", &path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("ledger.db is in use by another process"), "{said}");
}

#[test]
#[ignore = "run in a process of its own by a_file_in_use_is_refused"]
fn opens_the_file_it_is_told() {
    let path = std::env::var("LEDGER_TO_OPEN").expect("named by the test that starts this process");
    println!("{}", SqliteStore::open(SqliteOptions::at(path)).err().map_or("opened".into(), |error| error.to_string()));
}

#[test]
fn what_is_no_ledger_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letter.db");
    std::fs::write(&path, "Dear Sir or Madam, ".repeat(100)).unwrap();
    let error = SqliteStore::open(SqliteOptions::at(&path)).err().unwrap();
    assert!(matches!(&error, StoreError::Corrupt(why) if why.contains("letter.db")), "{error}");
    let nowhere = SqliteStore::open(SqliteOptions::at("/dev/null/ledger.db")).err().unwrap();
    assert!(matches!(&nowhere, StoreError::Unavailable(why) if why.contains("/dev/null")), "{nowhere}");
}

#[test]
fn a_schema_of_a_newer_program_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = new_file(folder.path());
    drop(open(&path, 512));
    let connection = Connection::open(&path).unwrap();
    connection.execute("INSERT INTO schema_steps VALUES (99, 'later', 'x', 0)", []).unwrap();
    drop(connection);
    let error = SqliteStore::open(SqliteOptions::at(&path)).err().unwrap();
    let StoreError::Corrupt(why) = error else { panic!("{error}") };
    let expected =
        format!("{}: the schema is newer than this program: step 99 (later) is unknown here", path.display());
    assert!(why.starts_with(&expected), "{why}");
}

#[tokio::test]
async fn a_lock_held_elsewhere_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = new_file(folder.path());
    let store = open(&path, 512);
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let begun = Instant::now();
    let held = Duration::from_secs(3);
    let free = tokio::task::spawn_blocking(move || {
        std::thread::sleep(held);
        other.execute_batch("COMMIT").unwrap();
    });
    let payments: Vec<_> = (0..50).map(|index| payment(&format!("B{index}"), 1_000)).collect();
    let entering = join_all(payments.iter().map(|payment| create(&store, payment)));
    let reading = async {
        assert_eq!(store.payment(&tenant(), &number("B1")).await.unwrap(), None);
        begun.elapsed()
    };
    let (entered, read_after) = tokio::join!(entering, reading);
    for outcome in entered {
        outcome.unwrap();
    }
    assert!(begun.elapsed() >= held);
    assert!(read_after < held, "a read waited for the lock: {read_after:?}");
    free.await.unwrap();
}

#[tokio::test]
async fn too_many_waiting_changes_are_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = new_file(folder.path());
    let store = SqliteStore::open(SqliteOptions { queue: 4, max_batch: 1, ..SqliteOptions::at(&path) }).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let payments: Vec<_> = (0..20).map(|index| payment(&format!("B{index}"), 1_000)).collect();
    let mut entering = Box::pin(join_all(payments.iter().map(|payment| create(&store, payment))));
    assert!(tokio::time::timeout(Duration::from_millis(50), &mut entering).await.is_err());
    other.execute_batch("COMMIT").unwrap();
    let outcomes = entering.await;
    let refused = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, Err(StoreError::Unavailable(why)) if why.contains("overloaded")))
        .count();
    // One may be in the writer's hands beside those in the queue.
    assert!((15..=16).contains(&refused), "{outcomes:?}");
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 20 - refused);
}

#[tokio::test]
async fn a_full_disk_fails_writes_and_spares_reads() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("not tried: only the superuser may mount the small disk that this test fills");
        return;
    };
    let path = disk.folder.path().join("ledger.db");
    let store = open(&path, 512);
    create(&store, &payment("B0", 1_000)).await.unwrap();
    let ballast = disk.folder.path().join("ballast");
    std::fs::write(&ballast, vec![0; 512 << 10]).unwrap();

    let mut entered = vec!["B0".to_owned()];
    let mut failed = 0;
    for index in 1..4_000 {
        let name = format!("B{index}");
        match create(&store, &payment(&name, 1_000)).await {
            Ok(()) => entered.push(name),
            Err(StoreError::Unavailable(_)) => failed += 1,
            Err(other) => panic!("{other}"),
        }
        if failed == 5 {
            break;
        }
    }
    assert_eq!(failed, 5, "the disk never filled up");
    assert!(matches!(store.ready().await, Err(StoreError::Unavailable(_))));
    assert!(store.payment(&tenant(), &number("B0")).await.unwrap().is_some());
    let position = store.position().await.unwrap();
    assert_eq!(position, i64::try_from(entered.len()).unwrap());

    std::fs::remove_file(&ballast).unwrap();
    store.ready().await.unwrap();
    create(&store, &payment("after", 1_000)).await.unwrap();
    assert_eq!(store.position().await.unwrap(), position + 1);
    for name in &entered {
        assert!(store.payment(&tenant(), &number(name)).await.unwrap().is_some(), "{name} was told to be entered");
    }
    drop(store);
    assert_eq!(pragma(&path, "integrity_check"), "ok");
}

/// A file system of two megabytes.
struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"])
            .arg(folder.path())
            .output()
            .is_ok_and(|output| output.status.success());
        mounted.then_some(SmallDisk { folder })
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(self.folder.path()).output();
    }
}

#[tokio::test]
async fn a_call_cut_short_by_a_crash_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = new_file(folder.path());
    let call = |owner: u128| IdempotentCall {
        tenant: tenant(),
        key: "k".into(),
        fingerprint: "f".into(),
        made_number: format!("made-{owner}"),
        owner: Uuid::from_u128(owner),
        now: at(1),
    };
    let store = open(&path, 512);
    store.begin_call(call(1)).await.unwrap();
    drop(store);
    let store = open(&path, 512);
    let first_number = Begun::Run { made_number: "made-1".into() };
    assert_eq!(store.begin_call(call(2)).await.unwrap(), first_number);
    assert_eq!(store.begin_call(call(2)).await.unwrap(), Begun::InProgress);
    // The process that is gone ends nothing any more.
    store.end_call(&tenant(), "k", Uuid::from_u128(1), None).await.unwrap();
    assert_eq!(store.begin_call(call(2)).await.unwrap(), Begun::InProgress);
}

#[tokio::test]
async fn a_change_of_nothing_costs_no_write() {
    let folder = tempfile::tempdir().unwrap();
    let path = new_file(folder.path());
    let store = open(&path, 512);
    create(&store, &payment("B1", 1_000)).await.unwrap();
    notify(&store, "B1", "a").await.unwrap();
    let log = PathBuf::from(format!("{}-wal", path.display()));
    let before = log.metadata().unwrap();
    for _ in 0..10 {
        assert!(!notify(&store, "B1", "a").await.unwrap());
        store.ready().await.unwrap();
    }
    let after = log.metadata().unwrap();
    assert_eq!((after.len(), after.modified().unwrap()), (before.len(), before.modified().unwrap()));
}

#[tokio::test]
async fn a_page_comes_from_the_index() {
    let folder = tempfile::tempdir().unwrap();
    let path = new_file(folder.path());
    drop(open(&path, 512));
    let connection = Connection::open(&path).unwrap();
    for (sql, index) in [
        (
            "SELECT row, created_at, id FROM payments INDEXED BY payments_list WHERE tenant = 'a' AND state = 'b' \
             AND created_at > 1 AND (created_at, id) < (2, x'00') ORDER BY created_at DESC, id DESC LIMIT 5",
            "COVERING INDEX payments_list",
        ),
        (
            "SELECT tenant, provider, state, check_at FROM payments INDEXED BY payments_due WHERE check_at IS NOT NULL \
             AND (tenant, provider, state) > ('a', 'b', 'c') ORDER BY tenant, provider, state, check_at LIMIT 1",
            "COVERING INDEX payments_due ((tenant,provider,state)>(?,?,?))",
        ),
        (
            "SELECT row FROM payments INDEXED BY payments_due WHERE tenant = 'a' AND provider = 'b' AND state = 'c' \
             AND check_at <= 1 ORDER BY check_at LIMIT 5",
            "COVERING INDEX payments_due (tenant=? AND provider=? AND state=? AND check_at<?)",
        ),
        (
            "SELECT row FROM payments p INDEXED BY payments_transaction WHERE p.tenant = 'a' AND p.transaction_id = 'b'",
            "INDEX payments_transaction",
        ),
        (
            "SELECT payment FROM attempts k INDEXED BY attempts_transaction WHERE k.tenant = 'a' AND k.transaction_id = 'b'",
            "INDEX attempts_transaction",
        ),
        (
            "SELECT tenant, provider, state, check_at FROM refunds INDEXED BY refunds_due WHERE check_at IS NOT NULL \
             AND (tenant, provider, state) > ('a', 'b', 'c') ORDER BY tenant, provider, state, check_at LIMIT 1",
            "COVERING INDEX refunds_due ((tenant,provider,state)>(?,?,?))",
        ),
        (
            "SELECT row FROM refunds INDEXED BY refunds_due WHERE tenant = 'a' AND provider = 'b' AND state = 'c' \
             AND check_at <= 1 ORDER BY check_at LIMIT 5",
            "COVERING INDEX refunds_due (tenant=? AND provider=? AND state=? AND check_at<?)",
        ),
        (
            "SELECT updated_at FROM refunds INDEXED BY refunds_due WHERE tenant = 'a' AND provider = 'b' \
             AND state = 'c' AND check_at IS NOT NULL ORDER BY check_at LIMIT 5",
            "INDEX refunds_due (tenant=? AND provider=? AND state=? AND check_at>?)",
        ),
        (
            "SELECT position FROM events INDEXED BY events_troubles WHERE tenant = 'a' AND (kind = 'payment.mismatch' \
             OR kind = 'payment.unknown_order' OR kind = 'payment.duplicate' OR kind = 'refund.failed' \
             OR kind = 'refund.abnormal') \
             ORDER BY position DESC LIMIT 5",
            "INDEX events_troubles",
        ),
    ] {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let plan: Vec<String> =
            statement.query_map([], |row| row.get(3)).unwrap().collect::<rusqlite::Result<_>>().unwrap();
        let plan = plan.join("; ");
        assert!(plan.contains(index) && !plan.contains("TEMP B-TREE"), "{plan}");
    }
}

/// What the store must hold after a run of steps.
#[derive(Default)]
struct Model {
    payments: BTreeMap<String, (PaymentState, i64)>,
    messages: std::collections::BTreeSet<String>,
    events: usize,
}

/// What to do, to which payment, with which message; over few names, so that they meet.
type Step = (u8, u8, u8);

async fn follow(store: &dyn Store, steps: &[Step]) {
    let mut model = Model::default();
    for (kind, name, digest) in steps {
        let (name, digest) = (&format!("B{name}"), &digest.to_string());
        let known = model.payments.get(name).copied();
        match kind {
            0 => {
                let outcome = create(store, &payment(name, 1_000)).await;
                assert_eq!(outcome.is_ok(), known.is_none(), "{outcome:?}");
                if known.is_none() {
                    model.payments.insert(name.clone(), (PaymentState::Pending, 1));
                    model.events += 1;
                }
            }
            1 if known.is_some() => {
                let applied = notify(store, name, digest).await.unwrap();
                assert_eq!(applied, model.messages.insert(digest.clone()));
                if let Some((state, version)) = model.payments.get_mut(name).filter(|_| applied) {
                    (*state, *version) = (PaymentState::Succeeded, *version + 1);
                    model.events += 1;
                }
            }
            2 => {
                let outcome = apply(store, target(name), |view| {
                    let mut payment = view.payment.clone().unwrap_or_else(|| payment("never", 1));
                    payment.version += 7;
                    Change { payment: Some(payment), ..Change::default() }
                })
                .await;
                assert!(matches!(outcome, Err(StoreError::Conflict(_))), "{outcome:?}");
            }
            _ => {
                let kept = store.payment(&tenant(), &number(name)).await.unwrap();
                assert_eq!(kept.map(|payment| (payment.state, payment.version)), known);
            }
        }
    }
    let events = store.events(&tenant(), 0, 10_000).await.unwrap();
    assert_eq!(events.len(), model.events);
    assert_eq!(store.position().await.unwrap(), events.last().map_or(0, |event| event.position));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn random_steps_end_as_in_the_model(
        steps in prop::collection::vec((0..4_u8, 0..20_u8, 0..40_u8), 100),
        max_batch in prop::sample::select(vec![1, 512]),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(follow(&open(&new_file(folder.path()), max_batch), &steps));
    }
}

/// The same changes, all at once, leave the same payments whether they share commits or not.
#[tokio::test]
async fn sharing_a_commit_changes_no_outcome() {
    let folder = tempfile::tempdir().unwrap();
    let mut ends = Vec::new();
    for max_batch in [1, 7, 512] {
        let store = open(&new_file(folder.path()), max_batch);
        let payments: Vec<_> = (0..60).map(|index| payment(&format!("B{}", index % 40), 1_000)).collect();
        let entered = join_all(payments.iter().map(|payment| create(&store, payment))).await;
        let settled = join_all((0..120).map(|index| {
            let name = format!("B{}", index % 40);
            let store = &store;
            async move { notify(store, &name, &(index % 80).to_string()).await.unwrap() }
        }))
        .await;
        let mut kept = Vec::new();
        for index in 0..40 {
            let payment = store.payment(&tenant(), &number(&format!("B{index}"))).await.unwrap().unwrap();
            kept.push((payment.state, payment.version));
        }
        let events: Vec<_> =
            store.events(&tenant(), 0, 1_000).await.unwrap().into_iter().map(|e| e.event.kind.as_str()).collect();
        let entered: Vec<_> = entered.into_iter().map(|outcome| outcome.is_ok()).collect();
        ends.push((entered, settled, kept, events));
    }
    assert_eq!(ends[0], ends[1]);
    assert_eq!(ends[0], ends[2]);
}
