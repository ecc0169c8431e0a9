//! What every store must do with what plugins keep.

use std::future::Future;

use dukou_domain::{PluginName, TenantId};
use dukou_engine::ports::{DocumentOwner, Store, StoreError};
use dukou_engine::records::{EventKind, NewEvent, Subject};
use dukou_spi::plugin::{Document, Write};
use serde_json::json;

use crate::records::*;
use crate::store_behaviour::join_all;

/// Runs all of it, each part on a new store.
pub async fn all<S: Store, F: Future<Output = S>>(new: impl Fn() -> F) {
    a_document_is_changed_by_who_read_it_last(&new().await).await;
    of_many_changes_to_one_document_at_once_one_counts(&[&new().await]).await;
    a_batch_is_written_whole_or_not_at_all(&new().await).await;
    owners_do_not_see_each_other(&new().await).await;
    what_is_due_is_taken_once_in_its_order(&new().await).await;
    a_place_in_the_log_begins_at_its_end_and_moves_once(&new().await).await;
}

fn owner(tenant: Option<&str>, plugin: &str) -> DocumentOwner {
    DocumentOwner {
        tenant: tenant.map(|tenant| TenantId::new(tenant).unwrap()),
        plugin: PluginName::new(plugin).unwrap(),
    }
}

fn ours() -> DocumentOwner {
    owner(Some("bookshop"), "printer")
}

fn document(key: &str, value: i64) -> Document {
    Document::new("things", key, json!({ "n": value, "名": "边城" }))
}

fn told() -> NewEvent {
    let plugin = PluginName::new("printer").unwrap();
    event(EventKind::MessageReceived, Subject::Plugin { plugin, data: json!({ "a": [1, null, "书"] }) })
}

async fn write(store: &dyn Store, owner: &DocumentOwner, writes: Vec<Write>) -> Result<(), StoreError> {
    store.plugins().write_documents(owner, writes, Vec::new()).await
}

async fn read(store: &dyn Store, owner: &DocumentOwner, key: &str) -> Option<Document> {
    store.plugins().document(owner, "things", key).await.unwrap()
}

fn is_conflict(result: Result<(), StoreError>) -> bool {
    matches!(result, Err(StoreError::Conflict(_)))
}

async fn a_document_is_changed_by_who_read_it_last(store: &dyn Store) {
    let first = document("a", 1).due(at(5_000));
    write(store, &ours(), vec![Write::Put(first.clone())]).await.unwrap();
    let kept = read(store, &ours(), "a").await.unwrap();
    assert_eq!(kept, Document { version: 1, ..first.clone() });
    assert!(is_conflict(write(store, &ours(), vec![Write::Put(first)]).await), "it is there already");
    let changed = Document { value: json!(2), due_at: None, ..kept.clone() };
    write(store, &ours(), vec![Write::Put(changed.clone())]).await.unwrap();
    assert!(is_conflict(write(store, &ours(), vec![Write::Put(changed)]).await), "it is another by now");
    let Document { collection, key, version, .. } = kept;
    let delete = |version| Write::Delete { collection: collection.clone(), key: key.clone(), version };
    assert!(is_conflict(write(store, &ours(), vec![delete(version)]).await));
    write(store, &ours(), vec![delete(2)]).await.unwrap();
    assert_eq!(read(store, &ours(), "a").await, None);
    assert!(is_conflict(write(store, &ours(), vec![delete(2)]).await), "it is gone");
}

/// The owner is the gateway, as for what the providers of all instances share.
pub async fn of_many_changes_to_one_document_at_once_one_counts(instances: &[&dyn Store]) {
    let owner = owner(None, "providers");
    for version in 0..3 {
        let writers = instances.iter().cycle().zip(0..20).map(|(store, writer)| {
            let mine = Document { version, ..document("token", writer) };
            let owner = &owner;
            async move { (writer, write(*store, owner, vec![Write::Put(mine)]).await) }
        });
        let (won, lost): (Vec<_>, Vec<_>) = join_all(writers).await.into_iter().partition(|(_, result)| result.is_ok());
        let [(winner, _)] = won.as_slice() else { panic!("{} of 20 counted", won.len()) };
        assert!(lost.into_iter().all(|(_, result)| is_conflict(result)));
        let kept = read(instances[0], &owner, "token").await.unwrap();
        assert_eq!(kept, Document { version: version + 1, ..document("token", *winner) });
    }
}

async fn a_batch_is_written_whole_or_not_at_all(store: &dyn Store) {
    write(store, &ours(), vec![Write::Put(document("taken", 1))]).await.unwrap();
    let batch = vec![Write::Put(document("new", 1)), Write::Put(document("taken", 2))];
    let refused = store.plugins().write_documents(&ours(), batch, vec![told()]).await;
    assert!(is_conflict(refused));
    assert_eq!(read(store, &ours(), "new").await, None);
    assert!(store.events(&tenant(), 0, 10).await.unwrap().is_empty());
    let event = told();
    store.plugins().write_documents(&ours(), vec![Write::Put(document("new", 1))], vec![event.clone()]).await.unwrap();
    let log = store.events(&tenant(), 0, 10).await.unwrap();
    assert_eq!(log.into_iter().map(|entry| entry.event).collect::<Vec<_>>(), [event]);
}

async fn owners_do_not_see_each_other(store: &dyn Store) {
    let owners = [ours(), owner(Some("teahouse"), "printer"), owner(Some("bookshop"), "share"), owner(None, "printer")];
    for (value, owner) in (1..).zip(&owners) {
        write(store, owner, vec![Write::Put(document("a", value))]).await.unwrap();
    }
    for (value, owner) in (1..).zip(&owners) {
        assert_eq!(read(store, owner, "a").await.unwrap().value["n"], value, "{owner:?}");
    }
    assert_eq!(store.plugins().document(&ours(), "others", "a").await.unwrap(), None);
}

async fn what_is_due_is_taken_once_in_its_order(store: &dyn Store) {
    let documents = [("third", 3_000), ("first", 1_000), ("second", 2_000), ("later", 9_000)];
    let writes = documents.map(|(key, due)| Write::Put(document(key, 1).due(at(due))));
    write(store, &ours(), writes.to_vec()).await.unwrap();
    write(store, &ours(), vec![Write::Put(document("never", 1))]).await.unwrap();
    let take = async |now: i64, limit: u32| {
        let taken = store.plugins().take_due_documents(at(now), at(now + 60_000), limit).await.unwrap();
        let mut keys: Vec<String> = taken
            .into_iter()
            .map(|(owner, document)| {
                assert_eq!((owner, document.due_at), (ours(), Some(at(now + 60_000))));
                document.key
            })
            .collect();
        keys.sort();
        keys
    };
    assert_eq!(take(5_000, 2).await, ["first", "second"]);
    assert_eq!(take(5_000, 10).await, ["third"]);
    assert!(take(5_000, 10).await.is_empty());
    // Whoever took it and is frozen meanwhile changes nothing after somebody else took it.
    let stale = read(store, &ours(), "first").await.unwrap();
    assert_eq!(take(65_000, 10).await, ["first", "later", "second", "third"]);
    assert!(is_conflict(write(store, &ours(), vec![Write::Put(stale)]).await));
}

async fn a_place_in_the_log_begins_at_its_end_and_moves_once(store: &dyn Store) {
    store.plugins().write_documents(&ours(), Vec::new(), vec![told(), told()]).await.unwrap();
    let plugin = PluginName::new("printer").unwrap();
    let place = async || store.plugins().plugin_cursor(&tenant(), &plugin).await.unwrap();
    assert_eq!(place().await, 2);
    store.plugins().write_documents(&ours(), Vec::new(), vec![told()]).await.unwrap();
    assert_eq!(place().await, 2);
    store.plugins().move_plugin_cursor(&tenant(), &plugin, 2, 3).await.unwrap();
    let again = store.plugins().move_plugin_cursor(&tenant(), &plugin, 2, 3).await;
    assert!(is_conflict(again));
    assert_eq!(place().await, 3);
    let other = TenantId::new("teahouse").unwrap();
    assert_eq!(store.plugins().plugin_cursor(&other, &plugin).await.unwrap(), 3);
}
