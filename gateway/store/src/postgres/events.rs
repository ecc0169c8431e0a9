//! The event log and the messages that were kept.

use dukou_domain::{EventId, TenantId};
use dukou_engine::ports::{StoreError, Target};
use dukou_engine::records::{Event, NewEvent, Notification, Recorded};
use sqlx::postgres::PgConnection;

use super::columns::{Columns, each, place};
use super::error::{Result, store_error};
use crate::codec;
use crate::rows::{self, ReadColumns as _};

/// The newest position is a row that whoever appends holds until the commit: positions are in the
/// order of commits, without gaps.
const APPEND: &str = "WITH log AS (UPDATE event_log SET position = position + $1 WHERE one = 1 \
         RETURNING position - $1 AS before), \
     entered AS (INSERT INTO events (tenant, position, id, kind, at, subject, payment) \
         SELECT k.tenant, log.before + k.place, k.id, k.kind, k.at, k.subject, k.payment \
         FROM log, unnest($2::bigint[], $3::text[], $4::uuid[], $5::text[], $6::bigint[], $7::text[], $8::uuid[]) \
         AS k (place, tenant, id, kind, at, subject, payment) RETURNING position) \
     SELECT max(position), pg_current_xact_id()::text FROM entered";

pub(super) const POSITION: &str = "SELECT position FROM event_log WHERE one = 1";

const AFTER: &str = "SELECT position, id, kind, at, subject FROM events WHERE tenant = $1 AND position > $2 \
     ORDER BY position LIMIT $3";

const FROM: &str =
    "SELECT position, id, kind, at, subject, tenant FROM events WHERE position > $1 ORDER BY position LIMIT $2";

const POSITION_OF: &str = "SELECT position FROM events WHERE tenant = $1 AND id = $2";

const FIND_NOTIFICATIONS: &str = "SELECT k.place, n.outcome FROM \
     unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[]) AS k (place, tenant, digest, provider, kind) \
     JOIN notifications n ON n.tenant = k.tenant AND n.digest = k.digest AND n.provider = k.provider \
     AND n.kind = k.kind";

/// A message that was kept as one about an unknown order may find its order later. Tells which
/// messages were new.
const PUT_NOTIFICATIONS: &str = "INSERT INTO notifications (tenant, digest, provider, kind, outcome, payment, \
     trade_no, received_at, body) SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], \
     $6::uuid[], $7::text[], $8::bigint[], $9::bytea[]) \
     ON CONFLICT (tenant, digest, provider, kind) DO UPDATE SET outcome = excluded.outcome, \
     payment = excluded.payment WHERE notifications.outcome = 'unknown_order' RETURNING xmax = 0";

/// What the log is like after an addition to it.
pub(super) struct Appended {
    /// Of the newest event.
    pub position: i64,
    /// The transaction's number.
    pub transaction: String,
}

/// Appends to the log; nothing when there is nothing to append.
pub(super) async fn append(connection: &mut PgConnection, events: &[NewEvent]) -> Result<Option<Appended>> {
    if events.is_empty() {
        return Ok(None);
    }
    let subjects = events.iter().map(|event| codec::write_subject(&event.subject)).collect::<Result<Vec<_>>>()?;
    let row = sqlx::query(APPEND)
        .bind(place(events.len()))
        .bind((1..=events.len()).map(place).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.tenant.as_str()).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.id.as_uuid()).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.kind.as_str()).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.at.as_millis()).collect::<Vec<_>>())
        .bind(subjects)
        .bind(events.iter().map(|event| event.subject.payment().map(|id| id.as_uuid())).collect::<Vec<_>>())
        .fetch_one(connection)
        .await
        .map_err(store_error)?;
    let mut c = Columns::new(&row);
    Ok(Some(Appended { position: c.integer()?, transaction: c.string()? }))
}

pub(super) async fn position(connection: &mut PgConnection) -> Result<i64> {
    let row = sqlx::query(POSITION).fetch_one(connection).await.map_err(store_error)?;
    Columns::new(&row).integer()
}

pub(super) async fn after(
    connection: &mut PgConnection,
    tenant: &TenantId,
    position: i64,
    limit: u32,
) -> Result<Vec<Event>> {
    let asked = sqlx::query(AFTER).bind(tenant.as_str()).bind(position).bind(i64::from(limit));
    let rows = asked.fetch_all(connection).await.map_err(store_error)?;
    rows.iter().map(|row| rows::event(&mut Columns::new(row), |_| Ok(tenant.clone()))).collect()
}

/// As [`after`], of all tenants.
pub(super) async fn from(connection: &mut PgConnection, position: i64, limit: u32) -> Result<Vec<Event>> {
    let asked = sqlx::query(FROM).bind(position).bind(i64::from(limit));
    let rows = asked.fetch_all(connection).await.map_err(store_error)?;
    rows.iter().map(|row| rows::event(&mut Columns::new(row), |c| c.id(TenantId::new))).collect()
}

pub(super) async fn position_of(connection: &mut PgConnection, tenant: &TenantId, id: EventId) -> Result<Option<i64>> {
    let asked = sqlx::query(POSITION_OF).bind(tenant.as_str()).bind(id.as_uuid());
    let row = asked.fetch_optional(connection).await.map_err(store_error)?;
    row.as_ref().map(|row| Columns::new(row).integer()).transpose()
}

/// What became of the targets' messages, in the order of the targets.
pub(super) async fn find_notifications(
    connection: &mut PgConnection,
    targets: &[&Target],
) -> Result<Vec<Option<Recorded>>> {
    let mut found = vec![None; targets.len()];
    let asked: Vec<_> =
        targets.iter().enumerate().filter_map(|(at, target)| Some((at, target.notification.as_ref()?))).collect();
    if asked.is_empty() {
        return Ok(found);
    }
    let rows = sqlx::query(FIND_NOTIFICATIONS)
        .bind(asked.iter().map(|(at, _)| place(*at)).collect::<Vec<_>>())
        .bind(asked.iter().map(|(_, key)| key.tenant.as_str()).collect::<Vec<_>>())
        .bind(asked.iter().map(|(_, key)| key.digest.as_str()).collect::<Vec<_>>())
        .bind(asked.iter().map(|(_, key)| key.provider.as_str()).collect::<Vec<_>>())
        .bind(asked.iter().map(|(_, key)| key.kind.as_str()).collect::<Vec<_>>())
        .fetch_all(connection)
        .await
        .map_err(store_error)?;
    for row in &rows {
        let mut c = Columns::new(row);
        if let Some(slot) = found.get_mut(c.place()?) {
            *slot = Some(c.word(Recorded::parse)?);
        }
    }
    Ok(found)
}

/// Keeps messages, each with whether it had not been found when its change was decided.
///
/// # Errors
/// [`StoreError::Conflict`] when one was kept meanwhile, or was kept before for good.
pub(super) async fn put_notifications(connection: &mut PgConnection, kept: &[(Notification, bool)]) -> Result<()> {
    if kept.is_empty() {
        return Ok(());
    }
    let rows = sqlx::query(PUT_NOTIFICATIONS)
        .bind(each(kept, |(n, _)| n.key.tenant.as_str()))
        .bind(each(kept, |(n, _)| n.key.digest.as_str()))
        .bind(each(kept, |(n, _)| n.key.provider.as_str()))
        .bind(each(kept, |(n, _)| n.key.kind.as_str()))
        .bind(each(kept, |(n, _)| n.outcome.as_str()))
        .bind(each(kept, |(n, _)| n.payment.map(|payment| payment.as_uuid())))
        .bind(each(kept, |(n, _)| n.trade_no.as_str()))
        .bind(each(kept, |(n, _)| n.received_at.as_millis()))
        .bind(each(kept, |(n, _)| &n.body[..]))
        .fetch_all(connection)
        .await
        .map_err(store_error)?;
    let mut entered = 0;
    for row in &rows {
        entered += usize::from(Columns::new(row).flag()?);
    }
    let expected = kept.iter().filter(|(_, is_new)| *is_new).count();
    if rows.len() != kept.len() || entered < expected {
        let digests: Vec<&str> = each(kept, |(n, _)| n.key.digest.as_str());
        return Err(StoreError::Conflict(format!("a message was kept before: {}", digests.join(", "))));
    }
    Ok(())
}
