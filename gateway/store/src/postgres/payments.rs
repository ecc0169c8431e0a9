//! Payments and their attempts. All about a payment's current attempt stands in the payment's row.

use dukou_domain::{OutTradeNo, PaymentState, ProviderName, TenantId, Timestamp, TradeNo, TransactionId};
use dukou_engine::ports::{PaymentKey, StoreError, Target};
use dukou_engine::records::{Attempt, Page, PageCursor, Payment, PaymentFilter};
use sqlx::Postgres;
use sqlx::postgres::{PgArguments, PgConnection};
use sqlx::query::Query;

use super::columns::{Columns, each, place};
use super::error::{Result, store_error};
use crate::codec;
use crate::rows;

macro_rules! columns {
    () => {
        "p.attempts, p.id, p.tenant, p.out_trade_no, p.currency, p.amount, p.description, p.attach, p.metadata, \
         p.client_ip, p.state, p.late, p.refunded, p.refunding, p.created_at, p.updated_at, p.expires_at, p.paid_at, \
         p.transaction_id, p.failure_code, p.failure_message, p.check_at, p.check_asked, p.version, p.attempt_id, \
         p.attempt_number, p.provider, p.method, p.trade_no, p.app_id, p.merchant_id, p.openid, p.notify_url, \
         p.prepay_token, p.prepay_valid_until, p.attempt_state, \
         CASE WHEN p.attempt_state = 'paid' THEN p.transaction_id END, p.kind"
    };
}

pub(super) use columns;

const BY_NUMBER: &str = concat!("SELECT ", columns!(), " FROM payments p WHERE p.tenant = $1 AND p.out_trade_no = $2");

const BY_TRADE_NO: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM attempts k JOIN payments p ON p.tenant = k.tenant AND p.id = k.payment \
     WHERE k.tenant = $1 AND k.provider = $2 AND k.trade_no = $3"
);

const BY_TRANSACTION: &str =
    concat!("SELECT ", columns!(), " FROM payments p WHERE p.tenant = $1 AND p.transaction_id = $2 LIMIT 1");

/// A second success, or one that gave way.
const BY_EARLIER_TRANSACTION: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM attempts k JOIN payments p ON p.tenant = k.tenant AND p.id = k.payment \
     WHERE k.tenant = $1 AND k.transaction_id = $2 LIMIT 1"
);

/// Whatever a payment is known by leads to its row, which is locked as it is then: always in the same
/// order, so that nobody waits for somebody who waits for them. What leads there is materialized: a row
/// that was changed while it was waited for is looked at again, and would not be found by a union.
const LOCK: &str = concat!(
    "WITH t AS MATERIALIZED (SELECT k.place, f.tenant, f.id AS payment \
         FROM unnest($1::bigint[], $2::text[], $3::text[]) AS k (place, tenant, number) \
         JOIN payments f ON f.tenant = k.tenant AND f.out_trade_no = k.number \
     UNION ALL SELECT k.place, f.tenant, f.payment \
         FROM unnest($4::bigint[], $5::text[], $6::text[], $7::text[]) AS k (place, tenant, provider, number) \
         JOIN attempts f ON f.tenant = k.tenant AND f.provider = k.provider AND f.trade_no = k.number \
     UNION ALL SELECT k.place, f.tenant, f.payment \
         FROM unnest($8::bigint[], $9::text[], $10::text[]) AS k (place, tenant, number) \
         JOIN refunds f ON f.tenant = k.tenant AND f.out_refund_no = k.number \
     UNION ALL SELECT k.place, f.tenant, f.payment \
         FROM unnest($11::bigint[], $12::text[], $13::uuid[]) AS k (place, tenant, id) \
         JOIN refund_requests f ON f.tenant = k.tenant AND f.id = k.id \
     ) SELECT t.place, ",
    columns!(),
    " FROM t JOIN payments p ON p.tenant = t.tenant AND p.id = t.payment ORDER BY p.tenant, p.id FOR UPDATE OF p"
);

/// The attempts of payments but for their current ones.
const OTHERS: &str = "SELECT k.place, a.id, a.number, a.provider, a.method, a.trade_no, a.app_id, a.merchant_id, \
     a.openid, a.notify_url, a.prepay_token, a.prepay_valid_until, a.state, a.transaction_id, a.kind \
     FROM unnest($1::bigint[], $2::text[], $3::uuid[], $4::uuid[]) AS k (place, tenant, payment, current) \
     JOIN attempts a ON a.tenant = k.tenant AND a.payment = k.payment AND a.id <> k.current \
     ORDER BY k.place, a.number";

const INSERT: &str = "INSERT INTO payments (tenant, id, out_trade_no, amount, currency, description, attach, metadata, \
     client_ip, created_at, expires_at, state, late, refunded, refunding, updated_at, paid_at, transaction_id, \
     failure_code, failure_message, check_at, check_asked, attempts, attempt_id, attempt_number, provider, method, \
     trade_no, app_id, merchant_id, openid, notify_url, prepay_token, prepay_valid_until, attempt_state, kind, \
     version) \
     SELECT k.*, 1 FROM unnest($1::text[], $2::uuid[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[], \
     $8::text[], $9::text[], $10::bigint[], $11::bigint[], $12::text[], $13::boolean[], $14::bigint[], $15::bigint[], \
     $16::bigint[], $17::bigint[], $18::text[], $19::text[], $20::text[], $21::bigint[], $22::bigint[], \
     $23::bigint[], $24::uuid[], $25::bigint[], $26::text[], $27::text[], $28::text[], $29::text[], $30::text[], \
     $31::text[], $32::text[], $33::text[], $34::bigint[], $35::text[], $36::text[]) AS k";

/// What the merchant asked for is never changed; the payer's address is of the current attempt.
const UPDATE: &str = "UPDATE payments p SET state = k.state, late = k.late, refunded = k.refunded, \
     refunding = k.refunding, updated_at = k.updated_at, paid_at = k.paid_at, transaction_id = k.transaction_id, \
     failure_code = k.failure_code, failure_message = k.failure_message, check_at = k.check_at, \
     check_asked = k.check_asked, attempts = k.attempts, attempt_id = k.attempt_id, \
     attempt_number = k.attempt_number, provider = k.provider, method = k.method, trade_no = k.trade_no, \
     app_id = k.app_id, merchant_id = k.merchant_id, openid = k.openid, notify_url = k.notify_url, \
     prepay_token = k.prepay_token, prepay_valid_until = k.prepay_valid_until, attempt_state = k.attempt_state, \
     client_ip = k.client_ip, kind = k.kind, version = p.version + 1 \
     FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::text[], $5::boolean[], $6::bigint[], $7::bigint[], \
     $8::bigint[], $9::bigint[], $10::text[], $11::text[], $12::text[], $13::bigint[], $14::bigint[], $15::bigint[], \
     $16::uuid[], $17::bigint[], $18::text[], $19::text[], $20::text[], $21::text[], $22::text[], $23::text[], \
     $24::text[], $25::text[], $26::bigint[], $27::text[], $28::text[], $29::text[]) AS k (tenant, id, version, state, late, \
     refunded, refunding, updated_at, paid_at, transaction_id, failure_code, failure_message, check_at, check_asked, attempts, \
     attempt_id, attempt_number, provider, method, trade_no, app_id, merchant_id, openid, notify_url, prepay_token, \
     prepay_valid_until, attempt_state, client_ip, kind) \
     WHERE p.tenant = k.tenant AND p.id = k.id AND p.version = k.version";

/// An attempt is entered, or told more about by the payment that it belongs to.
const PUT_ATTEMPTS: &str = "INSERT INTO attempts (tenant, provider, trade_no, payment, id, number, method, app_id, \
     merchant_id, openid, notify_url, prepay_token, prepay_valid_until, state, transaction_id, kind) \
     SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::uuid[], $5::uuid[], $6::bigint[], $7::text[], \
     $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::bigint[], $14::text[], $15::text[], \
     $16::text[]) \
     ON CONFLICT (tenant, provider, trade_no) DO UPDATE SET number = excluded.number, method = excluded.method, \
     app_id = excluded.app_id, merchant_id = excluded.merchant_id, openid = excluded.openid, \
     notify_url = excluded.notify_url, prepay_token = excluded.prepay_token, \
     prepay_valid_until = excluded.prepay_valid_until, state = excluded.state, \
     transaction_id = excluded.transaction_id, kind = excluded.kind \
     WHERE attempts.payment = excluded.payment AND attempts.id = excluded.id";

/// Each state's part of a page, from the index alone.
const LIST: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM unnest($2::text[]) AS s (state) CROSS JOIN LATERAL (SELECT f.tenant, f.id, f.created_at FROM payments f \
     WHERE f.tenant = $1 AND f.state = s.state AND f.created_at > $3 AND (f.created_at, f.id) < ($4, $5) \
     ORDER BY f.created_at DESC, f.id DESC LIMIT $6) k \
     JOIN payments p ON p.tenant = k.tenant AND p.id = k.id ORDER BY k.created_at DESC, k.id DESC LIMIT $6"
);

/// Most payments have one attempt, and cost nothing here.
pub(super) async fn with_others(connection: &mut PgConnection, found: Vec<(Payment, i64)>) -> Result<Vec<Payment>> {
    let several = found.iter().any(|(_, attempts)| *attempts > 1);
    let mut payments: Vec<Payment> = found.into_iter().map(|(payment, _)| payment).collect();
    if several {
        let rows = sqlx::query(OTHERS)
            .bind((0..payments.len()).map(place).collect::<Vec<_>>())
            .bind(payments.iter().map(|p| p.tenant.as_str()).collect::<Vec<_>>())
            .bind(payments.iter().map(|p| p.id.as_uuid()).collect::<Vec<_>>())
            .bind(payments.iter().map(|p| p.attempt.id.as_uuid()).collect::<Vec<_>>())
            .fetch_all(connection)
            .await
            .map_err(store_error)?;
        for row in &rows {
            let mut c = Columns::new(row);
            let at = c.place()?;
            let attempt = rows::attempt(&mut c)?;
            if let Some(payment) = payments.get_mut(at) {
                payment.others.push(attempt);
            }
        }
    }
    Ok(payments)
}

pub(super) async fn by_number(
    connection: &mut PgConnection,
    tenant: &TenantId,
    number: &OutTradeNo,
) -> Result<Option<Payment>> {
    one(connection, sqlx::query(BY_NUMBER).bind(tenant.as_str()).bind(number.as_str())).await
}

pub(super) async fn by_trade_no(
    connection: &mut PgConnection,
    tenant: &TenantId,
    provider: &ProviderName,
    trade_no: &TradeNo,
) -> Result<Option<Payment>> {
    let asked = sqlx::query(BY_TRADE_NO).bind(tenant.as_str()).bind(provider.as_str()).bind(trade_no.as_str());
    one(connection, asked).await
}

pub(super) async fn by_transaction(
    connection: &mut PgConnection,
    tenant: &TenantId,
    transaction: &TransactionId,
) -> Result<Option<Payment>> {
    for sql in [BY_TRANSACTION, BY_EARLIER_TRANSACTION] {
        let found = one(connection, sqlx::query(sql).bind(tenant.as_str()).bind(transaction.as_str())).await?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

async fn one(connection: &mut PgConnection, asked: Query<'_, Postgres, PgArguments>) -> Result<Option<Payment>> {
    let row = asked.fetch_optional(&mut *connection).await.map_err(store_error)?;
    let found = row.iter().map(|row| rows::payment(&mut Columns::new(row))).collect::<Result<Vec<_>>>()?;
    Ok(with_others(connection, found).await?.pop())
}

/// Finds the targets' payments and locks them. In the order of the targets.
pub(super) async fn lock(connection: &mut PgConnection, targets: &[&Target]) -> Result<Vec<Option<Payment>>> {
    let mut numbers = (Vec::new(), Vec::new(), Vec::new());
    let mut trades = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut refunds = (Vec::new(), Vec::new(), Vec::new());
    let mut requests = (Vec::new(), Vec::new(), Vec::new());
    for (index, target) in targets.iter().enumerate() {
        let (at, tenant) = (place(index), target.tenant.as_str());
        match &target.payment {
            PaymentKey::OutTradeNo(number) => {
                numbers.0.push(at);
                numbers.1.push(tenant);
                numbers.2.push(number.as_str());
            }
            PaymentKey::TradeNo { provider, trade_no } => {
                trades.0.push(at);
                trades.1.push(tenant);
                trades.2.push(provider.as_str());
                trades.3.push(trade_no.as_str());
            }
            PaymentKey::Refund(number) => {
                refunds.0.push(at);
                refunds.1.push(tenant);
                refunds.2.push(number.as_str());
            }
            PaymentKey::RefundRequest(id) => {
                requests.0.push(at);
                requests.1.push(tenant);
                requests.2.push(id.as_uuid());
            }
        }
    }
    let asked = sqlx::query(LOCK)
        .bind(numbers.0)
        .bind(numbers.1)
        .bind(numbers.2)
        .bind(trades.0)
        .bind(trades.1)
        .bind(trades.2)
        .bind(trades.3)
        .bind(refunds.0)
        .bind(refunds.1)
        .bind(refunds.2)
        .bind(requests.0)
        .bind(requests.1)
        .bind(requests.2);
    let rows = asked.fetch_all(&mut *connection).await.map_err(store_error)?;
    let (mut places, mut found) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
    for row in &rows {
        let mut c = Columns::new(row);
        places.push(c.place()?);
        found.push(rows::payment(&mut c)?);
    }
    let mut payments: Vec<Option<Payment>> = targets.iter().map(|_| None).collect();
    for (at, payment) in places.into_iter().zip(with_others(connection, found).await?) {
        if let Some(slot) = payments.get_mut(at) {
            *slot = Some(payment);
        }
    }
    Ok(payments)
}

fn attempts_of(p: &Payment) -> i64 {
    i64::try_from(1 + p.others.len()).unwrap_or(i64::MAX)
}

pub(super) async fn insert(connection: &mut PgConnection, new: &[&Payment]) -> Result<()> {
    if new.is_empty() {
        return Ok(());
    }
    let metadata = new.iter().map(|p| codec::write_metadata(&p.metadata)).collect::<Result<Vec<_>>>()?;
    sqlx::query(INSERT)
        .bind(each(new, |p| p.tenant.as_str()))
        .bind(each(new, |p| p.id.as_uuid()))
        .bind(each(new, |p| p.out_trade_no.as_str()))
        .bind(each(new, |p| p.amount.minor()))
        .bind(each(new, |p| p.amount.currency().code()))
        .bind(each(new, |p| p.description.as_str()))
        .bind(each(new, |p| p.attach.as_deref()))
        .bind(metadata)
        .bind(each(new, |p| p.client_ip.to_string()))
        .bind(each(new, |p| p.created_at.as_millis()))
        .bind(each(new, |p| p.expires_at.as_millis()))
        .bind(each(new, |p| p.state.as_str()))
        .bind(each(new, |p| p.late))
        .bind(each(new, |p| p.refunded.minor()))
        .bind(each(new, |p| p.refunding.minor()))
        .bind(each(new, |p| p.updated_at.as_millis()))
        .bind(each(new, |p| p.paid_at.map(Timestamp::as_millis)))
        .bind(each(new, |p| p.transaction_id.as_ref().map(TransactionId::as_str)))
        .bind(each(new, |p| p.failure.as_ref().and_then(|failure| failure.code.as_deref())))
        .bind(each(new, |p| p.failure.as_ref().map(|failure| failure.message.as_str())))
        .bind(each(new, |p| p.check.map(|check| check.at.as_millis())))
        .bind(each(new, |p| p.check.map(|check| i64::from(check.asked))))
        .bind(each(new, |p| attempts_of(p)))
        .bind(each(new, |p| p.attempt.id.as_uuid()))
        .bind(each(new, |p| i64::from(p.attempt.number)))
        .bind(each(new, |p| p.attempt.provider.as_str()))
        .bind(each(new, |p| p.attempt.method.as_str()))
        .bind(each(new, |p| p.attempt.trade_no.as_str()))
        .bind(each(new, |p| p.attempt.app_id.as_str()))
        .bind(each(new, |p| p.attempt.merchant_id.as_str()))
        .bind(each(new, |p| p.attempt.openid.as_deref()))
        .bind(each(new, |p| p.attempt.notify_url.as_str()))
        .bind(each(new, |p| p.attempt.prepay.as_ref().map(|prepay| prepay.token.as_str())))
        .bind(each(new, |p| p.attempt.prepay.as_ref().map(|prepay| prepay.valid_until.as_millis())))
        .bind(each(new, |p| p.attempt.state.as_str()))
        .bind(each(new, |p| p.attempt.kind.as_str()))
        .execute(connection)
        .await
        .map_err(store_error)?;
    Ok(())
}

/// Changes payments where their version is still the same.
pub(super) async fn update(connection: &mut PgConnection, changed: &[&Payment]) -> Result<()> {
    if changed.is_empty() {
        return Ok(());
    }
    let done = sqlx::query(UPDATE)
        .bind(each(changed, |p| p.tenant.as_str()))
        .bind(each(changed, |p| p.id.as_uuid()))
        .bind(each(changed, |p| p.version))
        .bind(each(changed, |p| p.state.as_str()))
        .bind(each(changed, |p| p.late))
        .bind(each(changed, |p| p.refunded.minor()))
        .bind(each(changed, |p| p.refunding.minor()))
        .bind(each(changed, |p| p.updated_at.as_millis()))
        .bind(each(changed, |p| p.paid_at.map(Timestamp::as_millis)))
        .bind(each(changed, |p| p.transaction_id.as_ref().map(TransactionId::as_str)))
        .bind(each(changed, |p| p.failure.as_ref().and_then(|failure| failure.code.as_deref())))
        .bind(each(changed, |p| p.failure.as_ref().map(|failure| failure.message.as_str())))
        .bind(each(changed, |p| p.check.map(|check| check.at.as_millis())))
        .bind(each(changed, |p| p.check.map(|check| i64::from(check.asked))))
        .bind(each(changed, |p| attempts_of(p)))
        .bind(each(changed, |p| p.attempt.id.as_uuid()))
        .bind(each(changed, |p| i64::from(p.attempt.number)))
        .bind(each(changed, |p| p.attempt.provider.as_str()))
        .bind(each(changed, |p| p.attempt.method.as_str()))
        .bind(each(changed, |p| p.attempt.trade_no.as_str()))
        .bind(each(changed, |p| p.attempt.app_id.as_str()))
        .bind(each(changed, |p| p.attempt.merchant_id.as_str()))
        .bind(each(changed, |p| p.attempt.openid.as_deref()))
        .bind(each(changed, |p| p.attempt.notify_url.as_str()))
        .bind(each(changed, |p| p.attempt.prepay.as_ref().map(|prepay| prepay.token.as_str())))
        .bind(each(changed, |p| p.attempt.prepay.as_ref().map(|prepay| prepay.valid_until.as_millis())))
        .bind(each(changed, |p| p.attempt.state.as_str()))
        .bind(each(changed, |p| p.client_ip.to_string()))
        .bind(each(changed, |p| p.attempt.kind.as_str()))
        .execute(connection)
        .await
        .map_err(store_error)?;
    if done.rows_affected() != changed.len() as u64 {
        let names: Vec<String> = changed.iter().map(|p| format!("{} at version {}", p.id, p.version)).collect();
        return Err(StoreError::Conflict(format!("not as they were read: {}", names.join(", "))));
    }
    Ok(())
}

pub(super) async fn put_attempts(connection: &mut PgConnection, attempts: &[(&Payment, &Attempt)]) -> Result<()> {
    if attempts.is_empty() {
        return Ok(());
    }
    let done = sqlx::query(PUT_ATTEMPTS)
        .bind(attempts.iter().map(|(payment, _)| payment.tenant.as_str()).collect::<Vec<_>>())
        .bind(each(attempts, |(_, a)| a.provider.as_str()))
        .bind(each(attempts, |(_, a)| a.trade_no.as_str()))
        .bind(attempts.iter().map(|(payment, _)| payment.id.as_uuid()).collect::<Vec<_>>())
        .bind(each(attempts, |(_, a)| a.id.as_uuid()))
        .bind(each(attempts, |(_, a)| i64::from(a.number)))
        .bind(each(attempts, |(_, a)| a.method.as_str()))
        .bind(each(attempts, |(_, a)| a.app_id.as_str()))
        .bind(each(attempts, |(_, a)| a.merchant_id.as_str()))
        .bind(each(attempts, |(_, a)| a.openid.as_deref()))
        .bind(each(attempts, |(_, a)| a.notify_url.as_str()))
        .bind(each(attempts, |(_, a)| a.prepay.as_ref().map(|prepay| prepay.token.as_str())))
        .bind(each(attempts, |(_, a)| a.prepay.as_ref().map(|prepay| prepay.valid_until.as_millis())))
        .bind(each(attempts, |(_, a)| a.state.as_str()))
        .bind(each(attempts, |(_, a)| a.transaction_id.as_ref().map(TransactionId::as_str)))
        .bind(each(attempts, |(_, a)| a.kind.as_str()))
        .execute(connection)
        .await
        .map_err(store_error)?;
    if done.rows_affected() != attempts.len() as u64 {
        let numbers: Vec<&str> = each(attempts, |(_, a)| a.trade_no.as_str());
        return Err(StoreError::Conflict(format!("trade number in use by another attempt: {}", numbers.join(", "))));
    }
    Ok(())
}

pub(super) async fn list(connection: &mut PgConnection, filter: &PaymentFilter) -> Result<Page<Payment>> {
    let states: Vec<&str> = match filter.state {
        Some(state) => vec![state.as_str()],
        None => PaymentState::ALL.iter().map(|state| state.as_str()).collect(),
    };
    let (before, before_id) = rows::before(filter.cursor);
    let rows = sqlx::query(LIST)
        .bind(filter.tenant.as_str())
        .bind(states)
        .bind(filter.created_after.map_or(i64::MIN, Timestamp::as_millis))
        .bind(before)
        .bind(before_id)
        // One more than asked for, to know whether there is another page.
        .bind(i64::from(filter.limit) + 1)
        .fetch_all(&mut *connection)
        .await
        .map_err(store_error)?;
    let found = rows.iter().map(|row| rows::payment(&mut Columns::new(row))).collect::<Result<Vec<_>>>()?;
    let items = with_others(connection, found).await?;
    Ok(Page::cut(items, filter.limit, |last| PageCursor { created_at: last.created_at, id: last.id.as_uuid() }))
}
