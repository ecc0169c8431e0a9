//! Documents whose moment has come, handed to their plugins.

use std::sync::Arc;
use std::time::Duration;

use dukou_spi::plugin::{Document, Write};
use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::watch;

use super::run::{PluginHost, Task, find};
use crate::ports::DocumentOwner;

/// Documents taken in one round.
const ROUND: u32 = 100;
/// How many are worked on at the same time, those of one tenant's plugin within its own limit.
const AT_ONCE: usize = 8;
/// How long a document that was taken is left to its plugin.
const LEASE: Duration = Duration::from_secs(60);
/// When a document is looked at again whose plugin or tenant is not there.
const NOBODY_THERE: Duration = Duration::from_secs(24 * 60 * 60);
const PERIOD: Duration = Duration::from_secs(1);

impl PluginHost {
    /// Hands over what is due, round after round, until `stopping` says so.
    pub async fn look_after_documents(self, mut stopping: watch::Receiver<bool>) {
        while !*stopping.borrow() {
            if self.run_due().await < ROUND as usize {
                // An error means that the sender is gone, which is a stop as well.
                let _ = tokio::time::timeout(PERIOD, stopping.wait_for(|stop| *stop)).await;
            }
        }
    }

    /// One round; returns how many documents were due.
    pub async fn run_due(&self) -> usize {
        let config = &self.shared.config;
        let now = config.clock.now();
        let taken = config.store.plugins().take_due_documents(now, now.plus(LEASE), ROUND).await;
        let taken = match taken {
            Ok(taken) => {
                if self.shared.due_trouble.ends() {
                    tracing::info!("documents that are due are looked for again");
                }
                taken
            }
            Err(error) => {
                if self.shared.due_trouble.begins() {
                    tracing::warn!(%error, "cannot look for documents that are due");
                }
                Vec::new()
            }
        };
        let count = taken.len();
        stream::iter(taken).for_each_concurrent(AT_ONCE, |(owner, document)| self.look_at(owner, document)).await;
        count
    }

    async fn look_at(&self, owner: DocumentOwner, document: Document) {
        let tenant = owner.tenant.as_ref().and_then(|id| self.shared.config.tenants.find(id.as_str()));
        let found = tenant.and_then(|tenant| {
            let plugin = find(&tenant, owner.plugin.as_str()).ok()?;
            Some((tenant, plugin))
        });
        let Some((tenant, plugin)) = found else { return self.put_off(owner, document).await };
        let task = Task { operation: "due", limit: plugin.info.limits.work, room: Arc::clone(&plugin.rooms.work) };
        let work = move |plugin: Arc<dyn dukou_spi::plugin::Plugin>, host| async move {
            let host: super::host::TenantHost = host;
            plugin.due(&host, document).await
        };
        // What failed was logged and counted, and comes again when its lease is over.
        let _ = self.run(&tenant, &plugin, task, work, Ok).await;
    }

    async fn put_off(&self, owner: DocumentOwner, document: Document) {
        let config = &self.shared.config;
        let later = document.due(config.clock.now().plus(NOBODY_THERE));
        if let Err(error) = config.store.plugins().write_documents(&owner, vec![Write::Put(later)], Vec::new()).await {
            tracing::debug!(%error, "a document without its plugin could not be put off");
        }
    }
}
