//! How the tenants' endpoints are doing.

use std::collections::{BTreeMap, HashSet};

use dukou_domain::{TenantId, Timestamp};
use dukou_engine::delivery::{Endpoint, Tried};
use sqlx::postgres::PgConnection;

use super::columns::{Columns, each};
use super::error::{Result, store_error};
use crate::rows::ReadColumns as _;

const FIND: &str = "SELECT failing_since, disabled_at FROM endpoints WHERE tenant = $1";

const DISABLED: &str = "SELECT tenant FROM endpoints WHERE disabled_at IS NOT NULL";

const WELL: &str = "UPDATE endpoints SET failing_since = NULL WHERE tenant = $1 AND failing_since IS NOT NULL";

const FAILING: &str = "INSERT INTO endpoints (tenant, failing_since) VALUES ($1, $2) ON CONFLICT (tenant) \
     DO UPDATE SET failing_since = excluded.failing_since WHERE endpoints.failing_since IS NULL";

const DISABLE: &str = "UPDATE endpoints SET disabled_at = $3 \
     WHERE tenant = $1 AND failing_since = $2 AND disabled_at IS NULL";

/// Nothing waits for these rows but their webhook.
const HASTEN: &str = "UPDATE deliveries SET next_at = $2 WHERE tenant = $1 AND next_at > $2 AND leased_from IS NULL";

const ENABLE: &str =
    "UPDATE endpoints SET disabled_at = NULL, failing_since = NULL WHERE tenant = $1 AND disabled_at IS NOT NULL";

/// In one order, for another instance may note the same ones. Two clocks may tell: the later moment stands.
const WANT: &str = "INSERT INTO endpoints (tenant, wanted_at) SELECT k.tenant, $2 FROM unnest($1::text[]) AS k (tenant) \
     ORDER BY k.tenant COLLATE \"C\" ON CONFLICT (tenant) \
     DO UPDATE SET wanted_at = greatest(excluded.wanted_at, endpoints.wanted_at)";

const WANTED: &str = "SELECT tenant FROM endpoints WHERE wanted_at >= $1";

pub(super) async fn want(connection: &mut PgConnection, tenants: &[TenantId], now: Timestamp) -> Result<()> {
    let noted = sqlx::query(WANT).bind(each(tenants, TenantId::as_str)).bind(now.as_millis());
    noted.execute(connection).await.map(|_| ()).map_err(store_error)
}

pub(super) async fn wanted(connection: &mut PgConnection, since: Timestamp) -> Result<HashSet<TenantId>> {
    let rows = sqlx::query(WANTED).bind(since.as_millis()).fetch_all(connection).await.map_err(store_error)?;
    rows.iter().map(|row| Columns::new(row).id(TenantId::new)).collect()
}

pub(super) async fn find(connection: &mut PgConnection, tenant: &TenantId) -> Result<Endpoint> {
    let row = sqlx::query(FIND).bind(tenant.as_str()).fetch_optional(connection).await.map_err(store_error)?;
    let Some(row) = row else { return Ok(Endpoint::default()) };
    let mut c = Columns::new(&row);
    Ok(Endpoint { failing_since: c.optional_time()?, disabled_at: c.optional_time()? })
}

pub(super) async fn disabled(connection: &mut PgConnection) -> Result<HashSet<TenantId>> {
    let rows = sqlx::query(DISABLED).fetch_all(connection).await.map_err(store_error)?;
    rows.iter().map(|row| Columns::new(row).id(TenantId::new)).collect()
}

/// Notes successes and failures in the order they were made, and returns the tenants whose last one
/// failed, with the first failure of the row.
pub(super) async fn note(connection: &mut PgConnection, tried: &[&Tried]) -> Result<Vec<(TenantId, Timestamp)>> {
    let mut last: BTreeMap<&TenantId, Option<Timestamp>> = BTreeMap::new();
    for one in tried {
        let Some(newest) = one.tries.last() else { continue };
        let before = last.get(&one.tenant).copied();
        let now = match (newest.error, before) {
            (None, Some(None)) => None,
            (None, _) => {
                let well = sqlx::query(WELL).bind(one.tenant.as_str());
                well.execute(&mut *connection).await.map_err(store_error)?;
                None
            }
            (Some(_), Some(Some(since))) => Some(since),
            (Some(_), _) => {
                let failing = sqlx::query(FAILING).bind(one.tenant.as_str()).bind(newest.at.as_millis());
                failing.execute(&mut *connection).await.map_err(store_error)?;
                find(connection, &one.tenant).await?.failing_since
            }
        };
        last.insert(&one.tenant, now);
    }
    Ok(last.into_iter().filter_map(|(tenant, since)| Some((tenant.clone(), since?))).collect())
}

pub(super) async fn disable(
    connection: &mut PgConnection,
    tenant: &TenantId,
    failing_since: Timestamp,
    at: Timestamp,
) -> Result<bool> {
    let asked = sqlx::query(DISABLE).bind(tenant.as_str()).bind(failing_since.as_millis()).bind(at.as_millis());
    Ok(asked.execute(connection).await.map_err(store_error)?.rows_affected() == 1)
}

/// Switches it on, with what waits for it due.
pub(super) async fn enable(connection: &mut PgConnection, tenant: &TenantId, now: Timestamp) -> Result<bool> {
    let asked = sqlx::query(ENABLE).bind(tenant.as_str());
    let done = asked.execute(&mut *connection).await.map_err(store_error)?.rows_affected() == 1;
    if done {
        let hastened = sqlx::query(HASTEN).bind(tenant.as_str()).bind(now.as_millis());
        hastened.execute(connection).await.map_err(store_error)?;
    }
    Ok(done)
}
