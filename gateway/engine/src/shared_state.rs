//! What the providers of all instances share, in the store; the coordinator makes it cheap.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use dukou_domain::{InvalidId, PluginName};
use dukou_spi::plugin::{Documents, Held};
use dukou_spi::{Clock, ProcessState, SharedState};

use crate::plugin::documents::OwnDocuments;
use crate::ports::{Coordinator, DocumentOwner, Lock, Store};

/// The owner of the providers' documents. No plugin has this name.
const OWNER: &str = "providers";

/// The store's documents, from when there is a store; until then, and in a process that never opens one,
/// the process's own memory.
pub struct StoreState {
    instance: String,
    alone: ProcessState,
    opened: OnceLock<Opened>,
}

struct Opened {
    documents: OwnDocuments,
    coordinator: Arc<dyn Coordinator>,
}

impl StoreState {
    /// `instance` names the process for people.
    pub fn new(instance: String) -> Self {
        StoreState { instance, alone: ProcessState::default(), opened: OnceLock::new() }
    }

    /// To be called once, before any provider works.
    ///
    /// # Errors
    /// Never, as long as the owner's name is a legal one.
    pub fn open(
        &self,
        store: Arc<dyn Store>,
        coordinator: Arc<dyn Coordinator>,
        clock: Arc<dyn Clock>,
    ) -> Result<(), InvalidId> {
        let owner = DocumentOwner { tenant: None, plugin: PluginName::new(OWNER)? };
        let documents = OwnDocuments { store, keys: Arc::default(), clock, owner, raises: &[] };
        let _ = self.opened.set(Opened { documents, coordinator });
        Ok(())
    }
}

#[async_trait]
impl SharedState for StoreState {
    fn documents(&self) -> &dyn Documents {
        match self.opened.get() {
            Some(opened) => &opened.documents,
            None => self.alone.documents(),
        }
    }

    async fn lock(&self, name: &str) -> Held {
        match self.opened.get() {
            Some(opened) => Held(Box::new(opened.coordinator.lock(&format!("{OWNER}:{name}")).await)),
            None => self.alone.lock(name).await,
        }
    }

    async fn unlock(&self, held: Held) {
        if let Some(opened) = self.opened.get()
            && let Ok(lock) = held.0.downcast::<Option<Lock>>()
            && let Some(lock) = *lock
        {
            opened.coordinator.unlock(lock).await;
        }
    }

    fn instance(&self) -> &str {
        &self.instance
    }
}
