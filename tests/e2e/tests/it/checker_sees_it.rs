//! The checker over a real gateway whose ledger was made to lie: what it reads is enough to see each lie.

use std::path::{Path, PathBuf};
use std::time::Duration;

use dukou_e2e::{Tenant, V3Trust, World};
use rusqlite::Connection;

use crate::{becomes, paid};

const LIES: [(&str, &str, &[u8]); 9] = [
    (
        "an acknowledged success is lost",
        "UPDATE payments SET state = 'pending', transaction_id = NULL, paid_at = NULL WHERE out_trade_no = 'PAID-01';
         DELETE FROM events WHERE kind = 'payment.succeeded' AND subject LIKE '%PAID-01%'",
        &[1],
    ),
    (
        "a success was raised twice",
        "INSERT INTO events SELECT (SELECT max(position) + 1 FROM events), randomblob(16), tenant, kind, at, subject, payment
         FROM events WHERE kind = 'payment.succeeded' AND subject LIKE '%PAID-01%'",
        &[2],
    ),
    (
        "a success that nobody vouched for",
        "UPDATE payments SET state = 'succeeded', transaction_id = '4200', check_at = NULL
         WHERE out_trade_no = 'OPEN-01'",
        &[3, 7],
    ),
    ("a sum that is not that of its parts", "UPDATE payments SET refunded = 41 WHERE out_trade_no = 'BACK-01'", &[4]),
    ("unknown for ever", "UPDATE payments SET state = 'unknown', check_at = NULL WHERE out_trade_no = 'OPEN-01'", &[5]),
    (
        "an order at the platform that is not here",
        "DELETE FROM attempts WHERE trade_no = 'OPEN-01'; DELETE FROM payments WHERE out_trade_no = 'OPEN-01'",
        &[6],
    ),
    ("a change without its event", "DELETE FROM events WHERE kind = 'payment.closed'", &[7]),
    (
        "an event in another tenant's log",
        "UPDATE events SET tenant = 'teahouse' WHERE kind = 'payment.created' AND subject LIKE '%OPEN-01%'",
        &[8],
    ),
    (
        "a secret in a record",
        "UPDATE payments SET description = 'key: backend-key-of-bookshop-Zq8+w/3K' WHERE out_trade_no = 'OPEN-01'",
        &[9],
    ),
];

/// Stops the gateway in order and puts the file in place as it was, with `lie` told in it.
async fn rewrite(world: &World, truth: &Path, store: &Path, lie: &str) {
    world.gateway.terminate();
    world.gateway.wait_exit(Duration::from_secs(30)).await;
    for suffix in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", store.display()));
    }
    if truth.exists() {
        std::fs::copy(truth, store).unwrap();
    } else {
        std::fs::copy(store, truth).unwrap();
    }
    let file = Connection::open(store).unwrap();
    file.execute_batch(lie).unwrap();
    drop(file);
    world.gateway.restart().await;
}

#[tokio::test]
async fn each_lie_breaks_its_rule() {
    each_lie_of(Tenant::bookshop()).await;
}

#[tokio::test]
async fn each_lie_breaks_its_rule_over_v3() {
    each_lie_of(Tenant::bookshop().over_v3(V3Trust::PublicKey)).await;
}

async fn each_lie_of(bookshop: Tenant) {
    let world = World::builder().embedded().tenant(bookshop).tenant(Tenant::teahouse()).start().await;
    let merchant = world.merchant("bookshop");
    paid(&world, "PAID-01", 100).await;
    paid(&world, "BACK-01", 100).await;
    merchant.refund("BACK-01", "R-1", 40).await.expect(201);
    becomes(&merchant, "BACK-01", "partially_refunded").await;
    merchant.pending("OPEN-01", 100).await;
    merchant.pending("SHUT-01", 100).await;
    merchant.close("SHUT-01").await.expect(200);
    world.control.deliver_all().await;
    world.verify().await;

    let store: PathBuf = world.directory().join("data/dukou.db");
    let truth = world.directory().join("truth.db");
    for (what, lie, rules) in LIES {
        rewrite(&world, &truth, &store, lie).await;
        let violations = world.checker().violations().await;
        let mut found: Vec<u8> = violations.iter().map(|violation| violation.rule).collect();
        found.dedup();
        assert_eq!(found, rules, "{what}: {violations:?}");
    }

    rewrite(&world, &truth, &store, "").await;
    world.verify().await;
    world.gateway.kill();
    let rules: Vec<u8> = world.checker().violations().await.iter().map(|violation| violation.rule).collect();
    assert_eq!(rules, [10]);
}
