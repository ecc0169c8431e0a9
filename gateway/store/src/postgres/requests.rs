//! Buyers' wishes to get money back.

use dukou_domain::{OutRefundNo, PaymentId, RefundRequestId, RefundRequestState, TenantId, Timestamp};
use dukou_engine::ports::StoreError;
use dukou_engine::records::{Page, PageCursor, RefundRequest, RefundRequestFilter};
use sqlx::postgres::PgConnection;

use super::columns::Columns;
use super::error::{Result, store_error};
use crate::rows;

macro_rules! columns {
    () => {
        "id, tenant, payment, out_trade_no, openid, currency, amount, reason, state, out_refund_no, requested_at, \
         decided_at, decided_by"
    };
}

const BY_ID: &str = concat!("SELECT ", columns!(), " FROM refund_requests WHERE tenant = $1 AND id = $2");

/// In the words of the index that makes it the only one.
const PENDING: &str =
    concat!("SELECT ", columns!(), " FROM refund_requests WHERE tenant = $1 AND payment = $2 AND state = 'pending'");

const INSERT: &str = concat!(
    "INSERT INTO refund_requests (",
    columns!(),
    ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT (tenant, id) DO NOTHING"
);

/// A decision is made once.
const DECIDE: &str = "UPDATE refund_requests SET state = $3, out_refund_no = $4, decided_at = $5, decided_by = $6 \
     WHERE tenant = $1 AND id = $2 AND state = 'pending'";

/// Each state's part of a page, from the index alone.
const LIST: &str = concat!(
    "SELECT q.* FROM unnest($2::text[]) AS s (wanted) CROSS JOIN LATERAL (SELECT ",
    columns!(),
    " FROM refund_requests WHERE tenant = $1 AND state = s.wanted AND (requested_at, id) < ($3, $4) \
     ORDER BY requested_at DESC, id DESC LIMIT $5) q ORDER BY q.requested_at DESC, q.id DESC LIMIT $5"
);

pub(super) async fn by_id(
    connection: &mut PgConnection,
    tenant: &TenantId,
    id: RefundRequestId,
) -> Result<Option<RefundRequest>> {
    let asked = sqlx::query(BY_ID).bind(tenant.as_str()).bind(id.as_uuid());
    let row = asked.fetch_optional(connection).await.map_err(store_error)?;
    row.as_ref().map(|row| rows::request(&mut Columns::new(row))).transpose()
}

pub(super) async fn pending(
    connection: &mut PgConnection,
    tenant: &TenantId,
    payment: PaymentId,
) -> Result<Option<RefundRequest>> {
    let asked = sqlx::query(PENDING).bind(tenant.as_str()).bind(payment.as_uuid());
    let row = asked.fetch_optional(connection).await.map_err(store_error)?;
    row.as_ref().map(|row| rows::request(&mut Columns::new(row))).transpose()
}

/// Enters a request, or the decision about one that was pending.
pub(super) async fn put(connection: &mut PgConnection, r: &RefundRequest) -> Result<()> {
    let out_refund_no = r.out_refund_no.as_ref().map(OutRefundNo::as_str);
    let decided_at = r.decided_at.map(Timestamp::as_millis);
    let asked = match r.state {
        RefundRequestState::Pending => sqlx::query(INSERT)
            .bind(r.id.as_uuid())
            .bind(r.tenant.as_str())
            .bind(r.payment.as_uuid())
            .bind(r.out_trade_no.as_str())
            .bind(r.openid.as_str())
            .bind(r.amount.currency().code())
            .bind(r.amount.minor())
            .bind(r.reason.as_deref())
            .bind(r.state.as_str())
            .bind(out_refund_no)
            .bind(r.requested_at.as_millis())
            .bind(decided_at)
            .bind(r.decided_by.as_deref()),
        RefundRequestState::Approved | RefundRequestState::Rejected => sqlx::query(DECIDE)
            .bind(r.tenant.as_str())
            .bind(r.id.as_uuid())
            .bind(r.state.as_str())
            .bind(out_refund_no)
            .bind(decided_at)
            .bind(r.decided_by.as_deref()),
    };
    if asked.execute(connection).await.map_err(store_error)?.rows_affected() == 0 {
        return Err(StoreError::Conflict(format!("refund request {} was decided by somebody else", r.id)));
    }
    Ok(())
}

pub(super) async fn list(connection: &mut PgConnection, filter: &RefundRequestFilter) -> Result<Page<RefundRequest>> {
    let states: Vec<&str> = match filter.state {
        Some(state) => vec![state.as_str()],
        None => RefundRequestState::ALL.iter().map(|state| state.as_str()).collect(),
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
    let items = rows.iter().map(|row| rows::request(&mut Columns::new(row))).collect::<Result<Vec<_>>>()?;
    Ok(Page::cut(items, filter.limit, |last| PageCursor { created_at: last.requested_at, id: last.id.as_uuid() }))
}
