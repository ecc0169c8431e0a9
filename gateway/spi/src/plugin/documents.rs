//! What a plugin keeps: small JSON documents in the gateway's own store, written together with the
//! events that tell of them.

use async_trait::async_trait;
use dukou_domain::{EventKind, Secret, Timestamp};
use serde_json::Value;

/// One document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Which of the plugin's lists it is in: 1 to 32 of `a-z 0-9 - _`.
    pub collection: String,
    /// Unique in the collection: 1 to [`Document::LONGEST_KEY`] visible ASCII characters.
    pub key: String,
    /// At most [`Document::LARGEST`] bytes as JSON.
    pub value: Value,
    /// When [`super::Plugin::due`] is to look at it. Never of a document for all tenants: it is refused.
    pub due_at: Option<Timestamp>,
    /// Counted up by the store at each change; 0 before it was ever written.
    pub version: i64,
}

impl Document {
    /// Of a key, in bytes.
    pub const LONGEST_KEY: usize = 128;
    /// Of a value written as JSON, in bytes: 256 KiB.
    pub const LARGEST: usize = 256 * 1024;

    /// A document that was never written.
    pub fn new(collection: &str, key: impl Into<String>, value: Value) -> Self {
        Document { collection: collection.to_owned(), key: key.into(), value, due_at: None, version: 0 }
    }

    /// It is looked at again then.
    #[must_use]
    pub fn due(mut self, at: Timestamp) -> Self {
        self.due_at = Some(at);
        self
    }
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Inserted when its version is 0, otherwise replaced where the version is still the same.
    Put(Document),
    /// Deleted where the version is still the same.
    Delete {
        /// As in [`Document`].
        collection: String,
        /// As in [`Document`].
        key: String,
        /// The version it was read in.
        version: i64,
    },
}

/// Something that happened, for the tenant's event log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RaisedEvent {
    /// One of [`super::PluginInfo::raises`].
    pub kind: EventKind,
    /// The object as it is shown.
    pub data: Value,
}

/// Changes and events that become true together or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    /// At most [`Batch::LONGEST`].
    pub writes: Vec<Write>,
    /// For the tenant's log; at most [`Batch::LONGEST`]. Refused with documents for all tenants.
    pub events: Vec<RaisedEvent>,
}

impl Batch {
    /// Changes, and events, in one batch at most.
    pub const LONGEST: usize = 32;

    /// Inserts a document of version 0, and replaces one that is still as it was read.
    #[must_use]
    pub fn put(mut self, document: Document) -> Self {
        self.writes.push(Write::Put(document));
        self
    }

    /// Deletes a document that is still as it was read.
    #[must_use]
    pub fn delete(mut self, document: &Document) -> Self {
        let Document { collection, key, version, .. } = document.clone();
        self.writes.push(Write::Delete { collection, key, version });
        self
    }

    /// Tells of the change in the tenant's event log; `data` is the object as it is shown.
    #[must_use]
    pub fn raise(mut self, kind: EventKind, data: Value) -> Self {
        self.events.push(RaisedEvent { kind, data });
        self
    }
}

/// Why nothing was written or read.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// A document was there already, or is not as it was read: somebody else was first. Read again
    /// and decide again.
    #[error("a document was changed by somebody else: {0}")]
    Conflict(String),
    /// The store cannot take or give anything now; or it is not known whether it took it.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// What is kept cannot be read back.
    #[error("the store holds what cannot be read: {0}")]
    Corrupt(String),
    /// It breaks a limit, or an event is not one of the plugin's: a mistake of the plugin.
    #[error("the store does not take this: {0}")]
    Refused(String),
}

/// The documents of one plugin: those of a tenant, or those it keeps for all.
#[async_trait]
pub trait Documents: Send + Sync {
    /// # Errors
    /// [`DocumentError`].
    async fn get(&self, collection: &str, key: &str) -> Result<Option<Document>, DocumentError>;

    /// Writes everything in one transaction; returns after it is on disk.
    ///
    /// # Errors
    /// [`DocumentError`]; nothing was written then, but after `Unavailable` that is not certain.
    async fn write(&self, batch: Batch) -> Result<(), DocumentError>;

    /// Encrypts a secret (AES-256-GCM, under a key that the store made), so that it may stand in a
    /// document. `label` says what it is; only under the same one is it opened.
    ///
    /// # Errors
    /// [`DocumentError`].
    async fn seal(&self, label: &str, secret: &Secret) -> Result<String, DocumentError>;

    /// # Errors
    /// [`DocumentError::Corrupt`] for anything that was not sealed here under this label.
    async fn open(&self, label: &str, sealed: &str) -> Result<Secret, DocumentError>;
}
