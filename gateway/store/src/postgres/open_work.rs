//! What has waited longest: looked up in the indexes that are there, within a bound, since it is asked
//! for again and again beside everything else.

use dukou_domain::{PaymentState, TenantId, Timestamp};
use dukou_engine::open::{OldestOpen, OpenKind};
use dukou_engine::question::Asked;
use sqlx::postgres::PgConnection;

use super::columns::Columns;
use super::error::{Result, store_error};
use super::questions::{self, heads};
use crate::rows::{self, ReadColumns as _};

/// So many payments of a tenant in one state are looked at, those made first. What is stuck outlives
/// the others, and so comes to be among them.
const PAYMENTS: i64 = 100;
/// So many refunds of a tenant in one state are looked at, those to be asked after next.
const REFUNDS: i64 = 100;

/// From one tenant to the next in the index, and for each the oldest of both states.
const OPEN_PAYMENTS: &str = "WITH RECURSIVE tenants AS ( \
         (SELECT tenant FROM payments ORDER BY tenant LIMIT 1) UNION ALL \
         SELECT (SELECT p.tenant FROM payments p WHERE p.tenant > t.tenant ORDER BY p.tenant LIMIT 1) \
         FROM tenants t WHERE t.tenant IS NOT NULL) \
     SELECT t.tenant, \
         (SELECT min(updated_at) FROM (SELECT updated_at FROM payments p WHERE p.tenant = t.tenant AND p.state = $1 \
             ORDER BY created_at LIMIT $3) oldest), \
         (SELECT min(expires_at) FROM (SELECT expires_at FROM payments p WHERE p.tenant = t.tenant AND p.state = $2 \
             ORDER BY created_at LIMIT $3) oldest) \
     FROM tenants t WHERE t.tenant IS NOT NULL";

/// Each sending of one that does not get there is an update, so that it has waited since it was asked for.
const OPEN_REFUNDS: &str = concat!(
    heads!("refunds"),
    "SELECT h.tenant, h.state, o.since FROM heads h CROSS JOIN LATERAL (SELECT min(since) AS since \
     FROM (SELECT CASE r.state WHEN 'created' THEN r.created_at ELSE r.updated_at END AS since FROM refunds r \
     WHERE r.tenant = h.tenant AND r.provider COLLATE \"C\" = h.provider \
     AND r.state COLLATE \"C\" = h.state AND r.check_at IS NOT NULL ORDER BY r.check_at LIMIT $1) oldest) o \
     WHERE o.since IS NOT NULL"
);

pub(super) async fn oldest(connection: &mut PgConnection) -> Result<Vec<OldestOpen>> {
    let mut found = Vec::new();
    let rows = sqlx::query(OPEN_PAYMENTS)
        .bind(PaymentState::Unknown.as_str())
        .bind(PaymentState::Pending.as_str())
        .bind(PAYMENTS)
        .fetch_all(&mut *connection)
        .await
        .map_err(store_error)?;
    for row in &rows {
        let mut c = Columns::new(row);
        let tenant = c.id(TenantId::new)?;
        for kind in [OpenKind::PaymentUnknown, OpenKind::PaymentOverdue] {
            found.extend(c.optional_time()?.map(|since| OldestOpen { tenant: tenant.clone(), kind, since }));
        }
    }
    for row in &sqlx::query(OPEN_REFUNDS).bind(REFUNDS).fetch_all(&mut *connection).await.map_err(store_error)? {
        found.extend(rows::open_refund(&mut Columns::new(row))?);
    }
    for asked in [Asked::Payments, Asked::Refunds] {
        let heads = questions::due(connection, asked, Timestamp::from_millis(i64::MAX)).await?;
        found.extend(rows::open_questions(heads));
    }
    Ok(OldestOpen::of_each(found))
}
