//! What the providers of two instances share over one store.

use std::sync::Arc;

use dukou_domain::{Secret, Timestamp};
use dukou_engine::StoreState;
use dukou_engine::ports::Store;
use dukou_spi::plugin::{Batch, Document, DocumentError};
use dukou_spi::{Clock, SharedState as _};
use dukou_store::{ProcessCoordinator, SqliteOptions, SqliteStore};
use serde_json::json;

struct Now;

impl Clock for Now {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_783_139_445_000)
    }
}

fn instance(name: &str, store: &Arc<SqliteStore>) -> StoreState {
    let state = StoreState::new(name.to_owned());
    state.open(Arc::clone(store) as Arc<dyn Store>, Arc::new(ProcessCoordinator::default()), Arc::new(Now)).unwrap();
    state
}

#[tokio::test]
async fn instances_share_documents_and_who_comes_late_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(SqliteOptions::at(folder.path().join("dukou.db"))).unwrap());
    let (one, other) = (instance("one", &store), instance("other", &store));
    let secret = Secret::new("a-token-that-is-nobodys-business");
    let sealed = one.documents().seal("access-token/x", &secret).await.unwrap();
    assert!(!sealed.contains("nobodys"));
    let document = Document::new("access-tokens", "x", json!({ "sealed": sealed }));
    one.documents().write(Batch::default().put(document.clone())).await.unwrap();

    let found = other.documents().get("access-tokens", "x").await.unwrap().unwrap();
    let opened = other.documents().open("access-token/x", found.value["sealed"].as_str().unwrap()).await.unwrap();
    assert_eq!((opened.expose(), found.version), (secret.expose(), 1));
    // Sealed for something else, it is not opened.
    let moved = other.documents().open("access-token/y", found.value["sealed"].as_str().unwrap()).await;
    assert!(matches!(moved, Err(DocumentError::Corrupt(_))));
    // Both read version 1; the second to write has read what is not there any more.
    other.documents().write(Batch::default().put(Document { value: json!({}), ..found.clone() })).await.unwrap();
    let late = one.documents().write(Batch::default().put(found)).await;
    assert!(matches!(late, Err(DocumentError::Conflict(_))), "{late:?}");
    let again = one.documents().write(Batch::default().put(document)).await;
    assert!(matches!(again, Err(DocumentError::Conflict(_))), "{again:?}");
    assert_eq!(one.documents().get("access-tokens", "x").await.unwrap().unwrap().value, json!({}));
}

#[tokio::test]
async fn without_a_store_it_is_the_processs_own() {
    let state = StoreState::new("doctor".to_owned());
    state.documents().write(Batch::default().put(Document::new("access-tokens", "x", json!(1)))).await.unwrap();
    assert_eq!(state.documents().get("access-tokens", "x").await.unwrap().unwrap().value, json!(1));
    assert_eq!(StoreState::new("next".to_owned()).documents().get("access-tokens", "x").await.unwrap(), None);
}
