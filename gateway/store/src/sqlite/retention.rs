//! What is deleted when it is old.

use dukou_domain::{DeliveryState, TenantId, Timestamp};
use dukou_engine::ports::Old;
use rusqlite::{Connection, params};

use super::columns::Columns;
use super::error::{Result, store_error};
use super::writing::Writing;
use super::{endpoints, history};
use crate::rows::ReadColumns as _;

const CALLS: &str = "SELECT row FROM calls WHERE entered_at < ?1 ORDER BY entered_at LIMIT ?2";
const DELETE_CALL: &str = "DELETE FROM calls WHERE row = ?1 AND entered_at < ?2";

/// In the order in which the messages came. The time is looked at all the same, since the clock that wrote it may have
/// been wrong.
const NOTIFICATIONS: &str = "SELECT row, received_at FROM notifications ORDER BY row";
const DELETE_NOTIFICATION: &str = "DELETE FROM notifications WHERE row = ?1 AND received_at < ?2";

/// So many rows are looked at in one look: what stands early and is not old keeps nobody from what is old behind it.
const LOOKED_AT: usize = 10_000;

/// The first tenant after another, from the index alone.
const NEXT_TENANT: &str =
    "SELECT tenant FROM deliveries INDEXED BY deliveries_list WHERE tenant > ?1 ORDER BY tenant LIMIT 1";
const DELIVERIES: &str = "SELECT position FROM deliveries INDEXED BY deliveries_list \
     WHERE tenant = ?3 AND state = ?4 AND created_at < ?1 ORDER BY created_at LIMIT ?2";
/// Nobody had a webhook for the tenant since; while nobody notes any webhook, nobody can say.
const UNWANTED: &str = "SELECT tenant FROM endpoints WHERE wanted_at < ?1 \
     AND EXISTS (SELECT 1 FROM endpoints WHERE wanted_at >= ?1)";
/// One that somebody had tried again meanwhile waits, and stays.
const DELETE_DELIVERY: &str = "DELETE FROM deliveries WHERE position = ?1 AND created_at < ?2 \
     AND (state IN ('delivered', 'exhausted') OR tenant IN (SELECT tenant FROM endpoints WHERE wanted_at < ?2))";

/// The rows that are old, at most `limit`.
pub(super) fn old(connection: &Connection, what: Old, before: Timestamp, limit: u32) -> Result<Vec<i64>> {
    match what {
        Old::Calls => rows(connection, CALLS, params![before.as_millis(), limit]),
        Old::Notifications => in_order(connection, NOTIFICATIONS, before, limit),
        Old::PlatformCalls => in_order(connection, history::CALLS_IN_ORDER, before, limit),
        Old::Deliveries => deliveries(connection, before, limit),
    }
}

fn deliveries(connection: &Connection, before: Timestamp, limit: u32) -> Result<Vec<i64>> {
    let mut next = connection.prepare_cached(NEXT_TENANT).map_err(store_error)?;
    let unwanted = endpoints::tenants(connection, UNWANTED, params![before.as_millis()])?;
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let mut tenants = next.query(params![after]).map_err(store_error)?;
        let Some(row) = tenants.next().map_err(store_error)? else { return Ok(found) };
        let tenant = Columns::new(row).id(TenantId::new)?;
        for state in DeliveryState::ALL {
            if state == DeliveryState::Pending && !unwanted.contains(&tenant) {
                continue;
            }
            let left = limit.saturating_sub(u32::try_from(found.len()).unwrap_or(u32::MAX));
            if left == 0 {
                return Ok(found);
            }
            let of_tenant = params![before.as_millis(), left, tenant.as_str(), state.to_string()];
            found.extend(rows(connection, DELIVERIES, of_tenant)?);
        }
        after = tenant.as_str().to_owned();
    }
}

/// The old ones among rows that come with their times, in the order in which they were written.
fn in_order(connection: &Connection, sql: &str, before: Timestamp, limit: u32) -> Result<Vec<i64>> {
    let mut statement = connection.prepare_cached(sql).map_err(store_error)?;
    let all = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?))).map_err(store_error)?;
    let old = all.take(LOOKED_AT).filter(|row| row.as_ref().map_or(true, |(_, at)| *at < before.as_millis()));
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    old.take(limit).map(|row| row.map(|(row, _)| row)).collect::<rusqlite::Result<_>>().map_err(store_error)
}

fn rows(connection: &Connection, sql: &str, params: impl rusqlite::Params) -> Result<Vec<i64>> {
    let mut statement = connection.prepare_cached(sql).map_err(store_error)?;
    let rows = statement.query_map(params, |row| row.get(0)).map_err(store_error)?;
    rows.collect::<rusqlite::Result<_>>().map_err(store_error)
}

/// Deletes rows that were found to be old and still are. Returns how many were found, so that who
/// asks goes on while there is more.
pub(super) fn delete(w: &mut Writing<'_>, what: Old, before: Timestamp, found: &[i64]) -> Result<u64> {
    let sql = match what {
        Old::Calls => DELETE_CALL,
        Old::Deliveries => DELETE_DELIVERY,
        Old::PlatformCalls => history::DELETE_CALL,
        Old::Notifications => DELETE_NOTIFICATION,
    };
    for row in found {
        w.execute(sql, params![row, before.as_millis()])?;
    }
    Ok(found.len() as u64)
}
