//! What happened to one payment.

use async_trait::async_trait;
use dukou_domain::{OutRefundNo, PaymentId, TenantId, Timestamp};
use dukou_engine::ports::History;
use dukou_engine::records::{Event, Notification, PlatformCall};
use sqlx::postgres::PgConnection;

use super::PostgresStore;
use super::columns::{Columns, each};
use super::error::{Result, store_error};
use crate::rows;

const KEEP: &str = "INSERT INTO platform_calls (tenant, payment, refund, provider, operation, at, millis, outcome, \
     code, message, request_id) SELECT * FROM unnest($1::text[], $2::uuid[], $3::text[], $4::text[], $5::text[], \
     $6::bigint[], $7::bigint[], $8::text[], $9::text[], $10::text[], $11::text[])";

const CALLS: &str = "SELECT refund, provider, operation, at, millis, outcome, code, message, request_id \
     FROM platform_calls WHERE tenant = $1 AND payment = $2 ORDER BY row DESC LIMIT $3";

const EVENTS: &str = "SELECT position, id, kind, at, subject FROM events WHERE tenant = $1 AND payment = $2 \
     ORDER BY position DESC LIMIT $3";

/// In the words of its index.
const TROUBLES: &str = "SELECT * FROM (SELECT position, id, kind, at, subject FROM events WHERE tenant = $1 \
     AND kind IN ('payment.mismatch', 'payment.unknown_order', 'payment.duplicate', 'refund.failed', \
     'refund.abnormal') ORDER BY position DESC LIMIT $3) t WHERE at >= $2 ORDER BY position DESC";

/// A message's digest begins with the number that it is about, and a colon, after which `;` comes.
const MESSAGES: &str = "SELECT digest, provider, kind, outcome, payment, trade_no, received_at, body \
     FROM notifications WHERE tenant = $1 AND digest > $2 || ':' AND digest < $2 || ';' ORDER BY digest LIMIT $3";

#[async_trait]
impl History for PostgresStore {
    async fn keep_calls(&self, calls: Vec<PlatformCall>) -> Result<()> {
        if calls.is_empty() {
            return Ok(());
        }
        self.write(move |connection| Box::pin(async move { keep(connection, &calls).await })).await
    }

    async fn calls_about(&self, tenant: &TenantId, payment: PaymentId, limit: u32) -> Result<Vec<PlatformCall>> {
        let tenant = tenant.clone();
        self.read(move |connection| Box::pin(async move { calls(connection, &tenant, payment, limit).await })).await
    }

    async fn events_about(&self, tenant: &TenantId, payment: PaymentId, limit: u32) -> Result<Vec<Event>> {
        let tenant = tenant.clone();
        self.read(move |connection| {
            Box::pin(async move {
                let asked = sqlx::query(EVENTS).bind(tenant.as_str()).bind(payment.as_uuid()).bind(i64::from(limit));
                let rows = asked.fetch_all(connection).await.map_err(store_error)?;
                let newest_first = rows.iter().rev();
                newest_first.map(|row| rows::event(&mut Columns::new(row), |_| Ok(tenant.clone()))).collect()
            })
        })
        .await
    }

    async fn troubles(&self, tenant: &TenantId, since: Timestamp, limit: u32) -> Result<Vec<Event>> {
        let tenant = tenant.clone();
        self.read(move |connection| {
            Box::pin(async move {
                let asked = sqlx::query(TROUBLES).bind(tenant.as_str()).bind(since.as_millis()).bind(i64::from(limit));
                let rows = asked.fetch_all(connection).await.map_err(store_error)?;
                rows.iter().map(|row| rows::event(&mut Columns::new(row), |_| Ok(tenant.clone()))).collect()
            })
        })
        .await
    }

    async fn messages_about(&self, tenant: &TenantId, numbers: Vec<String>, limit: u32) -> Result<Vec<Notification>> {
        let tenant = tenant.clone();
        self.read(move |connection| {
            Box::pin(async move {
                let mut found = Vec::new();
                for number in &numbers {
                    messages(connection, &tenant, number, limit, &mut found).await?;
                }
                found.sort_by_key(|message: &Notification| message.received_at);
                Ok(found)
            })
        })
        .await
    }
}

async fn keep(connection: &mut PgConnection, calls: &[PlatformCall]) -> Result<()> {
    sqlx::query(KEEP)
        .bind(each(calls, |call| call.tenant.as_str()))
        .bind(each(calls, |call| call.payment.as_uuid()))
        .bind(each(calls, |call| call.refund.as_ref().map(OutRefundNo::as_str)))
        .bind(each(calls, |call| call.provider.as_str()))
        .bind(each(calls, |call| call.operation.as_str()))
        .bind(each(calls, |call| call.at.as_millis()))
        .bind(each(calls, |call| i64::from(call.millis)))
        .bind(each(calls, |call| call.outcome.as_str()))
        .bind(each(calls, |call| call.code.as_deref()))
        .bind(each(calls, |call| call.message.as_deref()))
        .bind(each(calls, |call| call.request_id.as_deref()))
        .execute(connection)
        .await
        .map_err(store_error)?;
    Ok(())
}

async fn calls(
    connection: &mut PgConnection,
    tenant: &TenantId,
    payment: PaymentId,
    limit: u32,
) -> Result<Vec<PlatformCall>> {
    let asked = sqlx::query(CALLS).bind(tenant.as_str()).bind(payment.as_uuid()).bind(i64::from(limit));
    let rows = asked.fetch_all(connection).await.map_err(store_error)?;
    rows.iter().rev().map(|row| rows::call(&mut Columns::new(row), tenant, payment)).collect()
}

async fn messages(
    connection: &mut PgConnection,
    tenant: &TenantId,
    number: &str,
    limit: u32,
    found: &mut Vec<Notification>,
) -> Result<()> {
    let asked = sqlx::query(MESSAGES).bind(tenant.as_str()).bind(number).bind(i64::from(limit));
    for row in &asked.fetch_all(connection).await.map_err(store_error)? {
        found.push(rows::message(&mut Columns::new(row), tenant)?);
    }
    Ok(())
}
