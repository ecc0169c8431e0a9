//! What plugins keep.

use async_trait::async_trait;
use dukou_domain::{PluginName, TenantId, Timestamp};
use dukou_engine::ports::{DocumentOwner, PluginRecords, StoreError};
use dukou_engine::records::NewEvent;
use dukou_spi::plugin::{Document, Write};
use rusqlite::{Connection, OptionalExtension, params};

use super::columns::Columns;
use super::error::{Result, corrupt, store_error};
use super::waiting::Line;
use super::writing::Writing;
use super::{SqliteStore, events};
use crate::rows;

const FIND: &str = "SELECT collection, key, value, due_at, version FROM plugin_documents \
     WHERE tenant = ?1 AND plugin = ?2 AND collection = ?3 AND key = ?4";
const INSERT: &str = "INSERT INTO plugin_documents (tenant, plugin, collection, key, value, due_at, version) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1)";
const UPDATE: &str = "UPDATE plugin_documents SET value = ?5, due_at = ?6, version = version + 1 \
     WHERE tenant = ?1 AND plugin = ?2 AND collection = ?3 AND key = ?4 AND version = ?7";
const DELETE: &str = "DELETE FROM plugin_documents \
     WHERE tenant = ?1 AND plugin = ?2 AND collection = ?3 AND key = ?4 AND version = ?5";
const TAKE_DUE: &str = "UPDATE plugin_documents SET due_at = ?2, version = version + 1 WHERE row IN \
     (SELECT row FROM plugin_documents WHERE due_at <= ?1 ORDER BY due_at LIMIT ?3) RETURNING row";
const BY_ROW: &str =
    "SELECT collection, key, value, due_at, version, tenant, plugin FROM plugin_documents WHERE row = ?1";
const CURSOR: &str = "SELECT position FROM plugin_cursors WHERE tenant = ?1 AND plugin = ?2";
const BEGIN_CURSOR: &str = "INSERT INTO plugin_cursors (tenant, plugin, position) VALUES (?1, ?2, ?3)";
const MOVE_CURSOR: &str = "UPDATE plugin_cursors SET position = ?4 WHERE tenant = ?1 AND plugin = ?2 AND position = ?3";

#[async_trait]
impl PluginRecords for SqliteStore {
    async fn document(&self, owner: &DocumentOwner, collection: &str, key: &str) -> Result<Option<Document>> {
        let line = owner.tenant.clone().map_or(Line::Gateway, Line::Record);
        let (owner, collection, key) = (owner.clone(), collection.to_owned(), key.to_owned());
        self.inner.readers.read(line, move |connection| find(connection, &owner, &collection, &key)).await
    }

    async fn write_documents(&self, owner: &DocumentOwner, writes: Vec<Write>, events: Vec<NewEvent>) -> Result<()> {
        let owner = owner.clone();
        self.write(move |w| {
            writes.iter().try_for_each(|write| change(w, &owner, write))?;
            events.iter().try_for_each(|event| events::append(w, event))
        })
        .await
    }

    async fn take_due_documents(
        &self,
        now: Timestamp,
        again_at: Timestamp,
        limit: u32,
    ) -> Result<Vec<(DocumentOwner, Document)>> {
        self.write(move |w| {
            let rows = w.execute_returning(TAKE_DUE, params![now.as_millis(), again_at.as_millis(), limit])?;
            rows.into_iter().map(|row| by_row(w.connection(), row)).collect()
        })
        .await
    }

    async fn plugin_cursor(&self, tenant: &TenantId, plugin: &PluginName) -> Result<i64> {
        let (tenant, plugin) = (tenant.clone(), plugin.clone());
        let known = {
            let (tenant, plugin) = (tenant.clone(), plugin.clone());
            self.read(move |connection| cursor(connection, &tenant, &plugin)).await?
        };
        match known {
            Some(position) => Ok(position),
            None => {
                self.write(move |w| match cursor(w.connection(), &tenant, &plugin)? {
                    Some(position) => Ok(position),
                    None => {
                        let end = w.position();
                        w.execute(BEGIN_CURSOR, params![tenant.as_str(), plugin.as_str(), end])?;
                        Ok(end)
                    }
                })
                .await
            }
        }
    }

    async fn move_plugin_cursor(&self, tenant: &TenantId, plugin: &PluginName, from: i64, to: i64) -> Result<()> {
        let (tenant, plugin) = (tenant.clone(), plugin.clone());
        self.write(move |w| match w.execute(MOVE_CURSOR, params![tenant.as_str(), plugin.as_str(), from, to])? {
            0 => Err(StoreError::Conflict(format!("the place of {plugin} in the log of {tenant} is not {from}"))),
            _ => Ok(()),
        })
        .await
    }
}

fn find(connection: &Connection, owner: &DocumentOwner, collection: &str, key: &str) -> Result<Option<Document>> {
    let mut statement = connection.prepare_cached(FIND).map_err(store_error)?;
    let mut rows = statement
        .query(params![rows::tenant_column(owner), owner.plugin.as_str(), collection, key])
        .map_err(store_error)?;
    rows.next().map_err(store_error)?.map(|row| rows::document(&mut Columns::new(row))).transpose()
}

fn by_row(connection: &Connection, row: i64) -> Result<(DocumentOwner, Document)> {
    let mut statement = connection.prepare_cached(BY_ROW).map_err(store_error)?;
    let mut rows = statement.query([row]).map_err(store_error)?;
    let row = rows.next().map_err(store_error)?.ok_or_else(|| corrupt("plugin document", "a row is gone"))?;
    rows::owned_document(&mut Columns::new(row))
}

fn change(w: &mut Writing<'_>, owner: &DocumentOwner, write: &Write) -> Result<()> {
    let (tenant, plugin) = (rows::tenant_column(owner), owner.plugin.as_str());
    let changed = match write {
        Write::Put(document) => {
            let Document { collection, key, due_at, version, .. } = document;
            let value = document.value.to_string();
            let due_at = due_at.map(Timestamp::as_millis);
            if *version == 0 {
                w.execute(INSERT, params![tenant, plugin, collection, key, value, due_at])?
            } else {
                w.execute(UPDATE, params![tenant, plugin, collection, key, value, due_at, version])?
            }
        }
        Write::Delete { collection, key, version } => {
            w.execute(DELETE, params![tenant, plugin, collection, key, version])?
        }
    };
    if changed == 0 {
        let (Write::Put(Document { collection, key, .. }) | Write::Delete { collection, key, .. }) = write;
        return Err(StoreError::Conflict(format!("{collection}/{key} is not as it was read")));
    }
    Ok(())
}

fn cursor(connection: &Connection, tenant: &TenantId, plugin: &PluginName) -> Result<Option<i64>> {
    let mut statement = connection.prepare_cached(CURSOR).map_err(store_error)?;
    statement.query_row(params![tenant.as_str(), plugin.as_str()], |row| row.get(0)).optional().map_err(store_error)
}
