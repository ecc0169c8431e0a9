//! Which payments and refunds are to be asked after, and taking them.

use async_trait::async_trait;
use dukou_domain::Timestamp;
use dukou_engine::ports::Questions;
use dukou_engine::question::{Asked, Due, Queue, Share};
use dukou_engine::records::{Payment, Refund};
use rusqlite::{Connection, params};

use super::columns::Columns;
use super::error::{Result, store_error};
use super::writing::Writing;
use super::{SqliteStore, payments, refunds};
use crate::rows;

/// The first question of the first queue after another, from the index alone.
macro_rules! head {
    ($table:literal) => {
        concat!(
            "SELECT tenant, provider, state, check_at FROM ",
            $table,
            " INDEXED BY ",
            $table,
            "_due WHERE check_at IS NOT NULL AND (tenant, provider, state) > (?1, ?2, ?3) \
             ORDER BY tenant, provider, state, check_at LIMIT 1"
        )
    };
}

macro_rules! take {
    ($table:literal) => {
        concat!(
            "UPDATE ",
            $table,
            " SET check_at = ?5, version = version + 1 WHERE row IN (SELECT row FROM ",
            $table,
            " INDEXED BY ",
            $table,
            "_due WHERE tenant = ?1 AND provider = ?2 AND state = ?3 AND check_at <= ?4 ORDER BY check_at LIMIT ?6) \
             RETURNING row"
        )
    };
}

macro_rules! count {
    ($table:literal) => {
        concat!(
            "SELECT count(*) FROM ",
            $table,
            " INDEXED BY ",
            $table,
            "_due WHERE tenant = ?1 AND provider = ?2 AND check_at <= ?3"
        )
    };
}

const TAKE_PAYMENTS: &str = take!("payments");
const TAKE_REFUNDS: &str = take!("refunds");

const fn head(asked: Asked) -> &'static str {
    match asked {
        Asked::Payments => head!("payments"),
        Asked::Refunds => head!("refunds"),
    }
}

#[async_trait]
impl Questions for SqliteStore {
    async fn due(&self, asked: Asked, now: Timestamp) -> Result<Vec<Due>> {
        let mut due = self.read(move |connection| heads(connection, asked)).await?;
        due.retain(|one| one.since <= now);
        Ok(due)
    }

    async fn count_due(&self, asked: Asked, tenant: &str, provider: &str, now: Timestamp) -> Result<u64> {
        let sql = match asked {
            Asked::Payments => count!("payments"),
            Asked::Refunds => count!("refunds"),
        };
        let (tenant, provider) = (tenant.to_owned(), provider.to_owned());
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(sql).map_err(store_error)?;
            let key = params![tenant, provider, now.as_millis()];
            let count: i64 = statement.query_row(key, |row| row.get(0)).map_err(store_error)?;
            Ok(u64::try_from(count).unwrap_or(0))
        })
        .await
    }

    async fn take_payments(&self, now: Timestamp, again_at: Timestamp, shares: Vec<Share>) -> Result<Vec<Payment>> {
        self.write(move |w| {
            let rows = take(w, TAKE_PAYMENTS, now, again_at, &shares)?;
            let found = rows.into_iter().filter_map(|row| payments::by_row(w.connection(), row).transpose());
            found.filter_map(rows::readable).collect()
        })
        .await
    }

    async fn take_refunds(&self, now: Timestamp, again_at: Timestamp, shares: Vec<Share>) -> Result<Vec<Refund>> {
        self.write(move |w| {
            let rows = take(w, TAKE_REFUNDS, now, again_at, &shares)?;
            let found = rows.into_iter().filter_map(|row| refunds::by_row(w.connection(), row).transpose());
            found.filter_map(rows::readable).collect()
        })
        .await
    }
}

/// Every queue with its first question, due or not.
pub(super) fn heads(connection: &Connection, asked: Asked) -> Result<Vec<Due>> {
    let mut statement = connection.prepare_cached(head(asked)).map_err(store_error)?;
    let mut heads: Vec<Due> = Vec::new();
    loop {
        let last = heads.last().map(|head| &head.queue);
        let after = last.map_or(["", "", ""], |queue| [&queue.tenant, &queue.provider, &queue.state]);
        let mut rows = statement.query(after).map_err(store_error)?;
        let Some(row) = rows.next().map_err(store_error)? else { break };
        let head = rows::head(&mut Columns::new(row))?;
        drop(rows);
        heads.push(head);
    }
    Ok(heads)
}

/// The rows that were taken.
fn take(w: &mut Writing<'_>, sql: &str, now: Timestamp, again_at: Timestamp, shares: &[Share]) -> Result<Vec<i64>> {
    let mut taken = Vec::new();
    for Share { queue: Queue { tenant, provider, state }, limit } in shares {
        let key = params![tenant, provider, state, now.as_millis(), again_at.as_millis(), limit];
        taken.append(&mut w.execute_returning(sql, key)?);
    }
    Ok(taken)
}
