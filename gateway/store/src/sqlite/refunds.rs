//! Refunds.

use dukou_domain::{OutRefundNo, PaymentId, ProviderRefundId, TenantId, Timestamp};
use dukou_engine::ports::StoreError;
use dukou_engine::records::Refund;
use rusqlite::{Connection, Row, params};

use super::columns::Columns;
use super::error::{Result, store_error};
use super::writing::Writing;
use crate::rows;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, tenant, payment, out_trade_no, out_refund_no, provider, trade_no, currency, amount, reason, \
             notify_url, state, provider_refund_id, failure_code, failure_message, platform_word, created_at, \
             updated_at, succeeded_at, check_at, check_asked, of_duplicate, version FROM refunds ",
            $rest
        )
    };
}

const BY_NUMBER: &str = select!("WHERE tenant = ?1 AND out_refund_no = ?2");
const BY_ROW: &str = select!("WHERE row = ?1");
const OF_PAYMENT: &str = select!("WHERE payment = ?1 AND tenant = ?2 ORDER BY created_at, id");

const RELEASE: &str = "UPDATE refunds SET check_at = 0 WHERE state = 'created' AND check_at > 0";

const INSERT: &str = "INSERT INTO refunds (id, tenant, payment, out_trade_no, out_refund_no, provider, trade_no, \
     currency, amount, reason, notify_url, state, provider_refund_id, failure_code, failure_message, platform_word, \
     created_at, updated_at, succeeded_at, check_at, check_asked, of_duplicate, version) VALUES (?1, ?2, ?3, ?4, ?5, \
     ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, 1)";

/// Everything but what identifies a refund.
const UPDATE: &str = "UPDATE refunds SET provider = ?3, trade_no = ?4, amount = ?5, reason = ?6, notify_url = ?7, \
     state = ?8, provider_refund_id = ?9, failure_code = ?10, failure_message = ?11, platform_word = ?12, \
     updated_at = ?13, succeeded_at = ?14, check_at = ?15, check_asked = ?16, version = version + 1 \
     WHERE id = ?1 AND version = ?2";

fn read(row: &Row<'_>) -> Result<Refund> {
    rows::refund(&mut Columns::new(row))
}

fn one(connection: &Connection, sql: &str, key: impl rusqlite::Params) -> Result<Option<Refund>> {
    let mut statement = connection.prepare_cached(sql).map_err(store_error)?;
    let mut rows = statement.query(key).map_err(store_error)?;
    rows.next().map_err(store_error)?.map(read).transpose()
}

/// A process that is gone sends nothing any more: what it may have been sending is due. One process has the file.
pub(super) fn release(connection: &Connection) -> Result<()> {
    connection.execute(RELEASE, []).map(|_| ()).map_err(store_error)
}

pub(super) fn by_number(connection: &Connection, tenant: &TenantId, number: &OutRefundNo) -> Result<Option<Refund>> {
    one(connection, BY_NUMBER, params![tenant.as_str(), number.as_str()])
}

pub(super) fn of_payment(connection: &Connection, tenant: &TenantId, payment: PaymentId) -> Result<Vec<Refund>> {
    let mut statement = connection.prepare_cached(OF_PAYMENT).map_err(store_error)?;
    let mut rows = statement.query(params![payment.as_uuid().into_bytes(), tenant.as_str()]).map_err(store_error)?;
    let mut refunds = Vec::new();
    while let Some(row) = rows.next().map_err(store_error)? {
        refunds.push(read(row)?);
    }
    Ok(refunds)
}

/// Enters the refund, or changes it where its version is still the same.
pub(super) fn put(w: &mut Writing<'_>, refund: &Refund) -> Result<()> {
    let r = refund;
    let id = r.id.as_uuid().into_bytes();
    let provider_refund_id = r.provider_refund_id.as_ref().map(ProviderRefundId::as_str);
    let failure_code = r.failure.as_ref().and_then(|failure| failure.code.as_deref());
    let failure_message = r.failure.as_ref().map(|failure| failure.message.as_str());
    let succeeded_at = r.succeeded_at.map(Timestamp::as_millis);
    let check_at = r.check.map(|check| check.at.as_millis());
    let check_asked = r.check.map(|check| check.asked);
    if r.version == 0 {
        w.execute(
            INSERT,
            params![
                id,
                r.tenant.as_str(),
                r.payment.as_uuid().into_bytes(),
                r.out_trade_no.as_str(),
                r.out_refund_no.as_str(),
                r.provider.as_str(),
                r.trade_no.as_str(),
                r.amount.currency().code(),
                r.amount.minor(),
                r.reason,
                r.notify_url,
                r.state.as_str(),
                provider_refund_id,
                failure_code,
                failure_message,
                r.platform_word,
                r.created_at.as_millis(),
                r.updated_at.as_millis(),
                succeeded_at,
                check_at,
                check_asked,
                r.of_duplicate,
            ],
        )?;
        return Ok(());
    }
    let changed = w.execute(
        UPDATE,
        params![
            id,
            r.version,
            r.provider.as_str(),
            r.trade_no.as_str(),
            r.amount.minor(),
            r.reason,
            r.notify_url,
            r.state.as_str(),
            provider_refund_id,
            failure_code,
            failure_message,
            r.platform_word,
            r.updated_at.as_millis(),
            succeeded_at,
            check_at,
            check_asked,
        ],
    )?;
    if changed == 0 {
        return Err(StoreError::Conflict(format!("refund {} is not at version {}", r.id, r.version)));
    }
    Ok(())
}

pub(super) fn by_row(connection: &Connection, row: i64) -> Result<Option<Refund>> {
    one(connection, BY_ROW, params![row])
}
