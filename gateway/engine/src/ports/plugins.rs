//! What plugins keep, as durable as the events they raise.

use async_trait::async_trait;
use dukou_domain::{PluginName, TenantId, Timestamp};
use dukou_spi::plugin::{Document, Write};

use super::StoreError;
use crate::records::NewEvent;

/// Whose documents: those of a tenant's plugin, or (`None`) those a plugin keeps for all tenants.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DocumentOwner {
    /// The tenant; `None` for what is kept for all.
    pub tenant: Option<TenantId>,
    /// The plugin, which sees no other's.
    pub plugin: PluginName,
}

/// Documents, and how far each plugin was told of the event log.
#[async_trait]
pub trait PluginRecords: Send + Sync {
    /// A document, with the version that a later write of it names.
    async fn document(
        &self,
        owner: &DocumentOwner,
        collection: &str,
        key: &str,
    ) -> Result<Option<Document>, StoreError>;

    /// Writes documents and appends events in one transaction.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when one of them is there already, or is not as it was read: nothing
    /// is written then.
    async fn write_documents(
        &self,
        owner: &DocumentOwner,
        writes: Vec<Write>,
        events: Vec<NewEvent>,
    ) -> Result<(), StoreError>;

    /// Takes documents whose moment has come, moving it to `again_at` so that nobody else takes them
    /// meanwhile; those that waited longest come first. They are as they were after the move.
    async fn take_due_documents(
        &self,
        now: Timestamp,
        again_at: Timestamp,
        limit: u32,
    ) -> Result<Vec<(DocumentOwner, Document)>, StoreError>;

    /// The position in the event log up to which a tenant's plugin was told of everything. At the
    /// first call that is the log's end: what was before the plugin is not its affair.
    async fn plugin_cursor(&self, tenant: &TenantId, plugin: &PluginName) -> Result<i64, StoreError>;

    /// Moves that position up, not beyond the log's end.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it is not at `from`: somebody else moved it. Also when the log of a store that
    /// others write to ends before `to`: it is in another life than the one that was read.
    async fn move_plugin_cursor(
        &self,
        tenant: &TenantId,
        plugin: &PluginName,
        from: i64,
        to: i64,
    ) -> Result<(), StoreError>;
}
