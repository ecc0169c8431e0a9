//! Which deliveries are due, shared fairly between tenants, and the mark that they are being tried.

use dukou_domain::{TenantId, Timestamp};
use dukou_engine::delivery::{LeaseId, Leased};
use dukou_engine::ports::Room;
use rusqlite::{Connection, params};

use super::columns::Columns;
use super::deliveries::columns;
use super::endpoints;
use super::error::{Result, store_error};
use super::writing::Writing;
use crate::fair::Waiting;
use crate::rows::{self, ReadColumns as _};

/// The first delivery that waits of the first tenant after another, from the index alone.
const HEAD: &str = "SELECT tenant, next_at FROM deliveries INDEXED BY deliveries_due \
     WHERE next_at IS NOT NULL AND tenant > ?1 ORDER BY tenant, next_at LIMIT 1";

const DUE: &str = concat!(
    "SELECT d.due, e.position, e.id, e.kind, e.at, e.subject, ",
    columns!(),
    " FROM (SELECT position, next_at AS due FROM deliveries INDEXED BY deliveries_due WHERE tenant = ?1 \
     AND next_at <= ?2 ORDER BY next_at LIMIT ?3) d JOIN deliveries v ON v.position = d.position \
     JOIN events e ON e.position = d.position"
);

const MARK: &str = "UPDATE deliveries SET leased_from = coalesce(leased_from, next_at), next_at = ?3 \
     WHERE position = ?1 AND next_at = ?2";

/// What a former life of the store was trying is due again from when it was due.
const RELEASE: &str = "UPDATE deliveries SET next_at = leased_from, leased_from = NULL \
     WHERE next_at IS NOT NULL AND leased_from IS NOT NULL";

/// A due delivery, and the `next_at` under which it was found.
pub(super) struct Due {
    pub leased: Leased,
    pub next_at: i64,
}

/// What is due now, and when the next one will be. Every tenant gets its share of `limit`, the ones
/// that waited longest first; what is left over is for the next call.
pub(super) fn due(
    connection: &Connection,
    now: Timestamp,
    until: Timestamp,
    limit: u32,
    room: &Room,
) -> Result<(Vec<Due>, Option<Timestamp>)> {
    // A later lease ends later, so its end is a name for it.
    let lease = LeaseId(until.as_millis());
    let disabled = endpoints::disabled(connection)?;
    let mut waiting = Waiting::default();
    let mut head = connection.prepare_cached(HEAD).map_err(store_error)?;
    let mut after = String::new();
    loop {
        let mut rows = head.query(params![after]).map_err(store_error)?;
        let Some(row) = rows.next().map_err(store_error)? else { break };
        let mut c = Columns::new(row);
        let (tenant, at) = (c.id(TenantId::new)?, c.time()?);
        after = tenant.as_str().to_owned();
        if !disabled.contains(&tenant) {
            let room = room(&tenant);
            waiting.look(tenant, at, now, room);
        }
    }
    let next_at = waiting.next_at;
    let mut found = Vec::new();
    for (tenant, share) in waiting.shares(limit) {
        let left = limit.saturating_sub(u32::try_from(found.len()).unwrap_or(u32::MAX));
        if left == 0 {
            break;
        }
        due_of(connection, &tenant, now, share.min(left), lease, &mut found)?;
    }
    Ok((found, next_at))
}

fn due_of(
    connection: &Connection,
    tenant: &TenantId,
    now: Timestamp,
    limit: u32,
    lease: LeaseId,
    found: &mut Vec<Due>,
) -> Result<()> {
    let mut statement = connection.prepare_cached(DUE).map_err(store_error)?;
    let mut rows = statement.query(params![tenant.as_str(), now.as_millis(), limit]).map_err(store_error)?;
    while let Some(row) = rows.next().map_err(store_error)? {
        let mut c = Columns::new(row);
        let next_at = c.integer()?;
        let event = rows::event(&mut c, |_| Ok(tenant.clone()));
        match event.and_then(|event| Ok(Leased { delivery: rows::delivery(&mut c)?, event: event.event, lease })) {
            Ok(leased) => found.push(Due { leased, next_at }),
            // One record that cannot be read must not hold up everybody's.
            Err(error) => tracing::error!(%tenant, %error, "a delivery cannot be read and stays where it is"),
        }
    }
    Ok(())
}

/// Marks deliveries as being tried until `until`; `false` for one that somebody else was first to
/// take.
pub(super) fn mark(w: &mut Writing<'_>, due: &[(i64, i64)], until: Timestamp) -> Result<Vec<bool>> {
    due.iter()
        .map(|(position, next_at)| {
            w.execute(MARK, params![position, next_at, until.as_millis()]).map(|changed| changed == 1)
        })
        .collect()
}

pub(super) fn release(connection: &Connection) -> Result<()> {
    connection.execute(RELEASE, []).map(|_| ()).map_err(store_error)
}
