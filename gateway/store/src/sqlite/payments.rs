//! Payments and their attempts.

use dukou_domain::{
    AttemptId, AttemptState, Currency, Method, OutTradeNo, PaymentId, PaymentState, ProviderName, TenantId, Timestamp,
    TradeNo, TransactionId,
};
use dukou_engine::ports::{PaymentKey, StoreError};
use dukou_engine::records::{Attempt, Check, Failure, Page, PageCursor, Payment, PaymentFilter};
use dukou_spi::Prepay;
use rusqlite::{Connection, Row, named_params, params};
use uuid::Uuid;

use super::columns::Columns;
use super::error::{Result, store_error};
use super::writing::Writing;
use crate::codec;

/// The columns that [`read`] expects, from `payments p` and its current attempt `a`.
macro_rules! columns {
    () => {
        "p.id, p.tenant, p.out_trade_no, p.currency, p.amount, p.description, p.attach, p.metadata, p.client_ip, \
         p.state, p.late, p.refunded, p.refunding, p.created_at, p.updated_at, p.expires_at, p.paid_at, \
         p.transaction_id, p.failure_code, p.failure_message, p.check_at, p.check_asked, p.version, a.id, a.number, \
         a.provider, a.method, a.trade_no, a.app_id, a.merchant_id, a.openid, a.notify_url, a.prepay_token, \
         a.prepay_valid_until, a.state, a.transaction_id, p.attempts"
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

/// Any attempt's number leads to the payment; what is read is the payment's current attempt.
const BY_TRADE_NO: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM attempts k CROSS JOIN payments p ON p.row = k.payment",
    current_attempt!(),
    "WHERE k.tenant = ?1 AND k.provider = ?2 AND k.trade_no = ?3"
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
     a.notify_url, a.prepay_token, a.prepay_valid_until, a.state, a.transaction_id \
     FROM payments p CROSS JOIN attempts a ON a.payment = p.row WHERE p.id = ?1 AND a.id <> ?2 ORDER BY a.number";

const BY_ROW: &str = concat!("SELECT ", columns!(), " FROM payments p", current_attempt!(), "WHERE p.row = ?1");

const INSERT: &str = "INSERT INTO payments (id, tenant, out_trade_no, currency, amount, description, attach, metadata, \
     client_ip, state, late, refunded, refunding, created_at, updated_at, expires_at, paid_at, transaction_id, \
     failure_code, failure_message, check_at, check_asked, provider, trade_no, attempts, version) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, \
     ?23, ?24, ?25, 1)";

/// Everything but what identifies a payment and its place in lists.
const UPDATE: &str = "UPDATE payments SET amount = ?3, description = ?4, attach = ?5, metadata = ?6, client_ip = ?7, \
     state = ?8, late = ?9, refunded = ?10, refunding = ?11, updated_at = ?12, expires_at = ?13, paid_at = ?14, \
     transaction_id = ?15, failure_code = ?16, failure_message = ?17, check_at = ?18, check_asked = ?19, \
     provider = ?20, trade_no = ?21, attempts = ?22, version = version + 1 WHERE id = ?1 AND version = ?2";

/// An attempt is entered, or told more about by the payment that it belongs to.
const PUT_ATTEMPT: &str = "INSERT INTO attempts (tenant, provider, trade_no, payment, id, number, method, app_id, \
     merchant_id, openid, notify_url, prepay_token, prepay_valid_until, state, \
     transaction_id) \
     SELECT ?1, ?2, ?3, row, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15 FROM payments WHERE id = ?4 \
     ON CONFLICT (tenant, provider, trade_no) DO UPDATE SET number = excluded.number, method = excluded.method, \
     app_id = excluded.app_id, merchant_id = excluded.merchant_id, openid = excluded.openid, \
     notify_url = excluded.notify_url, prepay_token = excluded.prepay_token, \
     prepay_valid_until = excluded.prepay_valid_until, state = excluded.state, \
     transaction_id = excluded.transaction_id \
     WHERE attempts.payment = excluded.payment AND attempts.id = excluded.id";

const TAKE_DUE: &str = "UPDATE payments SET check_at = ?2, version = version + 1 WHERE row IN \
     (SELECT row FROM payments WHERE check_at <= ?1 ORDER BY check_at LIMIT ?3) RETURNING row";

/// The payment, and how many attempts it has; all but the current one are still to be read.
fn read(row: &Row<'_>) -> Result<(Payment, i64)> {
    let mut c = Columns::new(row);
    let id = PaymentId::from_uuid(c.uuid()?);
    let tenant = c.id(TenantId::new)?;
    let out_trade_no = c.id(OutTradeNo::new)?;
    let currency = c.word(Currency::parse)?;
    let payment = Payment {
        id,
        tenant,
        out_trade_no,
        amount: c.money(currency)?,
        description: c.string()?,
        attach: c.optional_string()?,
        metadata: codec::read_metadata(c.text()?)?,
        client_ip: c.word(|text| text.parse().ok())?,
        state: c.word(PaymentState::parse)?,
        late: c.flag()?,
        refunded: c.money(currency)?,
        refunding: c.money(currency)?,
        created_at: c.time()?,
        updated_at: c.time()?,
        expires_at: c.time()?,
        paid_at: c.optional_time()?,
        transaction_id: c.optional_id(TransactionId::new)?,
        failure: read_failure(&mut c)?,
        check: read_check(&mut c)?,
        version: c.integer()?,
        attempt: read_attempt(&mut c)?,
        others: Vec::new(),
    };
    Ok((payment, c.integer()?))
}

fn read_attempt(c: &mut Columns<'_, '_>) -> Result<Attempt> {
    Ok(Attempt {
        id: AttemptId::from_uuid(c.uuid()?),
        number: c.small()?,
        provider: c.id(ProviderName::new)?,
        method: c.word(Method::parse)?,
        trade_no: c.id(TradeNo::new)?,
        app_id: c.string()?,
        merchant_id: c.string()?,
        openid: c.optional_string()?,
        notify_url: c.string()?,
        prepay: match (c.optional_string()?, c.optional_time()?) {
            (Some(token), Some(valid_until)) => Some(Prepay { token, valid_until }),
            _ => None,
        },
        state: c.word(AttemptState::parse)?,
        transaction_id: c.optional_id(TransactionId::new)?,
    })
}

/// Most payments have one attempt, and cost nothing here.
fn with_others(connection: &Connection, (mut payment, attempts): (Payment, i64)) -> Result<Payment> {
    if attempts > 1 {
        let mut statement = connection.prepare_cached(OTHERS).map_err(store_error)?;
        let key = params![payment.id.as_uuid().into_bytes(), payment.attempt.id.as_uuid().into_bytes()];
        let mut rows = statement.query(key).map_err(store_error)?;
        while let Some(row) = rows.next().map_err(store_error)? {
            payment.others.push(read_attempt(&mut Columns::new(row))?);
        }
    }
    Ok(payment)
}

/// Two columns: the code and the message.
pub(super) fn read_failure(c: &mut Columns<'_, '_>) -> Result<Option<Failure>> {
    let code = c.optional_string()?;
    Ok(c.optional_string()?.map(|message| Failure { code, message }))
}

/// Two columns: when, and how often it was asked.
pub(super) fn read_check(c: &mut Columns<'_, '_>) -> Result<Option<Check>> {
    let at = c.optional_time()?;
    let asked = c.optional_integer()?;
    Ok(at.map(|at| Check { at, asked: asked.and_then(|asked| u32::try_from(asked).ok()).unwrap_or(0) }))
}

fn one(connection: &Connection, sql: &str, key: impl rusqlite::Params) -> Result<Option<Payment>> {
    let mut statement = connection.prepare_cached(sql).map_err(store_error)?;
    let mut rows = statement.query(key).map_err(store_error)?;
    let found = rows.next().map_err(store_error)?.map(read).transpose()?;
    found.map(|found| with_others(connection, found)).transpose()
}

pub(super) fn by_number(connection: &Connection, tenant: &TenantId, number: &OutTradeNo) -> Result<Option<Payment>> {
    one(connection, BY_NUMBER, params![tenant.as_str(), number.as_str()])
}

pub(super) fn find(connection: &Connection, tenant: &TenantId, key: &PaymentKey) -> Result<Option<Payment>> {
    match key {
        PaymentKey::OutTradeNo(number) => by_number(connection, tenant, number),
        PaymentKey::TradeNo { provider, trade_no } => {
            one(connection, BY_TRADE_NO, params![tenant.as_str(), provider.as_str(), trade_no.as_str()])
        }
        PaymentKey::Refund(number) => one(connection, BY_REFUND, params![tenant.as_str(), number.as_str()]),
        PaymentKey::RefundRequest(id) => {
            one(connection, BY_REQUEST, params![tenant.as_str(), id.as_uuid().into_bytes()])
        }
    }
}

/// Enters the payment, or changes it where its version is still the same. `before` are its
/// attempts as this transaction read them: one that is unchanged is not written again.
pub(super) fn put(w: &mut Writing<'_>, payment: &Payment, before: &[Attempt]) -> Result<()> {
    let p = payment;
    let id = p.id.as_uuid().into_bytes();
    let metadata = codec::write_metadata(&p.metadata)?;
    let ip = p.client_ip.to_string();
    let failure_code = p.failure.as_ref().and_then(|failure| failure.code.as_deref());
    let failure_message = p.failure.as_ref().map(|failure| failure.message.as_str());
    let check_at = p.check.map(|check| check.at.as_millis());
    let check_asked = p.check.map(|check| check.asked);
    let transaction_id = p.transaction_id.as_ref().map(TransactionId::as_str);
    let paid_at = p.paid_at.map(Timestamp::as_millis);
    let attempts = i64::try_from(1 + p.others.len()).unwrap_or(i64::MAX);
    if p.version == 0 {
        w.execute(
            INSERT,
            params![
                id,
                p.tenant.as_str(),
                p.out_trade_no.as_str(),
                p.amount.currency().code(),
                p.amount.minor(),
                p.description,
                p.attach,
                metadata,
                ip,
                p.state.as_str(),
                p.late,
                p.refunded.minor(),
                p.refunding.minor(),
                p.created_at.as_millis(),
                p.updated_at.as_millis(),
                p.expires_at.as_millis(),
                paid_at,
                transaction_id,
                failure_code,
                failure_message,
                check_at,
                check_asked,
                p.attempt.provider.as_str(),
                p.attempt.trade_no.as_str(),
                attempts,
            ],
        )?;
    } else {
        let changed = w.execute(
            UPDATE,
            params![
                id,
                p.version,
                p.amount.minor(),
                p.description,
                p.attach,
                metadata,
                ip,
                p.state.as_str(),
                p.late,
                p.refunded.minor(),
                p.refunding.minor(),
                p.updated_at.as_millis(),
                p.expires_at.as_millis(),
                paid_at,
                transaction_id,
                failure_code,
                failure_message,
                check_at,
                check_asked,
                p.attempt.provider.as_str(),
                p.attempt.trade_no.as_str(),
                attempts,
            ],
        )?;
        if changed == 0 {
            return Err(StoreError::Conflict(format!("payment {} is not at version {}", p.id, p.version)));
        }
    }
    for attempt in p.others.iter().chain([&p.attempt]).filter(|attempt| !before.contains(attempt)) {
        put_attempt(w, p, attempt)?;
    }
    Ok(())
}

fn put_attempt(w: &mut Writing<'_>, payment: &Payment, a: &Attempt) -> Result<()> {
    let changed = w.execute(
        PUT_ATTEMPT,
        params![
            payment.tenant.as_str(),
            a.provider.as_str(),
            a.trade_no.as_str(),
            payment.id.as_uuid().into_bytes(),
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
        ],
    )?;
    if changed == 0 {
        return Err(StoreError::Conflict(format!("trade number {} belongs to another attempt", a.trade_no)));
    }
    Ok(())
}

pub(super) fn take_due(w: &mut Writing<'_>, now: Timestamp, again_at: Timestamp, limit: u32) -> Result<Vec<Payment>> {
    let rows = w.execute_returning(TAKE_DUE, params![now.as_millis(), again_at.as_millis(), limit])?;
    rows.into_iter().filter_map(|row| one(w.connection(), BY_ROW, params![row]).transpose()).collect()
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
    let before = filter.cursor.map_or(i64::MAX, |cursor| cursor.created_at.as_millis());
    let before_id = filter.cursor.map_or(Uuid::max(), |cursor| cursor.id).into_bytes();
    let mut statement = connection.prepare_cached(&list_sql(filter.state)).map_err(store_error)?;
    let mut rows = statement
        .query(named_params! {
            ":tenant": filter.tenant.as_str(),
            ":after": filter.created_after.map_or(i64::MIN, Timestamp::as_millis),
            ":before": before,
            ":before_id": before_id,
            ":limit": limit,
        })
        .map_err(store_error)?;
    let mut items = Vec::new();
    while let Some(row) = rows.next().map_err(store_error)? {
        items.push(with_others(connection, read(row)?)?);
    }
    Ok(Page::cut(items, filter.limit, |last| PageCursor { created_at: last.created_at, id: last.id.as_uuid() }))
}
