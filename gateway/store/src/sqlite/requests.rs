//! Buyers' wishes to get money back.

use dukou_domain::{OutRefundNo, PaymentId, RefundRequestId, RefundRequestState, TenantId, Timestamp};
use dukou_engine::ports::StoreError;
use dukou_engine::records::{Page, PageCursor, RefundRequest, RefundRequestFilter};
use rusqlite::{Connection, Row, named_params, params};

use super::columns::Columns;
use super::error::{Result, store_error};
use super::writing::Writing;
use crate::rows;

macro_rules! columns {
    () => {
        "id, tenant, payment, out_trade_no, openid, currency, amount, reason, state, out_refund_no, requested_at, \
         decided_at, decided_by"
    };
}

const BY_ID: &str = concat!("SELECT ", columns!(), " FROM refund_requests WHERE tenant = ?1 AND id = ?2");

const PENDING: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM refund_requests INDEXED BY refund_requests_pending WHERE payment = ?1 AND tenant = ?2 AND state = 'pending'"
);

const INSERT: &str = concat!(
    "INSERT INTO refund_requests (",
    columns!(),
    ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) ON CONFLICT (id) DO NOTHING"
);

/// A decision is made once.
const DECIDE: &str = "UPDATE refund_requests SET state = ?2, out_refund_no = ?3, decided_at = ?4, decided_by = ?5 \
     WHERE id = ?1 AND state = 'pending'";

fn read(row: &Row<'_>) -> Result<RefundRequest> {
    rows::request(&mut Columns::new(row))
}

pub(super) fn by_id(connection: &Connection, tenant: &TenantId, id: RefundRequestId) -> Result<Option<RefundRequest>> {
    let mut statement = connection.prepare_cached(BY_ID).map_err(store_error)?;
    let mut rows = statement.query(params![tenant.as_str(), id.as_uuid().into_bytes()]).map_err(store_error)?;
    rows.next().map_err(store_error)?.map(read).transpose()
}

pub(super) fn pending(connection: &Connection, tenant: &TenantId, payment: PaymentId) -> Result<Option<RefundRequest>> {
    let mut statement = connection.prepare_cached(PENDING).map_err(store_error)?;
    let mut rows = statement.query(params![payment.as_uuid().into_bytes(), tenant.as_str()]).map_err(store_error)?;
    rows.next().map_err(store_error)?.map(read).transpose()
}

/// Enters a request, or the decision about one that was pending.
pub(super) fn put(w: &mut Writing<'_>, request: &RefundRequest) -> Result<()> {
    let r = request;
    let id = r.id.as_uuid().into_bytes();
    let out_refund_no = r.out_refund_no.as_ref().map(OutRefundNo::as_str);
    let decided_at = r.decided_at.map(Timestamp::as_millis);
    let changed = match r.state {
        RefundRequestState::Pending => w.execute(
            INSERT,
            params![
                id,
                r.tenant.as_str(),
                r.payment.as_uuid().into_bytes(),
                r.out_trade_no.as_str(),
                r.openid,
                r.amount.currency().code(),
                r.amount.minor(),
                r.reason,
                r.state.as_str(),
                out_refund_no,
                r.requested_at.as_millis(),
                decided_at,
                r.decided_by,
            ],
        )?,
        RefundRequestState::Approved | RefundRequestState::Rejected => {
            w.execute(DECIDE, params![id, r.state.as_str(), out_refund_no, decided_at, r.decided_by])?
        }
    };
    if changed == 0 {
        return Err(StoreError::Conflict(format!("refund request {} was decided by somebody else", r.id)));
    }
    Ok(())
}

/// One state's part of a page, from the index alone.
fn list_part(state: RefundRequestState) -> String {
    format!(
        "SELECT * FROM (SELECT row, requested_at, id FROM refund_requests INDEXED BY refund_requests_list \
         WHERE tenant = :tenant AND state = '{state}' AND (requested_at, id) < (:before, :before_id) \
         ORDER BY requested_at DESC, id DESC LIMIT :limit)",
    )
}

pub(super) fn list(connection: &Connection, filter: &RefundRequestFilter) -> Result<Page<RefundRequest>> {
    let parts: Vec<String> = match filter.state {
        Some(state) => vec![list_part(state)],
        None => RefundRequestState::ALL.into_iter().map(list_part).collect(),
    };
    let sql = format!(
        "SELECT {} FROM refund_requests WHERE row IN (SELECT row FROM ({}) ORDER BY requested_at DESC, id DESC \
         LIMIT :limit) ORDER BY requested_at DESC, id DESC",
        columns!(),
        parts.join(" UNION ALL "),
    );
    let (before, before_id) = rows::before(filter.cursor);
    let mut statement = connection.prepare_cached(&sql).map_err(store_error)?;
    let mut rows = statement
        .query(named_params! {
            ":tenant": filter.tenant.as_str(),
            ":before": before,
            ":before_id": before_id.into_bytes(),
            ":limit": i64::from(filter.limit) + 1,
        })
        .map_err(store_error)?;
    let mut items = Vec::new();
    while let Some(row) = rows.next().map_err(store_error)? {
        items.push(read(row)?);
    }
    Ok(Page::cut(items, filter.limit, |last| PageCursor { created_at: last.requested_at, id: last.id.as_uuid() }))
}
