//! What happened to one payment.

use async_trait::async_trait;
use dukou_domain::{OutRefundNo, PaymentId, TenantId, Timestamp};
use dukou_engine::ports::History;
use dukou_engine::records::{Event, Notification, PlatformCall};
use rusqlite::{Connection, params};

use super::SqliteStore;
use super::columns::Columns;
use super::error::{Result, store_error};
use super::writing::Writing;
use crate::rows;

const KEEP: &str = "INSERT INTO platform_calls (tenant, payment, refund, provider, operation, at, millis, outcome, \
     code, message, request_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";

const CALLS: &str = "SELECT refund, provider, operation, at, millis, outcome, code, message, request_id \
     FROM platform_calls INDEXED BY platform_calls_payment WHERE payment = ?1 AND tenant = ?2 \
     ORDER BY row DESC LIMIT ?3";

const EVENTS: &str = "SELECT position, id, kind, at, subject FROM events INDEXED BY events_payment \
     WHERE payment = ?1 AND tenant = ?2 ORDER BY position DESC LIMIT ?3";

/// In the very words of its index.
pub(super) const TROUBLES: &str = "SELECT * FROM (SELECT position, id, kind, at, subject FROM events INDEXED BY events_troubles \
     WHERE tenant = ?1 AND (kind = 'payment.mismatch' OR kind = 'payment.unknown_order' OR kind = 'payment.duplicate' \
     OR kind = 'refund.failed' OR kind = 'refund.abnormal') ORDER BY position DESC LIMIT ?3) WHERE at >= ?2 ORDER BY position DESC";

/// A message's digest begins with the number that it is about, and a colon, after which `;` comes.
const MESSAGES: &str = "SELECT digest, provider, kind, outcome, payment, trade_no, received_at, body \
     FROM notifications WHERE digest > ?1 || ':' AND digest < ?1 || ';' AND tenant = ?2 ORDER BY digest LIMIT ?3";

#[async_trait]
impl History for SqliteStore {
    async fn keep_calls(&self, calls: Vec<PlatformCall>) -> Result<()> {
        self.write(move |w| calls.iter().try_for_each(|call| keep(w, call))).await
    }

    async fn calls_about(&self, tenant: &TenantId, payment: PaymentId, limit: u32) -> Result<Vec<PlatformCall>> {
        self.read_page(tenant, move |connection, tenant| calls(connection, tenant, payment, limit)).await
    }

    async fn events_about(&self, tenant: &TenantId, payment: PaymentId, limit: u32) -> Result<Vec<Event>> {
        self.read_page(tenant, move |connection, tenant| {
            let mut statement = connection.prepare_cached(EVENTS).map_err(store_error)?;
            let key = params![payment.as_uuid().into_bytes(), tenant.as_str(), limit];
            let mut rows = statement.query(key).map_err(store_error)?;
            let mut found = Vec::new();
            while let Some(row) = rows.next().map_err(store_error)? {
                found.push(rows::event(&mut Columns::new(row), |_| Ok(tenant.clone()))?);
            }
            found.reverse();
            Ok(found)
        })
        .await
    }

    async fn troubles(&self, tenant: &TenantId, since: Timestamp, limit: u32) -> Result<Vec<Event>> {
        self.read_page(tenant, move |connection, tenant| {
            let mut statement = connection.prepare_cached(TROUBLES).map_err(store_error)?;
            let mut rows = statement.query(params![tenant.as_str(), since.as_millis(), limit]).map_err(store_error)?;
            let mut found = Vec::new();
            while let Some(row) = rows.next().map_err(store_error)? {
                found.push(rows::event(&mut Columns::new(row), |_| Ok(tenant.clone()))?);
            }
            Ok(found)
        })
        .await
    }

    async fn messages_about(&self, tenant: &TenantId, numbers: Vec<String>, limit: u32) -> Result<Vec<Notification>> {
        self.read_page(tenant, move |connection, tenant| {
            let mut found = Vec::new();
            for number in &numbers {
                messages(connection, tenant, number, limit, &mut found)?;
            }
            found.sort_by_key(|message: &Notification| message.received_at);
            Ok(found)
        })
        .await
    }
}

fn keep(w: &mut Writing<'_>, call: &PlatformCall) -> Result<()> {
    w.execute(
        KEEP,
        params![
            call.tenant.as_str(),
            call.payment.as_uuid().into_bytes(),
            call.refund.as_ref().map(OutRefundNo::as_str),
            call.provider.as_str(),
            call.operation,
            call.at.as_millis(),
            call.millis,
            call.outcome.as_str(),
            call.code,
            call.message,
            call.request_id,
        ],
    )?;
    Ok(())
}

fn calls(connection: &Connection, tenant: &TenantId, payment: PaymentId, limit: u32) -> Result<Vec<PlatformCall>> {
    let mut statement = connection.prepare_cached(CALLS).map_err(store_error)?;
    let key = params![payment.as_uuid().into_bytes(), tenant.as_str(), limit];
    let mut rows = statement.query(key).map_err(store_error)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(store_error)? {
        found.push(rows::call(&mut Columns::new(row), tenant, payment)?);
    }
    found.reverse();
    Ok(found)
}

fn messages(
    connection: &Connection,
    tenant: &TenantId,
    number: &str,
    limit: u32,
    found: &mut Vec<Notification>,
) -> Result<()> {
    let mut statement = connection.prepare_cached(MESSAGES).map_err(store_error)?;
    let mut rows = statement.query(params![number, tenant.as_str(), limit]).map_err(store_error)?;
    while let Some(row) = rows.next().map_err(store_error)? {
        found.push(rows::message(&mut Columns::new(row), tenant)?);
    }
    Ok(())
}

pub(super) const CALLS_IN_ORDER: &str = "SELECT row, at FROM platform_calls ORDER BY row";
pub(super) const DELETE_CALL: &str = "DELETE FROM platform_calls WHERE row = ?1 AND at < ?2";
