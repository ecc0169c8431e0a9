//! PostgreSQL: the behaviour of every store, and what is its own.

use dukou_domain::Secret;
use dukou_store::{PostgresOptions, PostgresStore};
use dukou_test_servers::Postgres;

use crate::{delivery_behaviour, plugin_behaviour, store_behaviour};

async fn open(address: &str, max_batch: usize) -> PostgresStore {
    PostgresStore::open(PostgresOptions { max_batch, ..PostgresOptions::at(Secret::new(address)) }).await.unwrap()
}

async fn new(max_batch: usize) -> PostgresStore {
    open(&Postgres::shared().new_database(), max_batch).await
}

#[tokio::test(flavor = "multi_thread")]
async fn behaves_as_a_store() {
    store_behaviour::all(async || new(256).await).await;
    delivery_behaviour::all(async || new(256).await).await;
    plugin_behaviour::all(async || new(256).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behaves_as_a_store_when_it_commits_each() {
    store_behaviour::all(async || new(1).await).await;
}
