//! PostgreSQL: the behaviour of every store, and what is its own.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use dukou_domain::{EventId, Secret, Timestamp, TransactionId};
use dukou_engine::ports::{Change, Store, StoreError};
use dukou_engine::question::{Asked, Share};
use dukou_engine::records::{Begun, EventKind, IdempotentCall, NewEvent, StoredAnswer, Subject};
use dukou_spi::Clock;
use dukou_store::{PostgresOptions, PostgresStore, SteadySchedules, SteadyTime};
use dukou_test_servers::Postgres;
use uuid::Uuid;

use crate::coordinator_behaviour::eventually;
use crate::records::*;
use crate::store_behaviour::join_all;
use crate::{delivery_behaviour, plugin_behaviour, question_behaviour, store_behaviour};

async fn open_with(address: &str, max_batch: usize) -> PostgresStore {
    PostgresStore::open(PostgresOptions { max_batch, ..PostgresOptions::at(Secret::new(address)) }).await.unwrap()
}

async fn open(address: &str) -> PostgresStore {
    open_with(address, 256).await
}

async fn new(max_batch: usize) -> PostgresStore {
    open_with(&Postgres::shared().new_database(), max_batch).await
}

fn sql(address: &str, statement: &str) -> String {
    Postgres::shared().sql(Postgres::database_of(address), statement)
}

#[tokio::test(flavor = "multi_thread")]
async fn behaves_as_a_store() {
    store_behaviour::all(async || new(256).await).await;
    delivery_behaviour::all(async || new(256).await).await;
    plugin_behaviour::all(async || new(256).await).await;
    question_behaviour::all(async || new(256).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behaves_as_a_store_when_it_commits_each() {
    store_behaviour::all(async || new(1).await).await;
}

/// Watches: the lock in the read. Without it, changes decided on the same state overwrite each other, or are refused.
#[tokio::test(flavor = "multi_thread")]
async fn two_instances_lose_no_change_to_each_other() {
    let address = Postgres::shared().new_database();
    let stores = [open(&address).await, open(&address).await];
    for name in ["B1", "B2", "B3"] {
        create(&stores[0], &payment(name, 1_000)).await.unwrap();
    }
    // By either number, so that neither instance knows beforehand that it is the same payment.
    let changes = (0..120_usize).map(|index| {
        let name = ["B1", "B2", "B3"][index % 3];
        let target = if index % 2 == 0 { target(name) } else { notify_target(name, &key(&index.to_string())) };
        apply(&stores[index / 2 % 2], target, |view| {
            let mut payment = view.payment.clone().expect("it is there, whoever else changes it");
            payment.refunding = payment.refunding.checked_add(fen(1)).unwrap();
            let changed = event(EventKind::PaymentPending, Subject::Payment(Box::new(payment.clone())));
            Change { payment: Some(payment), events: vec![changed], ..Change::default() }
        })
    });
    for outcome in join_all(changes).await {
        outcome.unwrap();
    }
    for name in ["B1", "B2", "B3"] {
        let kept = stores[1].payment(&tenant(), &number(name)).await.unwrap().unwrap();
        assert_eq!((kept.refunding, kept.version), (fen(40), 41), "{name}");
    }
    // One log, without gaps, in the order of the changes.
    let log = stores[0].events_from(0, 1_000).await.unwrap();
    assert!(log.iter().map(|event| event.position).eq(1..=123), "{log:?}");
    let mut sums: Vec<_> = log
        .iter()
        .filter_map(|event| match &event.event.subject {
            Subject::Payment(payment) => Some((payment.out_trade_no.clone(), payment.refunding.minor())),
            _ => None,
        })
        .collect();
    let entered = sums.clone();
    sums.sort_by(|(one, _), (other, _)| one.cmp(other));
    for name in ["B1", "B2", "B3"] {
        let seen: Vec<i64> = entered.iter().filter(|(of, _)| of.as_str() == name).map(|(_, sum)| *sum).collect();
        assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "{name}: {seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_over_two_instances_count_once() {
    let address = Postgres::shared().new_database();
    let stores = [open(&address).await, open(&address).await];
    create(&stores[0], &payment("B1", 1_000)).await.unwrap();
    for (name, known) in [("B1", true), ("NOBODYS", false)] {
        let copies = (0..100).map(|index| notify(&stores[index % 2], name, name));
        let applied = join_all(copies).await.into_iter().filter(|applied| *applied.as_ref().unwrap()).count();
        assert_eq!(applied, usize::from(known), "{name}");
    }
    let kinds: Vec<_> = stores[1].events(&tenant(), 0, 100).await.unwrap().into_iter().map(|e| e.event.kind).collect();
    assert_eq!(kinds.len(), stores[0].events(&tenant(), 0, 100).await.unwrap().len());
    let unknown = kinds.iter().filter(|kind| **kind == EventKind::PaymentUnknownOrder).count();
    assert!(unknown <= 1, "{kinds:?}");
    assert_eq!(kinds.iter().filter(|kind| **kind == EventKind::PaymentSucceeded).count(), 1, "{kinds:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_number_is_one_payment_on_two_instances() {
    let address = Postgres::shared().new_database();
    let stores = [open(&address).await, open(&address).await];
    for round in 0..20 {
        let name = format!("B{round}");
        let creates = (0..2).map(|index| {
            let new = payment(&name, 1_000);
            apply(&stores[index], target(&name), move |view| match view.payment {
                Some(_) => Change::default(),
                None => Change { payment: Some(new.clone()), ..Change::default() },
            })
        });
        let outcomes = join_all(creates).await;
        // Whoever lost the race has seen what the other entered.
        let found = outcomes.iter().filter(|outcome| outcome.as_ref().unwrap().payment.is_some()).count();
        assert_eq!(found, 1, "{name}: {outcomes:?}");
    }
}

/// PostgreSQL keeps no NUL in a text.
#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_cannot_be_kept_hurts_nobody_else() {
    let store = new(256).await;
    let mut broken = payment("BROKEN", 1_000);
    broken.description = "a\0b".into();
    let well: Vec<_> = (0..20).map(|index| payment(&format!("B{index}"), 1_000)).collect();
    let all = join_all(well.iter().take(10).chain([&broken]).chain(&well[10..]).map(|new| create(&store, new))).await;
    let refused: Vec<_> = all.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
    assert!(matches!(&refused[..], [StoreError::Corrupt(_)]), "{refused:?}");
    assert_eq!(store.position().await.unwrap(), 20);
    store.ready().await.unwrap();
}

/// Payments cannot be entered from now on, for this reason.
fn refuse_payments(address: &str, condition: &str, said: &str) {
    let body = refusing("refuse_payments", "trigger", condition, said);
    let on = "CREATE TRIGGER refuse_payments BEFORE INSERT ON payments EXECUTE FUNCTION refuse_payments()";
    sql(address, &format!("{body}; {on}"));
}

/// Tables cannot be made from now on, for this reason.
fn refuse_tables(address: &str, condition: &str, said: &str) {
    let body = refusing("refuse_tables", "event_trigger", condition, said);
    let on = "CREATE EVENT TRIGGER refuse_tables ON ddl_command_end WHEN TAG IN ('CREATE TABLE AS') \
              EXECUTE FUNCTION refuse_tables()";
    sql(address, &format!("{body}; {on}"));
}

fn refusing(name: &str, kind: &str, condition: &str, said: &str) -> String {
    format!(
        "CREATE OR REPLACE FUNCTION {name}() RETURNS {kind} LANGUAGE plpgsql AS \
         $$BEGIN RAISE '{said}' USING ERRCODE = '{condition}'; END$$"
    )
}

/// Watches: the write in `ready`. Without it an instance counts as ready while each of its changes is refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_room_is_not_ready_until_there_is_some() {
    let address = Postgres::shared().new_database();
    let store = open(&address).await;
    refuse_payments(&address, "disk_full", "could not extend file");
    refuse_tables(&address, "disk_full", "could not extend file");
    // What a database has room for is of no interest while it takes every change.
    store.ready().await.unwrap();
    let refused = create(&store, &payment("B1", 1_000)).await.unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable(_)), "{refused:?}");
    let unready = store.ready().await.unwrap_err();
    assert!(matches!(&unready, StoreError::Unavailable(why) if why.contains("could not extend file")), "{unready:?}");
    // A change that finds a place says nothing of the next one.
    sql(&address, "DROP EVENT TRIGGER refuse_tables; DROP TRIGGER refuse_payments ON payments");
    create(&store, &payment("B1", 1_000)).await.unwrap();
    refuse_tables(&address, "disk_full", "could not extend file");
    store.ready().await.unwrap_err();
    sql(&address, "DROP EVENT TRIGGER refuse_tables");
    store.ready().await.unwrap();
    assert_eq!(sql(&address, "SELECT count(*) FROM pg_tables WHERE tablename = 'dukou_room'"), "0");
}

/// Where no table may be made nothing is learned of the room there is, and the store counts as ready.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_in_which_no_table_may_be_made_is_ready_again_after_a_failure() {
    for refusal in ["insufficient_privilege", "raise_exception"] {
        let address = Postgres::shared().new_database();
        let store = open(&address).await;
        refuse_payments(&address, "out_of_memory", "out of memory");
        refuse_tables(&address, refusal, "no tables");
        create(&store, &payment("B1", 1_000)).await.unwrap_err();
        store.ready().await.expect(refusal);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_instances_events_are_seen_soon() {
    let address = Postgres::shared().new_database();
    let stores = [open(&address).await, open(&address).await];
    let mut other = stores[1].watch();
    create(&stores[0], &payment("B1", 1_000)).await.unwrap();
    tokio::time::timeout(std::time::Duration::from_secs(10), other.wait_for(|seen| *seen == 1)).await.unwrap().unwrap();
}

/// Watches: the instance's lease in `begin_call`. Without it a call that runs at this moment is run again, or one that
/// was cut short is never run.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_taken_over_from_an_instance_that_is_gone() {
    let address = Postgres::shared().new_database();
    let [first, second] = [open(&address).await, open(&address).await];
    let call = |owner: u128| IdempotentCall {
        tenant: tenant(),
        key: "k".into(),
        fingerprint: "f".into(),
        made_number: format!("made-{owner}"),
        owner: Uuid::from_u128(owner),
        now: at(1),
    };
    let run = Begun::Run { made_number: "made-1".into() };
    assert_eq!(first.begin_call(call(1)).await.unwrap(), run);
    assert_eq!(second.begin_call(call(2)).await.unwrap(), Begun::InProgress, "the first is alive");
    // Frozen for longer than it counts as alive.
    sql(&address, "UPDATE instances SET alive_until = 0");
    assert_eq!(second.begin_call(call(2)).await.unwrap(), run, "under the number of the first");
    let answer = StoredAnswer { status: 201, content_type: "application/json".into(), body: Bytes::from_static(b"{}") };
    first.end_call(&tenant(), "k", Uuid::from_u128(1), Some(answer)).await.unwrap();
    assert_eq!(second.begin_call(call(2)).await.unwrap(), Begun::InProgress, "who was frozen answers nobody");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_the_database_is_another_life_of_the_store() {
    let address = Postgres::shared().new_database();
    let first = open(&address).await;
    create(&first, &payment("B1", 1_000)).await.unwrap();
    let before = first.identity();
    first.close().await;
    let again = open(&address).await;
    assert_eq!(again.identity(), before, "a restart of an instance changes nothing for the others");
    again.close().await;
    let (server, name) = (Postgres::shared(), Postgres::database_of(&address));
    server.sql("postgres", &format!("CREATE DATABASE {name}_copy TEMPLATE {name}"));
    let copy = open(&format!("{address}_copy")).await;
    assert_eq!(copy.identity().store, before.store);
    assert_ne!(copy.identity().incarnation, before.incarnation);
    assert!(copy.payment(&tenant(), &number("B1")).await.unwrap().is_some());
}

/// Watches: the server's start as a part of its life. Files that are put back begin no timeline of their own.
#[tokio::test(flavor = "multi_thread")]
async fn f36_files_that_were_put_back_are_another_life_of_the_store() {
    let server = Postgres::start();
    let (address, folder) = (server.new_database(), tempfile::tempdir().unwrap());
    let copy = |from: &Path, to: &Path| {
        assert!(Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status().unwrap().success());
    };
    let store = open(&address).await;
    create(&store, &payment("B1", 1_000)).await.unwrap();
    server.restart(|data| copy(data, folder.path()));
    eventually("the database is there again", async || notify(&store, "B1", "a").await.is_ok()).await;
    let before = store.identity();
    let put_back = |data: &Path| {
        std::fs::remove_dir_all(data).unwrap();
        std::fs::create_dir(data).unwrap();
        copy(folder.path(), data);
    };
    server.restart(put_back);
    let (first, second) = (open(&address).await, open(&address).await);
    assert_eq!(first.identity().store, before.store);
    assert_ne!(first.identity().incarnation, before.incarnation, "what was marked as done may be done no more");
    assert_eq!(second.identity(), first.identity(), "once for all instances");
    eventually("an instance that ran all the while notices", async || store.identity() == first.identity()).await;
    assert!(notify(&first, "B1", "a").await.unwrap(), "it is new here");
}

/// Watches: one clock for all. With each instance's own, who is fast takes what the others are working on.
#[tokio::test(flavor = "multi_thread")]
async fn plans_are_by_the_databases_clock_whatever_the_instances_clocks_say() {
    let address = Postgres::shared().new_database();
    let minutes = Duration::from_secs(600);
    let (right, fast) = (instance(&address, 0).await, instance(&address, 600_000).await);
    let lease = async |(now, store): &(Timestamp, SteadySchedules)| {
        store.deliveries().lease(*now, now.plus(Duration::from_secs(120)), 10, Box::new(|_| 10)).await.unwrap()
    };
    delivery_behaviour::deliver(&right.1, &tenant(), right.0).await;
    let taken = lease(&right).await.taken;
    assert_eq!(taken.len(), 1);
    assert!(lease(&fast).await.taken.is_empty(), "somebody is at it");
    delivery_behaviour::deliver(&fast.1, &tenant(), fast.0.plus(Duration::from_secs(60))).await;
    let next = lease(&right).await;
    assert!(next.taken.is_empty());
    let wait = next.next_at.unwrap().since(right.0);
    assert!(Duration::from_secs(55) < wait && wait < Duration::from_secs(65), "{wait:?}");
    let tomorrow = (fast.0.plus(minutes), fast.1);
    assert_eq!(lease(&tomorrow).await.taken.len(), 2, "each instance sees its own clock's time");
}

/// An instance whose clock is ahead by so many milliseconds, and what it shows now.
async fn instance(address: &str, ahead: i64) -> (Timestamp, SteadySchedules) {
    struct Ahead(i64);
    impl Clock for Ahead {
        fn now(&self) -> Timestamp {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
            at(i64::try_from(now).unwrap() + self.0)
        }
    }
    let store = open(address).await;
    let time = SteadyTime::following(Arc::new(Ahead(ahead)), store.clock());
    (Ahead(ahead).now(), SteadySchedules::new(Arc::new(store), time))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_or_refund_that_cannot_be_read_holds_up_nobody() {
    let address = Postgres::shared().new_database();
    let spoil = |statement: &str| {
        sql(&address, statement);
    };
    question_behaviour::what_is_due_and_cannot_be_read_holds_up_nobody(&open(&address).await, spoil).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_cannot_be_read_holds_up_nobody() {
    let address = Postgres::shared().new_database();
    let spoil = |positions: &[i64]| {
        for position in positions {
            sql(&address, &format!("UPDATE events SET kind = 'payment.disputed' WHERE position = {position}"));
        }
    };
    delivery_behaviour::an_event_that_cannot_be_read_is_passed_over(&open(&address).await, spoil).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_schema_is_refused_and_an_instance_that_runs_goes_on() {
    let address = Postgres::shared().new_database();
    let store = open(&address).await;
    // The neighbouring version adds something.
    sql(
        &address,
        "ALTER TABLE payments ADD COLUMN note text; ALTER TABLE events ADD COLUMN note text; \
         INSERT INTO schema_steps (version, name, checksum) VALUES (99, 'notes', 'x')",
    );
    create(&store, &payment("B1", 1_000)).await.unwrap();
    notify(&store, "B1", "a").await.unwrap();
    assert_eq!(
        store
            .payments(dukou_engine::records::PaymentFilter {
                tenant: tenant(),
                state: None,
                created_after: None,
                cursor: None,
                limit: 10,
            })
            .await
            .unwrap()
            .items
            .len(),
        1
    );
    let refused = PostgresStore::open(PostgresOptions::at(Secret::new(&address))).await.err().unwrap();
    assert!(matches!(refused, StoreError::Corrupt(_)), "{refused}");
    assert!(refused.to_string().contains("newer than this program: step 99 (notes)"), "{refused}");
}

/// Every statement finds its rows by an index that leads to them alone, also on tables that were empty when it was
/// first planned.
#[tokio::test(flavor = "multi_thread")]
async fn statements_find_their_rows_by_an_index() {
    const PAYMENTS: i64 = 2_000;
    let address = Postgres::shared().new_database();
    let store = open(&address).await;
    let all: Vec<_> = (0..PAYMENTS).map(|index| payment(&format!("B{index}"), 1_000 + index)).collect();
    for outcome in join_all(all.iter().map(|new| create(&store, new))).await {
        outcome.unwrap();
    }
    let read = || -> i64 {
        sql(&address, "SELECT pg_stat_force_next_flush()");
        let sums = "SELECT (SELECT sum(seq_tup_read) FROM pg_stat_user_tables WHERE relname IN ('payments', 'attempts', \
                    'events', 'notifications', 'refunds', 'calls', 'deliveries')) + (SELECT sum(idx_tup_read) \
                    FROM pg_stat_user_indexes)";
        sql(&address, sums).parse().unwrap()
    };
    // What other connections did is counted when they come to rest.
    store.close().await;
    let store = open(&address).await;
    let before = read();
    for paid in &all[..20] {
        let name = paid.out_trade_no.to_string();
        notify(&store, &name, &name).await.unwrap();
        store.payment(&tenant(), &number(&name)).await.unwrap().unwrap();
        let new = NewEvent {
            id: EventId::from_uuid(Uuid::now_v7()),
            ..event(EventKind::PaymentPending, Subject::Payment(Box::new(paid.clone())))
        };
        apply(&store, target(&name), move |_| Change { events: vec![new.clone()], ..Change::default() }).await.unwrap();
        store.events(&tenant(), PAYMENTS, 10).await.unwrap();
        store.refunds(&tenant(), paid.id).await.unwrap();
        assert!(store.payment_by_trade_no(&tenant(), &provider(), &paid.attempt.trade_no).await.unwrap().is_some());
        let unknown = TransactionId::new(&format!("4200-{name}")).unwrap();
        assert_eq!(store.payment_by_transaction(&tenant(), &unknown).await.unwrap(), None);
        store.history().events_about(&tenant(), paid.id, 10).await.unwrap();
        store.history().messages_about(&tenant(), vec![name], 10).await.unwrap();
        let due = store.questions().due(Asked::Payments, at(99_000)).await.unwrap();
        assert_eq!(due.len(), 1, "whatever number waits there: {due:?}");
        let one = vec![Share { queue: due[0].queue.clone(), limit: 1 }];
        let taken = store.questions().take_payments(at(99_000), at(160_000), one).await.unwrap();
        assert_eq!(taken.len(), 1);
        store.questions().due(Asked::Refunds, at(99_000)).await.unwrap();
    }
    store.close().await;
    let rows = read() - before;
    assert!(rows < 20 * 60, "{rows} rows were read for 20 payments among {PAYMENTS}");
}

/// Watches: the version in the statement itself. A look before it is not enough once two transactions meet.
#[tokio::test(flavor = "multi_thread")]
async fn of_many_changes_to_one_document_over_two_instances_one_counts() {
    let address = Postgres::shared().new_database();
    let (one, two) = (open(&address).await, open(&address).await);
    plugin_behaviour::of_many_changes_to_one_document_at_once_one_counts(&[&one, &two]).await;
}
