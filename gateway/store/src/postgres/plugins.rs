//! What plugins keep.

use async_trait::async_trait;
use dukou_domain::{PluginName, TenantId, Timestamp};
use dukou_engine::ports::{DocumentOwner, PluginRecords, StoreError};
use dukou_engine::records::NewEvent;
use dukou_spi::plugin::{Document, Write};
use sqlx::postgres::PgConnection;

use super::columns::Columns;
use super::error::{Result, store_error};
use super::{PostgresStore, events};
use crate::rows::{self, ReadColumns as _};

const FIND: &str = "SELECT collection, key, value, due_at, version FROM plugin_documents \
     WHERE tenant = $1 AND plugin = $2 AND collection = $3 AND key = $4";
const INSERT: &str = "INSERT INTO plugin_documents (tenant, plugin, collection, key, value, due_at, version) \
     VALUES ($1, $2, $3, $4, $5, $6, 1) ON CONFLICT (tenant, plugin, collection, key) DO NOTHING";
const UPDATE: &str = "UPDATE plugin_documents SET value = $5, due_at = $6, version = version + 1 \
     WHERE tenant = $1 AND plugin = $2 AND collection = $3 AND key = $4 AND version = $7";
const DELETE: &str = "DELETE FROM plugin_documents \
     WHERE tenant = $1 AND plugin = $2 AND collection = $3 AND key = $4 AND version = $5";

/// One that another instance takes at this moment is passed over.
const TAKE_DUE: &str = "WITH due AS (SELECT tenant, plugin, collection, key, due_at AS was FROM plugin_documents \
     WHERE due_at <= $1 ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED) \
     UPDATE plugin_documents d SET due_at = $2, version = version + 1 FROM due \
     WHERE d.tenant = due.tenant AND d.plugin = due.plugin AND d.collection = due.collection AND d.key = due.key \
     RETURNING due.was, d.collection, d.key, d.value, d.due_at, d.version, d.tenant, d.plugin";

const CURSOR: &str = "SELECT position FROM plugin_cursors WHERE tenant = $1 AND plugin = $2";
const BEGIN_CURSOR: &str = "INSERT INTO plugin_cursors (tenant, plugin, position) VALUES ($1, $2, $3) \
     ON CONFLICT (tenant, plugin) DO NOTHING";
/// Never beyond the log's end: what was read in another life of the database may not be there.
const MOVE_CURSOR: &str = "UPDATE plugin_cursors SET position = $4 WHERE tenant = $1 AND plugin = $2 \
     AND position = $3 AND $4 <= (SELECT position FROM event_log WHERE one = 1)";

#[async_trait]
impl PluginRecords for PostgresStore {
    async fn document(&self, owner: &DocumentOwner, collection: &str, key: &str) -> Result<Option<Document>> {
        let (owner, collection, key) = (owner.clone(), collection.to_owned(), key.to_owned());
        self.read(move |connection| {
            Box::pin(async move {
                let asked = sqlx::query(FIND).bind(rows::tenant_column(&owner)).bind(owner.plugin.as_str());
                let row = asked.bind(collection).bind(key).fetch_optional(connection).await.map_err(store_error)?;
                row.as_ref().map(|row| rows::document(&mut Columns::new(row))).transpose()
            })
        })
        .await
    }

    async fn write_documents(&self, owner: &DocumentOwner, writes: Vec<Write>, events: Vec<NewEvent>) -> Result<()> {
        let (owner, incarnation) = (owner.clone(), self.database.lives().identity().incarnation);
        let position = self
            .write(move |connection| {
                Box::pin(async move {
                    for write in &writes {
                        change(connection, &owner, write).await?;
                    }
                    Ok(events::append(connection, &events).await?.map(|appended| appended.position))
                })
            })
            .await?;
        self.note(incarnation, position);
        Ok(())
    }

    async fn take_due_documents(
        &self,
        now: Timestamp,
        again_at: Timestamp,
        limit: u32,
    ) -> Result<Vec<(DocumentOwner, Document)>> {
        self.write(move |connection| {
            Box::pin(async move {
                let asked = sqlx::query(TAKE_DUE).bind(now.as_millis()).bind(again_at.as_millis());
                let rows = asked.bind(i64::from(limit)).fetch_all(connection).await.map_err(store_error)?;
                let mut found = Vec::with_capacity(rows.len());
                for row in &rows {
                    let mut c = Columns::new(row);
                    let was = c.integer()?;
                    found.push((was, rows::owned_document(&mut c)?));
                }
                found.sort_by_key(|(was, _)| *was);
                Ok(found.into_iter().map(|(_, owned)| owned).collect())
            })
        })
        .await
    }

    async fn plugin_cursor(&self, tenant: &TenantId, plugin: &PluginName) -> Result<i64> {
        let (tenant, plugin) = (tenant.clone(), plugin.clone());
        self.write(move |connection| {
            Box::pin(async move {
                if let Some(known) = cursor(connection, &tenant, &plugin).await? {
                    return Ok(known);
                }
                let end = events::position(connection).await?;
                let begun = sqlx::query(BEGIN_CURSOR).bind(tenant.as_str()).bind(plugin.as_str()).bind(end);
                begun.execute(&mut *connection).await.map_err(store_error)?;
                // Another instance may have begun it meanwhile.
                Ok(cursor(connection, &tenant, &plugin).await?.unwrap_or(end))
            })
        })
        .await
    }

    async fn move_plugin_cursor(&self, tenant: &TenantId, plugin: &PluginName, from: i64, to: i64) -> Result<()> {
        let (tenant, plugin) = (tenant.clone(), plugin.clone());
        self.write(move |connection| {
            Box::pin(async move {
                let moved = sqlx::query(MOVE_CURSOR).bind(tenant.as_str()).bind(plugin.as_str()).bind(from).bind(to);
                match moved.execute(connection).await.map_err(store_error)?.rows_affected() {
                    0 => {
                        Err(StoreError::Conflict(format!("the place of {plugin} in the log of {tenant} is not {from}")))
                    }
                    _ => Ok(()),
                }
            })
        })
        .await
    }
}

async fn cursor(connection: &mut PgConnection, tenant: &TenantId, plugin: &PluginName) -> Result<Option<i64>> {
    let asked = sqlx::query(CURSOR).bind(tenant.as_str()).bind(plugin.as_str());
    let row = asked.fetch_optional(connection).await.map_err(store_error)?;
    row.as_ref().map(|row| Columns::new(row).integer()).transpose()
}

async fn change(connection: &mut PgConnection, owner: &DocumentOwner, write: &Write) -> Result<()> {
    let (tenant, plugin) = (rows::tenant_column(owner), owner.plugin.as_str());
    let asked = match write {
        Write::Put(document) => {
            let Document { collection, key, value, due_at, version } = document;
            let due_at = due_at.map(Timestamp::as_millis);
            let sql = if *version == 0 { INSERT } else { UPDATE };
            let put = sqlx::query(sql).bind(tenant).bind(plugin).bind(collection).bind(key);
            let put = put.bind(value.to_string()).bind(due_at);
            if *version == 0 { put } else { put.bind(version) }
        }
        Write::Delete { collection, key, version } => {
            sqlx::query(DELETE).bind(tenant).bind(plugin).bind(collection).bind(key).bind(version)
        }
    };
    if asked.execute(connection).await.map_err(store_error)?.rows_affected() == 0 {
        let (Write::Put(Document { collection, key, .. }) | Write::Delete { collection, key, .. }) = write;
        return Err(StoreError::Conflict(format!("{collection}/{key} is not as it was read")));
    }
    Ok(())
}
