//! Refunds.

use dukou_domain::{OutRefundNo, PaymentId, ProviderRefundId, TenantId, Timestamp};
use dukou_engine::ports::StoreError;
use dukou_engine::records::Refund;
use sqlx::postgres::PgConnection;

use super::columns::Columns;
use super::error::{Result, store_error};
use crate::rows;

macro_rules! columns {
    () => {
        "r.id, r.tenant, r.payment, r.out_trade_no, r.out_refund_no, r.provider, r.trade_no, r.currency, r.amount, \
         r.reason, r.notify_url, r.state, r.provider_refund_id, r.failure_code, r.failure_message, r.platform_word, \
         r.created_at, r.updated_at, r.succeeded_at, r.check_at, r.check_asked, r.of_duplicate, r.version"
    };
}

pub(super) use columns;

const BY_NUMBER: &str = concat!("SELECT ", columns!(), " FROM refunds r WHERE r.tenant = $1 AND r.out_refund_no = $2");

const OF_PAYMENT: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM refunds r WHERE r.tenant = $1 AND r.payment = $2 ORDER BY r.created_at, r.id"
);

const INSERT: &str = "INSERT INTO refunds (id, tenant, payment, out_trade_no, out_refund_no, provider, trade_no, \
     currency, amount, reason, notify_url, state, provider_refund_id, failure_code, failure_message, platform_word, \
     created_at, updated_at, succeeded_at, check_at, check_asked, of_duplicate, version) VALUES ($1, $2, $3, $4, $5, \
     $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, 1)";

/// Everything but what identifies a refund.
const UPDATE: &str = "UPDATE refunds SET provider = $4, trade_no = $5, amount = $6, reason = $7, notify_url = $8, \
     state = $9, provider_refund_id = $10, failure_code = $11, failure_message = $12, platform_word = $13, \
     updated_at = $14, succeeded_at = $15, check_at = $16, check_asked = $17, version = version + 1 \
     WHERE tenant = $1 AND id = $2 AND version = $3";

pub(super) async fn by_number(
    connection: &mut PgConnection,
    tenant: &TenantId,
    number: &OutRefundNo,
) -> Result<Option<Refund>> {
    let asked = sqlx::query(BY_NUMBER).bind(tenant.as_str()).bind(number.as_str());
    let row = asked.fetch_optional(connection).await.map_err(store_error)?;
    row.as_ref().map(|row| rows::refund(&mut Columns::new(row))).transpose()
}

pub(super) async fn of_payment(
    connection: &mut PgConnection,
    tenant: &TenantId,
    payment: PaymentId,
) -> Result<Vec<Refund>> {
    let asked = sqlx::query(OF_PAYMENT).bind(tenant.as_str()).bind(payment.as_uuid());
    let rows = asked.fetch_all(connection).await.map_err(store_error)?;
    rows.iter().map(|row| rows::refund(&mut Columns::new(row))).collect()
}

/// Enters the refund, or changes it where its version is still the same.
pub(super) async fn put(connection: &mut PgConnection, r: &Refund) -> Result<()> {
    let provider_refund_id = r.provider_refund_id.as_ref().map(ProviderRefundId::as_str);
    let failure_code = r.failure.as_ref().and_then(|failure| failure.code.as_deref());
    let failure_message = r.failure.as_ref().map(|failure| failure.message.as_str());
    let succeeded_at = r.succeeded_at.map(Timestamp::as_millis);
    let check_at = r.check.map(|check| check.at.as_millis());
    let check_asked = r.check.map(|check| i64::from(check.asked));
    if r.version == 0 {
        sqlx::query(INSERT)
            .bind(r.id.as_uuid())
            .bind(r.tenant.as_str())
            .bind(r.payment.as_uuid())
            .bind(r.out_trade_no.as_str())
            .bind(r.out_refund_no.as_str())
            .bind(r.provider.as_str())
            .bind(r.trade_no.as_str())
            .bind(r.amount.currency().code())
            .bind(r.amount.minor())
            .bind(r.reason.as_deref())
            .bind(r.notify_url.as_str())
            .bind(r.state.as_str())
            .bind(provider_refund_id)
            .bind(failure_code)
            .bind(failure_message)
            .bind(r.platform_word.as_deref())
            .bind(r.created_at.as_millis())
            .bind(r.updated_at.as_millis())
            .bind(succeeded_at)
            .bind(check_at)
            .bind(check_asked)
            .bind(r.of_duplicate)
            .execute(connection)
            .await
            .map_err(store_error)?;
        return Ok(());
    }
    let done = sqlx::query(UPDATE)
        .bind(r.tenant.as_str())
        .bind(r.id.as_uuid())
        .bind(r.version)
        .bind(r.provider.as_str())
        .bind(r.trade_no.as_str())
        .bind(r.amount.minor())
        .bind(r.reason.as_deref())
        .bind(r.notify_url.as_str())
        .bind(r.state.as_str())
        .bind(provider_refund_id)
        .bind(failure_code)
        .bind(failure_message)
        .bind(r.platform_word.as_deref())
        .bind(r.updated_at.as_millis())
        .bind(succeeded_at)
        .bind(check_at)
        .bind(check_asked)
        .execute(connection)
        .await
        .map_err(store_error)?;
    if done.rows_affected() == 0 {
        return Err(StoreError::Conflict(format!("refund {} is not at version {}", r.id, r.version)));
    }
    Ok(())
}
