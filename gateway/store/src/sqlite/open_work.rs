//! What has waited longest: looked up in the indexes that are there, within a bound, since it is asked
//! for again and again beside everything else.

use dukou_domain::{PaymentState, TenantId, Timestamp};
use dukou_engine::open::{OldestOpen, OpenKind};
use dukou_engine::question::{Asked, Due, Queue};
use rusqlite::{Connection, params};

use super::columns::Columns;
use super::error::{Result, store_error};
use super::questions;
use crate::rows::{self, ReadColumns as _};

/// So many payments of a tenant in one state are looked at, those made first. What is stuck outlives
/// the others, and so comes to be among them.
const PAYMENTS: u32 = 100;
/// So many refunds of a tenant in one state are looked at, those to be asked after next.
const REFUNDS: u32 = 100;

/// The first tenant after another, from the index alone.
const NEXT_TENANT: &str =
    "SELECT tenant FROM payments INDEXED BY payments_list WHERE tenant > ?1 ORDER BY tenant LIMIT 1";
const UNKNOWN: &str = "SELECT min(updated_at) FROM (SELECT updated_at FROM payments INDEXED BY payments_list \
     WHERE tenant = ?1 AND state = ?2 ORDER BY created_at LIMIT ?3)";
const OVERDUE: &str = "SELECT min(expires_at) FROM (SELECT expires_at FROM payments INDEXED BY payments_list \
     WHERE tenant = ?1 AND state = ?2 ORDER BY created_at LIMIT ?3)";
/// Each sending of one that does not get there is an update, so that it has waited since it was asked for.
const OPEN_REFUNDS: &str = "SELECT ?1, ?3, min(since) FROM (SELECT CASE state WHEN 'created' THEN created_at \
     ELSE updated_at END AS since FROM refunds INDEXED BY refunds_due \
     WHERE tenant = ?1 AND provider = ?2 AND state = ?3 AND check_at IS NOT NULL ORDER BY check_at LIMIT ?4)";

pub(super) fn oldest(connection: &Connection) -> Result<Vec<OldestOpen>> {
    let mut found = Vec::new();
    payments(connection, &mut found)?;
    refunds(connection, &mut found)?;
    for asked in [Asked::Payments, Asked::Refunds] {
        found.extend(rows::open_questions(questions::heads(connection, asked)?));
    }
    Ok(OldestOpen::of_each(found))
}

fn payments(connection: &Connection, found: &mut Vec<OldestOpen>) -> Result<()> {
    let mut next = connection.prepare_cached(NEXT_TENANT).map_err(store_error)?;
    let mut after = String::new();
    loop {
        let mut rows = next.query(params![after]).map_err(store_error)?;
        let Some(row) = rows.next().map_err(store_error)? else { return Ok(()) };
        let tenant = Columns::new(row).id(TenantId::new)?;
        after = tenant.as_str().to_owned();
        for (sql, state, kind) in [
            (UNKNOWN, PaymentState::Unknown, OpenKind::PaymentUnknown),
            (OVERDUE, PaymentState::Pending, OpenKind::PaymentOverdue),
        ] {
            let mut statement = connection.prepare_cached(sql).map_err(store_error)?;
            let since: Option<i64> = statement
                .query_row(params![tenant.as_str(), state.as_str(), PAYMENTS], |row| row.get(0))
                .map_err(store_error)?;
            found.extend(since.map(|since| OldestOpen {
                tenant: tenant.clone(),
                kind,
                since: Timestamp::from_millis(since),
            }));
        }
    }
}

fn refunds(connection: &Connection, found: &mut Vec<OldestOpen>) -> Result<()> {
    let mut statement = connection.prepare_cached(OPEN_REFUNDS).map_err(store_error)?;
    for Due { queue: Queue { tenant, provider, state }, .. } in questions::heads(connection, Asked::Refunds)? {
        let mut rows = statement.query(params![tenant, provider, state, REFUNDS]).map_err(store_error)?;
        while let Some(row) = rows.next().map_err(store_error)? {
            found.extend(rows::open_refund(&mut Columns::new(row))?);
        }
    }
    Ok(())
}
