//! Deliveries to merchants' webhooks.

use std::collections::HashSet;

use async_trait::async_trait;
use dukou_domain::{DeliveryId, DeliveryState, TenantId, Timestamp};
use dukou_engine::delivery::{Backlog, Delivery, DeliveryFilter, Endpoint, EventHead, Lease, Tried};
use dukou_engine::ports::{Deliveries, NewDelivery, Room, StoreError};
use dukou_engine::records::{NewEvent, Page, PageCursor};
use rusqlite::{Connection, named_params, params};

use super::columns::Columns;
use super::error::{Result, store_error};
use super::writing::Writing;
use super::{SqliteStore, endpoints, events, leases};
use crate::codec;
use crate::rows;

macro_rules! columns {
    () => {
        "v.id, v.tenant, v.event, v.kind, v.position, v.state, v.made, v.failed, coalesce(v.leased_from, v.next_at), \
         v.created_at, v.delivered_at, v.tries"
    };
}
pub(super) use columns;

const CURSOR: &str = "SELECT position FROM delivery_cursor";

const MOVE_CURSOR: &str = "UPDATE delivery_cursor SET position = ?2 WHERE position = ?1";

const HEADS: &str = "SELECT position, id, tenant, kind FROM events WHERE position > ?1 ORDER BY position LIMIT ?2";

const INSERT: &str = "INSERT INTO deliveries (position, id, tenant, event, kind, state, made, failed, next_at, \
     created_at, tries) VALUES (?1, ?2, ?3, ?4, ?5, 'pending', 0, 0, ?6, ?7, '[]')";

const RECORD: &str = "UPDATE deliveries SET state = ?3, made = made + 1, failed = ?4, next_at = ?5, \
     leased_from = NULL, delivered_at = ?6, tries = ?7 \
     WHERE position = ?1 AND made = ?2 AND leased_from IS NOT NULL AND next_at = ?8";

const BY_ID: &str = concat!("SELECT ", columns!(), " FROM deliveries v WHERE id = ?1 AND tenant = ?2");

const AT_POSITION: &str = concat!("SELECT ", columns!(), " FROM deliveries v WHERE position = ?1 AND tenant = ?2");

/// One that is being tried at this moment is left to that.
const RETRY: &str = "UPDATE deliveries SET next_at = ?3, failed = CASE state WHEN 'pending' THEN failed ELSE 0 END, \
     state = 'pending', delivered_at = NULL WHERE id = ?1 AND tenant = ?2 AND leased_from IS NULL \
     AND (state <> 'pending' OR next_at > ?3)";

/// Deliveries that are made due in one transaction.
const AT_ONCE: usize = 1_000;

const BACKLOG: &str = "SELECT w.tenant, w.pending, d.created_at, e.disabled_at IS NOT NULL \
     FROM (SELECT tenant, count(*) AS pending, min(position) AS oldest FROM deliveries INDEXED BY deliveries_due \
     WHERE next_at IS NOT NULL GROUP BY tenant) w JOIN deliveries d ON d.position = w.oldest \
     LEFT JOIN endpoints e ON e.tenant = w.tenant";

#[async_trait]
impl Deliveries for SqliteStore {
    async fn entered_to(&self) -> Result<i64> {
        self.read(|connection| connection.query_row(CURSOR, [], |row| row.get(0)).map_err(store_error)).await
    }

    async fn event_heads(&self, after: i64, limit: u32) -> Result<Vec<EventHead>> {
        self.read(move |connection| heads(connection, after, limit)).await
    }

    async fn enter(&self, from: i64, to: i64, deliveries: Vec<NewDelivery>) -> Result<()> {
        self.write(move |w| enter(w, from, to, &deliveries)).await
    }

    async fn want(&self, tenants: Vec<TenantId>, now: Timestamp) -> Result<()> {
        self.write(move |w| endpoints::want(w, &tenants, now)).await
    }

    async fn wanted(&self, since: Timestamp) -> Result<HashSet<TenantId>> {
        self.read(move |connection| endpoints::wanted(connection, since)).await
    }

    async fn lease(&self, now: Timestamp, until: Timestamp, limit: u32, room: Room) -> Result<Lease> {
        // Found by a reader and only marked by the writer, whom payments wait for.
        let (mut found, next_at) =
            self.read(move |connection| leases::due(connection, now, until, limit, &room)).await?;
        if found.is_empty() {
            return Ok(Lease { taken: Vec::new(), next_at });
        }
        let due: Vec<(i64, i64)> = found.iter().map(|due| (due.leased.delivery.position, due.next_at)).collect();
        let taken = self.write(move |w| leases::mark(w, &due, until)).await?;
        let mut mine = taken.into_iter();
        found.retain(|_| mine.next().unwrap_or(false));
        Ok(Lease { taken: found.into_iter().map(|due| due.leased).collect(), next_at })
    }

    async fn record(&self, tried: Vec<Tried>) -> Result<Vec<(TenantId, Timestamp)>> {
        self.write(move |w| {
            let mut counted = Vec::with_capacity(tried.len());
            for one in &tried {
                if record(w, one)? {
                    counted.push(one);
                }
            }
            endpoints::note(w, &counted)
        })
        .await
    }

    async fn endpoint(&self, tenant: &TenantId) -> Result<Endpoint> {
        self.read_record(tenant, endpoints::find).await
    }

    async fn disable(&self, failing_since: Timestamp, event: NewEvent) -> Result<bool> {
        self.write(move |w| {
            let done = endpoints::disable(w, &event.tenant, failing_since, event.at)?;
            if done {
                events::append(w, &event)?;
            }
            Ok(done)
        })
        .await
    }

    async fn enable(&self, event: NewEvent, now: Timestamp) -> Result<bool> {
        let tenant = event.tenant.clone();
        let done = self
            .write(move |w| {
                let done = endpoints::enable(w, &event.tenant)?;
                if done {
                    events::append(w, &event)?;
                }
                Ok(done)
            })
            .await?;
        let mut more = done;
        while more {
            let of = tenant.clone();
            more = self.write(move |w| endpoints::hasten(w, &of, now, AT_ONCE)).await? == AT_ONCE;
        }
        Ok(done)
    }

    async fn deliveries(&self, filter: DeliveryFilter) -> Result<Page<Delivery>> {
        let tenant = filter.tenant.clone();
        self.read_page(&tenant, move |connection, _| list(connection, &filter)).await
    }

    async fn deliveries_of(&self, tenant: &TenantId, positions: Vec<i64>) -> Result<Vec<Delivery>> {
        self.read_page(tenant, move |connection, tenant| {
            let mut statement = connection.prepare_cached(AT_POSITION).map_err(store_error)?;
            let mut found = Vec::new();
            for position in positions {
                let mut rows = statement.query(params![position, tenant.as_str()]).map_err(store_error)?;
                if let Some(row) = rows.next().map_err(store_error)? {
                    found.push(rows::delivery(&mut Columns::new(row))?);
                }
            }
            Ok(found)
        })
        .await
    }

    async fn retry(&self, tenant: &TenantId, id: DeliveryId, now: Timestamp) -> Result<Option<Delivery>> {
        let tenant = tenant.clone();
        self.write(move |w| {
            w.execute(RETRY, params![id.as_uuid().into_bytes(), tenant.as_str(), now.as_millis()])?;
            by_id(w.connection(), &tenant, id)
        })
        .await
    }

    async fn backlog(&self) -> Result<Vec<Backlog>> {
        self.read(backlog).await
    }
}

fn heads(connection: &Connection, after: i64, limit: u32) -> Result<Vec<EventHead>> {
    let mut statement = connection.prepare_cached(HEADS).map_err(store_error)?;
    let mut heads = rows::Heads::after(after, limit);
    while let Some(page) = heads.next_page() {
        let mut rows = statement.query(params![heads.position, page]).map_err(store_error)?;
        while let Some(row) = rows.next().map_err(store_error)? {
            heads.read(&mut Columns::new(row))?;
        }
    }
    Ok(heads.heads)
}

fn enter(w: &mut Writing<'_>, from: i64, to: i64, deliveries: &[NewDelivery]) -> Result<()> {
    if w.execute(MOVE_CURSOR, params![from, to])? == 0 {
        return Err(StoreError::Conflict(format!("deliveries were entered past {from} by somebody else")));
    }
    for new in deliveries {
        w.execute(
            INSERT,
            params![
                new.position,
                new.id.as_uuid().into_bytes(),
                new.tenant.as_str(),
                new.event.as_uuid().into_bytes(),
                new.kind.as_str(),
                new.due_at.as_millis(),
                new.created_at.as_millis(),
            ],
        )?;
    }
    Ok(())
}

/// Whether it counted.
fn record(w: &mut Writing<'_>, tried: &Tried) -> Result<bool> {
    let changed = w.execute(
        RECORD,
        params![
            tried.position,
            tried.made_before,
            tried.state.as_str(),
            tried.failed,
            tried.next_at.map(Timestamp::as_millis),
            tried.delivered_at.map(Timestamp::as_millis),
            codec::tries::write(&tried.tries)?,
            tried.lease.0,
        ],
    )?;
    Ok(changed == 1)
}

fn by_id(connection: &Connection, tenant: &TenantId, id: DeliveryId) -> Result<Option<Delivery>> {
    let mut statement = connection.prepare_cached(BY_ID).map_err(store_error)?;
    let mut rows = statement.query(params![id.as_uuid().into_bytes(), tenant.as_str()]).map_err(store_error)?;
    rows.next().map_err(store_error)?.map(|row| rows::delivery(&mut Columns::new(row))).transpose()
}

/// One state's part of a page, from the index alone.
fn list_part(state: DeliveryState) -> String {
    format!(
        "SELECT * FROM (SELECT position, created_at, id FROM deliveries INDEXED BY deliveries_list \
         WHERE tenant = :tenant AND state = '{state}' AND (created_at, id) < (:before, :before_id) \
         ORDER BY created_at DESC, id DESC LIMIT :limit)",
    )
}

fn list(connection: &Connection, filter: &DeliveryFilter) -> Result<Page<Delivery>> {
    let parts: Vec<String> = match filter.state {
        Some(state) => vec![list_part(state)],
        None => DeliveryState::ALL.into_iter().map(list_part).collect(),
    };
    let sql = format!(
        "SELECT {} FROM deliveries v WHERE position IN (SELECT position FROM ({}) ORDER BY created_at DESC, id DESC \
         LIMIT :limit) ORDER BY created_at DESC, id DESC",
        columns!(),
        parts.join(" UNION ALL "),
    );
    let (before, before_id) = rows::before(filter.cursor);
    let mut statement = connection.prepare_cached(&sql).map_err(store_error)?;
    let mut rows = statement
        .query(named_params! {
            ":tenant": filter.tenant.as_str(),
            ":before": before,
            ":before_id": before_id.into_bytes(),
            ":limit": i64::from(filter.limit) + 1,
        })
        .map_err(store_error)?;
    let mut items = Vec::new();
    while let Some(row) = rows.next().map_err(store_error)? {
        items.push(rows::delivery(&mut Columns::new(row))?);
    }
    Ok(Page::cut(items, filter.limit, |last| PageCursor { created_at: last.created_at, id: last.id.as_uuid() }))
}

fn backlog(connection: &Connection) -> Result<Vec<Backlog>> {
    let mut statement = connection.prepare_cached(BACKLOG).map_err(store_error)?;
    let mut rows = statement.query([]).map_err(store_error)?;
    let mut backlog = Vec::new();
    while let Some(row) = rows.next().map_err(store_error)? {
        backlog.push(rows::backlog(&mut Columns::new(row))?);
    }
    Ok(backlog)
}
