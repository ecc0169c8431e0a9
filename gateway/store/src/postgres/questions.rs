//! Which payments and refunds are to be asked after, and taking them.

use async_trait::async_trait;
use dukou_domain::Timestamp;
use dukou_engine::ports::Questions;
use dukou_engine::question::{Asked, Due, Share};
use dukou_engine::records::{Payment, Refund};
use sqlx::postgres::{PgConnection, PgRow};

use super::columns::{Columns, each};
use super::error::{Result, store_error};
use super::payments::columns as payment_columns;
use super::refunds::columns as refund_columns;
use super::{PostgresStore, payments};
use crate::rows::{self, ReadColumns as _};

/// From one queue to the next in the index, and for each its first question: a table `heads` for the statement that
/// follows.
macro_rules! heads {
    ($table:literal) => {
        concat!(
            "WITH RECURSIVE heads AS (",
            heads!(@first $table, ""),
            " UNION ALL SELECT n.* FROM heads h CROSS JOIN LATERAL ",
            heads!(
                @first $table,
                "AND (w.tenant, w.provider COLLATE \"C\", w.state COLLATE \"C\") > (h.tenant, h.provider, h.state) "
            ),
            " n) "
        )
    };
    (@first $table:literal, $after:literal) => {
        concat!(
            "(SELECT w.tenant, w.provider COLLATE \"C\" AS provider, w.state COLLATE \"C\" AS state, w.check_at FROM ",
            $table,
            " w WHERE w.check_at IS NOT NULL ",
            $after,
            "ORDER BY w.tenant, w.provider COLLATE \"C\", w.state COLLATE \"C\", w.check_at LIMIT 1)"
        )
    };
}
pub(super) use heads;

macro_rules! due {
    ($table:literal) => {
        concat!(heads!($table), "SELECT tenant, provider, state, check_at FROM heads WHERE check_at <= $1")
    };
}

macro_rules! count {
    ($table:literal) => {
        concat!(
            "SELECT count(*) FROM ",
            $table,
            " w WHERE w.tenant = $1 AND w.provider COLLATE \"C\" = $2 AND w.check_at <= $3"
        )
    };
}

/// One that another instance takes at this moment is passed over.
macro_rules! take {
    ($table:literal, $row:literal, $columns:ident) => {
        concat!(
            "WITH due AS MATERIALIZED (SELECT d.tenant, d.id \
             FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS k (tenant, provider, state, share) \
             CROSS JOIN LATERAL (SELECT w.tenant, w.id FROM ",
            $table,
            " w WHERE w.tenant = k.tenant AND w.provider COLLATE \"C\" = k.provider \
             AND w.state COLLATE \"C\" = k.state AND w.check_at <= $5 ORDER BY w.check_at LIMIT k.share \
             FOR UPDATE SKIP LOCKED) d) UPDATE ",
            $table,
            " ",
            $row,
            " SET check_at = $6, version = version + 1 FROM due WHERE ",
            $row,
            ".tenant = due.tenant AND ",
            $row,
            ".id = due.id RETURNING ",
            $columns!()
        )
    };
}

const TAKE_PAYMENTS: &str = take!("payments", "p", payment_columns);
const TAKE_REFUNDS: &str = take!("refunds", "r", refund_columns);

#[async_trait]
impl Questions for PostgresStore {
    async fn due(&self, asked: Asked, now: Timestamp) -> Result<Vec<Due>> {
        self.read(move |connection| Box::pin(due(connection, asked, now))).await
    }

    async fn count_due(&self, asked: Asked, tenant: &str, provider: &str, now: Timestamp) -> Result<u64> {
        let sql = match asked {
            Asked::Payments => count!("payments"),
            Asked::Refunds => count!("refunds"),
        };
        let (tenant, provider) = (tenant.to_owned(), provider.to_owned());
        self.read(move |connection| {
            Box::pin(async move {
                let asked = sqlx::query(sql).bind(tenant).bind(provider).bind(now.as_millis());
                let row = asked.fetch_one(connection).await.map_err(store_error)?;
                Ok(u64::try_from(Columns::new(&row).integer()?).unwrap_or(0))
            })
        })
        .await
    }

    async fn take_payments(&self, now: Timestamp, again_at: Timestamp, shares: Vec<Share>) -> Result<Vec<Payment>> {
        self.write(move |connection| {
            Box::pin(async move {
                let rows = take(connection, TAKE_PAYMENTS, now, again_at, &shares).await?;
                let found = rows.iter().filter_map(|row| rows::readable(rows::payment(&mut Columns::new(row))));
                payments::with_others(connection, found.collect::<Result<_>>()?).await
            })
        })
        .await
    }

    async fn take_refunds(&self, now: Timestamp, again_at: Timestamp, shares: Vec<Share>) -> Result<Vec<Refund>> {
        self.write(move |connection| {
            Box::pin(async move {
                let rows = take(connection, TAKE_REFUNDS, now, again_at, &shares).await?;
                rows.iter().filter_map(|row| rows::readable(rows::refund(&mut Columns::new(row)))).collect()
            })
        })
        .await
    }
}

/// The queues whose first question is due by then.
pub(super) async fn due(connection: &mut PgConnection, asked: Asked, by: Timestamp) -> Result<Vec<Due>> {
    let sql = match asked {
        Asked::Payments => due!("payments"),
        Asked::Refunds => due!("refunds"),
    };
    let rows = sqlx::query(sql).bind(by.as_millis()).fetch_all(connection).await.map_err(store_error)?;
    rows.iter().map(|row| rows::head(&mut Columns::new(row))).collect()
}

/// The rows that were taken, in no order: they are asked after together.
async fn take(
    connection: &mut PgConnection,
    sql: &'static str,
    now: Timestamp,
    again_at: Timestamp,
    shares: &[Share],
) -> Result<Vec<PgRow>> {
    let asked = sqlx::query(sql)
        .bind(each(shares, |share| share.queue.tenant.as_str()))
        .bind(each(shares, |share| share.queue.provider.as_str()))
        .bind(each(shares, |share| share.queue.state.as_str()))
        .bind(each(shares, |share| i64::from(share.limit)))
        .bind(now.as_millis())
        .bind(again_at.as_millis());
    asked.fetch_all(connection).await.map_err(store_error)
}
