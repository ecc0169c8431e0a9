//! Everything that the embedded store keeps is in PostgreSQL after a move.

use bytes::Bytes;
use dukou_domain::{AttemptId, DeliveryId, DeliveryState, OutRefundNo, PluginName, Secret, TradeNo};
use dukou_engine::delivery::{DeliveryFilter, Tried, Try, TryError};
use dukou_engine::ports::{Change, DocumentOwner, NewDelivery, Store, StoreError, Target};
use dukou_engine::records::{
    Begun, CallOutcome, EventKind, IdempotentCall, PaymentFilter, PlatformCall, RefundRequestFilter, StoredAnswer,
    Subject,
};
use dukou_spi::Kept;
use dukou_spi::plugin::{Document, Write};
use dukou_store::moving::move_store;
use dukou_store::{LeftAt, PostgresOptions, PostgresStore, SqliteOptions, SqliteStore};
use dukou_test_servers::Postgres;
use serde_json::json;
use uuid::Uuid;

use crate::records::*;

fn plugin() -> PluginName {
    PluginName::new("printer").unwrap()
}

fn owner() -> DocumentOwner {
    DocumentOwner { tenant: Some(tenant()), plugin: plugin() }
}

fn call(key: &str, owner: u128) -> IdempotentCall {
    IdempotentCall {
        tenant: tenant(),
        key: key.into(),
        fingerprint: "f".into(),
        made_number: format!("made-{owner}"),
        owner: Uuid::from_u128(owner),
        now: at(1),
    }
}

fn answer() -> StoredAnswer {
    StoredAnswer { status: 201, content_type: "application/json".into(), body: Bytes::from_static(b"{}") }
}

/// One of everything, with and without what is optional.
async fn fill(store: &dyn Store) {
    for name in ["B1", "B2", "B3"] {
        create(store, &payment(name, 1_000)).await.unwrap();
    }
    notify(store, "B1", "a").await.unwrap();
    notify(store, "NOBODYS", "b").await.unwrap();
    apply(store, target("B2"), |view| {
        let mut payment = view.payment.clone().unwrap();
        payment.others.push(payment.attempt.clone());
        payment.attempt.id = AttemptId::from_uuid(Uuid::now_v7());
        payment.attempt.number = 2;
        payment.attempt.trade_no = TradeNo::new("B2-2").unwrap();
        payment.attempt.prepay = None;
        Change { payment: Some(payment), ..Change::default() }
    })
    .await
    .unwrap();
    let paid = store.payment(&tenant(), &number("B1")).await.unwrap().unwrap();
    let new = refund(&paid, "R-1", 50);
    let request = request(&paid, 50);
    apply(store, target("B1"), move |_| Change {
        refund: Some(new.clone()),
        request: Some(request.clone()),
        ..Change::default()
    })
    .await
    .unwrap();

    let heads = store.deliveries().event_heads(0, 100).await.unwrap();
    let deliveries = heads.iter().map(|head| NewDelivery {
        id: DeliveryId::from_uuid(Uuid::now_v7()),
        tenant: head.tenant.clone(),
        event: head.id,
        kind: head.kind,
        position: head.position,
        created_at: at(10),
        due_at: at(10),
    });
    store.deliveries().enter(0, heads.len() as i64, deliveries.collect()).await.unwrap();
    // One failed, one is being tried when the store moves, the others wait.
    let leased = store.deliveries().lease(at(20), at(50_000), 2, Box::new(|_| 100)).await.unwrap().taken;
    assert_eq!(leased.len(), 2);
    let tried = Try { number: 1, at: at(21), status: Some(500), error: Some(TryError::Status), millis: 3 };
    let failed = Tried {
        tenant: tenant(),
        position: leased[0].delivery.position,
        lease: leased[0].lease,
        made_before: 0,
        state: DeliveryState::Pending,
        failed: 1,
        next_at: Some(at(30)),
        delivered_at: None,
        tries: vec![tried],
    };
    store.deliveries().record(vec![failed]).await.unwrap();

    store.secret("sessions").await.unwrap();
    store.keep_trust_material("1900", Kept { fetched_at: at(7), content: Bytes::from_static(b"\0k") }).await.unwrap();
    let mut document = Document::new("things", "k", json!({ "名": "边城" }));
    document.due_at = Some(at(40));
    store.plugins().write_documents(&owner(), vec![Write::Put(document)], vec![]).await.unwrap();
    store.plugins().plugin_cursor(&tenant(), &plugin()).await.unwrap();
    store.begin_call(call("answered", 1)).await.unwrap();
    store.end_call(&tenant(), "answered", Uuid::from_u128(1), Some(answer())).await.unwrap();
    store.begin_call(call("cut short", 1)).await.unwrap();
    let made = PlatformCall {
        tenant: tenant(),
        payment: paid.id,
        refund: Some(OutRefundNo::new("R-1").unwrap()),
        provider: provider(),
        operation: "refund".into(),
        at: at(8),
        millis: 9,
        outcome: CallOutcome::Unknown,
        code: None,
        message: Some("timed out".into()),
        request_id: None,
    };
    store.history().keep_calls(vec![made]).await.unwrap();
}

/// All that can be asked.
async fn told(store: &dyn Store) -> String {
    let filter = PaymentFilter { tenant: tenant(), state: None, created_after: None, cursor: None, limit: 10 };
    let payments = store.payments(filter).await.unwrap().items;
    let paid = store.payment(&tenant(), &number("B1")).await.unwrap().unwrap();
    let requests = RefundRequestFilter { tenant: tenant(), state: None, cursor: None, limit: 10 };
    let deliveries = DeliveryFilter { tenant: tenant(), state: None, cursor: None, limit: 100 };
    let earlier = apply(store, notify_target("B2", &key("x")), |_| Change::default()).await.unwrap().payment;
    let unknown = apply(store, notify_target("NOBODYS", &key("b")), |_| Change::default()).await.unwrap().notification;
    format!(
        "{payments:#?}{:#?}{:#?}{:#?}{:#?}{:#?}{:#?}{:?}{:?}{:#?}{:?}{:?}{earlier:#?}{unknown:?}",
        store.refunds(&tenant(), paid.id).await.unwrap(),
        store.refund_requests(requests).await.unwrap().items,
        store.events_from(0, 100).await.unwrap(),
        store.deliveries().deliveries(deliveries).await.unwrap().items,
        store.history().calls_about(&tenant(), paid.id, 10).await.unwrap(),
        store.history().messages_about(&tenant(), vec!["B1".into()], 10).await.unwrap(),
        store.deliveries().endpoint(&tenant()).await.unwrap(),
        store.trust_material("1900").await.unwrap(),
        store.plugins().document(&owner(), "things", "k").await.unwrap(),
        store.position().await.unwrap(),
        store.deliveries().entered_to().await.unwrap(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_there_after_a_move() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let store = SqliteStore::open(SqliteOptions::at(&path)).unwrap();
    fill(&store).await;
    let (before, identity) = (told(&store).await, store.identity());
    let secret = store.secret("sessions").await.unwrap();
    let to = PostgresOptions::at(Secret::new(Postgres::shared().new_database()));
    let in_use = moved(&path, &to).await.unwrap_err();
    assert!(in_use.to_string().contains("in use"), "{in_use}");
    store.close().await;

    let tables = moved(&path, &to).await.unwrap();
    assert!(tables.iter().all(|table| table.rows > 0), "no table is moved without having been tried: {tables:?}");
    let refused = SqliteStore::open(SqliteOptions::at(&path)).err().unwrap();
    assert!(refused.to_string().contains("was moved to the PostgreSQL database"), "{refused}");
    // Again: only compared.
    assert_eq!(moved(&path, &to).await.unwrap(), tables);

    let store = PostgresStore::open(to.clone()).await.unwrap();
    assert_eq!(told(&store).await, before);
    assert_eq!(store.identity().store, identity.store);
    assert_ne!(store.identity().incarnation, identity.incarnation, "no marker of before stands for this one");
    assert!(store.secret("sessions").await.unwrap().matches(secret.expose().as_bytes()));
    assert_eq!(store.begin_call(call("answered", 2)).await.unwrap(), Begun::Answered(answer()));
    assert_eq!(store.begin_call(call("cut short", 2)).await.unwrap(), Begun::Run { made_number: "made-1".into() });
    // What was being tried is due again, and everything else goes on.
    let due = store.deliveries().lease(at(100), at(60_000), 100, Box::new(|_| 100)).await.unwrap().taken;
    assert_eq!(due.len() as i64, store.position().await.unwrap());
    assert!(notify(&store, "B3", "c").await.unwrap());
    let paid = event(EventKind::PaymentPending, Subject::Payment(Box::new(payment("B9", 1))));
    apply(&store, Target::payment(tenant(), target("B3").payment), move |_| Change {
        events: vec![paid.clone()],
        ..Change::default()
    })
    .await
    .unwrap();
    store.close().await;

    let gone_on = moved(&path, &to).await.unwrap_err();
    assert!(matches!(&gone_on, StoreError::Conflict(why) if why.contains("has gone on since")), "{gone_on}");
}

/// When payments, refunds and deliveries are due.
async fn plans(store: &dyn Store) -> [Vec<i64>; 3] {
    let filter = PaymentFilter { tenant: tenant(), state: None, created_after: None, cursor: None, limit: 10 };
    let payments = store.payments(filter).await.unwrap().items;
    let paid = store.payment(&tenant(), &number("B1")).await.unwrap().unwrap();
    let refunds = store.refunds(&tenant(), paid.id).await.unwrap();
    let filter = DeliveryFilter { tenant: tenant(), state: None, cursor: None, limit: 100 };
    let deliveries = store.deliveries().deliveries(filter).await.unwrap().items;
    [
        payments.iter().filter_map(|payment| payment.check).map(|check| check.at.as_millis()).collect(),
        refunds.iter().filter_map(|refund| refund.check).map(|check| check.at.as_millis()).collect(),
        deliveries.iter().filter_map(|delivery| delivery.next_at).map(|at| at.as_millis()).collect(),
    ]
}

/// Watches: how far plans were from the clock. Moved as they are, everything is that much too late where the clock had been
/// set back, and due at once where it had been set forward.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_planned_is_due_after_a_move_when_it_was_before() {
    let folder = tempfile::tempdir().unwrap();
    for ahead in [600_000, -600_000] {
        let path = folder.path().join(format!("{ahead}.db"));
        let store = SqliteStore::open(SqliteOptions::at(&path)).unwrap();
        fill(&store).await;
        store.keep_plans_left_at(LeftAt { ahead, moment: at(0) }).await.unwrap();
        let before = plans(&store).await;
        assert!(before.iter().all(|some| !some.is_empty()), "{before:?}");
        store.close().await;
        let to = PostgresOptions::at(Secret::new(Postgres::shared().new_database()));
        let tables = moved(&path, &to).await.unwrap();
        assert_eq!(moved(&path, &to).await.unwrap(), tables);
        let store = PostgresStore::open(to).await.unwrap();
        assert_eq!(plans(&store).await, before.map(|some| some.iter().map(|at| at - ahead).collect::<Vec<_>>()));
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_another_store_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let to = PostgresOptions::at(Secret::new(Postgres::shared().new_database()));
    let other = PostgresStore::open(to.clone()).await.unwrap();
    create(&other, &payment("B1", 1_000)).await.unwrap();
    let missing = moved(&path, &to).await.unwrap_err();
    assert!(missing.to_string().contains("there is no such file"), "{missing}");
    SqliteStore::open(SqliteOptions::at(&path)).unwrap().close().await;
    let refused = moved(&path, &to).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Conflict(why) if why.contains("another store")), "{refused}");
    assert!(other.payment(&tenant(), &number("B1")).await.unwrap().is_some());
    SqliteStore::open(SqliteOptions::at(&path)).unwrap();
}

/// The move reads the file on the thread it runs on.
async fn moved(path: &std::path::Path, to: &PostgresOptions) -> Result<Vec<dukou_store::moving::Moved>, StoreError> {
    let (path, to) = (path.to_owned(), to.clone());
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(move_store(&path, &to))
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_was_moved_is_not_moved_to_a_second_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let store = SqliteStore::open(SqliteOptions::at(&path)).unwrap();
    fill(&store).await;
    store.close().await;
    let places = [Postgres::shared().new_database(), Postgres::shared().new_database()];
    let to = places.each_ref().map(|place| PostgresOptions::at(Secret::new(place)));
    moved(&path, &to[0]).await.unwrap();
    let refused = moved(&path, &to[1]).await.unwrap_err();
    let first = format!("was moved to the PostgreSQL database {} on 127.0.0.1:", Postgres::database_of(&places[0]));
    assert!(matches!(&refused, StoreError::Conflict(why) if why.contains(&first)), "{refused}");
    let refused = SqliteStore::open(SqliteOptions::at(&path)).err().unwrap().to_string();
    assert!(refused.contains(&first), "{refused}");
    PostgresStore::open(to[1].clone()).await.unwrap().close().await;
}

/// Watches: the outer join. Without it such a payment is left behind, and on neither side is it counted.
#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_lacks_its_attempt_is_not_left_behind_in_silence() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let store = SqliteStore::open(SqliteOptions::at(&path)).unwrap();
    fill(&store).await;
    store.close().await;
    let file = rusqlite::Connection::open(&path).unwrap();
    assert_eq!(file.execute("DELETE FROM attempts WHERE trade_no = 'B3'", []).unwrap(), 1);
    drop(file);
    let to = PostgresOptions::at(Secret::new(Postgres::shared().new_database()));
    let refused = moved(&path, &to).await.unwrap_err().to_string();
    assert!(refused.contains("attempt_id"), "{refused}");
    SqliteStore::open(SqliteOptions::at(&path)).unwrap().close().await;
}
