//! Deliveries to merchants' webhooks.

use std::collections::HashSet;

use async_trait::async_trait;
use dukou_domain::{DeliveryId, DeliveryState, TenantId, Timestamp};
use dukou_engine::delivery::{Backlog, Delivery, DeliveryFilter, Endpoint, EventHead, Lease, Tried};
use dukou_engine::ports::{Deliveries, NewDelivery, Room, StoreError};
use dukou_engine::records::{NewEvent, Page, PageCursor};
use sqlx::postgres::PgConnection;

use super::columns::{Columns, delivery_columns, each};
use super::error::{Result, store_error};
use super::{PostgresStore, endpoints, events, leases};
use crate::codec;
use crate::rows::{self, ReadColumns as _};

const CURSOR: &str = "SELECT position FROM delivery_cursor WHERE one = 1";

/// Never beyond the log's end: what was read in another life of the database may not be there.
const MOVE_CURSOR: &str = "UPDATE delivery_cursor SET position = $2 WHERE one = 1 AND position = $1 \
     AND $2 <= (SELECT position FROM event_log WHERE one = 1)";

const HEADS: &str = "SELECT position, id, tenant, kind FROM events WHERE position > $1 ORDER BY position LIMIT $2";

const INSERT: &str = "INSERT INTO deliveries (tenant, position, id, event, kind, next_at, created_at, state, made, \
     failed, tries) SELECT k.*, 'pending', 0, 0, '[]' FROM unnest($1::text[], $2::bigint[], $3::uuid[], $4::uuid[], \
     $5::text[], $6::bigint[], $7::bigint[]) AS k";

const RECORD: &str = "UPDATE deliveries d SET state = k.state, made = d.made + 1, failed = k.failed, \
     next_at = k.next_at, leased_from = NULL, delivered_at = k.delivered_at, tries = k.tries \
     FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::bigint[], $7::bigint[], \
     $8::bigint[], $9::text[]) AS k (tenant, position, made, lease, state, failed, next_at, delivered_at, tries) \
     WHERE d.tenant = k.tenant AND d.position = k.position AND d.made = k.made AND d.leased_from IS NOT NULL \
     AND d.next_at = k.lease RETURNING d.position";

const BY_ID: &str = concat!("SELECT ", delivery_columns!(), " FROM deliveries v WHERE v.tenant = $1 AND v.id = $2");

const AT_POSITIONS: &str = concat!(
    "SELECT ",
    delivery_columns!(),
    " FROM unnest($2::bigint[]) WITH ORDINALITY AS k (position, place) \
     JOIN deliveries v ON v.tenant = $1 AND v.position = k.position ORDER BY k.place"
);

/// One that is being tried at this moment is left to that.
const RETRY: &str = "UPDATE deliveries SET next_at = $3, failed = CASE state WHEN 'pending' THEN failed ELSE 0 END, \
     state = 'pending', delivered_at = NULL WHERE tenant = $1 AND id = $2 AND leased_from IS NULL \
     AND (state <> 'pending' OR next_at > $3)";

/// Each state's part of a page, from the index alone.
const LIST: &str = concat!(
    "SELECT ",
    delivery_columns!(),
    " FROM unnest($2::text[]) AS s (state) CROSS JOIN LATERAL (SELECT f.tenant, f.position, f.created_at, f.id \
     FROM deliveries f WHERE f.tenant = $1 AND f.state = s.state AND (f.created_at, f.id) < ($3, $4) \
     ORDER BY f.created_at DESC, f.id DESC LIMIT $5) k \
     JOIN deliveries v ON v.tenant = k.tenant AND v.position = k.position \
     ORDER BY k.created_at DESC, k.id DESC LIMIT $5"
);

const BACKLOG: &str = "SELECT w.tenant, w.pending, w.oldest, EXISTS (SELECT FROM endpoints e \
     WHERE e.tenant = w.tenant AND e.disabled_at IS NOT NULL) FROM (SELECT tenant, count(*) AS pending, \
     min(created_at) AS oldest FROM deliveries WHERE next_at IS NOT NULL GROUP BY tenant) w";

#[async_trait]
impl Deliveries for PostgresStore {
    async fn entered_to(&self) -> Result<i64> {
        self.read(|connection| {
            Box::pin(async move {
                let row = sqlx::query(CURSOR).fetch_one(connection).await.map_err(store_error)?;
                Columns::new(&row).integer()
            })
        })
        .await
    }

    async fn event_heads(&self, after: i64, limit: u32) -> Result<Vec<EventHead>> {
        self.read(move |connection| {
            Box::pin(async move {
                let mut heads = rows::Heads::after(after, limit);
                while let Some(page) = heads.next_page() {
                    let asked = sqlx::query(HEADS).bind(heads.position).bind(i64::from(page));
                    for row in &asked.fetch_all(&mut *connection).await.map_err(store_error)? {
                        heads.read(&mut Columns::new(row))?;
                    }
                }
                Ok(heads.heads)
            })
        })
        .await
    }

    async fn enter(&self, from: i64, to: i64, deliveries: Vec<NewDelivery>) -> Result<()> {
        self.write(move |connection| Box::pin(async move { enter(connection, from, to, &deliveries).await })).await
    }

    async fn want(&self, tenants: Vec<TenantId>, now: Timestamp) -> Result<()> {
        self.write(move |connection| Box::pin(async move { endpoints::want(connection, &tenants, now).await })).await
    }

    async fn wanted(&self, since: Timestamp) -> Result<HashSet<TenantId>> {
        self.read(move |connection| Box::pin(endpoints::wanted(connection, since))).await
    }

    async fn lease(&self, now: Timestamp, until: Timestamp, limit: u32, room: Room) -> Result<Lease> {
        self.write(move |connection| Box::pin(leases::take(connection, now, until, limit, room))).await
    }

    async fn record(&self, tried: Vec<Tried>) -> Result<Vec<(TenantId, Timestamp)>> {
        self.write(move |connection| {
            Box::pin(async move {
                let counted = record(connection, &tried).await?;
                let counted: Vec<&Tried> = tried.iter().filter(|one| counted.contains(&one.position)).collect();
                endpoints::note(connection, &counted).await
            })
        })
        .await
    }

    async fn endpoint(&self, tenant: &TenantId) -> Result<Endpoint> {
        let tenant = tenant.clone();
        self.read(move |connection| Box::pin(async move { endpoints::find(connection, &tenant).await })).await
    }

    async fn disable(&self, failing_since: Timestamp, event: NewEvent) -> Result<bool> {
        self.change_endpoint(event, Switch::Off { failing_since }).await
    }

    async fn enable(&self, event: NewEvent, now: Timestamp) -> Result<bool> {
        self.change_endpoint(event, Switch::On { now }).await
    }

    async fn deliveries(&self, filter: DeliveryFilter) -> Result<Page<Delivery>> {
        self.read(move |connection| Box::pin(async move { list(connection, &filter).await })).await
    }

    async fn deliveries_of(&self, tenant: &TenantId, positions: Vec<i64>) -> Result<Vec<Delivery>> {
        let tenant = tenant.clone();
        self.read(move |connection| {
            Box::pin(async move {
                let asked = sqlx::query(AT_POSITIONS).bind(tenant.as_str()).bind(positions);
                let rows = asked.fetch_all(connection).await.map_err(store_error)?;
                rows.iter().map(|row| rows::delivery(&mut Columns::new(row))).collect()
            })
        })
        .await
    }

    async fn retry(&self, tenant: &TenantId, id: DeliveryId, now: Timestamp) -> Result<Option<Delivery>> {
        let tenant = tenant.clone();
        self.write(move |connection| {
            Box::pin(async move {
                let again = sqlx::query(RETRY).bind(tenant.as_str()).bind(id.as_uuid()).bind(now.as_millis());
                again.execute(&mut *connection).await.map_err(store_error)?;
                let asked = sqlx::query(BY_ID).bind(tenant.as_str()).bind(id.as_uuid());
                let row = asked.fetch_optional(connection).await.map_err(store_error)?;
                row.as_ref().map(|row| rows::delivery(&mut Columns::new(row))).transpose()
            })
        })
        .await
    }

    async fn backlog(&self) -> Result<Vec<Backlog>> {
        self.read(|connection| Box::pin(backlog(connection))).await
    }
}

impl PostgresStore {
    /// Switches off since some failure, or on, and appends the event that says so where it did.
    async fn change_endpoint(&self, event: NewEvent, switch: Switch) -> Result<bool> {
        let incarnation = self.database.lives().identity().incarnation;
        let position = self
            .write(move |connection| {
                Box::pin(async move {
                    let done = match switch {
                        Switch::Off { failing_since } => {
                            endpoints::disable(connection, &event.tenant, failing_since, event.at).await?
                        }
                        Switch::On { now } => endpoints::enable(connection, &event.tenant, now).await?,
                    };
                    let appended = if done { events::append(connection, &[event]).await? } else { None };
                    Ok(appended.map(|appended| appended.position))
                })
            })
            .await?;
        self.note(incarnation, position);
        Ok(position.is_some())
    }
}

/// What becomes of an endpoint.
#[derive(Clone, Copy)]
enum Switch {
    Off { failing_since: Timestamp },
    On { now: Timestamp },
}

async fn enter(connection: &mut PgConnection, from: i64, to: i64, new: &[NewDelivery]) -> Result<()> {
    let moved = sqlx::query(MOVE_CURSOR).bind(from).bind(to).execute(&mut *connection).await;
    if moved.map_err(store_error)?.rows_affected() == 0 {
        return Err(StoreError::Conflict(format!("deliveries were entered past {from} by somebody else")));
    }
    if new.is_empty() {
        return Ok(());
    }
    sqlx::query(INSERT)
        .bind(each(new, |d| d.tenant.as_str()))
        .bind(each(new, |d| d.position))
        .bind(each(new, |d| d.id.as_uuid()))
        .bind(each(new, |d| d.event.as_uuid()))
        .bind(each(new, |d| d.kind.as_str()))
        .bind(each(new, |d| d.due_at.as_millis()))
        .bind(each(new, |d| d.created_at.as_millis()))
        .execute(connection)
        .await
        .map_err(store_error)?;
    Ok(())
}

/// The positions of those that counted.
async fn record(connection: &mut PgConnection, tried: &[Tried]) -> Result<HashSet<i64>> {
    if tried.is_empty() {
        return Ok(HashSet::new());
    }
    let tries = tried.iter().map(|one| codec::tries::write(&one.tries)).collect::<Result<Vec<_>>>()?;
    let rows = sqlx::query(RECORD)
        .bind(each(tried, |one| one.tenant.as_str()))
        .bind(each(tried, |one| one.position))
        .bind(each(tried, |one| i64::from(one.made_before)))
        .bind(each(tried, |one| one.lease.0))
        .bind(each(tried, |one| one.state.as_str()))
        .bind(each(tried, |one| i64::from(one.failed)))
        .bind(each(tried, |one| one.next_at.map(Timestamp::as_millis)))
        .bind(each(tried, |one| one.delivered_at.map(Timestamp::as_millis)))
        .bind(tries)
        .fetch_all(connection)
        .await
        .map_err(store_error)?;
    rows.iter().map(|row| Columns::new(row).integer()).collect()
}

async fn list(connection: &mut PgConnection, filter: &DeliveryFilter) -> Result<Page<Delivery>> {
    let states: Vec<&str> = match filter.state {
        Some(state) => vec![state.as_str()],
        None => DeliveryState::ALL.iter().map(|state| state.as_str()).collect(),
    };
    let (before, before_id) = rows::before(filter.cursor);
    let rows = sqlx::query(LIST)
        .bind(filter.tenant.as_str())
        .bind(states)
        .bind(before)
        .bind(before_id)
        .bind(i64::from(filter.limit) + 1)
        .fetch_all(connection)
        .await
        .map_err(store_error)?;
    let items = rows.iter().map(|row| rows::delivery(&mut Columns::new(row))).collect::<Result<Vec<_>>>()?;
    Ok(Page::cut(items, filter.limit, |last| PageCursor { created_at: last.created_at, id: last.id.as_uuid() }))
}

async fn backlog(connection: &mut PgConnection) -> Result<Vec<Backlog>> {
    let rows = sqlx::query(BACKLOG).fetch_all(connection).await.map_err(store_error)?;
    rows.iter().map(|row| rows::backlog(&mut Columns::new(row))).collect()
}
