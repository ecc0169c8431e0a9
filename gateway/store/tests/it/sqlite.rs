//! SQLite: the behaviour of every store, and what is its own.

use std::path::Path;

use dukou_store::{SqliteOptions, SqliteStore};

use crate::store_behaviour;

fn open(folder: &Path, max_batch: usize) -> SqliteStore {
    let options = SqliteOptions { max_batch, ..SqliteOptions::at(folder.join(format!("{}.db", uuid::Uuid::now_v7()))) };
    SqliteStore::open(options).unwrap()
}

#[tokio::test]
async fn behaves_as_a_store() {
    let folder = tempfile::tempdir().unwrap();
    store_behaviour::all(async || open(folder.path(), 512)).await;
}

#[tokio::test]
async fn behaves_as_a_store_when_it_commits_each() {
    let folder = tempfile::tempdir().unwrap();
    store_behaviour::all(async || open(folder.path(), 1)).await;
}
