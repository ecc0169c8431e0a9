//! Which deliveries are due, shared fairly between tenants, and the mark that they are being tried.

use dukou_domain::{TenantId, Timestamp};
use dukou_engine::delivery::{Lease, LeaseId, Leased};
use dukou_engine::ports::Room;
use sqlx::postgres::PgConnection;

use super::columns::{Columns, delivery_columns, each};
use super::endpoints;
use super::error::{Result, store_error};
use crate::fair::Waiting;
use crate::rows::{self, ReadColumns as _};

/// From one tenant to the next in the index, and for each when its first waiting delivery is due.
const HEADS: &str = "WITH RECURSIVE tenants AS ( \
         (SELECT tenant FROM deliveries WHERE next_at IS NOT NULL ORDER BY tenant LIMIT 1) UNION ALL \
         SELECT (SELECT d.tenant FROM deliveries d WHERE d.next_at IS NOT NULL AND d.tenant > t.tenant \
             ORDER BY d.tenant LIMIT 1) FROM tenants t WHERE t.tenant IS NOT NULL) \
     SELECT t.tenant, (SELECT d.next_at FROM deliveries d WHERE d.tenant = t.tenant AND d.next_at IS NOT NULL \
         ORDER BY d.next_at LIMIT 1) FROM tenants t WHERE t.tenant IS NOT NULL";

/// What another instance takes at this moment is passed over.
const TAKE: &str = concat!(
    "WITH due AS MATERIALIZED (SELECT d.tenant, d.position FROM unnest($1::text[], $2::bigint[]) AS k (tenant, share) \
     CROSS JOIN LATERAL (SELECT w.tenant, w.position FROM deliveries w WHERE w.tenant = k.tenant \
         AND w.next_at <= $3 ORDER BY w.next_at LIMIT k.share FOR UPDATE SKIP LOCKED) d) \
     UPDATE deliveries v SET leased_from = coalesce(v.leased_from, v.next_at), next_at = $4 \
     FROM due JOIN events e ON e.tenant = due.tenant AND e.position = due.position \
     WHERE v.tenant = due.tenant AND v.position = due.position \
     RETURNING e.position, e.id, e.kind, e.at, e.subject, e.tenant, ",
    delivery_columns!()
);

/// Takes what is due now, and tells when the next one will be. Every tenant gets its share of
/// `limit`, the ones that waited longest first; what is left over is for the next call.
pub(super) async fn take(
    connection: &mut PgConnection,
    now: Timestamp,
    until: Timestamp,
    limit: u32,
    room: Room,
) -> Result<Lease> {
    let disabled = endpoints::disabled(connection).await?;
    let rows = sqlx::query(HEADS).fetch_all(&mut *connection).await.map_err(store_error)?;
    let mut waiting = Waiting::default();
    for row in &rows {
        let mut c = Columns::new(row);
        let (tenant, at) = (c.id(TenantId::new)?, c.optional_time()?);
        // Nothing, where somebody else took it between the two looks.
        if let Some(at) = at.filter(|_| !disabled.contains(&tenant)) {
            let room = room(&tenant);
            waiting.look(tenant, at, now, room);
        }
    }
    drop(room);
    let next_at = waiting.next_at;
    let mut left = i64::from(limit);
    let (tenants, shares): (Vec<TenantId>, Vec<i64>) = waiting
        .shares(limit)
        .into_iter()
        .map_while(|(tenant, share)| {
            let mine = i64::from(share).min(left);
            left -= mine;
            (mine > 0).then_some((tenant, mine))
        })
        .unzip();
    if tenants.is_empty() {
        return Ok(Lease { taken: Vec::new(), next_at });
    }
    let asked = sqlx::query(TAKE)
        .bind(each(&tenants, TenantId::as_str))
        .bind(shares)
        .bind(now.as_millis())
        .bind(until.as_millis());
    let rows = asked.fetch_all(connection).await.map_err(store_error)?;
    // A later lease ends later, so its end is a name for it.
    let lease = LeaseId(until.as_millis());
    let mut taken: Vec<Leased> = Vec::with_capacity(rows.len());
    for row in &rows {
        let mut c = Columns::new(row);
        let event = rows::event(&mut c, |c| c.id(TenantId::new));
        match event.and_then(|event| Ok(Leased { delivery: rows::delivery(&mut c)?, event: event.event, lease })) {
            Ok(leased) => taken.push(leased),
            // One record that cannot be read must not hold up everybody's.
            Err(error) => tracing::error!(%error, "a delivery cannot be read and waits for its next turn"),
        }
    }
    let turn = |tenant: &TenantId| tenants.iter().position(|waits| waits == tenant);
    taken.sort_by_key(|leased| (turn(&leased.delivery.tenant), leased.delivery.next_at, leased.delivery.position));
    Ok(Lease { taken, next_at })
}
