//! Payments and their attempts.

use dukou_domain::{AttemptId, OutTradeNo, PaymentId, PaymentState, TenantId, Timestamp, TransactionId};
use dukou_engine::ports::{PaymentKey, StoreError};
use dukou_engine::records::{Attempt, Page, PageCursor, Payment, PaymentFilter};
use rusqlite::{Connection, Row, ToSql, named_params, params};

use super::columns::Columns;
use super::error::{Result, store_error};
use super::writing::Writing;
use crate::attempts::to_enter;
use crate::codec;
use crate::rows::{self, ReadColumns as _};

/// The columns that [`read`] expects, from `payments p` and its current attempt `a`. What changes
/// about that attempt stands in the payment's row.
macro_rules! columns {
    () => {
        "p.row, p.attempts, p.id, p.tenant, p.out_trade_no, p.currency, p.amount, p.description, p.attach, \
         p.metadata, p.client_ip, p.state, p.late, p.refunded, p.refunding, p.created_at, p.updated_at, p.expires_at, \
         p.paid_at, p.transaction_id, p.failure_code, p.failure_message, p.check_at, p.check_asked, p.version, a.id, \
         a.number, a.provider, a.method, a.trade_no, a.app_id, a.merchant_id, p.openid, a.notify_url, p.prepay_token, \
         p.prepay_valid_until, p.attempt_state, iif(p.attempt_state = 'paid', p.transaction_id, NULL), \
         a.kind"
    };
}

macro_rules! current_attempt {
    () => {
        " CROSS JOIN attempts a ON a.tenant = p.tenant AND a.provider = p.provider AND a.trade_no = p.trade_no "
    };
}

const BY_NUMBER: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM payments p",
    current_attempt!(),
    "WHERE p.tenant = ?1 AND p.out_trade_no = ?2"
);

/// The number of a current attempt leads to its payment.
const BY_TRADE_NO: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM attempts a CROSS JOIN payments p ON p.row = a.payment \
     WHERE a.tenant = ?1 AND a.provider = ?2 AND a.trade_no = ?3 AND p.provider = ?2 AND p.trade_no = ?3"
);

/// The number of an attempt that gave way leads to the payment as well; what is read is the
/// payment's current attempt.
const BY_EARLIER_TRADE_NO: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM attempts k CROSS JOIN payments p ON p.row = k.payment",
    current_attempt!(),
    "WHERE k.tenant = ?1 AND k.provider = ?2 AND k.trade_no = ?3"
);

/// A table that is empty when the statement is prepared would be read by another index.
const BY_TRANSACTION: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM payments p INDEXED BY payments_transaction",
    current_attempt!(),
    "WHERE p.tenant = ?1 AND p.transaction_id = ?2 LIMIT 1"
);

/// A second success, or one that gave way.
const BY_EARLIER_TRANSACTION: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM attempts k INDEXED BY attempts_transaction CROSS JOIN payments p ON p.row = k.payment",
    current_attempt!(),
    "WHERE k.tenant = ?1 AND k.transaction_id = ?2 LIMIT 1"
);

const BY_REFUND: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM refunds r CROSS JOIN payments p ON p.id = r.payment",
    current_attempt!(),
    "WHERE r.tenant = ?1 AND r.out_refund_no = ?2"
);

const BY_REQUEST: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM refund_requests q CROSS JOIN payments p ON p.id = q.payment",
    current_attempt!(),
    "WHERE q.tenant = ?1 AND q.id = ?2"
);

/// The attempts of a payment but for its current one.
const OTHERS: &str = "SELECT a.id, a.number, a.provider, a.method, a.trade_no, a.app_id, a.merchant_id, a.openid, \
     a.notify_url, a.prepay_token, a.prepay_valid_until, a.state, a.transaction_id, a.kind \
     FROM attempts a WHERE a.payment = ?1 AND a.id <> ?2 ORDER BY a.number";

const BY_ROW: &str = concat!("SELECT ", columns!(), " FROM payments p", current_attempt!(), "WHERE p.row = ?1");

/// The values of [`changing`], then those that are never changed.
const INSERT: &str = "INSERT INTO payments (state, late, refunded, refunding, updated_at, paid_at, transaction_id, \
     failure_code, failure_message, check_at, check_asked, provider, trade_no, attempts, attempt_state, openid, \
     prepay_token, prepay_valid_until, client_ip, id, tenant, out_trade_no, currency, amount, description, attach, \
     metadata, created_at, expires_at, version) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, \
     ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, 1)";

/// The values of [`changing`]. What the merchant asked for is never changed; the payer's address is of the current attempt.
const UPDATE: &str = "UPDATE payments SET state = ?1, late = ?2, refunded = ?3, refunding = ?4, updated_at = ?5, \
     paid_at = ?6, transaction_id = ?7, failure_code = ?8, failure_message = ?9, check_at = ?10, check_asked = ?11, \
     provider = ?12, trade_no = ?13, attempts = ?14, attempt_state = ?15, openid = ?16, prepay_token = ?17, \
     prepay_valid_until = ?18, client_ip = ?19, version = version + 1 WHERE row = ?20 AND version = ?21";

/// An attempt is entered, or told more about by the payment that it belongs to. Values, and no SELECT: that one might
/// enter many rows, for which SQLite keeps a copy of every page that it changes.
const PUT_ATTEMPT: &str = "INSERT INTO attempts (tenant, provider, trade_no, payment, id, number, method, app_id, \
     merchant_id, openid, notify_url, prepay_token, prepay_valid_until, state, transaction_id, kind) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16) \
     ON CONFLICT (tenant, provider, trade_no) DO UPDATE SET number = excluded.number, method = excluded.method, \
     app_id = excluded.app_id, merchant_id = excluded.merchant_id, openid = excluded.openid, \
     notify_url = excluded.notify_url, prepay_token = excluded.prepay_token, \
     prepay_valid_until = excluded.prepay_valid_until, state = excluded.state, \
     transaction_id = excluded.transaction_id, kind = excluded.kind \
     WHERE attempts.payment = excluded.payment AND attempts.id = excluded.id";

/// A payment with its place in the table.
pub(super) struct Found {
    pub row: i64,
    pub payment: Payment,
}

/// The payment, and how many attempts it has; all but the current one are still to be read.
fn read(row: &Row<'_>) -> Result<(Found, i64)> {
    let mut c = Columns::new(row);
    let row = c.integer()?;
    let (payment, attempts) = rows::payment(&mut c)?;
    Ok((Found { row, payment }, attempts))
}

/// Most payments have one attempt, and cost nothing here.
fn with_others(connection: &Connection, (mut found, attempts): (Found, i64)) -> Result<Found> {
    if attempts > 1 {
        let mut statement = connection.prepare_cached(OTHERS).map_err(store_error)?;
        let key = params![found.row, found.payment.attempt.id.as_uuid().into_bytes()];
        let mut rows = statement.query(key).map_err(store_error)?;
        while let Some(row) = rows.next().map_err(store_error)? {
            found.payment.others.push(rows::attempt(&mut Columns::new(row))?);
        }
    }
    Ok(found)
}

fn one(connection: &Connection, sql: &str, key: impl rusqlite::Params) -> Result<Option<Found>> {
    let mut statement = connection.prepare_cached(sql).map_err(store_error)?;
    let mut rows = statement.query(key).map_err(store_error)?;
    let found = rows.next().map_err(store_error)?.map(read).transpose()?;
    found.map(|found| with_others(connection, found)).transpose()
}

pub(super) fn by_number(connection: &Connection, tenant: &TenantId, number: &OutTradeNo) -> Result<Option<Payment>> {
    let found = one(connection, BY_NUMBER, params![tenant.as_str(), number.as_str()])?;
    Ok(found.map(|found| found.payment))
}

pub(super) fn by_transaction(
    connection: &Connection,
    tenant: &TenantId,
    transaction: &TransactionId,
) -> Result<Option<Payment>> {
    let key = params![tenant.as_str(), transaction.as_str()];
    let found = match one(connection, BY_TRANSACTION, key)? {
        Some(found) => Some(found),
        None => one(connection, BY_EARLIER_TRANSACTION, key)?,
    };
    Ok(found.map(|found| found.payment))
}

pub(super) fn find(connection: &Connection, tenant: &TenantId, key: &PaymentKey) -> Result<Option<Found>> {
    let tenant = tenant.as_str();
    match key {
        PaymentKey::OutTradeNo(number) => one(connection, BY_NUMBER, params![tenant, number.as_str()]),
        PaymentKey::TradeNo { provider, trade_no } => {
            let key = params![tenant, provider.as_str(), trade_no.as_str()];
            match one(connection, BY_TRADE_NO, key)? {
                Some(found) => Ok(Some(found)),
                None => one(connection, BY_EARLIER_TRADE_NO, key),
            }
        }
        PaymentKey::Refund(number) => one(connection, BY_REFUND, params![tenant, number.as_str()]),
        PaymentKey::RefundRequest(id) => one(connection, BY_REQUEST, params![tenant, id.as_uuid().into_bytes()]),
    }
}

/// What a payment was when this transaction read it: an attempt that is unchanged is not written
/// again.
pub(super) struct Before {
    row: i64,
    id: PaymentId,
    current: AttemptId,
    others: Vec<Attempt>,
}

impl From<&Found> for Before {
    fn from(found: &Found) -> Self {
        let payment = &found.payment;
        Before { row: found.row, id: payment.id, current: payment.attempt.id, others: payment.others.clone() }
    }
}

/// Enters the payment, or changes the one that was read where its version is still the same.
pub(super) fn put(w: &mut Writing<'_>, payment: &Payment, before: Option<&Before>) -> Result<()> {
    let row = if payment.version == 0 { insert(w, payment)? } else { update(w, payment, before)? };
    for attempt in to_enter(payment, before.map(|before| (before.current, &before.others[..]))) {
        put_attempt(w, payment, row, attempt)?;
    }
    Ok(())
}

/// Returns the payment's place in the table.
fn insert(w: &mut Writing<'_>, p: &Payment) -> Result<i64> {
    let metadata = codec::write_metadata(&p.metadata)?;
    with_changing(p, |changing| {
        let fixed = params![
            p.id.as_uuid().into_bytes(),
            p.tenant.as_str(),
            p.out_trade_no.as_str(),
            p.amount.currency().code(),
            p.amount.minor(),
            p.description,
            p.attach,
            metadata,
            p.created_at.as_millis(),
            p.expires_at.as_millis(),
        ];
        let values: Vec<&dyn ToSql> = changing.iter().chain(fixed).copied().collect();
        w.execute(INSERT, &*values)
    })?;
    Ok(w.connection().last_insert_rowid())
}

/// Returns the payment's place in the table.
fn update(w: &mut Writing<'_>, p: &Payment, before: Option<&Before>) -> Result<i64> {
    let conflict = || StoreError::Conflict(format!("payment {} is not at version {}", p.id, p.version));
    // Another payment than the one that was read has no row here.
    let row = before.filter(|before| before.id == p.id).map(|before| before.row).ok_or_else(conflict)?;
    let changed = with_changing(p, |changing| {
        let key = params![row, p.version];
        let values: Vec<&dyn ToSql> = changing.iter().chain(key).copied().collect();
        w.execute(UPDATE, &*values)
    })?;
    if changed == 0 {
        return Err(conflict());
    }
    Ok(row)
}

/// The values that change, in the order of [`INSERT`] and [`UPDATE`].
fn with_changing<T>(p: &Payment, then: impl FnOnce(&[&dyn ToSql]) -> T) -> T {
    let prepay = p.attempt.prepay.as_ref();
    then(params![
        p.state.as_str(),
        p.late,
        p.refunded.minor(),
        p.refunding.minor(),
        p.updated_at.as_millis(),
        p.paid_at.map(Timestamp::as_millis),
        p.transaction_id.as_ref().map(TransactionId::as_str),
        p.failure.as_ref().and_then(|failure| failure.code.as_deref()),
        p.failure.as_ref().map(|failure| failure.message.as_str()),
        p.check.map(|check| check.at.as_millis()),
        p.check.map(|check| check.asked),
        p.attempt.provider.as_str(),
        p.attempt.trade_no.as_str(),
        i64::try_from(1 + p.others.len()).unwrap_or(i64::MAX),
        p.attempt.state.as_str(),
        p.attempt.openid,
        prepay.map(|prepay| prepay.token.as_str()),
        prepay.map(|prepay| prepay.valid_until.as_millis()),
        p.client_ip.to_string(),
    ])
}

fn put_attempt(w: &mut Writing<'_>, payment: &Payment, row: i64, a: &Attempt) -> Result<()> {
    let changed = w.execute(
        PUT_ATTEMPT,
        params![
            payment.tenant.as_str(),
            a.provider.as_str(),
            a.trade_no.as_str(),
            row,
            a.id.as_uuid().into_bytes(),
            a.number,
            a.method.as_str(),
            a.app_id,
            a.merchant_id,
            a.openid,
            a.notify_url,
            a.prepay.as_ref().map(|prepay| prepay.token.as_str()),
            a.prepay.as_ref().map(|prepay| prepay.valid_until.as_millis()),
            a.state.as_str(),
            a.transaction_id.as_ref().map(TransactionId::as_str),
            a.kind,
        ],
    )?;
    if changed == 0 {
        return Err(StoreError::Conflict(format!("trade number {} belongs to another attempt", a.trade_no)));
    }
    Ok(())
}

pub(super) fn by_row(connection: &Connection, row: i64) -> Result<Option<Payment>> {
    Ok(one(connection, BY_ROW, params![row])?.map(|found| found.payment))
}

/// One state's part of a page, from the index alone.
fn list_part(state: PaymentState) -> String {
    format!(
        "SELECT * FROM (SELECT row, created_at, id FROM payments INDEXED BY payments_list WHERE tenant = :tenant \
         AND state = '{state}' AND created_at > :after AND (created_at, id) < (:before, :before_id) \
         ORDER BY created_at DESC, id DESC LIMIT :limit)",
    )
}

fn list_sql(state: Option<PaymentState>) -> String {
    let parts: Vec<String> = match state {
        Some(state) => vec![list_part(state)],
        None => PaymentState::ALL.into_iter().map(list_part).collect(),
    };
    format!(
        "SELECT {} FROM (SELECT * FROM ({}) ORDER BY created_at DESC, id DESC LIMIT :limit) k \
         CROSS JOIN payments p ON p.row = k.row{}ORDER BY k.created_at DESC, k.id DESC",
        columns!(),
        parts.join(" UNION ALL "),
        current_attempt!(),
    )
}

pub(super) fn list(connection: &Connection, filter: &PaymentFilter) -> Result<Page<Payment>> {
    // One more than asked for, to know whether there is another page.
    let limit = i64::from(filter.limit) + 1;
    let (before, before_id) = rows::before(filter.cursor);
    let mut statement = connection.prepare_cached(&list_sql(filter.state)).map_err(store_error)?;
    let mut rows = statement
        .query(named_params! {
            ":tenant": filter.tenant.as_str(),
            ":after": filter.created_after.map_or(i64::MIN, Timestamp::as_millis),
            ":before": before,
            ":before_id": before_id.into_bytes(),
            ":limit": limit,
        })
        .map_err(store_error)?;
    let mut items = Vec::new();
    while let Some(row) = rows.next().map_err(store_error)? {
        items.push(with_others(connection, read(row)?)?.payment);
    }
    Ok(Page::cut(items, filter.limit, |last| PageCursor { created_at: last.created_at, id: last.id.as_uuid() }))
}

#[cfg(test)]
mod tests {
    use super::super::open;
    use super::*;

    /// A statement that may enter more than one row, or that counts what its references lack until its end, has SQLite
    /// copy every page before it changes it: a tenth of what a new payment costs.
    #[test]
    fn no_statement_copies_pages_to_take_itself_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut connection = open::writer(&folder.path().join("ledger.db")).unwrap();
        open::migrate(&mut connection, open::STEPS).unwrap();
        for sql in [INSERT, UPDATE, PUT_ATTEMPT] {
            let mut statement = connection.prepare(&format!("EXPLAIN {sql}")).unwrap();
            let mut rows = statement.raw_query();
            while let Some(row) = rows.next().unwrap() {
                let instruction: String = row.get(1).unwrap();
                assert!(!["InitCoroutine", "FkCounter"].contains(&&*instruction), "{instruction}: {sql}");
            }
        }
    }
}
