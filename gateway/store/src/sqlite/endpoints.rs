//! How the tenants' endpoints are doing.

use std::collections::{BTreeMap, HashSet};

use dukou_domain::{TenantId, Timestamp};
use dukou_engine::delivery::{Endpoint, Tried};
use rusqlite::{Connection, params};

use super::columns::Columns;
use super::error::{Result, store_error};
use super::writing::Writing;
use crate::rows::ReadColumns as _;

const FIND: &str = "SELECT failing_since, disabled_at FROM endpoints WHERE tenant = ?1";

const DISABLED: &str = "SELECT tenant FROM endpoints WHERE disabled_at IS NOT NULL";

const WELL: &str = "UPDATE endpoints SET failing_since = NULL WHERE tenant = ?1 AND failing_since IS NOT NULL";

const FAILING: &str = "INSERT INTO endpoints (tenant, failing_since) VALUES (?1, ?2) ON CONFLICT (tenant) \
     DO UPDATE SET failing_since = excluded.failing_since WHERE endpoints.failing_since IS NULL";

const DISABLE: &str = "UPDATE endpoints SET disabled_at = ?3 \
     WHERE tenant = ?1 AND failing_since = ?2 AND disabled_at IS NULL";

const ENABLE: &str =
    "UPDATE endpoints SET disabled_at = NULL, failing_since = NULL WHERE tenant = ?1 AND disabled_at IS NOT NULL";

/// Some at a time: a webhook that was off for days may have a hundred thousand waiting, and payments
/// wait for the writer.
const HASTEN: &str = "UPDATE deliveries SET next_at = ?2 WHERE position IN (SELECT position FROM deliveries \
     WHERE tenant = ?1 AND next_at IS NOT NULL AND next_at > ?2 AND leased_from IS NULL ORDER BY next_at LIMIT ?3)";

/// Two clocks may tell: the later moment stands.
const WANT: &str = "INSERT INTO endpoints (tenant, wanted_at) VALUES (?1, ?2) ON CONFLICT (tenant) \
     DO UPDATE SET wanted_at = max(excluded.wanted_at, coalesce(endpoints.wanted_at, 0))";

const WANTED: &str = "SELECT tenant FROM endpoints WHERE wanted_at >= ?1";

pub(super) fn want(w: &mut Writing<'_>, tenants: &[TenantId], now: Timestamp) -> Result<()> {
    tenants.iter().try_for_each(|tenant| w.execute(WANT, params![tenant.as_str(), now.as_millis()]).map(|_| ()))
}

pub(super) fn wanted(connection: &Connection, since: Timestamp) -> Result<HashSet<TenantId>> {
    tenants(connection, WANTED, params![since.as_millis()])
}

pub(super) fn find(connection: &Connection, tenant: &TenantId) -> Result<Endpoint> {
    let mut statement = connection.prepare_cached(FIND).map_err(store_error)?;
    let mut rows = statement.query(params![tenant.as_str()]).map_err(store_error)?;
    let Some(row) = rows.next().map_err(store_error)? else { return Ok(Endpoint::default()) };
    let mut c = Columns::new(row);
    Ok(Endpoint { failing_since: c.optional_time()?, disabled_at: c.optional_time()? })
}

pub(super) fn disabled(connection: &Connection) -> Result<HashSet<TenantId>> {
    tenants(connection, DISABLED, params![])
}

pub(super) fn tenants(connection: &Connection, sql: &str, params: impl rusqlite::Params) -> Result<HashSet<TenantId>> {
    let mut statement = connection.prepare_cached(sql).map_err(store_error)?;
    let mut rows = statement.query(params).map_err(store_error)?;
    let mut tenants = HashSet::new();
    while let Some(row) = rows.next().map_err(store_error)? {
        tenants.insert(Columns::new(row).id(TenantId::new)?);
    }
    Ok(tenants)
}

/// Notes successes and failures in the order they were made, and returns the tenants whose last one
/// failed, with the first failure of the row.
pub(super) fn note(w: &mut Writing<'_>, tried: &[&Tried]) -> Result<Vec<(TenantId, Timestamp)>> {
    let mut last: BTreeMap<&TenantId, Option<Timestamp>> = BTreeMap::new();
    for one in tried {
        let Some(newest) = one.tries.last() else { continue };
        let id = one.tenant.as_str();
        let before = last.get(&one.tenant).copied();
        let now = match (newest.error, before) {
            (None, Some(None)) => None,
            (None, _) => {
                w.execute(WELL, params![id])?;
                None
            }
            (Some(_), Some(Some(since))) => Some(since),
            (Some(_), _) => {
                w.execute(FAILING, params![id, newest.at.as_millis()])?;
                find(w.connection(), &one.tenant)?.failing_since
            }
        };
        last.insert(&one.tenant, now);
    }
    Ok(last.into_iter().filter_map(|(tenant, since)| Some((tenant.clone(), since?))).collect())
}

pub(super) fn disable(w: &mut Writing<'_>, tenant: &TenantId, failing_since: Timestamp, at: Timestamp) -> Result<bool> {
    w.execute(DISABLE, params![tenant.as_str(), failing_since.as_millis(), at.as_millis()]).map(|changed| changed == 1)
}

/// Makes what waits for an endpoint due; at most `limit`. Returns how many.
pub(super) fn hasten(w: &mut Writing<'_>, tenant: &TenantId, now: Timestamp, limit: usize) -> Result<usize> {
    w.execute(HASTEN, params![tenant.as_str(), now.as_millis(), i64::try_from(limit).unwrap_or(i64::MAX)])
}

pub(super) fn enable(w: &mut Writing<'_>, tenant: &TenantId) -> Result<bool> {
    w.execute(ENABLE, params![tenant.as_str()]).map(|changed| changed == 1)
}
