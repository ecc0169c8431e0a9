//! What the instances of one gateway know in common: documents that belong to an account at a platform
//! and not to a tenant, and a lock that makes sharing them cheap.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use dukou_domain::Secret;

use crate::plugin::{Batch, Document, DocumentError, Documents, Held, Write};

/// Lent to every provider. What one tenant's provider keeps here another one finds under the same key:
/// name documents so that only who knows a secret of the account finds them.
#[async_trait]
pub trait SharedState: Send + Sync {
    /// The same for all tenants, so that none is ever due and no event is raised with them.
    fn documents(&self) -> &dyn Documents;

    /// Waits for the right to do `name` alone: within this process for as long as it is held, across
    /// processes for a moment only. Nothing may depend on it but cost.
    async fn lock(&self, name: &str) -> Held;

    /// Gives back what [`SharedState::lock`] gave. What is merely dropped stays taken for other processes for a while.
    async fn unlock(&self, held: Held);

    /// This process among the instances, for people: shown, never compared.
    fn instance(&self) -> &str;
}

/// Shares with nobody and forgets at its end: for a process that ends soon, and for tests.
#[derive(Default)]
pub struct ProcessState {
    documents: Mutex<HashMap<(String, String), Document>>,
}

#[async_trait]
impl SharedState for ProcessState {
    fn documents(&self) -> &dyn Documents {
        self
    }

    async fn lock(&self, _: &str) -> Held {
        Held(Box::new(()))
    }

    async fn unlock(&self, _: Held) {}

    fn instance(&self) -> &str {
        "alone"
    }
}

#[async_trait]
impl Documents for ProcessState {
    async fn get(&self, collection: &str, key: &str) -> Result<Option<Document>, DocumentError> {
        let documents = self.documents.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(documents.get(&(collection.to_owned(), key.to_owned())).cloned())
    }

    async fn write(&self, batch: Batch) -> Result<(), DocumentError> {
        let mut documents = self.documents.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = documents.clone();
        for write in batch.writes {
            let (Write::Put(Document { collection, key, version, .. }) | Write::Delete { collection, key, version }) =
                &write;
            let place = (collection.clone(), key.clone());
            if changed.get(&place).map_or(0, |there| there.version) != *version {
                return Err(DocumentError::Conflict(format!("{collection}/{key} is not as it was read")));
            }
            match write {
                Write::Put(document) => {
                    let version = document.version + 1;
                    changed.insert(place, Document { version, ..document });
                }
                Write::Delete { .. } => {
                    changed.remove(&place);
                }
            }
        }
        *documents = changed;
        Ok(())
    }

    /// It never leaves the process.
    async fn seal(&self, _: &str, secret: &Secret) -> Result<String, DocumentError> {
        Ok(secret.expose().to_owned())
    }

    async fn open(&self, _: &str, sealed: &str) -> Result<Secret, DocumentError> {
        Ok(Secret::new(sealed))
    }
}
